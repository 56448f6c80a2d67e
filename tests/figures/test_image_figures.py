"""Figures of an image's columns: which there are, how large, and that they show the numbers."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from atomfit.figures.image_columns import write_image_figures
from atomfit.figures.micrographs import bar_length
from atomfit.figures.style import TWO_COLUMNS
from atomfit.files.image_columns import columns_table
from simulated_image import found

NAMES = ("columns", "histograms", "model")


def test_figures_have_the_width_of_two_columns(tmp_path: Path) -> None:
    out = found().write(tmp_path / "out", figures=True)
    names = {path.name for path in (out / "figures").iterdir()}
    assert names == {f"{name}.{kind}" for name in NAMES for kind in ("pdf", "png")}
    for name in NAMES:
        picture = imread(out / "figures" / f"{name}.png")
        height, width, _ = picture.shape
        assert width == pytest.approx(TWO_COLUMNS / 25.4 * 300, abs=1)
        assert height / 300 * 25.4 < 247  # of a page
        assert 0.005 < np.mean(picture[..., :3].min(axis=2) < 0.9) < 0.9
    assert (out / "report.html").stat().st_size > 50_000


def test_what_is_in_the_table_is_drawn(tmp_path: Path) -> None:
    result = found()
    table = columns_table(result)
    n = len(result)
    strained = table | {"count": np.arange(n), "e_xx": np.where(np.arange(n) < 2, np.nan, 0.01)}
    write_image_figures(tmp_path / "without", result, table, result.model)
    write_image_figures(tmp_path / "with", result, strained, result.model)
    heights = [imread(tmp_path / which / "columns.png").shape[0] for which in ("without", "with")]
    # Four panels have two rows.
    assert heights[1] > 1.2 * heights[0]


def test_bars_have_round_lengths() -> None:
    for most, wanted in ((9.9, 5), (10, 10), (24, 20), (0.7, 0.5), (499, 200)):
        assert bar_length(most) == pytest.approx(wanted)
