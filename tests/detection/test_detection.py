"""Detection on planted particles, step by step and whole."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.signal import windows

from atomfit.detection.contrast import measure_contrast
from atomfit.detection.denoise import denoise
from atomfit.detection.detect import detect
from atomfit.detection.mean_atom import measure_mean_atom, otsu_threshold
from atomfit.detection.noise_floor import expected_crest, noise_floor
from atomfit.detection.peaks import local_maxima
from atomfit.detection.pieces import find_pieces
from atomfit.detection.resolution import faded
from atomfit.detection.threshold import COARSE, SimulatedMapCorrelation, search_threshold
from atomfit.detection.validation import least_correlation, validation_correlations
from atomfit.rendering import Gaussians, render_reference
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import dimmest, element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from atomfit.structure.scattering import GaussianMixture, form_factor

PT = element("Pt")


def cubic(n: int, spacing: float = 0.358) -> Grid:
    return Grid((n, n, n), np.full(3, spacing), np.zeros(3))


def test_denoising_is_the_correlation_with_one_atom() -> None:
    """Against the sum over all voxels, written out; unequal voxels, atom off the grid."""
    grid = Grid((14, 12, 10), np.array([0.5, 0.4, 0.6]), np.array([1.0, 2.0, 3.0]))
    atom = form_factor("Pt", 12.0)
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    found = denoise(DensityMap(values, grid), atom).values
    places = grid.positions_of(np.stack(np.indices(grid.shape), axis=-1))
    for voxel in [(7, 6, 5), (0, 0, 0), (13, 2, 9)]:
        profile = atom.profile(np.linalg.norm(places - places[voxel], axis=-1))
        expected = np.sum((values - values.mean()) * profile) * grid.voxel_volume
        # The direct sum samples the narrow terms of the atom coarsely.
        assert float(found[voxel]) == pytest.approx(expected, abs=0.02 * float(np.ptp(found)))


def test_denoising_does_not_wrap_round() -> None:
    grid = cubic(32)
    values = np.zeros(grid.shape, np.float32)
    values[0, 16, 16] = 1.0
    found = denoise(DensityMap(values, grid), form_factor("Pt", 12.0)).values
    assert abs(found[-1, 16, 16]) < 1e-3 * found[0, 16, 16]


@pytest.mark.parametrize("seed", range(3))
def test_noise_rarely_crosses_its_floor(seed: int) -> None:
    """Half a maximum is expected in the whole box; five would be a broken formula."""
    values = np.random.default_rng(seed).standard_normal((90, 90, 90)).astype(np.float32)
    density = DensityMap(values, cubic(90))
    atom = GaussianMixture(np.ones(1), np.array([0.2]))
    denoised = denoise(density, atom)
    floor = noise_floor(density, denoised, atom, 5.5)
    deviation = denoised.values.std()
    assert floor == pytest.approx(expected_crest(denoised, atom) * deviation, rel=0.1)
    assert len(local_maxima(denoised, floor, 1.7)) <= 4
    assert len(local_maxima(denoised, 0.7 * floor, 1.7)) >= 10


def test_maxima_on_a_plateau_and_too_close_ones_count_once() -> None:
    values = np.zeros((20, 20, 20), np.float32)
    values[5:7, 5:7, 5] = 2.0
    values[12, 12, 12], values[12, 12, 14] = 3.0, 2.5
    maxima = local_maxima(DensityMap(values, cubic(20, 0.5)), 1.0, separation=1.5)
    assert maxima.tolist()[0] == [12, 12, 12]
    assert len(maxima) == 2


@pytest.mark.parametrize(("u", "voxel"), [(0.09, 0.25), (0.2, 0.358), (0.4, 0.358), (0.25, 0.5)])
def test_mean_atom_has_the_planted_width(u: float, voxel: float) -> None:
    case = simulate(
        shape="octahedron", size=5, u_core=u, u_surface=u, voxel_size=voxel, noise=0.03, rotate="random"
    )
    mean = measure_mean_atom(case.map, PT)
    assert mean.count == len(case.positions)
    # Broad atoms overlap, and the constant beneath the mean atom takes some of their tails.
    assert mean.u == pytest.approx(u, rel=0.06 if u < 0.3 else 0.12)
    assert mean.height == pytest.approx(1.0, rel=0.03 if u < 0.3 else 0.1)
    assert abs(mean.background) < (0.05 if u < 0.3 else 0.15)


def test_mean_atom_sees_a_common_direction() -> None:
    case = simulate(shape="octahedron", size=5, doi=0.5, long_axis="z", noise=0.02, u_surface=0.2)
    matrix = measure_mean_atom(case.map, PT).matrix
    truth = case.matrices.mean(axis=0)
    np.testing.assert_allclose(np.diag(matrix), np.diag(truth), rtol=0.12)
    assert np.abs(matrix - np.diag(np.diag(matrix))).max() < 0.02


def test_width_does_not_follow_the_voxel_or_the_noise() -> None:
    widths = [
        measure_mean_atom(simulate(voxel_size=v, noise=noise, rotate="random").map, PT).u
        for v, noise in ((0.25, 0.05), (0.358, 0.15), (0.45, 0.05))
    ]
    assert max(widths) < 1.1 * min(widths)


def test_correlation_without_a_map_is_that_with_one() -> None:
    """Pearson's r from three sums over atoms, against a simulated map that is rendered."""
    rng = np.random.default_rng(4)
    grid = Grid((40, 44, 48), np.array([0.36, 0.4, 0.33]), np.array([3.0, -2.0, 1.0]))
    atom = form_factor("Pt", 14.0)
    centres = grid.origin + rng.uniform(0.2, 0.8, (12, 3)) * grid.extent
    truth = render_reference(Gaussians.of_simulated(centres, np.ones(12), atom), grid)
    noisy = DensityMap((truth + 0.1 * rng.normal(size=grid.shape)).astype(np.float32), grid)
    denoised = denoise(noisy, atom)
    guess = centres + rng.normal(0, 0.2, centres.shape)
    simulated = render_reference(Gaussians.of_simulated(guess, np.ones(12), atom), grid)
    expected = np.corrcoef(denoised.values.ravel(), simulated.ravel())[0, 1]
    assert SimulatedMapCorrelation(denoised, atom)(guess) == pytest.approx(expected, abs=0.01)


