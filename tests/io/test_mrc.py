"""Round trips of maps, and the rules by which headers are read."""

import bz2
import gzip
import warnings
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from atomfit.io.image_stacks import read_images
from atomfit.io.mrc import from_array, read_map, write_map
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError


def write(path: Path, values: np.ndarray, voxel: float = 0.4, **header: object) -> Path:
    """A file as mrcfile writes it, with fields of the header replaced."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(values)
        file.voxel_size = voxel
        for name, value in header.items():
            file.header[name] = value
    return path


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=6),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    spacing=st.tuples(*[st.floats(0.05, 3.0)] * 3),
    origin=st.tuples(*[st.floats(-200, 200).filter(lambda x: abs(x) > 1e-3)] * 3),
)
def test_written_maps_are_read_back(
    tmp_path: Path, values: np.ndarray, spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    path = tmp_path / "map.mrc"
    path.unlink(missing_ok=True)
    density = DensityMap(values, Grid(values.shape, np.array(spacing), np.array(origin)))
    write_map(path, density)
    again = read_map(path).map
    np.testing.assert_array_equal(again.values, values)
    np.testing.assert_allclose(again.grid.spacing, spacing, rtol=1e-6)
    np.testing.assert_allclose(again.grid.origin, origin, rtol=1e-6)
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(file.data, values)
        assert file.is_volume()


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("order", ["<", ">"])
def test_modes_and_byte_orders(tmp_path: Path, kind: type, order: str) -> None:
    values = np.arange(60).reshape(3, 4, 5).astype(np.dtype(kind).newbyteorder(order))
    path = write(tmp_path / "map.mrc", values)
    again = read_map(path).map.values
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, np.arange(60).reshape(3, 4, 5))


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (1, 3, 2), (3, 1, 2), (2, 3, 1)])
def test_axes_are_brought_into_z_y_x_order(tmp_path: Path, order: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4, 5, 6)).astype(np.float32)  # z, y, x
    # Columns vary fastest: the stored array is [section, row, column], each along the named axis.
    stored = truth.transpose([3 - axis for axis in order[::-1]])
    path = write(
        tmp_path / "map.mrc", np.ascontiguousarray(stored), mapc=order[0], mapr=order[1], maps=order[2]
    )
    with mrcfile.open(path, mode="r+") as file:
        file.header.mx, file.header.my, file.header.mz = 6, 5, 4
        file.header.cella.x, file.header.cella.y, file.header.cella.z = 6 * 0.3, 5 * 0.4, 4 * 0.5
        # NSTART belongs to columns, rows, sections.
        for name, axis in zip(("nxstart", "nystart", "nzstart"), order, strict=True):
            file.header[name] = 10 * axis
    found = read_map(path).map
    np.testing.assert_array_equal(found.values, truth)
    np.testing.assert_allclose(found.grid.spacing, [0.3, 0.4, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found.grid.origin, [10 * 0.3, 20 * 0.4, 30 * 0.5], rtol=1e-6)


def test_axis_order_agrees_with_gemmi(tmp_path: Path) -> None:
    gemmi = pytest.importorskip("gemmi")
    rng = np.random.default_rng(3)
    values = rng.normal(size=(4, 5, 6)).astype(np.float32)
    path = write(tmp_path / "map.mrc", values, mapc=3, mapr=1, maps=2)
    with mrcfile.open(path, mode="r+") as file:
        file.header.mx, file.header.my, file.header.mz = 5, 4, 6
    theirs = gemmi.read_ccp4_map(str(path))
    theirs.setup(0.0)
    np.testing.assert_array_equal(
        np.array(theirs.grid, copy=True).transpose(2, 1, 0), read_map(path).map.values
    )


def test_voxel_size_is_cell_over_intervals(tmp_path: Path) -> None:
    path = write(tmp_path / "map.mrc", np.eye(4, dtype=np.float32)[None].repeat(4, 0))
    with mrcfile.open(path, mode="r+") as file:
        file.header.mx = file.header.my = file.header.mz = 40
        file.header.cella.x = file.header.cella.y = file.header.cella.z = 20.0
    assert read_map(path).map.grid.spacing == pytest.approx([0.5, 0.5, 0.5])
    found = read_map(path, (0.1, 0.2, 0.3))
    assert found.map.grid.spacing == pytest.approx([0.1, 0.2, 0.3])
    assert any("as given" in note for note in found.notes)


def test_origin_wins_over_nstart(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    path = write(tmp_path / "map.mrc", values, nxstart=7, nystart=8, nzstart=-9)
    from_start = read_map(path)
    assert from_start.map.grid.origin == pytest.approx([2.8, 3.2, -3.6])
    assert any("NSTART" in note for note in from_start.notes)
    with mrcfile.open(path, mode="r+") as file:
        file.header.origin = (1.0, 0.0, 2.0)
    from_origin = read_map(path)
    assert from_origin.map.grid.origin == pytest.approx([1, 0, 2])
    assert any("from ORIGIN" in note for note in from_origin.notes)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed_files_are_known_by_content(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    plain = write(tmp_path / "map.mrc", values)
    named = tmp_path / "zipped.mrc.gz"
    named.write_bytes(pack(plain.read_bytes()))
    disguised = tmp_path / "zipped.mrc"
    disguised.write_bytes(named.read_bytes())
    for path in (named, disguised):
        np.testing.assert_array_equal(read_map(path).map.values, values)


def test_trailing_bytes_are_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "map.mrc", np.arange(64, dtype=np.float32).reshape(4, 4, 4))
    path.write_bytes(path.read_bytes() + b"12345")
    assert any("5 bytes after the data" in warning for warning in read_map(path).warnings)


def test_unsigned_bytes_of_imod(tmp_path: Path) -> None:
    path = write(tmp_path / "map.mrc", np.full((3, 3, 3), -1, np.int8))
    raw = bytearray(path.read_bytes())
    raw[152:156] = (1146047817).to_bytes(4, "little")
    path.write_bytes(raw)
    assert read_map(path).map.values.max() == 255


def test_pairs_of_imod_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "map.mrc", np.full((3, 3, 3), 17, np.int8))
    raw = bytearray(path.read_bytes())
    raw[152:160] = (1146047817).to_bytes(4, "little") + (16).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(InputError, match="4 bits"):
        read_map(path)


@pytest.mark.parametrize("columns", [4, 5])
def test_numbers_of_four_bits(columns: int, tmp_path: Path) -> None:
    """Two a byte, the first in its lower half, each row in bytes of its own."""
    values = np.random.default_rng(0).integers(0, 16, (3, 4, columns)).astype(np.int8)
    path = write(tmp_path / "map.mrc", values)
    raw = bytearray(path.read_bytes()[:1024])
    raw[12:16] = (101).to_bytes(4, "little")
    for row in values.reshape(-1, columns).tolist():
        row.append(0)
        raw += bytes(row[k] | row[k + 1] << 4 for k in range(0, columns, 2))
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_map(path).map.values, values)
    assert not read_map(path).warnings
    np.testing.assert_array_equal(read_images(path, 0.4).images, values)
    path.write_bytes(raw[:-1])
    with pytest.raises(InputError, match="promises"):
        read_map(path)


def test_bytes_of_an_old_file_in_the_other_order(tmp_path: Path) -> None:
    """Without a machine stamp, and with a mode that is 0 in any order."""
    path = write(tmp_path / "map.mrc", np.arange(60).reshape(3, 4, 5).astype(np.int8))
    raw = bytearray(path.read_bytes())
    raw[:1024] = np.frombuffer(raw[:1024], "<u4").byteswap().tobytes()
    raw[208:216] = bytes(8)
    path.write_bytes(raw)
    found = read_map(path)
    np.testing.assert_array_equal(found.map.values.ravel(), np.arange(60))
    assert "lacks the word MAP" in found.warnings[0]


def test_numpy_arrays(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "map.npy", values)
    found = read_map(tmp_path / "map.npy", 0.3)
    np.testing.assert_array_equal(found.map.values, values)
    with pytest.raises(InputError, match="no voxel size"):
        read_map(tmp_path / "map.npy")
    with pytest.raises(InputError, match="no real numbers"):
        from_array(values.astype(complex), 0.3)
    with pytest.raises(InputError, match="not a 3D map"):
        from_array(values[0], 0.3)


def test_hash_is_of_the_file(tmp_path: Path) -> None:
    import hashlib

    path = write(tmp_path / "map.mrc", np.arange(64, dtype=np.float32).reshape(4, 4, 4))
    assert read_map(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_residuals_with_nan_are_written(tmp_path: Path) -> None:
    density = DensityMap.from_array(np.full((3, 3, 3), np.nan), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_map(tmp_path / "map.mrc", density)
