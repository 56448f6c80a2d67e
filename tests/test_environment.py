"""What a machine or another part of a program has set up does not change what is computed, or is named."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.io.image_stacks import read_images, stack_of
from atomfit.io.mrc import read_map
from atomfit.options.build import BuildOptions
from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation, simulate
from atomfit.structure.grid import DensityMap
from atomfit.support import process
from atomfit.support.arrays import real_array
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics
from atomfit.support.private import private_directory, read_private
from atomfit.workflows.build import build
from atomfit.workflows.preparation import check, prepare


def test_64_bits_of_another_program_change_no_fit(
    small: Simulation, small_result: BuildResult, tmp_path: Path
) -> None:
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.debug_nans(True):
        assert jnp.zeros(1).dtype == np.float64
        again = simulate(small.options)
        result = build(small.map, "Pt")
        result.write(tmp_path / "out")
        assert jnp.zeros(1).dtype == np.float64
    np.testing.assert_array_equal(again.map.values, small.map.values)
    np.testing.assert_array_equal(result.positions, small_result.positions)
    np.testing.assert_array_equal(result.matrices, small_result.matrices)


@pytest.mark.parametrize("variable", ["JAX_PLATFORMS", "JAX_PLATFORM_NAME"])
def test_a_device_that_is_not_there_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise AssertionError

    monkeypatch.setattr(jax, "devices", none)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv(variable, "cuda")
    with pytest.raises(InputError, match=f"^{variable}: .*'cuda'.*; unset {variable}"), own_numerics():
        pass


def test_a_private_directory_is_made_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = private_directory(tmp_path / "cache" / "atomfit" / "programs")
    finally:
        os.umask(before)
    assert made is not None
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in (made, made.parent, made.parent.parent))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o703])
@pytest.mark.parametrize("which", ["programs", "cache"])
def test_a_directory_that_others_write_to_is_not_used(mode: int, which: str, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "programs"
    assert private_directory(path) is not None
    {"programs": path, "cache": path.parent}[which].chmod(mode)
    assert private_directory(path) is None


def test_what_is_another_users_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "programs"
    assert private_directory(path) is not None
    (path / "mine").write_bytes(b"x")
    assert read_private(path / "mine") == b"x"
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert private_directory(path) is None
    assert read_private(path / "mine") is None


def test_links_and_files_that_others_write_to_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_private(tmp_path / "link") is None
    (tmp_path / "file").chmod(0o666)
    assert read_private(tmp_path / "file") is None
    assert read_private(tmp_path) is None
    assert read_private(tmp_path / "nothing") is None


def test_no_home_and_no_absolute_cache_keep_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert process.programs_directory() == (tmp_path / "atomfit" / "programs").resolve()
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert process.programs_directory() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", unknown)
    assert process.programs_directory() is None
    monkeypatch.setenv("HOME", "before")
    process.have_a_home()
    assert os.environ["HOME"] == os.devnull


class Wrapped:
    """As of xarray: what becomes an array when asked."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return self.values


class Elsewhere:
    """As a tensor of another device."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise TypeError("copy it to the host first")


VALUES = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "given",
    [
        *(VALUES.astype(kind) for kind in ("f8", "f2", ">f4", ">f8", "i2", "u1", "i8")),
        np.asfortranarray(VALUES),
        np.repeat(VALUES, 2, axis=2)[:, :, ::2],
        jnp.asarray(VALUES),
        jnp.asarray(VALUES, jnp.bfloat16),
        VALUES.tolist(),
        Wrapped(VALUES),
        np.ma.masked_less(VALUES, -1),
    ],
    ids=lambda given: type(given).__name__ + str(getattr(given, "dtype", "")),
)
def test_arrays_of_all_kinds_are_taken(given: object) -> None:
    found = real_array(given)
    np.testing.assert_array_equal(found, VALUES)
    assert (found.dtype, found.flags.c_contiguous, found.flags.writeable) == (np.float32, True, True)
    assert not (isinstance(given, np.ndarray) and np.shares_memory(found, given))


@pytest.mark.parametrize(
    "given",
    [1j * VALUES, VALUES.astype(object), VALUES > 2, [["a"]], [[1], [1, 2]], Elsewhere(), None, 3, {}, {1}],
)
def test_what_is_no_array_of_real_numbers_is_refused(given: object) -> None:
    with pytest.raises(InputError):
        real_array(given)


def test_what_is_masked_needs_a_value() -> None:
    given = np.ma.masked_greater(VALUES, 20)
    np.testing.assert_array_equal(np.isnan(real_array(given, np.nan)), VALUES > 20)
    for read in (real_array, lambda x: DensityMap.from_array(x, 0.4), lambda x: prepare(x, "Pt")):
        with pytest.raises(InputError, match=r"3 of 24 values are masked.*numpy\.ma\.filled"):
            read(given)
    assert real_array(given, -1.0).max() == 20


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (VALUES * 1e300, "23 of 24 values are too large for 32-bit floats (the first is 1e+300)"),
        (VALUES * 1e-300, "values of 2.3e-299 at most are too small"),
    ],
)
def test_what_32_bit_floats_do_not_hold_is_called_so(values: np.ndarray, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", values)
    for read in (
        real_array,
        lambda x: DensityMap.from_array(x, 0.4),
        lambda x: stack_of(x, 0.4),
        lambda x: prepare(tmp_path / "values.npy", "Pt", BuildOptions(voxel_size=0.4)),
        lambda x: check(tmp_path / "values.npy", "Pt", 0.4),
        lambda x: read_images(tmp_path / "values.npy", 0.4),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            read(values)


@pytest.mark.parametrize("offset", [1e7, -1e7, 1e12])
def test_an_offset_is_taken_off_before_digits_are_lost(offset: float, tmp_path: Path) -> None:
    given = np.random.default_rng(0).normal(size=(6, 7, 8)) + offset
    expected = given - np.median(given)
    np.save(tmp_path / "values.npy", given)
    for found in (
        real_array(given),
        real_array(given.astype(">f8")),
        DensityMap.from_array(given, 0.4).values,
        stack_of(given, 0.4).images,
        read_map(tmp_path / "values.npy", 0.4).map.values,
        read_images(tmp_path / "values.npy", 0.4).images,
    ):
        np.testing.assert_allclose(found - np.median(found), expected, atol=1e-3 + 2e-15 * abs(offset))
    assert read_map(tmp_path / "values.npy", 0.4).offset == pytest.approx(offset)
    assert any("was taken off all" in note for note in stack_of(given, 0.4).notes)


def test_an_offset_leaves_what_was_not_measured(tmp_path: Path) -> None:
    given = np.random.default_rng(0).normal(size=(3, 4, 5)) + 1e7
    given[0, :2] = 0.0
    counted = given != 0
    for mask, marked in ((0.0, given), (np.nan, np.where(counted, given, np.nan))):
        found = stack_of(marked, 0.4, mask)
        np.testing.assert_array_equal(found.counted, counted)
        assert 1 < np.ptp(found.images[found.counted]) < 10


def test_32_bit_floats_beside_an_offset_are_as_bright_as_without(small: Simulation) -> None:
    scaled = small.map.values / np.ptp(small.map.values)
    ready = prepare(small.map.with_values(4 * scaled + np.float32(1e7)), "Pt")
    assert any("few digits" in warning for warning in ready.warnings)
    assert ready.source.offset == pytest.approx(1e7, abs=4)


def test_what_was_not_measured_may_be_beyond_32_bits() -> None:
    images = np.random.default_rng(0).normal(size=(3, 4, 5))
    images[:, 0, 0] = 1e300
    assert not stack_of(images, 0.4, 1e300).counted[:, 0, 0].any()
    assert stack_of(images, 0.4, 1e300).counted.sum() == images.size - 3
    infinite = np.array([0.0, 1.0, np.inf])
    np.testing.assert_array_equal(real_array(infinite), infinite)


#: Without the type checks of the tests, which would refuse first.
PROGRAM = """
import numpy as np
import atomfit
from atomfit.options.tilt import TiltOptions
from atomfit.workflows.tilt_preparation import prepare_series

