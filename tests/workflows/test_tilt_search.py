"""Atoms searched for in simulated counts: all of a glass at ten sigma each, none where there is none."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.io.image_stacks import write_images
from atomfit.options.tilt import TiltOptions
from atomfit.projection.start import Start
from atomfit.projection.views import Views
from atomfit.rendering import Gaussians
from atomfit.simulation.series import projected
from atomfit.structure.matching import match
from atomfit.workflows.tilt_changes import weaker_of_two
from atomfit.workflows.tilt_preparation import prepare_series
from atomfit.workflows.tilt_search import search
from atomfit.workflows.tilt_selecting import _with_atoms
from atomfit.workflows.tilt_starts import start_from_images

PIXEL = 0.347


def glass(atoms: int, rng: np.random.Generator) -> np.ndarray:
    """A ball of disturbed diamond (Å)."""
    base = [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]
    cells = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 1, 3)
    sites = (cells + np.array(base) / 4).reshape(-1, 3) * 5.43
    sites = sites @ Rotation.from_euler("xyz", [17, 31, 8], degrees=True).as_matrix().T
    nearest = sites[np.argsort(np.linalg.norm(sites, axis=1), kind="stable")][:atoms]
    return nearest + rng.normal(0, 0.15, nearest.shape)


def counts(
    positions: np.ndarray, views: Views, size: int, each: float, rng: np.random.Generator
) -> np.ndarray:
    """Poisson counts, so many of each atom in each view."""
    n = len(positions)
    atoms = Gaussians(positions, np.tile(0.35 * np.eye(3), (n, 1, 1)), np.full(n, each * PIXEL**2))
    drawn = np.stack(list(projected(atoms, views, np.zeros(3), (size, size), PIXEL)))
    return rng.poisson(drawn + 0.02).astype(np.float32)


@pytest.mark.slow
def test_a_glass_is_found_from_counts() -> None:
    """As many as there are, in their places; the start lacks some and has some that are none."""
    rng = np.random.default_rng(5)
    truth = glass(32, rng)
    views = Views.from_tilts(np.arange(0, 180, 9.0), "y", (48, 48))
    images = counts(truth, views, 48, 40.0, rng)
    options = TiltOptions(likelihood="poisson", pixel_size=PIXEL)
    ready = prepare_series(images, views, "Si", options)
    start = start_from_images(ready, options)
    wrong = np.concatenate([start.positions[3:], rng.uniform(-5, 5, (3, 3))])
    start = Start(wrong, np.full(len(wrong), 14), np.zeros(len(wrong), bool), np.arange(len(wrong)))
    found = search(ready, start, options, lambda stage, iteration, value: None)
    pairs = match(found.start.positions, truth, 0.8)
    assert (pairs.missing, pairs.false) == (0, 0)
    assert found.reason == "settled"


@pytest.mark.slow
def test_counts_of_nothing_have_no_atoms(tmp_path: Path) -> None:
    """Through the command: refused, or else a result without atoms, which says so and is bad."""
    rng = np.random.default_rng(8)
    write_images(tmp_path / "noise.mrc", rng.poisson(1.5, (16, 40, 40)).astype(np.float32), 0.3)
    (tmp_path / "noise.tlt").write_text("\n".join(f"{11.25 * k:.2f}" for k in range(16)))
    arguments = ["tilt", str(tmp_path / "noise.mrc"), "--views", str(tmp_path / "noise.tlt"), "-e", "Si"]
    out = tmp_path / "out"
    arguments += ["--likelihood", "poisson", "--out", str(out), "--strict"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "may show noise" in " ".join(refused.stderr.split())
    assert not out.exists()
    outcome = CliRunner().invoke(app, [*arguments, "--insist"])
    assert outcome.exit_code == 3, outcome.output
    assert "0 atoms" in outcome.stdout
    assert len((out / "atoms.csv").read_text().splitlines()) == 1
    assert len((out / "rejected.csv").read_text().splitlines()) > 1
    summary = json.loads((out / "summary.json").read_text())
    assert summary["atoms"] == 0
    assert summary["verdict"]["level"] == "bad"
    assert (out / "report.html").stat().st_size > 1000


def test_atoms_of_a_start_are_known_again() -> None:
    """Names stay with atoms that are chosen, and are not given twice; those around stay last."""
    start = Start(np.arange(12.0).reshape(4, 3), np.full(4, 14), np.arange(4) > 2, np.array([7, 8, 9]))
    fewer = start.chosen(np.array([True, False, False, True]))
    more = fewer.joined(np.full((2, 3), 5.0), 14)
    assert more.rows_in(start).tolist() == [0, -1, -1, 3]
    assert more.rows_in(fewer).tolist() == [0, -1, -1, 1]
    assert more.frozen.tolist() == [False, False, False, True]
    assert more.ids.tolist() == [7, 10, 11]
    other = _with_atoms(more, np.stack([np.full(3, 4.0), more.positions[2], more.positions[0]]), 14)
    assert other.ids.tolist() == [12, 11, 7]
    assert other.chosen(np.array([False, False, True, True])).joined(np.zeros((1, 3)), 14).ids[-1] == 13
    again = more.chosen(np.array([True, False, False, True])).joined(np.zeros((1, 3)), 14)
    assert again.rows_in(more).tolist() == [0, -1, 3]


def test_other_atoms_take_along_what_is_known_of_those_that_stay() -> None:
    """After a search, too, that has joined atoms and moved them from where they are expected."""
    begin = Start(
        np.eye(3), np.full(3, 14), np.array([False, False, True]), np.arange(2), np.full((3, 3), 0.1)
    )
    searched = begin.joined(np.full((1, 3), 5.0), 14).at(np.arange(12.0).reshape(4, 3))
    places = np.concatenate([searched.positions[[1]], [[9.0, 9.0, 9.0]]])
    other = _with_atoms(searched, places, 78)
    assert other.expected is not None
    assert other.known is not None
    np.testing.assert_array_equal(other.positions, [*places, searched.positions[3]])
    np.testing.assert_array_equal(other.expected, [[0, 1, 0], [9, 9, 9], [0, 0, 1]])
    np.testing.assert_array_equal(other.known[:, 0], [0.1, np.inf, 0.1])
    np.testing.assert_array_equal(other.numbers, [14, 78, 14])
    np.testing.assert_array_equal(other.rows_in(other), [0, 1, 2])


def test_of_two_that_are_one_the_weaker_goes() -> None:
    """Also in a chain: who has lost takes nobody along."""
    places = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 0, 0]])
    weaker = weaker_of_two(places, np.array([3.0, 2.0, 1.0, 0.5]), 1.1)
    assert weaker.tolist() == [False, True, False, False]
