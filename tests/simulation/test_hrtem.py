"""HRTEM images that are simulated: their truth against their atoms, their counts against their waves."""

from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.spatial import cKDTree

from atomfit.simulation import HrtemOptions, simulate_hrtem
from atomfit.simulation.hrtem import sliced
from atomfit.simulation.hrtem_specimens import HrtemSpecimen, hrtem_specimen
from atomfit.structure.crystals import crystal, zone_columns
from atomfit.support.errors import InputError
from atomfit.waves import (
    Aberrations,
    Beam,
    CoherentSum,
    Detector,
    Field,
    Microscope,
    clear_of,
    exit_wave,
    slice_atoms,
)


def made(**options: object) -> tuple[HrtemOptions, HrtemSpecimen]:
    chosen = HrtemOptions(**options)
    return chosen, hrtem_specimen(
        chosen,
        Field.suited((chosen.image_size,) * 2, chosen.pixel_size),
        np.random.default_rng(chosen.seed),
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", ["flat", "saw-tooth", "stepped", "smooth"])
@pytest.mark.parametrize(("name", "zone"), [("CeO2", "110"), ("CeO2", "111"), ("Pt", "110"), ("Au", "100")])
def test_heights_are_numbers_of_atoms(name: str, zone: str, shape: str, seed: int) -> None:
    """Atoms of a column's element within reach of its place, none twice, one after the other along z."""
    options, found = made(
        crystal=name, zone=zone, outline=shape, profile=shape, seed=seed, missing=0.1, thickness=(2, 9)
    )
    columns, spacing = found.columns, zone_columns(crystal(name), options.axis).repeat
    assert len(columns) > 20
    for k in range(len(columns)):
        near = np.linalg.norm(found.positions[:, :2] - columns.positions[k], axis=1) < 0.4
        mine = near & (found.symbols == columns.elements[k])
        assert mine.sum() == columns.heights[k]
        z = np.sort(found.positions[mine, 2])
        steps = np.rint(np.diff(z) / spacing).astype(int)
        np.testing.assert_allclose(np.diff(z), steps * spacing, atol=1e-6)
        assert np.sum(steps - 1) <= columns.missing[k] <= 1
        if len(z):
            assert columns.starts[k] == pytest.approx(np.floor(z[0] / spacing + 1e-6), abs=0.5)
            np.testing.assert_allclose(
                found.positions[mine, :2].mean(axis=0), columns.positions[k], atol=1e-6
            )
    assert columns.heights.max() <= 9
    if shape == "flat":
        np.testing.assert_array_equal(columns.heights, 9 - columns.missing)
    else:
        assert len(set(columns.heights.tolist())) > 3
        assert (columns.heights + columns.missing).min() in (1, 2, 3, 4)
    apart = cKDTree(found.positions).query(found.positions, k=2)[0][:, 1]
    assert apart.min() > 1.5


def test_the_edge_leaves_the_vacuum_that_was_asked_for() -> None:
    for vacuum, low, high in ((0.0, 0.97, 1.04), (0.5, 0.42, 0.58), (0.8, 0.12, 0.28)):
        _, found = made(vacuum=vacuum, outline="flat", profile="flat", image_size=256, displacement=0.0)
        columns_in_field = 3 * 51.2**2 / (5.411**2 / 2**1.5)
        assert low < len(found.columns) / columns_in_field < high


def test_faults_are_as_frequent_as_asked_for() -> None:
    _, found = made(vacuum=0.0, vacant=0.1, missing=0.2, image_size=320, thickness=(4, 10))
    columns = found.columns
    assert np.mean(columns.heights == 0) == pytest.approx(0.1, abs=0.03)
    assert np.mean((columns.heights > 0) & (columns.missing == 1)) == pytest.approx(0.2, abs=0.04)
    gone = columns.positions[columns.heights == 0]
    assert cKDTree(found.positions[:, :2]).query(gone)[0].min() > 0.8


def test_columns_are_displaced_and_lean() -> None:
    (_, straight), (_, leaning), (_, still) = (
        made(turn=0.0, mistilt=tilt, displacement=size, profile="flat", vacuum=0.0)
        for tilt, size in (((0.0, 0.0), 0.08), ((20.0, -10.0), 0.08), ((0.0, 0.0), 0.0))
    )
    nearest = cKDTree(still.columns.positions).query(straight.columns.positions)[1]
    off = straight.columns.positions - still.columns.positions[nearest]
    inner = np.all(np.abs(straight.columns.positions - 12.7) < 12, axis=1)
    off = off[inner]
    assert off.std(axis=0) == pytest.approx([0.08, 0.08], rel=0.25)
    # From the first atom of a column to the last, nine repeats of 3.826 Å further on.
    at = leaning.columns.positions[60]
    mine = np.linalg.norm(leaning.positions[:, :2] - at, axis=1) < 0.8
    column = leaning.positions[mine][np.argsort(leaning.positions[mine, 2])]
    np.testing.assert_allclose(
        column[-1, :2] - column[0, :2], 9 * 3.8262 * np.array([0.02, -0.01]), atol=1e-3
    )


def test_carbon_is_amorphous_and_above() -> None:
    _, found = made(carbon=20.0, image_size=200)
    carbon = found.positions[found.symbols == "C"]
    volume = 20.0 * np.prod(np.ptp(carbon[:, :2], axis=0))
    assert len(carbon) / volume == pytest.approx(0.1, rel=0.05)
    assert cKDTree(carbon).query(carbon, k=2)[0][:, 1].min() >= 1.3
    assert carbon[:, 2].max() < 20 <= found.positions[found.symbols != "C", 2].min()


@pytest.mark.parametrize("zone", ["110", "111", "210"])
def test_slices_end_between_atoms(zone: str) -> None:
    options, found = made(zone=zone, vacuum=0.0)
    atoms, below = sliced(found, options)
    thick = float(atoms.slices.thickness)
    assert thick <= 4
    heights = found.positions[:, 2] + clear_of(found.positions[:, 2], thick)
    assert np.min(np.abs(heights / thick - np.rint(heights / thick))) > 0.05
    assert sum(float(p.sum()) for p in atoms.slices.present) == len(found.positions)
    assert 0 <= below < 2 * thick


def test_counts_are_those_of_the_waves() -> None:
    """Exact, on the wave's own points, with nodes for focus and envelopes for directions."""
    found = simulate_hrtem(
        dose=0, defocus=-3.0, image_size=96, thickness=(2, 6), mtf=0.5, blur=0.2, gain=2.0
    )
    options, field, beam = found.options, found.field, Beam(300.0)
    atoms, below = sliced(found.specimen, options)
    lens = Aberrations(-30.0 - below, c3=-9e4, c5=5e7)
    microscope = Microscope(
        lens, CoherentSum(30.0, 1e-4, focuses=45), Detector(1.0, 2.0, blur=0.2, mtf=0.5), oversampling=2.0
    )
    expected = jax.jit(Microscope.image)(microscope, exit_wave(atoms, field, beam), field, beam)
    contrast = np.asarray(field.shown(expected))
    assert np.std(found.expected - contrast) < 0.01 * contrast.std()
    assert found.frames.shape == (1, 96, 96)
    np.testing.assert_allclose(found.frames[0], found.expected, rtol=1e-6)


def test_focus_is_told_from_the_lower_surface() -> None:
    """Two planes of atoms, in slices that end there."""
    found = simulate_hrtem(
        crystal="Pt", zone="100", thickness=(1, 1), profile="flat", dose=0, defocus=4.0, image_size=64
    )
    options, field, beam = found.options, found.field, Beam(300.0)
    atoms, _ = sliced(found.specimen, options)
    heights = found.specimen.positions[:, 2]
    assert found.specimen.depth == pytest.approx(3.924)
    assert set(np.round(heights, 3)) == {0.981, 2.943}
    half = slice_atoms(heights, found.specimen.symbols, 0.5 * 3.924, 2)
    atoms = eqx.tree_at(lambda one: one.slices, atoms, half)

    def image(c1: float) -> np.ndarray:
        lens = Aberrations(c1, c3=-9e4, c5=5e7)
        microscope = Microscope(lens, CoherentSum(30.0, 1e-4, focuses=45), Detector(1.0))
        expected = jax.jit(Microscope.image)(microscope, exit_wave(atoms, field, beam), field, beam)
        return np.asarray(field.shown(expected))

    right = np.std(found.expected - image(40.0))
    assert right < 0.03 * found.expected.std()
    for wrong in (38.0, 42.0):
        assert right < 0.5 * np.std(found.expected - image(wrong))


def test_noise_is_drawn_after_the_specimen() -> None:
    options = HrtemOptions(image_size=64, dose=100.0, frames=3, seed=4)
    first, again, brighter = (
        simulate_hrtem(options),
        simulate_hrtem(options),
        simulate_hrtem(options, dose=400.0),
    )
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.columns.positions, brighter.columns.positions)
    np.testing.assert_allclose(4 * first.expected, brighter.expected, rtol=1e-4)
    assert np.all(first.frames == np.rint(first.frames))
    assert not np.array_equal(first.frames[0], first.frames[1])
    apart = (first.frames - first.expected) / np.sqrt(first.expected)
    assert apart.var() == pytest.approx(1, abs=0.05)
    other = simulate_hrtem(options, seed=5).specimen.positions
    assert not np.array_equal(other[:20], first.specimen.positions[:20])


