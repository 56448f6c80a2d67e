"""All files of a movie, in one place: see `docs/files.md` for what they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.detection.frame_sums import FrameSum, added, places_on
from atomfit.io.image_stacks import write_images
from atomfit.io.json_files import write_json
from atomfit.io.outputs import optional, staged
from atomfit.io.record import LIBRARIES, made_by
from atomfit.io.tables import write_columns
from atomfit.io.tracked import write_events, write_frames, write_trajectory
from atomfit.report.movie import movie_contents
from atomfit.report.movie_tables import (
    COLUMN_COLUMNS,
    FRAME_COLUMNS,
    column_table,
    frame_table,
    movie_summary,
    tracked_of,
)
from atomfit.report.page import TIME_SLIDER, write_page
from atomfit.structure.grid import Grid

if TYPE_CHECKING:
    from atomfit.results.movie import MovieResult

#: Averages that are written, at most.
_MOST = 200


def write_movie(result: "MovieResult", directory: Path, overwrite: bool = False) -> Path:
    """Write every file of a movie.

    **Arguments:**

    - `result`: of `series`.
    - `directory`: where to; created if need be.
    - `overwrite`: whether files of an earlier result may be replaced.

    **Raises:** `InputError` if the directory may not be written to.
    """
    record, tracked = movie_record(result), tracked_of(result)
    warnings = list(result.warnings)
    with staged(directory, overwrite, result.source.paths) as stage:
        write_frames(stage / "series.csv", tracked)
        write_columns(stage / "columns.csv", COLUMN_COLUMNS, column_table(result))
        write_columns(stage / "frames.csv", FRAME_COLUMNS, frame_table(result))
        write_events(stage / "events.csv", tracked)
        with optional(stage / "trajectory.xyz", warnings) as path:
            write_trajectory(path, tracked)
        with optional(stage / "averages.mrc", warnings) as path:
            averages, frames = running_averages(result)
            write_images(path, averages, result.source.pixel)
        with optional(stage / "series.html", warnings) as path:
            write_page(path, movie_contents(result, tracked, record), TIME_SLIDER)
        told = {
            "kind": "movie",
            "inputs": record["files"],
            "options": record["options"],
            "verdict": result.verdict.told(),
            "warnings": warnings,
            "averages": {"first_and_last_frame": frames},
            "seconds": result.seconds,
        }
        write_json(stage / "series.json", told | movie_summary(result))
        write_json(stage / "run.json", record)
    return directory


def running_averages(
    result: "MovieResult",
) -> tuple[Float[np.ndarray, "k rows columns"], list[tuple[int, int]]]:
    """Averages over the window that predicts best, each half a window after the other.

    They lie in the mean's frame, on its pixels; NaN where no frame was. Beside them are the numbers of the
    first and last frame of each, from 1.

    **Arguments:**

    - `result`: of `series`.
    """
    source, seen = result.source, result.frames
    canvas = result.reference.source.image.grid
    grid = Grid(source.shape[1:], np.full(2, source.pixel), np.zeros(2))
    t = len(source)
    half = max((result.window.frames + 1) // 2, -(-t // _MOST))
    edges = list(range(0, t, half))
    found, numbers, before = [], [], None
    for start in edges:
        end = min(start + half, t)
        block = FrameSum.empty(canvas.shape)
        for k in range(start, end):
            if seen.used[k]:
                values, counted = source.frame(k)
                lay = seen.lays[k]
                places = places_on(canvas, grid, lay.matrix, lay.translation)
                block = block + added(values, counted, places, canvas.shape)
        if before is not None or len(edges) == 1:
            whole, first = (block, start) if before is None else (before[0] + block, before[1])
            found.append(np.where(whole.count > 0, whole.total / np.maximum(whole.count, 1), np.nan))
            numbers.append((first + 1, end))
        before = (block, start)
    return np.array(found, np.float32), numbers


def movie_record(result: "MovieResult") -> dict[str, Any]:
    """How a movie was followed: versions, options, and the inputs."""
    return {
        **made_by(LIBRARIES),
        "options": {
            "element": [one.symbol for one in result.elements],
            **vars(result.options),
            "times": result.times,
        },
        "files": [
            {"name": path.name, "path": str(path.absolute()), "sha256": result.source.sha256}
            for path in result.source.paths
        ],
        "notes": result.source.notes,
    }
