"""Covariances of single atoms from their neighbours, against those of the whole matrix."""

import equinox as eqx
import numpy as np
import pytest

from atomfit.inference import Problem, SpectralNoise, WhiteNoise, fit_at
from atomfit.inference.local import measure_local_uncertainty
from atomfit.observation import MapObservation
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation.particles import particle
from atomfit.structure import AnisotropicDisplacements, Atoms, DensityMap, Grid

EDGE, NOISE = 40, 0.02


@pytest.mark.parametrize("coloured", [False, True])
def test_neighbours_are_enough(coloured: bool) -> None:
    grid = Grid((EDGE,) * 3, np.full(3, 0.4), np.zeros(3))
    places = particle("sphere", "Pt", 19, 0) + grid.centre
    n = len(places)
    matrices = np.tile(0.25 * np.eye(3), (n, 1, 1))
    values = render_map(Gaussians(places, matrices, np.ones(n)), grid)
    atoms = Atoms(
        places,
        displacements=AnisotropicDisplacements.from_matrices(matrices),
        amplitudes=np.ones(n),
        numbers=np.full(n, 78),
    )
    o = MapObservation.of(DensityMap(values.astype(np.float32), grid), atoms, noise=WhiteNoise(NOISE))
    if coloured:
        frequencies = [np.fft.fftfreq(n, 0.4) for n in o.data.shape]
        frequencies[-1] = np.fft.rfftfreq(o.data.shape[-1], 0.4)
        square = sum(k**2 for k in np.meshgrid(*frequencies, indexing="ij"))
        noise = SpectralNoise(np.exp(np.minimum(8 * square, 3)), np.ones(o.data.shape), NOISE)
        o = eqx.tree_at(lambda o: o.noise, o, noise)
    objective = Problem(atoms, (o,)).objective()
    fit = fit_at(objective, objective.parametrisation.zeros())

    local = measure_local_uncertainty(objective, fit.free).of_atoms(lambda s: s.displacements.matrices(3))
    whole = fit.uncertainty.of(lambda s, n: s.displacements.matrices(3))

    np.testing.assert_allclose(local.esd, whole.esd, rtol=0.02)
    # Boxes cut the noise's filter, which bias is more sensitive to; it is small beside uncertainties.
    assert np.max(np.abs(local.bias - whole.bias) / whole.esd) < 0.02
