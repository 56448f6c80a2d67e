"""The noise inside a particle, from what a fit leaves of the map.

Where a particle fills its box, or a map was masked or clipped, there is no outside to measure noise in.
What a fit leaves is noise too, but less of it than there was: a fit of N atoms absorbs part of the noise at
every spatial frequency, most where atoms have most to say. That part is known. An atom's parameters are
its Gaussian and the first two derivatives of it, which span the Hermite functions up to the second order,
so that N atoms of variance u in a volume V absorb

    h(k) = N/V (4πu)^(d/2) exp(-q) (1 + 2q + (d/2 - 2q + 2q²)),    q = 4π² u k²

(amplitude, position, displacements), and the noise's power is what is left over 1 - h. Of atoms with one
displacement only, the last part is that of their Laplacian, 2/d (q - d/2)². Where h is near
one nothing is left to judge by, and the power is taken to be that of the nearest frequency where it is not.

The spectrum is then written as a few Gaussians, so that what noise does to two atoms is the overlap of
wider ones.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import fft
from scipy.ndimage import distance_transform_edt
from scipy.optimize import minimize_scalar, nnls

from atomfit.gaussians.overlaps import derivatives_of_gaussian, natural_blocks, natural_parameters
from atomfit.noise.limits import LIMITS
from atomfit.structure.grid import Grid

#: Shells have this width, in steps of the box's transform.
_SHELL_STEPS = 1.5
#: Variances of the Gaussians that make up a spectrum, in squared voxel edges; zero is white noise.
_VARIANCES = np.concatenate([[0.0], np.geomspace(0.5, 500.0, 16)])
#: What is left counts in full so far from the faces of the region that was fitted (Å).
_TAPER = 3.0


@dataclass(frozen=True, eq=False)
class SmoothNoise:
    """Stationary, isotropic noise whose power is a sum of Gaussians of the spatial frequency.

    **Fields:**

    - `powers`: of the terms at zero frequency (squared map units; white noise has its variance).
    - `variances`: of the terms (Å²): P(k) = Σ power exp(-2π² variance k²).
    """

    powers: Float[np.ndarray, " t"]
    variances: Float[np.ndarray, " t"]

    @classmethod
    def unknown(cls) -> "SmoothNoise":
        """Noise of which nothing is known: what comes from it is NaN."""
        return cls(np.full(1, np.nan), np.zeros(1))

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return bool(np.all(np.isfinite(self.powers)))

    def power(self, frequencies: Float[np.ndarray, "*k"]) -> Float[np.ndarray, "*k"]:
        """At frequencies of given lengths (1/Å)."""
        return np.exp(-2 * np.pi**2 * self.variances * frequencies[..., None] ** 2) @ self.powers

    def times(self, factor: float) -> "SmoothNoise":
        """Noise of so many times the power."""
        return SmoothNoise(factor * self.powers, self.variances)

    def overlap(
        self, apart: Float[np.ndarray, "... d"], variances: Float[np.ndarray, "... d d"]
    ) -> Float[np.ndarray, "... m"]:
        """Derivatives of ∫∫ g(r) C(r - s) h(s), for two normalised atoms; as in `overlaps`."""
        unit = np.eye(apart.shape[-1])
        terms = zip(self.powers, self.variances, strict=True)
        return sum(
            power * np.asarray(derivatives_of_gaussian(apart, variances + variance * unit))
            for power, variance in terms
        )

    def sharpest(self, u: float, d: int) -> float:
        """Variance of the Gaussian that finds the position of an atom best in this noise (Å²).

        A fit of Gaussians of variance s to atoms of variance u finds positions with a variance of

            Σ power (2s + variance)^-(d/2 + 1) (s + u)^(d + 2),

        up to a factor, from the overlaps of first derivatives. In white noise s = u is best; where noise is
        mostly slow, less is. Where nothing is known of the noise nothing speaks against s = u.

        **Arguments:**

        - `u`: variance of the atom (Å²).
        - `d`: dimensions.
        """

        def disturbed(part: float) -> float:
            s = part * u
            noisy = float(self.powers @ (2 * s + self.variances) ** -(d / 2 + 1))
            return float(np.log(noisy) + (d + 2) * np.log(s + u))

        if not self.known:
            return u
        best = minimize_scalar(disturbed, bounds=(LIMITS.sharpest, 1.0), method="bounded")
        return float(best.x) * u

    def excess(self, u: float, d: int, noise: float) -> float:
        """Variance of an atom's displacements, in multiples of what white noise makes of them.

        **Arguments:**

        - `u`: variance of the atom (Å²).
        - `d`: dimensions.
        - `noise`: standard deviation of the white noise (map units).
        """
        place, shape, one = np.zeros((1, d)), 2 * u * np.eye(d)[None], np.ones(1)
        white = np.asarray(natural_blocks(derivatives_of_gaussian(place, shape), one, one, d))[0]
        seen = np.asarray(natural_blocks(self.overlap(place, shape), one, one, d))[0] / noise**2
        inverse = np.linalg.inv(white)
        found = inverse @ seen @ inverse
        widths = slice(d, len(natural_parameters(d)) - 1)
        return float(np.mean(np.diagonal(found)[widths] / np.diagonal(inverse)[widths]))


def taper(counted: Bool[np.ndarray, "..."], grid: Grid) -> Float[np.ndarray, "..."]:
    """One well inside a region, falling smoothly to zero at its faces."""
    inside = distance_transform_edt(np.pad(counted, 1), sampling=grid.spacing[::-1])
    inside = inside[tuple(slice(1, -1) for _ in grid.shape)]
    return np.sin(0.5 * np.pi * np.clip(inside / _TAPER, 0, 1)).astype(np.float32) ** 2


def noise_left(
    residual: Float[np.ndarray, "..."],
    window: Float[np.ndarray, "..."],
    grid: Grid,
    atoms: int,
    u: float,
    frozen: Collection[str] = (),
    isotropic: bool = False,
) -> SmoothNoise:
    """The noise of which a fit has left a residual; unknown where it has left nothing to judge by.

    That is so in a box of a few voxels, and in a map cut at half its peak: atoms have more numbers there
    than the region has independent voxels.

    **Arguments:**

    - `residual`: map minus model.
    - `window`: which part of each voxel counts, falling smoothly to zero.
    - `grid`: of both.
    - `atoms`: how many were fitted in the window.
    - `u`: variance of the mean atom (Å²).
    - `frozen`: parts that were not fitted, and absorb nothing.
    - `isotropic`: whether each atom has one displacement only.
    """
    square = float(np.sum(np.square(window, dtype=np.float64)))
    rest = window * (residual - np.sum(window * residual) / np.sum(window))
    # In units of the residual, so that maps of any scale fit into float32.
    unit = float(np.sqrt(np.sum(np.square(rest, dtype=np.float64)) / square))
    if unit == 0:
        return SmoothNoise.unknown()
    power = np.abs(fft.rfftn(rest / (unit * np.sqrt(square)), workers=-1)) ** 2
    axes = [fft.fftfreq(n, step) for n, step in zip(grid.shape, grid.spacing[::-1], strict=True)]
    axes[-1] = np.abs(axes[-1][: grid.shape[-1] // 2 + 1])
    lengths = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij", sparse=True)))
    step = _SHELL_STEPS / float(np.min(np.array(grid.shape) * grid.spacing[::-1]))
    shells = (lengths / step).astype(int).ravel()
    count = np.bincount(shells)
    seen = count > 0
    level = np.bincount(shells, weights=power.ravel())[seen] / count[seen]
    k = np.bincount(shells, weights=lengths.ravel())[seen] / count[seen]
    # No frequency beyond the corner of the smallest axis: there shells are incomplete.
    whole = k <= 0.5 / grid.spacing.max()
    k, level, count = k[whole], level[whole], count[seen][whole]
    volume = square * float(np.prod(grid.spacing))
    absorbed = absorbed_part(k, atoms / volume, u, grid.ndim, frozen, isotropic)
    believed = absorbed <= LIMITS.most_absorbed
    if not np.any(level[believed] > 0):
        return SmoothNoise.unknown()
    first = int(np.argmax(believed))
    whole_power = np.where(believed, level / (1 - np.minimum(absorbed, LIMITS.most_absorbed)), 0.0)
    whole_power[~believed] = whole_power[first]
    variances = _VARIANCES * float(np.prod(grid.spacing)) ** (2 / grid.ndim)
    columns = np.exp(-2 * np.pi**2 * variances * k[:, None] ** 2)
    # Relative errors count, but not of frequencies that are too quiet to matter.
    trust = np.sqrt(count) / np.maximum(whole_power, LIMITS.quiet * whole_power.max())
    weights, _ = nnls(columns * trust[:, None], whole_power * trust)
    used = weights > 0
    return SmoothNoise(unit**2 * weights[used], variances[used])


def absorbed_part(
    frequencies: Float[np.ndarray, " k"],
    atoms_per_volume: float,
    u: float,
    d: int,
    frozen: Collection[str] = (),
    isotropic: bool = False,
) -> Float[np.ndarray, " k"]:
    """Which part of white noise a fit of atoms absorbs at each spatial frequency.

    **Arguments:**

    - `frequencies`: lengths (1/Å).
    - `atoms_per_volume`: 1/Å³.
    - `u`: variance of an atom (Å²).
    - `d`: dimensions.
    - `frozen`: parts that were not fitted.
    - `isotropic`: whether each atom has one displacement only.
    """
    q = 4 * np.pi**2 * u * frequencies**2
    shapes = 2 / d * (q - d / 2) ** 2 if isotropic else d / 2 - 2 * q + 2 * q**2
    parts = {"amplitudes": 1 + 0 * q, "positions": 2 * q, "displacements": shapes}
    total = sum(part for name, part in parts.items() if name not in frozen)
    return atoms_per_volume * (4 * np.pi * u) ** (d / 2) * np.exp(-q) * np.asarray(total)
