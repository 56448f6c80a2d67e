"""Figures of two images' columns compared."""

from pathlib import Path

import numpy as np
import pytest

from atomfit.simulation.changed_columns import ColumnChanges, changed_columns
from atomfit.statistics.column_changes import compare_columns
from atomfit.statistics.image_difference import difference_of_images
from atomfit.statistics.plane_maps import PLANE_STILL
from atomfit.structure.grid import DensityMap, Grid

pytest.importorskip("matplotlib")


def test_all_that_is_known_is_drawn(tmp_path: Path) -> None:
    from matplotlib.image import imread

    from atomfit.figures.column_comparison import write_column_comparison_figures

    case = changed_columns(160, 60, 1e4, ColumnChanges(lost=0.05, gained=0.05, moved=0.2))
    found = compare_columns(case.a, case.b)
    values = np.random.default_rng(0).normal(size=(40, 60))
    image = DensityMap(values, Grid((40, 60), np.full(2, 0.5), np.zeros(2)))
    difference = difference_of_images(image, image.with_values(values + 0.1), PLANE_STILL, 1.0, 1.0)
    write_column_comparison_figures(tmp_path / "both", found, difference)
    names = {path.stem for path in (tmp_path / "both").glob("*.pdf")}
    assert names == {"columns", "differences", "images"}
    for name in names:
        # 183 mm at 300 dpi.
        assert imread(tmp_path / "both" / f"{name}.png").shape[1] == pytest.approx(2161, abs=2)
    write_column_comparison_figures(tmp_path / "tables", found, None)
    assert not (tmp_path / "tables" / "images.png").exists()
