"""Two CPU devices, shapes and types checked at run time, and the small particle that most tests share."""

import os

# Before anything imports jax.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook

# An int is a float, as PEP 484 has it.
install_import_hook("atomfit", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
import pytest

from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation, simulate
from atomfit.workflows.build import build

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped has failed, but for those that need measured maps."""
    report = yield
    excused = item.get_closest_marker("real") or hasattr(report, "wasxfail")
    return report if excused else _without_skips(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same of a file of tests."""
    return _without_skips((yield))


def _without_skips(report: _Report) -> _Report:
    """Where everything is to be there (`.ci/run` says so), nothing is to be skipped."""
    if report.skipped and os.environ.get("ATOMFIT_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing is to be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def small() -> Simulation:
    """55 Pt atoms (an icosahedron), turned off the axes, at 3 % noise."""
    return simulate(shape="icosahedron", size=3, rotate="random", noise=0.03, seed=1)


@pytest.fixture(scope="session")
def small_result(small: Simulation) -> BuildResult:
    return build(small.map, "Pt")


@pytest.fixture(scope="module", autouse=True)
def _programs_go() -> Generator[None, None, None]:
    """Compiled programs of one file are of no use to the next, and add up to several GB."""
    yield
    jax.clear_caches()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240103)


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("the measured maps are not at hand")
    return REAL_DATA
