"""Numbers of a particle that are compared with the truth: surface-to-core ratios, depths, errors of atoms.

Core atoms are those with twelve neighbours, as in the paper; everything else is surface. Each procedure
sorts its own atoms by its own coordination numbers, as it must where no truth is known.

That is a user's comparison; atoms that are not found, or hop, are part of it. A stricter one takes `alike`
atoms on all sides: those that both procedures find and that never leave home, sorted by their true
coordination number.

A ratio has two error bars. The paper's follows from S/√N in either group, and holds how much atoms differ
besides how well each is known. The other follows from the atoms' own standard uncertainties, which only
atomfit has; the truth is that of the same particle, so this is the one that z should be judged by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from atomfit.files.columns import Table
from atomfit.statistics.depth import DepthFit, fit_depth
from atomfit.structure.matching import Match, match
from experiments.single_pt.particles import Truth
from experiments.single_pt.procedures import positions_of

BULK = 12
#: What the plateau of a statistic against depth is kept within (below the paper's Eq. 1).
PLATEAUS = {"cn": (10.0, 12.0)}


@dataclass(frozen=True)
class Ratio:
    """Mean over surface atoms through mean over core atoms.

    **Fields:**

    - `value`: of the ratio.
    - `scatter`: its standard uncertainty from S/√N.
    - `propagated`: the same from the atoms' own uncertainties; NaN where these are not known.
    """

    value: float
    scatter: float
    propagated: float


def surface_to_core(columns: Table, name: str) -> Ratio:
    """The ratio of a column."""
    values, esd = columns[name], columns.get(f"{name}_esd", np.full(len(columns[name]), np.nan))
    means, scatter, propagated = [], [], []
    for group in (~core(columns), core(columns)):
        known = group & np.isfinite(values)
        count = known.sum()
        means.append(values[known].mean())
        scatter.append(values[known].std(ddof=1) / np.sqrt(count) / means[-1])
        propagated.append(np.sqrt(np.sum(esd[known] ** 2)) / count / means[-1])
    ratio = float(means[0] / means[1])
    return Ratio(ratio, ratio * float(np.hypot(*scatter)), ratio * float(np.hypot(*propagated)))


def core(columns: Table) -> Bool[np.ndarray, " n"]:
    """Atoms with the bulk's coordination number."""
    return np.asarray(columns["cn"] == BULK)


def penetration(columns: Table, name: str) -> DepthFit | None:
    """The paper's Eq. 1 fitted to a column against radial depth."""
    return fit_depth(columns["radial_depth"], columns[name].astype(float), PLATEAUS.get(name))


@dataclass(frozen=True, eq=False)
class Errors:
    """Atoms found, paired with the true ones.

    **Fields:**

    - `pairs`: found and true atoms.
    - `inner`: whether the true atom of a pair is in the core.
    - `elsewhere`: found atoms that are no true atom's home, but a place where one is now and then.
    - `false`: found atoms that are neither.
    """

    pairs: Match
    inner: Bool[np.ndarray, " k"]
    elsewhere: int
    false: int

    @property
    def counts(self) -> str:
        """Missing ones, second sites, false ones."""
        return f"{self.pairs.missing}, {self.elsewhere}, {self.false}"


def errors(columns: Table, known: Table, truth: Truth) -> Errors:
    """Found atoms against the truth."""
    places, true = positions_of(columns), positions_of(known)
    pairs = match(places, true)
    others = np.delete(places, pairs.found, axis=0)
    visited = int(truth.visited(others).sum())
    return Errors(pairs, core(known)[pairs.known], visited, pairs.false - visited)


def alike(columns: Table, known: Table, truth: Truth, others: Sequence[Table]) -> tuple[Table, Table]:
    """Of found and true atoms those that everyone has found and that never leave home, in one order."""
    partner = partners(columns, known)
    everywhere = np.all([partners(table, known) >= 0 for table in (columns, *others)], axis=0)
    these = np.flatnonzero(everywhere & (truth.at_home == 1))
    true = {name: values[these] for name, values in known.items()}
    return {name: values[partner[these]] for name, values in columns.items()} | {"cn": true["cn"]}, true


def partners(columns: Table, known: Table) -> Int[np.ndarray, " n"]:
    """Which found atom each true one is; -1 for none."""
    pairs = match(positions_of(columns), positions_of(known))
    found = np.full(len(known["x"]), -1)
    found[pairs.known] = pairs.found
    return found
