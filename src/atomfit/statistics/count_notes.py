"""What counts leave open, as alternatives and in words.

Laws that were found apart may count alike. So alternatives are counts, not laws: of two laws whose
likeliest counts differ by less than half an atom a column the less likely one is added to the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Int

from atomfit.statistics.count_law import Library
from atomfit.statistics.count_samples import Samples
from atomfit.statistics.limits import LIMITS

#: Steps that are averaged.
_STEPS = 10
#: Columns differ by less, on average, in counts that are one.
_ALIKE = 0.5


@final
@dataclass(frozen=True)
class Alternative:
    """One way to count all columns.

    **Fields:**

    - `probability`: of it.
    - `total`: its most likely counts, added up.
    - `faintest`, `brightest`: counts of the columns that are.
    - `step`: what an atom adds, on average over the first ten (Å²).
    """

    probability: float
    total: int
    faintest: int
    brightest: int
    step: float

    def describe(self) -> str:
        """It, in words."""
        return (
            f"{self.total} atoms, {self.faintest} in the faintest column and {self.brightest} in the "
            f"brightest (probability {self.probability:.2f})"
        )


def alternatives(samples: Samples, unit: float) -> tuple[Alternative, ...]:
    """Ways to count, the likeliest first; of columns that are in the order of their cross-sections.

    **Arguments:**

    - `samples`: in units of `unit` (Å²).
    """
    weights = np.bincount(samples.law, samples.weights, len(samples.by_law.best))
    kept: list[tuple[int, Int[np.ndarray, " n"]]] = []
    probabilities: list[float] = []
    for law in np.argsort(-weights, kind="stable"):
        counts = samples.by_law.best[law]
        alike = [i for i, (_, other) in enumerate(kept) if np.mean(np.abs(counts - other)) < _ALIKE]
        if alike:
            probabilities[alike[0]] += float(weights[law])
        elif weights[law] >= LIMITS.count_listed:
            kept.append((int(law), counts))
            probabilities.append(float(weights[law]))
    found = []
    for (law, counts), probability in zip(kept, probabilities, strict=True):
        mine = samples.law == law
        k = min(_STEPS, samples.means.shape[1])
        step = unit * float(np.average(samples.means[mine, k - 1], weights=samples.weights[mine])) / k
        found.append(
            Alternative(min(probability, 1.0), int(counts.sum()), int(counts[0]), int(counts[-1]), step)
        )
    return tuple(sorted(found, key=lambda one: -one.probability))


def notes(
    ways: tuple[Alternative, ...],
    library: Library | None,
    scale: tuple[float, float],
    scatter: float,
    outside: tuple[int, int],
    laws: float,
) -> Iterator[str]:
    """What is not determined, or is to be doubted.

    **Arguments:**

    - `ways`: to count.
    - `library`: or None.
    - `scale`: and its standard uncertainty.
    - `scatter`: of columns among themselves (Å²).
    - `outside`: columns that are too faint to be sure of, and whose count is beyond the library's end.
    - `laws`: how many of the drawn laws the result rests on (the inverse of the sum of squared weights).
    """
    if ways[0].probability < LIMITS.count_sure:
        told = "; ".join(way.describe() for way in ways[:3])
        rest = 1 - sum(way.probability for way in ways[:3])
        more = f"; others together {rest:.2f}" if rest >= 0.005 else ""
        known = "a library decides (--library)" if library is None else "the library fits in several places"
        yield f"the scale of counts is open: {told}{more}: {known}"
    if library is not None and abs(np.log(scale[0])) > LIMITS.count_scale * library.scale_esd:
        yield (
            f"the library does not fit: cross-sections are {scale[0]:.3f}({1000 * scale[1]:.0f}) of its, "
            f"where {100 * library.scale_esd:.0f} % was thought possible"
        )
    faint, beyond = outside
    if faint and library is None:
        yield (
            f"columns that are hardly above their own uncertainty and may be none: {faint}; each is "
            "counted, but none was asked what an atom scatters"
        )
    elif faint:
        yield (
            f"columns that are fainter than one atom of the library by more than noise: {faint}; each is "
            "counted as one, but is of a lighter element, of the support or not whole"
        )
    if library is not None and beyond:
        yield (
            f"{beyond} columns have more atoms than the library's {len(library.cross_sections)}: "
            "its last steps were continued"
        )
    if scatter > LIMITS.count_scatter * ways[0].step:
        yield (
            f"columns scatter by {scatter / ways[0].step:.2f} of a step beyond their uncertainties: "
            "counts are of one element in columns that are whole and along the beam"
        )
    if laws < LIMITS.count_laws:
        yield f"counts are averaged over {laws:.1f} laws only: probabilities and errors are rough"
