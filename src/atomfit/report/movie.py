"""What `series.html` says of a movie: its first lines, its tables of totals, and what colours mean.

The page itself is that of anything followed in time (`report.time_slider`).
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.report.movie_tables import COLUMN_COLUMNS, column_table, frame_table
from atomfit.report.time_slider import FactTable, SliderWords, slider_contents
from atomfit.statistics.column_events import expected_changes
from atomfit.structure.tracked import Tracked
from atomfit.support.palette import MOVIE_STATES

if TYPE_CHECKING:
    from atomfit.results.movie import MovieResult

_EXPLAINED = (
    "Columns of all frames in the frame of their mean, at the time that is chosen. Move the slider, play, "
    "or use the arrow keys; click a column to see its numbers against time. Positions and atoms are given "
    "all frames, before and after; a cross-section is of its frame alone."
)


def movie_contents(result: "MovieResult", tracked: Tracked, record: dict[str, Any]) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `result`: of `series`.
    - `tracked`: its columns.
    - `record`: how it was made.
    """
    words = SliderWords(
        headline=_headline(result),
        explained=_EXPLAINED,
        colours={"state": MOVIE_STATES},
        first=("atoms", "cross_section"),
        tables=(_totals(result), _windows(result), _frames(result)),
        file="columns.csv",
    )
    table = column_table(result)
    known = [one for one in COLUMN_COLUMNS if np.any(table[one.name] == table[one.name])]
    return slider_contents(tracked, {one.name: table[one.name] for one in known}, known, words, record)


def _headline(result: "MovieResult") -> dict[str, Any]:
    used, walk = result.frames.used, result.tracks.walk
    happened = result.happened
    told = ", ".join(f"{number} {kind}" for kind, number in happened.items())
    seen = f"{int(used.sum())} of {len(used)} frames show the specimen."
    events = (
        f"Events called at the rate of false ones that was asked for: {told}."
        if any(happened.values())
        else "No column has changed by more than chance would make it seem."
    )
    moves = (
        f"Columns wander by {100 * walk.wander:.1f} pm along each axis, and keep it for "
        f"{walk.memory:.3g} frames."
        if walk.step
        else "No column moves by more than noise explains."
    )
    atoms = f"Atoms were not counted: {result.uncounted}."
    if not result.uncounted:
        totals, esds = result.history.totals
        atoms = (
            f"Atoms: {totals[0]:.1f} ± {esds[0]:.1f} in the first frame, "
            f"{totals[-1]:.1f} ± {esds[-1]:.1f} in the last."
        )
    names = [path.name for path in result.source.paths]
    return {
        "title": f"{len(result):,} columns in {len(used):,} frames",
        "source": ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") or "an array",
        "verdict": [seen, atoms, events, moves],
        "warnings": list(result.warnings),
        "judged": result.verdict.told(),
    }


def _totals(result: "MovieResult") -> FactTable:
    history = result.history
    rows: list[tuple[Any, ...]] = [
        (f"atoms {name}", value, esd) for name, (value, esd) in expected_changes(history).items()
    ]
    rows += [
        (
            f"probability of a {name} a column and frame",
            getattr(history.rates, name),
            getattr(history.rate_esds, name),
        )
        for name in ("gain", "loss")
    ]
    return FactTable("Changes", ("", "expected", "±"), tuple(rows), "With the errors that columns share.")


def _windows(result: "MovieResult") -> FactTable:
    window = result.window
    rows = tuple(zip(window.tried.tolist(), [float(x) for x in window.evidence], strict=True))
    note = f"How well a frame is predicted by those around it. Averages are over {window.frames} frames."
    return FactTable("Frames that may be averaged", ("frames", "log-likelihood, less the best"), rows, note)


def _frames(result: "MovieResult") -> FactTable:
    table = frame_table(result)
    names = ("frame", "shift_x", "shift_y", "rotation", "magnification", "brightness", "misfit", "columns")
    some = np.unique(np.linspace(0, len(table["frame"]) - 1, 40).astype(int))
    rows = tuple(
        tuple(None if not np.isfinite(table[name][k]) else float(table[name][k]) for name in names)
        for k in some.tolist()
    )
    return FactTable("Frames", names, rows, "All of them are in frames.csv.")
