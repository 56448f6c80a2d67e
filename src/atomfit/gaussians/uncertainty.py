"""How well a fit knows its numbers: the covariance of every atom, from the Fisher information.

For noise of standard deviation σ in every voxel the information is JᵀJ / σ², J being what each number
does to the map, and its inverse is the covariance that a fit at the Cramér-Rao bound has. The inverse of
a matrix of neighbours is itself nearly one of neighbours: what an atom's covariance owes to others falls
off with the square of the overlap. So each atom's block is taken from the inverse of a small matrix, of
the atom and the others that it overlaps with (up to `CLUSTER`), in float64. All of the overlap with
neighbours is in it, and the dense matrix of all atoms never exists. A background, which all atoms share,
is a border of the matrix with a few columns.

Where a fit's weights W are not quite the inverse of the noise's covariance C, the covariance of what it
finds is H⁻¹ (JᵀWCWJ) H⁻¹ with H = JᵀWJ, which is what is computed then. What a prior or another term of the
objective says of atoms is information like that of the map, and is added to both.

Not in it is whatever the model cannot describe.

What noise would do to an atom of another width is asked of a lone atom (`covariances_of_lone_atoms`): what
neighbours add to it hardly changes.
"""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.gaussians.bias import second_order_bias
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.information import (
    CLUSTER,
    Beforehand,
    Blocks,
    Information,
    free_directions,
    overlap_blocks,
)
from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.gaussians.scatterers import AbstractScattering, Overlap

log = logging.getLogger("atomfit")

#: Numbers in the matrices that are inverted at a time.
_NUMBERS_AT_A_TIME = 2e7
_ROWS_OF_LAPACK = 64


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Covariances of n atoms' numbers; NaN where a number is not known.

    **Fields:**

    - `covariances`: of each atom's position (Å), displacements (Å²; 11, 22, 33, 12, 13, 23) and amplitude
        (map units x Å³), in this order; zero where a number was frozen.
    - `neighbours`: atoms that overlap with each, itself first; padded by itself.
    - `between`: covariance of each atom's position (rows) with that of its neighbours (Å²).
    - `bias`: what each number is expected to be wrong by, to second order; see `bias`.
    """

    covariances: Float[np.ndarray, "n q q"]
    neighbours: Int[np.ndarray, "n m"]
    between: Float[np.ndarray, "n m d d"]
    bias: Float[np.ndarray, "n q"]

    @property
    def deviations(self) -> Float[np.ndarray, "n q"]:
        """Standard uncertainties, in the order of `covariances`; NaN where a number was frozen."""
        variances = np.diagonal(self.covariances, axis1=1, axis2=2)
        return np.sqrt(np.where(variances > 0, variances, np.nan))

    def with_positions_of(self, other: "Uncertainty", times: float = 1.0) -> "Uncertainty":
        """The same with the positions of another fit of the same atoms, which know nothing of the rest.

        **Arguments:**

        - `other`: of the other fit.
        - `times`: by which its standard uncertainties are multiplied.
        """
        d = other.between.shape[-1]
        covariances = self.covariances.copy()
        covariances[:, :d], covariances[:, :, :d] = 0.0, 0.0
        covariances[:, :d, :d] = times**2 * other.covariances[:, :d, :d]
        return replace(
            self,
            covariances=covariances,
            neighbours=other.neighbours,
            between=times**2 * other.between,
        )

    def of_distances(
        self, positions: Float[np.ndarray, "n d"], others: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Standard uncertainty of each atom's distance to one other (Å).

        **Arguments:**

        - `positions`: of all atoms (Å).
        - `others`: index of the other atom; its own index for none.
        """
        d = positions.shape[1]
        apart = positions[others] - positions
        length = np.linalg.norm(apart, axis=1, keepdims=True)
        along = apart / np.where(length > 0, length, np.nan)
        place = self.covariances[:, :d, :d]
        together = place + place[others]
        # Beyond the cluster two atoms know nothing of each other.
        slot = self.neighbours == others[:, None]
        shared = np.einsum("nm,nmij->nij", slot, np.nan_to_num(self.between))
        variance = np.einsum("ni,nij,nj->n", along, together - shared - np.swapaxes(shared, 1, 2), along)
        return np.sqrt(np.where(variance > 0, variance, np.nan))


