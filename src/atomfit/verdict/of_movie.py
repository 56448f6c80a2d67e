"""What is to be thought of the columns of a movie."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from atomfit.verdict.findings import Finding, Level, Verdict

#: Parts of the frames that do not show the specimen from which a result is doubtful, and bad.
_LEFT_OUT = (0.1, 0.5)
#: Misfit of a typical frame (noise's variance), and factor of the frames' error bars, beyond which ...
_MISFIT, _FACTOR = 1.5, 2.0
#: Part of the columns that change in a typical frame, beyond which they are hardly followed.
_RESTLESS = 0.2


def judge_movie(
    used: Bool[np.ndarray, " t"],
    misfits: Float[np.ndarray, " t"],
    factor: float,
    changes: float,
    reference: Verdict,
    seen: Sequence[float],
) -> Verdict:
    """Judge the columns of a movie.

    **Arguments:**

    - `used`: frames that show the specimen.
    - `misfits`: of the frames, in noise's variance.
    - `factor`: by which error bars of single frames were too small.
    - `changes`: part of the columns that change from one frame to the next, on average.
    - `reference`: on the columns of the mean of all frames.
    - `seen`: median height of columns in a single frame, in standard deviations of noise; one number.
    """
    lost = float(1 - np.mean(used))
    misfit = float(np.nanmedian(misfits)) if np.any(np.isfinite(misfits)) else float("nan")
    findings = [one for one in reference.findings if one.level == "bad"]
    if lost > _LEFT_OUT[0]:
        level: Level = "bad" if lost > _LEFT_OUT[1] else "doubtful"
        findings.append(
            Finding(
                "frames-left-out",
                level,
                f"{100 * lost:.0f} % of the frames do not show what the others show",
                "look at these frames; the specimen may have left, or turned by more than a few degrees",
            )
        )
    if misfit > _MISFIT:
        findings.append(
            Finding(
                "frames-misfit",
                "doubtful",
                f"what is left of a typical frame is {misfit:.2f} times its noise's variance",
                "columns may move within a frame, or frames be distorted more than linearly",
            )
        )
    if factor > _FACTOR:
        findings.append(
            Finding(
                "frames-scatter",
                "doubtful",
                f"columns scatter {factor:.2f} times as much from frame to frame as noise makes them",
                "lines of the scan may be displaced; error bars have the factor in them",
            )
        )
    if changes > _RESTLESS:
        findings.append(
            Finding(
                "restless",
                "doubtful",
                f"{100 * changes:.0f} % of the columns change from each frame to the next",
                "frames may be too noisy for counts, or too far apart in time",
            )
        )
    measures = {
        "frames_left_out": lost,
        "misfit": misfit,
        "factor": factor,
        "changes": changes,
        "height": float(seen[0]) if len(seen) else float("nan"),
    }
    return Verdict.of(findings, measures)
