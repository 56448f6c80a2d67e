"""Poisson and robust fits: against least squares, against planted truth, with honest errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import poisson

from atomfit.detection.detect import detect
from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.overlaps import derivatives_of_gaussian, natural_blocks
from atomfit.gaussians.pointwise import information_blocks, information_border
from atomfit.noise.likelihood import AbstractLoss, PoissonLoss, StudentLoss
from atomfit.noise.sources import measure_noise
from atomfit.simulation import Simulation, simulate
from atomfit.structure.atoms import elements_of_matrices
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid

PT = element("Pt")


@pytest.fixture(scope="module")
def clean() -> tuple[Simulation, MeanAtom]:
    """60 Pt atoms without noise, and what they look like."""
    case = simulate(size=60, noise=0.0, rotate="random", seed=3)
    return case, detect(case.map, PT).mean_atom


def fitted(density: DensityMap, case: Simulation, mean_atom: MeanAtom, **options: object) -> JointFit:
    """From starts 0.17 Å away."""
    start = case.positions + np.random.default_rng(9).normal(0, 0.1, case.positions.shape)
    return fit_jointly(density, start, mean_atom, PT, **options)  # type: ignore[arg-type]


def rmsd(fit: JointFit, case: Simulation) -> float:
    return float(np.sqrt(np.mean((fit.fitted.positions - case.positions) ** 2)))


def scores(fit: JointFit, case: Simulation, unit: float = 1.0) -> list[np.ndarray]:
    """Errors of positions, diagonals of U, and amplitudes, by their standard uncertainties."""
    esd = fit.uncertainty.deviations
    diagonal = np.arange(3)
    return [
        (fit.fitted.positions - case.positions) / esd[:, :3],
        (fit.fitted.matrices - case.matrices)[:, diagonal, diagonal] / esd[:, 3:6],
        (fit.fitted.amplitudes / unit - case.amplitudes) / (esd[:, 9] / unit),
    ]


@pytest.mark.slow
def test_counts_are_fitted_to_their_own_bound(clean: tuple[Simulation, MeanAtom]) -> None:
    """50 counts at a peak, one in the background; least squares trusts the peaks too little."""
    case, mean_atom = clean
    peak, level, unit = 50.0, 1.0, 2.5
    expected = peak * np.maximum(case.map.values.astype(float), 0) + level
    counts = unit * np.random.default_rng(4).poisson(expected)
    density = case.map.with_values(counts.astype(np.float32))
    mean = replace(mean_atom, height=mean_atom.height * peak * unit, background=level * unit)
    fit = fitted(density, case, mean, likelihood=PoissonLoss(unit))
    assert fit.reason == "converged"
    assert len(fit.history) < 15
    assert rmsd(fit, case) < 0.9 * rmsd(fitted(density, case, mean), case)
    for z in scores(fit, case, peak * unit):
        assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * z.size))
        assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert fit.chi_square == pytest.approx(1, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "trouble",
    ["none", "voxels", "blobs"],
)
def test_outliers_do_not_rule_a_robust_fit(clean: tuple[Simulation, MeanAtom], trouble: str) -> None:
    """One voxel in a hundred is wrong by an atom's peak; or blobs sit between the atoms."""
    case, mean_atom = clean
    rng = np.random.default_rng(1)
    values = case.map.values + rng.normal(0, 0.03, case.map.values.shape)
    if trouble == "voxels":
        values += np.where(rng.random(values.shape) < 0.01, rng.normal(0, 1, values.shape), 0)
    if trouble == "blobs":
        grid = case.map.grid
        places = grid.positions_of(np.stack(np.indices(values.shape), axis=-1))
        for atom in case.positions[::6]:
            values += 1.5 * np.exp(-np.sum((places - atom - [1.2, 0.5, 0.2]) ** 2, axis=-1) / (2 * 0.25**2))
    density = case.map.with_values(values.astype(np.float32))
    noise = measure_noise(density, case.positions, mean_atom.u)
    robust = fitted(density, case, mean_atom, noise=noise, likelihood=StudentLoss())
    plain = fitted(density, case, mean_atom)
    better = {"none": 1.1, "voxels": 0.4, "blobs": 0.6}[trouble]
    assert rmsd(robust, case) < better * rmsd(plain, case)
    assert len(robust.history) < 60
    if trouble != "blobs":
        for z in scores(robust, case):
            assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * z.size))
    if trouble == "none":
        assert robust.chi_square == pytest.approx(1, abs=0.05)
    if trouble == "blobs":
        # What the model leaves in the particle is told by the noise around it.
        assert robust.chi_square > 1.2


@pytest.mark.parametrize("kind", ["poisson", "robust"])
def test_a_prior_weighs_what_it_should(clean: tuple[Simulation, MeanAtom], kind: str) -> None:
    """Counts of any gain, or t noise in any unit: what is known beforehand is no more and no less."""
    case, mean_atom = clean
    rng, unit = np.random.default_rng(7), 40.0
    if kind == "poisson":
        height = 50 * unit
        values = unit * rng.poisson(50 * np.maximum(case.map.values.astype(float), 0) + 1)
        loss: AbstractLoss = PoissonLoss()
    else:
        height = unit
        values = unit * (case.map.values + 0.05 * rng.standard_t(4, case.map.values.shape))
        loss = StudentLoss()
    mean = replace(mean_atom, height=mean_atom.height * height)
    density = case.map.with_values(values.astype(np.float32))
    alone, drawn = (
        fit_jointly(density, case.positions, mean, PT, likelihood=loss, prior=prior)  # type: ignore[arg-type]
        for prior in ("none", "empirical")
    )
    errors = [elements_of_matrices(fit.fitted.matrices - case.matrices) for fit in (alone, drawn)]
    of_alone, of_drawn = (float(np.sqrt(np.mean(x**2))) for x in errors)
    assert of_drawn < 0.7 * of_alone
    # The spread of 60 atoms is itself known to a third.
    assert 0.6 < np.sqrt(np.mean((errors[1] / drawn.uncertainty.deviations[:, 3:9]) ** 2)) < 1.3
    assert rmsd(drawn, case) < 1.02 * rmsd(alone, case)


