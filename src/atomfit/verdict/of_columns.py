"""What is to be thought of the columns of an image: judged by what the fit left and by their distances."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from atomfit.fitting.column_fit import FittedColumns
from atomfit.selection.column_shape import at_limits
from atomfit.structure.elements import Element
from atomfit.structure.neighbours import nearest_distances
from atomfit.verdict.common import convergence
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.limits import LIMITS


def judge_columns(
    fitted: FittedColumns,
    excess: Float[np.ndarray, " n"],
    settled: bool,
    elements: Sequence[Element],
    against: int = 0,
    rejected: int = 0,
) -> Verdict:
    """A verdict on columns.

    **Arguments:**

    - `fitted`: the columns.
    - `excess`: of each column, by which variances are larger than those of pixels that err independently.
    - `settled`: whether the selection came to an end.
    - `elements`: of the columns; none if they are not known.
    - `against`: columns of a start that noise would have given.
    - `rejected`: places that were fitted and are none.
    """
    positions = np.asarray(fitted.columns.positions)
    if not len(positions):
        none = Finding(
            "no-columns",
            "bad",
            "no column found: "
            + (
                f"none of the {rejected} places that stood out has the shape and the height of one"
                if rejected
                else "nothing as round and as wide as a column stands out from the image's noise"
            ),
            "look at the pixel size and at --contrast, and at the image for hot pixels and fringes, or "
            "average frames (--frame mean)",
        )
        return Verdict.of([none], {})
    apart = float(np.median(nearest_distances(positions))) if len(positions) > 1 else np.nan
    findings = [*convergence(fitted.reason), *_of_residual(fitted, excess), *_of_shape(fitted)]
    if not settled:
        findings.append(
            Finding(
                "not-settled",
                "doubtful",
                "columns still came and went when the selection was ended",
                "look at the columns with the lowest scores, or give a smaller --fdr",
            )
        )
    if against:
        findings.append(
            Finding(
                "start",
                "doubtful",
                f"{against} of the start's {len(positions)} columns do not stand out from noise",
                "see false in columns.csv; --selection fit removes them, and adds what is lacking",
            )
        )
    if elements and len(positions) > 3:
        bulk = max(one.neighbour_distance for one in elements)
        if not LIMITS.closest_projected < apart / bulk < LIMITS.farthest_projected:
            findings.append(
                Finding(
                    "column-spacing",
                    "doubtful",
                    f"columns are {apart:.2f} Å apart (median); atoms of {elements[0].symbol} are "
                    f"{bulk:.2f} Å apart in the bulk",
                    "look at the pixel size, or whether these are columns of that element",
                )
            )
    measures = {"spacing": apart, "width": fitted.width, "excess": float(np.median(excess))}
    return Verdict.of(findings, measures)


def _of_residual(fitted: FittedColumns, excess: Float[np.ndarray, " n"]) -> list[Finding]:
    """What is left is no noise of single pixels."""
    noise = float(np.median(excess))
    if not noise > LIMITS.excess_doubtful:
        return []
    jitter = "" if fitted.rows is not None else "rows jitter (see --row-jitter), "
    return [
        Finding(
            "structured-residual",
            "doubtful",
            f"what is left varies {noise:.3g} times as much as pixels' own noise at the size of a "
            f"column: {jitter}pixels err together, or columns are no Gaussians",
            "error bars and scores are that much more cautious; look at residual.mrc",
        )
    ]


def _of_shape(fitted: FittedColumns) -> list[Finding]:
    """Columns that ask for more of a shape than they may have are of another."""
    return [
        Finding(
            "shape-at-limit",
            "doubtful",
            f"{name} of columns ended at the limit: their shape, or what lies beneath, is another",
            "do not trust cross-sections, nor counts by them; compare --profile gaussian, or give a finer "
            "--background",
        )
        for name in at_limits(fitted)
    ]
