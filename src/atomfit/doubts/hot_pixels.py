"""Pixels of an image that no column can be: an image in, hot and dead pixels out.

A probe spreads over pixels, so that a pixel's neighbours tell how bright it can be. Of a Gaussian of
width s (pixels), wherever its middle is, the pixel nearest to it exceeds what surrounds it by no more
than exp(1 / 2s²) times what any of its three brightest neighbours does, and exp(1 / s²) times what the
fourth does; wider ones by less. With s of the narrowest columns there are, a pixel that is higher than
one of these bounds by more than noise can make it is hot. The fourth neighbour is what tells of clusters
of up to four; of larger ones the outermost pixels go first, and then those within are looked at again.
Dead pixels are hot ones of the image turned upside down, in which columns may be dark. Where pixels are
as large as columns, bounds are wide: there a hot pixel has to be far above everything.

Noise is the image's own: variances a + b m of brightness m (`detection.image_brightness`), from
differences of neighbours whose extremes in each class of brightness are cut off, as hot pixels are not to
be judged by themselves. A sum of jumps b of total variance V is above its mean by x with a probability
below exp(-V / b² h(b x / V)), h(u) = (1 + u) ln(1 + u) - u (Bennett 1962), which is a Gaussian's bound
where b is small and holds for counts where it is not; below its mean a Gaussian's holds. b is at least
the step of the values: of sparse counts the neighbours tell little more than that there were few. Noise
that is neither (pulses of any height, lines that jitter) is not to be called hot either: a pixel has to
be farther out of line than the farthest would be if heights of all pixels went on to fall off as fast as
those of one in fifty do.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.detection.image_brightness import BrightnessLaw, brightness_law
from atomfit.detection.limits import LIMITS as DETECTION
from atomfit.doubts.limits import LIMITS

#: Pixels that noise is measured with, and edge of the squares whose mean is their brightness.
_SAMPLE, _EDGE = 20_000, 5
#: Extremes of such a square that are cut off, part of a class of brightness, and pixels of one.
_CUT, _KEPT, _CLASS = 3, 0.97, 400
#: Part of the pixels that are farthest out of line, and part of these that may be hot.
_FAR, _HOT = 0.02, 0.1
#: Part of the pixels that may have the highest value by accident.
_CUT_OFF = 1e-4
#: Noise that an image without any is taken to have, of its range.
_DIGITS = 1e-3
#: Pixels beyond so many deviations of roughness are looked at, at most so many.
_ROUGH, _CANDIDATES = 4.0, 20_000
#: Widths of the narrowest column within which its surroundings are looked at, at points of a square.
_AROUND, _POINTS = 3.0, 9
#: Times that what is within a cluster is looked at again, and lost neighbours that leave nothing to tell.
_PASSES, _LOST = 3, 3
#: Part of the surroundings below their level.
_LEVEL = 0.1
#: Counts that are expected beside those that were seen.
_UNSEEN = 3

_ROUGHNESS = np.pad(np.outer([1, -2, 1], [1, -2, 1]), 1).ravel() / 6
_BESIDE = np.array([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)])


@dataclass(frozen=True, eq=False)
class _Noise:
    """Variances of pixels, and the jumps in which they err."""

    law: BrightnessLaw
    jump: float
    dark: float
    least: float

    def __call__(self, brightness: np.ndarray) -> np.ndarray:
        # In the precision of what is given.
        law = self.law
        variance = law.level + law.gain * np.maximum(brightness - law.dark, 0)
        if self.jump > law.gain:
            variance = np.maximum(variance, self.jump * np.maximum(brightness - self.dark, 0))
        return np.maximum(variance, self.least)


def isolated_pixels(
    image: Float[np.ndarray, "rows columns"], counted: Bool[np.ndarray, "rows columns"], pixel: float
) -> tuple[Bool[np.ndarray, "rows columns"], Bool[np.ndarray, "rows columns"]]:
    """Which pixels are hot, and which are dead.

    **Arguments:**

    - `image`: any unit; finite, also where it does not count.
    - `counted`: pixels that were measured.
    - `pixel`: its edge (Å).
    """
    none = np.zeros(image.shape, bool)
    rough, beside = _looked_at(image)
    noise = _noise(image, counted)
    height = rough**2 / noise(beside)
    places = np.argwhere((height > _ROUGH**2) & counted)
    if len(places) > _CANDIDATES:
        heights = height[tuple(places.T)]
        places = places[np.argpartition(heights, -_CANDIDATES)[-_CANDIDATES:]]
    if not len(places):
        return none, none.copy()
    hot = _clusters(image, counted, places, noise, pixel, 1)
    # Beside what is cut off at the highest value, noise has no measure.
    highest = image == image.max()
    cut = counted & ~highest if np.mean(highest) > _CUT_OFF else counted
    dead = _clusters(image, cut, places[cut[tuple(places.T)]], noise, pixel, -1)
    # So many are no defects, but what such an image is made of.
    if hot.sum() + dead.sum() > LIMITS.defects_part * counted.sum():
        return none, none.copy()
    return hot, dead


def _looked_at(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What pixels differ by from those two farther on beyond a slope, and the mean of these.

    Of 32-bit floats, by sums of whole images: that takes a tenth of the time of filters.
    """
    edged = np.pad(np.asarray(image, np.float32), 2, mode="reflect")
    ends, middle = edged[:-4] + edged[4:], edged[2:-2]
    sides, corners = middle[:, :-4] + middle[:, 4:] + ends[:, 2:-2], ends[:, :-4] + ends[:, 4:]
    # The weights' squares add up to 36 (Immerkær 1996).
    rough = (4 * middle[:, 2:-2] - 2 * sides + corners) / np.float32(6)
    return rough, (2 * sides + corners) / np.float32(12)


