"""How many frames may be averaged: what each frame tells of columns in, the window that predicts best out.

A frame is predicted by the mean of those around it, itself left out. A wide window has little noise, a
narrow one is up to date. With y_t what frame t tells and v_t its variance, the prediction m of the others
in the window has the variance 1 / Σ 1/v, and

    y_t - m ~ N(0, v_t + 1 / Σ 1/v + τ²),

τ² being what the specimen changes within the window, the likeliest one. The window whose predictions are
likeliest is taken; of such that are as good, the widest.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

#: What is tried for τ², as parts of the median variance.
_CHANGES = np.r_[0.0, np.geomspace(0.01, 100, 25)]
#: Windows that are less likely by this (logarithm) are as good.
_AS_GOOD = 2.0


@final
@dataclass(frozen=True, eq=False)
class AverageWindow:
    """Windows that were tried, and the one to take.

    **Fields:**

    - `frames`: of the window.
    - `tried`: all of them.
    - `evidence`: log-likelihood of each, less the best one's.
    """

    frames: int
    tried: Int[np.ndarray, " w"]
    evidence: Float[np.ndarray, " w"]


def choose_window(
    values: list[Float[np.ndarray, "t n"]], variances: list[Float[np.ndarray, "t n"]]
) -> AverageWindow:
    """The window to average over.

    **Arguments:**

    - `values`: numbers of columns in each frame, of each kind (x, y, cross-section).
    - `variances`: theirs; infinite where a frame tells nothing.
    """
    t = len(values[0])
    tried = [3]
    while tried[-1] < t:
        tried.append(2 * tried[-1] - 1)
    if t < 3:
        return AverageWindow(t, np.array([t]), np.zeros(1))
    tried[-1] = t
    evidence = np.array(
        [sum(_predicted(y, v, w) for y, v in zip(values, variances, strict=True)) for w in tried]
    )
    evidence -= evidence.max()
    best = max(w for w, e in zip(tried, evidence.tolist(), strict=True) if e > -_AS_GOOD)
    return AverageWindow(best, np.array(tried), evidence)


def _predicted(values: Float[np.ndarray, "t n"], variances: Float[np.ndarray, "t n"], window: int) -> float:
    told = np.isfinite(variances) & np.isfinite(values)
    weights = np.where(told, 1 / np.where(told, variances, 1.0), 0.0)
    weighted = np.where(told, values, 0.0) * weights
    t = len(values)
    low, high = (np.clip(np.arange(t) + k, 0, t) for k in (-(window // 2), window // 2 + 1))
    sums = []
    for x in (weights, weighted):
        total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
        sums.append(total[high] - total[low] - x)
    known = told & (sums[0] > 1e-9 * max(float(weights.max(initial=0.0)), 1e-300))
    if not known.any():
        return 0.0
    apart = (np.where(told, values, 0.0) - sums[1] / np.where(known, sums[0], 1.0))[known]
    noise = (1 / np.where(known, weights, 1.0) + 1 / np.where(known, sums[0], 1.0))[known]
    changes = _CHANGES * float(np.median(noise))
    logs = [-0.5 * float(np.sum(apart**2 / (noise + c) + np.log(noise + c))) for c in changes]
    return max(logs)
