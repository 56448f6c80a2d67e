"""The verdict on models that were compared: are these two models of one particle?"""

import numpy as np

from atomfit.statistics.comparison import Comparison
from atomfit.verdict.findings import Finding, Level, Verdict

#: Fewer common atoms, of the smaller model's, are hardly those of one particle; still fewer are not.
FEW, HARDLY_ANY = 0.5, 0.2


def judge_comparison(c: Comparison) -> Verdict:
    """What is to be thought of two models compared."""
    common, smaller = c.count("common"), min(len(c.a), len(c.b))
    share = common / smaller if smaller else float("nan")
    measures = {
        "common": float(common),
        "common_of_smaller": share,
        "tested": float(np.isfinite(c.squares).sum()),
        "error_bars_too_small_by": c.scale.value,
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
    return Verdict.of(findings, measures)


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
