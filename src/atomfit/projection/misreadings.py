"""What a model and its images would agree better with, if something else was meant than was understood.

A series that is read with the wrong sign of its tilts looks as good as the right one, and its fit is busy
and ends nowhere; so does one with a pixel size in nm, a model about another centre, or inverted contrast.
But a model to start from, even a rough one, tells them apart at once (`agreement`). Conventions are tried
one after the other; sizes by a scan, first of coarse spots, whose agreement changes slowly with the size; a
centre by where coarse spots of each view correlate best with its image. Sizes and centres are tried only if
the model hardly agrees as it is. Nothing is changed by it: it becomes a refusal or a warning with the
remedy in it.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from atomfit.projection.agreement import (
    WIDTHS,
    Turn,
    attainable_correlation,
    best_shift,
    correlation_of_spots,
    lowest_correlation,
    mean_correlation,
    some_views,
    spots,
)
from atomfit.projection.limits import LIMITS
from atomfit.projection.views import TiltSeries
from atomfit.support.errors import Doubt

#: Width of coarse spots, in neighbour distances.
_COARSE = 0.6
#: Sizes that are tried, and by how much they are then refined, twice.
_SIZES = 10 ** np.linspace(-1.1, 1.1, 23)
_FINER = (np.linspace(-0.08, 0.08, 11), np.linspace(-0.012, 0.012, 5))
_SWAPPED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
_FLIPPED, _MIRRORED = np.diag([1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, 1.0])
_HALF, _QUARTER = np.diag([-1.0, -1.0, 1.0]), np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

#: What rotations become if something else was meant, and what to do then.
_OTHERS: dict[str, Turn] = {
    "the inverse rotations (tilts of the opposite sign): --inverse-views": lambda r: np.swapaxes(r, -1, -2),
    "the other tilt axis: --tilt-axis": lambda r: _SWAPPED @ r @ _SWAPPED.T,
    "the other tilt axis and the inverse rotations: --tilt-axis and --inverse-views": lambda r: (
        _SWAPPED @ np.swapaxes(r, -1, -2) @ _SWAPPED.T
    ),
    "images that are upside down (rows in the opposite order): turn them": lambda r: _FLIPPED @ r,
    "images that are mirrored (columns in the opposite order): turn them": lambda r: _MIRRORED @ r,
    "images that are rotated by 180 degrees: turn them": lambda r: _HALF @ r,
    "images whose rows and columns are exchanged: transpose them": lambda r: _SWAPPED @ r,
    "images that are rotated by 90 degrees: turn them (numpy.rot90)": lambda r: _QUARTER @ r,
    "images that are rotated by -90 degrees: turn them (numpy.rot90)": lambda r: _QUARTER.T @ r,
}
_DARK = "inverted contrast (atoms are dark): give images in which atoms are bright (turn their sign)"


@dataclass(frozen=True)
class Reading:
    """How views were read, of which the remedy for another reading depends.

    **Fields:**

    - `inverse`: whether the inverse of each rotation was taken.
    - `axis`: of the images, "x" or "y", that tilt angles were taken to be about; None if there are none.
    """

    inverse: bool = False
    axis: str | None = None

    def otherwise(self, remedy: str) -> str:
        """What to do, given what was done: `remedy` names options without their values."""
        axes = {"x": "give --tilt-axis y", "y": "give --tilt-axis x"}
        done = {
            "--tilt-axis": axes.get(self.axis or "", "exchange the images' axes x and y in the views"),
            "--inverse-views": "leave out --inverse-views" if self.inverse else "give --inverse-views",
        }
        return " and ".join(done.get(part, part) for part in remedy.split(" and "))


#: As rotations are given.
AS_GIVEN = Reading()


@dataclass(frozen=True)
class Agreement:
    """How well the model to start from agrees with the images.

    **Fields:**

    - `correlation`: mean over some views.
    - `better`: what would agree clearly better, in words, and its correlation; None if nothing would.
    - `attainable`: correlation that the images' noise allows, about.
    - `reading`: how views were read.
    """

    correlation: float
    better: tuple[str, float] | None
    attainable: float = 1.0
    reading: Reading = AS_GIVEN

    @property
    def hardly_any(self) -> bool:
        """Whether model and images have little to do with each other, as far as noise lets it be seen."""
        return self.correlation < LIMITS.hardly_any * self.attainable

    @property
    def misread(self) -> Doubt | None:
        """What was probably meant instead, and what to do."""
        if self.better is None:
            return None
        words, correlation = self.better
        what, remedy = words.split(": ", 1)
        told = f"the start agrees with the images by a correlation of {self.correlation:.2f} only"
        return Doubt(f"{told}, and would by {correlation:.2f} with {what}", self.reading.otherwise(remedy))

    @property
    def surely_another(self) -> bool:
        """Whether what was understood is as good as nothing beside what would agree better."""
        return self.better is not None and self.correlation < LIMITS.misread_surely * self.better[1]


def agreement(
    series: TiltSeries,
    positions: Float[np.ndarray, "n 3"],
    neighbour_distance: float,
    reading: Reading = AS_GIVEN,
) -> Agreement:
    """Compare atoms with images.

    **Arguments:**

    - `series`: the images.
    - `positions`: of the atoms (Å).
    - `neighbour_distance`: typical distance of neighbours (Å).
    - `reading`: how its views were read.
    """
    found = mean_correlation(series, positions, neighbour_distance)
    others = {
        words: mean_correlation(series, positions, neighbour_distance, turn)
        for words, turn in _OTHERS.items()
    }
    others[_DARK] = -lowest_correlation(series, positions, neighbour_distance)
    if max(found, *others.values()) < LIMITS.well_read:
        others |= dict(_of_another_size(series, positions, neighbour_distance))
        others |= dict(_about_another_centre(series, positions, neighbour_distance))
    words = max(others, key=lambda name: others[name])
    value = others[words]
    error = 1 / np.sqrt(len(some_views(series)) * series.images[0].size)
    clearly = (
        value > found + LIMITS.misread_better
        or (value > LIMITS.misread_times * found and value > found + LIMITS.misread_errors * error)
        or (value > LIMITS.well_read and 1 - value**2 < LIMITS.misread_left * (1 - found**2))
    )
    return Agreement(found, (words, value) if clearly else None, attainable_correlation(series), reading)


def size_of_images(
    series: TiltSeries, positions: Float[np.ndarray, "n 3"], neighbour_distance: float
) -> tuple[float, float]:
    """How many times as large as the model the images show it, and the correlation then.

    **Arguments:**

    - `series`: the images.
    - `positions`: of the atoms (Å).
    - `neighbour_distance`: typical distance of neighbours (Å).
    """

    def agreeing(size: float, width: float) -> float:
        about = series.centre + size * (positions - series.centre)
        return correlation_of_spots(series, about, width * size * neighbour_distance)

    best = max(_SIZES.tolist(), key=lambda size: agreeing(size, _COARSE))
    for steps in _FINER:
        best = max((best * 10**steps).tolist(), key=lambda size: agreeing(size, WIDTHS[1]))
    return best, max(agreeing(best, width) for width in WIDTHS)


def _of_another_size(
    series: TiltSeries, positions: Float[np.ndarray, "n 3"], neighbour_distance: float
) -> list[tuple[str, float]]:
    size, value = size_of_images(series, positions, neighbour_distance)
    unit = " (it may be in nm)" if 8 < size < 12.5 or 0.08 < size < 0.125 else ""
    times = f"{size:.2g} times as large" if size > 1 else f"{1 / size:.2g} times as small"
    remedy = f"give --pixel-size {series.pixel / size:.3g}, or a start whose coordinates are in Å"
    return [(f"a model {times}{unit}: {remedy}", value)]


def measured_centre(
    series: TiltSeries, positions: Float[np.ndarray, "n 3"], neighbour_distance: float
) -> Float[np.ndarray, " 3"]:
    """The point (Å) that views would have to turn about, so that atoms are where images have them.

    **Arguments:**

    - `series`: the images.
    - `positions`: of the atoms (Å).
    - `neighbour_distance`: typical distance of neighbours (Å).
    """
    planes, moves = [], []
    width = _COARSE * neighbour_distance / series.pixel
    for k in some_views(series):
        rotation, centre = series.views.rotations[k], series.views.centres[k]
        drawn = spots(positions - series.centre, rotation, centre, series, width)
        planes.append(rotation[:2])
        moves.append(best_shift(drawn, series.images[k], series.counted[k]) * series.pixel)
    return series.centre - np.linalg.lstsq(np.concatenate(planes), np.concatenate(moves), rcond=None)[0]


def _about_another_centre(
    series: TiltSeries, positions: Float[np.ndarray, "n 3"], neighbour_distance: float
) -> list[tuple[str, float]]:
    x, y, z = point = measured_centre(series, positions, neighbour_distance)
    value = mean_correlation(replace(series, centre=point), positions, neighbour_distance)
    return [(f"another point that views turn about: --centre {x:.3g},{y:.3g},{z:.3g}", value)]
