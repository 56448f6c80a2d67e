"""Error bars: against a dense inverse, and against the errors that are really made."""

import numpy as np
import pytest

from atomfit.detection.detect import detect
from atomfit.fitting.joint import fit_jointly
from atomfit.fitting.pose import pose
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.information import Information
from atomfit.gaussians.overlaps import derivatives_of_gaussian, natural_blocks
from atomfit.gaussians.pointwise import information_blocks, part_inside
from atomfit.gaussians.uncertainty import uncertainty
from atomfit.simulation import simulate
from atomfit.statistics.displacements import principal_displacements
from atomfit.statistics.isotropy import isotropies
from atomfit.statistics.uncertainties import propagate
from atomfit.structure.elements import element
from atomfit.structure.grid import Grid
from atomfit.structure.matching import match
from atomfit.structure.neighbours import find_neighbours

PT = element("Pt")
NOISE, VOLUME = 0.05, 0.046


def some_atoms(rng: np.random.Generator, spacing: float = 2.8, width: float = 0.4) -> FittedAtoms:
    """A block of 3 x 3 x 3 atoms, disordered."""
    sites = spacing * np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    roots = width**0.5 * (np.eye(3) + 0.1 * rng.normal(size=(27, 3, 3)))
    u = roots @ np.swapaxes(roots, 1, 2)
    positions = sites + 0.1 * rng.normal(size=sites.shape)
    return FittedAtoms(positions, rng.uniform(1, 3, 27), np.trace(u, axis1=1, axis2=2) / 3, u)


def dense_covariance(atoms: FittedAtoms, noise: float) -> np.ndarray:
    """The inverse of the whole information matrix."""
    n = len(atoms)
    apart = atoms.positions[:, None] - atoms.positions
    sums = atoms.matrices[:, None] + atoms.matrices
    pairs = np.broadcast_arrays(atoms.amplitudes[:, None], atoms.amplitudes[None])
    blocks = np.asarray(natural_blocks(derivatives_of_gaussian(apart, sums), *pairs, 3))
    whole = np.swapaxes(blocks, 1, 2).reshape(10 * n, 10 * n) / (VOLUME * noise**2)
    return np.linalg.inv(whole)


@pytest.mark.parametrize("width", [0.2, 0.5])
def test_blocks_of_the_inverse_against_a_dense_one(width: float, rng: np.random.Generator) -> None:
    atoms = some_atoms(rng, width=width)
    known = uncertainty(atoms, NOISE, VOLUME)
    dense = dense_covariance(atoms, NOISE)
    for i in range(27):
        expected = dense[10 * i : 10 * i + 10, 10 * i : 10 * i + 10]
        scale = np.sqrt(np.diag(expected))
        np.testing.assert_allclose(
            known.covariances[i] / np.outer(scale, scale), expected / np.outer(scale, scale), atol=0.04
        )
    neighbours = find_neighbours(atoms.positions)
    distances = known.of_distances(atoms.positions, neighbours.nearest)
    for i, j in enumerate(neighbours.nearest):
        e = atoms.positions[j] - atoms.positions[i]
        e /= np.linalg.norm(e)
        slope = np.zeros(270)
        slope[10 * i : 10 * i + 3], slope[10 * j : 10 * j + 3] = -e, e
        assert distances[i] == pytest.approx(np.sqrt(slope @ dense @ slope), rel=0.05)


def test_information_is_symmetric_where_atoms_have_many_neighbours(rng: np.random.Generator) -> None:
    """Wide atoms of unequal surroundings: each has more neighbours than are inverted together."""
    atoms = some_atoms(rng, spacing=2.0, width=0.5)
    known = Information.of(atoms, 1.0, np.eye(10), derivatives_of_gaussian)
    whole = np.zeros((27, 27, 10, 10))
    rows = np.arange(27)[:, None]
    listed = ~known.missing
    whole[np.broadcast_to(rows, listed.shape)[listed], known.neighbours[listed]] = known.blocks[listed]
    np.testing.assert_allclose(whole, whole.transpose(1, 0, 3, 2), atol=1e-9)
    assert np.any(listed.sum(axis=1) < 19)
    assert np.any(listed.sum(axis=1) > 19)


@pytest.mark.parametrize("deep", [-0.3, 0.0, 0.5])
def test_atoms_on_a_face_against_a_dense_inverse(deep: float, rng: np.random.Generator) -> None:
    """A map that ends at, before or beyond the first atoms' centres: only voxels inside tell of them."""
    atoms = some_atoms(rng)
    edge = VOLUME ** (1 / 3)
    first = float(atoms.positions[:9, 0].mean())
    shape = np.array([38, 38, 24])
    origin = np.array([first - deep, -3.2, -3.2])
    grid = Grid(tuple(int(x) for x in shape), np.full(3, edge), origin)
    ones = np.ones(grid.shape)
    part = part_inside(atoms, ones, grid)
    known = uncertainty(atoms, NOISE, VOLUME, inside=(part, part))
    blocks = information_blocks(atoms, np.tile(np.arange(27), (27, 1)), ones / NOISE**2, grid)
    dense = np.linalg.inv(np.swapaxes(blocks, 1, 2).reshape(270, 270))
    expected = np.sqrt(np.diagonal(dense)).reshape(27, 10)
    ratio = known.deviations / expected
    on_face = np.abs(atoms.positions[:, 0] - first) < 1
    assert on_face.sum() == 9
    # Place and width across the face.
    whole = (uncertainty(atoms, NOISE, VOLUME).deviations / expected)[on_face]
    assert np.median(whole[:, [0, 3]]) < 0.75
    assert np.median(ratio[on_face]) == pytest.approx(1, abs=0.05)
    assert np.all((ratio[on_face] > 0.7) & (ratio[on_face] < 1.4))
    np.testing.assert_allclose(ratio[~on_face], 1, atol=0.15)
    np.testing.assert_allclose(part[18:], np.tile(np.eye(10), (9, 1, 1)))


