"""How the variance of an image's pixels grows with brightness, as a law that holds at any brightness.

To the mean squares v_c of what is left in classes of brightness m the law v(m) = a + b m with a, b >= 0
is fitted by maximum likelihood: mean squares of Gaussian noise have a gamma distribution, of
which log v + v_c / v is minimised by least squares of v_c, weighted with 1 / v² of the law itself
(Davidian & Carroll 1987). So a class in which nothing is expected, and nothing seen, weighs no more than
others. b is the gain of a counting detector, and a what it errs by in the dark. What grows faster is no
noise: it is what a model cannot describe.

Where electrons are so few that single ones are seen, brightness itself is hardly known, and such a fit
goes wrong. But then noise tells by its skewness what one electron is worth, and pixels with none
have the brightness of nothing: if both agree with the mean variance, the image is of counts, and its law is
known (`counting_law`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import convolve1d
from scipy.optimize import nnls

#: Classes of brightness, pixels of a class at least, and rounds in which weights follow.
_CLASSES, _FEWEST, _ROUNDS = 40, 50, 12
#: Skewness tells a gain if that is known to this part, and it agrees within so many standard deviations.
_TOLD, _AGREES, _OF_SIGNAL = 0.2, 3.0, 0.05


@dataclass(frozen=True)
class BrightnessLaw:
    """How variance grows with brightness.

    **Fields:**

    - `level`, `gain`: a and b.
    - `dark`: brightness that counts as none.
    """

    level: float
    gain: float
    dark: float = 0.0

    def __call__(self, brightness: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return self.level + self.gain * np.maximum(np.asarray(brightness, np.float64) - self.dark, 0)


def brightness_law(
    drawn: Float[np.ndarray, " k"], left: Float[np.ndarray, " k"], dark: float = 0.0
) -> BrightnessLaw:
    """How variance grows with brightness; the same at all where there are too few pixels to tell.

    **Arguments:**

    - `drawn`: the expected pixels.
    - `left`: what is left of the measured ones.
    - `dark`: brightness that counts as none.
    """
    m, square = np.maximum(drawn - dark, 0).astype(np.float64), left.astype(np.float64) ** 2
    mean, bright = float(np.mean(square)), float(m.max(initial=0))
    if len(m) < 3 * _FEWEST or mean == 0 or bright == 0:
        return BrightnessLaw(mean, 0.0, dark)
    m = m / bright
    edges = np.unique(np.quantile(m, np.linspace(0, 1, min(_CLASSES, len(m) // _FEWEST) + 1)))
    # Few pixels are bright: these have classes of their own.
    edges = np.union1d(edges, np.linspace(edges[-2], 1, 6)) if len(edges) > 2 else edges
    which = np.searchsorted(edges[1:-1], m, side="right")
    counts = np.bincount(which, minlength=len(edges) - 1)
    kept = counts >= 10
    counts = np.maximum(counts, 1)
    powers = (np.bincount(which, m, len(counts)) / counts)[:, None] ** np.arange(2)
    found = np.bincount(which, square, len(counts)) / counts / mean
    variances = 0.5 + 0.5 * found
    for _ in range(_ROUNDS):
        weights = np.where(kept, np.sqrt(counts), 0) / variances
        terms, _residual = nnls(powers * weights[:, None], found * weights)
        variances = np.maximum(powers @ terms, 1e-6)
    return BrightnessLaw(mean * float(terms[0]), mean * float(terms[1]) / bright, dark)


def roughness_of_pixels(image: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """What pixels differ by from their neighbours beyond a slope, as noise of their own variance has it.

    **Arguments:**

    - `image`: any unit.
    """
    rough = np.asarray(image, np.float64)
    for axis in range(2):
        rough = convolve1d(rough, [1, -2, 1], axis=axis, mode="mirror")
    # The weights' squares add up to 36 (Immerkær 1996).
    return rough / 6


def counting_law(image: Float[np.ndarray, "rows columns"]) -> BrightnessLaw | None:
    """The law of an image in which single counts are seen; None of any other.

    The third moment of counts is their variance times the gain. With weights as of `roughness_of_pixels` it
    is a sixth of that, and known to a standard deviation of √(15 / pixels) of Gaussian noise.

    **Arguments:**

    - `image`: any unit.
    """
    rough = roughness_of_pixels(image)
    variance, dark = float(np.mean(rough**2)), float(np.min(image))
    bright = float(np.mean(image)) - dark
    if variance <= 0 or bright <= 0:
        return None
    gain, skewed = variance / bright, 6 * float(np.mean(rough**3)) / variance
    error = 6 * np.sqrt(15 * variance / rough.size)
    agrees = abs(skewed - gain) < _AGREES * error + _OF_SIGNAL * gain
    return BrightnessLaw(0.0, gain, dark) if error < _TOLD * gain and agrees else None
