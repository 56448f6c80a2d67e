"""Things followed in time, as files: one long table, a table of events, and a trajectory.

Each is written time by time, so that a file of hundreds of frames needs the memory of one. The long table
has a row for each thing and time at which anything is to be said of it (`Tracked.state`). The trajectory is
extended XYZ, a frame a time, whose particles may come and go: OVITO follows them by `id`, and
`ase.io.read(path, index=":")` reads all. Numbers that are not known are empty fields there, and NaN here.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.tables import Column, cells, write_columns
from atomfit.structure.tracked import ABSENT, Event, Quantity, Tracked

#: Of the trajectory, in words that take no room: what an empty word would be.
_NONE = "-"

EVENT_COLUMNS: tuple[Column, ...] = (
    Column("event", "", "s", "what happened"),
    Column("id", "", "d", "number of the atom or column"),
    Column("element", "", "s", "chemical symbol"),
    Column("frame", "", "d", "number of the model or frame that shows it first, from 1"),
    Column("name", "", "s", "name of that model or frame"),
    Column("time", "", ".6g", "its time, as given"),
    Column("probability", "", ".4f", "that it happened; empty if that is not known"),
    *(Column(axis, "Å", ".5f", "where it was last, or came to") for axis in "xyz"),
    Column("detail", "", "s", "more about it"),
)


def frame_columns(tracked: Tracked) -> tuple[Column, ...]:
    """The columns of the long table."""
    axes = "xyz"[: tracked.positions.shape[2]]
    where = [Column(axis, "Å", ".5f", "position in the common frame") for axis in axes]
    errors = [Column(f"{axis}_esd", "Å", ".5f", f"standard uncertainty of {axis}") for axis in axes]
    return (
        Column("frame", "", "d", "number of the model or frame, from 1"),
        Column("time", tracked.time_unit, ".6g", "its time, as given; else its number, from 0"),
        Column("id", "", "d", f"number of each of the {tracked.things} in the series"),
        Column("element", "", "s", "chemical symbol"),
        Column("status", "", "s", "one of " + ", ".join(tracked.states)),
        *where,
        *(errors if tracked.esds is not None else []),
        *(column for one in tracked.quantities for column in quantity_columns(one)),
    )


def quantity_columns(quantity: Quantity) -> tuple[Column, ...]:
    """The columns of a quantity: its value, and its standard uncertainty if there is any."""
    name, unit, form = quantity.name, quantity.unit, f".{quantity.decimals}f"
    value = Column(name, unit, form, quantity.meaning)
    if quantity.esds is None:
        return (value,)
    return value, Column(f"{name}_esd", unit, form, f"standard uncertainty of {name}")


def write_frames(path: Path, tracked: Tracked) -> None:
    """Write the long table: one row for each thing and time.

    **Arguments:**

    - `path`: the file.
    - `tracked`: what was followed.
    """
    columns = frame_columns(tracked)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.name for column in columns])
        for values in _frames(tracked):
            written = [cells(values[column.name], column.format) for column in columns]
            writer.writerows(zip(*written, strict=True))


def _frames(tracked: Tracked) -> Iterator[dict[str, np.ndarray]]:
    """The rows of each time, by column."""
    symbols, states = np.array(tracked.symbols, object), np.array([*tracked.states, ""], object)
    for k, time in enumerate(tracked.times):
        rows = np.flatnonzero(tracked.state[k] != ABSENT)
        n = len(rows)
        values = {
            "frame": np.full(n, k + 1),
            "time": np.full(n, time),
            "id": tracked.ids[rows],
            "element": symbols[rows],
            "status": states[tracked.state[k, rows]],
        }
        for i, axis in enumerate("xyz"[: tracked.positions.shape[2]]):
            values[axis] = tracked.positions[k, rows, i]
            if tracked.esds is not None:
                values[f"{axis}_esd"] = tracked.esds[k, rows, i]
        for one in tracked.quantities:
            values[one.name] = one.values[k, rows]
            if one.esds is not None:
                values[f"{one.name}_esd"] = one.esds[k, rows]
        yield values


def write_events(path: Path, tracked: Tracked) -> None:
    """Write one row an event, in their order."""
    write_columns(path, EVENT_COLUMNS, event_table(tracked))


def event_table(tracked: Tracked) -> dict[str, np.ndarray]:
    """The columns of `EVENT_COLUMNS`."""
    events = tracked.events
    index, frame = (np.array([getattr(one, name) for one in events], int) for name in ("index", "frame"))
    places = _places(tracked, events)
    return {
        "event": np.array([one.kind for one in events], object),
        "id": tracked.ids[index],
        "element": np.array([tracked.symbols[k] for k in index], object),
        "frame": frame + 1,
        "name": np.array([tracked.frames[k] for k in frame], object),
        "time": tracked.times[frame],
        "probability": np.array([one.probability for one in events], float),
        **{axis: places[:, k] for k, axis in enumerate("xyz")},
        "detail": np.array([one.detail for one in events], object),
    }


def _places(tracked: Tracked, events: Sequence[Event]) -> Float[np.ndarray, "e 3"]:
    """Where events happened (Å): at their time, or where the thing was last before it, or first after."""
    found = np.full((len(events), 3), np.nan)
    there = tracked.there
    for row, one in zip(found, events, strict=True):
        seen = np.flatnonzero(there[:, one.index])
        if len(seen):
            before = seen[seen <= one.frame]
            at = before[-1] if len(before) else seen[0]
            row[: tracked.positions.shape[2]] = tracked.positions[at, one.index]
    return found


def write_trajectory(path: Path, tracked: Tracked) -> None:
    """Write extended XYZ: a frame a time, of what is there, with id, status and every quantity.

    **Arguments:**

    - `path`: the file.
    - `tracked`: what was followed.
    """
    there, known = tracked.there, _known(tracked)
    states = np.array([*tracked.states, _NONE], object)
    symbols = [symbol if symbol.isalpha() else "X" for symbol in tracked.symbols]
    with open(path, "w", encoding="utf-8") as file:
        for k, time in enumerate(tracked.times):
            rows = np.flatnonzero(there[k])
            file.write(f"{len(rows)}\n{_comment(tracked, k, float(time), known)}\n")
            places = np.zeros((len(rows), 3))
            places[:, : tracked.positions.shape[2]] = tracked.positions[k, rows]
            numbers = [(f"{{:.{one.decimals}f}}", values[k, rows]) for one, _, values in known]
            written = [
                [symbols[i] for i in rows],
                *([f"{x:.5f}" for x in axis] for axis in places.T.tolist()),
                [str(i) for i in tracked.ids[rows].tolist()],
                ["_".join(str(state).split()) for state in states[tracked.state[k, rows]]],
                *([form.format(x) for x in values.tolist()] for form, values in numbers),
            ]
            file.writelines(" ".join(line) + "\n" for line in zip(*written, strict=True))


def _known(tracked: Tracked) -> list[tuple[Quantity, str, Float[np.ndarray, "t n"]]]:
    """Quantities and their standard uncertainties that are known of anything, with their names."""
    found = [(one, one.name, one.values) for one in tracked.quantities]
    found += [(one, f"{one.name}_esd", one.esds) for one in tracked.quantities if one.esds is not None]
    return [(one, name, values) for one, name, values in found if np.any(np.isfinite(values))]


def _comment(
    tracked: Tracked, k: int, time: float, known: list[tuple[Quantity, str, Float[np.ndarray, "t n"]]]
) -> str:
    """The line that says what columns mean, and of which time a frame is."""
    kinds = "species:S:1:pos:R:3:id:I:1:status:S:1" + "".join(f":{name}:R:1" for _, name, _ in known)
    name = tracked.frames[k].replace("\\", "_").replace('"', "_")
    return f'Properties={kinds} frame={k + 1} Time={time:.9g} name="{name}" pbc="F F F"'
