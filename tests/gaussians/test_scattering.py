"""Atoms that are sums of Gaussians: terms, overlaps, fits of planted truth, and what a width is made of."""

import gemmi
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.detection.detect import detect
from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.fitting.limits import LIMITS
from atomfit.fitting.pose import pose
from atomfit.fitting.resolution import resolve, voxel_variances
from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.gaussians.scatterers import FormFactors, OneGaussian
from atomfit.gaussians.uncertainty import Uncertainty
from atomfit.options.build import BuildOptions
from atomfit.rendering import Gaussians, render_map, render_reference
from atomfit.simulation.particles import particle
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.scattering import GaussianMixture, form_factor, reduced
from atomfit.support.errors import InputError

PT = element("Pt")
RESOLUTION, SPACING = 0.1, 0.36


def alloy(
    rng: np.random.Generator, symbols: tuple[str, ...] = ("Pt", "Fe")
) -> tuple[DensityMap, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """19 atoms of Pt and Fe with the tables' form factors: map, positions, U, amplitudes, numbers."""
    sites = particle("octahedron", "Pt", 3)
    n = len(sites)
    kinds = [gemmi.Element(symbol).atomic_number for symbol in symbols]
    numbers = np.where(rng.random(n) < 0.5, kinds[0], kinds[-1])
    grid = Grid((44, 44, 44), np.full(3, SPACING), np.full(3, -21.5 * SPACING))
    positions = sites + rng.normal(0, 0.05, sites.shape)
    root = 0.05 * rng.normal(size=(n, 3, 3))
    matrices = root @ np.swapaxes(root, 1, 2) + rng.uniform(0.02, 0.05, n)[:, None, None] * np.eye(3)
    amplitudes = np.array([sum(gemmi.Element(int(z)).c4322.a) for z in numbers]) / 10
    atoms = FormFactors.of(numbers, 0.1, accuracy=0.0)
    drawn = atoms.gaussians(positions, matrices + RESOLUTION * np.eye(3), amplitudes)
    return DensityMap(render_map(drawn, grid, 6.0), grid), positions, matrices, amplitudes, numbers


def trace(matrices: np.ndarray) -> np.ndarray:
    return np.trace(matrices, axis1=1, axis2=2) / 3


def about(positions: np.ndarray, density: DensityMap) -> MeanAtom:
    """A typical atom as detection would have it."""
    height = float(np.median(density.at(density.grid.nearest_voxels(positions))))
    return MeanAtom(height, 0.2, 0.0, 0.2 * np.eye(3), len(positions))


@pytest.mark.parametrize("symbol", ["Pt", "Fe", "C", "Rb"])
@pytest.mark.parametrize("blur", [0.1, 0.2])
def test_fewer_terms_look_like_the_table(symbol: str, blur: float) -> None:
    table = form_factor(symbol, 0.0)
    few = reduced(table, blur, 2e-3)
    assert len(few.weights) < len(table.weights)
    assert few.weights.sum() == pytest.approx(1)
    r = np.linspace(0, 4, 301)
    for factor in (1.0, 2.0):
        theirs, ours = (
            GaussianMixture(m.weights, m.variances + factor * blur).profile(r) for m in (table, few)
        )
        assert np.abs(ours - theirs).max() <= 2e-3 * theirs[0]
    assert reduced(table, blur, 0.0) is table


def test_an_untabulated_element_is_refused() -> None:
    with pytest.raises(InputError, match="form factor of Es"):
        FormFactors.of(np.array([99]), 0.1)


def test_overlap_of_two_elements_is_the_double_sum(rng: np.random.Generator) -> None:
    """Against a plain loop over the tables' 25 pairs of terms, in numpy and traced."""
    numbers, n = np.array([78, 26, 78]), 3
    apart, roots = rng.normal(size=(n, n, 3)), 0.3 * rng.normal(size=(n, n, 3, 3))
    variances = roots @ np.swapaxes(roots, -1, -2) + 0.3 * np.eye(3)
    expected = np.zeros((n, n, 35))
    for i, j in np.ndindex(n, n):
        one, other = (form_factor(gemmi.Element(int(numbers[k])).name, 0.0) for k in (i, j))
        for a, u in zip(one.weights, one.variances, strict=True):
            for b, v in zip(other.weights, other.variances, strict=True):
                widened = variances[i, j] + (u + v) * np.eye(3)
                expected[i, j] += a * b * derivatives_of_gaussian(apart[i, j], widened)
    mine, theirs = np.arange(n)[:, None], np.tile(np.arange(n), (n, 1))
    exact = FormFactors.of(numbers, 0.15, accuracy=0.0)
    ours = exact.overlap(derivatives_of_gaussian, apart, variances, mine, theirs)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)
    few = FormFactors.of(numbers, 0.15)
    assert few.pair_weights.shape[-1] < 5
    places = (jnp.asarray(x, jnp.float32) for x in (apart, variances))
    traced = few.overlap(derivatives_of_gaussian, *places, mine, theirs)
    scale = np.abs(expected).max(axis=(0, 1))
    assert np.all(np.abs(traced - expected) < 5e-3 * scale)


