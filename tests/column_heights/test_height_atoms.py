"""Atoms of columns whose heights and starts are known, beside those of the specimen."""

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np

from atomfit.column_heights import Heights
from atomfit.files.height_atoms import atoms_of_heights
from atomfit.io.structures import write_mmcif, write_xyz
from atomfit.options.hrtem import HrtemOptions
from atomfit.simulation.hrtem_specimens import hrtem_specimen
from atomfit.structure.crystals import crystal, zone_columns
from atomfit.waves import Field


def found_of(of: str) -> tuple[Heights, np.ndarray]:
    """Columns of a specimen, known exactly; and its atoms."""
    options = HrtemOptions(crystal=of, image_size=64, turn=15.0, displacement=0.0)
    specimen = hrtem_specimen(options, Field.suited((64, 64), 0.2), np.random.default_rng(1))
    heavy = (specimen.columns.elements == specimen.crystal.heaviest) & (specimen.columns.heights > 0)
    columns = specimen.columns[np.flatnonzero(heavy)]
    n = len(columns)
    inside = specimen.symbols == specimen.crystal.heaviest
    atoms, own = specimen.positions[inside], []
    for place in columns.positions:
        own.append(atoms[np.hypot(*(atoms[:, :2] - place).T) < 0.1])
    first = np.array([one[:, 2].min() for one in own])
    starts = np.floor(first / specimen.repeat)
    found = Heights(
        columns.positions,
        np.full((n, 2), 0.02),
        np.eye(11)[columns.heights],
        # Starts are no whole numbers.
        starts + np.random.default_rng(0).uniform(-0.3, 0.3, n),
        np.full(n, 0.25),
        np.ones(n, bool),
        (),
        1e3,
        1.0,
        levels=first - specimen.repeat * starts,
    )
    return found, np.concatenate(own)


def test_atoms_are_those_of_the_specimen(tmp_path: Path) -> None:
    for of in ("CeO2", "Pt"):
        zone, element = zone_columns(crystal(of), (1, 1, 0)), crystal(of).heaviest
        found, truth = found_of(of)
        made = atoms_of_heights(found, zone, element)
        assert made is not None
        assert len(made.positions) == len(truth) == found.heights.sum()
        away = np.linalg.norm(made.positions[:, None] - truth, axis=2)
        assert away.min(axis=0).max() < 1e-6
        assert made.position_esds is not None
        np.testing.assert_allclose(made.position_esds[:, 2], 0.25 * zone.repeat)
        write_xyz(tmp_path / "a.xyz", made)
        write_mmcif(tmp_path / "a.cif", made)
        read = ase.io.read(tmp_path / "a.xyz")
        np.testing.assert_allclose(read.positions, made.positions, atol=1e-4)
        assert set(read.get_chemical_symbols()) == {element}
        assert (tmp_path / "a.cif").read_text().count(element.upper()) >= len(truth)


def test_what_is_not_known_is_left_out() -> None:
    zone = zone_columns(crystal("CeO2"), (1, 1, 0))
    found, truth = found_of("CeO2")
    assert found.levels is not None
    assert atoms_of_heights(replace(found, levels=None), zone, "Ce") is None
    assert atoms_of_heights(replace(found, levels=np.full(len(found), np.nan)), zone, "Ce") is None
    levels = found.levels.copy()
    levels[0] = np.nan
    vacant = found.probabilities.copy()
    vacant[1] = np.eye(11)[0]
    made = atoms_of_heights(replace(found, levels=levels, probabilities=vacant), zone, "Ce")
    assert made is not None
    assert len(made.positions) == len(truth) - found.heights[:2].sum()
    assert not np.isin(made.columns["column"], [1, 2]).any()
