"""Where the frames of a movie lie on each other: frames in, a linear map from each to the specimen out.

A frame is laid on a template, the mean of those that have been. First by a shift, wherever the correlation
of both is highest: C(s) / v - |s - s₀|² / 2S², with v the variance of what the frame leaves and s₀ where
the frame before lay. Equal maxima, as a lattice that fills the image has, are so told apart by their
distance alone. Then by all that is linear, with Gauss and Newton's steps that are taken on the template
(inverse composition; Baker & Matthews 2004), brightness and level being free. Both see images that are
smoothed by about a column's width, of pixels that are about half of it: noise is less and steps are wide.

What a frame's brightness is beside the template's, in its standard errors, tells whether the template is
in the frame at all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy import fft
from scipy.ndimage import affine_transform, gaussian_filter

from atomfit.detection.column_scale import binned

#: Pixels are put together until a column's width is about so many.
_FINE = 1.5
#: Images are smoothed by this part of a column's width.
_SMOOTH = 0.7
#: Shifts from frame to frame (parts of the image's edge), and linear distortions: standard deviations.
_JUMP, _TURN = 0.1, 0.03
_ROUNDS, _SETTLED = 12, 0.01
#: A template is the mean of so many frames at most: specimens change.
_MEMORY = 100
#: A pixel of the template counts if so many frames, as a part, have seen it.
_SEEN = 0.5
#: A frame whose brightness is less than so many of its standard errors does not show the specimen.
LEAST_SCORE = 6.0
#: What laying frames takes is computed anew when the template holds so many times as many frames.
_RENEWED = 1.15


@final
@dataclass(frozen=True, eq=False)
class FrameMap:
    """Reference to frame, in pixels from the middle: p -> A p + b.

    **Fields:**

    - `matrix`, `shift`: A and b (row, column; pixels as they are).
    - `brightness`, `score`: beside the template's, and in its standard errors.
    """

    matrix: Float[np.ndarray, "2 2"]
    shift: Float[np.ndarray, " 2"]
    brightness: float = 1.0
    score: float = np.inf


STILL = FrameMap(np.eye(2), np.zeros(2))


@final
@dataclass(frozen=True, eq=False)
class Template:
    """What frames are laid on.

    **Fields:**

    - `total`, `seen`: sum of frames that were laid on each other, and of how many, for each pixel.
    - `coarse`: how many pixels of the frames make one here, along an edge.
    - `smooth`: by what all is smoothed (pixels here).
    """

    total: Float[np.ndarray, "r c"]
    seen: Float[np.ndarray, "r c"]
    coarse: int
    smooth: float

    @classmethod
    def of(cls, frame: Float[np.ndarray, "rows columns"], pixel: float, width: float) -> "Template":
        """Of one frame, with pixels of this edge and columns of this standard deviation (Å)."""
        coarse = max(int(width / pixel / _FINE), 1)
        smooth = _SMOOTH * width / pixel / coarse
        image = _smoothed(frame, coarse, smooth)
        return cls(image, np.ones(image.shape), coarse, smooth)

    @property
    def image(self) -> Float[np.ndarray, "r c"]:
        """The mean; where too few frames were, that of all."""
        mean = self.total / np.maximum(self.seen, 1e-9)
        return np.where(self.counted, mean, mean[self.counted].mean())

    @property
    def counted(self) -> Bool[np.ndarray, "r c"]:
        """Pixels that enough frames have seen."""
        return self.seen > _SEEN * self.seen.max()

    def with_frame(self, frame: Float[np.ndarray, "rows columns"], found: FrameMap) -> "Template":
        """With another frame, as bright as the others."""
        warped, inside = _warped(_smoothed(frame, self.coarse, self.smooth), found, self.coarse)
        fade = 1 - 1 / _MEMORY if self.seen.max() >= _MEMORY else 1.0
        total = fade * self.total + np.where(inside, warped, 0.0) / max(found.brightness, 0.1)
        return replace(self, total=total, seen=fade * self.seen + inside)


@final
@dataclass(frozen=True, eq=False)
class Laid:
    """A template with what laying frames on it takes, which is the same for all of them.

    **Fields:**

    - `template`: the template.
    """

    template: Template
    _slopes: np.ndarray = field(init=False)
    _spectrum: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        image = self.template.image
        rows, columns = _places(image.shape)
        down, across = np.gradient(image)
        both = down, across
        slopes = [g * x for g in both for x in (rows, columns)] + list(both)
        object.__setattr__(
            self, "_slopes", np.array([np.where(self.template.counted, s, 0) for s in slopes])
        )
        object.__setattr__(self, "_spectrum", np.conj(fft.rfft2(_level(image), _room(image.shape))))

    def find(self, frame: Float[np.ndarray, "rows columns"], near: FrameMap) -> FrameMap:
        """Where a frame lies.

        **Arguments:**

        - `frame`: any unit; pixels that were not measured are at its median.
        - `near`: where the frame before lay.
        """
        image = _smoothed(frame, self.template.coarse, self.template.smooth)
        if not np.ptp(image) > 0:
            return replace(near, score=0.0)
        warped, inside = _warped(image, near, self.template.coarse)
        shift = self._shift(np.where(inside, warped, np.median(image)))
        moved = near.shift + near.matrix @ shift * self.template.coarse
        return self._refined(image, replace(near, shift=moved))

    def _shift(self, image: Float[np.ndarray, "r c"]) -> Float[np.ndarray, " 2"]:
        """From the template to an image that lies near it (pixels of both)."""
        room = _room(image.shape)
        centred = _level(image)
        both = fft.irfft2(fft.rfft2(centred, room) * self._spectrum, room)
        axes = [np.fft.fftfreq(n, 1 / n) for n in room]
        apart = (axes[0][:, None] / image.shape[0]) ** 2 + (axes[1][None] / image.shape[1]) ** 2
        # What is smoothed is known at fewer places than it has pixels.
        noise = 4 * np.pi * self.template.smooth**2 * float(np.var(centred))
        score = both / max(noise, 1e-30) - 0.5 * apart / _JUMP**2
        score[np.abs(axes[0]) > 0.5 * image.shape[0]] = -np.inf
        score[:, np.abs(axes[1]) > 0.5 * image.shape[1]] = -np.inf
        best = np.unravel_index(int(np.argmax(score)), score.shape)
        return np.array([axes[k][best[k]] for k in range(2)])

    def _refined(self, image: Float[np.ndarray, "r c"], found: FrameMap) -> FrameMap:
        """With Gauss and Newton's steps."""
        template, coarse = self.template.image, self.template.coarse
        slopes = self._slopes.reshape(6, -1)
        for _ in range(_ROUNDS):
            warped, inside = _warped(image, found, coarse)
            counted = inside & self.template.counted
            if counted.sum() < 0.1 * counted.size:
                return replace(found, score=0.0)
            level = np.array([warped[counted].mean(), template[counted].mean()])
            t = np.where(counted, template - level[1], 0.0)
            i = np.where(counted, warped - level[0], 0.0)
            power = float(np.vdot(t, t)) or 1e-30
            bright = float(np.vdot(t, i)) / power
            left = i - bright * t
            cells = 4 * np.pi * self.template.smooth**2
            noise = cells * float(np.vdot(left, left)) / counted.sum()
            score = bright * (power / max(noise, 1e-30)) ** 0.5
            if not bright > 0:
                return replace(found, brightness=max(bright, 0.0), score=score)
            some = slopes * counted.ravel()
            normal = bright**2 * some @ some.T
            normal[range(4), range(4)] += noise / _TURN**2
            pull = np.r_[noise / _TURN**2 * (found.matrix - np.eye(2)).ravel(), 0.0, 0.0]
            step = np.linalg.solve(normal, bright * some @ left.ravel() + pull)
            # The frame shows the template after a small map, which is undone.
            matrix = found.matrix @ np.linalg.inv(np.eye(2) + step[:4].reshape(2, 2))
            shift = found.shift - matrix @ (step[4:] * coarse)
            moved = np.abs(step[:4]).max() * max(template.shape) / 2 + np.abs(step[4:]).max()
            found = FrameMap(matrix, shift, bright, score)
            if moved < _SETTLED:
                break
        return found


