"""How well images tell where atoms are: standard uncertainties of atoms' numbers.

The Gauss-Newton matrix of the atoms' numbers is what their images share, view by view. All of an atom's
image being Gaussians, that is analytic, as for maps (`gaussians.overlaps`) but in the two dimensions of an
image; a view is told of the atoms' numbers by what it shows of them:

    place in the image = P x,    variance in the image = P U Pᵀ + probe.

Pixels count by a mean of their weights about the place half-way between two atoms: for amplitudes by g²,
for places by the square of its slope, for widths by that of its Laplacian. Where counts are few, flanks
weigh much more than the bright middle. In a projection an atom overlaps with many at other depths, but with
each of them in few views: of the whole matrix, which is sparse, the inverse's diagonal blocks are the
covariances. It is inverted as a whole for up to `_WHOLE` atoms (half as many with matrices); beyond that
each atom's block is, as if its neighbours were known, and how much less certain they make it is sampled
(`tilt_series.sampled`).

What was known beforehand counts as information: of each place, and how much amplitudes of an element
scatter about their mean. The mean itself the images alone tell.

What views have for themselves is marginalised (`nuisances`), where the matrix is inverted as a whole; of
many atoms it is known far better than they are. What is not in it: widths that all atoms share, and the
probe.

Noise that is not white makes all of it less certain (`projection.colour`), and never more: what the fit
leaves is no evidence that noise is less where atoms are. If the fit has weighed frequencies by the noise,
so is what images share, in closed form.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.signal import oaconvolve
from scipy.spatial import cKDTree

from atomfit.gaussians.determined import determined
from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.options.tilt import TiltDisplacements
from atomfit.projection.colour import coloured_excess
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.nuisances import ViewBorder, border_of_view
from atomfit.projection.overlaps import (
    REACH,
    numbers_of_image,
    shared_by_alike,
    shared_by_shapes,
    weights_about,
)
from atomfit.projection.views import TiltSeries

#: Atoms whose matrix is inverted as a whole, if they have no more numbers than this many.
_WHOLE, _NUMBERS = 1000, 5000
#: Elements of U (11, 22, 33, 12, 13, 23) by the numbers of an atom's own.
_SHAPES: dict[TiltDisplacements, Float[np.ndarray, "6 s"]] = {
    "auto": np.zeros((6, 0)),
    "shared": np.zeros((6, 0)),
    "isotropic": np.array([[1.0], [1], [1], [0], [0], [0]]),
    "anisotropic": np.eye(6),
}
#: Pairs of one view that are reckoned with at a time.
_CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class ImageUncertainty:
    """Covariances of atoms that were fitted to images.

    **Fields:**

    - `covariances`: of x, y, z (Å²); NaN where one is not determined, as of what follows.
    - `shapes`: of each atom's own displacement (Å⁴): of none, of its variance, or of U (11, 22, 33, 12, 13,
        23).
    - `amplitudes`: standard uncertainties of amplitudes, if each atom has its own (image units x Å²).
    - `evidence`: by how much chi-square would be larger without each atom (see `selection.evidence`), where
        all places give way, and amplitudes that are not shared.
    - `excess`: by how much the residual's colour makes variances larger than white noise would; at least 1.
    - `whole`: whether the atoms' influence on each other is in it.
    - `views`: standard uncertainties of what was refined of the views, by name (radians, Å, 1, image
        units).
    """

    covariances: Float[np.ndarray, "n 3 3"]
    shapes: Float[np.ndarray, "n s s"]
    amplitudes: Float[np.ndarray, " n"]
    evidence: Float[np.ndarray, " n"]
    excess: float
    whole: bool
    views: dict[str, Float[np.ndarray, "v c"]] = field(default_factory=dict)

    @classmethod
    def of_nothing(cls) -> "ImageUncertainty":
        """Of no atoms."""
        return cls(np.zeros((0, 3, 3)), np.zeros((0, 0, 0)), np.zeros(0), np.zeros(0), 1.0, True)

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Standard uncertainties of x, y, z (Å)."""
        return _root(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def u_iso(self) -> Float[np.ndarray, " n"]:
        """Standard uncertainties of a third of the trace of U (Å²); NaN where atoms share a width."""
        s = self.shapes.shape[1]
        if not s:
            return np.full(len(self.shapes), np.nan)
        # Of an isotropic atom the one number is that already.
        of_trace = np.where(np.arange(s) < 3, 1 / min(s, 3), 0.0)
        return _root(np.einsum("a,nab,b->n", of_trace, self.shapes, of_trace))

    def less_certain(
        self, positions: Float[np.ndarray, " n"], amplitudes: Float[np.ndarray, " n"]
    ) -> "ImageUncertainty":
        """The same with the atoms' influence on each other in it, as factors on variances."""
        return replace(
            self,
            covariances=self.covariances * positions[:, None, None],
            shapes=self.shapes * amplitudes[:, None, None],
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
    displacements: TiltDisplacements = "shared",
    parts: Collection[str] = (),
    known_turns: float | None = None,
) -> ImageUncertainty:
    """Covariances of positions, displacements and amplitudes.

    **Arguments:**

    - `fitted`: the images and their fit.
    - `own_amplitudes`: each atom has its own; otherwise many share one, which is as good as known.
    - `known`: standard deviations of positions before the images were seen (Å; infinite for none).
    - `numbers`: atomic numbers; all atoms are of one element if None.
    - `known_amplitudes`: relative standard deviation of amplitudes about their element's mean. Evidence is
        what the images say, without it.
    - `displacements`: whether each atom has its own; one that many share is as good as known.
    - `parts`: what was refined of the views; the others are taken to be known.
    - `known_turns`: standard deviation of the views' rotations before the images were seen (degrees).
    """
    n, shape = len(fitted.positions), _SHAPES[displacements]
    q = 4 + shape.shape[1]
    scaled = fitted.residual * np.sqrt(fitted.precisions)
    seen = max(int(np.count_nonzero(np.any(fitted.precisions > 0, axis=(1, 2)))), 1)
    absorbed = 3 * n / seen, n / seen if own_amplitudes else 0.0
    excess = max(1.0, coloured_excess(scaled, fitted.series.pixel, fitted.spot, absorbed))
    by_pixels = None
    if fitted.colour is not None:
        # What an atom stands out by is asked of pixels, as scores are.
        told = (own_amplitudes, known, numbers, known_amplitudes, displacements)
        by_pixels = measure_uncertainty(replace(fitted, colour=None), *told)
    unit = excess if by_pixels is None else 1.0
    matrix, borders = _shared_information(fitted, shape, parts=parts)
    matrix = matrix / unit
    own = np.zeros((n, q))
    if known is not None:
        own[:, :3] = known**-2.0
    # What images do not show at all gets a finite number, so that there is an inverse; it is left out.
    own += 1e-9 * matrix.diagonal().reshape(n, q).mean(axis=0)
    matrix = (matrix + sparse.diags(own.ravel())).tocsr()
    blocks = _inverse_blocks(matrix, q)
    others, of_strength = blocks[:, :-1, :-1], np.linalg.inv(blocks)[:, -1, -1]
    if not own_amplitudes:
        others, of_strength = _with_shared_amplitudes(matrix, q)
    evidence = fitted.amplitudes**2 * of_strength if by_pixels is None else by_pixels.evidence
    if own_amplitudes and known_amplitudes is not None:
        members = np.zeros(n, int) if numbers is None else numbers
        alike = _alike(fitted.amplitudes, members, known_amplitudes)
        of_amplitude = np.diag(np.arange(q) == q - 1).astype(float)
        matrix = (matrix + sparse.kron(alike, of_amplitude)).tocsr()
        blocks = _inverse_blocks(matrix, q)
        others = blocks[:, :-1, :-1]
    of_views: dict[str, np.ndarray] = {}
    if borders:
        turns = None if known_turns is None else np.radians(known_turns)
        border = ViewBorder.joined(borders, unit, turns)
        free = np.tile(np.arange(q) < (q if own_amplitudes else q - 1), n)
        lifts, variances = border.chosen(free).lifts(np.linalg.inv(matrix.toarray()[np.ix_(free, free)]))
        lifts = lifts.reshape(n, -1, lifts.shape[1])
        added = lifts @ np.swapaxes(lifts, 1, 2)
        others = others + added[:, : q - 1, : q - 1]
        if own_amplitudes:
            blocks = blocks + added
        of_views = border.deviations(variances, len(fitted.gains))
    places = determined(others[:, :3, :3], np.full((n, 3), np.sqrt(fitted.width)))
    shapes = determined(others[:, 3:, 3:], np.full((n, q - 4), fitted.width))
    amplitudes = determined(blocks[:, -1:, -1:], np.abs(fitted.amplitudes)[:, None])[:, 0, 0]
    return ImageUncertainty(
        places, shapes, _root(amplitudes), evidence, excess, _as_a_whole(n, q), of_views
    )


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
    matrix: sparse.csr_matrix, q: int
) -> tuple[Float[np.ndarray, "n p p"], Float[np.ndarray, " n"]]:
    """Covariances of other numbers, and information on each amplitude, where the others do not give way.

    All other numbers do: the information that they leave is a Schur complement.
    """
    numbers = np.arange(matrix.shape[0]).reshape(-1, q)
    p, of_places, of_amplitudes = q - 1, numbers[:, :-1].ravel(), numbers[:, -1]
    between = matrix[of_places]
    alone, crossed = between[:, of_places], between[:, of_amplitudes]
    known = matrix.diagonal()[of_amplitudes]
    if _as_a_whole(len(numbers), q):
        inverse, dense = np.linalg.inv(alone.toarray()), crossed.toarray()
        atoms = np.arange(len(numbers))
        places = inverse.reshape(len(numbers), p, len(numbers), p)[atoms, :, atoms]
        return places, known - np.einsum("ai,ai->i", dense, inverse @ dense)
    places = _inverse_blocks(alone, p)
    own = np.stack([crossed[k::p].diagonal() for k in range(p)], axis=1)
    return places, known - np.einsum("na,nab,nb->n", own, places, own)