def _clusters(
    image: np.ndarray,
    counted: np.ndarray,
    places: Int[np.ndarray, "n 2"],
    noise: _Noise,
    pixel: float,
    sign: int,
) -> np.ndarray:
    """Single pixels that are out of line, and those that come to light when these are mended."""
    found, mended, far = np.zeros(image.shape, bool), image, 0.0
    for k in range(_PASSES):
        heights, improbable = _out_of_line(mended, counted, places, noise, pixel, sign)
        if k == 0 and improbable.any():
            far = _farthest(image, counted, noise, pixel, sign)
        new = places[improbable & (heights > far)]
        if not len(new):
            break
        found[tuple(new.T)] = True
        mended = mended.copy() if mended is image else mended
        mended[tuple(new.T)] = np.median(_neighbours(mended, counted, new), axis=1)
        near = np.unique((new[:, None] + _BESIDE).reshape(-1, 2), axis=0)
        near = near[np.all((near >= 0) & (near < image.shape), axis=1)]
        places = np.unique(np.concatenate([places, near]), axis=0)
        places = places[counted[tuple(places.T)] & ~found[tuple(places.T)]]
    return found


def _farthest(image: np.ndarray, counted: np.ndarray, noise: _Noise, pixel: float, sign: int) -> float:
    """How far out of line a pixel of this image may be, if heights fall off as those that are usual do."""
    stride = max(int(np.sqrt(image.size / _SAMPLE)), 1)
    places = np.argwhere(counted[::stride, ::stride]) * stride
    heights, _ = _out_of_line(image, counted, places, noise, pixel, sign)
    first, last = np.quantile(heights, [1 - _FAR, 1 - _FAR * _HOT])
    excess = heights[(heights > first) & (heights <= last)] - first
    # Of an exponential distribution, whose highest part is cut off.
    mean = float(np.mean(excess)) / (1 + _HOT * np.log(_HOT) / (1 - _HOT)) if len(excess) else 0.0
    return first + mean * float(np.log(_FAR * image.size / LIMITS.defects_false))