def test_atoms_reach_as_far_as_they_are_said_to(rng: np.random.Generator) -> None:
    variances = rng.uniform(0.05, 0.4, (2, 3))
    np.testing.assert_allclose(OneGaussian().widths(variances) ** 2, variances)
    numbers = np.array([78, 26])
    widths = FormFactors.of(numbers, 0.1, accuracy=0.0).widths(variances)
    for number, row, found in zip(numbers, variances, widths, strict=True):
        table = form_factor(gemmi.Element(int(number)).name, 0.0)
        for variance, width in zip(row, found, strict=True):
            profile = GaussianMixture(table.weights, table.variances + variance).profile(
                np.array([0.0, 4 * width])
            )
            assert profile[1] / profile[0] == pytest.approx(np.exp(-8), rel=1e-3)


@pytest.mark.slow
def test_an_alloy_is_recovered(rng: np.random.Generator) -> None:
    density, positions, matrices, amplitudes, numbers = alloy(rng)
    start = positions + rng.normal(0, 0.05, positions.shape)
    mean_atom, u_mean = about(positions, density), float(trace(matrices).mean())

    def fit(**options: object) -> JointFit:
        return fit_jointly(density, start, mean_atom, PT, **options)  # type: ignore[arg-type]

    known = fit(numbers=numbers, scattering="form-factor", u_mean=u_mean)
    found = known.fitted
    assert np.asarray(known.atoms.numbers).tolist() == numbers.tolist()
    assert np.sqrt(np.mean((found.positions - positions) ** 2)) < 1e-3
    np.testing.assert_allclose(found.matrices, matrices, atol=2e-3)
    np.testing.assert_allclose(found.amplitudes, amplitudes, rtol=0.01)
    assert known.resolution is not None
    assert known.resolution.s == pytest.approx(RESOLUTION, abs=1e-3)
    assert found.u_iso.mean() == pytest.approx(u_mean)
    # The heights that are told are those of the map, in which atoms are sums of terms.
    alone = [
        render_reference(known.scattering[i : i + 1].gaussians(x[None], v[None], a[None]), one)[0, 0, 0]
        for i, (x, v, a) in enumerate(zip(found.positions, found.shapes, found.amplitudes, strict=True))
        for one in [Grid((1, 1, 1), np.ones(3), x)]
    ]
    np.testing.assert_allclose(found.peak_heights, alone, rtol=1e-5)
    assert np.abs(known.density(density.grid) - density.values).max() < 0.01 * density.values.max()

    paper = fit(numbers=numbers)
    assert paper.resolution is None
    # One Gaussian holds the atom's own width, and an alloy's elements seem to be displaced differently.
    difference = (paper.fitted.u_iso - trace(matrices)) - RESOLUTION
    assert difference[numbers == 26].mean() > difference[numbers == 78].mean() + 0.01 > 0.04

    frozen = fit(numbers=numbers, scattering="form-factor", frozen=("resolution",))
    np.testing.assert_allclose(frozen.fitted.u_iso, found.u_iso + known.resolution.s, atol=1e-5)


