"""How well images tell where atoms are: standard uncertainties of positions and amplitudes.

The Gauss-Newton matrix of the atoms' positions and amplitudes is what their images share, view by view.
All of an atom's image being Gaussians, that is analytic: with O(d) the overlap of two atoms' images, d
apart,

    <∂_a g_i, ∂_b g_j> = -∂_a∂_b O,    <∂_a g_i, g_j> = ∂_a O,    <g_i, g_j> = O,

where derivatives of g are by the atoms' places in the image. Pixels count by a mean of their weights
about the place half-way between the two: for amplitudes by g², for places by the square of its slope.
Where counts are few, flanks weigh much more than the bright middle. In a projection an atom overlaps with
many at other depths, but with each of them in few views: of the whole matrix, which is sparse, the
inverse's diagonal blocks are the covariances. It is inverted as a whole for up to `_WHOLE` atoms; beyond
that each atom's block is, as if its neighbours were known, and how much less certain they make it is
sampled (`projection.sampled`).

What was known beforehand counts as information: of each place, and how much amplitudes of an element
scatter about their mean. The mean itself the images alone tell.

What is not in it: widths, probe and the views' own numbers, which all atoms share.

Noise that is not white makes all of it less certain (`projection.colour`), and never more: what the fit
leaves is no evidence that noise is less where atoms are.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.signal import oaconvolve
from scipy.spatial import cKDTree

from atomfit.fitting.determined import determined
from atomfit.projection.colour import coloured_excess
from atomfit.projection.fitted import FittedSeries
from atomfit.structure.scattering import GaussianMixture

#: Atoms whose matrix is inverted as a whole.
_WHOLE = 1000
#: Images overlap up to so many widths.
_REACH = 3.5
#: Pairs of one view that are reckoned with at a time.
_CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class ImageUncertainty:
    """Covariances of atoms that were fitted to images.

    **Fields:**

    - `covariances`: of x, y, z (Å²); NaN where one is not determined, as of amplitudes.
    - `amplitudes`: standard uncertainties of amplitudes, if each atom has its own (image units x Å²).
    - `evidence`: by how much chi-square would be larger without each atom (see `selection.evidence`), where
        all places give way, and amplitudes that are not shared.
    - `excess`: by how much the residual's colour makes variances larger than white noise would; at least 1.
    - `whole`: whether the atoms' influence on each other is in it.
    """

    covariances: Float[np.ndarray, "n 3 3"]
    amplitudes: Float[np.ndarray, " n"]
    evidence: Float[np.ndarray, " n"]
    excess: float
    whole: bool

    @classmethod
    def of_nothing(cls) -> "ImageUncertainty":
        """Of no atoms."""
        return cls(np.zeros((0, 3, 3)), np.zeros(0), np.zeros(0), 1.0, True)

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Standard uncertainties of x, y, z (Å)."""
        return _root(np.diagonal(self.covariances, axis1=1, axis2=2))

    def less_certain(
        self, positions: Float[np.ndarray, " n"], amplitudes: Float[np.ndarray, " n"]
    ) -> "ImageUncertainty":
        """The same with the atoms' influence on each other in it, as factors on variances."""
        return replace(
            self,
            covariances=self.covariances * positions[:, None, None],
            amplitudes=self.amplitudes * np.sqrt(amplitudes),
            evidence=self.evidence / amplitudes,
            whole=True,
        )


