"""Stacks in the files of other programs: TIFF of all kinds, HDF5 of all kinds, axes in any order."""

import sys
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from atomfit.io.image_stacks import ImageStack, read_images
from atomfit.io.microscope_files import Axis, oriented
from atomfit.support.errors import InputError

IMAGES = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
OME = {"PhysicalSizeX": 0.04, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.04, "PhysicalSizeYUnit": "nm"}


def same(found: ImageStack, pixel: float = 0.4) -> None:
    np.testing.assert_array_equal(found.images, IMAGES)
    assert found.pixel == pytest.approx(pixel)


def test_tiff_that_says_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for unit, per_pixel in (
        ("nm", 25),
        ("pm", 0.025),
        ("micron", 25_000),
        ("\\u00c5", 2.5),
        ("\\u00B5m", 25_000),
    ):
        tifffile.imwrite(
            path, IMAGES, imagej=True, resolution=(per_pixel,) * 2, metadata={"unit": unit, "axes": "ZYX"}
        )
        same(read_images(path))
    tifffile.imwrite(path, IMAGES, metadata={"axes": "TYX", **OME}, ome=True)
    same(read_images(path))
    tifffile.imwrite(path, IMAGES[:, None], metadata={"axes": "TCYX", **OME}, ome=True)
    same(read_images(path))
    tifffile.imwrite(path, IMAGES, resolution=(2.5e8, 2.5e8), resolutionunit="CENTIMETER")
    same(read_images(path))
    same(read_images(path, 0.7), 0.7)


def test_tiff_that_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGES)
    same(read_images(path, 0.4))
    with tifffile.TiffWriter(path) as writer:
        for image in IMAGES:
            writer.write(image, contiguous=False, resolution=(72, 72), resolutionunit="INCH")
    same(read_images(path, 0.4))
    with pytest.raises(InputError, match="does not say how large a pixel is"):
        read_images(path)


def test_tiff_that_is_no_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"

    def pages(*images: np.ndarray) -> None:
        with tifffile.TiffWriter(path) as writer:
            for image in images:
                writer.write(image, contiguous=False)

    cases = [
        (lambda: tifffile.imwrite(path, IMAGES[0]), "axes Y, X"),
        (lambda: tifffile.imwrite(path, np.zeros((4, 8, 8, 3), "u1"), photometric="rgb"), "colours"),
        (
            lambda: tifffile.imwrite(path, np.zeros((2, 3, 8, 8)), metadata={"axes": "TZYX"}, ome=True),
            "T, Z, Y, X",
        ),
        (lambda: pages(IMAGES[0], IMAGES[1, :3]), "not alike"),
        (lambda: path.write_bytes(b"II*\0" + bytes(40)), "cannot be read"),
        (lambda: path.write_bytes(b"hello"), "cannot be read"),
        (lambda: path.write_bytes(path.read_bytes()[:100]), "cannot be read"),
        (
            lambda: tifffile.imwrite(
                path, IMAGES, imagej=True, resolution=(25, 20), metadata={"unit": "nm"}
            ),
            "0.4 by 0.5 Å",
        ),
        (
            lambda: tifffile.imwrite(path, IMAGES, imagej=True, resolution=(1, 1), metadata={"unit": "um"}),
            "10000 Å, which shows no atoms",
        ),
    ]
    for make, expected in cases:
        make()
        with pytest.raises(InputError, match=expected):
            read_images(path)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_axes_in_any_order_by_what_is_said_of_them(order: Sequence[int]) -> None:
    told = [Axis("tilt", "deg", 2.0, False), Axis("y", "nm", 0.04, False), Axis("x", "nm", 0.04, False)]
    given = [told[k] for k in order]
    images, pixel, notes = oriented(IMAGES.transpose(order), given)
    np.testing.assert_array_equal(images, IMAGES)
    assert pixel == pytest.approx(0.4)
    assert bool(notes) == (tuple(order) != (0, 1, 2))


def test_axes_of_which_little_is_said() -> None:
    silent = [Axis("", "", 0.0, False)] * 3
    np.testing.assert_array_equal(oriented(IMAGES, silent)[0], IMAGES)
    # Images are square as a rule.
    square = IMAGES[:, :, :6]
    np.testing.assert_array_equal(oriented(np.moveaxis(square, 0, -1), silent)[0], square)
    stepping = [Axis("z", "nm", 1.0, True), Axis("y", "nm", 0.04, False), Axis("x", "1/nm", 0.04, False)]
    images, pixel, _ = oriented(IMAGES, stepping)
    np.testing.assert_array_equal(images, IMAGES)
    assert pixel is None


