"""Views that can show no atom are refused by their number and their centre, with and without a start."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomfit.io.mrc import write_map
from atomfit.options.tilt import TiltOptions
from atomfit.projection.views import Views
from atomfit.rendering import Gaussians, render_reference
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError
from atomfit.workflows.tilt_preparation import prepare_series
from atomfit.workflows.tilt_starts import require_start
from simulated_series import PIXEL, U, planted


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("off", [1e9, -4000.0])
def test_one_view_with_its_centre_far_outside(tmp_path: Path, started: bool, off: float) -> None:
    truth = planted(views=6)
    centres = truth.views.centres.copy()
    centres[3, 0] = off
    moved = replace(truth, views=Views(truth.views.rotations, centres))
    moved.write(tmp_path, truth.positions)
    start = tmp_path / "start.csv" if started else None
    options = TiltOptions(start=start, pixel_size=PIXEL)
    for views in (moved.views, tmp_path / "views.csv"):
        ready = prepare_series(truth.images, views, "Pt", options)
        with pytest.raises(InputError, match=r"view 3\b.*centre at pixel") as refusal:
            require_start(ready, options)
        assert f"({off:.6g}, 23) of 44 x 46" in str(refusal.value)


def test_a_map_tells_how_far_atoms_may_be_from_the_centre(tmp_path: Path) -> None:
    truth = planted(views=6)
    atoms = Gaussians(truth.positions, np.tile(U * np.eye(3), (43, 1, 1)), np.ones(43))
    grid = Grid((40, 40, 40), np.full(3, 0.4), np.full(3, -8.0))
    write_map(tmp_path / "map.mrc", DensityMap(render_reference(atoms, grid).astype(np.float32), grid))
    options = TiltOptions(map=tmp_path / "map.mrc", pixel_size=PIXEL)
    require_start(prepare_series(truth.images, truth.views, "Pt", options), options)
    centres = truth.views.centres.copy()
    centres[[2, 4], 1] = -1e9
    ready = prepare_series(truth.images, Views(truth.views.rotations, centres), "Pt", options)
    with pytest.raises(
        InputError, match=r"view 2 \(one of 2 such\) has its centre at pixel \(22, -1e\+09\)"
    ):
        require_start(ready, options)


def test_a_specimen_far_from_the_point_that_views_turn_about_is_no_fault(tmp_path: Path) -> None:
    truth = planted(views=6)
    far = np.array([300.0, 0.0, 0.0])
    seen = truth.views.rotations[:, :2] @ far / PIXEL
    moved = replace(truth, views=Views(truth.views.rotations, truth.views.centres - seen))
    moved.write(tmp_path, truth.positions + far)
    options = TiltOptions(start=tmp_path / "start.csv", pixel_size=PIXEL, centre=(0.0, 0.0, 0.0))
    require_start(prepare_series(truth.images, moved.views, "Pt", options), options)
