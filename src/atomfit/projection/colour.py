"""Noise that is not white, in images.

Where neighbouring pixels err together (denoised or interpolated images, or what the model does not
describe) a position errs more than the pixels' variance tells. The power spectrum of the residual tells by
how much: its mean over the frequencies that a shift of an atom's image is made of, beside its mean over
all.

A fit absorbs most where atoms have most to say, which would make any noise look bluer, and atoms better
known, than they are. Of N atoms in V views it absorbs 3 N / V numbers of an image at the frequencies of
shifts, and N / V more at those of the atoms' images, if amplitudes are their own; the power is what is left
over what is not absorbed.

Where frequencies count by the inverse of that power, in a fit and in what it tells, noise of this colour is
reckoned with as it is. Such weights stay in closed form as a sum of Gaussians (`Colour.gaussians`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.ndimage import gaussian_filter1d

from atomfit.noise.limits import LIMITS as NOISE_LIMITS
from atomfit.structure.scattering import GaussianMixture

#: Variances of the Gaussians that weights of frequencies are made of, in those of the narrowest overlap of
#: two atoms, and what of them is no more than rounding.
_ADDED = (-0.8, -0.6, -0.4, -0.2, 0.0, 0.5, 1.5, 4.0, 12.0, 40.0)
_RIDGE = 1e-7


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
    seen = _seen(residual, pixel, spot, absorbed)
    if seen is None:
        return 1.0
    _, twice, of_shift, power = seen
    return float(
        np.sum(of_shift * power)
        / np.sum(of_shift)
        / (np.sum(twice * power) / np.sum(twice * np.ones_like(power)))
    )


def _seen(
    residual: Float[np.ndarray, "v rows columns"],
    pixel: float,
    spot: GaussianMixture,
    absorbed: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Squared frequencies, how often each counts, what shifts are made of, and the power of the noise.

    None if nothing is left, or no shift is seen: of spots wider than the images.
    """
    power = np.zeros((residual.shape[1], residual.shape[2] // 2 + 1))
    for view in residual:
        power += np.abs(fft.rfft2(view.astype(np.float64))) ** 2
    rows, columns = residual.shape[1:]
    square = fft.fftfreq(rows, pixel)[:, None] ** 2 + fft.rfftfreq(columns, pixel)[None, :] ** 2
    image = _transform(spot, square)
    twice = np.full(power.shape[1], 2.0)
    twice[0] = 1.0
    if columns % 2 == 0:
        twice[-1] = 1.0
    of_image = twice * image**2
    of_shift = square * of_image
    if not power.any() or not of_shift.any():
        return None
    parts = absorbed[0] * of_shift / np.sum(of_shift) + absorbed[1] * of_image / np.sum(of_image)
    power = power / (1 - np.minimum(parts / twice, NOISE_LIMITS.most_absorbed))
    return square, twice, of_shift, power


def _transform(spot: GaussianMixture, square: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    pairs = zip(spot.weights, spot.variances, strict=True)
    return np.asarray(sum(weight * np.exp(-2 * np.pi**2 * variance * square) for weight, variance in pairs))


@dataclass(frozen=True, eq=False)
class Colour:
    """The power of noise at each spatial frequency, the same in all directions and views.

    **Fields:**

    - `frequencies`: from zero on, in equal steps (1/Å).
    - `power`: in units of that of white noise of the pixels' variance.
    - `shares`: part of all directions in which images have each frequency.
    - `of_shifts`: power of the white noise beneath which a shift of an atom's image would be known as well.
    """

    frequencies: Float[np.ndarray, " k"]
    power: Float[np.ndarray, " k"]
    shares: Float[np.ndarray, " k"]
    of_shifts: float

    def on(self, shape: tuple[int, int], pixel: float) -> Float[np.ndarray, "rows half"]:
        """The power on the half transform of an image.

        **Arguments:**

        - `shape`, `pixel`: of the image (Å).
        """
        rows, columns = shape
        frequency = np.hypot(fft.fftfreq(rows, pixel)[:, None], fft.rfftfreq(columns, pixel)[None, :])
        return np.interp(frequency, self.frequencies, self.power)

    def gaussians(self, spot: GaussianMixture, narrowest: float) -> GaussianMixture:
        """Its inverse, where images have frequencies, as Gaussians exp(-2π² s k²); s may be negative.

        **Arguments:**

        - `spot`: image of a typical atom.
        - `narrowest`: least variance (Å²) of the overlap of two atoms, to which s is added.
        """
        k = self.frequencies
        asked = k * (1 + k**2 * narrowest) * _transform(spot, k**2) ** 2
        root = np.sqrt(asked / asked.max())
        added = narrowest * np.array(_ADDED)
        basis = np.exp(-2 * np.pi**2 * added * k[:, None] ** 2) * root[:, None]
        sizes = np.linalg.norm(basis, axis=0)
        found = np.linalg.lstsq(basis / sizes, root * self.shares / self.power, rcond=_RIDGE)[0]
        return GaussianMixture(found / sizes, added)


def noise_colour(
    residual: Float[np.ndarray, "v rows columns"],
    pixel: float,
    spot: GaussianMixture,
    absorbed: tuple[float, float] = (0.0, 0.0),
) -> Colour | None:
    """The colour of what a fit leaves, less what it has absorbed; None if that is nothing.

    **Arguments:** those of `coloured_excess`.
    """
    seen = _seen(residual, pixel, spot, absorbed)
    if seen is None:
        return None
    square, twice, of_shift, power = seen
    step = 1 / (max(residual.shape[1:]) * pixel)
    ring = np.rint(np.sqrt(square) / step).astype(int).ravel()
    counts = np.broadcast_to(twice, power.shape).ravel()
    mean = np.bincount(ring, counts * power.ravel()) / np.bincount(ring, counts)
    # Backgrounds take all of the slowest.
    mean[0] = mean[1]
    mean = gaussian_filter1d(mean, 1.0, mode="nearest") * counts.sum() / np.sum(twice * power)
    mean = np.maximum(mean, NOISE_LIMITS.least_power * mean.max())
    frequencies = step * np.arange(len(mean))
    of_noise = np.interp(np.sqrt(square), frequencies, mean)
    areas = np.bincount(ring, counts) / (power.shape[0] * residual.shape[2] * (step * pixel) ** 2)
    shares = np.minimum(areas / (2 * np.pi * np.maximum(np.arange(len(mean)), 0.125)), 1.0)
    return Colour(frequencies, mean, shares, float(np.sum(of_shift) / np.sum(of_shift / of_noise)))


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