def test_all_thresholds_are_tried_and_the_best_is_kept() -> None:
    """The score has a dip before its maximum, at which the published program would stop."""
    scores = {0: 0.5, 1: 0.4, 2: 0.3, 9: 0.9}
    tried: list[float] = []

    def centres_at(threshold: float) -> np.ndarray:
        tried.append(threshold)
        return np.full((1, 3), threshold)

    def correlation(centres: np.ndarray) -> float:
        return scores.get(round(centres[0, 0], 6), 0.1)

    search = search_threshold(0.0, 15.0, centres_at, correlation)
    assert search.best.threshold == 9.0
    assert sum(t == round(t) for t in tried) == COARSE
    assert len(search.trials) == COARSE + 10
    assert [t.threshold for t in search.trials] == sorted(t.threshold for t in search.trials)


def row_of_atoms(n: int, distance: float) -> tuple[DensityMap, np.ndarray]:
    grid = cubic(64, 0.3)
    places = grid.centre + np.outer(np.arange(n) - (n - 1) / 2, [distance, 0, 0])
    gaussians = Gaussians(places, np.tile(0.3 * np.eye(3), (n, 1, 1)), np.full(n, 1.0))
    return DensityMap(render_reference(gaussians, grid).astype(np.float32), grid), places


@pytest.mark.parametrize("n", [2, 3, 5])
def test_merged_atoms_are_split_as_many_as_there_are(n: int) -> None:
    density, places = row_of_atoms(n, 2.6)
    denoised = denoise(density, GaussianMixture(np.ones(1), np.array([0.15])))
    low = 0.2 * float(denoised.values.max())
    pieces = find_pieces(density, denoised, low, 1.66, 1.66, 0.0)
    assert pieces.components(low)[1] == 1
    assert len(pieces.component_centres(low)) == 1
    for centres in (pieces.split_centres(low), pieces.partly_split_centres(low, PT.radius)):
        assert match(centres, places, 0.5).missing == 0
        assert len(centres) == n


