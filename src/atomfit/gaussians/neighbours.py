"""Which atoms overlap: tables of neighbours, of one width, that sparse matrices are laid out by."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

#: Overlaps are cut at this many standard deviations of the summed variances of two mean atoms.
_CUTOFF_WIDTHS = 4.5
_MAX_NEIGHBOURS = 64


def neighbour_table(positions: Float[np.ndarray, "n d"], u: float, size: int) -> Int[np.ndarray, "size m"]:
    """Atoms that overlap with each atom, itself first, padded by itself; on the host.

    Where atoms crowd, the nearest are listed, and only pairs that both list: the matrix is symmetric.

    **Arguments:**

    - `positions`: of the atoms (Å).
    - `u`: variance of a typical atom (Å²).
    - `size`: rows of the table, the number of atoms or more.
    """
    n = len(positions)
    cutoff = _CUTOFF_WIDTHS * float(np.sqrt(2 * u))
    most = min(_MAX_NEIGHBOURS, n)
    distances, near = cKDTree(positions).query(
        positions, k=np.arange(1, most + 1), distance_upper_bound=cutoff
    )
    count = int(np.isfinite(distances).sum(axis=1).max())
    # Multiples of four, so that similar particles share compiled code.
    width = -(-count // 4) * 4
    table = np.tile(np.arange(size, dtype=np.int32)[:, None], (1, width))
    kept = _mutual(np.where(np.isfinite(distances), near, np.arange(n)[:, None])[:, :count])
    table[:n, : kept.shape[1]] = kept
    # Two atoms at one place may come in any order; each comes first in its own row.
    own = np.argmax(table[:n] == np.arange(n)[:, None], axis=1)
    table[np.arange(n), own] = table[:n, 0]
    table[:n, 0] = np.arange(n)
    return table


def _mutual(table: Int[np.ndarray, "n m"]) -> Int[np.ndarray, "n m"]:
    """The same without pairs that only one of the two lists, padded by the atom itself."""
    n = len(table)
    own = np.arange(n)[:, None]
    pairs, turned = (own * n + table).ravel(), (table * n + own).ravel()
    table = np.where(np.isin(turned, pairs).reshape(table.shape), table, own)
    return np.take_along_axis(table, np.argsort(table == own, axis=1, kind="stable"), axis=1)


def closed(table: Int[np.ndarray, "n m"]) -> Int[np.ndarray, "n k"]:
    """A table of neighbours to which each atom's row those are added that list it; padded by itself."""
    n = len(table)
    own = np.arange(n)[:, None]
    pairs, turned = (own * n + table).ravel(), (table * n + own).ravel()
    rows, others = np.divmod(np.setdiff1d(turned, pairs), n)
    counts = np.bincount(rows, minlength=n)
    added = np.tile(own, (1, int(counts.max(initial=0))))
    added[rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)] = others
    return np.concatenate([table, added.astype(table.dtype)], axis=1)
