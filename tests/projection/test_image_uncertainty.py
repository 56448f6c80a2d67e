"""Scores and error bars of atoms in images: against derivatives, and against what noise does."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.options.tilt import TiltDisplacements
from atomfit.projection.colour import coloured_excess
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import measure_uncertainty
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians
from atomfit.selection.image_scores import scores_of_images
from atomfit.simulation.series import projected
from atomfit.structure.grid import Grid
from atomfit.structure.scattering import GaussianMixture
from atomfit.tilt_series.refinement import refine_against

PIXEL, SHAPE = 0.4, (40, 42)
SPOT = GaussianMixture(np.array([0.7, 0.3]), np.array([0.2, 0.5]))
CENTRE = np.array([1.0, -2.0, 0.5])


def drawn(positions: np.ndarray, amplitudes: np.ndarray, views: Views) -> np.ndarray:
    """Images of atoms, each pixel written out."""
    v, u = np.indices(SHAPE)
    images = np.zeros((len(views), *SHAPE))
    for k, (rotation, centre) in enumerate(zip(views.rotations, views.centres, strict=True)):
        seen = (positions - CENTRE) @ rotation[:2].T / PIXEL + centre
        for (x, y), amplitude in zip(seen, amplitudes, strict=True):
            square = ((u - x) ** 2 + (v - y) ** 2) * PIXEL**2
            for weight, s in zip(SPOT.weights, SPOT.variances, strict=True):
                images[k] += amplitude * weight * np.exp(-square / (2 * s)) / (2 * np.pi * s)
    return images


def fitted(positions: np.ndarray, residual: np.ndarray, sigma: float, views: Views) -> FittedSeries:
    series = TiltSeries(residual.astype(np.float32), np.ones(residual.shape, bool), PIXEL, views, CENTRE)
    precisions = np.full(residual.shape, sigma**-2, np.float32)
    n = len(positions)
    return FittedSeries(
        series,
        residual.astype(np.float32),
        precisions,
        np.ones(len(views)),
        positions,
        np.full(n, 3.0),
        SPOT,
    )


@pytest.fixture(scope="module")
def views() -> Views:
    """In directions that are no tilt series."""
    middle = np.array([SHAPE[1] // 2, SHAPE[0] // 2], float)
    rotations = Rotation.random(9, random_state=3).as_matrix()
    return Views(rotations, np.tile(middle, (9, 1)))


def some_atoms(n: int = 6) -> np.ndarray:
    return CENTRE + np.random.default_rng(1).uniform(-2.5, 2.5, (n, 3))


def test_covariances_are_the_inverse_of_what_derivatives_share(views: Views) -> None:
    positions, sigma = some_atoms(), 0.3
    numbers = np.concatenate([positions, np.full((6, 1), 3.0)], axis=1)
    step, columns = 1e-4, []
    for i in range(numbers.size):
        change = np.zeros(numbers.size)
        change[i] = step
        up, down = (numbers + sign * change.reshape(numbers.shape) for sign in (1, -1))
        difference = drawn(up[:, :3], up[:, 3], views) - drawn(down[:, :3], down[:, 3], views)
        columns.append(difference.ravel() / (2 * step))
    jacobian = np.array(columns).T
    expected = np.linalg.inv(jacobian.T @ jacobian / sigma**2)
    rng = np.random.default_rng(0)
    residual = sigma * rng.normal(size=(len(views), *SHAPE))
    known = measure_uncertainty(fitted(positions, residual, sigma, views))
    assert known.whole
    assert known.excess == pytest.approx(1.0, abs=0.15)
    for i, block in enumerate(known.covariances / known.excess):
        there = slice(4 * i, 4 * i + 3)
        np.testing.assert_allclose(block, expected[there, there], rtol=0.05, atol=0.05 * block.max())
    amplitudes = np.sqrt(np.diagonal(expected)[3::4] * known.excess)
    np.testing.assert_allclose(known.amplitudes, amplitudes, rtol=0.05)
    # Without an atom, the others being fitted again, chi-square would be larger by that much.
    whole = np.linalg.inv(expected)
    for i in range(6):
        there = slice(4 * i, 4 * i + 4)
        schur = np.linalg.inv(expected[there, there])[3, 3] / known.excess
        assert known.evidence[i] == pytest.approx(9.0 * schur, rel=0.05)
    # Amplitudes that hardly scatter are one number, which the images tell; evidence is theirs alone.
    in_common = np.zeros((24, 19))
    in_common[np.arange(24) % 4 < 3, :18], in_common[3::4, 18] = np.eye(18), 1
    one = np.linalg.inv(in_common.T @ whole @ in_common) * known.excess
    numbers = np.full(6, 78)
    for relative, esd in ((1e-4, np.full(6, one[-1, -1] ** 0.5)), (1e4, known.amplitudes)):
        alike = measure_uncertainty(
            fitted(positions, residual, sigma, views), numbers=numbers, known_amplitudes=relative
        )
        np.testing.assert_allclose(alike.amplitudes, esd, rtol=0.05)
        np.testing.assert_array_equal(alike.evidence, known.evidence)
    lone = measure_uncertainty(fitted(positions[:1], residual, sigma, views))
    about_itself = measure_uncertainty(
        fitted(positions[:1], residual, sigma, views), numbers=numbers[:1], known_amplitudes=1e-4
    )
    np.testing.assert_allclose(about_itself.amplitudes, lone.amplitudes, rtol=1e-6)
    shared = measure_uncertainty(fitted(positions, residual, sigma, views), own_amplitudes=False)
    places = np.arange(24).reshape(6, 4)[:, :3].ravel()
    known_amplitudes = np.linalg.inv(whole[np.ix_(places, places)])
    for i, block in enumerate(shared.covariances / shared.excess):
        there = slice(3 * i, 3 * i + 3)
        np.testing.assert_allclose(
            block, known_amplitudes[there, there], rtol=0.05, atol=0.05 * block.max()
        )
        # Then the others' amplitudes do not give way to it, but all places do.
        crossed = whole[places, 4 * i + 3]
        left = whole[4 * i + 3, 4 * i + 3] - crossed @ known_amplitudes @ crossed
        assert shared.evidence[i] * shared.excess == pytest.approx(9.0 * left, rel=0.05)


def test_what_a_fit_absorbs_is_no_colour(views: Views) -> None:
    """White noise less what a fit of places and amplitudes takes of it looks blue, and is white."""
    rng = np.random.default_rng(2)
    positions = CENTRE + rng.uniform(-5, 5, (40, 3))
    columns = []
    for atom in range(40):
        for axis in range(4):
            ends = []
            for sign in (-1, 1):
                place, amplitude = positions[atom : atom + 1].copy(), np.ones(1)
                if axis < 3:
                    place[0, axis] += sign * 1e-3
                else:
                    amplitude += sign * 0.5
                ends.append(drawn(place, amplitude, views).ravel())
            columns.append(ends[1] - ends[0])
    fitted_space = np.linalg.qr(np.array(columns).T)[0]
    excesses = []
    for _ in range(4):
        noise = rng.normal(size=(len(views), *SHAPE))
        left = noise.ravel() - fitted_space @ (fitted_space.T @ noise.ravel())
        left = left.reshape(noise.shape)
        raw = coloured_excess(left, PIXEL, SPOT)
        corrected = coloured_excess(left, PIXEL, SPOT, (3 * 40 / 9, 40 / 9))
        excesses.append((raw, corrected))
        assert measure_uncertainty(fitted(positions, left, 1.0, views)).excess >= 1
    raw, corrected = np.mean(excesses, axis=0)
    assert raw < 0.98
    assert corrected == pytest.approx(1, abs=0.02)


def test_what_was_known_before_counts(views: Views) -> None:
    positions = some_atoms()
    residual = np.random.default_rng(0).normal(size=(len(views), *SHAPE))
    before = measure_uncertainty(fitted(positions, residual, 50.0, views), known=np.full((6, 3), 0.02))
    np.testing.assert_allclose(before.positions, 0.02, rtol=0.02)


def test_scores_of_noise_are_standard_normal_and_a_missing_atom_stands_out(views: Views) -> None:
    sigma = 0.5
    positions, squares = some_atoms(4), []
    for seed in range(6):
        noise = sigma * np.random.default_rng(seed).normal(size=(len(views), *SHAPE))
        empty = scores_of_images(fitted(positions, noise, sigma, views), 2.0)
        squares.append(float(np.mean(empty.field.values**2)) * empty.scatter**2)
        assert empty.scatter < 1.3
    assert np.mean(squares) == pytest.approx(1.0, abs=0.12)
    place = CENTRE + np.array([[0.4, -0.8, 1.1]])
    lacking = noise + drawn(place, np.array([3.0]), views)
    found = scores_of_images(fitted(positions, lacking, sigma, views), 2.0)
    brightest = np.unravel_index(found.field.values.argmax(), found.field.values.shape)
    assert np.linalg.norm(found.field.grid.positions_of(np.array(brightest)) - place[0]) < 0.4
    # The matched filter's: the root of the sum of squares of what is missing.
    expected = float(np.sqrt(np.sum(drawn(place, np.array([3.0]), views) ** 2))) / sigma
    # A little less: what is missing colours the residual, by which scores are weighed.
    assert 0.75 * expected < float(found.field.values.max()) * found.scatter < 1.05 * expected + 1.5
    np.testing.assert_allclose(empty.whole * empty.scatter, expected, rtol=0.1)


def test_noise_of_neighbouring_pixels_together_counts_for_more() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    white = rng.normal(size=(30, *SHAPE)).astype(np.float32)
    assert coloured_excess(white, PIXEL, SPOT) == pytest.approx(1.0, abs=0.1)
    smooth = np.stack([gaussian_filter(image, 1.0) for image in white])
    wide = GaussianMixture(np.ones(1), np.full(1, 1e4))
    assert coloured_excess(white, PIXEL, wide, (0.1, 0.1)) == 1.0
    spectrum = coloured_excess(smooth / smooth.std(), PIXEL, SPOT)
    assert spectrum > 2.0


@pytest.mark.slow
def test_error_bars_are_what_noise_does() -> None:
    """Twenty series of one particle: errors over their bars have a mean square of one."""
    positions = np.concatenate([some_atoms(5), some_atoms(5) + [0.0, 0.0, 6.0]])
    directions = Views.from_tilts(np.linspace(-70, 70, 12), "y", SHAPE)
    clean = drawn(positions, np.full(10, 3.0), directions)
    sigma, squares = 0.1 * clean.max(), []
    for seed in range(20):
        images = clean + sigma * np.random.default_rng(seed).normal(size=clean.shape)
        series = TiltSeries(
            images.astype(np.float32), np.ones(images.shape, bool), PIXEL, directions, CENTRE
        )
        fit = refine_against(series, positions, np.full(10, 78), 2.77, anneal=False)
        known = measure_uncertainty(FittedSeries.of(series, fit), own_amplitudes=False)
        squares.append(((fit.positions - positions) / known.positions) ** 2)
    assert float(np.mean(squares)) == pytest.approx(1.0, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
def test_error_bars_of_own_displacements_are_what_noise_does(kind: TiltDisplacements) -> None:
    """Twenty series of atoms that differ in width: positions and displacements."""
    rng = np.random.default_rng(1)
    positions = np.concatenate([some_atoms(5), some_atoms(5) + [0.0, 0.0, 6.0]])
    u = rng.uniform(0.15, 0.3, 10)[:, None, None] * np.eye(3)
    directions = Views.from_tilts(np.linspace(-80, 80, 24), "y", SHAPE)
    atoms = Gaussians(positions, u, np.full(10, 3.0))
    clean = np.stack(list(projected(atoms, directions, CENTRE, SHAPE, PIXEL)))
    sigma, squares = 0.05 * clean.max(), []
    for seed in range(20):
        images = (clean + sigma * np.random.default_rng(seed).normal(size=clean.shape)).astype(np.float32)
        series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, directions, CENTRE)
        fit = refine_against(
            series, positions, np.full(10, 78), 2.77, anneal=False, displacements=kind, amplitudes="element"
        )
        seen = FittedSeries.of(series, fit)
        known = measure_uncertainty(seen, own_amplitudes=False, displacements=kind)
        off = np.trace(np.asarray(fit.atoms.matrices()) - u, axis1=1, axis2=2) / 3
        of_places = (fit.positions - positions) / known.positions
        squares.append([of_places**2, (off / known.u_iso)[:, None] ** 2])
    of_positions, of_widths = (float(np.mean([one[k] for one in squares])) for k in (0, 1))
    assert of_positions == pytest.approx(1.0, abs=0.2)
    assert of_widths == pytest.approx(1.0, abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [("shifts",), ("turns", "shifts", "gains")])
def test_error_bars_with_views_refined_are_what_noise_does(parts: tuple[str, ...]) -> None:
    """Twenty series without drift: atoms and views, beside what all do together."""
    positions = np.concatenate([some_atoms(6), some_atoms(6) + [0.0, 0.0, 6.0]])
    directions = Views.from_tilts(np.linspace(-80, 80, 16), "y", SHAPE)
    clean = drawn(positions, np.full(12, 3.0), directions)
    sigma, squares = 0.05 * clean.max(), []
    for seed in range(20):
        images = (clean + sigma * np.random.default_rng(seed).normal(size=clean.shape)).astype(np.float32)
        series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, directions, CENTRE)
        free = ("backgrounds", *parts)
        fit = refine_against(series, positions, np.full(12, 78), 2.77, anneal=False, free_views=free)
        known = measure_uncertainty(FittedSeries.of(series, fit), own_amplitudes=False, parts=free)
        of_atoms = (fit.positions - positions) / known.positions
        of_shifts = np.asarray(fit.views.shifts) / known.views["shifts"]
        squares.append([float(np.mean(z**2)) for z in (of_atoms, of_shifts)])
    np.testing.assert_allclose(np.mean(squares, axis=0), 1.0, atol=0.25)


def test_flanks_tell_where_an_atom_is_if_counts_are_few(views: Views) -> None:
    """Against derivatives: pixels weigh by counts, which are many in the middle and few beside it."""
    place, h = CENTRE[None] + 0.3, 1e-3
    image = drawn(place, np.array([3.0]), views)
    seen = fitted(place, np.zeros(image.shape), 1.0, views)
    seen = replace(seen, precisions=(1 / (image + 0.02 * image.max())).astype(np.float32))
    slopes = [
        (drawn(place + step, np.array([3.0]), views) - drawn(place - step, np.array([3.0]), views))
        / (2 * h)
        for step in h * np.eye(3)
    ]
    told = np.einsum("avrc,bvrc,vrc->ab", slopes, slopes, seen.precisions)
    expected = np.sqrt(np.diag(np.linalg.inv(told)))
    np.testing.assert_allclose(measure_uncertainty(seen).positions[0], expected, rtol=0.05)


def test_maps_reach_beyond_the_atoms(views: Views) -> None:
    positions = some_atoms(3)
    residual = np.zeros((len(views), *SHAPE))
    grid: Grid = scores_of_images(fitted(positions, residual, 1.0, views), 2.0).field.grid
    assert np.all(grid.origin <= positions.min(axis=0) - 1.99)


def test_of_many_atoms_each_is_alone(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a thousand, as if its neighbours were known: never less certain than with them free."""
    positions = some_atoms()
    residual = np.random.default_rng(0).normal(size=(len(views), *SHAPE))
    together = measure_uncertainty(fitted(positions, residual, 0.3, views))
    monkeypatch.setattr("atomfit.projection.information._WHOLE", 2)
    alone = measure_uncertainty(fitted(positions, residual, 0.3, views))
    assert together.whole
    assert not alone.whole
    assert np.all(alone.positions <= together.positions * (1 + 1e-6))
    one = measure_uncertainty(fitted(positions[:1], residual, 0.3, views))
    np.testing.assert_allclose(alone.positions[0], one.positions[0], rtol=5e-3)