def test_isotropic_atoms_with_form_factors(rng: np.random.Generator) -> None:
    density, positions, matrices, _, numbers = alloy(rng)
    fit = fit_jointly(
        density,
        positions,
        about(positions, density),
        PT,
        numbers=numbers,
        displacements="isotropic",
        scattering="form-factor",
        u_mean=float(trace(matrices).mean()),
    )
    assert np.all(np.isnan(fit.fitted.matrices))
    np.testing.assert_allclose(fit.fitted.u_iso, trace(matrices), atol=4e-3)


def test_scattering_of_ones_own_is_what_is_fitted(rng: np.random.Generator) -> None:
    """Atoms that scatter as iron, in a fit of platinum that is given that: not the tables' platinum."""
    density, positions, matrices, _, _ = alloy(rng, ("Fe",))
    own = FormFactors.of(np.full(len(positions), 26), 0.1)
    fit = fit_jointly(density, positions, about(positions, density), PT, scattering=own)
    np.testing.assert_allclose(fit.scattering.weights, own.weights, rtol=1e-6)
    assert len(fit.scattering.kinds) == len(positions)
    # Up to what is common to all atoms.
    difference = trace(np.asarray(fit.atoms.matrices())) - trace(matrices)
    np.testing.assert_allclose(difference, RESOLUTION, atol=0.01)


def test_scattering_of_other_atoms_or_too_wide_is_refused(rng: np.random.Generator) -> None:
    density, positions, *_ = alloy(rng)
    mean = about(positions, density)
    with pytest.raises(InputError, match="not that of the 19 atoms"):
        pose(density, positions, mean, PT, scattering=FormFactors.of(np.full(3, 78), 0.1))
    narrow = MeanAtom(1.0, 0.002, 0.0, 0.002 * np.eye(3), 19)
    with pytest.raises(InputError, match="no wider than the scattering"):
        pose(density, positions, narrow, PT, scattering=FormFactors.of(np.full(19, 78), 0.1))


def test_atoms_too_narrow_for_their_form_factor_are_refused(rng: np.random.Generator) -> None:
    density, positions, *_ = alloy(rng)
    narrow = MeanAtom(1.0, 0.002, 0.0, 0.002 * np.eye(3), 19)
    with pytest.raises(InputError, match="--scattering"):
        pose(density, positions, narrow, PT, scattering="form-factor")


def test_resolution_and_its_uncertainty(rng: np.random.Generator) -> None:
    """Noise of known covariance on planted matrices: the mean is found within its uncertainty."""
    n, noise, rounds = 50, 0.01, 200
    u = rng.uniform(0.02, 0.06, n)
    truth = (u + 0.1)[:, None, None] * np.eye(3)
    covariances = np.zeros((n, 10, 10))
    covariances[:, 3:9, 3:9] = noise**2 * np.diag([1.0, 1, 1, 0.5, 0.5, 0.5])
    known = Uncertainty(covariances, np.zeros((n, 1), int), np.zeros((n, 1, 3, 3)), np.zeros((n, 10)))
    everyone = np.ones(n, bool)
    found = []
    for _ in range(rounds):
        error = noise * rng.normal(size=(n, 6)) * np.sqrt([1, 1, 1, 0.5, 0.5, 0.5])
        shapes = truth + error[:, [[0, 3, 4], [3, 1, 5], [4, 5, 2]]]
        result = resolve(shapes, known, everyone, float(u.mean()))
        found.append(result.s)
        rigid = resolve(shapes, known, everyone)
        # Every atom then has a displacement along every axis.
        assert np.linalg.eigvalsh(shapes - rigid.s * np.eye(3)).min() == pytest.approx(LIMITS.rigid)
        assert rigid.esd == pytest.approx(noise, rel=1e-6)
    assert np.mean(found) == pytest.approx(0.1, abs=3 * result.esd / np.sqrt(rounds))
    assert np.std(found) == pytest.approx(result.esd, rel=0.2)
    # Atoms that are not sound do not count; a resolution is not negative.
    shapes[0] = 1e-3 * np.eye(3)
    assert resolve(shapes, known, np.arange(n) > 0).s > 0.05
    assert resolve(shapes, known, everyone, 1.0).s == 0


