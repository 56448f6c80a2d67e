"""From pieces of noise to their spectrum: a periodogram, averaged.

P is the periodogram as the product of three averages: over shells, over directions, and over neighbouring
frequencies of what these two leave. Directions come first because a wedge has sharp edges, and next to an
edge an average over neighbours would give weight to frequencies that have nothing in them. A direction is
missing where it has less than `limits.missing` of the power that others have; its neighbours are left
out with it. If two planes say better than directions what is missing, it is a wedge, and has sharp edges
(`wedge`).
Where the missing frequencies are known beforehand (from the tilts) none are looked for.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.fft import fftfreq, fftn, fftshift
from scipy.ndimage import binary_dilation, gaussian_filter

from atomfit.noise.limits import LIMITS
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.noise.wedge import Wedge, find_wedge, likelihood
from atomfit.structure.grid import Grid

#: Standard deviation of the average over neighbouring frequencies, in steps of the box's transform.
_SMOOTHING = 2.5
#: Directions are as fine as leaves so many frequencies in each.
_MODES_PER_DIRECTION = 60


#: Noise, where its window is not zero (map units), and how much each voxel counts.
Piece = tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]


def spectrum_of(
    pieces: Sequence[Piece],
    grid: Grid,
    u: float,
    source: str,
    missing: Bool[np.ndarray, "..."] | None = None,
) -> NoiseSpectrum | None:
    """The spectrum of some noise; None if the atoms' band holds none.

    **Arguments:**

    - `pieces`: of one shape; windows fall smoothly to zero where a piece ends.
    - `grid`: of a piece.
    - `u`: variance of the mean atom (Å²).
    - `source`: where the noise was found, in words.
    - `missing`: frequencies that are known to be missing, on the box's transform, zero frequency in the
        middle; looked for if not given.
    """
    # In units of the noise, so that maps of any scale fit into float32.
    variances = [noise[window > 0].var(dtype=np.float64) for noise, window in pieces]
    unit = float(np.sqrt(np.mean(variances)))
    power = np.float32(0)
    for noise, window in pieces:
        rest = (noise / np.float32(unit)).astype(np.float32)
        rest = window * (rest - np.sum(window * rest) / np.sum(window))
        power = power + np.abs(fftn(rest, workers=-1)) ** 2
    power = fftshift(power) / sum(np.sum(window**2) for _, window in pieces)
    axes = frequency_axes(grid)
    lengths = np.sqrt(sum(axis**2 for axis in axes))
    rings = _shells(lengths, max(grid.shape) // 2)
    known = np.ones(grid.shape, bool) if missing is None else ~missing
    shells = _means(power, rings, known)
    # What an atom's own spectrum sees: frequencies far quieter than that show the window's edges only.
    seen = np.exp(-4 * np.pi**2 * u * lengths**2)
    loud = shells > LIMITS.judged_power * float(np.sum(seen * shells) / np.sum(seen))
    directions, bins = _directions(axes, int(loud.sum()))
    for _ in range(2 if missing is None else 0):
        # Shells are averaged again without what turned out to be missing.
        shells = _means(power, rings, known)
        empty = _empty(power / shells, loud, directions, bins)
        known = ~_with_neighbours(empty).ravel()[directions]
    wedge = None
    if missing is None and grid.ndim == 3 and not known.all():
        wedge = _wedge(axes, loud, power / shells, empty.ravel()[directions], 1 / float(grid.extent.min()))
    if wedge is not None:
        known = ~wedge.missing(*axes[::-1], margin=0.5 / float(grid.extent.min()))
        shells = _means(power, rings, known)
    relative = np.where(known, power / shells, 0.0)
    by_direction = _means(relative, directions, known)
    relative = relative / by_direction
    nearby = gaussian_filter(relative, _SMOOTHING, mode="wrap")
    if not known.all():
        nearby /= np.maximum(gaussian_filter(known.astype(np.float32), _SMOOTHING, mode="wrap"), 1e-3)
    power = shells * by_direction * np.where(known, nearby, 1.0)
    band = atoms_band(lengths, u)
    kept = power[band & known]
    if kept.size == 0:
        return None
    variance = float(np.exp(np.mean(np.log(kept))))
    weights = np.where(known, variance / np.maximum(power, LIMITS.least_power * kept.max()), 0.0)
    low, high = np.quantile(kept, [0.05, 0.95])
    return NoiseSpectrum(
        weights.astype(np.float32),
        grid.spacing,
        unit * variance**0.5,
        (weights * power / variance).astype(np.float32),
        float(high / low),
        float(np.mean(~known[band])),
        source,
        wedge,
    )


def _wedge(
    axes: Sequence[Float[np.ndarray, "..."]],
    loud: Bool[np.ndarray, "..."],
    relative: Float[np.ndarray, "..."],
    missing: Bool[np.ndarray, "..."],
    step: float,
) -> Wedge | None:
    """The wedge that says what is missing; None if directions say it better."""
    places = np.stack([axis[loud] for axis in np.broadcast_arrays(*axes)[::-1]], axis=1)
    wedge, likely = find_wedge(places, relative[loud], step)
    return wedge if likely > likelihood(missing[loud], relative[loud]) else None


def frequency_axes(grid: Grid) -> list[Float[np.ndarray, "..."]]:
    """Frequencies of the box's transform along each axis, zero in the middle, to be broadcast (1/Å)."""
    steps = [fftshift(fftfreq(n, step)) for n, step in zip(grid.shape, grid.spacing[::-1], strict=True)]
    return list(np.meshgrid(*(axis.astype(np.float32) for axis in steps), indexing="ij", sparse=True))


