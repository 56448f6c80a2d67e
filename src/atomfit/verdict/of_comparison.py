"""The verdict on models that were compared: are they models of one particle, and do their error bars hold?

Displacements that are larger than error bars say have one of two causes, and the data often tell which:
atoms that truly moved do so together with their neighbours, or by very different amounts; error bars that
are too small make all chi-squares larger by one factor. What fits both is said to be either.
"""

from typing import Literal

import numpy as np

from atomfit.statistics.comparison import Comparison
from atomfit.verdict.findings import Finding, Level, Verdict

#: Fewer common atoms, of the smaller model's, are hardly those of one particle; still fewer are not. Of the
#: larger model's, fewer than the second say nothing of it, and any piece of a crystal lies on another one.
FEW, HARDLY_ANY = 0.5, 0.2
#: Displacements so much smaller than their error bars are those of a copy, by rounding.
COPY = 1e-6
#: Neighbours share this part of their displacements, and so many standard uncertainties, if atoms moved.
_TOGETHER, _ERRORS = 0.2, 4.0
#: Below this probability chi-squares do not scatter as one wrong factor would have it.
_UNLIKELY = 1e-3

Cause = Literal["too large", "atoms moved together", "some atoms moved", "either"]


def judge_comparison(c: Comparison) -> Verdict:
    """What is to be thought of two models compared."""
    common, smaller = c.count("common"), min(len(c.a), len(c.b))
    larger = max(len(c.a), len(c.b))
    share = common / smaller if smaller else float("nan")
    measures = {
        "common": float(common),
        "common_of_smaller": share,
        "equal_orientations": float(c.registration.equals),
        "tested": float(c.tested),
        "error_bars_too_small_by": c.scale.value,
        "coherence": c.coherence[0],
        "one_factor": c.one_factor,
    }
    findings = []
    if share < FEW:
        level: Level = "bad" if share < HARDLY_ANY else "doubtful"
        findings.append(
            Finding(
                "few-common",
                level,
                f"only {common} of {smaller} atoms are common",
                "are they one particle? check the units of both, and which atoms were left out",
            )
        )
    elif common < HARDLY_ANY * larger:
        findings.append(
            Finding(
                "few-common",
                "doubtful",
                f"only {common} of {larger} atoms of the larger model are common",
                "are they one particle? so few atoms lie on those of any crystal of its kind",
            )
        )
    if c.registration.equals:
        findings.append(
            Finding(
                "frame",
                "doubtful",
                f"{c.registration.equals} other orientations are as good; the smallest rotation is taken",
                "which atom is which is not known: give both models in one frame (--no-register)",
            )
        )
    cause = cause_of_excess(c)
    if cause is not None:
        findings.append(_error_bars(c, cause))
    return Verdict.of(findings, measures)


def cause_of_excess(c: Comparison) -> Cause | None:
    """Why displacements are not as large as error bars say; None if they are, or nothing was tested."""
    value, esd = c.scale.value, c.scale.esd
    if not value >= COPY or abs(np.log(value)) <= 3 * esd / value + 0.1:
        return None
    if value < 1:
        return "too large"
    shared, error = c.coherence
    if shared > max(_TOGETHER, _ERRORS * error):
        return "atoms moved together"
    return "some atoms moved" if c.one_factor < _UNLIKELY else "either"


def _error_bars(c: Comparison, cause: Cause) -> Finding:
    value = c.scale.value
    apart = f"common atoms lie {value:.2f} times as far apart as error bars say"
    match cause:
        case "too large":
            problem = f"error bars are too large by a factor of {1 / value:.2f}"
            return Finding("error-bars", "doubtful", problem, "--calibrate allows for it")
        case "atoms moved together":
            problem = f"{apart}, and neighbours share {c.coherence[0]:.0%} of their displacements"
            return Finding(
                "atoms-differ",
                "doubtful",
                problem,
                "the atoms moved (strain, another state, another frame); --calibrate would hide it",
            )
        case "some atoms moved":
            problem = f"{apart}, but by very different factors"
            return Finding(
                "atoms-differ",
                "doubtful",
                problem,
                "many atoms moved, or error bars are wrong by several factors; --calibrate would hide it",
            )
        case _:
            return Finding(
                "error-bars",
                "doubtful",
                apart,
                "either these are too small (--calibrate allows for that), or the atoms moved: positions "
                "do not tell which",
            )


def judge_series(comparisons: tuple[Comparison, ...]) -> Verdict:
    """What is to be thought of a series: all that speaks against one of its comparisons."""
    if len(comparisons) == 1:
        return judge_comparison(comparisons[0])
    findings: list[Finding] = []
    measures: dict[str, float] = {}
    for c in comparisons:
        verdict, name = judge_comparison(c), f"{c.a.name} and {c.b.name}"
        findings += [Finding(f.code, f.level, f"{name}: {f.problem}", f.remedy) for f in verdict.findings]
        measures |= {f"{name}: {figure}": value for figure, value in verdict.measures.items()}
    return Verdict.of(findings, measures)
