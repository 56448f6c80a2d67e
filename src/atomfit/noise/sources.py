"""Where the noise of a map can be measured.

*Outside the particle*: what lies farther than a few widths from every atom. Inside it the residual of a
fit would not do: in the band of an atom's own frequencies there are no more independent numbers than
parameters, and a fit absorbs most of the noise there. A map that shows no noise outside (it was masked,
clipped at zero, or its particle fills the box) tells nothing.

*Half-maps*: two reconstructions from the two halves of the data. What they share is the particle; half
their difference is noise of exactly the kind that their mean has, in the whole box, particle included.

*Tilts*: which frequencies are missing is geometry, and need not be measured. Known tilts replace the
search for empty directions, and where no noise can be measured they are all there is: white, but for the
wedge. The transform of a box of edge L tells frequencies apart that differ by 1/L; those that lie nearer
to the wedge than half of it hold part of what is missing, and are left out with it.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import prev_fast_len
from scipy.ndimage import gaussian_filter, uniform_filter

from atomfit.noise.limits import LIMITS
from atomfit.noise.periodogram import atoms_band, frequency_axes, spectrum_of
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.noise.tilt_angles import TiltAngles
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.region import region_mask
from atomfit.support.errors import InputError

#: Noise is measured in boxes of at most so many voxels along an edge, and in at most so many of them.
_LARGEST_EDGE = 200
_MOST_PARTS = 8
#: Over this part of the box's edges half-maps fade out, lest its faces be taken for noise.
_FADING = 0.1


def measure_noise(
    density: DensityMap, positions: Float[np.ndarray, "n d"], u: float, tilts: TiltAngles | None = None
) -> NoiseSpectrum | None:
    """The spectrum of the noise outside the particle; None if it cannot be measured there.

    **Arguments:**

    - `density`: the map.
    - `positions`: of the atoms (Å).
    - `u`: variance of the mean atom (Å²).
    - `tilts`: that the map was reconstructed from, if they are known.
    """
    grid = density.grid
    outside = density.measured(~region_mask(grid, positions, LIMITS.outside_widths * float(np.sqrt(u))))
    values = density.values[outside]
    if len(values) < max(LIMITS.outside_voxels, LIMITS.outside_part * grid.size):
        return None
    middle = float(np.median(values))
    if np.mean(values == middle) > LIMITS.plateau or np.ptp(values) == 0:
        return None
    pieces = []
    for place in _parts(outside):
        there = outside[place]
        window = gaussian_filter(there.astype(np.float32), 1.0 / grid.spacing[::-1]) * there
        if max(grid.shape) > _LARGEST_EDGE:
            window *= _faded(there.shape)
        pieces.append((density.values[place] - np.float32(middle), window))
    of_piece = grid.crop((0,) * grid.ndim, pieces[0][1].shape)
    missing = None if tilts is None else _missing_in(of_piece, tilts)
    return spectrum_of(pieces, of_piece, u, "outside the particle", missing)


def quiet_outside(
    density: DensityMap,
    model: Float[np.ndarray, "..."],
    positions: Float[np.ndarray, "n d"],
    occupied: Float[np.ndarray, "m d"],
    u: float,
) -> float | None:
    """How many times louder a fit's residual is beside its atoms than outside; None if that is no matter.

    A map that was smoothed or regularised where there is nothing shows noise outside that says little of
    what is inside. Medians tell that from atoms which the fit lacks yet: those leave much in few places.

    **Arguments:**

    - `density`, `model`: the map, and what a fit makes of it.
    - `positions`: of the fitted atoms (Å).
    - `occupied`: where there are atoms, or may be some (Å).
    - `u`: variance of the mean atom (Å²).
    """
    grid, width = density.grid, float(np.sqrt(u))
    residual = density.values - model
    inside = density.measured(region_mask(grid, positions, LIMITS.beside_widths * width))
    outside = density.measured(~region_mask(grid, occupied, LIMITS.outside_widths * width))
    at_atoms = density.values[tuple(grid.nearest_voxels(positions).T)]
    peak = float(np.median(at_atoms) - np.median(density.values[outside]))
    within, without = (
        float(np.median(np.abs(residual[where] - np.median(residual[where]))))
        for where in (inside, outside)
    )
    if within <= LIMITS.louder * without or within <= LIMITS.louder_matters * peak:
        return None
    return within / without if without > 0 else float("inf")


def spectrum_of_half_maps(
    first: DensityMap, second: DensityMap, u: float, tilts: TiltAngles | None = None
) -> NoiseSpectrum | None:
    """The spectrum of the noise of two half-maps' mean, from their difference in the whole box.

    **Arguments:**

    - `first`, `second`: the half-maps, on one grid.
    - `u`: variance of the mean atom (Å²).
    - `tilts`: that the map was reconstructed from, if they are known.

    **Raises:** `InputError` if they do not differ.
    """
    grid = first.grid
    noise = 0.5 * (first.values - second.values)
    if not noise.any():
        raise InputError("the half-maps do not differ", "give reconstructions from two halves of the data")
    # Half-maps may be masked; integers may agree by chance.
    present = uniform_filter((noise != 0).astype(np.float32), 5) > 0.5
    window = gaussian_filter(present.astype(np.float32), 1.0 / grid.spacing[::-1]) * present
    window *= _faded(grid.shape)
    missing = None if tilts is None else _missing_in(grid, tilts)
    return spectrum_of([(noise, window)], grid, u, "of the half-maps", missing)


def louder_than_halves(
    density: DensityMap,
    halves: tuple[DensityMap, DensityMap],
    occupied: Float[np.ndarray, "n d"],
    u: float,
) -> float | None:
    """How many times the variance of half-maps' noise a map has outside its particle; None if not more.

    Halves that were made with something in common (one alignment, one mask, one prior) differ by less than
    each is wrong, and those of other data by anything.

    **Arguments:**

    - `density`, `halves`: the map and its half-maps, on one grid.
    - `occupied`: where there are atoms, or may be some (Å).
    - `u`: variance of the mean atom (Å²).
    """
    outside = density.measured(
        ~region_mask(density.grid, occupied, LIMITS.outside_widths * float(np.sqrt(u)))
    )
    if np.count_nonzero(outside) < max(LIMITS.outside_voxels, LIMITS.outside_part * density.grid.size):
        return None
    of_map, of_halves = (
        float(np.median(np.abs(x - np.median(x))))
        for x in (density.values[outside], 0.5 * (halves[0].values - halves[1].values)[outside])
    )
    # Halves that were masked there say nothing.
    times = (of_map / of_halves) ** 2 if of_halves > 0 else 0.0
    return times if times > LIMITS.shared else None


def _parts(outside: Bool[np.ndarray, "..."]) -> list[tuple[slice, ...]]:
    """Boxes of one shape that hold most of what is outside; the whole map if it is not larger.

    The spectrum of a large map is no finer than that of a smaller one needs to be (Welch 1967). Edges of
    parts are of such lengths that Fourier transforms are fast.
    """
    counts = [-(-n // _LARGEST_EDGE) for n in outside.shape]
    edges = [
        n if count == 1 else prev_fast_len(n // count)
        for n, count in zip(outside.shape, counts, strict=True)
    ]
    firsts = [(n - c * edge) // 2 for n, c, edge in zip(outside.shape, counts, edges, strict=True)]
    boxes = [
        tuple(slice(f + i * e, f + (i + 1) * e) for f, i, e in zip(firsts, place, edges, strict=True))
        for place in np.ndindex(*counts)
    ]
    return sorted(boxes, key=lambda box: -np.count_nonzero(outside[box]))[:_MOST_PARTS]


def _faded(shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """One, falling smoothly to zero at the faces of a box."""
    window = np.ones(shape, np.float32)
    for axis, n in enumerate(shape):
        fading = np.clip((np.arange(n) + 0.5) / (_FADING * n), 0, 1)
        profile = np.sin(0.5 * np.pi * np.minimum(fading, fading[::-1])) ** 2
        window *= profile.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return window


def spectrum_of_tilts(tilts: TiltAngles, grid: Grid, u: float) -> NoiseSpectrum:
    """White noise wherever the tilts measured anything.

    **Arguments:**

    - `tilts`: that the map was reconstructed from.
    - `grid`: the map's.
    - `u`: variance of the mean atom (Å²).
    """
    axes = frequency_axes(grid)
    missing = _missing_in(grid, tilts)
    band = atoms_band(np.sqrt(sum(axis**2 for axis in axes)), u)
    known = np.where(missing, 0, 1).astype(np.float32)
    return NoiseSpectrum(
        known, grid.spacing, float("nan"), known, 1.0, float(missing[band].mean()), source=""
    )


def without_slow(noise: NoiseSpectrum | None, below: float, grid: Grid, u: float) -> NoiseSpectrum:
    """A spectrum without frequencies below one that a map has lost; otherwise white if it is not known.

    **Arguments:**

    - `noise`: as it was measured.
    - `below`: that frequency (1/Å).
    - `grid`: of the map.
    - `u`: variance of the mean atom (Å²).
    """
    if noise is None:
        one = np.ones(grid.shape, np.float32)
        noise = NoiseSpectrum(one, grid.spacing, float("nan"), one, 1.0, 0.0, source="")
    box = Grid(noise.weights.shape, grid.spacing, grid.origin)
    lengths = np.sqrt(sum(axis**2 for axis in frequency_axes(box)))
    return noise.without(lengths < below, atoms_band(lengths, u))


def _missing_in(grid: Grid, tilts: TiltAngles) -> Bool[np.ndarray, "..."]:
    """Frequencies of a box's transform that tilts did not measure."""
    return tilts.missing(frequency_axes(grid), 0.5 / float(grid.extent.min()))