def _out_of_line(
    image: np.ndarray, counted: np.ndarray, places: np.ndarray, noise: _Noise, pixel: float, sign: int
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """By how many deviations pixels exceed what their neighbours allow, and whether that is no chance."""
    narrow = DETECTION.narrowest_column / pixel
    most = np.exp(np.minimum(np.array([0.5, 0.5, 0.5, 1.0]) / narrow**2, 50))
    own = sign * image[tuple(places.T)].astype(np.float64)
    beside = sign * _neighbours(image, counted, places)
    lost = np.isnan(beside)
    # What was not measured may be as high.
    beside = -np.sort(-np.where(lost, own[:, None], beside), axis=1)
    far = max(int(np.ceil(_AROUND * narrow)), 3)
    steps = np.unique(np.linspace(-far, far, _POINTS).round().astype(int))
    square = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    around = sign * _values(image, counted, places, square)
    around = np.where(np.isnan(around), own[:, None], around)
    level = np.quantile(around, _LEVEL, axis=1)[:, None]
    known = beside[:, : len(most)]
    bound = np.maximum(level + most * np.maximum(known - level, 0), known)
    # Few counts are expected as those about are, and some that were not seen.
    seen = np.mean(around, axis=1)[:, None] + sign * _UNSEEN * noise.jump / _EDGE**2
    bound = np.maximum(bound, seen) if sign > 0 else bound
    above = own[:, None] - bound
    x = np.maximum(above, 0)
    total = noise(np.maximum(sign * bound, sign * known)) + most**2 * noise(sign * known)
    u = noise.jump * x / total
    # Of what is small the series' first term, which a Gaussian has, is what holds upside down.
    exact = (1 + u) * np.log1p(u) - u
    bennett = np.where((u > 1e-4) & (sign > 0), exact / np.maximum(u, 1e-4) ** 2, 0.5)
    improbable = np.max(bennett * x**2 / total, axis=1) > np.log(image.size / LIMITS.defects_false)
    heights = np.where(lost.sum(axis=1) <= _LOST, np.max(above / np.sqrt(total), axis=1), -np.inf)
    return heights, improbable & np.isfinite(heights)


def _neighbours(image: np.ndarray, counted: np.ndarray, places: np.ndarray) -> np.ndarray:
    return _values(image, counted, places, _BESIDE)


def _values(image: np.ndarray, counted: np.ndarray, places: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Pixels beside some, NaN where nothing was measured."""
    at = places[:, None] + steps
    inside = np.all((at >= 0) & (at < image.shape), axis=-1)
    at = tuple(np.moveaxis(np.clip(at, 0, np.array(image.shape) - 1), -1, 0))
    return np.where(inside & counted[at], image[at], np.nan).astype(np.float64)


def _noise(image: np.ndarray, counted: np.ndarray) -> _Noise:
    """The image's noise, without regard to single pixels."""
    stride = max(int(np.sqrt(image.size / _SAMPLE)), 1)
    half = _EDGE // 2
    rows, columns = (np.arange(half, n - half, stride) for n in image.shape)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    steps = np.stack(np.meshgrid(*[np.arange(-half, half + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    squares = _values(image, counted, places, steps)
    whole = ~np.isnan(squares).any(axis=1)
    values = image[::stride, ::stride][counted[::stride, ::stride]]
    floor = max((_DIGITS * float(np.ptp(np.quantile(values, [0.001, 0.999])))) ** 2, 1e-30)
    if not whole.any():
        return _Noise(BrightnessLaw(float(np.var(values)), 0.0), 0.0, 0.0, floor)
    # As of `roughness_of_pixels`.
    left = np.abs(squares[whole] @ _ROUGHNESS)
    squares = np.sort(squares[whole], axis=1)
    bright = np.clip(squares, squares[:, [_CUT]], squares[:, [-1 - _CUT]]).mean(axis=1)
    order = np.argsort(bright, kind="stable")
    for some in np.array_split(order, max(len(order) // _CLASS, 1)):
        left[some] = np.minimum(left[some], np.quantile(left[some], _KEPT))
    dark = float(np.quantile(bright, 0.01))
    law = brightness_law(bright, left, dark)
    step = _step(values)
    return _Noise(law, max(law.gain, step), float(values.min()) if step else dark, max(floor, step**2))


def _step(values: Float[np.ndarray, " n"]) -> float:
    """What values are multiples of, beside an offset; zero if there is none."""
    some = np.unique(values.astype(np.float64))
    if len(some) < 2:
        return 0.0
    step = float(np.diff(some).min())
    steps = (some - some[0]) / step
    rounding = 4 * np.spacing(np.float32(np.abs(some).max())) / step
    return step if np.all(np.abs(steps - np.rint(steps)) < max(rounding, 1e-3)) and rounding < 0.1 else 0.0
