"""Stacks of images: written and read back, gzipped or not; masks; and what is no stack."""

import gzip
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile

from atomfit.io.image_stacks import read_images, stack_of, write_images
from atomfit.io.pictures import grey, png
from atomfit.support.errors import InputError

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 6)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_images(tmp_path / "i.mrc", IMAGES, 0.4)
    return tmp_path / "i.mrc"


def test_stacks_are_read_back(path: Path) -> None:
    packed = path.with_suffix(".mrc.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    array = path.with_suffix(".npy")
    np.save(array, IMAGES)
    for found in (read_images(path), read_images(packed), read_images(array, 0.4), stack_of(IMAGES, 0.4)):
        np.testing.assert_array_equal(found.images, IMAGES)
        assert found.pixel == pytest.approx(0.4)
        assert found.counted.all()
    with mrcfile.open(path) as file:
        assert file.is_image_stack()


def test_a_pixel_size_that_is_given_replaces_the_headers(path: Path) -> None:
    assert read_images(path, 0.7).pixel == 0.7


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_pixels_that_were_not_measured_are_masked(value: float, path: Path) -> None:
    images = IMAGES.copy()
    images[1, 2:4, 3] = value
    changed(path, images)
    found = read_images(path, mask_value=value)
    expected = np.ones(IMAGES.shape, bool)
    expected[1, 2:4, 3] = False
    np.testing.assert_array_equal(found.counted, expected)
    assert any("mask: 1.4 %" in note for note in found.notes)


def changed(path: Path, images: np.ndarray = IMAGES, **header: object) -> None:
    path.unlink()
    write_images(path, images, 0.4)
    with mrcfile.open(path, mode="r+") as file:
        for name, value in header.items():
            if name == "cella":
                file.header.cella = value
            else:
                file.header[name] = value


def with_value(place: tuple[object, ...], value: float) -> np.ndarray:
    images = IMAGES.copy()
    images[place] = value  # type: ignore[index]
    return images


def test_what_is_refused(path: Path) -> None:
    cases = [
        ({"images": with_value((1, 2, 3), np.nan)}, "1 pixels of image 1 are no numbers"),
        ({"images": with_value((2, 2), np.inf)}, "6 pixels of image 2"),
        ({"images": with_value((2,), 3)}, "all pixels of image 2 are 3"),
        ({"cella": (2.4, 3.6, 1.2)}, "0.45 Å from row to row"),
        ({"cella": (0, 0, 0)}, "pixel size is unknown"),
        ({"ispg": 401}, "stack of volumes"),
        ({"mapc": 2, "mapr": 1}, "columns, rows and sections"),
        ({"nz": 1}, "not several images"),
        ({"nz": 4}, "promises"),
        ({"mode": 4}, "Fourier"),
    ]
    for change, expected in cases:
        changed(path, **change)
        with pytest.raises(InputError, match=expected):
            read_images(path)
    changed(path, with_value((0,), 0.0))
    with pytest.raises(InputError, match="no pixel of image 0 counts"):
        read_images(path, mask_value=0.0)
    for pixel in (0.0, -1.0, float("nan"), 1e3):
        with pytest.raises(InputError, match="pixel"):
            read_images(path, pixel)
    with pytest.raises(InputError, match="not several images"):
        stack_of(IMAGES[0], 0.4)
    with pytest.raises(InputError, match="no real numbers"):
        stack_of(IMAGES.astype(complex), 0.4)
    with pytest.raises(InputError, match="has no pixel size"):
        stack_of(IMAGES, None)
    tifffile.imwrite(path.with_suffix(".tif"), IMAGES.astype(np.float32), photometric="minisblack")
    with pytest.raises(InputError, match="the file does not say how large a pixel is"):
        read_images(path.with_suffix(".tif"))


def test_the_third_length_of_the_cell_means_nothing(path: Path) -> None:
    changed(path, cella=(2.4, 3.2, 0.0))
    assert read_images(path).pixel == pytest.approx(0.4)


def test_pictures_are_png(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    levels = grey(IMAGES[0])
    (tmp_path / "p.png").write_bytes(png(levels))
    with image.open(tmp_path / "p.png") as read:
        np.testing.assert_array_equal(np.asarray(read), levels)


def test_files_of_microscopes_are_read_with_their_pixels(tmp_path: Path) -> None:
    ripple = pytest.importorskip("rsciio.ripple")
    images = np.random.default_rng(0).random((4, 6, 5)).astype(np.float32)
    sizes = (("tilt", 4, 2.0, "deg"), ("y", 6, 0.04, "nm"), ("x", 5, 0.04, "nm"))
    axes = [
        {
            "name": name,
            "size": size,
            "offset": 0.0,
            "scale": scale,
            "units": unit,
            "navigate": i == 0,
            "index_in_array": i,
        }
        for i, (name, size, scale, unit) in enumerate(sizes)
    ]
    about = {"metadata": {"General": {}, "Signal": {}}, "original_metadata": {}}
    ripple.file_writer(str(tmp_path / "images.rpl"), {"data": images, "axes": axes, **about})
    stack = read_images(tmp_path / "images.rpl")
    np.testing.assert_array_equal(stack.images, images)
    assert stack.pixel == pytest.approx(0.4)
    assert stack.notes[0].endswith("from the file")
    assert read_images(tmp_path / "images.rpl", pixel_size=0.3).pixel == pytest.approx(0.3)


@pytest.mark.parametrize(("name", "expected"), [("a.dm4", "cannot be read"), ("a.rpl", "cannot be read")])
def test_what_no_program_reads_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    pytest.importorskip("rsciio")
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=expected):
        read_images(tmp_path / name)
