"""A map and its atoms in, numbers that tell whether it looks like another map out.

Asked of simulated sub-areas and of the measured film alike, whose atoms are the published model. Nothing
here is a result of a fit: only the map's local maxima, its power spectrum, the mean shape around atoms, and
the atoms' own distances.
"""

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.spatial import cKDTree

from atomfit.detection.peaks import local_maxima
from atomfit.structure.grid import DensityMap

#: Maxima nearer than this to an atom are its own; of two nearer than `APART` the lower one is dropped (Å).
OWN, APART = 1.0, 1.8
#: The mean atom is looked at so far (voxels).
REACH = 4
#: Edges of shells of the power spectrum (1/Å).
SHELLS = (0.25, 0.35, 0.45, 0.55, 0.65, 0.8, 1.0, 1.2)
HEADER = (
    *("map", "atoms", "g(r): first peak, hollow, Å", "heights at atoms: 5, 25, 75, 95 % of the median"),
    *("atoms without a maximum", "other maxima above .25, .4, .55, .7 of the median, per atom"),
    *(
        "mean atom: σ along x, y, z, Å",
        "power at " + ", ".join(f"{s:g}" for s in SHELLS[:-1]) + " 1/Å and up",
    ),
    *("voxels at 0 between the surfaces",),
)


def row(name: str, density: DensityMap, atoms: Float[np.ndarray, "n 3"]) -> tuple[str, ...]:
    """One row of the table.

    **Arguments:**

    - `name`: of the map.
    - `density`: the map.
    - `atoms`: its true or published atoms (Å).
    """
    grid = density.grid
    voxel = grid.indices_of(atoms)
    inner = atoms[np.all((voxel >= 6) & (voxel <= np.array(grid.shape) - 7), axis=1)]
    peaks = grid.positions_of(local_maxima(density, 0.0, APART))
    heights = density.at(np.rint(grid.indices_of(peaks)).astype(int))
    low, high = inner.min(axis=0), inner.max(axis=0)
    within = np.all((peaks >= low) & (peaks <= high), axis=1)
    far, nearest = cKDTree(peaks).query(inner)
    at = heights[nearest[far < OWN]]
    typical = float(np.median(at))
    own = cKDTree(atoms).query(peaks)[0] < OWN
    other = heights[within & ~own] / typical
    first, hollow = pair_distances(atoms)
    sigma = mean_atom(density, inner)
    power = spectrum(density)
    middle = np.abs(grid.indices_of(inner)[:, 0] - np.median(grid.indices_of(inner)[:, 0]))
    half = int(np.quantile(middle, 0.5))
    centre = int(np.median(grid.indices_of(inner)[:, 0]))
    core = density.values[centre - half : centre + half + 1]
    return (
        name,
        f"{len(inner)}",
        f"{first:.2f}, {hollow:.2f}",
        ", ".join(f"{x:.2f}" for x in np.quantile(at, (0.05, 0.25, 0.75, 0.95)) / typical),
        f"{np.mean(far >= OWN):.3f}",
        ", ".join(f"{np.sum(other > cut) / len(inner):.3f}" for cut in (0.25, 0.4, 0.55, 0.7)),
        ", ".join(f"{x:.2f}" for x in sigma),
        ", ".join(f"{x:.3f}" for x in power),
        f"{np.mean(core <= 0):.2f}",
    )


def pair_distances(atoms: Float[np.ndarray, "n 3"]) -> tuple[float, float]:
    """Where distances of atoms are most frequent first, and least after that (Å)."""
    pairs = cKDTree(atoms).query_pairs(6.0, output_type="ndarray")
    distances = np.linalg.norm(atoms[pairs[:, 0]] - atoms[pairs[:, 1]], axis=1)
    edges = np.arange(1.0, 6.0, 0.1)
    count, _ = np.histogram(distances, edges)
    r = (edges[1:] + edges[:-1]) / 2
    g = np.convolve(count / r**2, np.ones(3) / 3, mode="same")
    peak = int(np.argmax(np.where(r < 3.6, g, 0)))
    hollow = peak + int(np.argmin(g[peak : np.searchsorted(r, 1.7 * r[peak])]))
    return float(r[peak]), float(r[hollow])


def mean_atom(density: DensityMap, atoms: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " 3"]:
    """Widths of the mean density about atoms along x, y and z, as its curvature at the top tells (Å).

    **Arguments:**

    - `density`: the map.
    - `atoms`: away from its faces (Å).
    """
    from scipy.ndimage import map_coordinates

    at = density.grid.indices_of(atoms)
    found = []
    for axis in (2, 1, 0):
        steps = np.zeros((2 * REACH + 1, 1, 3))
        steps[:, 0, axis] = np.arange(-REACH, REACH + 1)
        profile = map_coordinates(density.values, (at + steps).reshape(-1, 3).T, order=1)
        mean = profile.reshape(2 * REACH + 1, -1).mean(axis=1)
        floor = float(mean.min())
        # Half width at half of what rises above the neighbourhood.
        right = np.interp(
            0.5, ((mean[REACH:] - floor) / (mean[REACH] - floor))[::-1], np.arange(REACH + 1)[::-1]
        )
        left = np.interp(
            0.5, (mean[: REACH + 1] - floor) / (mean[REACH] - floor), np.arange(REACH + 1)[::-1]
        )
        found.append((left + right) / 2 * density.grid.spacing[2 - axis] / 1.1774)
    return np.array(found)


def spectrum(density: DensityMap) -> Float[np.ndarray, " shells"]:
    """Mean power in shells of frequency, the highest of them set to 1."""
    values = density.values.astype(np.float64)
    windows = np.ix_(*(np.hanning(n) for n in values.shape))
    tapered = (values - values.mean()) * windows[0] * windows[1] * windows[2]
    power = np.abs(fft.rfftn(tapered)) ** 2
    k = [fft.fftfreq(n, s) for n, s in zip(values.shape[:2], density.grid.spacing[:0:-1], strict=True)]
    k.append(fft.rfftfreq(values.shape[2], density.grid.spacing[0]))
    size = np.sqrt(sum(np.square(a) for a in np.meshgrid(*k, indexing="ij")))
    shell = np.digitize(size, SHELLS)
    mean = np.array([power[shell == i].mean() for i in range(1, len(SHELLS))])
    return np.asarray(mean / mean.max())
