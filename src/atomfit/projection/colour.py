"""Noise that is not white, in images.

Where neighbouring pixels err together (denoised or interpolated images, or what the model does not
describe) a position errs more than the pixels' variance tells. The power spectrum of the residual tells by
how much: its mean over the frequencies that a shift of an atom's image is made of, beside its mean over
all.

A fit absorbs most where atoms have most to say, which would make any noise look bluer, and atoms better
known, than they are. Of N atoms in V views it absorbs 3 N / V numbers of an image at the frequencies of
shifts, and N / V more at those of the atoms' images, if amplitudes are their own; the power is what is left
over what is not absorbed.
"""

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from atomfit.noise.limits import LIMITS as NOISE_LIMITS
from atomfit.structure.scattering import GaussianMixture


def coloured_excess(
    residual: Float[np.ndarray, "v rows columns"],
    pixel: float,
    spot: GaussianMixture,
    absorbed: tuple[float, float] = (0.0, 0.0),
) -> float:
    """Variance of positions beneath noise of a residual's colour, in multiples of that beneath white noise.

    One if nothing is left.

    **Arguments:**

    - `residual`: in units of each pixel's standard deviation.
    - `pixel`: its edge (Å).
    - `spot`: image of a typical atom.
    - `absorbed`: how many places, times three, and how many amplitudes were fitted for each view.
    """
    power = np.zeros((residual.shape[1], residual.shape[2] // 2 + 1))
    for view in residual:
        power += np.abs(fft.rfft2(view.astype(np.float64))) ** 2
    if not power.any():
        return 1.0
    rows, columns = residual.shape[1:]
    square = fft.fftfreq(rows, pixel)[:, None] ** 2 + fft.rfftfreq(columns, pixel)[None, :] ** 2
    image = sum(
        weight * np.exp(-2 * np.pi**2 * variance * square)
        for weight, variance in zip(spot.weights, spot.variances, strict=True)
    )
    twice = np.full(power.shape[1], 2.0)
    twice[0] = 1.0
    if columns % 2 == 0:
        twice[-1] = 1.0
    of_image = twice * np.asarray(image) ** 2
    of_shift = square * of_image
    if not of_shift.any():
        # Spots wider than the images: no shift of them is seen.
        return 1.0
    parts = absorbed[0] * of_shift / np.sum(of_shift) + absorbed[1] * of_image / np.sum(of_image)
    power = power / (1 - np.minimum(parts / twice, NOISE_LIMITS.most_absorbed))
    return float(
        np.sum(of_shift * power)
        / np.sum(of_shift)
        / (np.sum(twice * power) / np.sum(twice * np.ones_like(power)))
    )


def power_spectrum(
    residual: Float[np.ndarray, "v rows columns"], pixel: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Frequencies (1/Å) and the mean power of a residual there, in units of white noise of deviation one.

    A mean over all directions and views, never less than that of the noise.

    **Arguments:**

    - `residual`: in units of each pixel's standard deviation; zero where nothing was fitted.
    - `pixel`: its edge (Å).
    """
    rows, columns = residual.shape[1:]
    frequency = np.hypot(fft.fftfreq(rows, pixel)[:, None], fft.rfftfreq(columns, pixel)[None, :])
    step = 1 / (max(rows, columns) * pixel)
    ring = np.rint(frequency / step).astype(int)
    power = np.zeros(frequency.shape)
    for view in residual:
        power += np.abs(fft.rfft2(view)) ** 2
    total = np.bincount(ring.ravel(), power.ravel())
    mean = total / np.bincount(ring.ravel()) / max(int(np.count_nonzero(residual)), 1)
    # Neighbouring rings of a spectrum are alike; a single one of few pixels says little.
    return step * np.arange(len(mean)), np.maximum(gaussian_filter1d(mean, 1.0, mode="nearest"), 1.0)
