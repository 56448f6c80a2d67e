"""How many atoms are in each column of an image: cross-sections in, probabilities of counts out.

A column's cross-section, the integral of its intensity, grows with the number of its atoms. By how much
each atom adds is a law (`count_law`): a library's, whose scale and shape are taken to be off by a few
per cent, or, without one, any that is nearly linear and goes through zero. Counts are averaged over all
laws that explain the cross-sections (`count_likelihood`, `count_modes`, `count_samples`), not read off
the best one. So where several combs fit, and it is open whether the faintest column is one atom or two,
the probabilities of counts have several maxima, the total's error holds them all, and the alternatives
are told with their probabilities. With positions, neighbours say what thickness is to be expected
(`count_neighbours`).

Columns of one element in one direction are counted. Of an alloy, whose columns of one thickness differ
in brightness, these are no numbers of atoms; nothing in cross-sections alone says so, but that columns
scatter.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from atomfit.statistics.count_checks import check_columns, states
from atomfit.statistics.count_law import Law, Library
from atomfit.statistics.count_laws import CountLaws
from atomfit.statistics.count_likelihood import Measured
from atomfit.statistics.count_modes import find_modes
from atomfit.statistics.count_neighbours import Smoothness
from atomfit.statistics.count_notes import Alternative, alternatives, notes
from atomfit.statistics.count_samples import Samples, draw
from atomfit.statistics.count_sets import CredibleSets
from atomfit.statistics.limits import LIMITS


@final
@dataclass(frozen=True, eq=False)
class Counts:
    """Atoms of n columns.

    **Fields:**

    - `probabilities`: of 1, 2, ..., k atoms in each column.
    - `most_likely`: the likeliest count of each, and `probability`, its own.
    - `sets_68`, `sets_95`: credible sets.
    - `total`, `total_esd`: expected sum of counts, and its standard uncertainty, with what columns share,
        and with an atom of each column that may be none.
    - `numbers`, `numbers_esd`: how many columns of 1 to k atoms are expected, and standard uncertainties.
    - `scale`, `scale_esd`: of the image's cross-sections beside the library's; NaN without one.
    - `law`, `law_esd`: mean cross-sections of columns of 1 to k atoms (Å²).
    - `scatter`, `scatter_esd`: of columns among themselves, beyond their own uncertainties (Å²).
    - `alternatives`: ways to count, the likeliest first; more than one if the scale is open.
    - `beyond`: columns whose likeliest count is beyond the library's end.
    - `smoothness`: what was found of neighbours; None if they were not asked.
    - `laws`: those that were averaged over, with the likelihoods of counts.
    - `notes`: what is not determined or is to be doubted, in words.
    """

    probabilities: Float[np.ndarray, "n k"]
    most_likely: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]
    sets_68: CredibleSets
    sets_95: CredibleSets
    total: float
    total_esd: float
    numbers: Float[np.ndarray, " k"]
    numbers_esd: Float[np.ndarray, " k"]
    scale: float
    scale_esd: float
    law: Float[np.ndarray, " k"]
    law_esd: Float[np.ndarray, " k"]
    scatter: float
    scatter_esd: float
    alternatives: tuple[Alternative, ...]
    beyond: np.ndarray
    smoothness: Smoothness | None
    laws: CountLaws
    notes: tuple[str, ...]


def count_atoms(
    cross_sections: Float[np.ndarray, " n"],
    esds: Float[np.ndarray, " m"],
    *,
    library: Library | None = None,
    positions: Float[np.ndarray, "k d"] | None = None,
    seed: int = 0,
) -> Counts:
    """Count the atoms of columns of one element.

    **Arguments:**

    - `cross_sections`, `esds`: of the columns, and their standard uncertainties (Å²), n of each.
    - `library`: mean cross-sections of columns of 1, 2, 3, ... atoms; without, the law is found too.
    - `positions`: of the columns, x and y (Å); if given, neighbours count.
    - `seed`: of the laws that are drawn.

    **Raises:** `InputError` if these are no such numbers, are not in the library's unit, or are too few.
    """
    check_columns(cross_sections, esds, positions, library)
    most = states(cross_sections, library)
    law = (
        Law.unknown(float(cross_sections.max()), most) if library is None else Law.of_library(library, most)
    )
    # What is found depends neither on the order of columns nor on units.
    where = () if positions is None else tuple(positions.T)
    order = np.lexsort((*where, esds, cross_sections))
    unit, law = law.unit, Law(law.steps / law.unit, law.basis)
    measured = Measured.of(cross_sections[order] / unit, esds[order] / unit, library is not None)
    asked = positions is not None and len(order) >= LIMITS.count_neighbours
    near = positions[order] if asked and positions is not None else None
    # Threads that share small matrices wait for each other, spinning, longer than they work.
    with threadpool_limits(1, user_api="blas"):
        modes = find_modes(measured, law, library is not None)
        samples = draw(measured, law, modes, near, seed)
    faint = (
        measured.doubtful
        if library is None
        else _fainter(cross_sections, esds, unit * samples.means[:, 0], samples.weights)
    )
    back = np.argsort(order)
    laws = CountLaws(samples.weights, samples.means, samples.scatter, measured, back, unit)
    return _counts(samples, laws, library, unit, faint)


def _fainter(
    values: Float[np.ndarray, " n"],
    esds: Float[np.ndarray, " n"],
    one: Float[np.ndarray, " s"],
    weights: Float[np.ndarray, " s"],
) -> int:
    """How many columns are fainter than an atom, of which that by chance none is."""
    mean, error = _mean(one, weights)
    limit = norm.isf(LIMITS.count_fainter / len(values))
    return int(np.sum(mean - values > limit * np.hypot(esds, error)))


def _counts(samples: Samples, laws: CountLaws, library: Library | None, unit: float, faint: int) -> Counts:
    """What samples say, in the order in which columns were given; so many may be none."""
    w = samples.weights
    # Of columns that may be none any part is as likely, up to all of them.
    total, total_esd = _mean(samples.totals, w, samples.variances + faint**2 / 3)
    scale = (np.nan, np.nan) if library is None else _mean(np.exp(library.scale_esd * samples.scale), w)
    scatter, scatter_esd = _mean(samples.scatter, w)
    # Counts that no column can have are not listed.
    last = 1 + int(np.max(np.flatnonzero(samples.probabilities.max(axis=0) > LIMITS.count_listed)))
    probabilities = samples.probabilities[laws.back, :last]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    most_likely = 1 + np.argmax(probabilities, axis=1)
    beyond = most_likely > (np.inf if library is None else len(library.cross_sections))
    law = w @ samples.means[:, :last]
    ways = alternatives(samples, unit)
    return Counts(
        probabilities,
        most_likely,
        probabilities.max(axis=1),
        CredibleSets.of(probabilities, 0.68),
        CredibleSets.of(probabilities, 0.95),
        total,
        total_esd,
        *_numbers(samples, last),
        *scale,
        unit * law,
        unit * np.sqrt(w @ (samples.means[:, :last] - law) ** 2),
        unit * scatter,
        unit * scatter_esd,
        ways,
        beyond,
        samples.smoothness,
        laws,
        tuple(
            notes(ways, library, scale, unit * scatter, (faint, int(beyond.sum())), float(1 / np.sum(w**2)))
        ),
    )


def _numbers(samples: Samples, last: int) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Columns of each count: their mean, and standard deviation within ways to count and between them."""
    by_law = samples.by_law
    weights = np.bincount(samples.law, samples.weights, len(by_law.best))
    each = by_law.numbers[:, :last]
    mean = weights @ each
    return mean, np.sqrt(weights @ (by_law.variances[:, :last] + (each - mean) ** 2))


def _mean(
    values: Float[np.ndarray, " s"],
    weights: Float[np.ndarray, " s"],
    within: Float[np.ndarray, " s"] | float = 0.0,
) -> tuple[float, float]:
    """Mean and standard deviation, with the variance that each value has by itself."""
    mean = float(weights @ values)
    return mean, max(float(weights @ ((values - mean) ** 2 + within)), 0.0) ** 0.5