def align_frames(
    frames: int,
    read: Callable[[int], Float[np.ndarray, "rows columns"]],
    pixel: float,
    width: float,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[FrameMap, ...]:
    """Lay all frames on one of them: the first, or another if most do not show what that one shows.

    **Arguments:**

    - `frames`: how many.
    - `read`: a frame by its number; pixels that were not measured are at its median.
    - `pixel`, `width`: edge of a pixel, and standard deviation of a column (Å).
    - `progress`: called with the number of frames that were laid.
    """
    best: tuple[FrameMap, ...] = ()
    for start in dict.fromkeys((0, frames // 2, frames - 1)):
        found = _from(start, frames, read, (pixel, width), progress)
        if not best or _shown(found) > _shown(best):
            best = found
        if _shown(best) > 0.5 * frames:
            break
    return best


def _shown(found: tuple[FrameMap, ...]) -> int:
    return sum(bool(one.score > LEAST_SCORE) for one in found)


def _from(
    start: int,
    frames: int,
    read: Callable[[int], Float[np.ndarray, "rows columns"]],
    scale: tuple[float, float],
    progress: Callable[[int], None],
) -> tuple[FrameMap, ...]:
    """All frames laid on one, first those after it and then those before."""
    template, found = Template.of(read(start), *scale), {start: STILL}
    laid, known = Laid(template), 1.0
    if not np.ptp(template.image) > 0:
        return (replace(STILL, score=0.0),) * frames
    for order in (range(start + 1, frames), range(start - 1, -1, -1)):
        last = STILL
        for k in order:
            frame = read(k)
            found[k] = one = laid.find(frame, last)
            if one.score > LEAST_SCORE:
                template, last = template.with_frame(frame, one), one
                if template.seen.max() > _RENEWED * known:
                    laid, known = Laid(template), float(template.seen.max())
            progress(len(found))
    return tuple(found[k] for k in range(frames))


def _smoothed(frame: Float[np.ndarray, "rows columns"], coarse: int, smooth: float) -> np.ndarray:
    image = binned(np.asarray(frame, np.float32), coarse) if coarse > 1 else np.asarray(frame, np.float32)
    # Frames are added up by their brightness, which a level has no part in.
    return np.asarray(gaussian_filter(image - np.median(image), smooth, mode="nearest"))


def _places(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns from the middle."""
    rows, columns = (np.arange(n) - 0.5 * (n - 1) for n in shape)
    return rows[:, None] * np.ones(shape), columns[None] * np.ones(shape)


def _warped(image: np.ndarray, found: FrameMap, coarse: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame as the reference sees it, and which pixels lie within it."""
    middle = 0.5 * (np.array(image.shape) - 1)
    offset = middle + found.shift / coarse - found.matrix @ middle
    seen = affine_transform(image, found.matrix, offset, order=1, mode="constant", cval=np.nan)
    inside = np.isfinite(seen)
    return np.where(inside, seen, 0.0), inside


def _level(image: np.ndarray) -> np.ndarray:
    return np.asarray(image - image.mean())


def _room(shape: tuple[int, ...]) -> tuple[int, int]:
    return fft.next_fast_len(2 * shape[0], True), fft.next_fast_len(2 * shape[1], True)
