"""Information of a fit whose voxels are not all known alike, as sums over voxels.

Where every voxel has the same weight the inner products of atoms' derivatives are known in closed form
(`overlaps`). Where each voxel has its own precision there is none, and they are summed here over the
voxels around each atom, in float64 on the host: once, at the end of a fit.
"""

import numpy as np
from jaxtyping import Float, Int

from atomfit.fitting.fitted import FittedAtoms
from atomfit.grid import Grid

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
    reach = _WIDTHS * np.sqrt(np.diagonal(atoms.shapes[atom]))
    low, high = (grid.nearest_voxels(atoms.positions[atom] + s * reach) for s in (-1, 1))
    box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    shape = tuple(int(n) for n in high - low + 1)
    indices = np.indices(shape).reshape(grid.ndim, -1).T + low
    return grid.positions_of(indices), values[box].ravel().astype(np.float64)


def _derivatives(
    atoms: FittedAtoms, which: Int[np.ndarray, " m"], places: Float[np.ndarray, "k d"]
) -> Float[np.ndarray, "m q k"]:
    """Of atoms' densities by their natural parameters (see `overlaps`), at given places."""
    d = places.shape[1]
    shapes = atoms.shapes[which].astype(np.float64)
    inverse = np.linalg.inv(shapes)
    apart = places[None] - atoms.positions[which][:, None]
    y = apart @ inverse
    density = (
        np.exp(-0.5 * np.sum(y * apart, axis=-1)) / np.sqrt(np.linalg.det(2 * np.pi * shapes))[:, None]
    )
    whole = density * atoms.amplitudes[which][:, None]
    row, column = np.triu_indices(d, 1)
    pairs = [(k, k, 0.5) for k in range(d)] + [(k, m, 1.0) for k, m in zip(row, column, strict=True)]
    columns = [whole * y[..., k] for k in range(d)]
    columns += [factor * whole * (y[..., k] * y[..., m] - inverse[:, k, m, None]) for k, m, factor in pairs]
    return np.stack([*columns, density], axis=1)
