"""What the correlations of images and model tell: views that do not belong, and a fit that describes noise.

A view that is far below the others was read with a wrong angle, has drifted out, or shows something else.
And a fit with enough freedom describes noise: then views that it has not seen agree worse than those beside
them that it has. Beside them, because the correlation changes with the tilt anyway.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import median_filter

from atomfit.projection.limits import LIMITS


def correlation(a: Float[np.ndarray, " k"], b: Float[np.ndarray, " k"]) -> float:
    """Pearson's correlation of pixels; zero if either are all alike."""
    x, y = (values.astype(np.float64) - np.mean(values, dtype=np.float64) for values in (a, b))
    return float(x @ y / np.sqrt(max(float(x @ x) * float(y @ y), 1e-300)))


def r_factor(measured: Float[np.ndarray, " k"], drawn: Float[np.ndarray, " k"]) -> float:
    """Sum of absolute differences as a part of that of measured values (Ma & Yu, equation 11)."""
    return float(np.abs(measured - drawn).sum() / max(float(np.abs(measured).sum()), 1e-300))


def far_below(correlations: Float[np.ndarray, " v"]) -> Int[np.ndarray, " k"]:
    """Views that correlate far less than the others do."""
    return np.flatnonzero(_below(correlations, float(np.median(correlations)), LIMITS.view_far))


def below_beside(correlations: Float[np.ndarray, " v"]) -> Int[np.ndarray, " k"]:
    """Views that are not far below all others, but clearly below those beside them; none at the ends."""
    if len(correlations) < LIMITS.views_beside:
        return np.zeros(0, int)
    reach = LIMITS.views_beside // 2
    going_on = np.pad(correlations, reach, mode="reflect", reflect_type="odd")
    beside = median_filter(going_on, LIMITS.views_beside)[reach:-reach]
    return np.setdiff1d(
        np.flatnonzero(_below(correlations, beside, LIMITS.view_far_beside)), far_below(correlations)
    )


def _below(
    correlations: Float[np.ndarray, " v"], expected: Float[np.ndarray, " v"] | float, least: float
) -> Bool[np.ndarray, " v"]:
    lacking = expected - correlations
    deviation = 1.4826 * float(np.median(np.abs(lacking - np.median(lacking))))
    return lacking > max(least, LIMITS.view_deviations * deviation)


def listed(correlations: Float[np.ndarray, " v"], views: Int[np.ndarray, " k"]) -> str:
    """Views and their correlations in words."""
    more = f" and {len(views) - 10} more" if len(views) > 10 else ""
    return ", ".join(f"{k} ({correlations[k]:.3g})" for k in views[:10]) + more


def view_warnings(
    correlations: Float[np.ndarray, " v"],
    held_out: Bool[np.ndarray, " v"],
    excess: float = np.inf,
) -> list[str]:
    """What the correlations of images and model tell of views and of the fit.

    Views that are far below the others are told in the verdict.

    **Arguments:**

    - `correlations`: of each view.
    - `held_out`: views that were not fitted.
    - `excess`: of the residual's colour over white noise; where there is none, what is left is noise, and a
        low correlation tells of nothing else.
    """
    warnings = []
    median = float(np.median(correlations))
    fitted = np.flatnonzero(~held_out)
    below = fitted[below_beside(correlations[fitted])]
    if len(below):
        warnings.append(
            f"the model describes the images of views {listed(correlations, below)} less well than those "
            f"beside them; the median is {median:.3f}: check their angles, centres and noise, or leave "
            "them out"
        )
    if median < LIMITS.no_agreement and excess > LIMITS.coloured:
        warnings.append(
            f"images and model correlate by {median:.2f} only: check the views' convention, the centre and "
            "the start (views.svg shows them)"
        )
    drop = held_out_drop(correlations, held_out)
    if drop is not None and describes_noise(*drop):
        warnings.append(
            f"views that were held out correlate by {drop[0]:.3f} less than their neighbours that were "
            "fitted: the fit describes noise (give --known-positions, or fit less)"
        )
    return warnings


def describes_noise(drop: float, error: float) -> bool:
    """Whether held-out views are so much worse than their neighbours, by more than chance."""
    return drop > max(LIMITS.held_out_worse, LIMITS.held_out_errors * error)


def held_out_drop(
    correlations: Float[np.ndarray, " v"], held_out: Bool[np.ndarray, " v"]
) -> tuple[float, float] | None:
    """By how much views that were held out correlate worse than their fitted neighbours, with its error.

    Neighbours, because the correlation changes with the tilt whether or not a view was fitted. None if
    there are fewer than two.
    """
    fitted = np.flatnonzero(~held_out)
    if np.sum(held_out) < 2 or not len(fitted):
        return None
    expected = np.interp(np.flatnonzero(held_out), fitted, correlations[fitted])
    drops = expected - correlations[held_out]
    return float(np.mean(drops)), float(np.std(drops, ddof=1) / np.sqrt(len(drops)))
