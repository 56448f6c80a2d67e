"""Scores of films by hand: pairs, faces, the oracle's threshold, and tables of what is on disk."""

from pathlib import Path

import numpy as np
import pytest

from atomfit.structure.grid import Grid
from experiments.film import measuring, tables
from experiments.film.scenes import GROUPS, scene
from experiments.film.scoring import MARGIN, judged, oracle, scored

GRID = Grid((40, 40, 40), np.ones(3), np.zeros(3))
TRUE = np.array([[10.0, 10, 10], [20, 20, 20], [30, 30, 30], [2, 20, 20]])


def test_a_pair_is_near_and_faces_are_asked_of_nobody() -> None:
    found = np.array(
        [
            [10.3, 10.4, 10.0],  # 0.5 Å off: a pair
            [20.0, 20.0, 20.8],  # 0.8 Å off: false, and an atom that is missing
            [2.0, 20.0, 20.1],  # a pair near a face, which counts for nobody
            [3.0, 35.0, 20.0],  # false near a face, which does not count either
        ]
    )
    pairs = judged(found, TRUE, GRID)
    assert (len(pairs.distances), pairs.missing, pairs.false) == (1, 2, 1)
    np.testing.assert_allclose(pairs.rmsd, 0.5)
    np.testing.assert_allclose(pairs.f1, 2 / (2 + 2 + 1))
    assert MARGIN == 6


def test_an_atom_across_the_margin_is_a_pair_if_its_true_one_is_asked_for() -> None:
    known = np.array([[6.1, 20.0, 20.0]])
    pairs = judged(np.array([[5.8, 20.0, 20.0]]), known, GRID)
    assert (len(pairs.distances), pairs.missing, pairs.false) == (1, 0, 0)


def test_the_oracle_has_the_best_threshold() -> None:
    picks = np.array([TRUE[0], TRUE[1], [15.0, 15, 15], TRUE[2], [25.0, 25, 15], [10.0, 25, 15]])
    heights = np.array([10.0, 8, 5, 4, 3, 2])
    best = oracle(picks, heights, TRUE, GRID)
    brute = [judged(picks[:k], TRUE, GRID).f1 for k in range(1, 7)]
    assert best.pairs.f1 == max(brute) == brute[3]
    np.testing.assert_allclose(best.part, 4 / 6.5)


def result(found: np.ndarray, off: float) -> dict[str, np.ndarray]:
    n = len(found)
    return {
        "positions": found,
        "symbols": np.full(n, "Ta"),
        "esds": np.full((n, 3), 2 * off),
        "scores": np.full(n, 10.0),
        "q_values": np.linspace(0, 0.02, n),
        "cut": np.array(6.0),
        "noise_known": np.array(False),
        "discarded": TRUE[2:],
        "discarded_scores": np.array([5.0, np.nan]),
        "picks": TRUE,
        "heights": np.arange(4.0)[::-1] + 1,
        "smooth_picks": TRUE[:2],
        "smooth_heights": np.ones(2),
        "truth": TRUE,
        "true_symbols": np.full(4, "Ta"),
        "shape": np.array(GRID.shape),
        "spacing": GRID.spacing,
        "origin": GRID.origin,
        "seconds": np.array(12.0),
    }


def test_scores_of_a_result() -> None:
    false = np.array([[15.0, 30.0, 12.0]])
    one = scored(result(np.concatenate([TRUE[:3] + [0.1, 0, 0], false]), 0.1))
    assert (len(one.pairs.distances), one.pairs.missing, one.pairs.false) == (3, 0, 1)
    np.testing.assert_allclose([one.z(axis) for axis in range(3)], [0.5, 0, 0], atol=1e-12)
    assert one.rival == 1.0
    assert (one.rate, one.said) == (pytest.approx(0.25), pytest.approx(0.02))
    np.testing.assert_array_equal(one.right, [True, True, True, False])
    assert one.elements == 1.0


def test_tables_are_made_of_what_is_on_disk(tmp_path: Path) -> None:
    first = GROUPS["report"]
    for seed in (first, first + 3):
        path = measuring.file_of(scene("tantalum", seed), tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, **result(TRUE[:2], 0.1))
    assert tables.on_disk("report", tmp_path) == {"tantalum": [first, first + 3]}
    assert tables.on_disk("choose", tmp_path) == {}
    one = measuring.measured(scene("tantalum", first), tmp_path)
    told = dict(zip(tables.HEADER, tables.row("tantalum", 0, one), strict=True))
    assert (told["found"], told["missing"], told["false"]) == ("2", "1", "0")
    assert told["F1: build"] == "0.800"
    assert told["build less best picker"] == "-0.200"
    means = dict(zip(tables.BEST_HEADER, tables.summary("tantalum", [one, one]), strict=True))
    assert (means["sub-areas"], means["best picker"], means["better in"]) == ("2", "1.000", "0")
    assert means["mean gain"] == "-0.200"
    # What was discarded is the third atom: with it the scores would have found all.
    assert tables.of_own("tantalum", [one]) == ("tantalum", "0.800", "1.000", "0.500", "1.000")
    assert tables.by_score("tantalum", [one]) == [("tantalum", "1 to 1.2", "2", "0 (0.0 %)")]
    assert tables.by_q("tantalum", [one]) == [
        ("tantalum", "0 to 0.001", "1", "0 (0.0 %)"),
        ("tantalum", "0.01 to 0.03", "1", "0 (0.0 %)"),
    ]
