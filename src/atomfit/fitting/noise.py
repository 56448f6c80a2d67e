"""The noise of a map, by spatial frequency, measured where there is no particle.

A reconstruction's noise is neither white nor isotropic: neighbouring voxels share it, and a missing wedge
has none at all, nor any signal. Both are one thing, the noise's power P(k) at each spatial frequency, and
a fit that weighs frequencies by w = σ² / P(k), and not at all where the map has no information, is the
best there is and the only one whose error bars are right.

P is the periodogram of what lies farther than a few widths from every atom, as the product of three
averages: over shells, over directions, and over neighbouring frequencies of what these two leave.
Directions come first because a wedge has sharp edges, and next to an edge an average over neighbours
would give weight to frequencies that have nothing in them. A direction is missing where it has less than
`MISSING` of the power that others have; its neighbours are left out with it.

Inside the particle the residual of a fit would not do: in the band of an atom's own frequencies there are
no more independent numbers than parameters, and a fit absorbs most of the noise there.

If a map shows no noise outside (it was masked, clipped at zero, or its particle fills the box) nothing
can be measured, and noise is taken to be white, which the result says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.fft import fftfreq, fftn, fftshift
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from atomfit.fitting.objective import region_mask
from atomfit.grid import DensityMap

#: Noise is measured farther than this from every atom, in widths of the mean atom.
OUTSIDE_WIDTHS = 5.0
#: Standard deviation of the average over neighbouring frequencies, in steps of the box's transform.
_SMOOTHING = 2.5
#: Directions are as fine as leaves so many frequencies in each.
_MODES_PER_DIRECTION = 60
#: A direction without information has less than this part of the upper quartile of all.
MISSING = 0.1
#: Directions are judged by shells with more than this part of the power that atoms see.
_LOUD = 0.03
#: Noise counts as white if its power, from the 5th to the 95th percentile of the atoms' band, varies less.
_WHITE_RATIO = 1.7
#: A wedge is one if it takes more than this part of the atoms' band.
_SMALLEST_WEDGE = 0.02
#: Noise is not believed to be below this part of its largest power.
_FLOOR = 1e-3
#: Overlaps are summed over frequencies with more than this part of what the most telling one has, for atoms
#: whose variance is this part of the mean atom's.
_LEAST_CONTENT = 1e-3
_NARROWER = 0.6
#: At least so many voxels, and this part of the box, must be outside.
_FEWEST_VOXELS = 20_000
_SMALLEST_PART = 0.15
#: At most this part of them may have one and the same value.
_LARGEST_PLATEAU = 0.2


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Weight of every spatial frequency of a map.

    **Fields:**

    - `weights`: σ² / P(k), zero where there is no information; on the box's transform, zero frequency in
        the middle (array order).
    - `spacing`: voxel edges (Å; x, y, z).
    - `deviation`: σ, which makes the weights near one in the atoms' band (map units).
    - `believed`: which part of the noise's power the weights reckon with at each frequency, on the same
        grid; less than one where power is below the floor, zero where there is no information.
    - `contrast`: ratio of the largest to the smallest power in the atoms' band.
    - `missing`: part of the atoms' band without information.
    """

    weights: Float[np.ndarray, "..."]
    spacing: Float[np.ndarray, " d"]
    deviation: float
    believed: Float[np.ndarray, "..."]
    contrast: float
    missing: float

    @property
    def information(self) -> float:
        """Part of the frequencies that count."""
        return float(self.believed.mean())

    @property
    def white(self) -> bool:
        """Whether weights would change nothing."""
        return self.contrast < _WHITE_RATIO and self.missing < _SMALLEST_WEDGE

    def at(self, frequencies: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "..."]:
        """Weights at given frequencies (1/Å; x, y, z)."""
        return self._interpolated(self.weights, frequencies)

    def _interpolated(
        self, values: Float[np.ndarray, "..."], frequencies: Float[np.ndarray, "... d"]
    ) -> Float[np.ndarray, "..."]:
        shape = np.array(values.shape)
        places = frequencies[..., ::-1] * self.spacing[::-1] * shape + shape // 2
        return map_coordinates(values, np.moveaxis(places, -1, 0), order=1, mode="grid-wrap")

    def on(self, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        """Weights on the half transform (as of `rfftn`) of a box of that shape and the same voxels."""
        axes = [fftfreq(n, step) for n, step in zip(shape, self.spacing[::-1], strict=True)]
        axes[-1] = np.abs(axes[-1][: shape[-1] // 2 + 1])
        mesh = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)
        return self.at(mesh).astype(np.float32)

    def sampled(
        self, u: float, step: float = 1 / 12
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Frequencies to sum over, where atoms have something to say; one of k and -k is there.

        **Returns:** frequencies (1/Å), w dk of each, and w² P / σ² dk.

        **Arguments:**

        - `u`: variance of the mean atom (Å²).
        - `step`: between frequencies (1/Å); sums repeat beyond its inverse.
        """
        counts = np.floor(0.5 / self.spacing / step).astype(int)
        axes = [step * np.arange(-count, count + 1) for count in counts]
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
        half = mesh[len(mesh) // 2 :]
        parts = self.at(half) * step ** len(axes)
        parts[0] /= 2
        # What the narrower atoms put into their positions and widths there, at most.
        square = 4 * np.pi**2 * np.sum(half**2, axis=1)
        content = parts * np.exp(-_NARROWER * u * square) * (1 + (u * square) ** 2)
        kept = content > _LEAST_CONTENT * np.max(content)
        return half[kept], parts[kept], (parts * self._interpolated(self.believed, half))[kept]

    def describe(self) -> str:
        """What was found, in words."""
        if self.white:
            return f"noise outside the particle: white, standard deviation {self.deviation:.4g}"
        wedge = (
            f"; {100 * self.missing:.0f} % of the atoms' spatial frequencies are missing"
            if self.missing >= _SMALLEST_WEDGE
            else ""
        )
        return (
            f"noise outside the particle: coloured, its power varies {self.contrast:.1f}-fold over the "
            f"atoms' spatial frequencies{wedge}; frequencies are weighted by it"
        )


def measure_noise(
    density: DensityMap, positions: Float[np.ndarray, "n d"], u: float
) -> NoiseSpectrum | None:
    """The spectrum of the noise outside the particle; None if it cannot be measured there.

    **Arguments:**

    - `density`: the map.
    - `positions`: of the atoms (Å).
    - `u`: variance of the mean atom (Å²).
    """
    grid = density.grid
    outside = ~region_mask(grid, positions, OUTSIDE_WIDTHS * float(np.sqrt(u)))
    values = density.values[outside].astype(np.float64)
    if len(values) < max(_FEWEST_VOXELS, _SMALLEST_PART * grid.size):
        return None
    middle = float(np.median(values))
    if np.mean(values == middle) > _LARGEST_PLATEAU or np.ptp(values) == 0:
        return None
    window = gaussian_filter(outside.astype(np.float32), 1.0 / grid.spacing[::-1]) * outside
    # In units of the noise, so that maps of any scale fit into float32.
    unit = float(values.std())
    rest = ((density.values - np.float32(middle)) / np.float32(unit)).astype(np.float32)
    rest = window * (rest - np.sum(window * rest) / np.sum(window))
    power = fftshift(np.abs(fftn(rest, workers=-1)) ** 2) / np.sum(window**2)
    steps = [fftshift(fftfreq(n, step)) for n, step in zip(grid.shape, grid.spacing[::-1], strict=True)]
    axes = np.meshgrid(*(axis.astype(np.float32) for axis in steps), indexing="ij", sparse=True)
    lengths = np.sqrt(sum(axis**2 for axis in axes))
    shells = _means(power, _shells(lengths, max(grid.shape) // 2), np.ones(grid.shape, bool))
    # What an atom's own spectrum sees: frequencies far quieter than that show the window's edges only.
    seen = np.exp(-4 * np.pi**2 * u * lengths**2)
    loud = shells > _LOUD * float(np.sum(seen * shells) / np.sum(seen))
    directions, bins = _directions(axes, int(loud.sum()))
    known, missing = np.ones(grid.shape, bool), np.zeros(grid.shape, bool)
    for _ in range(2):
        # Shells are averaged again without what turned out to be missing.
        shells = _means(power, _shells(lengths, max(grid.shape) // 2), known)
        missing = _missing(power / shells, loud, directions, bins)[directions]
        known = ~missing
    relative = np.where(known, power / shells, 0.0)
    by_direction = _means(relative, directions, known)
    relative = relative / by_direction
    nearby = gaussian_filter(relative, _SMOOTHING, mode="wrap")
    nearby /= np.maximum(gaussian_filter(known.astype(np.float32), _SMOOTHING, mode="wrap"), 1e-3)
    power = shells * by_direction * np.where(known, nearby, 1.0)
    # An atom's density has fallen to 5 % at the edge of its band.
    band = lengths < np.sqrt(3 / (2 * np.pi**2 * u))
    kept = power[band & known]
    if kept.size == 0:
        return None
    variance = float(np.exp(np.mean(np.log(kept))))
    weights = np.where(missing, 0.0, variance / np.maximum(power, _FLOOR * kept.max()))
    low, high = np.quantile(kept, [0.05, 0.95])
    return NoiseSpectrum(
        weights.astype(np.float32),
        grid.spacing,
        unit * variance**0.5,
        (weights * power / variance).astype(np.float32),
        float(high / low),
        float(missing[band].mean()),
    )


def _shells(lengths: Float[np.ndarray, "..."], count: int) -> Int[np.ndarray, "..."]:
    return np.minimum((lengths / lengths.max() * count).astype(np.int32), count - 1)


def _directions(
    axes: Sequence[Float[np.ndarray, "..."]], modes: int
) -> tuple[Int[np.ndarray, "..."], tuple[int, ...]]:
    """Number of the direction that each frequency lies in, k and -k together, and how these are arranged.

    Directions are squares on the faces of a cube: of the largest component, and the ratios of the others
    to it.
    """
    d = len(axes)
    edge = int(np.clip((modes / (d * _MODES_PER_DIRECTION)) ** (1 / max(d - 1, 1)), 4, 32))
    full = np.broadcast_arrays(*axes)
    face = np.argmax([np.abs(axis) for axis in full], axis=0).astype(np.int32)
    largest = np.choose(face, full)
    largest = np.where(largest == 0, 1.0, largest)
    number = face
    for step in range(1, d):
        ratio = np.choose((face + step) % d, full) / largest
        number = number * edge + np.clip(((ratio + 1) / 2 * edge).astype(np.int32), 0, edge - 1)
    return number, (d, *[edge] * (d - 1))


def _means(
    power: Float[np.ndarray, "..."], groups: Int[np.ndarray, "..."], known: Bool[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Mean over the known members of each frequency's group."""
    members = groups[known]
    total = np.bincount(members, weights=power[known], minlength=groups.max() + 1)
    count = np.bincount(members, minlength=groups.max() + 1)
    return np.maximum(total / np.maximum(count, 1), 1e-30)[groups].astype(np.float32)


def _missing(
    relative: Float[np.ndarray, "..."],
    loud: Bool[np.ndarray, "..."],
    directions: Int[np.ndarray, "..."],
    bins: tuple[int, ...],
) -> Bool[np.ndarray, " directions"]:
    """Directions without information, and those next to them.

    Only `loud` frequencies count.
    """
    count = int(np.prod(bins))
    flat = directions[loud]
    number = np.bincount(flat, minlength=count)
    mean = np.bincount(flat, weights=relative[loud], minlength=count) / np.maximum(number, 1)
    seen = number > 0
    empty = (seen & (mean < MISSING * np.quantile(mean[seen], 0.75))).reshape(bins)
    structure = np.zeros((3,) * len(bins), bool)
    structure[1] = True
    return binary_dilation(empty, structure).ravel()