def test_columns_are_bright_where_the_truth_is() -> None:
    """Negative C3 and overfocus: atoms of thin columns are bright."""
    found = simulate_hrtem(dose=0, thickness=(2, 3), defocus=5.0, focal_spread=2.0)
    columns = found.columns
    heavy = columns[np.flatnonzero(columns.elements == "Ce")]
    at = np.rint(heavy.positions / 0.2).astype(int)
    at = at[np.all((at > 2) & (at < 125), axis=1)]
    peaks = found.expected[at[:, 1], at[:, 0]]
    assert len(peaks) > 10
    assert peaks.min() > found.expected.mean() + 1.0 * found.expected.std()
    # Not so where x and y are exchanged.
    assert found.expected[at[:, 0], at[:, 1]].min() < found.expected.mean()


def test_a_file_of_another_crystal(tmp_path: Path) -> None:
    from ase.io import write
    from ase.spacegroup import crystal as ase_crystal

    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    made = ase_crystal(["Sr", "Ti", "O"], sites, spacegroup=221, cellpar=[3.905] * 3 + [90] * 3)
    write(tmp_path / "strontium titanate.cif", made)
    found = simulate_hrtem(crystal=str(tmp_path / "strontium titanate.cif"), image_size=64, dose=1e4)
    assert set(found.specimen.symbols.tolist()) == {"Sr", "Ti", "O"}
    # Along [110] Sr and O are in one column, which is called after the heavier.
    assert set(found.columns.elements.tolist()) == {"Sr", "Ti", "O"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"crystal": "Kryptonite"}, "--crystal: 'Kryptonite' is neither"),
        ({"thickness": (5, 2)}, "--thickness: 5,2 is no thickness"),
        ({"thickness": (0, 0)}, "no thickness"),
        ({"zone": "11"}, "no zone axis"),
        ({"zone": "9,1,0"}, "too high"),
        ({"defocus": 5000.0}, "no defocus"),
        ({"thickness": (200, 200), "image_size": 2048, "pixel_size": 1.0}, "too many atoms"),
    ],
)
def test_what_cannot_be_simulated_is_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        simulate_hrtem(**options)
