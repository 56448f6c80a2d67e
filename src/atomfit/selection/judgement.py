"""What a joint fit says of its atoms: which are real, which are missing, which are two or none.

An atom, or a candidate, is taken if its score (`scores`) exceeds a cut: the score at which an atom is as
likely as noise, or the one that a false-discovery rate leads to (`evidence`). An atom must also stand that
test when the others may take over its density. Candidates, and decoys for them, are found in `candidates`.

Of two atoms that end up nearer than atoms can be, the weaker goes. An atom so long that it could be two is
tried as two.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from atomfit.detection.limits import LIMITS as DETECTION
from atomfit.fitting.joint import JointFit
from atomfit.selection.candidates import Vacancy
from atomfit.selection.evidence import Decoys, likelihood_ratios
from atomfit.selection.limits import LIMITS
from atomfit.selection.scores import Scores, scores
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import find_neighbours


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a fit says of its atoms, and of places that are none of them.

    **Fields:**

    - `scores`: of each atom, in standard deviations; NaN where one is not known.
    - `evidence`: by how much chi-square would be larger without it.
    - `q_values`: the false-discovery rate at which it is taken.
    - `reasons`: why it should go; empty if it should stay.
    - `parts`: places of the two atoms that it may be (Å); NaN for most.
    - `candidates`: further places (Å), highest scores first.
    - `candidate_scores`, `candidate_q_values`: of these.
    - `cut`: the score to exceed.
    - `decoys`: what noise makes.
    """

    scores: Float[np.ndarray, " n"]
    evidence: Float[np.ndarray, " n"]
    q_values: Float[np.ndarray, " n"]
    reasons: tuple[str, ...]
    parts: Float[np.ndarray, "n 2 d"]
    candidates: Float[np.ndarray, "m d"]
    candidate_scores: Float[np.ndarray, " m"]
    candidate_q_values: Float[np.ndarray, " m"]
    cut: float
    decoys: Decoys

    @property
    def kept(self) -> Bool[np.ndarray, " n"]:
        """Which atoms should stay."""
        return np.array([not reason for reason in self.reasons], bool)

    @property
    def wanted(self) -> Bool[np.ndarray, " m"]:
        """Which candidates should be atoms."""
        return self.candidate_scores >= self.cut

    def of(self, kept: Bool[np.ndarray, " n"], evidence: Float[np.ndarray, " k"]) -> "Judgement":
        """The same of some atoms only, which now have other evidence."""
        return replace(
            self,
            scores=self.scores[kept],
            evidence=evidence,
            q_values=self.q_values[kept],
            reasons=tuple(reason for reason, keep in zip(self.reasons, kept, strict=True) if keep),
            parts=self.parts[kept],
        )


def judge(
    density: DensityMap,
    fit: JointFit,
    element: Element,
    *,
    rate: float | None = None,
    generous: bool = False,
    kinds: int = 1,
    min_coordination: int = 3,
    cutoff: float | None = None,
) -> Judgement:
    """What a fit says of its atoms.

    **Arguments:**

    - `density`: the map that was fitted.
    - `fit`: to it.
    - `element`: of the atoms.
    - `rate`: part of the atoms that may be false; those that are more likely atoms than noise if not given.
    - `generous`: take whatever stands out at all, where noise is not known.
    - `kinds`: of atoms that there may be, some fainter than others.
    - `min_coordination`, `cutoff`: of a candidate, as for `detect`.
    """
    return judge_scores(
        scores(density, fit),
        fit.positions,
        likelihood_ratios(fit.fitted.amplitudes, fit.uncertainty),
        element,
        parts=_parts(fit, DETECTION.closest * element.neighbour_distance),
        noise_known=fit.inside is None,
        rate=rate,
        generous=generous,
        kinds=kinds,
        min_coordination=min_coordination,
        cutoff=cutoff,
    )


