"""How much each column stands out from what the image would be without it.

A fit's standard uncertainty of a column's integral is of noise that the column has part in. Whether there
is one at all is asked of noise without it, which may be much less. The fit's integral is a weighted sum of
pixels, A = Σ t_i y_i, whatever their noise, and what that sum scatters by if there is no column follows
from the same weights and the variances of the model without it. About the column these weights are

    t = C (g - β) / v,

g being its shape and C the variance of A by the fit; β is what others and the background would take up of
it, one number here, which C knows. Few counts have a longer tail than a Gaussian (`inference.tails`), and
heights are told so that a Gaussian exceeds them as often.
"""

import numpy as np
from jaxtyping import Float, Int

from atomfit.fitting.column_fit import FittedColumns
from atomfit.fitting.column_information import ColumnInformation
from atomfit.inference.tails import gaussian_heights

#: How far spots are looked at, in their widths.
_REACH = 4.0


def heights_from_nothing(
    fitted: FittedColumns,
    information: ColumnInformation,
    amplitude_esd: Float[np.ndarray, " n"],
    excess: Float[np.ndarray, " n"],
    gain: float,
) -> Float[np.ndarray, " n"]:
    """Heights of columns in standard deviations of a Gaussian, of noise without each of them.

    **Arguments:**

    - `fitted`, `information`: the fit.
    - `amplitude_esd`: standard uncertainties by pixels that err independently.
    - `excess`: by which variances are larger than those, without the columns.
    - `gain`: by which variance grows with brightness.
    """
    least = float(fitted.variance.min())
    sums = np.asarray(fitted.columns.amplitudes, np.float64)
    found = np.zeros(len(sums))
    for some, around in information.windows.pixels(fitted.variance):
        # What does not count has no slope.
        slopes = information.windows.slopes[some, 2].reshape(len(around), -1)
        variance = around.reshape(slopes.shape)
        found[some] = _heights(
            sums[some],
            slopes * np.sqrt(variance),
            np.where(slopes != 0, 1 / variance, 0.0),
            variance,
            amplitude_esd[some] ** 2,
            excess[some],
            gain,
            least,
        )
    return found


def _heights(
    sums: Float[np.ndarray, " n"],
    shape: Float[np.ndarray, "n k"],
    precision: Float[np.ndarray, "n k"],
    variance: Float[np.ndarray, "n k"],
    of_sum: Float[np.ndarray, " n"],
    excess: Float[np.ndarray, " n"],
    gain: float,
    least: float,
) -> Float[np.ndarray, " n"]:
    told = np.sum(precision * shape**2, axis=1)
    taken = np.maximum(told - 1 / of_sum, 0) / np.maximum(np.sum(precision * shape, axis=1), 1e-300)
    residual = np.where(precision > 0, shape - taken[:, None], 0.0)
    weights = of_sum[:, None] * precision * residual
    without = np.maximum(variance - gain * np.maximum(sums, 0)[:, None] * residual, least)
    besides = np.maximum(of_sum - np.sum(weights**2 * variance, axis=1), 0)
    return gaussian_heights(sums / np.sqrt(excess), weights, without, gain, besides)


def heights_of_spots(
    responses: Float[np.ndarray, " n"],
    pixels: Int[np.ndarray, "n 2"],
    variance: Float[np.ndarray, "rows columns"],
    width: float,
    broader: float,
    gain: float,
) -> Float[np.ndarray, " n"]:
    """Heights of responses of spots (`detection.column_filter`) in what a fit leaves.

    **Arguments:**

    - `responses`: of the filter, of the image.
    - `pixels`: rows and columns where they are.
    - `variance`: of the image's pixels.
    - `width`, `broader`: of the filter (pixels, times).
    - `gain`: by which variance grows with brightness.
    """
    half = int(np.ceil(_REACH * width))
    steps = np.arange(-half, half + 1)
    one, other = (
        np.exp(-0.5 * (steps / s) ** 2) / (np.sqrt(2 * np.pi) * s) for s in (width, broader * width)
    )
    kernel = np.outer(one, one) - np.outer(other, other)
    rows, columns = (np.clip(pixels[:, k, None] + steps, 0, variance.shape[k] - 1) for k in range(2))
    around = variance[rows[:, :, None], columns[:, None, :]].reshape(len(pixels), len(steps) ** 2)
    # What is farther away is of the broader Gaussian alone, and noise of many pixels.
    beyond = 1 / (4 * np.pi * (broader * width) ** 2) - float(np.sum(np.outer(other, other) ** 2))
    besides = max(beyond, 0.0) * around.mean(axis=1)
    weights = np.broadcast_to(kernel.ravel(), around.shape)
    return gaussian_heights(responses, weights, around, gain, besides)
