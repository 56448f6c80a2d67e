"""Frames of a movie, one after the other: laid on each other, added up, and fitted to the known columns.

Each function here is one pass over the movie, in which a frame is read, used and forgotten. Passes that
take long are steps of the job's journal in blocks of frames, from which an interrupted job goes on.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final
from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float

from atomfit.detection.column_scale import binned
from atomfit.detection.frame_alignment import LEAST_SCORE, FrameMap, align_frames
from atomfit.detection.frame_sums import FrameSum, added, canvas_for, places_on
from atomfit.detection.image_brightness import BrightnessLaw, brightness_law
from atomfit.fitting.frame_fit import Expected, FrameFitter, Message
from atomfit.io.movies import Movie
from atomfit.optimisation.journal import current, fingerprint
from atomfit.results.columns import Units
from atomfit.selection.frame_candidates import Passing, Place
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.structure.grid import Grid

log = logging.getLogger("atomfit")

Tell = Callable[[str], None]
#: Frames of a step of the journal, frames from which the law of noise is found, and threads.
_BLOCK, _SAMPLED, _THREADS = 32, 12, 2
#: Pixels nearer to a column than this, in its widths, are its own; and counts that a pixel has at least.
_OWN, _LEAST_COUNTS = 3.0, 0.02
#: The reference is made of pixels that at least this part of the frames show.
_COVERED = 0.7


@final
@dataclass(frozen=True, eq=False)
class Frames:
    """A movie in the units and on the pixels of its fit.

    **Fields:**

    - `movie`: as it was read.
    - `units`: of the fit.
    - `times`: how many pixels make one of the fit's, along an edge.
    """

    movie: Movie
    units: Units
    times: int

    @property
    def grid(self) -> Grid:
        """Pixels of a frame that is fitted."""
        rows, columns = (n // self.times for n in self.movie.shape[1:])
        edge = self.movie.pixel
        return Grid(
            (rows, columns), np.full(2, self.times * edge), np.full(2, 0.5 * (self.times - 1) * edge)
        )

    def frame(self, k: int) -> tuple[Float[np.ndarray, "r c"], Bool[np.ndarray, "r c"]]:
        """A frame, and which of its pixels were measured."""
        values, counted = self.movie.frame(k)
        values = (values - np.float32(self.units.level)) * np.float32(self.units.scale)
        if self.times == 1:
            return values, counted
        values = np.where(counted, values, np.float32(0))
        return binned(values, self.times), binned(counted.astype(np.float32), self.times) == 1


def lay_frames(
    movie: Movie, width: float, tell: Tell
) -> tuple[tuple[PlaneMap, ...], Bool[np.ndarray, " t"]]:
    """How frames lie on each other, and which show the specimen.

    The reference's frame is such that on average nothing is turned, stretched or shifted.

    **Arguments:**

    - `movie`: the frames.
    - `width`: standard deviation of a column (Å).
    - `tell`: called with how far it has come.
    """

    def read(k: int) -> Float[np.ndarray, "rows columns"]:
        values, counted = movie.frame(k)
        if counted.all() or not counted.any():
            return values
        return np.where(counted, values, np.float32(np.median(values[counted])))

    def lay() -> tuple[FrameMap, ...]:
        return align_frames(
            len(movie),
            read,
            movie.pixel,
            width,
            lambda done: tell(f"laying frames: {done} of {len(movie)}"),
        )

    found = current().computed(
        "frames laid",
        fingerprint([np.array(movie.shape, float), np.array([width])]),
        lay,
        lambda maps: {
            "matrix": np.array([one.matrix for one in maps]),
            "shift": np.array([one.shift for one in maps]),
            "seen": np.array([(one.brightness, one.score) for one in maps]),
        },
        lambda kept: tuple(
            FrameMap(a, b, float(c), float(d))
            for a, b, (c, d) in zip(kept["matrix"], kept["shift"], kept["seen"], strict=True)
        ),
    )
    used = np.array([one.score > LEAST_SCORE for one in found])
    middle = 0.5 * movie.pixel * (np.array(movie.shape[:0:-1]) - 1)
    maps = [_of_frame(one, movie.pixel, middle) for one in found]
    return _about_the_mean(maps, used, middle), used


def _of_frame(one: FrameMap, pixel: float, middle: Float[np.ndarray, " 2"]) -> PlaneMap:
    """From a frame to the first (Å; x, y)."""
    back = np.linalg.inv(one.matrix[::-1, ::-1])
    shift = one.shift[::-1] * pixel
    return PlaneMap(back, middle - back @ (middle + shift))


def _about_the_mean(
    maps: Sequence[PlaneMap], used: Bool[np.ndarray, " t"], middle: Float[np.ndarray, " 2"]
) -> tuple[PlaneMap, ...]:
    some = [one for one, there in zip(maps, used, strict=True) if there] or list(maps)
    back = np.linalg.inv(np.mean([one.matrix for one in some], axis=0))
    shift = middle - back @ np.median([one(middle[None])[0] for one in some], axis=0)
    return tuple(PlaneMap(back @ one.matrix, back @ one.translation + shift) for one in maps)


def copies(movie: Movie) -> int:
    """How many frames are copies of others, to the last bit.

    **Arguments:**

    - `movie`: the frames.
    """
    seen = [crc32(np.ascontiguousarray(np.ma.getdata(movie.raw(k))).tobytes()) for k in range(len(movie))]
    return len(seen) - len(set(seen))


def mean_frame(
    movie: Movie, lays: Sequence[PlaneMap], used: Bool[np.ndarray, " t"], tell: Tell
) -> tuple[Float[np.ndarray, "rows columns"], Grid]:
    """The mean of all frames on the specimen's pixels, NaN where few were; and these pixels.

    **Arguments:**

    - `movie`: the frames.
    - `lays`, `used`: how they lie, and which are used.
    - `tell`: called with how far it has come.
    """
    grid = Grid(movie.shape[1:], np.full(2, movie.pixel), np.zeros(2))
    canvas = canvas_for(grid, [one(_corners(grid)) for one, there in zip(lays, used, strict=True) if there])
    whole = FrameSum.empty(canvas.shape)
    for k in np.flatnonzero(used).tolist():
        values, counted = movie.frame(k)
        places = places_on(canvas, grid, lays[k].matrix, lays[k].translation)
        whole = whole + added(values, counted, places, canvas.shape)
        tell(f"adding frames up: {k + 1} of {len(movie)}")
    return whole.mean(_COVERED), canvas


def _corners(grid: Grid) -> Float[np.ndarray, "4 2"]:
    far = grid.origin + grid.spacing * (np.array(grid.shape[::-1]) - 1)
    (x, y), (u, v) = grid.origin, far
    return np.array([[x, y], [u, y], [x, v], [u, v]])


def noise_of_frames(
    frames: Frames,
    fitter: FrameFitter,
    known: Expected,
    lays: Sequence[PlaneMap],
    used: Bool[np.ndarray, " t"],
) -> BrightnessLaw:
    """How the variance of a frame's pixel grows with its brightness, from a few frames.

    **Arguments:**

    - `frames`: the movie.
    - `fitter`: draws what is expected.
    - `known`: columns.
    - `lays`, `used`: how frames lie, and which are used.
    """
    there = np.flatnonzero(used)
    some = np.unique(there[np.linspace(0, len(there) - 1, _SAMPLED).astype(int)])
    drawn, left = [], []
    for k in some.tolist():
        values, counted = frames.frame(k)
        columns = fitter.moved(known.positions, known.amplitudes, lays[k])
        model = fitter.background(lays[k]) + columns.drawn(frames.grid)
        m, v = model[counted].astype(np.float64), values[counted].astype(np.float64)
        slope, level = np.polyfit(m, v, 1) if np.ptp(m) > 0 else (1.0, 0.0)
        drawn.append(m)
        left.append((v - level) / max(float(slope), 0.05) - m)
    whole = np.concatenate(drawn)
    return brightness_law(whole, np.concatenate(left), float(whole.min(initial=0.0)))


def passing_columns(
    frames: Frames,
    seen: tuple[Grid, Float[np.ndarray, "r c"], BrightnessLaw],
    known: tuple[Float[np.ndarray, "n 2"], float],
    laid: tuple[Sequence[PlaneMap], Bool[np.ndarray, " t"]],
    false: float,
    tell: Tell,
) -> list[Place]:
    """Places of columns that are there for a while only.

    **Arguments:**

    - `frames`: the movie.
    - `seen`: pixels of the specimen, the model there, and the law of noise.
    - `known`: positions of columns, and their typical width (Å).
    - `laid`: how frames lie, and which are used.
    - `false`: how many places may be chance.
    - `tell`: called with how far it has come.
    """
    (canvas, model, law), (positions, width), (lays, used) = seen, known, laid
    y, x = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    free = np.ones(canvas.shape, bool)
    for place in (positions - canvas.origin) / canvas.spacing:
        far = _OWN * width / canvas.spacing[0]
        rows, columns = (
            slice(max(int(place[1 - k] - far), 0), max(int(place[1 - k] + far) + 2, 0)) for k in range(2)
        )
        free[rows, columns] &= (x[:, columns] - place[0]) ** 2 + (y[rows] - place[1]) ** 2 > far**2
    variance = law(model) + _LEAST_COUNTS * law.gain**2
    passing = Passing(canvas, variance, law.gain, width, free, int(used.sum()), false)
    for k in np.flatnonzero(used).tolist():
        values, counted = frames.frame(k)
        places = places_on(canvas, frames.grid, lays[k].matrix, lays[k].translation)
        here = added(values, counted, places, canvas.shape)
        there = here.count > 0
        m, v = model[there], here.total[there] / here.count[there]
        slope, level = np.polyfit(m, v, 1) if np.ptp(m) > 0 else (1.0, 0.0)
        left = np.where(there, (here.total - level * here.count) / max(float(slope), 0.05), 0.0)
        passing.add(FrameSum(left - model * here.count, here.count))
        tell(f"looking for what comes and goes: frame {k + 1} of {len(lays)}")
    return passing.end()


@final
@dataclass(frozen=True, eq=False)
class Told:
    """What all frames tell of columns; see `fitting.frame_fit.Message`. Nothing where one is not used."""

    information: Float[np.ndarray, "t n 3 3"]
    pull: Float[np.ndarray, "t n 3"]
    lays: tuple[PlaneMap, ...]
    brightness: Float[np.ndarray, " t"]
    brightness_esds: Float[np.ndarray, " t"]
    levels: Float[np.ndarray, " t"]
    misfits: Float[np.ndarray, " t"]


def fit_frames(
    frames: Frames,
    fitter: FrameFitter,
    expected: Callable[[int], Expected],
    laid: tuple[Sequence[PlaneMap], Bool[np.ndarray, " t"]],
    rounds: int,
    tell: Tell,
) -> Told:
    """Fit every frame to the columns that are known.

    **Arguments:**

    - `frames`: the movie.
    - `fitter`: what all frames have in common.
    - `expected`: where columns are expected in a frame.
    - `laid`: how frames lie, and which are used.
    - `rounds`: of steps.
    - `tell`: called with how far it has come.
    """
    (lays, used), n = laid, len(fitter.reference)

    def fit(k: int) -> Message:
        values, counted = frames.frame(k)
        return fitter.fit(values, counted, expected(k), lays[k], rounds)

    blocks = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for block in _blocks(used):

            def compute(block: list[int] = block) -> dict[str, np.ndarray]:
                return _packed(list(pool.map(fit, block)))

            about = fingerprint([np.array(block, float), *_of(expected(block[0]))])
            blocks.append(
                current().computed(
                    f"frames {block[0]} to {block[-1]}", about, compute, lambda x: x, lambda x: dict(x)
                )
            )
            tell(f"fitting frames: {block[-1] + 1} of {len(lays)}")
    found = {name: np.concatenate([one[name] for one in blocks]) for name in blocks[0]}
    t, which = len(lays), np.flatnonzero(used)

    def whole(values: np.ndarray, empty: float) -> np.ndarray:
        filled = np.full((t, *values.shape[1:]), empty)
        filled[which] = values
        return filled

    now = list(lays)
    for k, matrix, translation in zip(which.tolist(), found["matrix"], found["translation"], strict=True):
        now[k] = PlaneMap(matrix, translation)
    told = found["frame"]
    assert found["pull"].shape[1] == n
    return Told(
        whole(found["information"], 0.0),
        whole(found["pull"], 0.0),
        tuple(now),
        *(whole(told[:, k], np.nan) for k in range(4)),
    )


def _blocks(used: Bool[np.ndarray, " t"]) -> Iterator[list[int]]:
    which = np.flatnonzero(used).tolist()
    for start in range(0, len(which), _BLOCK):
        yield which[start : start + _BLOCK]


def _packed(messages: list[Message]) -> dict[str, np.ndarray]:
    return {
        "information": np.array([one.information for one in messages]),
        "pull": np.array([one.pull for one in messages]),
        "matrix": np.array([one.lay.matrix for one in messages]),
        "translation": np.array([one.lay.translation for one in messages]),
        "frame": np.array(
            [(one.brightness, one.brightness_esd, one.level, one.misfit) for one in messages]
        ),
    }


def _of(expected: Expected) -> tuple[np.ndarray, ...]:
    return expected.positions, expected.amplitudes, expected.position_esds, expected.amplitude_esds
