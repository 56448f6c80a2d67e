"""Two models of one particle, atom by atom: split halves of a time series, before and after a reaction.

The second model is laid on the first (`statistics.registration`), atoms are paired one to one, and each
atom is judged in two ways that stand side by side.

**By distance**, as the paper has it: a pair not farther apart than 1.76 Å is `common`, any other atom is
different. The paper counts common atoms; what the others are is a reading of it: of those that are left,
an atom of either model that lie within 1.2 neighbour distances of each other are taken to be one that
moved (`displaced`); what then remains was `lost` from the first model or `gained` by the second. An atom
that left its place and one that came to it from elsewhere are a common pair; no positions tell otherwise.

**By significance**: with error bars in both models a displacement d has the covariance A + R B Rᵀ, less
or plus what the registration takes or adds (`statistics.rigid`), hence a p-value; the pair is `moved` if
its q-value is below the false-discovery rate asked for (`statistics.significance`). A common atom may
have moved, by a tenth of an Å that is five standard uncertainties.

Covariances of a position are taken to be diagonal in their model's own axes, as tables of standard
uncertainties have it. Other numbers with standard uncertainties are compared by their differences in units
of these, z. Elements of displacement matrices are left out: they turn with the frame.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.options.compare import PAPER_DISTANCE
from atomfit.statistics.chance import Chance, by_chance
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.magnification import Magnification, magnification
from atomfit.statistics.own_findings import OwnFinding
from atomfit.statistics.registration import Registration, mahalanobis, register, typical_spacing
from atomfit.statistics.rigid import Motion, along, residual_covariances
from atomfit.statistics.significance import (
    Agreement,
    Scale,
    agreement,
    chi_square_scale,
    coherence,
    one_factor,
    p_values,
    q_values,
)
from atomfit.structure.elements import UNKNOWN
from atomfit.structure.matching import match
from atomfit.structure.neighbours import CUTOFF_PER_DISTANCE

Status = Literal["common", "displaced", "lost", "gained"]
STATUSES: tuple[Status, ...] = ("common", "displaced", "lost", "gained")
#: Numbers that turn with the frame, or are compared as positions.
_TURNING = {"x", "y", "z", "u11", "u22", "u33", "u12", "u13", "u23"}


@dataclass(frozen=True, eq=False)
class Model:
    """The atoms of one model.

    **Fields:**

    - `name`: what it is called in results.
    - `ids`: number of each atom.
    - `symbols`: element of each atom.
    - `positions`: (Å).
    - `esds`: standard uncertainties of the positions along x, y, z (Å); NaN where unknown.
    - `numbers`: other numbers of the atoms by name, standard uncertainties as `..._esd`; NaN where unknown.
    - `own_findings`: what speaks against the model by itself.
    """

    name: str
    ids: Int[np.ndarray, " n"]
    symbols: tuple[str, ...]
    positions: Float[np.ndarray, "n 3"]
    esds: Float[np.ndarray, "n 3"]
    numbers: dict[str, np.ndarray]
    own_findings: tuple[OwnFinding, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    def covariances(self) -> Float[np.ndarray, "n 3 3"] | None:
        """Of the positions (Å²); an atom without has the others' median. None if no atom has any."""
        known = np.all(self.esds > 0, axis=1)
        if not known.any():
            return None
        filled = np.where(known[:, None], self.esds, np.median(self.esds[known], axis=0))
        return filled[:, :, None] ** 2 * np.eye(3)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models compared: a row for each pair or single atom, as the first has them, gained ones last.

    **Fields:**

    - `a`, `b`: the models.
    - `registration`: how the second was laid on the first.
    - `b_positions`: of the second model's atoms in the first's frame (Å).
    - `distance`, `reach`: largest distances of a common and of a displaced pair (Å).
    - `first`, `second`: index of the atom in either model; -1 where there is none.
    - `statuses`: common, displaced, lost or gained.
    - `displacements`: from the first to the second (Å); NaN for single atoms, as all that follow.
    - `esds`: standard uncertainty of the distance along the displacement (Å).
    - `squares`: chi-squares of the displacements.
    - `p`, `q`: their p- and q-values, as the error bars are.
    - `p_calibrated`, `q_calibrated`: the same with error bars multiplied by `scale`.
    - `moved`: whether the q-value asked for is below the rate asked for.
    - `scale`: by what factor error bars are too small, from the common pairs.
    - `z`: for each number with standard uncertainties, differences in units of these.
    - `agreements`: mean and deviation of these, over common pairs.
    """

    a: Model
    b: Model
    registration: Registration[Motion]
    b_positions: Float[np.ndarray, "m 3"]
    distance: float
    reach: float
    first: Int[np.ndarray, " rows"]
    second: Int[np.ndarray, " rows"]
    statuses: tuple[Status, ...]
    displacements: Float[np.ndarray, "rows 3"]
    esds: Float[np.ndarray, " rows"]
    squares: Float[np.ndarray, " rows"]
    p: Float[np.ndarray, " rows"]
    q: Float[np.ndarray, " rows"]
    p_calibrated: Float[np.ndarray, " rows"]
    q_calibrated: Float[np.ndarray, " rows"]
    moved: Bool[np.ndarray, " rows"]
    scale: Scale
    z: dict[str, np.ndarray]
    agreements: dict[str, Agreement]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def distances(self) -> Float[np.ndarray, " rows"]:
        """Of the pairs (Å); NaN for single atoms."""
        return np.linalg.norm(self.displacements, axis=1)

    @property
    def tested(self) -> int:
        """Pairs of which it is known whether they moved by more than noise."""
        return int(np.isfinite(self.squares).sum())

    @property
    def common(self) -> Bool[np.ndarray, " rows"]:
        """Rows of common pairs."""
        return np.array(self.statuses, dtype=object) == "common"

    @cached_property
    def coherence(self) -> tuple[float, float]:
        """How much of their displacements common neighbours share, and its standard uncertainty."""
        common = self.common
        cutoff = CUTOFF_PER_DISTANCE * typical_spacing(self.a.positions)
        return coherence(self.a.positions[self.first[common]], self.displacements[common], cutoff)

    @cached_property
    def one_factor(self) -> float:
        """Probability of the common pairs' chi-squares if all error bars are wrong by `scale`."""
        return one_factor(self.squares[self.common], self.scale.value)

    @cached_property
    def chance(self) -> Chance:
        """What of their agreement is to be expected of any two models."""
        return by_chance(self.a.positions, self.b_positions, self.registration.how, self.distance)

    @cached_property
    def magnification(self) -> Magnification:
        """How much larger the second model is than the first."""
        return magnification(
            self.a.positions,
            self.b.positions,
            self.b_positions,
            self.registration.how,
            self.chance,
            self.distance,
        )

    @cached_property
    def elements(self) -> dict[tuple[str, str], int]:
        """How many common pairs are of which elements, in the first and in the second; of known ones."""
        rows = np.flatnonzero(self.common)
        pairs = [(self.a.symbols[self.first[row]], self.b.symbols[self.second[row]]) for row in rows]
        return dict(Counter(pair for pair in pairs if UNKNOWN not in pair).most_common())

    def count(self, status: Status) -> int:
        """Rows of a status."""
        return self.statuses.count(status)


