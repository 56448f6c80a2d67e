"""How improbable a weighted sum of counts is, told as a height in standard deviations of a Gaussian.

Of few counts the tail of a sum is heavier than a Gaussian's of its variance. Of independent counts of mean
λ_i, each worth a gain b, the sum T of t_i b (n_i - λ_i) has the cumulant function

    K(θ) = Σ λ_i (e^(θ b t_i) - 1 - θ b t_i),

and with θ at the saddle K'(θ) = T, r = √(2 (θ T - K)) and u = θ √K'' the probability of more than T is that
of a Gaussian above r + ln(u / r) / r, to a relative error of order 1 / counts (Lugannani & Rice 1980;
Barndorff-Nielsen 1986).
"""

import numpy as np
from jaxtyping import Float

#: Steps to the saddle; sums below this many deviations are taken to be a Gaussian's.
_STEPS, _SMALL = 40, 0.3
#: Largest exponent.
_LARGEST = 50.0


def gaussian_heights(
    sums: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, "n k"],
    variance: Float[np.ndarray, "n k"],
    gain: float,
    besides: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Heights above which a Gaussian is as often as sums of counts are above theirs.

    **Arguments:**

    - `sums`: less their means.
    - `weights`: of the values that are summed.
    - `variance`: of these.
    - `gain`: value of a count; zero of Gaussian noise.
    - `besides`: variance of what else is in the sums, which is Gaussian.
    """
    total = np.sum(weights**2 * variance, axis=1) + besides
    straight = sums / np.sqrt(np.maximum(total, 1e-300))
    if gain <= 0 or not len(sums):
        return straight
    far = straight > _SMALL
    found = straight.copy()
    found[far] = _saddle(sums[far], gain * weights[far], variance[far] / gain**2, besides[far], total[far])
    return found


def _saddle(
    sums: Float[np.ndarray, " n"],
    jumps: Float[np.ndarray, "n k"],
    means: Float[np.ndarray, "n k"],
    besides: Float[np.ndarray, " n"],
    total: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Newton's steps from below: K' is convex where the heaviest jumps are upwards."""
    theta = np.zeros(len(sums))
    largest = _LARGEST / np.maximum(np.abs(jumps).max(axis=1), 1e-300)
    for _ in range(_STEPS):
        grown = np.exp(theta[:, None] * jumps)
        slope = np.sum(means * jumps * (grown - 1), axis=1) + theta * besides
        bend = np.sum(means * jumps**2 * grown, axis=1) + besides
        step = (sums - slope) / bend
        theta = np.clip(theta + step, 0.1 * theta, largest)
        if np.all(np.abs(step) * np.sqrt(total) < 1e-6):
            break
    exponent = theta[:, None] * jumps
    grown = np.exp(exponent)
    cumulant = np.sum(means * (grown - 1 - exponent), axis=1) + 0.5 * theta**2 * besides
    bend = np.sum(means * jumps**2 * grown, axis=1) + besides
    r = np.sqrt(np.maximum(2 * (theta * sums - cumulant), 1e-12))
    return r + np.log(theta * np.sqrt(bend) / r) / r