def signal(data: np.ndarray, title: str = "", **further: object) -> dict[str, object]:
    axes = [
        {
            "name": name,
            "units": unit,
            "scale": scale,
            "size": n,
            "offset": 0.0,
            "navigate": k == 0,
            **further,
        }
        for k, (name, unit, scale, n) in enumerate(
            zip(("tilt", "y", "x"), ("deg", "nm", "nm"), (2.0, 0.04, 0.04), data.shape, strict=False)
        )
    ]
    return {"data": data, "axes": axes, "metadata": {"General": {"title": title}}}


def test_readers_of_rosettasciio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several stacks, none, a failure, an index that is lacking: one stack or one sentence."""
    found: list[dict[str, object]] = []

    def reader(name: str) -> list[dict[str, object]]:
        if not found:
            raise KeyError("a bug\nin a reader")
        return found

    plugin = {"name": "Fake", "file_extensions": ["dm4"], "api": "a_reader_of_dm4"}
    monkeypatch.setitem(sys.modules, "rsciio", SimpleNamespace(IO_PLUGINS=[plugin]))
    monkeypatch.setitem(sys.modules, "a_reader_of_dm4", SimpleNamespace(file_reader=reader))
    path = tmp_path / "a.dm4"
    path.write_bytes(b"something")
    with pytest.raises(InputError, match="KeyError: 'a bug"):
        read_images(path)
    found.append(signal(IMAGES[0]))
    with pytest.raises(InputError, match="no stack of images"):
        read_images(path)
    found.append(signal(IMAGES, "HAADF"))
    same(read_images(path))
    found.append(signal(IMAGES[:, :, :4], "BF"))
    with pytest.raises(InputError, match=r"2 stacks of images \(HAADF \(5, 6, 7\), BF"):
        read_images(path)
    monkeypatch.setitem(sys.modules, "a_reader_of_dm4", None)
    with pytest.raises(InputError, match="that takes a_reader_of_dm4"):
        read_images(path)


def test_readers_that_run_what_is_in_a_file_are_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = [
        {"name": name, "file_extensions": [name], "api": f"reads_{name}"} for name in ("prz", "zspy")
    ]
    called: list[str] = []
    monkeypatch.setitem(sys.modules, "rsciio", SimpleNamespace(IO_PLUGINS=plugins))
    for name in ("prz", "zspy"):
        monkeypatch.setitem(sys.modules, f"reads_{name}", SimpleNamespace(file_reader=called.append))
        (tmp_path / f"a.{name}").write_bytes(b"something")
    monkeypatch.setitem(sys.modules, "numcodecs.pickles", SimpleNamespace())
    for name, library in (("prz", "rosettasciio"), ("zspy", "numcodecs")):
        with pytest.raises(InputError, match=f"upgrade {library}"):
            read_images(tmp_path / f"a.{name}")
    assert not called


def berkeley(path: Path, data: np.ndarray, order: Sequence[int], first: int) -> None:
    h5py = pytest.importorskip("h5py")
    told = [
        ("angles", "[deg]", 2.0 * np.arange(5)),
        ("y", "[n_m]", 0.04 * np.arange(6)),
        ("x", "[n_m]", 0.04 * np.arange(7)),
    ]
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/tomography")
        group.attrs["emd_group_type"] = 1
        group["data"] = data
        for k, axis in enumerate(order):
            name, unit, values = told[axis]
            dim = group.create_dataset(f"dim{k + first}", data=values)
            dim.attrs["name"], dim.attrs["units"] = np.bytes_(name), np.bytes_(unit)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("first", [0, 1])
def test_emd_of_berkeley(order: Sequence[int], first: int, tmp_path: Path) -> None:
    for ending in ("emd", "h5"):
        path = tmp_path / f"a.{ending}"
        berkeley(path, IMAGES.transpose(order), order, first)
        same(read_images(path))


def test_plain_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = IMAGES, np.arange(5.0)
    found = read_images(path, 0.4)
    same(found)
    assert "data set: exchange/data" in found.notes
    with h5py.File(path, "a") as file:
        file["exchange/white"] = IMAGES[:2]
    with pytest.raises(InputError, match=r"2 stacks of images \(exchange/data \(5, 6, 7\), exchange/white"):
        read_images(path, 0.4)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="cannot be read"):
        read_images(path, 0.4)


def test_hspy(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from rsciio.hspy import file_writer

    whole = signal(IMAGES, _type="UniformDataAxis") | {
        "metadata": {"General": {"title": "a"}, "Signal": {}, "_HyperSpy": {}},
        "original_metadata": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2.0"},
        "learning_results": {},
        "models": {},
    }
    file_writer(str(tmp_path / "a.hspy"), whole)
    same(read_images(tmp_path / "a.hspy"))
    (tmp_path / "a.hspy").rename(tmp_path / "a.h5")
    same(read_images(tmp_path / "a.h5"))