@settings(max_examples=10, deadline=None)
@given(st.floats(1.0, 2.5), st.floats(-0.5, 0.5), st.booleans())
def test_integrated_voxels_widen_by_a_twelfth(width: float, shift: float, cubes: bool) -> None:
    """Against the mean over 9³ places in each voxel, for widths of a voxel's longest edge or more."""
    spacing = np.full(3, 0.36) if cubes else np.array([0.3, 0.36, 0.33])
    grid, fine = Grid((12, 12, 12), spacing, np.zeros(3)), 9
    centre = grid.centre + shift * spacing
    variance = (width * 0.36) ** 2 * np.eye(3)

    def drawn(matrix: np.ndarray, on: Grid) -> np.ndarray:
        return render_reference(Gaussians(centre[None], matrix[None], np.ones(1)), on)

    finer = Grid((12 * fine,) * 3, spacing / fine, -0.5 * spacing + 0.5 * spacing / fine)
    slow = drawn(variance, finer).reshape(12, fine, 12, fine, 12, fine).mean(axis=(1, 3, 5))
    quick = drawn(variance + voxel_variances(spacing), grid)
    # The fourth cumulant of the boxes, and a little for the places of the slow mean.
    bound = 3 * 0.36**4 / 120 / (8 * variance[0, 0] ** 2) + 5e-4
    assert np.abs(quick - slow).max() < bound * slow.max()
    assert np.abs(drawn(variance, grid) - slow).max() > 3 * np.abs(quick - slow).max()


@pytest.mark.slow
def test_a_fit_of_integrated_voxels_has_no_bias() -> None:
    u, fine = 0.16, 5
    grid = Grid((32, 32, 32), np.full(3, 0.36), np.zeros(3))
    centres = grid.centre + np.array([[-1.3, 0.1, 0.0], [1.4, 0.0, 0.2]])
    finer = Grid((32 * fine,) * 3, grid.spacing / fine, -0.5 * grid.spacing + 0.5 * grid.spacing / fine)
    atoms = Gaussians(centres, np.tile(u * np.eye(3), (2, 1, 1)), np.full(2, (2 * np.pi * u) ** 1.5))
    values = render_map(atoms, finer, 6.0).reshape(32, fine, 32, fine, 32, fine).mean(axis=(1, 3, 5))
    density = DensityMap(values, grid)
    mean_atom = MeanAtom(1.0, 0.18, 0.0, 0.18 * np.eye(3), 2)
    # The slow mean over 5³ places is itself narrower than the box by a 25th.
    box = float(voxel_variances(grid.spacing)[0, 0]) * (1 - 1 / fine**2)
    point, integrated = (
        fit_jointly(density, centres, mean_atom, PT, voxels=voxels).fitted  # type: ignore[arg-type]
        for voxels in ("point", "integrated")
    )
    np.testing.assert_allclose(point.u_iso, u + box, rtol=5e-3)
    np.testing.assert_allclose(integrated.u_iso, u, rtol=1e-2)
    assert np.all(detect(density, PT).positions.shape == centres.shape)


@pytest.mark.parametrize(
    ("options", "what"),
    [({"u_mean": 0.01}, "own width"), ({"u_mean": -1.0, "scattering": "form-factor"}, "no mean")],
)
def test_a_mean_displacement_needs_form_factors(options: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=what):
        BuildOptions(**options)  # type: ignore[arg-type]