@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
def test_atoms_of_their_own_shape_against_derivatives(views: Views, kind: TiltDisplacements) -> None:
    """All numbers of atoms that overlap and differ in shape, by differences of images, pixel by pixel."""
    rng = np.random.default_rng(4)
    positions, n = some_atoms(4), 4
    amplitudes, sigma, h = rng.uniform(2, 4, n), 0.4, 1e-3
    wider = rng.normal(0, 0.02, (n, 3, 3))
    wider = 0.5 * (wider + np.swapaxes(wider, 1, 2)) + rng.uniform(0, 0.15, n)[:, None, None] * np.eye(3)
    if kind == "isotropic":
        wider = np.trace(wider, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)

    def images(positions: np.ndarray, wider: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
        total = np.zeros((len(views), *SHAPE))
        for weight, variance in zip(SPOT.weights, SPOT.variances, strict=True):
            shapes = wider + variance * np.eye(3)
            atoms = Gaussians(positions, shapes, weight * amplitudes)
            total += np.stack(list(projected(atoms, views, CENTRE, SHAPE, PIXEL)))
        return total

    def slope(number: int, atom: int) -> np.ndarray:
        given = []
        for step in (h, -h):
            x, w, a = positions.copy(), wider.copy(), amplitudes.copy()
            if number < 3:
                x[atom, number] += step
            elif number == q - 1:
                a[atom] += step
            elif kind == "isotropic":
                w[atom] += step * np.eye(3)
            else:
                i, j = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))[number - 3]
                w[atom, i, j] += step
                if i != j:
                    w[atom, j, i] += step
            given.append(images(x, w, a))
        return ((given[0] - given[1]) / (2 * h)).ravel()

    q = 5 if kind == "isotropic" else 10
    derivatives = np.stack([slope(number, atom) for atom in range(n) for number in range(q)])
    expected = np.linalg.inv(derivatives @ derivatives.T / sigma**2).reshape(n, q, n, q)
    residual = sigma * rng.normal(size=(len(views), *SHAPE))
    seen = replace(fitted(positions, residual, sigma, views), amplitudes=amplitudes, wider=wider)
    known = measure_uncertainty(seen, displacements=kind)
    for atom in range(n):
        of_atom = expected[atom, :, atom] * known.excess
        np.testing.assert_allclose(known.positions[atom], np.sqrt(np.diag(of_atom)[:3]), rtol=0.02)
        found = np.sqrt(np.diag(known.shapes[atom]))
        np.testing.assert_allclose(found, np.sqrt(np.diag(of_atom)[3:-1]), rtol=0.02)
        np.testing.assert_allclose(known.amplitudes[atom], np.sqrt(of_atom[-1, -1]), rtol=0.02)
        if kind == "isotropic":
            assert known.u_iso[atom] == pytest.approx(found[0])
    shared = measure_uncertainty(seen, own_amplitudes=False, displacements=kind)
    assert np.all(shared.positions < 1.001 * known.positions)
    assert np.all(shared.u_iso < known.u_iso)


