"""The command refuses what it cannot use in one sentence, with exit code 2, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atomfit.cli import app


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        (np.ones((32, 32)), ["--pixel-size", "0.1"], "all pixels are 1"),
        (np.random.default_rng(0).random((32, 32)), [], "does not say how large a pixel is"),
        (np.random.default_rng(0).random((32, 32)), ["--pixel-size", "12"], "pixels of 12 Å"),
        (np.random.default_rng(0).random((3, 32, 32)), ["--pixel-size", "0.1"], "say which with --frame"),
        (np.random.default_rng(0).random((3, 32, 32)), ["--pixel-size", "0.1", "--frame", "x"], "no frame"),
        (np.random.default_rng(0).random((32, 32)), ["--pixel-size", "0.1", "-e", "Zz"], "Zz"),
        (np.random.default_rng(0).random((32, 32)), ["--model3d", "-e", "Pt"], "--zone 1,1,0"),
        (np.random.default_rng(0).random((32, 32)), ["--zone", "1,1,0"], "give --model3d"),
        (
            np.random.default_rng(0).random((32, 32)),
            ["--pixel-size", "0.1", "--model3d", "--zone", "1,1,0", "-e", "Fe"],
            "the potential does not know Fe",
        ),
        (np.random.default_rng(0).random((32, 32)), ["--pixel-size", "0.1", "--fdr", "7"], "--fdr"),
    ],
)
def test_refusals(tmp_path: Path, values: np.ndarray, options: list[str], told: str) -> None:
    np.save(tmp_path / "a.npy", values)
    out = tmp_path / "out"
    ended = CliRunner().invoke(app, ["columns", str(tmp_path / "a.npy"), "-o", str(out), *options])
    assert ended.exit_code == 2
    assert told in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy"]


def test_a_result_is_not_overwritten(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((32, 32)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    ended = CliRunner().invoke(app, ["columns", str(tmp_path / "a.npy"), "-o", str(tmp_path / "out")])
    assert ended.exit_code == 2
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
