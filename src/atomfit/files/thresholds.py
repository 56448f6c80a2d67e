"""The thresholds of all stages, as a run's record has them: another value would be another result."""

from dataclasses import asdict
from typing import Any

from atomfit.detection import limits as detection
from atomfit.doubts import limits as doubts
from atomfit.fitting import limits as fitting
from atomfit.noise import limits as noise
from atomfit.projection import limits as projection
from atomfit.selection import limits as selection
from atomfit.selection import search_limits
from atomfit.stacking import limits as stacking
from atomfit.statistics import limits as statistics
from atomfit.tilt_series import limits as tilt_series
from atomfit.verdict import limits as verdict

#: Of each stage, as code reads them.
STAGES: dict[str, Any] = {
    "detection": detection.LIMITS,
    "noise": noise.LIMITS,
    "fitting": fitting.LIMITS,
    "projection": projection.LIMITS,
    "tilt_series": tilt_series.LIMITS,
    "search": search_limits.LIMITS,
    "selection": selection.LIMITS,
    "doubts": doubts.LIMITS,
    "statistics": statistics.LIMITS,
    "stacking": stacking.LIMITS,
    "verdict": verdict.LIMITS,
}


def thresholds() -> dict[str, dict[str, Any]]:
    """Their values, by stage and name."""
    return {stage: asdict(limits) for stage, limits in STAGES.items()}
