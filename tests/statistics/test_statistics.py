import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation
from atomfit.statistics.displacements import principal_displacements
from atomfit.statistics.intensity import highest_voxels
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match


def test_principal_displacements_are_the_eigenvalues_largest_first() -> None:
    turn = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
    u = turn @ np.diag([0.2, 0.5, 0.3]) @ turn.T
    found = principal_displacements(u[None])
    np.testing.assert_allclose(found.values[0], [0.5, 0.3, 0.2], rtol=1e-12)
    assert found.degree_of_isotropy[0] == pytest.approx(0.4)
    assert np.linalg.det(found.axes[0]) == pytest.approx(1.0)
    np.testing.assert_allclose(found.axes[0].T @ np.diag(found.values[0]) @ found.axes[0], u, atol=1e-12)


def test_unknown_matrices_stay_unknown() -> None:
    found = principal_displacements(np.full((1, 3, 3), np.nan))
    assert np.all(np.isnan(found.values))
    assert np.isnan(found.degree_of_isotropy[0])


def test_highest_voxel_near_an_atom() -> None:
    grid = Grid((9, 9, 9), np.full(3, 0.5), np.zeros(3))
    values = np.zeros(grid.shape, np.float32)
    values[4, 4, 6] = 3.0
    values[0, 0, 0] = 9.0
    density = DensityMap(values, grid)
    positions = np.array([[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    assert highest_voxels(density, positions, 1.1).tolist() == [3.0, 9.0]
    assert highest_voxels(density, positions, 0.9).tolist() == [0.0, 9.0]


def test_statistics_of_an_icosahedron(small: Simulation, small_result: BuildResult) -> None:
    statistics = small_result.statistics
    found = match(statistics.fitted.positions, small.positions)
    assert (found.missing, found.false) == (0, 0)
    # 13 atoms inside with twelve neighbours; 12 corners with six, 30 edge atoms with eight.
    numbers = np.bincount(statistics.neighbours.coordination_numbers, minlength=13)
    assert (numbers[12], numbers[6], numbers[8]) == (13, 12, 30)
    assert np.median(statistics.validation_correlations) > 0.9
    assert np.all(statistics.fitted.peak_heights > 0.2)
    heights, highest = statistics.fitted.peak_heights, statistics.max_intensities
    assert np.corrcoef(heights, highest)[0, 1] > 0.95
    assert statistics.principal.values[:, 0].min() > 0


def test_intensities_in_both_normalisations() -> None:
    from atomfit.statistics.intensity import map_z_scores, z_scores
    from atomfit.structure.grid import DensityMap, Grid

    values = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    labels = np.zeros((3, 3, 3), int)
    labels[0], labels[2] = 1, 2
    density = DensityMap(values, Grid((3, 3, 3), np.ones(3), np.zeros(3)))
    first, second, both = (np.r_[0:9.0], np.r_[18:27.0], np.r_[0:9.0, 18:27.0])
    own = [(x.max() - x.mean()) / x.std(ddof=1) for x in (first, second)]
    np.testing.assert_allclose(z_scores(density, labels, 2), own)
    expected = (np.array([8.0, 26.0]) - both.mean()) / both.std(ddof=1)
    np.testing.assert_allclose(map_z_scores(density, labels, np.array([8.0, 26.0])), expected)
    assert np.isnan(map_z_scores(density, np.zeros((3, 3, 3), int), np.array([8.0]))).all()