def uncertainty(
    atoms: FittedAtoms,
    noise: float,
    voxel_volume: float,
    *,
    isotropic: bool = False,
    frozen: Collection[str] = (),
    border: tuple[Float[np.ndarray, "n q b"], Float[np.ndarray, "b b"]] | None = None,
    overlap: Overlap | None = None,
    noise_overlap: Overlap | None = None,
    prior: Beforehand | None = None,
    blocks_of: Blocks | None = None,
    inside: tuple[Float[np.ndarray, "n q q"], Float[np.ndarray, "n q q"]] | None = None,
) -> Uncertainty:
    """Covariances of a joint fit.

    **Arguments:**

    - `atoms`: the fitted atoms; covariances of displacements are those of their `shapes`.
    - `noise`: standard deviation of the noise in a voxel (map units).
    - `voxel_volume`: in Å³.
    - `isotropic`: whether each atom has one displacement only.
    - `frozen`: parts that were not refined.
    - `border`: what the background's numbers share with each atom's natural parameters, times the voxel
        volume, and with each other, as sums over voxels; None if it was not refined.
    - `overlap`: of two Gaussians, with its derivatives, as in `overlaps`; for white noise if not given.
    - `noise_overlap`: the same with the noise's covariance between: gᵀ W C W h / σ². Where weights are not
        the inverse of the noise it is not the same as gᵀ W h.
    - `prior`: precision of what was known beforehand of atoms and their neighbours, in natural parameters.
    - `blocks_of`: inner products of atoms with their neighbours, times the voxel volume, where no overlap
        is known in closed form.
    - `inside`: what of each atom was seen (see `information`), and the same of the noise's part.
    """
    n, d = atoms.positions.shape
    overlap = overlap or derivatives_of_gaussian
    basis = free_directions(d, isotropic, frozen)
    q, p = basis.shape
    if not basis.size or noise == 0:
        own = np.arange(n)[:, None]
        return Uncertainty(np.zeros((n, q, q)), own, np.zeros((n, 1, d, d)), np.zeros((n, q)))
    of_map, of_noise = (None, None) if inside is None else inside
    known = Information.of(atoms, voxel_volume * noise**2, basis, overlap, prior, blocks_of, of_map)
    scale, listed = known.scale, ~known.missing
    pairs = np.arange(n)[:, None] * n + known.neighbours
    sorting = np.argsort(pairs[listed])
    order, flat = pairs[listed][sorting], known.blocks[listed][sorting]
    noise_flat = None
    if noise_overlap is not None:
        noise_flat = known.with_noise(atoms, noise_overlap, prior, of_noise)[listed][sorting]
    neighbours, missing = known.neighbours[:, :CLUSTER], known.missing[:, :CLUSTER]
    covariances, between = np.full((n, q, q), np.nan), np.full((*neighbours.shape, d, d), np.nan)
    lifts = np.zeros((n, p, 0))
    if border is not None:
        seen = border[0] if of_map is None else of_map @ border[0]
        shared = basis.T @ seen / known.unit / scale[..., None]
        lifts = _lifts(known, shared, border[1] / noise**2) / scale[..., None]
    for rows, m in _alike((~missing).sum(axis=1), p):
        others, absent = neighbours[rows, :m], missing[rows, :m]
        cluster = others, absent, order
        columns = _columns_of_inverse(_matrices_of_clusters(*cluster, flat, n), absent, p)
        ratio = np.ones((len(columns), p))
        if noise_flat is not None:
            own = np.swapaxes(columns, 1, 2) @ _matrices_of_clusters(*cluster, noise_flat, n) @ columns
            squares = np.diagonal(own, axis1=1, axis2=2) / np.diagonal(columns[:, :p], axis1=1, axis2=2)
            # Negative for atoms so alike that rounding errors decide; they end as unknown.
            ratio = np.sqrt(np.maximum(squares, 0))
        columns = columns.reshape(-1, m, p, p)
        # Neighbours are alike, so that what noise's spectrum does to one it does to the other.
        columns = columns * (ratio[:, None, :, None] * ratio[:, None, None, :])
        if noise_flat is not None:
            columns[:, 0] = own
        columns = columns / (scale[others][..., None] * scale[rows][:, None, None, :])
        columns = columns + lifts[others] @ np.swapaxes(lifts[rows], 1, 2)[:, None]
        natural = basis @ columns @ basis.T
        covariances[rows] = natural[:, 0]
        between[rows, :m] = np.swapaxes(natural[:, :, :d, :d], 2, 3)
    covariances[~atoms.usable], between[~atoms.usable] = np.nan, np.nan
    bias = np.zeros((n, q))
    if blocks_of is None:
        bias = second_order_bias(atoms, covariances, known, overlap, lifts, of_map)
    return Uncertainty(covariances, neighbours, between, bias)


def covariances_of_lone_atoms(
    matrices: Float[np.ndarray, "n d d"],
    scattering: AbstractScattering,
    *,
    isotropic: bool = False,
    frozen: Collection[str] = (),
    overlap: Overlap | None = None,
    noise_overlap: Overlap | None = None,
) -> Float[np.ndarray, "n s s"]:
    """What noise does to the displacements of atoms without neighbours, in a unit of its own.

    All have one strength in the sense of `parameters`: amplitudes grow with widths as noise would have it.

    **Arguments:** those of `uncertainty`, and

    - `matrices`: displacements (Å²).
    - `scattering`: what each atom looks like at rest.
    """
    n, d = matrices.shape[:2]
    basis = free_directions(d, isotropic, frozen)
    amplitudes = np.linalg.det(matrices) ** 0.25
    u_iso = np.trace(matrices, axis1=1, axis2=2) / d
    atoms = FittedAtoms(np.zeros((n, d)), amplitudes, u_iso, matrices, scattering)
    itself = np.arange(n)[:, None]

    def seen(by: Overlap) -> Float[np.ndarray, "n p p"]:
        return basis.T @ overlap_blocks(atoms, itself, by)[:, 0] @ basis

    inverse = np.linalg.inv(seen(overlap or derivatives_of_gaussian))
    found = inverse if noise_overlap is None else inverse @ seen(noise_overlap) @ inverse
    widths = slice(d, d + 1 if isotropic else -1)
    return (basis @ found @ basis.T)[:, widths, widths]


