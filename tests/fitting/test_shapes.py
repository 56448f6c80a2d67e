"""A second map of the same kind must not be compiled for again: compilation is most of a user's wait."""

import jax
import numpy as np
import pytest

from atomfit.detection.detect import detect
from atomfit.fitting.joint import fit_jointly
from atomfit.noise.sources import measure_noise
from atomfit.simulation import simulate
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.region import region_around

PT = element("Pt")


def fit(**changes: object) -> int:
    """Fit a simulated particle; how many atoms it has."""
    case = simulate(rotate="random", noise=0.05, u_core=0.18, u_surface=0.34, **changes)  # type: ignore[arg-type]
    found = detect(case.map, PT)
    noise = measure_noise(case.map, found.positions, found.mean_atom.u)
    fit_jointly(case.map, found.positions, found.mean_atom, PT, noise=noise, displacements="isotropic")
    return len(found)


@pytest.mark.parametrize(
    "correlation",
    [pytest.param(0.0, id="white"), pytest.param(0.5, id="coloured", marks=pytest.mark.slow)],
)
def test_a_second_map_is_not_compiled_for(correlation: float, caplog: pytest.LogCaptureFixture) -> None:
    first = fit(size=79, seed=3, noise_correlation=correlation)
    with jax.log_compiles():
        other = fit(size=86, seed=4, noise_correlation=correlation)
        assert other != first
        assert [
            record.getMessage() for record in caplog.records if "Compiling" in record.getMessage()
        ] == []
        jax.jit(lambda x: x + 1)(np.ones(3))
        assert "Compiling" in caplog.text


@pytest.mark.parametrize(
    ("size", "expected"),
    [((60, 60, 60), (80, 80, 80)), ((60, 50, 60), (80, 80, 80)), ((20, 60, 60), (48, 80, 80))],
    ids=["cube", "nearly", "slab"],
)
def test_regions_of_turned_particles_have_one_shape(
    size: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    """Two atoms at the corners of a box of given edges, 8 voxels of which count around each."""
    grid = Grid((120, 120, 120), np.ones(3), np.zeros(3))
    density = DensityMap(np.zeros(grid.shape, np.float32), grid)
    for turn in range(3):
        far = np.roll(size, turn) + 20.0
        region = region_around(density, np.array([[20.0] * 3, far]), 8.0)
        assert region.grid.shape == tuple(np.roll(expected, turn)[::-1])
        assert region.voxels == region_around(density, far[None], 8.0).voxels * 2
