"""What frames told of columns, as numbers: messages in, tracks, cross-sections and the window out.

Positions are told whatever the cross-sections are, and cross-sections about where a column is at the time,
given all frames. Both in the units and the frame of the reference.
"""

import numpy as np
from jaxtyping import Float

from atomfit.fitting.frame_fit import FrameFitter
from atomfit.results.columns import ColumnsResult
from atomfit.statistics.column_tracks import Tracks, follow_columns
from atomfit.statistics.frame_lays import lay_esds
from atomfit.statistics.running_average import AverageWindow, choose_window
from atomfit.workflows.movie_frames import Told

#: What is known of a column's place when its cross-section is asked for, at least (column widths).
_PLACES = 0.1
#: A frame that tells less than this part of what others tell of a column hardly has it: it lies outside.
_OUTSIDE = 0.2


def tracks_of(told: Told) -> Tracks:
    """Positions, whatever the cross-sections are.

    **Arguments:**

    - `told`: of all frames.
    """
    information, share = _of_positions(told)
    pull = told.pull[..., :2] - share * told.pull[..., 2:]
    return follow_columns(information, pull)


def lay_errors(
    told: Told, tracks: Tracks, sites: Float[np.ndarray, "n 2"], middle: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "t 6"]:
    """How well it is known how frames lie, in the order of `statistics.frame_lays`.

    **Arguments:**

    - `told`: of all frames.
    - `tracks`: where columns are.
    - `sites`: of the columns, from which their offsets are (Å).
    - `middle`: of a frame (Å).
    """
    middles = np.array([lay(middle[None])[0] for lay in told.lays])
    places = sites + tracks.offsets - middles[:, None]
    return lay_esds(_of_positions(told)[0], tracks.steps, places, tracks.walk.factor)


def _of_positions(told: Told) -> tuple[Float[np.ndarray, "t n 2 2"], Float[np.ndarray, "t n 2"]]:
    """Information on positions, whatever cross-sections are, and what these share with them."""
    with_size = told.information[..., :2, 2]
    of_size = told.information[..., 2, 2]
    known = of_size > 0
    share = np.where(known[..., None], with_size / np.where(known, of_size, 1.0)[..., None], 0.0)
    return told.information[..., :2, :2] - share[..., :, None] * with_size[..., None, :], share


def sizes_of(
    told: Told, tracks: Tracks, fitter: FrameFitter, reference: ColumnsResult
) -> tuple[Float[np.ndarray, "t n"], Float[np.ndarray, "t n"]]:
    """Cross-sections of each frame (image units x Å²; positive of dark columns, too), and variances.

    Variances are larger than noise makes them by what a typical one scatters more between frames.

    **Arguments:**

    - `told`: of all frames.
    - `tracks`: where columns are.
    - `fitter`: that frames were fitted by.
    - `reference`: columns of the mean, for their units.
    """
    width = _PLACES * fitter.reference.width
    prior = 1 / np.maximum(tracks.variances, width**2)
    whole = told.information.copy()
    whole[..., 0, 0] += prior[..., 0]
    whole[..., 1, 1] += prior[..., 1]
    pull = told.pull.copy()
    pull[..., :2] += prior * tracks.offsets
    of_size = told.information[..., 2, 2]
    usual = np.quantile(of_size, 0.9, axis=0)
    seen = (of_size > 0) & (of_size > _OUTSIDE * usual)
    whole[~seen] = np.eye(3)
    inverse = np.linalg.inv(whole)
    sizes = np.einsum("tni,tni->tn", inverse[..., 2, :], pull)
    scale = abs(reference.units.scale)
    sizes = np.where(seen, sizes / scale, np.nan)
    variances = np.where(seen, inverse[..., 2, 2] / scale**2, np.inf)
    return sizes, variances * excess_of(sizes, variances)


def excess_of(sizes: Float[np.ndarray, "t n"], variances: Float[np.ndarray, "t n"]) -> float:
    """By how much a typical cross-section varies more between frames than noise makes it; one at least.

    **Arguments:**

    - `sizes`, `variances`: of each frame.
    """
    if len(sizes) < 2:
        return 1.0
    whole = variances[1:] + variances[:-1]
    known = np.isfinite(whole)
    if known.sum() < 50:
        return 1.0
    squares = (np.diff(sizes, axis=0)[known]) ** 2 / whole[known]
    # The median of chi-square of one.
    return max(float(np.median(squares)) / 0.4549, 1.0)


def flicker_of(told: Told) -> float:
    """Standard deviation of the frames' brightness, beyond noise.

    **Arguments:**

    - `told`: of all frames.
    """
    seen = np.isfinite(told.brightness)
    b, v = told.brightness[seen], told.brightness_esds[seen] ** 2
    beyond = float(np.var(b)) - float(np.mean(v))
    # What three standard errors of a variance may be is none.
    unsure = 3 * float(np.mean(v)) * (2 / max(len(b) - 1, 1)) ** 0.5
    return max(beyond, 0.0) ** 0.5 if beyond > unsure else 1e-4


def window_of(told: Told, sizes: np.ndarray, variances: np.ndarray) -> AverageWindow:
    """How many frames may be averaged.

    **Arguments:**

    - `told`: of all frames.
    - `sizes`, `variances`: cross-sections of each.
    """
    information = told.information[..., :2, :2]
    seen = np.linalg.det(information) > 0
    inverse = np.linalg.inv(np.where(seen[..., None, None], information, np.eye(2)))
    places = np.einsum("tnij,tnj->tni", inverse, told.pull[..., :2])
    values, noise = [sizes], [variances]
    for axis in range(2):
        values.append(np.where(seen, places[..., axis], np.nan))
        noise.append(np.where(seen, inverse[..., axis, axis], np.inf))
    return choose_window(values, noise)
