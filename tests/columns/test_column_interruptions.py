"""A search for columns that is interrupted: nothing is lost, and it goes on to the same columns."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import atomfit
from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError

GRID = Grid((72, 80), np.full(2, 0.15), np.zeros(2))


def image(brighter: float = 1.0) -> DensityMap:
    index = np.stack(np.meshgrid(np.arange(3), np.arange(3)), axis=-1).reshape(-1, 2)
    places = index @ np.array([[2.5, 0.1], [0.3, 2.6]]) + [2.6, 2.5]
    clean = brighter * drawn(GRID, columns_of(places, np.linspace(0.4, 1, 9), 0.5)) + 0.1
    counts = np.random.default_rng(3).poisson(clean / 0.02)
    return DensityMap((0.02 * counts).astype(np.float32), GRID)


@cache
def whole() -> atomfit.ColumnsResult:
    return atomfit.columns(image(), "Pt")


def interrupted(path: Path, fits: int) -> atomfit.ColumnsResult:
    """In the fit of this number, after a step."""
    begun = [0]

    def interrupt(iteration: int, value: float) -> None:
        begun[0] += iteration <= 1
        if begun[0] >= fits:
            raise KeyboardInterrupt

    return atomfit.columns(image(), "Pt", checkpoint=path, progress=interrupt)


@pytest.mark.parametrize("fits", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_it_goes_on_to_the_same_columns(fits: int, tmp_path: Path) -> None:
    path = tmp_path / "c"
    early = interrupted(path, fits)
    assert early.reason == "interrupted"
    assert early.verdict.level != "good"
    early.write(tmp_path / "early")
    assert path.exists()
    resumed = atomfit.columns(image(), "Pt", checkpoint=path, resume=True)
    np.testing.assert_array_equal(resumed.positions, whole().positions)
    np.testing.assert_array_equal(resumed.cross_sections, whole().cross_sections)
    resumed.write(tmp_path / "out")
    assert not path.exists()


def test_statistics_may_change_and_nothing_is_fitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    first = atomfit.columns(image(), "Pt", checkpoint=path)
    monkeypatch.setattr("atomfit.optimisation.solvers._advance", None)
    again = atomfit.columns(image(), "Pt", checkpoint=path, resume=True, counts="off")
    np.testing.assert_array_equal(again.positions, first.positions)
    assert again.counts is None


def test_another_image_or_question_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    interrupted(path, 1)
    with pytest.raises(InputError, match="another image"):
        atomfit.columns(image(1.01), "Pt", checkpoint=path, resume=True)
    with pytest.raises(InputError, match=r"fdr 0.01, not 0.1"):
        atomfit.columns(image(), "Pt", checkpoint=path, resume=True, fdr=0.1)