def test_whole_components_are_left_alone_by_the_papers_rule() -> None:
    density, _ = row_of_atoms(1, 0.0)
    denoised = denoise(density, GaussianMixture(np.ones(1), np.array([0.15])))
    low = 0.5 * float(denoised.values.max())
    pieces = find_pieces(density, denoised, low, 1.66, 1.66, 0.0)
    np.testing.assert_allclose(pieces.partly_split_centres(low, PT.radius), pieces.component_centres(low))


def test_components_are_scipys() -> None:
    rng = np.random.default_rng(2)
    values = ndimage.gaussian_filter(rng.normal(size=(40, 40, 40)), 2).astype(np.float32)
    density = DensityMap(values, cubic(40))
    pieces = find_pieces(density, density, 0.01, 1.0, 10.0, 0.0)
    for threshold in (0.02, 0.05):
        _, expected = ndimage.label(values > threshold, np.ones((3, 3, 3)))
        assert pieces.components(threshold)[1] == expected


def test_validation_correlation_is_pearsons_in_a_sphere() -> None:
    rng = np.random.default_rng(5)
    grid = cubic(20, 0.5)
    a, b = (DensityMap(rng.normal(size=grid.shape).astype(np.float32), grid) for _ in range(2))
    positions = np.array([[5.0, 5.0, 5.0], [0.1, 0.1, 0.1]])
    places = grid.positions_of(np.stack(np.indices(grid.shape), axis=-1))
    for place, found in zip(positions, validation_correlations(a, b, positions, 1.6), strict=True):
        nearest = grid.positions_of(grid.nearest_voxels(place))
        inside = np.linalg.norm(places - nearest, axis=-1) <= 1.6
        expected = np.corrcoef(a.values[inside], b.values[inside])[0, 1]
        assert found == pytest.approx(expected, abs=1e-6)


def test_rules_for_the_least_correlation() -> None:
    values = np.concatenate([np.full(50, 0.9), np.full(50, 0.92), [0.1]])
    assert least_correlation(values, "off") == -np.inf
    assert least_correlation(values, 0.3) == 0.3
    assert least_correlation(values, "paper") == pytest.approx(values.mean() - 2 * values.std())
    # Far below the rest, yet above the limit under which an outlier is believed to be one.
    assert least_correlation(values, "auto") == 0.5


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05, 0.15])
@pytest.mark.parametrize("rotate", ["none", "random"])
def test_published_cases_are_found_whole(noise: float, rotate: str) -> None:
    case = simulate(noise=noise, rotate=rotate, seed=7)
    found = match(detect(case.map, PT).positions, case.positions)
    assert (found.missing, found.false) == (0, 0)


def test_broad_atoms_that_defeat_the_published_search() -> None:
    case = simulate(noise=0.03, u_core=0.3, u_surface=0.6, seed=3)
    whole = match(detect(case.map, PT).positions, case.positions)
    assert (whole.missing, whole.false) == (0, 0)
    after = match(detect(case.map, PT, split="after").positions, case.positions)
    assert after.missing > 0


@pytest.mark.parametrize("scale", [1e-9, 1e9])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_units_of_the_map_do_not_matter(small: Simulation, scale: float, offset: float) -> None:
    expected = detect(small.map, PT).positions
    scaled = small.map.with_values((scale * (small.map.values + offset)).astype(np.float32))
    np.testing.assert_allclose(detect(scaled, PT).positions, expected, atol=0.02)


def test_transposed_maps_give_transposed_atoms(small: Simulation) -> None:
    grid = small.map.grid
    turned = DensityMap(
        np.ascontiguousarray(small.map.values.transpose(2, 1, 0)),
        Grid(grid.shape[::-1], grid.spacing[::-1].copy(), grid.origin[::-1].copy()),
    )
    expected = detect(small.map, PT).positions[:, ::-1]
    assert match(detect(turned, PT).positions, expected, 0.01).missing == 0


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_atoms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((64, 64, 64)).astype(np.float32)
    coloured = ndimage.gaussian_filter(white, 1.5)
    for values in (white, coloured):
        detection = detect(DensityMap(values, cubic(64)), PT)
        assert len(detection) == 0
        assert detection.search is None