def compare(
    a: Model,
    b: Model,
    *,
    distance: float = PAPER_DISTANCE,
    fdr: float = 0.05,
    calibrate: bool = False,
    move: bool = True,
) -> Comparison:
    """Compare two models of one particle.

    **Arguments:**

    - `a`, `b`: the models.
    - `distance`: largest distance of a common pair (Å).
    - `fdr`: rate of false ones among the atoms called moved.
    - `calibrate`: whether error bars are multiplied by their scale before atoms are called moved.
    - `move`: whether the second model is to be laid on the first; their frames are one if not.

    **Raises:** `InputError` if the models cannot be laid on each other.
    """
    c_a, c_b = a.covariances(), b.covariances()
    registration = register(a.positions, b.positions, c_a, c_b, move)
    moved_b = registration.motion(b.positions)
    reach = max(distance, LIMITS.displaced * np.nan_to_num(typical_spacing(a.positions)))
    first, second, statuses = _paired(a.positions, moved_b, distance, reach)
    n, pair = len(first), (first >= 0) & (second >= 0)
    i, j = first[pair], second[pair]
    displacements = np.full((n, 3), np.nan)
    displacements[pair] = moved_b[j] - a.positions[i]
    esds, squares = np.full(n, np.nan), np.full(n, np.nan)
    if c_a is not None and c_b is not None:
        together = residual_covariances(
            registration.fitted,
            moved_b[j],
            c_a[i] + registration.motion.turn(c_b[j]),
            registration.used(i, j),
        )
        known = np.all(a.esds[i] > 0, axis=1) & np.all(b.esds[j] > 0, axis=1)
        together[~known] = np.nan
        squares[pair] = mahalanobis(displacements[pair], together)
        esds[pair] = along(displacements[pair], together)
    common = np.array(statuses, dtype=object) == "common"
    scale = chi_square_scale(squares[common])
    p, p_calibrated = p_values(squares), p_values(squares, scale.value)
    q, q_calibrated = q_values(p), q_values(p_calibrated)
    z = _quotients(a, b, first, second)
    return Comparison(
        a,
        b,
        registration,
        moved_b,
        distance,
        reach,
        first,
        second,
        statuses,
        displacements,
        esds,
        squares,
        p,
        q,
        p_calibrated,
        q_calibrated,
        (q_calibrated if calibrate else q) < fdr,
        scale,
        z,
        {name: agreement(values[common]) for name, values in z.items()},
    )


def _paired(
    a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"], distance: float, reach: float
) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"], tuple[Status, ...]]:
    """Partners in either model and the status of each row."""
    partner, status = np.full(len(a), -1), np.full(len(a), "lost", dtype=object)
    near = match(a, b, distance)
    partner[near.found], status[near.found] = near.known, "common"
    left = np.flatnonzero(partner < 0)
    free = np.setdiff1d(np.arange(len(b)), partner)
    far = match(a[left], b[free], reach)
    partner[left[far.found]], status[left[far.found]] = free[far.known], "displaced"
    gained = np.setdiff1d(np.arange(len(b)), partner)
    return (
        np.concatenate([np.arange(len(a)), np.full(len(gained), -1)]),
        np.concatenate([partner, gained]),
        (*status.tolist(), *["gained"] * len(gained)),
    )


def _quotients(
    a: Model, b: Model, first: Int[np.ndarray, " rows"], second: Int[np.ndarray, " rows"]
) -> dict[str, np.ndarray]:
    """Differences of numbers, second less first, in their standard uncertainties."""
    pair = (first >= 0) & (second >= 0)
    found = {}
    for name in a.numbers:
        esd = f"{name}_esd"
        if name in _TURNING or name not in b.numbers or esd not in a.numbers or esd not in b.numbers:
            continue
        difference = b.numbers[name][second[pair]] - a.numbers[name][first[pair]]
        error = np.hypot(a.numbers[esd][first[pair]], b.numbers[esd][second[pair]])
        found[name] = np.full(len(first), np.nan)
        found[name][pair] = difference / np.where(error > 0, error, np.nan)
    return found
