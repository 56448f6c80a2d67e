"""Runs that measure: a method that knows the truth is perfect, a run goes on, and tables need none."""

from pathlib import Path

import numpy as np
import pytest

from atomfit.column_heights.found import Condition, Heights
from experiments.heights import measuring, tables
from experiments.heights.cells import HEADER, row
from experiments.heights.made import Made
from experiments.heights.scenes import GROUPS, scene

SEEDS = range(GROUPS["choose"], GROUPS["choose"] + 2)


def test_who_knows_the_truth_is_perfect_and_runs_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, scenes = [], iter([scene("CeO2", "bar", seed) for seed in SEEDS])

    def knowing(image: np.ndarray, pixel: float, gain: float) -> Heights:
        asked.append(float(image.mean()))
        what = next(scenes)
        columns = Made(what).columns
        count = len(columns)
        p = np.zeros((count, 11))
        p[np.arange(count), columns.heights] = 1
        nan, esds = np.full(count, np.nan), np.full((count, 2), 0.05)
        defocus = Condition("defocus", "nm", what.options.defocus + 0.5, 0.5)
        return Heights(columns.positions, esds, p, nan, nan, np.ones(count, bool), (defocus,), 1e3, gain)

    monkeypatch.setattr(measuring, "solver", lambda method, crystal: knowing)
    of = measuring.Measured(tmp_path, "CeO2")
    rows = measuring.measure(of, "bar", [1e3], "likelihood", SEEDS, ask=False)
    # Electrons of a pixel.
    np.testing.assert_allclose(asked, 40, rtol=0.05)
    told = dict(zip(HEADER, rows[0], strict=True))
    assert told["images"] == "2"
    assert (told["exact"], told["±1"], told["ECE"]) == ("1.000", "1.000", "0.000")
    assert (told["missed"], told["false"], told["90 % sets"]) == ("0.0 %", "0.0 %", "100.0 %")
    assert (told["RMSD (Å)"], told["z of places"], told["z of defocus"]) == ("0.000", "0.00", "1.00")
    assert told["limit"] == "-"
    # Nothing is solved twice, and tables are made of what is kept.
    assert measuring.measure(of, "bar", [1e3], "likelihood", SEEDS, ask=False) == rows
    assert len(asked) == 2
    images = tables.on_disk(of, "likelihood", "choose")
    assert images == {("bar", 1e3): list(SEEDS)}
    assert row("bar", 1e3, tables.joined(of, "likelihood", "bar", 1e3, SEEDS)) == rows[0]
    assert tables.on_disk(of, "likelihood", "report") == {}
