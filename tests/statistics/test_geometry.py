"""Coordination, strain and depth against ase, planted truth and slow references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from atomfit.options.build import ParticleShape
from atomfit.simulation.particles import particle
from atomfit.statistics.coordination import measure_coordination
from atomfit.statistics.depth import fit_depth, measure_depths, running_means
from atomfit.statistics.geometry import Geometry, measure_geometry
from atomfit.statistics.particle import bond_lengths, by_coordination, pair_distribution, particle_report
from atomfit.structure.elements import element
from atomfit.structure.neighbours import find_neighbours

PT = element("Pt")
SHAPES: list[tuple[ParticleShape, int]] = [
    ("octahedron", 6),
    ("icosahedron", 4),
    ("decahedron", 5),
    ("cuboctahedron", 4),
]


def turned(positions: np.ndarray, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(Rotation.random(rng=rng).apply(positions) + rng.uniform(-30, 30, 3))


def geometry(positions: np.ndarray, errors: float = np.nan) -> Geometry:
    cutoff = find_neighbours(positions, None, PT.neighbour_distance).cutoff
    return measure_geometry(positions, np.full(positions.shape, errors), cutoff, PT)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_coordination_numbers_are_those_of_ase(shape: ParticleShape, size: int) -> None:
    neighborlist = pytest.importorskip("ase.neighborlist")
    from ase import Atoms

    positions = turned(particle(shape, "Pt", size, lattice=3.92))
    first, second = neighborlist.neighbor_list("ij", Atoms("Pt" * len(positions), positions), 1.2 * 2.77)
    cn = np.bincount(first, minlength=len(positions))
    found = find_neighbours(positions, None, PT.neighbour_distance)
    np.testing.assert_array_equal(found.coordination_numbers, cn)
    coordination = measure_coordination(positions, found.cutoff, np.full(positions.shape, 0.01))
    total = np.bincount(first, weights=cn[second], minlength=len(positions))
    np.testing.assert_allclose(coordination.generalised, total / 12)
    largest = [cn[second[first == i]].max() for i in range(len(positions))]
    np.testing.assert_allclose(coordination.generalised_max, total / largest)
    # Far from the cutoff a count is certain.
    np.testing.assert_allclose(coordination.expected, cn, atol=1e-6)
    assert coordination.errors.max() < 1e-3


def test_a_neighbour_at_the_cutoff_counts_half() -> None:
    positions = np.array([[0.0, 0, 0], [3.0, 0, 0]])
    found = measure_coordination(positions, 3.0, np.full((2, 3), 0.1))
    np.testing.assert_allclose(found.expected, 0.5)
    np.testing.assert_allclose(found.errors, 0.5)


STRAINS = {
    "uniform": 0.02 * np.eye(3),
    "shear": 0.015 * np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 0]]),
    "along z": np.diag([0, 0, 0.03]),
}


@pytest.mark.parametrize("strain", STRAINS.values(), ids=list(STRAINS))
def test_planted_strain_is_found(strain: np.ndarray) -> None:
    ideal = Rotation.random(rng=np.random.default_rng(2)).apply(particle("sphere", "Pt", 309, lattice=3.92))
    radius = np.linalg.norm(ideal, axis=1)
    deep = radius < radius.max() - 3.5
    expected = strain[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    z = []
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(0, 0.02, ideal.shape)
        found = geometry(ideal @ (np.eye(3) + strain).T + noise).bulk_strain
        z.append((found.tensors[deep] - expected) / found.errors[deep])
        # The bulk constant of the tables is 3.92 Å.
        assert np.nanmean(found.tensors[deep], axis=0) == pytest.approx(expected, abs=0.1 * 0.02)
    assert np.nanstd(z) == pytest.approx(1, abs=0.25)


def test_a_radial_gradient_of_strain_is_found() -> None:
    ideal = particle("sphere", "Pt", 711, lattice=3.92)
    radius = np.linalg.norm(ideal, axis=1)
    gradient = 0.03 / radius.max()
    found = geometry(turned(ideal * (1 + gradient * radius / 2)[:, None])).bulk_strain.radial
    # At the centre there is no direction, and the gradient has a cusp.
    deep = (radius < radius.max() - 3.5) & (radius > 2.5)
    assert found[deep] == pytest.approx(gradient * radius[deep], abs=0.1 * 0.03)


def test_a_uniform_strain_is_none_beside_the_fitted_lattice() -> None:
    found = geometry(1.03 * particle("sphere", "Pt", 309, lattice=3.92))
    assert np.nanmax(np.abs(found.strain.tensors)) < 1e-6
    assert found.bulk_strain.radial == pytest.approx(np.full(309, 0.03), abs=1e-3)
    assert "one fcc lattice" in found.describe()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_nothing_depends_on_how_the_particle_lies(seed: int) -> None:
    positions = particle("sphere", "Pt", 135) + np.random.default_rng(seed).normal(0, 0.03, (135, 3))
    one, other = geometry(positions), geometry(turned(positions, seed))
    np.testing.assert_array_equal(one.structure, other.structure)
    np.testing.assert_allclose(one.strain.radial, other.strain.radial, atol=1e-6)
    np.testing.assert_allclose(one.depths.radial, other.depths.radial, atol=1e-6)
    np.testing.assert_allclose(one.depths.hull, other.depths.hull, atol=1e-6)
    assert one.lattices[0].constant == pytest.approx(other.lattices[0].constant, rel=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_few_atoms_have_no_lattice_and_no_errors_are_raised(count: int) -> None:
    positions = particle("sphere", "Pt", 13)[:count]
    found = geometry(positions)
    assert found.lattices == ()
    assert "no lattice" in found.describe()
    columns = {"cn": np.zeros(count), "nn_distance": np.full(count, np.nan)}
    report = particle_report(found, columns, positions, 3.3)
    assert report["table_1"]["atoms"] == count


def test_a_plane_of_atoms_has_no_hull() -> None:
    flat = particle("sphere", "Pt", 309)
    flat[:, 2] = 0
    assert np.all(np.isnan(measure_depths(flat).hull))


def test_depths_of_an_octahedron() -> None:
    positions = turned(particle("octahedron", "Pt", 7, lattice=3.92))
    depths = measure_depths(positions)
    far = np.linalg.norm(positions[:, None] - positions, axis=2).max()
    assert depths.diameter == pytest.approx(far)
    # Facets are planes at distances of a / √3 from each other.
    layers = depths.hull / (3.92 / 3**0.5)
    np.testing.assert_allclose(layers, np.rint(layers), atol=1e-6)


@pytest.mark.parametrize("scatter", [0.5, 1.5])
def test_a_planted_penetration_depth_is_found(scatter: float) -> None:
    depth = measure_depths(particle("sphere", "Pt", 711)).radial
    error, z = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        true = rng.uniform(3.9, 5.1)
        values = 12 + 1.1 * np.minimum(depth - true, 0) + rng.normal(0, scatter, len(depth))
        found = fit_depth(depth, values)
        assert found is not None
        error.append(found.delta - true)
        z.append((found.delta - true) / found.delta_esd)
        assert found.constant == pytest.approx(12, abs=5 * found.constant_esd)
    assert np.std(error) < 0.2
    assert np.mean(np.abs(z) < 1.96) > 0.85


def test_a_smooth_change_is_called_smooth() -> None:
    depth = np.linspace(0, 12, 300)
    noise = np.random.default_rng(0).normal(0, 0.05, 300)
    smooth, kinked = np.exp(-depth / 3) + noise, np.minimum(depth - 4, 0) / 4 + noise
    for values, sign in ((smooth, 1), (kinked, -1)):
        found = fit_depth(depth, values)
        assert found is not None
        assert sign * found.smooth_better_by > 0


def test_the_plateau_is_kept_within_limits() -> None:
    depth = np.linspace(0, 12, 200)
    found = fit_depth(depth, np.minimum(9 + depth, 13.0), (10.0, 12.0))
    assert found is not None
    assert found.constant == 12.0
    assert fit_depth(depth[:5], depth[:5]) is None
    assert fit_depth(depth, np.full(200, np.nan)) is None


def test_running_means_and_bins() -> None:
    depth = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    d, means = running_means(depth, {"y": np.where(depth == 1, np.nan, 10 * depth)})
    np.testing.assert_allclose(d, [3, 4])
    np.testing.assert_allclose(means["y"], [35, 40])
    assert len(running_means(depth[:3], {})[0]) == 0
    rows = by_coordination(np.array([12.0] * 6 + [9.0] * 2), np.arange(8.0))
    assert [row["cn"] for row in rows] == [12]
    assert rows[0]["esd"] == pytest.approx(np.std(np.arange(6.0), ddof=1) / 6**0.5)


def test_pairs_are_counted_once() -> None:
    positions = particle("sphere", "Pt", 55)
    found = pair_distribution(positions, 6.0)
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)[np.triu_indices(55, 1)]
    assert found["pairs"].sum() == np.sum(distances <= found["edges"][-1])


def test_bonds_are_pairs_within_the_cutoff(rng: np.random.Generator) -> None:
    positions = rng.uniform(0, 12, (80, 3))
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1)[np.triu_indices(80, 1)]
    bonds = apart[apart < 4]
    found = bond_lengths(positions, 4.0)
    assert found["bonds"].sum() == len(bonds)
    assert found["mean"] == pytest.approx(bonds.mean())
    assert found["standard_deviation"] == pytest.approx(bonds.std(ddof=1))
    np.testing.assert_array_equal(found["bonds"], np.histogram(bonds, found["edges"])[0])
    assert not bond_lengths(positions[:1], 4.0)["bonds"].size
