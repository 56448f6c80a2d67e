"""Two CPU devices, shapes and types checked at run time, and the small particle that most tests share."""

import os

# Before anything imports jax.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook

# An int is a float, as PEP 484 has it.
install_import_hook("atomfit", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

from pathlib import Path

import numpy as np
import pytest

from atomfit.pipeline import BuildResult, build
from atomfit.simulation import Simulation, simulate

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def small() -> Simulation:
    """55 Pt atoms (an icosahedron), turned off the axes, at 3 % noise."""
    return simulate(shape="icosahedron", size=3, rotate="random", noise=0.03, seed=1)


@pytest.fixture(scope="session")
def small_result(small: Simulation) -> BuildResult:
    return build(small.map, "Pt")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240103)


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("the measured maps are not at hand")
    return REAL_DATA
