"""A detection as plain arrays, for a job's journal, and back."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from atomfit.detection.detect import Detection, denoised_for
from atomfit.detection.mean_atom import MeanAtom
from atomfit.detection.threshold import ThresholdSearch, ThresholdTrial
from atomfit.detection.validation import Rejected
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap


def arrays_of(detection: Detection) -> dict[str, np.ndarray]:
    """All but the denoised map, which follows in a second from the map and the mean atom."""
    mean, search = detection.mean_atom, detection.search
    numbers: dict[str, Any] = {
        "mean_atom": [mean.height, mean.u, mean.background, mean.count],
        "floor": detection.floor,
        "best": None if search is None else search.trials.index(search.best),
        "trials": [] if search is None else [asdict(trial) for trial in search.trials],
        "reasons": detection.rejected.reasons,
    }
    return {
        "positions": detection.positions,
        "correlations": detection.correlations,
        "matrix": mean.matrix,
        "rejected": detection.rejected.positions,
        "numbers": np.array(json.dumps(numbers)),
    }


def detection_of(arrays: dict[str, np.ndarray], density: DensityMap, element: Element) -> Detection:
    """The detection in a map whose arrays these are."""
    numbers = json.loads(str(arrays["numbers"]))
    height, u, background, count = numbers["mean_atom"]
    mean = MeanAtom(height, u, background, arrays["matrix"], count)
    trials = tuple(ThresholdTrial(**trial) for trial in numbers["trials"])
    return Detection(
        arrays["positions"],
        arrays["correlations"],
        mean,
        denoised_for(density, mean, element),
        None if numbers["best"] is None else ThresholdSearch(trials[numbers["best"]], trials),
        numbers["floor"],
        Rejected(arrays["rejected"], tuple(numbers["reasons"])),
    )
