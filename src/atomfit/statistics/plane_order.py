"""Order of alloys, column by column: the probability of each variant and of disorder, from cross-sections.

A column of cross-section σ_i is compared with what its neighbours have on average, T_i, as thickness
changes slowly and order from one column to the next:

    σ_i = T_i (1 + η e_z(i)) (1 + error),

e_z is the excess of the class of site i in variant z (`plane_variants`), zero in disorder, and η the
contrast of the two elements. T, or its square, whichever suits the particle, is a plane fitted around each
column, without the column, to neighbours of all classes, each divided by what its own state makes of it.
The error has three parts: that of the cross-section, that of T, and composition, since a column of n atoms
of an alloy varies as 1/√n. How much it does is found apart for order and disorder. In order a column may
be an antisite, its excess that of the other element.

Neighbours tend to be of one variant (`plane_potts`). η, compositional spread, part of antisites and
coupling are found with the states in turns (stochastic EM); then they are kept, and samples give
probabilities, the ordered part and its standard uncertainty. Domains of one variant, and boundaries
between, follow from the likeliest states.

If there is no contrast between classes beyond what composition makes, nothing is called ordered.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from atomfit.statistics.limits import LIMITS
from atomfit.statistics.plane_domains import PlaneDomains
from atomfit.statistics.plane_potts import coupling_of, sample
from atomfit.statistics.plane_variants import Superstructure, Variants, variants
from atomfit.support.errors import InputError

#: Width of the kernel of T in spacings, and where it ends, in widths.
_KERNEL, _REACH = 1.3, 2.3
#: What of T is a plane: T where facets end a particle, its square where it is round.
_POWERS = (1.0, 2.0)
#: Relative error of a T that nothing is known of.
_UNKNOWN = 1e3
_ROUNDS, _SWEEPS, _LAST = 25, 4, 300


@dataclass(frozen=True, eq=False)
class PlaneOrder:
    """Of the m columns of one domain that could be judged.

    **Fields:**

    - `columns`: which.
    - `probabilities`: of disorder (the first) and of each variant.
    - `variants`: what these are.
    - `states`: the likeliest; 0 for disorder.
    - `contrasts`, `contrast_errors`: σ / T - 1, and its standard uncertainty without composition.
    - `antisite`: probability that a column is of the element that its variant has elsewhere.
    - `fraction`, `fraction_esd`: of the columns that are ordered, and its standard uncertainty.
    - `contrast`: η.
    - `coupling`: J of the Potts model.
    - `domains`: numbers of connected parts of one variant; -1 in disorder.
    - `boundaries`: pairs of neighbours of different variants.
    - `antiphase`: which of these differ by a translation; the axes turn at others.
    """

    columns: Int[np.ndarray, " m"]
    probabilities: Float[np.ndarray, "m v"]
    variants: Variants
    states: Int[np.ndarray, " m"]
    contrasts: Float[np.ndarray, " m"]
    contrast_errors: Float[np.ndarray, " m"]
    antisite: Float[np.ndarray, " m"]
    fraction: float
    fraction_esd: float
    contrast: float
    coupling: float
    domains: Int[np.ndarray, " m"]
    boundaries: Int[np.ndarray, "b 2"]
    antiphase: Bool[np.ndarray, " b"]


def measure_order(
    positions: Float[np.ndarray, "n 2"],
    domains: PlaneDomains,
    cross_sections: Float[np.ndarray, " n"],
    errors: Float[np.ndarray, " n"],
    structure: Superstructure,
    seed: int = 0,
) -> tuple[PlaneOrder | None, ...]:
    """Order in each domain; None in those that are too small, or whose cell has more than two columns.

    **Arguments:**

    - `positions`: of all columns (Å).
    - `domains`: of the same columns.
    - `cross_sections`, `errors`: of these, and their standard uncertainties, both in any unit. Columns that
        lack either are not judged.
    - `structure`: of the ordered phase.
    - `seed`: of the samples.

    **Raises:** `InputError` for errors that are not positive.
    """
    if np.any(errors[np.isfinite(errors)] <= 0):
        raise InputError(
            "not all errors of cross-sections are positive", "give NaN where they are not known"
        )
    rng, found = np.random.default_rng(seed), list[PlaneOrder | None]()
    for lattice in domains.lattices:
        own = lattice.columns
        good = np.isfinite(cross_sections[own]) & np.isfinite(errors[own])
        which = variants(lattice, structure)
        if which is None or good.sum() < LIMITS.order_columns:
            found.append(None)
            continue
        which = Variants(which.classes[good], which.excess, which.kinds)
        colours = lattice.sites[good] % 2 @ [2, 1] + 4 * lattice.sublattices[good]
        columns = own[good]
        model = _Model(
            positions[columns], cross_sections[columns], errors[columns], which, colours, domains.spacing
        )
        found.append(model.fit(columns, rng))
    return tuple(found)


class _Model:
    """The columns of a domain, and what is found of them in turns."""

    def __init__(
        self,
        positions: np.ndarray,
        values: np.ndarray,
        errors: np.ndarray,
        which: Variants,
        colours: np.ndarray,
        spacing: float,
    ) -> None:
        self.values, self.errors, self.variants, self.colours = values, errors, which, colours
        tree = cKDTree(positions)
        self.pairs = tree.query_pairs(LIMITS.plane_bond * spacing, output_type="ndarray")
        self.neighbours = _table(self.pairs, len(positions))
        wide = _table(tree.query_pairs(_KERNEL * _REACH * spacing, output_type="ndarray"), len(positions))
        self.near = wide
        apart = (positions[wide] - positions[:, None]) / (_KERNEL * spacing)
        self.kernel = np.where(wide >= 0, np.exp(-np.sum(apart**2, axis=2) / 2), 0.0)
        self.design = np.concatenate([np.ones((*wide.shape, 1)), apart], axis=2)
        #: Excess of each column in each state, disorder first.
        self.excess = np.concatenate([np.zeros((len(values), 1)), which.excess[:, which.classes].T], axis=1)
        self.contrast, self.antisites, self.coupling = 0.3, 0.01, 0.5
        #: Variances of composition in disorder and in order, of a column of mean thickness.
        self.composition = np.array([0.03, 0.01])
        self.allowed = np.ones(self.excess.shape[1], bool)
        self._thickness(np.ones(len(values)), np.full(len(values), 0.05))

    def _thickness(self, factors: np.ndarray, variances: np.ndarray) -> None:
        """T and its relative error, from neighbours divided by their factors; and each contrast."""
        y, relative = self.values / factors, np.maximum(variances / factors**2, 1e-6)
        least = 0.1 * max(float(np.median(np.abs(y))), 1e-12)
        best = np.inf
        for power in _POWERS:
            t, relative_error = self._plane(y, relative, power, least)
            misfit = float(
                np.sum(np.log(t) + 0.5 * np.log(np.mean(relative)) + (y / t - 1) ** 2 / relative / 2)
            )
            if misfit < best:
                best, self.thickness, self.uncertain = misfit, t, relative_error
        self.contrasts = self.values / self.thickness - 1
        self.noise = self.errors / self.thickness
        self.size = self.thickness / np.mean(self.thickness)

    def _plane(
        self, y: np.ndarray, relative: np.ndarray, power: float, least: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """T and its relative error, a power of which is a plane around each column."""
        # The mean of a square is larger than that of the mean.
        own = np.maximum(y, 0.0) ** power / (1 + power * (power - 1) / 2 * relative)
        error = power * np.sqrt(relative) * np.maximum(self._mean_around(y), least) ** power
        weights = self.kernel / (error**2)[self.near]
        normal = np.einsum("mki,mk,mkj->mij", self.design, weights, self.design)
        # Neighbours on a line say nothing of the slope across.
        normal[:, [1, 2], [1, 2]] += 0.02 * normal[:, :1, 0]
        # One without neighbours has no T: it says nothing by itself.
        alone = normal[:, 0, 0] == 0
        normal[alone] = np.eye(3)
        gains = np.einsum("mj,mkj,mk->mk", np.linalg.inv(normal)[:, 0], self.design, weights)
        fitted = np.maximum(np.einsum("mk,mk->m", gains, own[self.near]), least**power)
        spread = np.sqrt(np.einsum("mk,mk->m", gains**2, (error**2)[self.near]))
        return fitted ** (1 / power), np.where(alone, _UNKNOWN, spread / (power * fitted))

    def _mean_around(self, y: np.ndarray) -> np.ndarray:
        """A first guess of T: the mean around each column, itself with it."""
        return (y + np.sum(self.kernel * y[self.near], axis=1)) / (1 + self.kernel.sum(axis=1))

    def _logs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-likelihood of each state; part of antisites in it; variances of composition's share."""
        kind = np.minimum(np.arange(self.excess.shape[1]), 1)
        factor = 1 + self.contrast * self.excess
        composition = self.composition[kind] / self.size[:, None]
        # A mistake of T is one of what the column should have.
        variance = composition + (self.noise[:, None]) ** 2 + (factor * self.uncertain[:, None]) ** 2
        plain = _normal(self.contrasts[:, None] + 1 - factor, variance)
        other = self._opposite()
        wrong = _normal(self.contrasts[:, None] - self.contrast * other, variance)
        plain[:, 1:] += np.log1p(-self.antisites)
        wrong[:, 1:] += np.log(self.antisites)
        both = np.logaddexp(plain, wrong)
        logs = np.where(kind == 0, plain, both)
        logs[self.uncertain >= _UNKNOWN] = 0.0
        logs[:, ~self.allowed] = -np.inf
        return logs, np.where(kind == 0, 0.0, np.exp(wrong - both)), variance

    def _opposite(self) -> np.ndarray:
        """Excess of the other element at each site."""
        low, high = self.variants.excess.min(axis=1), self.variants.excess.max(axis=1)
        other = low + high - self.variants.excess[:, self.variants.classes].T
        return np.concatenate([np.zeros((len(other), 1)), other], axis=1)

    def _start(self) -> np.ndarray:
        """States by the mean contrast of each variant around each column."""
        weights = self.kernel[..., None] * self.excess[self.near][..., 1:]
        mean = np.sum(weights * self.contrasts[self.near][..., None], axis=1)
        mean /= np.sum(weights * self.excess[self.near][..., 1:], axis=1) + 1e-9
        # Signs of rows are variants; that of one column in four is the whole particle's.
        best = np.abs(mean).max(axis=1) if len(self.variants.excess) > 6 else mean.max(axis=1)
        self.contrast = float(np.quantile(best, 0.9))
        if len(self.variants.excess) > 6:
            strongest = np.argsort(-best)[: max(len(best) // 10, 1)]
            lead = np.take_along_axis(mean, np.abs(mean).argmax(axis=1)[:, None], axis=1)[:, 0]
            self.contrast *= float(np.sign(np.sum(lead[strongest])) or 1.0)
            mean = mean * np.sign(self.contrast)
        return np.where(mean.max(axis=1) > abs(self.contrast) / 2, 1 + mean.argmax(axis=1), 0)

    def _update(self, p: np.ndarray, swapped: np.ndarray, variance: np.ndarray) -> None:
        """Contrast, compositions, antisites and T from the states' probabilities."""
        ordered = p[:, 1:] * (1 - swapped[:, 1:])
        e = self.excess[:, 1:]
        weight = ordered / variance[:, 1:]
        top, bottom = np.sum(weight * e * self.contrasts[:, None]), np.sum(weight * e**2)
        if bottom > 0:
            # No column has less than nothing.
            there = e[:, self.allowed[1:]]
            self.contrast = float(np.clip(top / bottom, -0.98 / there.max(), -0.98 / there.min()))
        for kind, part in ((0, p[:, :1]), (1, ordered)):
            away = self.contrasts[:, None] - self.contrast * (self.excess[:, :1] if kind == 0 else e)
            factor = 1 + self.contrast * (self.excess[:, :1] if kind == 0 else e)
            known = self.noise[:, None] ** 2 + (factor * self.uncertain[:, None]) ** 2
            share = part / (known + self.composition[kind] / self.size[:, None]) ** 2 / self.size[:, None]
            if part.sum() > 5:
                found = np.sum(share * (away**2 - known)) / np.sum(share / self.size[:, None])
                self.composition[kind] = float(np.clip(found, 1e-4, 0.3))
        total = float(p[:, 1:].sum())
        self.antisites = (float(np.sum(p[:, 1:] * swapped[:, 1:])) + 0.5) / (total + 50.0)
        actual = self.excess * (1 - swapped) + self._opposite() * swapped
        factors = np.maximum(1 + self.contrast * np.sum(p * actual, axis=1), 0.1)
        self._thickness(factors, np.sum(p * variance, axis=1))

    def fit(self, columns: np.ndarray, rng: np.random.Generator) -> PlaneOrder:
        """States and parameters in turns, then probabilities."""
        states = self._start()
        p = np.eye(self.excess.shape[1])[states]
        for number in range(_ROUNDS):
            logs, swapped, variance = self._logs()
            if number:
                drawn = sample(logs, self.neighbours, self.colours, self.coupling, states, _SWEEPS, rng)
                states, p = drawn.states, drawn.marginals
                self.coupling = coupling_of(states, self.neighbours, self.allowed)
            if number == _ROUNDS // 2:
                self.allowed[1:] = p[:, 1:].mean(axis=0) > LIMITS.order_part
            self._update(p, swapped, variance)
        # What few columns are called disordered says nothing of their composition.
        spread = float(np.sqrt(self.composition[0 if p[:, 0].mean() > 0.1 else 1]))
        if abs(self.contrast) < LIMITS.order_contrast * spread:
            self.allowed[1:] = False
        logs, swapped, _ = self._logs()
        states = np.where(self.allowed[states], states, 0)
        drawn = sample(logs, self.neighbours, self.colours, self.coupling, states, _LAST, rng)
        return self._result(columns, drawn.marginals, drawn.parts, swapped)

    def _result(
        self, columns: np.ndarray, p: np.ndarray, parts: np.ndarray, swapped: np.ndarray
    ) -> PlaneOrder:
        states = p.argmax(axis=1)
        first, second = states[self.pairs].T
        met = (first > 0) & (second > 0)
        same, kinds = met & (first == second), np.concatenate([[-1], self.variants.kinds])
        n = len(states)
        graph = coo_array((np.ones(int(same.sum())), self.pairs[same].T), shape=(n, n))
        labels = np.where(states > 0, connected_components(graph, directed=False)[1], -1)
        numbers = np.unique(labels, return_inverse=True)[1].ravel() - int(np.any(states == 0))
        across = met & (first != second)
        return PlaneOrder(
            columns,
            p,
            self.variants,
            states,
            self.contrasts,
            np.hypot(self.noise, self.uncertain),
            np.sum(p * swapped, axis=1),
            float(1 - p[:, 0].mean()),
            float(np.std(parts[:, 0])),
            self.contrast,
            self.coupling,
            numbers,
            columns[self.pairs[across]],
            kinds[first[across]] == kinds[second[across]],
        )


def _normal(away: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return -0.5 * (away**2 / variance + np.log(variance))


def _table(pairs: Int[np.ndarray, "p 2"], n: int) -> Int[np.ndarray, "n k"]:
    """The others of each column, filled up with -1."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    first = np.searchsorted(both[:, 0], np.arange(n + 1))
    table = np.full((n, max(int(np.diff(first).max(initial=0)), 1)), -1)
    table[both[:, 0], np.arange(len(both)) - first[both[:, 0]]] = both[:, 1]
    return table