def judge_scores(
    found: Scores,
    positions: Float[np.ndarray, "n d"],
    evidence: Float[np.ndarray, " n"],
    element: Element,
    *,
    parts: Float[np.ndarray, "n 2 d"] | None = None,
    noise_known: bool = True,
    rate: float | None = None,
    generous: bool = False,
    kinds: int = 1,
    min_coordination: int = 3,
    cutoff: float | None = None,
    apart: float | None = None,
) -> Judgement:
    """What scores say of atoms, whatever they were fitted to.

    **Arguments:** those of `judge`, and

    - `found`: scores of the atoms and of every place.
    - `positions`: of the atoms (Å).
    - `evidence`: by how much chi-square would be larger without each; NaN where that is not known.
    - `parts`: places of the two atoms that each may be; NaN for none.
    - `noise_known`: whether scores are in units of noise; otherwise atoms are judged by each other.
    - `apart`: least distance of two atoms (Å); that of real ones if not given.
    """
    apart = DETECTION.closest * element.neighbour_distance if apart is None else apart
    if parts is None:
        parts = np.full((len(positions), 2, positions.shape[1]), np.nan)
    neighbours = find_neighbours(positions, cutoff, element.neighbour_distance)
    if np.mean(neighbours.coordination_numbers < min_coordination) >= DETECTION.lone:
        min_coordination = 0

    vacancy = Vacancy(found.field, positions, apart, neighbours.cutoff, min_coordination)
    candidates, heights = vacancy.candidates()
    standing, typical = found.atoms, float(np.nanmedian(found.atoms))
    if noise_known:
        # Nor better than what is left of it if others may take its place.
        standing = np.fmin(standing, np.sqrt(evidence) / found.scatter)
        together = np.concatenate([standing, heights])
        decoys = Decoys.of_hollows(*vacancy.decoys(np.ones(len(positions), bool)))
        decoys = Decoys.of_hollows(*vacancy.decoys(decoys.clear(standing)))
        cut = max(decoys.even(together), LIMITS.faintest * typical)
    else:
        together = np.concatenate([standing, heights])
        cut = LIMITS.faintest_in_disorder * faintest_kind(standing, kinds)
        decoys = Decoys.of_faint(together[together < cut])
    q = decoys.q_values(together)
    if generous and not noise_known:
        cut = LIMITS.generous
    elif rate is not None:
        cut = max(decoys.cut(together, rate), LIMITS.faintest * typical)
    return Judgement(
        standing,
        evidence,
        q[: len(standing)],
        _reasons(positions, standing, cut, apart),
        parts,
        candidates,
        heights,
        q[len(standing) :],
        cut,
        decoys,
    )


def faintest_kind(standing: Float[np.ndarray, " n"], kinds: int) -> float:
    """The typical score of the atoms that are of the faintest kind."""
    known = standing[standing > LIMITS.lowest]
    if kinds == 1 or len(known) < kinds:
        return float(np.nanmedian(standing))
    begin = np.log(np.quantile(known, (np.arange(kinds) + 0.5) / kinds))
    _, kind = kmeans2(np.log(known), begin, minit="matrix")
    return float(min(np.median(known[kind == k]) for k in np.unique(kind)))


def _reasons(
    positions: Float[np.ndarray, "n d"], standing: Float[np.ndarray, " n"], cut: float, apart: float
) -> tuple[str, ...]:
    """Why each atom should go. Of neighbours that explain each other only the weakest goes at a time."""
    reasons = [""] * len(positions)
    weakest_first = np.argsort(np.nan_to_num(standing, nan=np.inf), kind="stable")
    tree = cKDTree(positions)
    near = tree.query_ball_point(positions, apart)
    for i in weakest_first:
        others = [j for j in near[i] if j != i]
        if any(reasons[j] for j in others):
            continue
        if standing[i] < cut:
            reasons[i] = f"stands out by {standing[i]:.1f} σ, below {cut:.1f}"
        elif others:
            distance = np.linalg.norm(positions[others] - positions[i], axis=1).min()
            reasons[i] = f"merged with a stronger atom {distance:.2f} Å away"
    return tuple(reasons)


def _parts(fit: JointFit, apart: float) -> Float[np.ndarray, "n 2 d"]:
    """Places of the two atoms that an atom may be, if it is long enough; NaN otherwise.

    Two typical atoms at ±δ have together the variance of one and δ² along the line between them.
    """
    values, vectors = np.linalg.eigh(fit.fitted.shapes)
    typical = np.median(values[:, -1])
    half = np.sqrt(np.maximum(values[:, -1] - typical, 0))
    half = np.where(2 * half >= apart, half, np.nan)
    step = half[:, None] * vectors[:, :, -1]
    middle = fit.fitted.positions
    return np.stack([middle - step, middle + step], axis=1)
