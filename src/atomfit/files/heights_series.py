"""Files of heights of columns in each frame of a stack: see `docs/files.md` for what they hold.

They are those of one image, of the common columns over the mean of the frames, but for `heights.csv`, which
has a row for each column of each frame.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.column_heights.following import FollowedHeights
from atomfit.column_heights.found import Heights
from atomfit.figures import load_matplotlib, require_matplotlib
from atomfit.files.height_tables import CONDITIONS, conditions_table, height_columns, heights_table
from atomfit.files.heights import run_record, summary, write_picture
from atomfit.io.json_files import write_json
from atomfit.io.mrc import write_image
from atomfit.io.outputs import optional, staged
from atomfit.io.tables import Column, write_columns
from atomfit.report.image_heights import heights_contents
from atomfit.report.page import HEIGHTS_SERIES, write_page

if TYPE_CHECKING:
    from atomfit.results.heights import HeightsSeries

#: The columns of `heights.csv` of a stack, before those of one image.
OF_FRAMES: tuple[Column, ...] = (
    Column("frame", "", "d", "number of the frame, from 0"),
    Column("column", "", "d", "number of the column in columns.csv, the same in all frames"),
)
#: The column of `columns.csv` that `heights.csv` of one image has not.
SEEN = Column("frames", "", "d", "frames that show it")
#: The columns of `frames.csv`.
FRAMES: tuple[Column, ...] = (
    Column(
        "frame", "", "d", "number of the frame in the stack, from 0; those that were left out are missing"
    ),
    Column("columns", "", "d", "positions of columns that it shows"),
    Column("vacant", "", "d", "of these likeliest vacant"),
    Column("atoms", "", ".3f", "of all its columns, mean of the probabilities"),
    Column(
        "atoms_esd", "", ".3f", "its standard uncertainty; of a network alone, columns taken as independent"
    ),
    Column("shift_x", "Å", ".4f", "from the first frame, along x"),
    Column("shift_y", "Å", ".4f", "along y"),
    Column("dose", "electrons/Å²", ".6g", "the frame's mean"),
    Column("defocus", "nm", ".4g", "positive is overfocus"),
    Column("defocus_esd", "nm", ".3g", "its standard uncertainty"),
)


def write_heights_series(
    series: "HeightsSeries", directory: Path, overwrite: bool = False, figures: bool = False
) -> Path:
    """Write every file of a series.

    **Arguments:**

    - `series`: of `heights`.
    - `directory`, `overwrite`, `figures`: as of `write_heights_results`.

    **Raises:** `InputError` if the directory may not be written to, or figures cannot be drawn.
    """
    if figures:
        require_matplotlib()
    begin, result = time.perf_counter(), series.typical
    with staged(directory, overwrite, (result.source.path, result.options.weights)) as stage:
        warnings = list(result.warnings)
        known, table = _common(series.followed)
        write_columns(stage / "columns.csv", known, table)
        every = (*OF_FRAMES, *known[:-1])
        write_columns(stage / "heights.csv", every, _of_each_frame(series.followed))
        frames = frames_table(series.followed)
        write_columns(stage / "frames.csv", FRAMES, frames)
        write_columns(stage / "conditions.csv", CONDITIONS, conditions_table(result.found.conditions))
        write_image(stage / "mean.mrc", result.counts, result.source.image.grid)
        if result.advice is not None:
            result.advice.write(stage / "imaging.csv")
        write_picture(stage / "heights.svg", result, warnings)
        if figures:
            with optional(stage / "figures", warnings) as path:
                load_matplotlib()
                from atomfit.figures.image_heights import write_height_figures

                write_height_figures(path, result, table)
        found = summary(result) | {"frames": frames_told(frames)}
        found["atoms"] |= {"mean": float(frames["atoms"].mean()), "esd": float(frames["atoms_esd"].mean())}
        record = run_record(result, time.perf_counter() - begin)
        with optional(stage / "report.html", warnings) as path:
            content = heights_contents(result, table, known, found | {"warnings": warnings}, record, frames)
            write_page(path, content, HEIGHTS_SERIES)
        # Last, because they tell what is missing.
        write_json(stage / "summary.json", found | {"warnings": warnings})
        write_json(stage / "run.json", record)
    return directory


def frames_table(followed: FollowedHeights) -> dict[str, np.ndarray]:
    """The columns of `frames.csv`, by name.

    **Arguments:**

    - `followed`: the frames.
    """
    frames = followed.frames
    focus = np.array([_defocus(one) for one in frames])
    return {
        "frame": followed.numbers,
        "columns": np.array([len(one) for one in frames]),
        "vacant": np.array([int(np.sum(one.heights == 0)) for one in frames]),
        "atoms": followed.atoms[:, 0],
        "atoms_esd": followed.atoms[:, 1],
        "shift_x": followed.shifts[:, 0],
        "shift_y": followed.shifts[:, 1],
        "dose": np.array([one.dose for one in frames]),
        "defocus": focus[:, 0],
        "defocus_esd": focus[:, 1],
    }


def _defocus(found: Heights) -> tuple[float, float]:
    return next(
        ((one.value, one.esd) for one in found.conditions if one.name == "defocus"), (np.nan, np.nan)
    )


def _common(followed: FollowedHeights) -> tuple[tuple[Column, ...], dict[str, np.ndarray]]:
    """The columns of `columns.csv`, and what they mean."""
    table = heights_table(followed.together)
    known = height_columns(followed.together.probabilities.shape[1])
    return (*known, SEEN), table | {"frames": followed.seen}


def _of_each_frame(followed: FollowedHeights) -> dict[str, np.ndarray]:
    tables = [heights_table(one) for one in followed.frames]
    counts = [len(one) for one in followed.frames]
    found = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return {
        "frame": np.repeat(followed.numbers, counts),
        "column": np.concatenate(followed.columns) + 1,
        **found,
    }


def frames_told(frames: dict[str, np.ndarray]) -> dict[str, Any]:
    """What `summary.json` has of the frames.

    **Arguments:**

    - `frames`: of `frames_table`.
    """
    atoms = frames["atoms"]
    return {
        "number": len(atoms),
        "atoms_least": float(atoms.min()),
        "atoms_most": float(atoms.max()),
        "drift": float(np.hypot(frames["shift_x"], frames["shift_y"]).max()),
    }
