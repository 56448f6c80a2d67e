"""What is said of two models compared: the first lines of `compare.html`, and what to beware of.

Warnings are the same in the log, in `compare.json` and on the page.
"""

from typing import Any

import numpy as np

from atomfit.statistics.comparison import Comparison
from atomfit.verdict.of_comparison import cause_of_excess, changes_of_element, judge_comparison
from atomfit.verdict.of_inputs import is_copy

#: What it means that displacements are as large as they are.
_CAUSES = {
    None: "error bars are right, and most atoms did not move",
    "too large": "error bars are too large",
    "atoms moved together": "atoms moved, together with their neighbours",
    "some atoms moved": "many moved, by very different amounts",
    "either": "error bars are too small, or atoms moved",
}


def headline(c: Comparison, found: dict[str, Any]) -> dict[str, Any]:
    """The page's first lines.

    **Arguments:**

    - `c`: the comparison.
    - `found`: its `summary`.

    **Returns:** `title`, `source`, `verdict` as sentences, `warnings`, and the verdict as it is `judged`.
    """
    return {
        "title": f"{found['counts']['common']:,} of {len(c.a):,} atoms are common",
        "source": f"A is {c.a.name} ({len(c.a):,} atoms), B is {c.b.name} ({len(c.b):,} atoms)",
        "verdict": [_statuses(found), _significance(found), _registration(c), _error_bars(c)],
        "warnings": warnings(c),
        "judged": found["verdict"],
    }


def warnings(c: Comparison) -> list[str]:
    """What a user should know before trusting the numbers."""
    verdict = judge_comparison(c)
    found = list(verdict.warnings)
    changed = changes_of_element(c)
    if changed and "elements" not in verdict.codes:
        found.append(f"common atoms of another element in B than in A: {changed} (element_a, element_b)")
    if not c.tested:
        found.append(
            "it was not tested whether atoms moved by more than noise: not both models have error bars"
        )
    return found


def registered(c: Comparison) -> str:
    """How B was laid on A, in a sentence without its end."""
    registration = c.registration
    if registration.how == "given":
        return "frames were left as they are"
    frames = "agreed" if registration.how == "agreed" else "were found"
    return (
        f"frames {frames}, turned by {registration.motion.angle:.3f} degrees, "
        f"{len(registration.pairs[0])} pairs"
    )


def _statuses(found: dict[str, Any]) -> str:
    counts, parts = found["counts"], found["percentages"]
    return (
        f"Common atoms, not farther apart than {found['distance']:g} Å, are "
        f"{parts['common_of_a']:.1f}\u00a0% of A's and {parts['common_of_b']:.1f}\u00a0% of B's; "
        f"{counts['displaced']:,} atoms were displaced, "
        f"{counts['lost']:,} lost and {counts['gained']:,} gained."
    )


def _significance(found: dict[str, Any]) -> str:
    test = found["significance"]
    if not test["tested"]:
        return "Whether atoms moved more than by noise is not known: not both models have error bars."
    bars = "calibrated error bars" if test["calibrated"] else "error bars as they are"
    return (
        f"Of {test['tested']:,} pairs, {test['moved']:,} moved by more than noise, "
        f"{test['moved_common']:,} of them common (false-discovery rate "
        f"{100 * test['fdr']:g}\u00a0%, {bars})."
    )


def _registration(c: Comparison) -> str:
    registration = c.registration
    if registration.how == "given":
        return "The frames were left as they are."
    fitted = f"{len(registration.pairs[0]):,} pairs fix the motion"
    if registration.how == "agreed":
        return f"The frames agreed; refined, B is turned by {registration.motion.angle:.2f}° ({fitted})."
    return f"To lie on A, B was turned by {registration.motion.angle:.2f}° and shifted ({fitted})."


def _error_bars(c: Comparison) -> str:
    if not np.isfinite(c.scale.value):
        return "How large error bars should be is not known."
    if is_copy(c.displacements, c.scale.value):
        return "Common atoms lie at the same places: these are copies of one model."
    return (
        f"Common atoms lie {c.scale.value:.2f} ± {c.scale.esd:.2f} times as far apart as their error bars "
        f"say: {_CAUSES[cause_of_excess(c)]}."
    )
