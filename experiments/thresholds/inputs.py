"""Inputs that are right, wrong, or nearly so, and whether they are doubted: no fit is made for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha1
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.ndimage import shift

from atomfit.detection import limits as detection
from atomfit.doubts import halves, images, inspection, noise, order, sections, spacing, starts, views
from atomfit.doubts.inspection import inspect
from atomfit.doubts.unmeasured import find_unmeasured
from atomfit.projection.views import TiltSeries, Views
from atomfit.simulation import simulate
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.arrays import without_offset
from atomfit.support.errors import Doubt, InputError
from experiments.noise_only.maps import MAPS
from experiments.verdict.images import PIXEL, right

PT = element("Pt")
#: What doubts are made from, and depends on none of their thresholds.
_SHARED = (
    *((inspection, name) for name in ("measure_contrast", "measure_mean_atom", "measure_resolution")),
    *((spacing, "maxima"), (noise, "maxima"), (noise, "existence"), (noise, "quiet_part")),
    *((sections, "liveliness"), (sections, "alikeness"), (halves, "_seen")),
)


@dataclass(frozen=True, eq=False)
class Input:
    """Something given, and how it is looked at."""

    name: str
    look: Callable[[], str]


def _told(doubts: list[Doubt], warnings: list[str]) -> str:
    first = f" ({' '.join(doubts[0].problem.split()[:6])} ...)" if doubts else ""
    return f"{len(doubts)} doubts{first}; {len(warnings)} warnings"


def _map(make: Callable[[], DensityMap]) -> Callable[[], str]:
    kept: list[DensityMap] = []

    def look() -> str:
        if not kept:
            kept.append(make())
        values, offset = without_offset(kept[0].values)
        density = kept[0].with_values(values)
        around = find_unmeasured(density.values)
        doubts = inspection.value_doubts(density, PT, around)
        warnings = inspection.oddities(density, around, offset)
        try:
            found = inspect(density, PT)
        except InputError as error:
            return f"refused ({' '.join(str(error).split()[:6])} ...)"
        return _told([*doubts, *found.doubts], [*warnings, *found.warnings])

    return look


def _particle(
    change: Callable[[np.ndarray], np.ndarray] = lambda x: x, times: float = 1.0, **options: Any
) -> Callable[[], str]:
    def make() -> DensityMap:
        given = {"size": 55, "noise": 0.05, "rotate": "random", "seed": 20, "voxel_size": 0.45}
        one = simulate(**(given | options)).map
        values = np.ascontiguousarray(change(one.values.copy()), np.float32)
        return DensityMap(values, Grid(values.shape, one.grid.spacing * times, one.grid.origin * times))

    return _map(make)


def _masked(level: float, radius: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        axes = np.indices(values.shape) - (np.array(values.shape)[:, None, None, None] - 1) / 2
        return np.where(np.sqrt((axes**2).sum(axis=0)) < radius, values, level)

    return change


def _hot(height: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[3, 4, 5] = height * values.max()
        return values

    return change


def _twelve(values: np.ndarray) -> np.ndarray:
    values[3, 3:26:2, 4] = 4 * values.max()
    return values


def _fill(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[2:5, 2:5, 2:4] = value
        return values

    return change


def _halves(apart: float, unlike: float) -> Callable[[], str]:
    kept: list[tuple[DensityMap, tuple[DensityMap, DensityMap]]] = []

    def look() -> str:
        if not kept:
            one, two = (
                simulate(size=55, noise=0.0, rotate="random", seed=seed, voxel_size=0.45, box=48).map
                for seed in (20, 21)
            )
            rng = np.random.default_rng(20)
            first = one.values + 0.1 * rng.normal(size=one.values.shape)
            second = (
                (1 - unlike) * one.values + unlike * two.values + 0.1 * rng.normal(size=one.values.shape)
            )
            second = shift(second, (0, 0, apart / 0.45), order=1)
            pair = tuple(one.with_values(x.astype(np.float32)) for x in (first, second))
            whole = one.with_values(
                first.astype(np.float32) if unlike else (0.5 * (first + second)).astype(np.float32)
            )
            kept.append((whole, (pair[0], pair[1])))
        return _told(halves.half_map_doubts(*kept[0], PT), [])

    return look


def _images(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], str]:
    def look() -> str:
        found = change(right(20).images.copy())
        counted, told = images.without_hot_pixels(
            found, np.ones(found.shape, bool), PIXEL, PT.neighbour_distance
        )
        doubts, odd = images.pixel_doubts(found, counted, PIXEL, PT.neighbour_distance)
        return _told(doubts, [*told, *odd])

    return look


def _zeros(part: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[np.random.default_rng(0).random(values.shape) < part] = 0
        return values

    return change


def _hot_image(values: np.ndarray) -> np.ndarray:
    values[3, 30, 5] = 4 * values.max()
    return values


def _views(count: int, reach: float) -> Callable[[], str]:
    tilts = np.linspace(-reach, reach, count)
    return lambda: _told(*views.view_doubts(Views.from_tilts(tilts, "y", (50, 50)).rotations))


def _start(times: float) -> Callable[[], str]:
    def look() -> str:
        try:
            with patch.object(starts.log, "warning") as warned:
                start = right(20).start
                assert start is not None
                starts.require_distances(times * start, PT)
        except InputError:
            return "refused"
        return f"{warned.call_count} warnings"

    return look


def _order(exchanged: int) -> Callable[[], str]:
    def look() -> str:
        given = right(20)
        which = np.arange(len(given.images))
        which[:exchanged] = np.roll(which[:exchanged], 1)
        values = given.images[which]
        series = TiltSeries(values, np.ones(values.shape, bool), PIXEL, given.views, np.zeros(3))
        assert given.start is not None
        return _told(order.order_doubts(series, given.start, PT.neighbour_distance), [])

    return look


INPUTS = (
    Input("55 atoms, noise 5 %", _particle()),
    Input("55 atoms, noise 40 %", _particle(noise=0.4)),
    Input("13 atoms, noise 15 %", _particle(size=13, noise=0.15)),
    Input("voxels told 20 % too large", _particle(times=1.2)),
    Input("voxels told 40 % too large", _particle(times=1.4)),
    Input("voxels told half as large", _particle(times=0.5)),
    Input("voxels in nm", _particle(times=0.1, voxel_size=0.36)),
    Input("voxels of 0.8 Å", _particle(voxel_size=0.8)),
    Input("a box of 6 Å", _particle(size=1, box=14)),
    Input("a box of 2 Å", _particle(size=1, box=5)),
    Input("broad atoms", _particle(u_core=0.5, u_surface=0.8, size=147)),
    Input("broader atoms", _particle(u_core=0.8, u_surface=0.8, noise=0.01)),
    Input("resolution of 3 Å", _particle(u_core=1.6, u_surface=1.6, size=55, noise=0.01)),
    Input("inverted", _particle(np.negative)),
    Input("masked through the particle, at zero", _particle(_masked(0.0, 14))),
    Input("masked around it, at zero", _particle(_masked(0.0, 20))),
    Input("masked around it, at a foreign level", _particle(_masked(-0.3, 20))),
    Input("cut below a third of the peaks", _particle(lambda x: np.where(x > 0.33, x, 0.0))),
    Input("clipped at zero", _particle(lambda x: np.maximum(x, 0))),
    Input("one voxel of four times the peak", _particle(_hot(4.0))),
    Input("one voxel of one and a half times the peak", _particle(_hot(1.5))),
    Input("some voxels of -9", _particle(_fill(-9.0))),
    Input("some voxels of -1.6", _particle(_fill(-1.6))),
    Input("zeros in a background", _particle(lambda x: _fill(0.0)(x + 5))),
    Input("a million added", _particle(lambda x: 10 * x + 1e6)),
    Input("counts with a hot voxel", _particle(lambda x: _hot(1.8)(np.rint(12 * np.maximum(x, 0))))),
    Input("twelve voxels of four times the peak", _particle(_twelve)),
    Input("sections of a wire", _particle(lambda x: np.tile(x[26:30].mean(axis=0), (len(x), 1, 1)))),
    Input("images for a map", _map(lambda: DensityMap.from_array(right(20).images, PIXEL))),
    Input("a film all over", _particle(lambda x: x[18:-18, 20:-20, 20:-20], size=500)),
    Input("white noise in a box", _map(lambda: MAPS[0].map(1))),
    Input("coloured noise in a mask, clipped", _map(lambda: MAPS[7].map(1))),
    Input("white noise in a ball on density", _map(lambda: MAPS[5].map(1))),
    Input("noise with the distances of atoms", _map(lambda: MAPS[17].map(1))),
    Input("half-maps", _halves(0.0, 0.0)),
    Input("half-maps 0.25 Å apart", _halves(0.25, 0.0)),
    Input("half-maps 0.6 Å apart", _halves(0.6, 0.0)),
    Input("half-maps, one to 60 % of another particle", _halves(0.0, 0.6)),
    Input("half-maps, one to 85 % of another particle", _halves(0.0, 0.85)),
    Input("images", _images(lambda x: x)),
    Input("dark images", _images(np.negative)),
    Input("images, 3 % of the pixels zero", _images(_zeros(0.03))),
    Input("images with a hot pixel", _images(_hot_image)),
    Input("sections for images", _images(lambda x: x * np.hanning(len(x))[:, None, None])),
    Input("2 views", _views(2, 60)),
    Input("5 views over 30°", _views(5, 15)),
    Input("9 views over 8°", _views(9, 4)),
    Input("a start in nm", _start(0.1)),
    Input("a start of half the size", _start(0.5)),
    Input("a start of twice the size", _start(2.0)),
    Input("images in order", _order(0)),
    Input("five images in another order", _order(5)),
)


@contextmanager
def shared() -> Iterator[None]:
    """What doubts are made from is computed once for each input."""
    kept: dict[tuple[Any, ...], Any] = {}

    def once(module: Any, name: str) -> Callable[..., Any]:
        function = getattr(module, name)

        def asked(*args: Any) -> Any:
            key = (function.__name__, repr(detection.LIMITS), *map(_key, args))
            if key not in kept:
                kept[key] = function(*args)
            return kept[key]

        return asked

    with ExitStack() as stack:
        for module, name in _SHARED:
            stack.enter_context(patch.object(module, name, once(module, name)))
        yield


def _key(value: Any) -> Any:
    if isinstance(value, DensityMap):
        return (_key(value.values), tuple(value.grid.spacing), _key(value.counted))
    if isinstance(value, np.ndarray):
        return (value.shape, sha1(np.ascontiguousarray(value).tobytes()).hexdigest())
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    return repr(value)
