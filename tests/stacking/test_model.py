"""Columns of a particle whose every atom is known, as one image gives them: its sites come back."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from scipy.spatial import cKDTree

from atomfit.files.image_model import model_particle, model_told, write_model
from atomfit.io.json_files import write_json
from atomfit.options.columns import ColumnOptions
from atomfit.report.image_model import model_shown
from atomfit.simulation.image_specimens import _frame
from atomfit.simulation.particles import particle
from atomfit.stacking import Asked, Effort, Model3D, model_of_columns
from atomfit.statistics.image_columns import ColumnStatistics, Counting, measure_columns
from atomfit.structure.elements import elements_of
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics
from atomfit.workflows.columns_model import model_asked
from atomfit.workflows.columns_statistics import library_of

EFFORT = Effort(chains=4, levels=3, hottest=1500.0, blocks=60, kept=20, relaxed=5)
ASKED = Asked("Pt", (1, 1, 0), effort=EFFORT)
ONE = 0.025


def seen(size: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms of an octahedron seen along [110], its columns' places, and which column each atom is in."""
    positions = particle("octahedron", "Pt", size) @ _frame((1, 1, 0)).T
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    positions[:, :2] = positions[:, :2] @ turn.T + 20
    _, of = np.unique(np.round(positions[:, :2], 3), axis=0, return_inverse=True)
    places = np.stack([np.bincount(of, positions[:, k]) / np.bincount(of) for k in (0, 1)], axis=1)
    return positions, places, of


def measured(places: np.ndarray, counts: np.ndarray, error: float) -> tuple[np.ndarray, ColumnStatistics]:
    rng = np.random.default_rng(4)
    esds = np.full(len(counts), error * ONE)
    sizes = ONE * counts + esds * rng.normal(size=len(counts))
    covariances = np.tile(1e-4 * np.eye(2), (len(counts), 1, 1))
    return covariances, measure_columns(places, covariances, sizes, esds, Counting())


@pytest.fixture(scope="module")
def model() -> Model3D:
    _, places, of = seen()
    covariances, statistics = measured(places, np.bincount(of), 0.15)
    with own_numerics():
        return model_of_columns(places, covariances, statistics, ASKED)


def test_the_particle_comes_back(model: Model3D) -> None:
    positions, _, _ = seen()
    assert model.sites.chosen.sum() == len(positions)
    # Atoms at its corners, with four neighbours, may go.
    assert model.total[0] == pytest.approx(len(positions), abs=1.5)
    # An octahedron is its own mirror image.
    middle = positions[:, 2].mean()
    own = model.positions[model.sites.chosen]
    target = np.column_stack([positions[:, :2], positions[:, 2] - middle])
    own = own - [0, 0, own[:, 2].mean()]
    far, which = cKDTree(own).query(target)
    assert np.max(far) < 0.5
    assert len(np.unique(which)) == len(positions)
    true = np.array([len(near) - 1 for near in cKDTree(positions).query_ball_point(positions, 3.2)])
    assert np.mean(np.abs(model.sites.coordination[model.sites.chosen][which] - true)) < 0.1
    # Atoms at the surface have moved inwards.
    assert 0.01 < model.model.moved < 0.3
    np.testing.assert_allclose(model.stacking.scale, 1, atol=5e-3)


def test_probabilities_are_of_samples(model: Model3D) -> None:
    sites = model.sites
    np.testing.assert_allclose(sites.shares.sum(axis=1)[sites.probabilities > 0], 1)
    assert sites.probabilities.sum() == pytest.approx(model.total[0], rel=0.01)
    assert model.shells.numbers.sum() == pytest.approx(model.total[0])
    assert any("mirror image" in note for note in model.notes())
    counts = model.drawn.counts
    assert counts.shape[:2] == (EFFORT.chains, EFFORT.kept)
    assert counts.min() >= 1


def test_files_hold_the_model(model: Model3D, tmp_path: Path) -> None:
    write_model(tmp_path, model)
    with open(tmp_path / "model3d.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(model.sites.places)
    inside = [row for row in rows if row["in_model"] == "1"]
    atoms = read(tmp_path / "model3d.xyz")
    assert len(atoms) == len(inside) == int(model.sites.chosen.sum())
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(model.total[0], rel=0.01)
    frames = read(tmp_path / "ensemble.xyz", index=":")
    assert len(frames) == len(model.members) > 3
    assert "_atom_site.Cartn_z" in (tmp_path / "model3d.cif").read_text(encoding="utf-8")
    told = model_told(model)
    write_json(tmp_path / "told.json", told | {"particle": model_particle(model)})
    shown = model_shown(model, told)
    assert len(shown["sites"]["cn"]) <= len(rows)


def test_what_does_not_fit_is_refused() -> None:
    _, places, of = seen()
    covariances, statistics = measured(places, np.bincount(of), 0.15)
    wrong = replace(ASKED, zone=(1, 1, 1))
    with pytest.raises(InputError, match=r"is not that of fcc Pt along \[1, 1, 1\]"):
        model_of_columns(places, covariances, statistics, wrong)
    uncounted = replace(statistics, counts=None, uncounted="not asked for (--counts off)")
    with pytest.raises(InputError, match="columns were not counted"):
        model_of_columns(places, covariances, uncounted, ASKED)
    alone = replace(statistics, domains=replace(statistics.domains, lattices=()))
    with pytest.raises(InputError, match="these have none"):
        model_of_columns(places, covariances, alone, ASKED)
    other = np.where(np.arange(len(places)) % 2, statistics.domains.membership, 1)
    parts = replace(statistics, domains=replace(statistics.domains, membership=other))
    with pytest.raises(InputError, match="a model needs one lattice"):
        model_of_columns(places, covariances, parts, ASKED)


def test_options_that_make_no_sense_together() -> None:
    for wrong, words in (
        ({"model3d": True}, "follows from the zone axis"),
        ({"zone": (1, 1, 0)}, "this is of a model"),
        ({"temperature": 300.0}, "this is of a model"),
        ({"model3d": True, "zone": (0, 0, 0)}, "no direction"),
        ({"model3d": True, "zone": (1, 1, 0), "counts": "off"}, "needs counts"),
        ({"model3d": True, "zone": (1, 1, 0), "contrast": "dark"}, "dark columns are not counted"),
        ({"model3d": True, "zone": (1, 1, 0, 0)}, "three whole numbers"),
    ):
        with pytest.raises(InputError, match=words):
            ColumnOptions(**wrong)
    options = ColumnOptions(model3d=True, zone=(1, 1, 0))
    with pytest.raises(InputError, match="Pt and Co was given"):
        library_of(options, elements_of(["Pt", "Co"]))
    with pytest.raises(InputError, match="potential does not know Fe"):
        model_asked(options, elements_of("Fe"), None)
    with pytest.raises(InputError, match="hcp are not stacked"):
        model_asked(options, elements_of("Co"), object())
    asked = model_asked(options, elements_of("Pt"), None)
    assert asked is not None
    assert (asked.symbol, asked.zone, asked.temperature) == ("Pt", (1, 1, 0), None)