def measure_uncertainty(
    fitted: FittedSeries,
    own_amplitudes: bool = True,
    known: Float[np.ndarray, "n 3"] | None = None,
    numbers: Int[np.ndarray, " n"] | None = None,
    known_amplitudes: float | None = None,
) -> ImageUncertainty:
    """Covariances of positions and amplitudes.

    **Arguments:**

    - `fitted`: the images and their fit.
    - `own_amplitudes`: each atom has its own; otherwise many share one, which is as good as known.
    - `known`: standard deviations of positions before the images were seen (Å; infinite for none).
    - `numbers`: atomic numbers; all atoms are of one element if None.
    - `known_amplitudes`: relative standard deviation of amplitudes about their element's mean. Evidence is
        what the images say, without it.
    """
    n = len(fitted.positions)
    scaled = fitted.residual * np.sqrt(fitted.precisions)
    seen = max(int(np.count_nonzero(np.any(fitted.precisions > 0, axis=(1, 2)))), 1)
    absorbed = 3 * n / seen, n / seen if own_amplitudes else 0.0
    excess = max(1.0, coloured_excess(scaled, fitted.series.pixel, fitted.spot, absorbed))
    matrix = _shared_information(fitted) / excess
    own = np.zeros((n, 4))
    if known is not None:
        own[:, :3] = known**-2.0
    # What images do not show at all gets a finite number, so that there is an inverse; it is left out.
    own += 1e-9 * matrix.diagonal().reshape(n, 4).mean(axis=0)
    matrix = (matrix + sparse.diags(own.ravel())).tocsr()
    blocks = _inverse_blocks(matrix, 4)
    places, of_strength = blocks[:, :3, :3], np.linalg.inv(blocks)[:, 3, 3]
    if not own_amplitudes:
        places, of_strength = _with_shared_amplitudes(matrix)
    evidence = fitted.amplitudes**2 * of_strength
    if own_amplitudes and known_amplitudes is not None:
        members = np.zeros(n, int) if numbers is None else numbers
        alike = _alike(fitted.amplitudes, members, known_amplitudes)
        blocks = _inverse_blocks((matrix + sparse.kron(alike, np.diag([0, 0, 0, 1]))).tocsr(), 4)
        places = blocks[:, :3, :3]
    places = determined(places, np.full((n, 3), np.sqrt(fitted.width)))
    amplitudes = determined(blocks[:, 3:, 3:], np.abs(fitted.amplitudes)[:, None])[:, 0, 0]
    return ImageUncertainty(places, _root(amplitudes), evidence, excess, n <= _WHOLE)


def _alike(
    amplitudes: Float[np.ndarray, " n"], numbers: Int[np.ndarray, " n"], relative: float
) -> sparse.csr_matrix:
    """Information on amplitudes that scatter about their element's mean, which is not known.

    Of many atoms only the diagonal is used, and made.
    """
    _, members, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    deviations = relative * np.abs(np.bincount(members, amplitudes) / counts)
    precisions = np.maximum(deviations, 1e-30)[members] ** -2.0
    if len(amplitudes) > _WHOLE:
        return sparse.diags(precisions * (1 - 1 / counts[members])).tocsr()
    same = members[:, None] == members
    return sparse.csr_matrix(precisions[:, None] * (np.eye(len(members)) - same / counts[members]))


def _with_shared_amplitudes(
    matrix: sparse.csr_matrix,
) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, " n"]]:
    """Covariances of places, and information on each atom's amplitude, where the others' do not give way.

    All places do: the information that they leave is a Schur complement.
    """
    numbers = np.arange(matrix.shape[0]).reshape(-1, 4)
    of_places, of_amplitudes = numbers[:, :3].ravel(), numbers[:, 3]
    between = matrix[of_places]
    alone, crossed = between[:, of_places], between[:, of_amplitudes]
    known = matrix.diagonal()[of_amplitudes]
    if len(numbers) <= _WHOLE:
        inverse, dense = np.linalg.inv(alone.toarray()), crossed.toarray()
        atoms = np.arange(len(numbers))
        places = inverse.reshape(len(numbers), 3, len(numbers), 3)[atoms, :, atoms]
        return places, known - np.einsum("ai,ai->i", dense, inverse @ dense)
    places = _inverse_blocks(alone, 3)
    own = np.stack([crossed[k::3].diagonal() for k in range(3)], axis=1)
    return places, known - np.einsum("na,nab,nb->n", own, places, own)


def _inverse_blocks(matrix: sparse.csr_matrix, size: int) -> Float[np.ndarray, "n q q"]:
    """Diagonal blocks of the inverse; of a large matrix, the inverses of its diagonal blocks."""
    n = matrix.shape[0] // size
    if n <= _WHOLE:
        inverse = np.linalg.inv(matrix.toarray()).reshape(n, size, n, size)
        return inverse[np.arange(n), :, np.arange(n)]
    blocked = matrix.tobsr((size, size))
    rows = np.repeat(np.arange(n), np.diff(blocked.indptr))
    return np.linalg.inv(blocked.data[rows == blocked.indices])


def information_alone(fitted: FittedSeries) -> Float[np.ndarray, "n 4 4"]:
    """What images tell of each atom's x, y, z and amplitude, were the others known."""
    blocked = _shared_information(fitted, 0).tobsr((4, 4))
    return np.asarray(blocked.data)