def refused(act, words):
    try:
        act()
    except atomfit.InputError as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)

turns = atomfit.Views.from_tilts(np.array([-60.0, 0.0, 60.0]), "y", (20, 20)).rotations
centres = np.full((3, 2), 10)
views = atomfit.Views(turns.tolist(), centres.tolist())
assert views.rotations.dtype == views.centres.dtype == np.float64
refused(lambda: atomfit.Views(turns[:, :2], centres), "rotations")
refused(lambda: atomfit.Views(turns, centres[:2]), "3 rotations and 2 centres")
refused(lambda: atomfit.Views(turns * 1j, centres), "complex")
images = np.random.default_rng(0).normal(size=(3, 20, 20))
read = lambda given: prepare_series(given, views, "Pt", TiltOptions(pixel_size=0.4)).series
assert read(images.tolist()).images.dtype == np.float32
assert 0 < read(np.ma.masked_greater(images, 1)).counted.mean() < 1
refused(lambda: read(7), "no array")
refused(lambda: prepare_series(images, 7, "Pt", TiltOptions(pixel_size=0.4)), "no views")
told = prepare_series(images, turns.tolist(), "Pt", TiltOptions(pixel_size=0.4)).series.views
assert np.array_equal(told.rotations, turns) and np.array_equal(told.centres, centres)
refused(lambda: prepare_series(images, turns[:, 0], "Pt", TiltOptions(pixel_size=0.4)), "rotations of")
refused(lambda: prepare_series(images, 2 * turns, "Pt", TiltOptions(pixel_size=0.4)), "no rotation")
refused(lambda: atomfit.build(7, "Pt"), "no array")
refused(lambda: atomfit.build(images, 7), "no chemical symbol")
refused(lambda: atomfit.build(images, "Pt", atomfit.TiltOptions()), "no BuildOptions")
refused(lambda: atomfit.check(images, "Pt", "wide"), "no voxel size")
refused(lambda: atomfit.compare([1, 2]), "no model")
refused(lambda: atomfit.compare(None), "a NoneType is no model")
refused(lambda: atomfit.build(None, "Pt"), "no array")
refused(lambda: atomfit.tilt(None, turns, "Pt", pixel_size=0.4), "no array")
refused(lambda: atomfit.check(images, "Pt", 0.4, 3), "no pair of half-maps")
refused(lambda: atomfit.read_map(None), "no name of a file")
refused(lambda: atomfit.DensityMap.from_array(None, 0.4), "no array")
for act in (
    lambda: atomfit.build(images, "Pt", voxelsize=0.4),
    lambda: atomfit.tilt(images, turns, "Pt", voxelsize=0.4),
    lambda: atomfit.simulate(voxelsize=0.4),
    lambda: atomfit.simulate(atomfit.simulation.SimulationOptions(), voxelsize=0.4),
):
    try:
        act()
    except TypeError as error:
        told = (f"{name}() got an unexpected keyword" in str(error) for name in act.__code__.co_names)
        assert any(told), error
        assert "'voxelsize'" in str(error), error
    else:
        raise AssertionError("unknown keyword")
refused(lambda: atomfit.compare("a.cif"), "1 model")
refused(lambda: atomfit.compare(["a", "b"], distance="far"), "no distance")
"""


def test_python_refuses_what_it_cannot_use() -> None:
    outcome = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
