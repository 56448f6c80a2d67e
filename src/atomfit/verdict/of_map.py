"""The verdict on atoms that were found in a map."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from atomfit.elements import Element
from atomfit.fitting.fitted import region_correlation
from atomfit.fitting.joint import JointFit
from atomfit.fitting.logfit import LogFit
from atomfit.fitting.objective import region_mask
from atomfit.fitting.resolution import NARROWER
from atomfit.grid import DensityMap
from atomfit.selection.completion import Selection
from atomfit.verdict import limits
from atomfit.verdict.common import bond_ratio, bonds, convergence, level_above, no_atoms, part, uncertain
from atomfit.verdict.findings import Finding, Verdict


@dataclass(frozen=True)
class MapMeasures:
    """What a result of `build` is judged by; NaN where a figure is not known.

    **Fields:**

    - `atoms`: how many there are.
    - `correlation`: of model and map around the atoms.
    - `explained`: part of the map's variance there that the model explains.
    - `bond_ratio`: distance of neighbours in that of the bulk.
    - `at_bound`, `narrower`: parts of the atoms with these flags.
    - `removed`: part of the atoms found that selection has taken away.
    - `position_esd`: median standard uncertainty of positions (Å).
    - `undetermined`: part of the atoms whose position has no standard uncertainty though others have.
    """

    atoms: int
    correlation: float = np.nan
    explained: float = np.nan
    bond_ratio: float = np.nan
    at_bound: float = np.nan
    narrower: float = np.nan
    removed: float = np.nan
    position_esd: float = np.nan
    undetermined: float = np.nan


def measure_map(
    density: DensityMap,
    model: Float[np.ndarray, "..."],
    baseline: LogFit,
    joint: JointFit | None,
    selection: Selection | None,
    errors: Float[np.ndarray, "n d"],
    element: Element,
    u: float,
) -> MapMeasures:
    """The figures of a result.

    **Arguments:**

    - `density`, `model`: the map, and what the model has there.
    - `baseline`, `joint`, `selection`: of which the result is made.
    - `errors`: standard uncertainties of positions (Å); NaN where they are not determined.
    - `element`: that was given.
    - `u`: variance of the mean atom (Å²).
    """
    positions = baseline.fitted.positions if joint is None else joint.positions
    n = len(positions)
    if not n:
        return MapMeasures(0)
    region = region_mask(density.grid, positions, u**0.5)
    values = density.values[region].astype(np.float64)
    left = values - model[region]
    explained = 1 - float(left.var() / values.var()) if values.size and values.var() > 0 else np.nan
    found = MapMeasures(
        n, region_correlation(density, model, region), explained, bond_ratio(positions, element)
    )
    if joint is None:
        return found
    known = np.all(np.isfinite(errors), axis=1)
    gone = 0
    if selection is not None:
        gone = sum("fainter" not in reason for reason in selection.discarded.reasons)
    return MapMeasures(
        n,
        found.correlation,
        found.explained,
        found.bond_ratio,
        float(np.mean(joint.at_bound)),
        float(np.mean(joint.narrower)),
        part(gone, n + gone),
        float(np.median(errors[known])) if known.any() else np.nan,
        part(int(np.sum(~known)), n) if known.any() else np.nan,
    )


def judge_map(
    measures: MapMeasures,
    element: Element,
    joint: JointFit | None = None,
    selection: Selection | None = None,
) -> Verdict:
    """What is to be thought of a result of `build`.

    **Arguments:**

    - `measures`: its figures.
    - `element`: that was given.
    - `joint`, `selection`: of which the result is made, if there are any.
    """
    figures = {name: float(value) for name, value in asdict(measures).items()}
    if not measures.atoms:
        return Verdict((no_atoms("map", "see atomfit check, and look at the map"),), figures)
    findings = [*bonds(measures.bond_ratio, element, "voxel size", "--voxel-size"), *_agreement(measures)]
    if joint is not None:
        findings += [
            *_bounded(measures, int(joint.at_bound.sum()), int(joint.narrower.sum())),
            *uncertain(measures.position_esd, element),
            *convergence(joint.reason),
        ]
    if selection is not None and not selection.settled:
        findings.append(
            Finding(
                "unsettled",
                "doubtful",
                f"the fit still asks for other atoms after {selection.rounds} changes",
                "see rejected.csv for those that it may lack",
            )
        )
    return Verdict.of(findings, figures)


def _agreement(measures: MapMeasures) -> list[Finding]:
    level = level_above(-measures.correlation, -limits.CORRELATION_DOUBTFUL, -limits.CORRELATION_BAD)
    if level == "good":
        return []
    return [
        Finding(
            "correlation",
            level,
            f"around the atoms, model and map correlate by {measures.correlation:.2f} only; the model "
            f"explains {max(measures.explained, 0.0):.0%} of what is there",
            "the map is mostly noise there, or it does not consist of atoms; look at the planes of map, "
            "model and residual",
        )
    ]


def _bounded(measures: MapMeasures, at_bound: int, narrower: int) -> list[Finding]:
    findings = []
    if at_bound:
        bad = measures.at_bound > limits.AT_BOUND_BAD
        findings.append(
            Finding(
                "at-bound",
                "bad" if bad else "doubtful",
                f"{at_bound} of {measures.atoms} atoms went to the limit of their move or width (flag "
                "at_bound)",
                "the map does not determine them"
                + (": what is there has not the shape of atoms" if bad else ""),
            )
        )
    if narrower > NARROWER * measures.atoms + 1:
        findings.append(
            Finding(
                "narrower",
                "doubtful",
                f"{narrower} atoms are narrower than the resolution and voxels allow (flag narrower)",
                "they have no displacement matrix",
            )
        )
    return findings
