"""Scores are standard normal where there is nothing, and those of atoms are the same thing."""

import numpy as np
import pytest

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.selection.scores import scores
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap

PT = element("Pt")
MEAN = MeanAtom(1.0, 0.25, 0.0, 0.25 * np.eye(3), 1)


@pytest.fixture(scope="module")
def case() -> Simulation:
    return simulate(size=55, noise=0.1, rotate="random", seed=1, box=72, u_core=0.25, u_surface=0.25)


@pytest.fixture(scope="module")
def fit(case: Simulation) -> JointFit:
    return fit_jointly(case.map, case.positions, MEAN, PT)


def test_scores_of_nothing_are_standard_normal(case: Simulation, fit: JointFit) -> None:
    outside = scores(case.map, fit).field.values[:12]
    assert outside.mean() == pytest.approx(0, abs=0.1)
    assert outside.std() == pytest.approx(1, abs=0.1)


def test_an_atom_scores_what_the_map_without_it_asks_for(case: Simulation, fit: JointFit) -> None:
    """The slow way: the field of the map from which all but one atom are taken."""
    found = scores(case.map, fit)
    grid = case.map.grid
    for i in (0, 30, 54):
        one = fit.fitted
        alone = type(one)(
            one.positions[i : i + 1],
            one.amplitudes[i : i + 1],
            one.u_iso[i : i + 1],
            one.matrices[i : i + 1],
        )
        with_it = DensityMap(case.map.values + alone.density(grid), grid)
        # The residual of this map has the atom back in it.
        field = scores(with_it, fit)
        voxel = tuple(grid.nearest_voxels(one.positions[i : i + 1])[0])
        reference = field.field.values[voxel] * field.scatter / found.scatter
        assert found.atoms[i] == pytest.approx(float(reference), rel=0.06)


def test_scale_of_intensity_does_not_matter(case: Simulation, fit: JointFit) -> None:
    scaled = case.map.with_values((1e3 * case.map.values).astype(np.float32))
    again = fit_jointly(scaled, case.positions, MeanAtom(1e3, 0.25, 0.0, 0.25 * np.eye(3), 1), PT)
    np.testing.assert_allclose(scores(scaled, again).atoms, scores(case.map, fit).atoms, rtol=1e-3)
