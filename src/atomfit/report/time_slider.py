"""What `series.html` is told: things followed in time, for a slider, charts, and tables.

The page is of atoms or of columns, in space or in a plane, of models or of frames: all it knows is what
`Tracked` says, and one row for each thing, whatever is in it. All positions and numbers of all times are in
the page, packed (`report.packed`). Where these are more than a browser should hold, times are left out
evenly, then things at random but for those with events; the page says so, and files have all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from atomfit.io.tables import Column
from atomfit.io.tracked import EVENT_COLUMNS, event_table, quantity_columns
from atomfit.report.described import MOST_SHOWN, RADIUS, Table, described
from atomfit.report.labels import label_of
from atomfit.report.packed import packed, packed_states
from atomfit.statistics.registration import typical_spacing
from atomfit.structure.tracked import Tracked
from atomfit.support.palette import LINES

#: Numbers beyond which 16 bits each must do, and those that a page holds at most: 16 megabytes of text.
_SHORT, _MOST = 500_000, 6_000_000
#: Times that are kept, and things, when others are left out.
_LEAST_TIMES, _LEAST_THINGS = 100, 50
_AT_THE_TIME = "At the time shown"


@dataclass(frozen=True)
class FactTable:
    """A small table of the page.

    **Fields:**

    - `title`, `note`: above and below it.
    - `head`: names of its columns.
    - `rows`: words and numbers.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class SliderWords:
    """What a page says of things followed.

    **Fields:**

    - `headline`: `title`, `source`, `verdict`, `warnings`, `judged`, as all pages have it.
    - `explained`: a sentence or two on what the picture shows.
    - `colours`: of states and other kinds, by column and name.
    - `first`: quantities that colour things at first, of which the first is taken that is there.
    - `lines`: by quantity, the names of two columns of the table of things: its value at the mean of all
        times, and its change a unit of time; drawn as a line into the chart of one thing.
    - `tables`: in "Totals".
    - `file`: that the table of things is called.
    """

    headline: dict[str, Any]
    explained: str
    colours: dict[str, dict[str, str]]
    first: tuple[str, ...]
    lines: dict[str, tuple[str, str]] = field(default_factory=dict)
    tables: tuple[FactTable, ...] = ()
    file: str = "trends.csv"


def slider_contents(
    tracked: Tracked,
    table: Table,
    known: Sequence[Column],
    words: SliderWords,
    record: dict[str, Any],
) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `tracked`: what was followed.
    - `table`: one row for each thing, its columns by name; the first is `id`.
    - `known`: those columns whose units and meanings are known.
    - `words`: what the page says.
    - `record`: how it was made, with `options` and `files`.
    """
    frames, which = shown(tracked)
    part = tracked.of(frames, which)
    headline = dict(words.headline)
    if len(frames) < len(tracked.times) or len(which) < len(tracked):
        few = (
            f"This page shows {len(frames)} of {len(tracked.times)} times and {len(which)} of "
            f"{len(tracked)} {tracked.things}, those with events first; the files have all."
        )
        headline["warnings"] = [*headline["warnings"], few]
    happened = event_table(part)
    chosen = slice(None, MOST_SHOWN)
    return {
        "headline": headline,
        "things": tracked.things,
        "columns": described({name: values[which] for name, values in table.items()}, tuple(known)),
        "events": described(
            {name: np.asarray(values)[chosen] for name, values in happened.items()}, EVENT_COLUMNS
        ),
        "event_places": [[one.index, one.frame] for one in part.events[chosen]],
        "kinds": words.colours,
        "radius": RADIUS * float(np.nan_to_num(_spacing(part), nan=2.5)),
        "explained": words.explained,
        "first": list(words.first),
        "lines": {name: list(names) for name, names in words.lines.items()},
        "tables": [vars(one) for one in words.tables],
        "file": words.file,
        "line_colours": list(LINES),
        "course": _course(part) | {"middle": float(tracked.times.mean())},
        "run": record,
    }


def shown(tracked: Tracked) -> tuple[Int[np.ndarray, " u"], Int[np.ndarray, " m"]]:
    """Times and things that a page can hold, in their order."""
    t, n, d = tracked.positions.shape
    each = d + sum(1 + (one.esds is not None) for one in tracked.quantities)
    times = min(t, max(_LEAST_TIMES, _MOST // max(n * each, 1)))
    things = min(n, MOST_SHOWN, max(_LEAST_THINGS, _MOST // (times * each)))
    frames = np.unique(np.round(np.linspace(0, t - 1, times)).astype(int))
    order = np.random.default_rng(0).permutation(n)
    happened = np.isin(order, [one.index for one in tracked.events])
    return frames, np.sort(order[np.argsort(~happened, kind="stable")][:things])


def _spacing(tracked: Tracked) -> float:
    """Typical distance to the nearest, at the time with most things (Å)."""
    k = int(np.argmax(tracked.count))
    return typical_spacing(tracked.positions[k][tracked.there[k]])


def _course(tracked: Tracked) -> dict[str, Any]:
    """Everything of every time."""
    short = tracked.positions.size + sum(one.values.size for one in tracked.quantities) > _SHORT
    quantities = []
    for one in tracked.quantities:
        if not np.any(np.isfinite(one.values)):
            continue
        column = quantity_columns(one)[0]
        esds = None if one.esds is None else packed(one.esds, short)
        quantities.append(
            {
                "name": one.name,
                "group": _AT_THE_TIME,
                "label": label_of(one.name)[1],
                "unit": column.unit,
                "meaning": column.meaning,
                "values": packed(one.values, short),
                "esds": esds,
            }
        )
    return {
        "times": tracked.times,
        "unit": tracked.time_unit,
        "frames": list(tracked.frames),
        "flat": tracked.positions.shape[2] == 2,
        "symbols": list(tracked.symbols),
        "positions": packed(tracked.positions, short),
        "quantities": quantities,
        "states": list(tracked.states),
        "state": packed_states(tracked.state),
        "groups": {name: np.flatnonzero(members) for name, members in tracked.groups.items()},
    }
