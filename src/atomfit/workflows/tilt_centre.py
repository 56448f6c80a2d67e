"""The point of the specimen that the views turn about, where neither a user nor the views' file names it.

A model lies in the frame of its map, whose origin is a corner of the box as a rule; the views turn about
the middle of it, and of that the images say nothing. But a series and a model to start from know each
other: for each point that it may be, the model is drawn into some views and compared with them. A few
points are likely: the middle of the box that the model was found in, the one that an earlier fit to images
used, the model's own middle, and the origin; and where the images have the model is one more. The one
that agrees best is taken, and a note says which.

A point that is wrong by a little is no harm: it moves all atoms alike.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.projection.agreement import mean_correlation
from atomfit.projection.misreadings import measured_centre
from atomfit.results.series import PreparedSeries
from atomfit.selection.search_limits import LIMITS
from atomfit.structure.grid import Grid

#: Points by what they are (Å), the likeliest first.
Points = list[tuple[str, Float[np.ndarray, " 3"]]]


def centred(ready: PreparedSeries, positions: Float[np.ndarray, "n 3"], named: Points) -> PreparedSeries:
    """The series with the centre that agrees best with its images, unless that was given.

    **Arguments:**

    - `ready`: the series.
    - `positions`: of atoms to start from (Å).
    - `named`: points that are known beside the origin and the atoms' own middle.
    """
    if ready.centre_given:
        return ready
    middle, distance = positions.mean(axis=0), ready.element.neighbour_distance
    about_it = replace(ready.series, centre=middle)
    points = [
        *named,
        ("the origin", np.zeros(3)),
        ("the middle of the model", middle),
        ("where images and model lie on each other", measured_centre(about_it, positions, distance)),
    ]
    agreeing = [
        mean_correlation(replace(ready.series, centre=point), positions, distance) for _, point in points
    ]
    best = next(i for i, value in enumerate(agreeing) if value >= max(agreeing) - LIMITS.centres_alike)
    words, point = points[best]
    x, y, z = point
    tried = ", ".join(f"{name} {value:.3f}" for (name, _), value in zip(points, agreeing, strict=True))
    note = (
        f"views turn about {words} ({x:.3f}, {y:.3f}, {z:.3f} Å), which agrees best with the images "
        f"(correlations: {tried}); --centre names another point"
    )
    return replace(ready, series=replace(ready.series, centre=point), notes=(*ready.notes, note))


def points_of_box(grid: Grid) -> Points:
    """The middle of a map's box: its middle voxel, as tomography has it, and between its faces."""
    voxel = grid.positions_of(np.array(grid.shape) // 2)
    return [("the middle voxel of the map", voxel), ("the middle of the map's box", grid.centre)]


def points_of_result(path: str | Path) -> Points:
    """Points that a result's summary names: the middle of its map's box, or its views' centre.

    **Arguments:**

    - `path`: a directory of `build` or `tilt`, or a file in it; of anything else nothing is known.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    if folder != path and not path.name.startswith("atoms."):
        return []
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        if "views" in summary:
            point = np.array(summary["views"]["centre"], float)
            return [("the centre of that result's views", point)] if point.shape == (3,) else []
        box = summary["map"]
        edges, origin = np.array(box["voxel_size"], float), np.array(box["origin"], float)
        return points_of_box(Grid(tuple(int(n) for n in box["shape_zyx"]), edges, origin))
    except (OSError, ValueError, KeyError, TypeError):
        # A summary is a hint; without it the model's middle and the origin are left.
        return []