def test_dispersion_makes_losses_logarithms_of_probabilities(rng: np.random.Generator) -> None:
    """Of counts, and of normal noise: second differences of the losses are those of the logarithms."""
    unit, gain = 20.0, 2.5
    means = rng.uniform(2, 40, 20_000)
    values = rng.poisson(means)
    scaled = (means * gain / unit, values * gain / unit)
    ours = np.asarray(PoissonLoss().value(*(jnp.asarray(x) for x in scaled)))
    exact = poisson.logpmf(values, values) - poisson.logpmf(values, means)
    for loss in (PoissonLoss(gain), PoissonLoss()):
        dispersion = loss.dispersion(*scaled, 0, unit)
        assert dispersion == pytest.approx(gain / unit, rel=0.03)
        np.testing.assert_allclose(np.sum(ours) / dispersion, np.sum(exact), rtol=0.03)
    values = 0.1 * rng.normal(size=20_000)
    wide = StudentLoss(np.asarray(10.0, np.float32))
    assert wide.dispersion(np.zeros(20_000), values, 0, unit) == pytest.approx(0.1**2, rel=0.03)
    assert wide.dispersion(np.zeros(20_000), values, 10_000, unit) == pytest.approx(2 * 0.1**2, rel=0.03)


def test_poisson_is_the_logarithm_of_its_probability() -> None:
    counts, means = np.arange(0, 30.0, 3.0), np.array([0.2, 5.0, 40.0])[:, None]
    ours = np.asarray(PoissonLoss().value(jnp.asarray(means), jnp.asarray(counts)))
    exact = -poisson.logpmf(counts, means)
    np.testing.assert_allclose(np.diff(ours, axis=0), np.diff(exact, axis=0), rtol=1e-4)


def test_a_gain_is_estimated_where_it_is_not_known(rng: np.random.Generator) -> None:
    """Down to one count in ten voxels; densities are in units of 20, the typical peak."""
    expected = rng.uniform(0.1, 20, 20_000)
    values = 2.5 * rng.poisson(expected)
    scaled = (expected * 2.5 / 20, values / 20, 0, 20.0)
    estimated, known = (PoissonLoss(gain).precision(*scaled) for gain in (None, 2.5))
    np.testing.assert_allclose(known, 1 / (2.5**2 * expected / 20**2))
    np.testing.assert_allclose(estimated, known, rtol=0.05)
    assert np.all(np.isnan(PoissonLoss().variances(expected, 20.0, 1.0)))


@pytest.mark.parametrize("loss", [PoissonLoss(), StudentLoss(np.asarray(0.1, np.float32))])
def test_losses_are_smooth_and_zero_where_they_agree(loss: AbstractLoss) -> None:
    """Through zero and below: the slope is (m - v) times the curvature, which is positive."""
    density = jnp.linspace(-0.5, 1.5, 4001)
    for value in (0.0, 0.01, 1.0):
        values = jnp.full_like(density, value)
        slope = jax.grad(lambda m, v=values: jnp.sum(loss.value(m, v)))(density)
        curvature = loss.curvature(density, values)
        assert float(jnp.min(curvature)) > 0
        np.testing.assert_allclose(slope, curvature * (density - values), rtol=2e-3, atol=1e-3)
        assert float(jnp.min(loss.value(density, values))) == pytest.approx(0, abs=1e-3)


def test_information_by_voxels_is_that_of_overlaps() -> None:
    """With one precision everywhere the sums are the closed form; the border is a plain sum."""
    rng = np.random.default_rng(2)
    grid = Grid((40, 42, 44), np.full(3, 0.25), np.array([1.0, -2.0, 0.5]))
    root = 0.5 * np.eye(3) + 0.05 * rng.normal(size=(2, 3, 3))
    matrices = root @ np.swapaxes(root, 1, 2)
    positions = grid.centre + np.array([[-0.7, 0.2, 0], [0.7, 0.1, 0.3]])
    u_iso = np.trace(matrices, axis1=1, axis2=2) / 3
    atoms = FittedAtoms(positions, np.array([1.0, 2.0]), u_iso, matrices)
    neighbours = np.array([[0, 1], [1, 0]])
    precision = np.full(grid.shape, 3.0)
    blocks = information_blocks(atoms, neighbours, precision, grid)
    apart = positions[:, None] - positions[neighbours]
    sums = matrices[:, None] + matrices[neighbours]
    pairs = np.broadcast_arrays(atoms.amplitudes[:, None], atoms.amplitudes[neighbours])
    expected = 3.0 * natural_blocks(derivatives_of_gaussian(apart, sums), *pairs, 3) / grid.voxel_volume
    np.testing.assert_allclose(blocks, expected, atol=2e-3 * np.abs(expected).max())
    border, corner = information_border(atoms, [np.ones(grid.shape)], precision, grid)
    np.testing.assert_allclose(border[:, 9, 0], 3.0 / grid.voxel_volume, rtol=1e-3)
    np.testing.assert_allclose(border[:, :9, 0], 0, atol=0.05 / grid.voxel_volume)
    assert corner[0, 0] == pytest.approx(3.0 * grid.size)
