"""Information of a fit whose voxels are not all known alike, as sums over voxels.

Where every voxel has the same weight the inner products of atoms' derivatives are known in closed form
(`overlaps`). Where each voxel has its own precision there is none, and they are summed here over the
voxels around each atom, in float64 on the host: once, at the end of a fit.

So they are for atoms that reach over the faces of a region (`part_inside`).
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter

from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.overlaps import natural_parameters
from atomfit.structure.grid import Grid

#: An atom of which less than this part is outside is seen as a whole.
_OUTSIDE = 1e-3
#: Of an atom's information in any direction, at least this part is taken to be left.
_LEAST_INSIDE = 1e-6
#: Voxels farther from an atom than this many standard deviations know nothing of it.
_WIDTHS = 4.5


def information_blocks(
    atoms: FittedAtoms,
    neighbours: Int[np.ndarray, "n m"],
    precision: Float[np.ndarray, "..."],
    grid: Grid,
) -> Float[np.ndarray, "n m q q"]:
    """What the voxels around each atom say of its natural parameters, and together with its neighbours'.

    **Arguments:**

    - `atoms`: with positions in the grid's frame.
    - `neighbours`: indices of the atoms that overlap with each, itself included.
    - `precision`: inverse variance of each voxel (1 / squared map units); 0 where it does not count.
    - `grid`: of the voxels.
    """
    blocks = []
    for atom, others in enumerate(neighbours):
        places, known = _around(atoms, atom, precision, grid)
        slopes = _derivatives(atoms, others, places)
        own = _derivatives(atoms, np.array([atom]), places)[0]
        blocks.append(np.einsum("qk,mpk->mqp", own * known, slopes, optimize=True))
    return np.stack(blocks)


def part_inside(
    atoms: FittedAtoms, weights: Float[np.ndarray, "..."], grid: Grid
) -> Float[np.ndarray, "n q q"]:
    """What weights of voxels leave of the information on atoms: L, with L F Lᵀ = T.

    F is the information that voxels of weight one would have in all of space, T what there is. Of all such
    L it is the one that changes least, F^½ (F^-½ T F^-½)^½ F^-½; the unit matrix for atoms well inside.

    **Arguments:**

    - `atoms`: with positions in the grid's frame.
    - `weights`: of the voxels; zero outside the grid.
    - `grid`: of the voxels.
    """
    n, d = atoms.positions.shape
    width = np.sqrt(0.5 * np.quantile(np.trace(atoms.shapes, axis1=1, axis2=2) / d, 0.95))
    smooth = gaussian_filter(weights.astype(np.float32), width / grid.spacing[::-1], mode="constant")
    cut = smooth[tuple(grid.nearest_voxels(atoms.positions).T)] < 1 - _OUTSIDE
    q = len(natural_parameters(d))
    parts = np.tile(np.eye(q), (n, 1, 1))
    for atom in np.flatnonzero(cut & atoms.usable):
        indices = _box(atoms, int(atom), grid)
        slopes = _derivatives(atoms, np.array([atom]), grid.positions_of(indices))[0]
        there = np.all((indices >= 0) & (indices < grid.shape), axis=1)
        known = np.zeros(len(indices))
        known[there] = weights[tuple(indices[there].T)]
        scale = 1 / np.sqrt(np.sum(slopes**2, axis=1))[:, None]
        whole, seen = (scale * (slopes * w) @ slopes.T * scale.T for w in (1.0, known))
        values, vectors = np.linalg.eigh(whole)
        root, inverse = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
        values, vectors = np.linalg.eigh(inverse @ seen @ inverse)
        part = vectors * np.sqrt(np.clip(values, _LEAST_INSIDE, None)) @ vectors.T
        parts[atom] = root @ part @ inverse / scale * scale.T
    return parts


def information_border(
    atoms: FittedAtoms,
    fields: list[Float[np.ndarray, "..."]],
    precision: Float[np.ndarray, "..."],
    grid: Grid,
) -> tuple[Float[np.ndarray, "n q b"], Float[np.ndarray, "b b"]]:
    """What atoms share with fields that add to all of the density, and these with each other.

    **Arguments:** as above, and

    - `fields`: on the grid.
    """
    weighted = [precision * field for field in fields]
    rows = []
    for atom in range(len(atoms)):
        places, _ = _around(atoms, atom, precision, grid)
        own = _derivatives(atoms, np.array([atom]), places)[0]
        rows.append(np.stack([own @ _around(atoms, atom, field, grid)[1] for field in weighted], axis=1))
    corner = [[np.sum(f * g, dtype=np.float64) for g in weighted] for f in fields]
    return np.stack(rows), np.array(corner)


def _around(
    atoms: FittedAtoms, atom: int, values: Float[np.ndarray, "..."], grid: Grid
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Coordinates (Å) of the voxels of a box around an atom, and their values."""
    indices = _box(atoms, atom, grid)
    indices = indices[np.all((indices >= 0) & (indices < grid.shape), axis=1)]
    return grid.positions_of(indices), values[tuple(indices.T)].astype(np.float64)


def _box(atoms: FittedAtoms, atom: int, grid: Grid) -> Int[np.ndarray, "k d"]:
    """Indices of the voxels of a box around an atom, also beyond the grid."""
    variances = np.diagonal(atoms.shapes[atom])[None]
    reach = _WIDTHS * np.asarray(atoms.scattering[np.array([atom])].widths(variances))[0]
    places = atoms.positions[atom] + np.array([-1.0, 1.0])[:, None] * reach - grid.origin
    low, high = np.rint(places / grid.spacing).astype(int)[:, ::-1]
    return np.indices(tuple(high - low + 1)).reshape(grid.ndim, -1).T + low


def _derivatives(
    atoms: FittedAtoms, which: Int[np.ndarray, " m"], places: Float[np.ndarray, "k d"]
) -> Float[np.ndarray, "m q k"]:
    """Of atoms' densities by their natural parameters (see `overlaps`), at given places."""
    d = places.shape[1]
    apart = places[None] - atoms.positions[which][:, None]
    row, column = np.triu_indices(d, 1)
    pairs = [(k, k, 0.5) for k in range(d)] + [(k, m, 1.0) for k, m in zip(row, column, strict=True)]
    weights, terms = atoms.scattering[which].terms(atoms.shapes[which].astype(np.float64))
    total = np.zeros((len(which), len(natural_parameters(d)), len(places)))
    for weight, shapes in zip(np.asarray(weights).T, np.moveaxis(np.asarray(terms), 1, 0), strict=True):
        inverse = np.linalg.inv(shapes)
        y = apart @ inverse
        peaks = weight / np.sqrt(np.linalg.det(2 * np.pi * shapes))
        density = peaks[:, None] * np.exp(-0.5 * np.sum(y * apart, axis=-1))
        whole = density * atoms.amplitudes[which][:, None]
        columns = [whole * y[..., k] for k in range(d)]
        columns += [f * whole * (y[..., k] * y[..., m] - inverse[:, k, m, None]) for k, m, f in pairs]
        total += np.stack([*columns, density], axis=1)
    return total
