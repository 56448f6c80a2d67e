"""An image with known columns, and what a network alone makes of it."""

import numpy as np
import pytest

from atomfit.results.heights import HeightsResult
from atomfit.simulation import simulate_hrtem
from atomfit.simulation.hrtem import SimulatedHrtem
from atomfit.workflows.heights import heights

PIXEL = 0.2


@pytest.fixture(scope="session")
def specimen() -> SimulatedHrtem:
    """Clear enough for any network: a high dose, and a focus at which columns are bright."""
    return simulate_hrtem(crystal="CeO2", dose=1e4, defocus=6.0, image_size=96, gain=1.0, frames=2, seed=5)


@pytest.fixture(scope="session")
def result(specimen: SimulatedHrtem) -> HeightsResult:
    counts = np.array(specimen.frames[0])
    return heights(counts, crystal="CeO2", zone="1,1,0", pixel_size=PIXEL, network_only=True)
