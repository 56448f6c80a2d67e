"""Frames with planted columns that drift, come and go: which are the same, and what is told of them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from atomfit.column_heights import Condition, Heights, follow_heights
from atomfit.files.heights_series import FRAMES
from atomfit.io.manifest import heights_files, matching
from atomfit.results.heights import HeightsResult, HeightsSeries
from atomfit.simulation.hrtem import SimulatedHrtem
from atomfit.workflows.heights import heights

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")


def planted(positions: np.ndarray, levels: np.ndarray, focus: float = 5.0) -> Heights:
    n = len(positions)
    probabilities = np.full((n, 11), 0.01)
    probabilities[np.arange(n), levels] = 0.9
    none = np.full(n, np.nan)
    conditions = (Condition("defocus", "nm", focus, 0.5),)
    return Heights(
        positions,
        np.full((n, 2), np.nan),
        probabilities,
        none,
        none,
        np.ones(n, bool),
        conditions,
        900.0 + focus,
        1.0,
    )


@pytest.mark.parametrize("drift", [0.0, 0.6, -0.9])
def test_columns_are_the_same_ones_in_spite_of_drift(drift: float) -> None:
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(3.1 * np.arange(5), 2.7 * np.arange(6)), axis=-1).reshape(-1, 2)
    levels = rng.integers(1, 10, len(places))
    frames, truth = [], []
    for k in range(8):
        there = np.flatnonzero(rng.uniform(size=len(places)) > 0.15) if k else np.arange(len(places))
        there = rng.permutation(there)
        moved = places[there] + [drift * k, -0.5 * drift * k] + rng.normal(0, 0.08, (len(there), 2))
        frames.append(planted(moved, levels[there], focus=float(k)))
        truth.append(there)
    found = follow_heights(frames)
    first = found.columns[0]
    number = np.empty(len(places), int)
    number[truth[0]] = first
    assert len(found.together) == len(places)
    for of, there in zip(found.columns, truth, strict=True):
        np.testing.assert_array_equal(of, number[there])
    np.testing.assert_allclose(found.shifts[:, 0], drift * np.arange(8), atol=0.1)
    np.testing.assert_allclose(found.together.positions[number], places, atol=0.15)
    np.testing.assert_array_equal(found.together.heights[number], levels)
    assert found.seen[number].tolist() == [sum(i in there for there in truth) for i in range(len(places))]
    assert found.together.conditions[0].value == pytest.approx(3.5)
    assert found.atoms[3] == pytest.approx(frames[3].atoms)


def test_a_column_that_changes_has_the_mean_of_its_probabilities() -> None:
    place = np.array([[2.0, 2.0]])
    frames = [planted(place, np.array([level])) for level in (4, 4, 5)]
    found = follow_heights(frames).together.probabilities[0]
    np.testing.assert_allclose(found, np.mean([one.probabilities[0] for one in frames], axis=0))


def test_frames_without_columns_are_frames() -> None:
    none, some = planted(np.zeros((0, 2)), np.zeros(0, int)), planted(np.ones((1, 2)), np.ones(1, int))
    found = follow_heights([none, some, none])
    assert [len(of) for of in found.columns] == [0, 1, 0]
    assert len(follow_heights([none, none]).together) == 0


def test_each_frame_of_a_stack_is_looked_at(
    specimen: SimulatedHrtem, result: HeightsResult, tmp_path: Path
) -> None:
    found = heights(
        np.asarray(specimen.frames), crystal="CeO2", zone="110", pixel_size=0.2, gain=1.0, network_only=True
    )
    assert isinstance(found, HeightsSeries)
    # The first frame is the one that was looked at alone.
    np.testing.assert_allclose(found.followed.frames[0].probabilities, result.probabilities, atol=1e-4)
    out = found.write(tmp_path / "out")
    files = {path.name for path in out.iterdir()}
    assert files >= {"heights.csv", "columns.csv", "frames.csv", "mean.mrc", "report.html"}
    assert matching(out, heights_files(False)) == files
    with open(out / "heights.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["frame", "column", "id"]
    assert [int(row["frame"]) for row in rows].count(0) == len(result)
    with open(out / "columns.csv", newline="", encoding="utf-8") as file:
        common = list(csv.DictReader(file))
    assert sum(int(row["frames"]) for row in common) == len(rows)
    assert all(1 <= int(row["column"]) <= len(common) for row in rows)
    told = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert told["frames"]["number"] == 2
    assert all(f"`{column.name}`" in DOCUMENTED for column in FRAMES)
