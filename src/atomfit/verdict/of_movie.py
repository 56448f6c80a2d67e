"""What is to be thought of the columns of a movie."""

import numpy as np
from jaxtyping import Bool, Float

from atomfit.verdict.findings import Finding, Level, Verdict

#: Parts of the frames that do not show the specimen from which a result is doubtful, and bad.
_LEFT_OUT = (0.1, 0.5)
#: Misfit of a typical frame (noise's variance), and factor of the frames' error bars, beyond which ...
_MISFIT, _FACTOR = 1.5, 2.0
#: Frames from which a frame may be unlike the others; by what factor, and in how many standard deviations;
#: and a variation of brightness that a steady beam has not.
_FEW, _UNLIKE, _FLICKER = 5, (1.3, 8.0), 0.05
#: Part of the columns that change in a typical frame, beyond which they are hardly followed.
_RESTLESS = 0.2


def judge_movie(
    frames: tuple[Bool[np.ndarray, " t"], Float[np.ndarray, " t"], int, float],
    factor: float,
    changes: float,
    reference: Verdict,
    height: float,
) -> Verdict:
    """Judge the columns of a movie.

    **Arguments:**

    - `frames`: which show the specimen; their misfits, in noise's variance; how many are copies of others;
        and by how much their brightness varies.
    - `factor`: by which error bars of single frames were too small.
    - `changes`: part of the columns that change from one frame to the next, on average.
    - `reference`: on the columns of the mean of all frames.
    - `height`: median height of columns in a single frame, in standard deviations of noise.
    """
    used, misfits, copied, flicker = frames
    lost = float(1 - np.mean(used))
    misfit = float(np.nanmedian(misfits)) if np.any(np.isfinite(misfits)) else float("nan")
    findings = [one for one in reference.findings if one.level == "bad" or one.code == "counts"]
    findings += [*_of_copies(copied, len(used)), *_unlike(misfits), *_of_brightness(flicker)]
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
        "height": height,
        "copies": float(copied),
        "flicker": flicker,
    }
    return Verdict.of(findings, measures)


def _of_copies(copied: int, frames: int) -> list[Finding]:
    if not copied:
        return []
    return [
        Finding(
            "frames-alike",
            "bad" if copied > 0.5 * frames else "doubtful",
            f"{copied} of {frames} frames are copies of others",
            "leave them out: noise that is there twice looks like the specimen",
        )
    ]


def _unlike(misfits: Float[np.ndarray, " t"]) -> list[Finding]:
    """Frames that columns describe far worse than the others."""
    known = misfits[np.isfinite(misfits)]
    if len(known) < _FEW:
        return []
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    unlike = np.flatnonzero(misfits > max(_UNLIKE[0] * middle, middle + _UNLIKE[1] * spread)) + 1
    if not len(unlike):
        return []
    named = ", ".join(str(k) for k in unlike[:6].tolist()) + (", ..." if len(unlike) > 6 else "")
    return [
        Finding(
            "frames-unlike",
            "doubtful",
            f"{len(unlike)} frames have far more that is no column than the others ({named})",
            "look at them, and leave them out if they show something else",
        )
    ]


def _of_brightness(flicker: float) -> list[Finding]:
    if not flicker > _FLICKER:
        return []
    return [
        Finding(
            "brightness",
            "doubtful",
            f"the brightness of frames varies by {100 * flicker:.0f} %",
            "it was taken for the beam's: gains and losses that all columns share are not seen beside it",
        )
    ]