def test_what_views_have_for_themselves_against_derivatives(views: Views) -> None:
    """Shifts, turns, gains and backgrounds of nine views beside five atoms: one inverse of everything."""
    positions, amplitudes, n, v, sigma, h = some_atoms(5), np.linspace(2, 4, 5), 5, len(views), 0.3, 1e-3
    parts = ("turns", "shifts", "gains", "backgrounds")

    def images(at: np.ndarray) -> np.ndarray:
        """Of the atoms' numbers, and of seven for each view."""
        of_atoms, of_views = at[: 4 * n].reshape(n, 4), at[4 * n :].reshape(v, 7)
        turned = Rotation.from_rotvec(of_views[:, :3]).as_matrix() @ views.rotations
        moved = Views(turned, views.centres + of_views[:, 3:5] / PIXEL)
        bare = drawn(positions + of_atoms[:, :3], amplitudes + of_atoms[:, 3], moved)
        return ((1 + of_views[:, 5, None, None]) * bare + of_views[:, 6, None, None]).ravel()

    steps = h * np.eye(4 * n + 7 * v)
    slopes = np.stack([(images(step) - images(-step)) / (2 * h) for step in steps])
    # Where atoms are is known a little, so that not all can turn and move together.
    prior = np.zeros(len(slopes))
    prior[: 4 * n].reshape(n, 4)[:, :3] = 0.2**-2
    residual = sigma * np.random.default_rng(0).normal(size=(v, *SHAPE))
    seen = replace(fitted(positions, residual, sigma, views), amplitudes=amplitudes)
    found = measure_uncertainty(seen, known=np.full((n, 3), 0.2), parts=parts)
    matrix = slopes @ slopes.T / sigma**2 / found.excess + np.diag(prior)
    # Gains and amplitudes have a common factor.
    inverse = np.linalg.pinv(matrix, rcond=1e-7, hermitian=True)
    deviations = np.sqrt(np.diag(inverse))
    np.testing.assert_allclose(found.positions, deviations[: 4 * n].reshape(n, 4)[:, :3], rtol=0.03)
    alone = measure_uncertainty(seen, known=np.full((n, 3), 0.2))
    assert np.all(found.positions > 1.1 * alone.positions)
    of_views = deviations[4 * n :].reshape(v, 7)
    for part, which in (("turns", slice(0, 3)), ("shifts", slice(3, 5)), ("backgrounds", slice(6, 7))):
        np.testing.assert_allclose(found.views[part], of_views[:, which], rtol=0.03)
