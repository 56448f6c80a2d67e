"""What images say of numbers that were not refined: a fit in, shifts of views and widths of atoms out.

A model that lacks something leaves its mark. If a view has drifted, what the fit leaves of its image is
like the image's slope; if an atom is wider than it was drawn, like the Laplacian of its image. How much of
a view's shift, or of an atom's variance, would take most of it away is one step of Newton's from zero,

    δ = s / I,    s = Σ w r ∂m,    I = Σ w (∂m)²,

r being what is left, w the inverse variance of each pixel and ∂m the image's derivative by the number; and
s² / I is by how much chi-square would fall (Rao's score test, 1948): one on average if nothing is lacking.
Nothing is fitted for it, and nothing compiled.

What other numbers, which were refined, have taken on them is not seen, so that both are too small rather
than too large.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import irfft2, next_fast_len, rfft2

from atomfit.projection.agreement import seen_at
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.limits import LIMITS


@dataclass(frozen=True)
class Unrefined:
    """How large numbers are that were taken to be zero.

    **Fields:**

    - `rms`: root-mean-square of what they are beyond noise.
    - `chi_square`: by how much chi-square would fall for each of them, noise left out of it: one on average
        if all are zero.
    - `clear`: whether that is more than chance.
    """

    rms: float
    chi_square: float
    clear: bool

    @property
    def worthwhile(self) -> bool:
        """Whether to refine them lowers chi-square by more than twice their number (Akaike 1974)."""
        return self.clear and self.chi_square > 2

    @classmethod
    def of(
        cls, steps: Float[np.ndarray, " k"], variances: Float[np.ndarray, " k"], means: int = 0
    ) -> "Unrefined":
        """From steps to where chi-square is least, and their variances if noise is all that there is.

        `means` is how many of the steps' means are no matter.
        """
        k = len(steps) - means
        if k < LIMITS.unrefined_views:
            return cls(0.0, float("nan"), False)
        fall = float(np.sum(steps**2 / variances)) / k
        beyond = max(float(np.sum(steps**2 - variances)) / k, 0.0)
        return cls(beyond**0.5, fall, fall > 1 + LIMITS.unrefined_clear * (2 / k) ** 0.5)


def shifts_left(
    images: Float[np.ndarray, "v rows columns"], fitted: FittedSeries, excess: float = 1.0
) -> Unrefined:
    """Shifts of views that were not refined (Å).

    **Arguments:**

    - `images`: of the model.
    - `fitted`: what it leaves of the measured ones.
    - `excess`: by how much more variances are than those of white noise.
    """
    steps, variances = [], []
    for k in np.flatnonzero(np.any(fitted.precisions > 0, axis=(1, 2))):
        slopes = _slopes(images[k], fitted.series.pixel)
        weighted = slopes * fitted.precisions[k].ravel()
        information = weighted @ slopes.T
        if np.linalg.cond(information) > 1e6:
            continue
        inverse = np.linalg.inv(information)
        steps.append(inverse @ weighted @ fitted.residual[k].ravel().astype(np.float64))
        variances.append(excess * np.diagonal(inverse))
    if not steps:
        return Unrefined.of(np.zeros(0), np.zeros(0))
    return Unrefined.of(np.concatenate(steps), np.concatenate(variances))


def widths_left(
    fitted: FittedSeries, excess: float = 1.0, moving: Bool[np.ndarray, " n"] | None = None
) -> Unrefined:
    """By how much atoms differ in the variance of their images (Å²), where all are drawn alike.

    **Arguments:**

    - `fitted`: atoms, and what they leave of the images.
    - `excess`: by how much more variances are than those of white noise.
    - `moving`: atoms that were refined; all if not given.
    """
    series, n = fitted.series, len(fitted.positions)
    filtered, shape = _laplacian(fitted)
    score, information = np.zeros(n), np.zeros(n)
    for k, gain in enumerate(fitted.gains):
        if not np.any(fitted.precisions[k] > 0):
            continue
        view = series.views.rotations[k], series.views.centres[k]
        places = seen_at(fitted.positions - series.centre, *view, series.pixel)
        for target, image, kernel, power in (
            (score, fitted.precisions[k] * fitted.residual[k], filtered[0], gain),
            (information, fitted.precisions[k], filtered[1], gain**2),
        ):
            rows, columns = image.shape
            smeared = irfft2(rfft2(image, shape) * kernel, shape)[:rows, :columns]
            target += power * _at(smeared, places)
    score, information = fitted.amplitudes * score, fitted.amplitudes**2 * information
    chosen = information > 0.05 * np.median(information) if n else np.zeros(0, bool)
    if moving is not None:
        chosen &= moving
    if not chosen.any():
        return Unrefined.of(np.zeros(0), np.zeros(0))
    steps, variances = score[chosen] / information[chosen], excess / information[chosen]
    # What all have in common is a matter of the width that they share.
    steps = steps - np.average(steps, weights=1 / variances)
    return Unrefined.of(steps, variances, means=1)


def _slopes(image: Float[np.ndarray, "rows columns"], pixel: float) -> Float[np.ndarray, "2 m"]:
    """Derivatives of an image by its own shift along u and v (1/Å)."""
    down, across = np.gradient(image.astype(np.float64), pixel)
    return np.stack([-across.ravel(), -down.ravel()])


def _laplacian(fitted: FittedSeries) -> tuple[tuple[np.ndarray, np.ndarray], tuple[int, int]]:
    """Transforms of an atom's derivative by its variance, ½ ∇² g, and of its square, and their shape."""
    spot, pixel = fitted.spot, fitted.series.pixel
    rows, columns = fitted.series.shape
    room = int(np.ceil(5 * np.sqrt(float(np.max(spot.variances))) / pixel))
    shape = next_fast_len(rows + room), next_fast_len(columns + room, real=True)
    y, x = (np.fft.fftfreq(size, 1 / size) * pixel for size in shape)
    r2 = y[:, None] ** 2 + x**2
    kernel = sum(
        a * np.exp(-r2 / (2 * v)) / (2 * np.pi * v) * (r2 / (2 * v**2) - 1 / v)
        for a, v in zip(spot.weights, spot.variances, strict=True)
    )
    return (rfft2(kernel), rfft2(kernel**2)), shape


def _at(image: Float[np.ndarray, "rows columns"], places: Float[np.ndarray, "n 2"]) -> np.ndarray:
    """Values at places (u, v) in pixels, by cubic interpolation; zero outside."""
    from scipy.ndimage import map_coordinates

    return map_coordinates(image, places[:, ::-1].T, order=3, mode="constant")
