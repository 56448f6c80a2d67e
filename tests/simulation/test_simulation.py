import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from atomfit.simulation import simulate
from atomfit.simulation.disturbances import noise, without_wedge
from atomfit.simulation.dynamics import molecular_dynamics
from atomfit.simulation.effective_medium import PairwiseEMT
from atomfit.simulation.particles import orientation, particle
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError

GRID = Grid((40, 44, 48), np.array([0.4, 0.36, 0.3]), np.zeros(3))


@pytest.mark.parametrize(
    ("shape", "size", "count"),
    [
        ("sphere", 309, 309),
        ("octahedron", 4, 44),
        ("octahedron", 12, 12 * (2 * 12**2 + 1) // 3),
        ("cuboctahedron", 3, 55),
        ("icosahedron", 5, 309),
        ("decahedron", 4, 54),
    ],
)
def test_particles_have_the_right_number_of_atoms(shape: str, size: int, count: int) -> None:
    sites = particle(shape, "Pt", size)  # type: ignore[arg-type]
    assert len(sites) == count
    np.testing.assert_allclose(sites.mean(axis=0), 0, atol=1e-9)


def test_fcc_sites_are_at_the_bulk_distance() -> None:
    from scipy.spatial import cKDTree

    sites = particle("sphere", "Pt", 309)
    nearest = cKDTree(sites).query(sites, k=2)[0][:, 1]
    np.testing.assert_allclose(nearest, 3.92 / np.sqrt(2), rtol=1e-9)


def test_seeds_make_the_same_map_again() -> None:
    one, two = (simulate(size=60, seed=5, rotate="random") for _ in range(2))
    np.testing.assert_array_equal(one.map.values, two.map.values)
    assert not np.array_equal(one.map.values, simulate(size=60, seed=6, rotate="random").map.values)


def test_displacements_are_as_planted() -> None:
    case = simulate(size=200, doi=0.6, u_core=0.16, u_surface=0.32)
    values = np.linalg.eigvalsh(case.matrices)
    np.testing.assert_allclose(values[:, 0] / values[:, 2], 0.6)
    u_iso = np.trace(case.matrices, axis1=1, axis2=2) / 3
    assert u_iso.min() == pytest.approx(0.16)
    assert u_iso.max() == pytest.approx(0.32)
    outward = case.positions - case.map.grid.centre
    outermost = np.argmax(np.linalg.norm(outward, axis=1))
    axis = np.linalg.eigh(case.matrices[outermost])[1][:, -1]
    assert abs(axis @ outward[outermost]) > 0.99 * np.linalg.norm(outward[outermost])


def test_white_noise_is_white_and_blurred_noise_is_not() -> None:
    white = noise(GRID, 0.3, 0.0, seed=1)
    blurred = noise(GRID, 0.3, 0.4, seed=1)
    for values in (white, blurred):
        assert values.std() == pytest.approx(0.3, rel=0.02)
    shifted = np.roll(blurred, 1, axis=2)
    # Correlation of neighbours along x, 0.4 Å apart: exp(-d² / 4σ²).
    assert np.corrcoef(blurred.ravel(), shifted.ravel())[0, 1] == pytest.approx(
        np.exp(-(0.4**2) / (4 * 0.4**2)), abs=0.03
    )
    assert abs(np.corrcoef(white.ravel(), np.roll(white, 1, axis=2).ravel())[0, 1]) < 0.02


def test_wedge_is_missing_about_z_and_nothing_else() -> None:
    values = noise(GRID, 1.0, 0.0, seed=2)
    kept = np.abs(np.fft.fftn(without_wedge(values, GRID, 40.0))) ** 2
    kz, _, kx = np.meshgrid(
        *[np.fft.fftfreq(n, s) for n, s in zip(GRID.shape, GRID.spacing[::-1], strict=True)],
        indexing="ij",
    )
    angle = np.degrees(np.arctan2(np.abs(kx), np.abs(kz)))
    moved = (kx != 0) | (kz != 0)
    assert kept[(angle < 19) & moved].max() < 1e-6 * kept.max()
    full = np.abs(np.fft.fftn(values)) ** 2
    np.testing.assert_allclose(kept[angle > 21], full[angle > 21], rtol=1e-6)


def test_orientations() -> None:
    np.testing.assert_allclose(orientation("none", 0).as_matrix(), np.eye(3))
    np.testing.assert_allclose(orientation("0,0,90", 0).apply([1, 0, 0]), [0, 1, 0], atol=1e-12)
    with pytest.raises(InputError):
        orientation("1,2", 0)


@pytest.mark.parametrize("symbol", ["Pt", "Cu"])
def test_the_pairwise_potential_is_that_of_ase(symbol: str) -> None:
    """Energies and forces, of disordered atoms and one on its own, also after moves that change pairs."""
    rng = np.random.default_rng(0)
    sites = np.concatenate([particle("sphere", symbol, 60), [[40.0, 0.0, 0.0]]])
    theirs = Atoms([symbol] * len(sites), sites, calculator=EMT())
    mine = Atoms([symbol] * len(sites), sites, calculator=PairwiseEMT())
    for size in (0.15, 0.02, 0.3):
        for atoms, move in zip((theirs, mine), [rng.normal(0, size, sites.shape)] * 2, strict=True):
            atoms.positions += move
        np.testing.assert_allclose(mine.get_forces(), theirs.get_forces(), atol=1e-10)
        np.testing.assert_allclose(
            mine.get_potential_energies(), theirs.get_potential_energies(), atol=1e-10
        )


def test_dynamics_gives_a_truth_without_drift() -> None:
    """A short run: U is near the harmonic size, larger outside, and the mean map fits the atoms."""
    sites = particle("icosahedron", "Pt", 3)
    motion = molecular_dynamics(
        "Pt", sites, temperature=300, frames=60, steps_per_frame=5, warm_up=100, seed=1
    )
    assert np.linalg.norm(motion.positions.mean(axis=0)) < 1e-6
    u_iso = np.trace(motion.matrices, axis1=1, axis2=2) / 3
    assert 0.001 < np.median(u_iso) < 0.05
    radius = np.linalg.norm(motion.positions, axis=1)
    assert u_iso[radius > 4].mean() > u_iso[radius < 3].mean()
    grid = Grid((64, 64, 64), np.full(3, 0.36), np.zeros(3))
    density = motion.density(grid, 0.2, grid.centre)
    peaks = density.at(grid.nearest_voxels(motion.positions + grid.centre))
    assert peaks.min() > 0.5
