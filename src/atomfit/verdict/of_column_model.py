"""What is to be thought of a model in three dimensions that was asked for of an image's columns."""

from atomfit.stacking.model import Model3D
from atomfit.verdict.findings import Finding, Verdict


def with_model(verdict: Verdict, model: Model3D | None, missing: str) -> Verdict:
    """A verdict on columns, with what their model adds.

    **Arguments:**

    - `verdict`: on the columns.
    - `model`: if there is one.
    - `missing`: why there is none, though it was asked for; empty otherwise.
    """
    findings = list(verdict.findings)
    if missing:
        problem, _, remedy = missing.partition("; ")
        findings.append(Finding("no-model", "bad", f"there is no model: {problem}", remedy))
    if model is not None:
        findings += [Finding("model", "doubtful", *_parted(one)) for one in model.doubts()]
    return Verdict.of(findings, verdict.measures)


def _parted(sentence: str) -> tuple[str, str]:
    """What is wrong, and what to do."""
    problem, _, remedy = sentence.partition("; ")
    return problem, remedy or "look at model3d.csv and at the chains in summary.json"