def atoms_band(lengths: Float[np.ndarray, "..."], u: float) -> Bool[np.ndarray, "..."]:
    """Frequencies (of given length, 1/Å) at which an atom's density has not fallen to 5 %."""
    return lengths < np.sqrt(3 / (2 * np.pi**2 * u))


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
    largest = _component(face, full)
    largest = np.where(largest == 0, 1.0, largest)
    number = face
    for step in range(1, d):
        ratio = _component((face + step) % d, full) / largest
        number = number * edge + np.clip(((ratio + 1) / 2 * edge).astype(np.int32), 0, edge - 1)
    return number, (d, *[edge] * (d - 1))


def _component(
    which: Int[np.ndarray, "..."], components: Sequence[Float[np.ndarray, "..."]]
) -> Float[np.ndarray, "..."]:
    """One component of each vector (`np.choose`, but faster)."""
    chosen = components[0].copy()
    for number, component in enumerate(components[1:], start=1):
        np.copyto(chosen, component, where=which == number)
    return chosen


def _means(
    power: Float[np.ndarray, "..."], groups: Int[np.ndarray, "..."], known: Bool[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Mean over the known members of each frequency's group."""
    members = groups[known]
    total = np.bincount(members, weights=power[known], minlength=groups.max() + 1)
    count = np.bincount(members, minlength=groups.max() + 1)
    return np.maximum(total / np.maximum(count, 1), 1e-30)[groups].astype(np.float32)


def _empty(
    relative: Float[np.ndarray, "..."],
    loud: Bool[np.ndarray, "..."],
    directions: Int[np.ndarray, "..."],
    bins: tuple[int, ...],
) -> Bool[np.ndarray, "..."]:
    """Directions without information.

    Only `loud` frequencies count.
    """
    count = int(np.prod(bins))
    flat = directions[loud]
    number = np.bincount(flat, minlength=count)
    mean = np.bincount(flat, weights=relative[loud], minlength=count) / np.maximum(number, 1)
    seen = number > 0
    return np.asarray(seen & (mean < LIMITS.missing * np.quantile(mean[seen], 0.75))).reshape(bins)


def _with_neighbours(directions: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Some directions and those next to them."""
    structure = np.zeros((3,) * directions.ndim, bool)
    structure[1] = True
    return np.asarray(binary_dilation(directions, structure))
