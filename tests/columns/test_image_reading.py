"""One image is read whatever wrote it, and what cannot be right is refused in one sentence."""

from pathlib import Path

import jaxtyping
import mrcfile
import numpy as np
import pytest
import tifffile
from PIL import Image

from atomfit.io.images import image_of, read_image
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError
from atomfit.workflows.columns import columns, measured

PICTURE = np.arange(24 * 32, dtype=np.float32).reshape(24, 32)


def mrc(path: Path, values: np.ndarray, size: float = 0.125, origin: tuple[float, ...] = (0, 0, 0)) -> Path:
    with mrcfile.new(path, data=values) as file:
        file.voxel_size = size
        file.header.origin = origin
    return path


def test_mrc_has_pixel_size_and_origin(tmp_path: Path) -> None:
    read = read_image(mrc(tmp_path / "a.mrc", PICTURE, origin=(1.0, 2.0, 0)))
    np.testing.assert_array_equal(read.image.values, PICTURE)
    np.testing.assert_allclose(read.image.grid.spacing, 0.125, rtol=1e-6)
    np.testing.assert_allclose(read.image.grid.origin, [1.0, 2.0])


def test_big_endian_16_bits_are_read_right(tmp_path: Path) -> None:
    values = PICTURE.astype(">u2")
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=">")
    np.save(tmp_path / "a.npy", values)
    for name in ("a.tif", "a.npy"):
        np.testing.assert_array_equal(read_image(tmp_path / name, 0.1).image.values, PICTURE)


def test_png_of_8_bits_is_warned_of(tmp_path: Path) -> None:
    levels = (PICTURE / 4).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png", 0.1)
    np.testing.assert_array_equal(read.image.values, levels)
    assert any("8 bits" in warning for warning in read.warnings)


def test_frames(tmp_path: Path) -> None:
    stack = np.stack([PICTURE, PICTURE + 2, PICTURE + 4])
    path = mrc(tmp_path / "a.mrc", stack)
    with pytest.raises(InputError, match="3 images; say which with --frame"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, frame=1).image.values, PICTURE + 2)
    np.testing.assert_array_equal(read_image(path, frame="mean").image.values, PICTURE + 2)
    with pytest.raises(InputError, match="no frame 3; give 0 to 2"):
        read_image(path, frame=3)


@pytest.mark.parametrize("size", [1.0, 0.0125, 2.5])
def test_a_pixel_size_that_cannot_be_is_asked_for(tmp_path: Path, size: float) -> None:
    path = mrc(tmp_path / "a.mrc", PICTURE, size)
    with pytest.raises(InputError, match="give it with --pixel-size"):
        read_image(path)
    assert read_image(path, 0.1).image.grid.spacing[0] == pytest.approx(0.1)


def test_dots_an_inch_are_no_pixel_size(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, resolution=(72, 72), resolutionunit="INCH")
    with pytest.raises(InputError, match="does not say how large a pixel is"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (PICTURE + 1j, "complex"),
        (np.full((24, 32), np.nan), "no pixel is a number"),
        (np.ones((24, 32)), "all pixels are 1"),
        (np.random.default_rng(0).random((24, 32, 3)), "colours"),
        (np.ones(24), "is no image"),
        (np.random.default_rng(0).random((4, 4)), "shows no columns"),
    ],
)
def test_arrays_that_are_no_image(values: np.ndarray, told: str) -> None:
    with pytest.raises(InputError, match=told):
        image_of(values, 0.1)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.mrc").touch()
    for name in ("text.mrc", "text.tif", "text.png", "text.npy", "text.dm4"):
        (tmp_path / name).write_text("this is no image\n" * 100)
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    colours = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    huge = bytearray(mrc(tmp_path / "huge.mrc", PICTURE).read_bytes())
    huge[0:8] = np.array([65536, 65536], "<i4").tobytes()
    (tmp_path / "huge.mrc").write_bytes(bytes(huge))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError) as refusal:
            read_image(path, 0.1)
        assert path.name in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_what_is_no_element_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of users nobody checks types.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for wrong in (78, 0, 2.5, ["Pt", None], "Unobtainium"):
        with pytest.raises(InputError, match=r"give one, as 'Pt'|give a chemical symbol"):
            columns(PICTURE, wrong, pixel_size=0.1)  # type: ignore[arg-type]
    for none in (None, "", (), []):
        with pytest.raises(InputError, match="does not say how large a pixel is"):
            columns(PICTURE, none)


def test_pixels_that_are_no_numbers_do_not_count() -> None:
    values = PICTURE.copy()
    values[3, 4] = np.nan
    read = image_of(values, 0.1)
    assert read.image.counted is not None
    assert not read.image.counted[3, 4]
    assert np.isfinite(read.image.values).all()
    assert image_of(DensityMap.from_array(PICTURE, 0.1)).image.grid.spacing[1] == 0.1


def test_a_blank_line_and_a_hot_pixel_are_left_out_and_told() -> None:
    image = np.random.default_rng(0).poisson(30, (60, 50)).astype(np.float32)
    image[20], image[40, 30] = 0, 900
    found = measured(image_of(image, 0.1))
    assert found.left_out == {"lines": 50, "hot": 1}
    assert found.image.counted is not None
    assert found.image.counted.sum() == image.size - 51
    assert abs(found.image.values[20].mean() - 30) < 2
    assert any("do not count: 50 in lines of one value, 1 hot" in one for one in found.warnings)
    sound = image_of(image[:19], 0.1)
    assert measured(sound).image.counted is None


def test_pictures_are_named_and_palettes_are_what_they_show(tmp_path: Path) -> None:
    levels = (PICTURE / 4).astype(np.uint8)
    for name in ("gif", "bmp"):
        Image.fromarray(levels).save(tmp_path / f"a.{name}")
        with pytest.raises(InputError, match=f"this is a {name.upper()} image"):
            read_image(tmp_path / f"a.{name}", 0.1)
    for name in ("a.tif", "a.npy", "a.png"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(InputError, match="the file is empty; write it again, or give another"):
            read_image(tmp_path / name, 0.1)
    picture = Image.fromarray(levels, mode="P")
    picture.putpalette([value for k in range(256) for value in (k, k, k)])
    picture.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", 0.1).image.values, levels)
    picture.putpalette([value for k in range(256) for value in (k, 255 - k, k)])
    picture.save(tmp_path / "colours.png")
    with pytest.raises(InputError, match=r"a picture in colours \(3 channels\)"):
        read_image(tmp_path / "colours.png", 0.1)


def test_a_start_is_read_before_anything_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomfit.workflows.columns.find_scale", None)
    (tmp_path / "far.csv").write_text("x_px,y_px\n500,700\n", encoding="utf-8")
    for name, told in (
        ("", "no columns.csv in this directory"),
        ("far.csv", "none of these columns is in"),
    ):
        with pytest.raises(InputError, match=told):
            columns(PICTURE, pixel_size=0.1, start=tmp_path / name)