def _shared_information(fitted: FittedSeries, whole: int = _WHOLE) -> sparse.csr_matrix:
    """JᵀWJ of positions and amplitudes, atom by atom; without what more atoms than `whole` share."""
    series, spot = fitted.series, fitted.spot
    positions, amplitudes = fitted.positions, fitted.amplitudes
    n, area = len(positions), series.pixel**2
    together = spot.variances[:, None] + spot.variances
    products = np.outer(spot.weights, spot.weights)
    unique = np.triu_indices(len(spot.weights))
    variances = together[unique]
    shares = np.where(unique[0] == unique[1], 1.0, 2.0) * products[unique]
    reach = _REACH * float(np.sqrt(fitted.width))
    total = sparse.csr_matrix((4 * n, 4 * n))
    kernels = _kernels(spot, series.pixel, max(series.shape))
    for k, gain in enumerate(fitted.gains):
        if not fitted.precisions[k].any():
            continue
        about = [oaconvolve(fitted.precisions[k], kernel, mode="same") for kernel in kernels]
        weights = gain**2 / area * np.maximum(about, 0)
        plane = series.views.rotations[k, :2]
        seen = (positions - series.centre) @ plane.T
        # In many views an atom overlaps with thousands of others: too many to keep.
        pairs = np.zeros((0, 2), int)
        if n <= whole:
            pairs = cKDTree(seen).query_pairs(reach, output_type="ndarray")
        first = np.concatenate([np.arange(n), pairs[:, 0]])
        second = np.concatenate([np.arange(n), pairs[:, 1]])
        values = []
        for begin in range(0, len(first), _CHUNK):
            i, j = first[begin : begin + _CHUNK], second[begin : begin + _CHUNK]
            middle = np.rint(0.5 * (seen[i] + seen[j]) / series.pixel + series.views.centres[k]).astype(int)
            column, row = np.clip(middle, 0, np.array(series.shape[::-1]) - 1).T
            blocks = _block(seen[i] - seen[j], amplitudes[i], amplitudes[j], variances, shares, plane)
            of_slope, of_spot = np.sqrt(weights[:, row, column])
            each = np.stack([of_slope, of_slope, of_slope, of_spot], axis=1)
            values.append((each[:, :, None] * each[:, None, :] * blocks).astype(np.float64))
        blocks = np.concatenate(values)
        off = np.arange(len(first)) >= n
        rows = np.concatenate([first, second[off]])
        columns = np.concatenate([second, first[off]])
        blocks = np.concatenate([blocks, np.swapaxes(blocks[off], 1, 2)])
        order = np.lexsort((columns, rows))
        starts = np.searchsorted(rows[order], np.arange(n + 1))
        view = sparse.bsr_matrix((blocks[order], columns[order], starts), shape=(4 * n, 4 * n))
        total = total + view.tocsr()
    return total


def _kernels(spot: GaussianMixture, pixel: float, most: int) -> list[Float[np.ndarray, "k k"]]:
    """How much pixels about an atom tell of its place, by its slope, and of its amplitude.

    Both sum to one, and reach no farther than so many pixels.
    """
    # No narrower than a pixel, so that there is a slope.
    variances = np.maximum(spot.variances, pixel**2 / 12)
    reach = min(int(np.ceil(_REACH * float(np.sqrt(variances.max())) / pixel)), most)
    square = pixel**2 * np.sum((np.indices((2 * reach + 1,) * 2) - reach) ** 2, axis=0)
    each = np.exp(-square[..., None] / (2 * variances))
    slope, height = each @ (spot.weights / variances**2), each @ (spot.weights / variances)
    return [told / told.sum() for told in (square * slope**2, height**2)]


def _block(
    apart: Float[np.ndarray, "p 2"],
    first: Float[np.ndarray, " p"],
    second: Float[np.ndarray, " p"],
    variances: Float[np.ndarray, " k"],
    shares: Float[np.ndarray, " k"],
    plane: Float[np.ndarray, "2 3"],
) -> Float[np.ndarray, "p 4 4"]:
    """What two atoms' images share: derivatives by x, y, z, and the images themselves."""
    square = np.sum(apart**2, axis=1)
    terms = shares / (2 * np.pi * variances) * np.exp(-square[:, None] / (2 * variances))
    overlap, slope, bend = (terms @ variances ** (-float(power)) for power in range(3))
    outer = apart[:, :, None] * apart[:, None, :]
    second_derivatives = bend[:, None, None] * outer - slope[:, None, None] * np.eye(2)
    gradient = -slope[:, None] * apart
    block = np.zeros((len(apart), 4, 4))
    block[:, :3, :3] = -(first * second)[:, None, None] * (plane.T @ second_derivatives @ plane)
    block[:, :3, 3] = first[:, None] * (gradient @ plane)
    block[:, 3, :3] = -second[:, None] * (gradient @ plane)
    block[:, 3, 3] = overlap
    return block


def _root(variances: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Standard deviations; NaN where a matrix is singular but for rounding."""
    return np.sqrt(np.where(variances > 0, variances, np.nan))
