"""Priors that couple atoms which share no data: standard uncertainties know of them, weak as they are."""

import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.inference import Known, KnownPrecision, Problem, fit_at, frozen
from atomfit.observation import MapObservation
from atomfit.observation.point_spread import PointSpread
from atomfit.stacking.image_refinement import SeenAtoms
from atomfit.structure import DensityMap, Grid

WITHIN, HELD, WIDTH = 0.03, 0.05, 0.5


@pytest.mark.parametrize("noise", [1e-1, 1e-3])
@pytest.mark.parametrize("between", [0.1, 0.3, 1.0])
def test_springs_between_pairs_that_share_no_pixels(noise: float, between: float) -> None:
    n = 12
    along = 4 + 8.0 * (np.arange(n) // 2) + 1.5 * (np.arange(n) % 2)
    places = np.stack([np.full(n, 4.0), along], axis=1)
    atoms = SeenAtoms(places, np.ones(n), np.zeros(n), np.full(n, WIDTH**2), PointSpread.none())
    grid = Grid((int(along[-1] / 0.2) + 20, 40), np.full(2, 0.2), np.zeros(2))
    observed = MapObservation.of(
        DensityMap(np.zeros(grid.shape, np.float32), grid),
        atoms,
        noise=KnownPrecision(np.full(grid.shape, noise**-2, np.float32)),
        background="none",
    )
    springs = np.where(np.arange(n - 1) % 2 == 0, WITHIN, between).astype(np.float32)
    chain = Known(lambda s: jnp.diff(s.heights), 0.0, springs)
    mean = Known(lambda s: jnp.mean(s.heights), 0.0, HELD)
    known = frozen(atoms, lambda s: (s.amplitudes, s.variances))
    objective = Problem(known, (observed,), (chain, mean)).objective()
    told = fit_at(objective, objective.parametrisation.zeros()).uncertainty.structure
    steps, parts = np.diff(np.eye(n), axis=0), np.full(n, 1 / n)
    information = (steps.T / springs**2) @ steps + np.outer(parts, parts) / HELD**2
    expected = np.sqrt(np.diagonal(np.linalg.inv(information)))
    np.testing.assert_allclose(told.heights, expected, rtol=0.01)
