"""Two CPU devices, shapes and types checked at run time, and the small particle that most tests share.

Most of the time is compilation. What XLA has made of a program is kept for the session, for its workers and
for what they start, as many files compile what others have (and for the next session, if
JAX_COMPILATION_CACHE_DIR says where). `make test` leaves out most of XLA's optimisations, as few tests run
long enough to gain by them, but for files that are marked `optimised`, and has loops written by XLA's
older emitters, as the largest programs of users have (`support.compiled`); `make test-all` and plain pytest
compile as users do.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version

# Before anything imports jax, and in the workers' parent, whose environment they have.
_FLAGS = ["--xla_force_host_platform_device_count=2"]
#: Versions that are newer may have no such flags, and end where a flag is not known to them.
_OLDER_EMITTERS = tuple(int(part) for part in version("jaxlib").split(".")[:2]) <= (0, 10)
_SOON = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS", "0").lower() not in ("", "0", "false")
if _SOON and _OLDER_EMITTERS:
    # Programs in parts would be compiled by threads, of which the other process has no use.
    _FLAGS += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_FLAGS])
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# As the command line does: threads of several processes wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="atomfit-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from jaxtyping import install_import_hook

# An int is a float, as PEP 484 has it.
install_import_hook("atomfit", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

# The workers' parent runs no test, and would import for as long as each of them does.
if TYPE_CHECKING:
    from atomfit.results.build import BuildResult
    from atomfit.simulation import Simulation

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)

TESTS = Path(__file__).parent
#: Files that take longer than twenty seconds, the longest first.
LONG = (
    "test_documentation.py",
    "fitting/test_joint.py",
    "workflows/test_tilt.py",
    "inference/test_problem.py",
    "workflows/test_build.py",
    "optimisation/test_newton.py",
    "rendering/test_rendering.py",
    "test_interruptions.py",
    "io/test_checkpoint.py",
    "golden/test_golden.py",
    "inference/test_own_parts.py",
    "report/test_page.py",
    "report/test_tilt_page.py",
)
#: Files that run under JAX's strict promotion of types. Not those of coloured noise, whose spectra weigh
#: complex numbers by real ones, which it refuses.
STRICT = frozenset({"rendering/test_rendering.py", "columns/test_columns.py"})
#: Memory of a process beyond which programs are given up (bytes).
MOST_RESIDENT = 1.5e9
REAL_DATA = TESTS.parents[1] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take long come first: the last to end is waited for."""
    order = {TESTS / name: place for place, name in enumerate(LONG)}
    if moved := [str(path) for path in order if not path.is_file()]:
        raise pytest.UsageError(f"conftest.LONG: there is no {', '.join(moved)}")
    items.sort(key=lambda item: order.get(item.path, len(LONG)))


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
    from atomfit.simulation import simulate

    return simulate(shape="icosahedron", size=3, rotate="random", noise=0.03, seed=1)


@pytest.fixture(scope="session")
def small_result(small: Simulation) -> BuildResult:
    from atomfit.workflows.build import build

    return build(small.map, "Pt")


@pytest.fixture(scope="module", autouse=True)
def _programs_go(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Programs in memory add up to several GB; what the next file needs of one's is on disk."""
    import jax

    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    alone = request.node.get_closest_marker("optimised") is not None
    if alone:
        jax.clear_caches()
        jax.config.update(name, False)
    yield
    jax.config.update(name, before)
    if alone or _resident() > MOST_RESIDENT:
        jax.clear_caches()


def _resident() -> float:
    """What this process has in memory (bytes); more than any, where nothing says it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return float("inf")


@pytest.fixture(autouse=True)
def _nothing_is_promoted(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Ours mixes no integers and floats, which JAX would make of one kind by rules that surprise."""
    if request.path.relative_to(TESTS).as_posix() not in STRICT:
        yield
        return
    import jax

    from atomfit.support import numerics

    with pytest.MonkeyPatch.context() as patch, jax.numpy_dtype_promotion("strict"):
        patch.setattr(numerics, "PROMOTION", "strict")
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240103)


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("the measured maps are not at hand")
    return REAL_DATA
