"""The views of a tilt series, small enough to lie in a page: their numbers, and pictures of some of them.

All views have a row in a table, with what was refined of each; pictures of every view would be too many.
Some that are evenly spread are shown, and the one that agrees worst with the model, since it is what a
reader should look at. Pixels around the particle are enough, and larger ones if there are still too many.
A picture has no more shades than are drawn, on one scale for all views, so that these can be compared.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.io.tables import Column
from atomfit.projection.agreement import seen_at
from atomfit.projection.directions import tilt_axis, tilts_about
from atomfit.projection.views import TiltSeries, Views
from atomfit.report.described import Table
from atomfit.report.levels import in_shades

#: Views and pixels along an edge that are shown at most: three pictures of each make 2.5 MB of text.
MOST_VIEWS, MOST_PIXELS = 24, 160
#: What is shown around the outermost atoms (Å).
_MARGIN = 4.0
#: Quantiles of the measured values that are black and white, and of what is left that has the full colour.
_GREYS, _COLOURS = (0.005, 0.998), 0.999

VIEW_COLUMNS: tuple[Column, ...] = (
    Column("view", "", "d", "number of the image, from 0"),
    Column("tilt", "°", ".2f", "angle that the specimen is turned by about the common axis of all views"),
    Column("shift_u", "Å", ".4f", "refined drift of the image along its rows"),
    Column("shift_v", "Å", ".4f", "refined drift of the image from row to row"),
    Column("turn", "°", ".3f", "angle of the refined rotation to the one that was given"),
    Column("gain", "", ".5f", "factor on the atoms' amplitudes"),
    Column("background", "image units", ".5g", "beneath the atoms"),
    Column("correlation", "", ".5f", "of image and model, pixels that were measured"),
    Column(
        "r_factor",
        "",
        ".5f",
        "sum of the absolute differences of image and model, as a part of the image's",
    ),
    Column("held_out", "", "d", "1 if the fit has not seen the view"),
)


def view_table(refined: Table, rotations: Float[np.ndarray, "v 3 3"]) -> Table:
    """The columns of `VIEW_COLUMNS`.

    **Arguments:**

    - `refined`: numbers of each view, by their names in `views_refined.csv`.
    - `rotations`: of the views; there is no `tilt` if they have no common axis.
    """
    axis = tilt_axis(rotations)
    tilts = {} if axis is None else {"tilt": np.degrees(tilts_about(rotations, axis))}
    values = {"view": np.arange(len(rotations))} | tilts | refined
    return {
        column.name: np.asarray(values[column.name], np.float64)
        for column in VIEW_COLUMNS
        if column.name in values
    }


def views_shown(correlations: Float[np.ndarray, " v"], most: int = MOST_VIEWS) -> Int[np.ndarray, " k"]:
    """Views whose pictures are shown: all, or some in even steps and the one that agrees worst."""
    n = len(correlations)
    if n <= most:
        return np.arange(n)
    some = np.linspace(0, n - 1, most - 1).round().astype(int)
    return np.union1d(some, np.argmin(correlations))


@dataclass(frozen=True)
class Window:
    """The part of an image that is shown.

    **Fields:**

    - `first`: its first pixel (u, v).
    - `shape`: pixels of the picture (rows, columns).
    - `factor`: pixels of the image along an edge of one of the picture.
    """

    first: tuple[int, int]
    shape: tuple[int, int]
    factor: int

    @classmethod
    def around(
        cls,
        places: Float[np.ndarray, "n 2"],
        margin: float,
        shape: tuple[int, int],
        most: int = MOST_PIXELS,
    ) -> "Window":
        """The smallest window that has all places, but no smaller than what can be shown pixel by pixel.

        **Arguments:**

        - `places`: pixels (u, v) in any of the images.
        - `margin`: around them (pixels).
        - `shape`: of the images (rows, columns).
        - `most`: pixels along an edge of the picture.
        """
        size = np.array(shape[::-1])
        low, high = (places.min(axis=0) - margin, places.max(axis=0) + margin) if len(places) else (0, size)
        length = np.clip(np.ceil(high - low).astype(int) + 1, np.minimum(most, size), size)
        first = np.clip(np.round((low + high - length) / 2).astype(int), 0, size - length)
        factor = int(np.ceil(length.max() / most))
        columns, rows = (length // factor).tolist()
        return cls((int(first[0]), int(first[1])), (rows, columns), factor)

    def of(
        self, images: Float[np.ndarray, "k y x"], known: Bool[np.ndarray, "k y x"]
    ) -> tuple[Float[np.ndarray, "k rows columns"], Bool[np.ndarray, "k rows columns"]]:
        """Means of the pixels that are known, and where there are any."""
        known = self._pieces(known)
        values = np.where(known, self._pieces(images), 0).sum(axis=(2, 4), dtype=np.float64)
        count = known.sum(axis=(2, 4))
        return values / np.maximum(count, 1), count > 0

    def _pieces(self, images: np.ndarray) -> np.ndarray:
        (u, v), (rows, columns), factor = self.first, self.shape, self.factor
        part = images[:, v : v + rows * factor, u : u + columns * factor]
        return part.reshape(len(images), rows, factor, columns, factor)


def pictures(
    series: TiltSeries,
    model: Float[np.ndarray, "v y x"],
    views: Views,
    positions: Float[np.ndarray, "n 3"],
    which: Int[np.ndarray, " k"],
    most: int = MOST_PIXELS,
) -> dict[str, Any]:
    """Measured images, the model's and what is left, of some views.

    **Arguments:**

    - `series`: the images.
    - `model`: images of the model, of all views.
    - `views`: as refined.
    - `positions`: of the atoms that should be seen (Å).
    - `which`: views that are shown.
    - `most`: pixels along an edge of a picture.

    **Returns:** `views`, their numbers; `shape` (rows, columns), `first` pixel (u, v) and pixels each of
    the image; `measured`, `model` and `residual` in bytes; and what places atoms: `pixel` (Å), `centre`
    of the specimen (Å), `rotations` and `centres`.
    """
    seen = [
        seen_at(positions - series.centre, views.rotations[k], views.centres[k], series.pixel)
        for k in which
    ]
    window = Window.around(np.concatenate(seen), _MARGIN / series.pixel, series.shape, most)
    counted = series.counted[which]
    measured, known = window.of(series.images[which], counted)
    drawn, everywhere = window.of(model[which], np.ones_like(counted))
    # Where pixels were not measured the model's do not count either.
    left = measured - window.of(model[which], counted)[0]
    low, high = (float(x) for x in np.quantile(measured[known], _GREYS)) if known.any() else (0.0, 1.0)
    reach = float(np.quantile(np.abs(left[known]), _COLOURS)) if known.any() else 1.0
    return {
        "views": which,
        "shape": window.shape,
        "first": window.first,
        "factor": window.factor,
        "measured": in_shades(measured, known, low, high),
        "model": in_shades(drawn, everywhere, low, high),
        "residual": in_shades(left, known, -reach, reach),
        "pixel": series.pixel,
        "centre": series.centre,
        "rotations": views.rotations[which].reshape(-1, 9).round(6),
        "centres": views.centres[which].round(3),
    }
