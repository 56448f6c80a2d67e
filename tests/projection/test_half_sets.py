"""Halves of the views tell rotations that are real from those that follow noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.projection.half_sets import compare_half_sets
from atomfit.projection.views import TiltSeries, Views
from atomfit.workflows.tilt import tilt
from simulated_series import PIXEL, Planted, planted


def series_of(some: Planted) -> TiltSeries:
    return TiltSeries(some.images, np.ones(some.images.shape, bool), PIXEL, some.views, np.zeros(3))


def test_halves_share_no_view_and_are_laid_on_each_other() -> None:
    some = planted(views=9)
    held = np.arange(9) == 4
    atoms = some.positions
    signs = np.random.default_rng(3).choice([-1.0, 1.0], (len(atoms), 1))
    seen = []

    def refine(half: TiltSeries, turning: bool) -> np.ndarray:
        seen.append({float(view.sum()) for view in half.images})
        first = len(seen) % 2
        # The second half's atoms have a frame of their own, and errors along x.
        turn = Rotation.from_euler("xyz", [3, -2, 5], degrees=True)
        wrong = (0.1 if turning else 0.2) * signs
        return atoms if first else turn.apply(atoms + wrong * [1.0, 0.0, 0.0]) + [1.0, 2.0, 3.0]

    found = compare_half_sets(series_of(some), ~held, refine, placed=False)
    assert found is not None
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == {float(view.sum()) for view in some.images[~held]}
    # A little of the errors is undone by the turn that lays one half on the other.
    assert found.refined == pytest.approx(0.1, rel=0.05)
    assert found.nominal == pytest.approx(0.2, rel=0.05)
    assert found.supported
    assert not found.warnings()


def test_what_holds_the_atoms_holds_them_in_both_halves() -> None:
    some = planted(views=8)
    moves = iter([0.0, 0.3, 0.0, 0.1])

    def refine(half: TiltSeries, turning: bool) -> np.ndarray:
        return some.positions + [next(moves), 0.0, 0.0]

    found = compare_half_sets(series_of(some), np.ones(8, bool), refine, placed=True)
    assert found is not None
    assert (found.refined, found.nominal) == pytest.approx((0.3, 0.1))
    assert "leave turns out" in found.warnings()[0]


def test_whoever_interrupts_one_fit_waits_for_no_other() -> None:
    some, fits = planted(views=8), []

    def refine(half: TiltSeries, turning: bool) -> np.ndarray | None:
        fits.append(turning)
        return None if len(fits) == 2 else some.positions

    assert compare_half_sets(series_of(some), np.ones(8, bool), refine, placed=False) is None
    assert fits == [True, True]


def test_seven_views_have_no_halves() -> None:
    some = planted(views=7)
    every = np.ones(7, bool)
    assert compare_half_sets(series_of(some), every, lambda half, turning: some.positions, False) is None


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [True, False])
def test_errors_of_directions_are_told_from_noise(wrong: bool, tmp_path: Path) -> None:
    some = planted(views=16, noise=0.05 if wrong else 0.6)
    if wrong:
        errors = Rotation.from_rotvec(np.radians(np.random.default_rng(1).normal(0, 3, (16, 3))))
        given = Views(errors.as_matrix() @ some.views.rotations, some.views.centres)
        some = replace(some, views=given)
    start = some.positions + np.random.default_rng(2).normal(0, 0.1, some.positions.shape)
    some.write(tmp_path, start)
    result = tilt(
        tmp_path / "images.mrc",
        tmp_path / "views.csv",
        "Pt",
        start=tmp_path / "start.csv",
        refine=("backgrounds", "turns"),
    )
    assert result.halves is not None
    assert result.halves.supported == wrong
    assert any("do not support refined rotations" in warning for warning in result.warnings) != wrong