def test_one_atom_is_found() -> None:
    for noise in (0.0, 0.05):
        case = simulate(size=1, noise=noise, seed=2)
        found = match(detect(case.map, PT).positions, case.positions, 0.2)
        assert (found.missing, found.false) == (0, 0)


def test_atoms_at_the_edge_and_particles_off_centre() -> None:
    case = simulate(shape="icosahedron", size=3, box=60, shift=(-4.5, 3.0, 4.0), noise=0.03)
    assert np.min(case.positions) < 1.6
    found = match(detect(case.map, PT).positions, case.positions)
    assert (found.missing, found.false) == (0, 0)


def test_contrast_is_seen_in_isolated_and_in_crowded_atoms(small: Simulation) -> None:
    lattice = simulate(size=3000, box=140, u_core=0.4, u_surface=0.4, noise=0.03).map
    crowded = DensityMap(np.ascontiguousarray(lattice.values[45:95, 45:95, 45:95]), cubic(50))
    for density in (small.map, crowded):
        assert not measure_contrast(density, PT).inverted
        assert measure_contrast(density.with_values(-density.values), PT).inverted
        assert measure_contrast(density, PT).decided


def test_isolated_blobs_are_discarded_by_their_neighbours() -> None:
    case = simulate(shape="icosahedron", size=3, box=90, noise=0.02)
    grid = case.map.grid
    lone = grid.origin + np.array([[3.0, 3.0, 3.0]])
    blob = Gaussians(lone, 0.2 * np.eye(3)[None], np.array([0.8]))
    density = case.map.with_values((case.map.values + render_reference(blob, grid)).astype(np.float32))
    strict, loose = detect(density, PT), detect(density, PT, min_coordination=0)
    assert len(loose) == len(strict) + 1 == len(case.positions) + 1
    assert strict.rejected.reasons == ("coordination number below 3",)
    np.testing.assert_allclose(strict.rejected.positions, lone, atol=0.1)


def test_otsu_of_a_map_without_positive_values() -> None:
    density = DensityMap(np.full((4, 4, 4), -1.0, np.float32), cubic(4))
    assert otsu_threshold(density) == np.inf


@pytest.mark.parametrize("seed", [10, 11])
def test_atoms_are_found_on_an_uneven_background(seed: int) -> None:
    """A ramp and slow waves as high as a third of an atom."""
    case = simulate(size=79, noise=0.05, rotate="random", seed=seed, box=84)
    values = case.map.values
    slow = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=values.shape), 16)
    slow *= 0.3 * values.max() / np.abs(slow).max()
    ramp = np.linspace(0, 0.4 * values.max(), values.shape[0])[:, None, None]
    found = detect(case.map.with_values((values + slow + ramp).astype(np.float32)), PT)
    pairs = match(found.positions, case.positions)
    assert (pairs.missing, pairs.false) == (0, 0)


def test_faint_kinds_of_atoms_are_found_where_they_are_told_of() -> None:
    """Iron beside platinum is a third as bright: a threshold chosen as if all were alike loses it."""
    case = simulate(size=150, rotate="random", noise=0.0, seed=2)
    kinds = (PT, element("Fe"))
    assert dimmest(kinds) == pytest.approx(26 / 78)
    assert dimmest((PT,)) == 1.0
    rng = np.random.default_rng(2)
    part = np.where(rng.random(len(case.positions)) < 0.3, dimmest(kinds), 1.0)
    gaussians = Gaussians(case.positions, case.matrices + 0.15 * np.eye(3), part)
    clean = render_reference(gaussians, case.map.grid)
    noise = rng.normal(0, 0.02 * clean.max(), clean.shape)
    density = case.map.with_values((clean + noise).astype(np.float32))
    alike = match(detect(density, PT).positions, case.positions, 1.0)
    told = match(detect(density, PT, faintest=dimmest(kinds)).positions, case.positions, 1.0)
    assert told.recall > alike.recall + 0.05
    assert told.precision > 0.99


@pytest.mark.parametrize("n", [1, 2, 7, 64, 101])
def test_what_fades_out_does_so_by_the_usual_window(n: int) -> None:
    np.testing.assert_allclose(faded(n, 0.1), windows.tukey(n, 0.2), atol=1e-12)
