"""Our density against cryojax's Gaussian mixture (isotropic, averaged over voxels)."""

import numpy as np
import pytest

from atomfit.rendering import Gaussians, render_map
from atomfit.structure.grid import Grid

simulator = pytest.importorskip("cryojax.simulator")


def test_isotropic_density_is_cryojaxs(rng: np.random.Generator) -> None:
    n_voxels, voxel, n = 48, 0.3, 5
    half = n_voxels // 2 * voxel
    centres = rng.uniform(-3, 3, (n, 3))
    variances, weights = rng.uniform(0.25, 0.4, n), rng.uniform(0.5, 2.0, n)
    volume = simulator.GaussianMixtureVolume(
        centres.astype(np.float32), weights.astype(np.float32), variances.astype(np.float32)
    )
    render = simulator.GaussianMixtureRenderFn((n_voxels,) * 3, voxel)
    theirs = np.asarray(render(volume))
    # Averaging over a voxel adds the variance of a uniform distribution, to this precision.
    widened = (variances + voxel**2 / 12)[:, None, None] * np.eye(3)
    grid = Grid((n_voxels,) * 3, np.full(3, voxel), np.full(3, -half))
    ours = render_map(Gaussians(centres, widened, weights), grid, cutoff=6.0)
    assert np.abs(ours - theirs).max() < 3e-3 * theirs.max()