def _alike(sizes: Int[np.ndarray, " n"], p: int) -> Iterator[tuple[Int[np.ndarray, " c"], int]]:
    """Atoms whose clusters have the same size, some at a time, and that size."""
    for m in np.unique(sizes):
        rows = np.flatnonzero(sizes == m)
        step = max(1, int(_NUMBERS_AT_A_TIME / (m * p) ** 2))
        yield from ((rows[begin : begin + step], int(m)) for begin in range(0, len(rows), step))


def _lifts(
    known: Information, border: Float[np.ndarray, "n p b"], corner: Float[np.ndarray, "b b"]
) -> Float[np.ndarray, "n p k"]:
    """H⁻¹ c S^(-1/2), whose outer product is what an unknown background adds to the covariance.

    H is the atoms' information, c the border, and S = D - cᵀ H⁻¹ c what the region says of the background.
    Numbers of the background that H cannot be solved for count as known.
    """
    solved = known.solve(border)
    sound = np.all(np.isfinite(solved), axis=(0, 1))
    if not sound.all():
        log.warning(
            "%d of the background's %d numbers cannot be told from the atoms: standard uncertainties, of "
            "amplitudes above all, are as small as if these were known",
            np.count_nonzero(~sound),
            len(sound),
        )
        solved, border, corner = solved[..., sound], border[..., sound], corner[np.ix_(sound, sound)]
    values, vectors = np.linalg.eigh(corner - np.einsum("npb,npc->bc", border, solved))
    # Where atoms fill the region it hardly tells the background from them.
    values = np.maximum(values, 1e-3 * np.linalg.eigvalsh(corner).max(initial=0))
    return solved @ (vectors / np.sqrt(values))


def _matrices_of_clusters(
    clusters: Int[np.ndarray, "c m"],
    missing: Bool[np.ndarray, "c m"],
    order: Int[np.ndarray, " pairs"],
    blocks: Float[np.ndarray, "pairs p p"],
    n: int,
) -> Float[np.ndarray, "c k k"]:
    """The part of a block-sparse matrix that belongs to each cluster; zero for padding.

    **Arguments:**

    - `clusters`: atoms of each cluster, of which those that are `missing` are padding.
    - `order`, `blocks`: all pairs of overlapping atoms as i n + j, sorted, and their blocks.
    - `n`: number of atoms.
    """
    c, m = clusters.shape
    p = blocks.shape[-1]
    wanted = clusters[:, :, None].astype(np.int64) * n + clusters[:, None, :]
    place = np.minimum(np.searchsorted(order, wanted), len(order) - 1)
    known = (order[place] == wanted) & ~missing[:, :, None] & ~missing[:, None, :]
    matrices = blocks[place]
    matrices[~known] = 0.0
    return np.swapaxes(matrices, 2, 3).reshape(c, m * p, m * p)


def _columns_of_inverse(
    matrices: Float[np.ndarray, "c k k"], missing: Bool[np.ndarray, "c m"], p: int
) -> Float[np.ndarray, "c k p"]:
    """The first atom's columns of the inverse of each cluster's matrix."""
    c, k, _ = matrices.shape
    padding = np.repeat(missing, p, axis=1)[:, :, None] * np.eye(k)
    first = np.broadcast_to(np.eye(k)[:, :p], (c, k, p))
    return _solved(matrices + padding, first)


def _solved(
    matrices: Float[np.ndarray, "c k k"], right: Float[np.ndarray, "c k r"]
) -> Float[np.ndarray, "c k r"]:
    """Solve positive definite systems, by halves (Schur's complement) until they are small.

    LAPACK takes several threads for matrices of a hundred rows, which then wait for each other most of the
    time; there are thousands of matrices, so it is kept to small ones.
    """
    k = matrices.shape[1]
    if k <= _ROWS_OF_LAPACK:
        return np.linalg.solve(matrices, right)
    h = k // 2
    beside = matrices[:, :h, h:]
    below = np.swapaxes(beside, 1, 2)
    solved = _solved(matrices[:, :h, :h], np.concatenate([beside, right[:, :h]], axis=2))
    of_beside, of_right = solved[:, :, : k - h], solved[:, :, k - h :]
    second = _solved(matrices[:, h:, h:] - below @ of_beside, right[:, h:] - below @ of_right)
    return np.concatenate([of_right - of_beside @ second, second], axis=1)