def test_a_lone_atom_against_the_textbook() -> None:
    """σ_x = σ √2 w / (p √C), C = π^(3/2) w³ / v: the bound for a Gaussian of width w."""
    width, peak = 0.5, 2.0
    amplitude = peak * (2 * np.pi * width**2) ** 1.5
    u = width**2 * np.eye(3)[None]
    atoms = FittedAtoms(np.zeros((1, 3)), np.array([amplitude]), np.array([width**2]), u)
    known = uncertainty(atoms, NOISE, VOLUME)
    expected = NOISE * np.sqrt(2) * width / (peak * np.sqrt((np.sqrt(np.pi) * width) ** 3 / VOLUME))
    np.testing.assert_allclose(known.deviations[0, :3], expected)
    assert np.isnan(known.of_distances(atoms.positions, np.array([0]))[0])


def test_what_was_frozen_has_no_uncertainty(rng: np.random.Generator) -> None:
    atoms = some_atoms(rng)
    free = uncertainty(atoms, NOISE, VOLUME).deviations
    frozen = uncertainty(atoms, NOISE, VOLUME, frozen=["displacements"]).deviations
    assert np.all(np.isnan(frozen[:, 3:9]))
    # Knowing the widths helps the amplitudes.
    assert np.all(frozen[:, 9] < free[:, 9])
    assert np.all(np.isnan(uncertainty(atoms, NOISE, VOLUME, frozen=["positions"]).deviations[:, :3]))
    isotropic = uncertainty(atoms, NOISE, VOLUME, isotropic=True).covariances
    np.testing.assert_allclose(isotropic[:, 3, 3], isotropic[:, 3, 4])


def test_intensity_only_scales_amplitudes(rng: np.random.Generator) -> None:
    atoms = some_atoms(rng)
    bright = FittedAtoms(atoms.positions, 1e6 * atoms.amplitudes, atoms.u_iso, atoms.matrices)
    a, b = uncertainty(atoms, NOISE, VOLUME), uncertainty(bright, 1e6 * NOISE, VOLUME)
    np.testing.assert_allclose(a.deviations[:, :9], b.deviations[:, :9])
    np.testing.assert_allclose(1e6 * a.deviations[:, 9], b.deviations[:, 9])


@pytest.mark.parametrize(("u", "noise"), [(0.2, 0.05), (0.45, 0.03)])
def test_errors_are_as_large_as_they_are_said_to_be(u: float, noise: float) -> None:
    case = simulate(size=201, u_core=u, u_surface=1.3 * u, noise=noise, rotate="random", seed=5)
    detection = detect(case.map, PT)
    fit = fit_jointly(case.map, detection.positions, detection.mean_atom, PT)
    fitted = fit.fitted
    pairs = match(fitted.positions, case.positions)
    assert pairs.missing == pairs.false == 0
    principal = principal_displacements(fitted.matrices)
    neighbours = find_neighbours(fitted.positions)
    isotropy = isotropies(fit.alone, neighbours.coordination_numbers.astype(float))
    esd = propagate(fitted, principal, neighbours, fit.uncertainty, isotropy)
    truth = np.trace(case.matrices, axis1=1, axis2=2) / 3
    for error, deviation in (
        (fitted.positions[pairs.found] - case.positions[pairs.known], esd.positions[pairs.found]),
        (fitted.u_iso[pairs.found] - truth[pairs.known], esd.u_iso[pairs.found]),
        (fitted.amplitudes[pairs.found] - case.amplitudes[pairs.known], esd.amplitudes[pairs.found]),
    ):
        z = (error / deviation).ravel()
        # The standard deviation of n numbers is known to 1 / √(2n).
        assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * len(z)))
        assert abs(z.mean()) < 0.35


def test_an_unknown_background_widens_amplitudes() -> None:
    case = simulate(size=43, noise=0.03, u_core=0.4, u_surface=0.4)
    detection = detect(case.map, PT)
    fit = fit_jointly(case.map, detection.positions, detection.mean_atom, PT)
    problem = pose(case.map, detection.positions, detection.mean_atom, PT)
    volume = float(np.prod(case.map.grid.spacing))
    without = uncertainty(fit.fitted, fit.noise, volume).deviations
    border = problem.border(fit.background.fields(problem.region.grid))
    together = uncertainty(fit.fitted, fit.noise, volume, border=border).deviations
    assert np.all(together >= without)
    assert together[:, 9].mean() > 1.001 * without[:, 9].mean()
