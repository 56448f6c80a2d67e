"""An expansion of an image in, how likely heights are together out: energies of columns and of pairs.

Near a state the electrons that are expected are those of the state, plus each column's change to another
height, plus derivatives times numbers that are not known: where columns are, where they begin, how high
light ones are, and all conditions. With a Gaussian prior of these they are integrated out in closed form
(W: inverse variances, A = Jᵀ W J + P⁻¹),

    log p(heights) = bᵀ s - ½ sᵀ K s,   K = Fᵀ W F - C ᵀ A⁻¹ C,   C = Jᵀ W F,

with s one change of each column or none. What a single column changes is taken from Poisson's law itself.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree

from atomfit.column_heights.expansion import Stamps

#: Of what is expected, how little can be left by a change.
_LEAST = 0.05


@dataclass(frozen=True, eq=False)
class Measured:
    """An image beside what is expected of it, margins included.

    **Fields:**

    - `counts`: electrons; 0 in the margins.
    - `mean`: that are expected.
    - `weights`: 1 / sqrt of the variance of each pixel; 0 in the margins.
    """

    counts: Float[np.ndarray, "rows columns"]
    mean: Float[np.ndarray, "rows columns"]
    weights: Float[np.ndarray, "rows columns"]

    @property
    def residual(self) -> Float[np.ndarray, "rows columns"]:
        """What is left, in standard deviations."""
        return (self.counts - self.mean) * self.weights


@dataclass(frozen=True, eq=False)
class Pairwise:
    """Energies of heights, and what nuisances are where these are known.

    **Fields:**

    - `unary`: log probability of each column's states, alone.
    - `coupling`: K between states of different columns.
    - `matrix`: A, factorised.
    - `slope`: Jᵀ W r + P⁻¹ t₀.
    - `shared`: C.
    """

    unary: Float[np.ndarray, "columns states"]
    coupling: Float[np.ndarray, "columns_states columns_states"]
    matrix: tuple[np.ndarray, bool]
    slope: Float[np.ndarray, " nuisances"]
    shared: Float[np.ndarray, "nuisances columns_states"]

    def nuisances(self, chosen: Float[np.ndarray, "columns states"]) -> Float[np.ndarray, " nuisances"]:
        """Their mean, by how likely each state is."""
        return cho_solve(self.matrix, self.slope - self.shared @ chosen.ravel())

    def variances(self, draws: Int[np.ndarray, "draws columns"]) -> Float[np.ndarray, " nuisances"]:
        """Of nuisances: where heights are known, and as heights vary (the law of total variance).

        **Arguments:**

        - `draws`: states of all columns.
        """
        states = self.unary.shape[1]
        within = np.diag(cho_solve(self.matrix, np.eye(len(self.slope))))
        by_state = cho_solve(self.matrix, self.shared)
        each = by_state[:, np.arange(draws.shape[1]) * states + draws].sum(axis=2)
        return within + each.var(axis=1)


def cut(image: Float[np.ndarray, "rows columns"], of: Stamps) -> Float[np.ndarray, "c size size"]:
    """An image where stamps are; 0 beyond it.

    **Arguments:**

    - `image`: with margins.
    - `of`: the stamps.
    """
    size = of.values.shape[-1]
    wide = np.pad(image, size)
    found = np.zeros((len(of.corners), size, size), wide.dtype)
    for one, (r, c) in zip(found, of.corners, strict=True):
        one[:] = wide[r + size : r + 2 * size, c + size : c + 2 * size]
    return found


def weighted(of: Stamps, measured: Measured) -> Stamps:
    """Stamps in standard deviations.

    **Arguments:**

    - `of`, `measured`: changes, and the image.
    """
    weights = cut(measured.weights, of).astype(np.float32)
    return Stamps(of.columns, of.corners, of.values * weights[:, None])


def poisson(of: Stamps, measured: Measured, kinds: int) -> Float[np.ndarray, "c kinds"]:
    """By how much the image is likelier with each change.

    **Arguments:**

    - `of`: changes in electrons.
    - `measured`: the image.
    - `kinds`: how many of the stamps' kinds, from the first.
    """
    counts, mean, weights = (cut(x, of) for x in (measured.counts, measured.mean, measured.weights))
    inside, mean = weights > 0, np.maximum(mean, 1e-6)
    # Noise of more than Poisson's variance tells less.
    worth = np.where(inside, weights**2 * mean, 0)[:, None]
    ratio = np.maximum(of.values[:, :kinds] / mean[:, None], _LEAST - 1)
    told = worth * (counts[:, None] * np.log1p(ratio) - of.values[:, :kinds])
    return told.sum(axis=(2, 3), dtype=np.float64)


def overlaps(a: Stamps, b: Stamps, places: tuple[np.ndarray, np.ndarray], same: bool) -> np.ndarray:
    """Inner products of all changes of columns that overlap: [columns of a, kinds, columns of b, kinds].

    **Arguments:**

    - `a`, `b`: weighted stamps.
    - `places`: of their columns (pixels).
    - `same`: whether they are the same columns with the same changes.
    """
    na, ka, size_a, _ = a.values.shape
    nb, kb, size_b, _ = b.values.shape
    found = np.zeros((na, ka, nb, kb))
    near = cKDTree(places[0]).query_ball_tree(cKDTree(places[1]), 0.5 * (size_a + size_b))
    for i in range(na):
        for j in near[i]:
            if same and j < i:
                continue
            d = b.corners[j] - a.corners[i]
            low, high = np.maximum(d, 0), np.minimum(d + size_b, size_a)
            if np.any(low >= high):
                continue
            one = a.values[i, :, low[0] : high[0], low[1] : high[1]].reshape(ka, -1)
            low, high = low - d, high - d
            other = b.values[j, :, low[0] : high[0], low[1] : high[1]].reshape(kb, -1)
            found[i, :, j] = one @ other.T
            if same:
                found[j, :, i] = found[i, :, j].T
    return found


@dataclass(frozen=True, eq=False)
class Nuisances:
    """Numbers that are integrated out, all columns' and the conditions'.

    **Fields:**

    - `precision`: of their prior.
    - `towards`: P⁻¹ times where the prior's middle is, from the state.
    """

    precision: Float[np.ndarray, "k k"]
    towards: Float[np.ndarray, " k"]


def pairwise(
    heavy: Stamps,
    light: Stamps,
    images: Float[np.ndarray, "k rows columns"],
    measured: Measured,
    states: int,
    nuisances: Nuisances,
) -> Pairwise:
    """Integrate out what is not known.

    **Arguments:**

    - `heavy`: changes of heavy columns: first those to other heights, then derivatives.
    - `light`: derivatives of light columns.
    - `images`: derivatives of the whole image.
    - `measured`: the image.
    - `states`: how many of the first are to other heights.
    - `nuisances`: what is known of the rest: derivatives of `heavy`, of `light`, of `images`.
    """
    alone = poisson(heavy, measured, states)
    h, o = weighted(heavy, measured), weighted(light, measured)
    at = tuple(one.corners + 0.5 * one.values.shape[-1] for one in (h, o))
    n, m, kinds, few = len(h.columns), len(o.columns), h.values.shape[1], o.values.shape[1]
    hh = overlaps(h, h, (at[0], at[0]), True)
    hl = overlaps(h, o, (at[0], at[1]), False).reshape(n, kinds, m * few)
    ll = overlaps(o, o, (at[1], at[1]), True).reshape(m * few, m * few)
    scaled = images * measured.weights.astype(np.float32)
    hg = np.stack([_against(h, one) for one in scaled], axis=-1)
    lg = np.stack([_against(o, one) for one in scaled], axis=-1).reshape(m * few, len(scaled))
    flat = scaled.reshape(len(scaled), -1)
    gg = (flat @ flat.T).astype(np.float64)
    own = kinds - states
    local = hh[:, states:, :, states:].reshape(n * own, n * own)
    a_hl = hl[:, states:].reshape(n * own, m * few)
    a_hg = hg[:, states:].reshape(n * own, -1)
    information = np.block([[local, a_hl, a_hg], [a_hl.T, ll, lg], [a_hg.T, lg.T, gg]])
    shared = np.concatenate(
        [
            hh[:, states:, :, :states].reshape(n * own, n * states),
            hl[:, :states].reshape(n * states, m * few).T,
            hg[:, :states].reshape(n * states, -1).T,
        ]
    )
    residual = measured.residual
    slope = np.concatenate(
        [
            _against(h, residual)[:, states:].ravel(),
            _against(o, residual).ravel(),
            flat @ residual.ravel(),
        ]
    )
    matrix = cho_factor(information + nuisances.precision, lower=True)
    slope = slope + nuisances.towards
    solved = cho_solve(matrix, shared)
    coupling = hh[:, :states, :, :states].reshape(n * states, n * states) - shared.T @ solved
    unary = alone - (solved.T @ slope).reshape(n, states)
    block = coupling.reshape(n, states, n, states)
    every = np.arange(n)
    # The diagonal of Fᵀ W F is in Poisson's law.
    unary = unary + 0.5 * np.einsum("kn,kn->n", shared, solved).reshape(n, states)
    block[every, :, every, :] = 0
    return Pairwise(
        np.pad(unary, ((0, 0), (1, 0))),
        _with_none(coupling, n, states),
        matrix,
        slope,
        _columns_with_none(shared, n, states),
    )


def _against(of: Stamps, image: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "c kinds"]:
    return np.einsum("ckrs,crs->ck", of.values, cut(image, of).astype(np.float32)).astype(np.float64)


def _with_none(coupling: np.ndarray, n: int, states: int) -> np.ndarray:
    """With a first state that changes nothing."""
    wide = np.zeros((n, states + 1, n, states + 1))
    wide[:, 1:, :, 1:] = coupling.reshape(n, states, n, states)
    return wide.reshape(n * (states + 1), -1)


def _columns_with_none(shared: np.ndarray, n: int, states: int) -> np.ndarray:
    wide = np.zeros((len(shared), n, states + 1))
    wide[:, :, 1:] = shared.reshape(len(shared), n, states)
    return wide.reshape(len(shared), -1)