def _as_a_whole(n: int, q: int) -> bool:
    """Whether so many atoms with so many numbers each can be inverted together."""
    return n <= _WHOLE and n * q <= _NUMBERS


def _inverse_blocks(matrix: sparse.csr_matrix, size: int) -> Float[np.ndarray, "n q q"]:
    """Diagonal blocks of the inverse; of a large matrix, the inverses of its diagonal blocks."""
    n = matrix.shape[0] // size
    if _as_a_whole(n, size):
        inverse = np.linalg.inv(matrix.toarray()).reshape(n, size, n, size)
        return inverse[np.arange(n), :, np.arange(n)]
    blocked = matrix.tobsr((size, size))
    rows = np.repeat(np.arange(n), np.diff(blocked.indptr))
    return np.linalg.inv(blocked.data[rows == blocked.indices])


def information_alone(fitted: FittedSeries) -> Float[np.ndarray, "n 4 4"]:
    """What images tell of each atom's x, y, z and amplitude, were the others known."""
    matrix, _ = _shared_information(fitted, _SHAPES["shared"], together=False)
    return np.asarray(matrix.tobsr((4, 4)).data)


def _shared_information(
    fitted: FittedSeries,
    shape: Float[np.ndarray, "6 s"],
    together: bool = True,
    parts: Collection[str] = (),
) -> tuple[sparse.csr_matrix, list[ViewBorder]]:
    """JᵀWJ of all atoms' numbers, and the borders of views whose parts were refined.

    Without what atoms share, and borders, if there are many or it is not asked for.
    """
    series, spot = fitted.series, fitted.spot if fitted.bare is None else fitted.bare
    positions, amplitudes = fitted.positions, fitted.amplitudes
    n, q, area = len(positions), 4 + shape.shape[1], series.pixel**2
    alike = fitted.wider is None and not shape.size
    wider = np.zeros((n, 3, 3)) if fitted.wider is None else fitted.wider
    sums = spot.variances[:, None] + spot.variances
    products = np.outer(spot.weights, spot.weights)
    unique = np.triu_indices(len(spot.weights))
    variances = sums[unique]
    shares = np.where(unique[0] == unique[1], 1.0, 2.0) * products[unique]
    extent = np.linalg.eigvalsh(wider)
    flat = 1.0
    if fitted.colour is not None:
        narrowest = float(variances.min() + 2 * extent.min(initial=0.0))
        by_colour = fitted.colour.gaussians(fitted.spot, narrowest)
        variances = np.add.outer(variances, by_colour.variances).ravel()
        shares = np.outer(shares, by_colour.weights).ravel()
        flat = 1 / float(fitted.colour.power[0])
    # Higher derivatives reach farther, and so do wider atoms and weights of frequencies.
    more = 0.0 if alike else float(extent.max(initial=0.0))
    plain = alike and fitted.colour is None
    reach = REACH * float(np.sqrt(fitted.width + more)) * (1.0 if plain else 1.3)
    together = together and _as_a_whole(n, q)
    total, borders = sparse.csr_matrix((q * n, q * n)), []
    kernels = weights_about(fitted.spot, series.pixel, max(series.shape))
    for k, gain in enumerate(fitted.gains):
        if not fitted.precisions[k].any():
            continue
        about = [oaconvolve(fitted.precisions[k], kernel, mode="same") for kernel in kernels]
        weights = gain**2 / area * np.maximum(about, 0)
        plane = series.views.rotations[k, :2]
        seen = (positions - series.centre) @ plane.T
        # In many views an atom overlaps with thousands of others: too many to keep.
        pairs = np.zeros((0, 2), int)
        if together:
            pairs = cKDTree(seen).query_pairs(reach, output_type="ndarray")
        first = np.concatenate([np.arange(n), pairs[:, 0]])
        second = np.concatenate([np.arange(n), pairs[:, 1]])
        values = []
        for begin in range(0, len(first), _CHUNK):
            i, j = first[begin : begin + _CHUNK], second[begin : begin + _CHUNK]
            column, row = _nearest(0.5 * (seen[i] + seen[j]), series, k)
            told = np.sqrt(weights[:, row, column]).T
            pair = seen[i] - seen[j], amplitudes[i], amplitudes[j]
            if alike:
                values.append(shared_by_alike(*pair, variances, shares, plane, told[:, :2]))
            else:
                shapes = plane @ (wider[i] + wider[j]) @ plane.T
                onto = numbers_of_image(plane, shape)
                single = partial(fitted.scattering.overlap, derivatives_of_gaussian, mine=i, theirs=j)
                values.append(shared_by_shapes(*pair, shapes, variances, shares, onto, told, single))
        blocks = np.concatenate(values)
        off = np.arange(len(first)) >= n
        rows = np.concatenate([first, second[off]])
        columns = np.concatenate([second, first[off]])
        blocks = np.concatenate([blocks, np.swapaxes(blocks[off], 1, 2)])
        order = np.lexsort((columns, rows))
        starts = np.searchsorted(rows[order], np.arange(n + 1))
        view = sparse.bsr_matrix((blocks[order], columns[order], starts), shape=(q * n, q * n))
        total = total + view.tocsr()
        if together and parts:
            column, row = _nearest(seen, series, k)
            borders.append(
                border_of_view(fitted, k, view.tocsr(), weights[1, row, column] / gain**2, parts, flat)
            )
    return total, borders


def _nearest(seen: Float[np.ndarray, "p 2"], series: TiltSeries, view: int) -> Int[np.ndarray, "2 p"]:
    """Column and row of the pixels nearest to places in an image (Å)."""
    middle = np.rint(seen / series.pixel + series.views.centres[view]).astype(int)
    return np.clip(middle, 0, np.array(series.shape[::-1]) - 1).T


def _root(variances: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Standard deviations; NaN where a matrix is singular but for rounding."""
    return np.sqrt(np.where(variances > 0, variances, np.nan))
