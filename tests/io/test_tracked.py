"""Things followed in time as files: what is read again is what was written."""

import csv
from pathlib import Path

import ase.io
import numpy as np
import pytest

from atomfit.io.tracked import EVENT_COLUMNS, frame_columns, write_events, write_frames, write_trajectory
from atomfit.structure.tracked import ABSENT, Event, Quantity, Tracked


def followed(axes: int = 3) -> Tracked:
    """Three things at three times; the second is missing once, the third comes last."""
    places = np.arange(9.0 * axes).reshape(3, 3, axes)
    state = np.zeros((3, 3), np.int8)
    state[1, 1], state[:2, 2] = 1, ABSENT
    places[state != 0] = np.nan
    values = np.where(state == 0, np.arange(9.0).reshape(3, 3) / 1000, np.nan)
    return Tracked(
        "atoms",
        np.array([4, 5, 9]),
        ("Pt", "Co", "?"),
        ("first", 'the "second"', "third"),
        np.array([0.0, 1.5, 2.0]),
        places,
        (Quantity("u_iso", "Å²", 6, "a third of the trace of U", values, values / 10),),
        ("present", "missing"),
        state,
        esds=np.full(places.shape, 0.01),
        events=(Event("lost", 1, 1, 0.9), Event("gained", 2, 2)),
        time_unit="s",
    )


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_long_table_has_a_row_for_each_thing_and_time(tmp_path: Path) -> None:
    write_frames(tmp_path / "series.csv", followed())
    rows = rows_of(tmp_path / "series.csv")
    assert list(rows[0]) == [column.name for column in frame_columns(followed())]
    assert [(row["frame"], row["id"], row["status"]) for row in rows] == [
        *(("1", "4", "present"), ("1", "5", "present")),
        *(("2", "4", "present"), ("2", "5", "missing")),
        *(("3", "4", "present"), ("3", "5", "present"), ("3", "9", "present")),
    ]
    assert rows[3]["x"] == rows[3]["u_iso"] == ""
    assert (rows[4]["z"], rows[4]["u_iso"], rows[4]["u_iso_esd"]) == ("20.00000", "0.006000", "0.000600")
    assert rows[2]["time"] == "1.5"


@pytest.mark.parametrize("axes", [2, 3])
def test_ase_reads_the_trajectory(axes: int, tmp_path: Path) -> None:
    things = followed(axes)
    write_trajectory(tmp_path / "trajectory.xyz", things)
    read = ase.io.read(tmp_path / "trajectory.xyz", index=":")
    assert [frame.arrays["id"].tolist() for frame in read] == [[4, 5], [4], [4, 5, 9]]
    for k, frame in enumerate(read):
        there = things.there[k]
        np.testing.assert_allclose(frame.positions[:, :axes], things.positions[k, there], atol=1e-5)
        np.testing.assert_allclose(frame.arrays["u_iso"], things.quantities[0].values[k, there], atol=1e-6)
        assert frame.info["Time"] == things.times[k]
    assert read[2].get_chemical_symbols() == ["Pt", "Co", "X"]


def test_events_say_where_and_when(tmp_path: Path) -> None:
    write_events(tmp_path / "events.csv", followed())
    lost, gained = rows_of(tmp_path / "events.csv")
    assert list(lost) == [column.name for column in EVENT_COLUMNS]
    assert (lost["event"], lost["id"], lost["name"], lost["time"]) == ("lost", "5", 'the "second"', "1.5")
    # Where it was last.
    assert (lost["x"], lost["probability"]) == ("3.00000", "0.9000")
    assert (gained["frame"], gained["probability"], gained["x"]) == ("3", "", "24.00000")


def test_nothing_followed_is_empty_files(tmp_path: Path) -> None:
    none = followed().of(np.arange(3), np.arange(0))
    write_frames(tmp_path / "series.csv", none)
    write_events(tmp_path / "events.csv", none)
    write_trajectory(tmp_path / "trajectory.xyz", none)
    assert rows_of(tmp_path / "series.csv") == rows_of(tmp_path / "events.csv") == []
    assert len(ase.io.read(tmp_path / "trajectory.xyz", index=":")) == 3


def test_a_part_keeps_its_events(tmp_path: Path) -> None:
    part = followed().of(np.array([0, 2]), np.array([1, 2]))
    assert [(event.index, event.frame) for event in part.events] == [(0, 1), (1, 1)]
    assert part.positions.shape == (2, 2, 3)
