"""Hot pixels, blank lines and padded borders are found where they were planted, and nowhere else."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from atomfit.doubts.defects import filled, without_defects
from atomfit.doubts.hot_pixels import isolated_pixels

PIXEL, DOSE = 0.15, 1e4
Image = np.ndarray


def clean(
    pixel: float = PIXEL, size: int = 120, width: float = 0.45, part: float = 2.0, under: float = 0.02
) -> Image:
    """Expected electrons of an Å²: columns of 1 to 9 atoms, 2.6 Å apart, within a part of the image."""
    rng, axis = np.random.default_rng(1), np.arange(size) * pixel
    image, edge = np.full((size, size), float(under)), size * pixel
    for x in np.arange(0.7, edge, 2.6):
        for y in np.arange(0.4, edge, 2.6):
            atoms = rng.integers(1, 10)
            if np.hypot(x - edge / 2, y - edge / 2) < part * edge / 2:
                down, across = (np.exp(-0.5 * ((axis - k) / width) ** 2) for k in (y, x))
                image += atoms * 0.025 / (2 * np.pi * width**2) * np.outer(down, across)
    return image


def counts(image: Image, seed: int, dose: float = DOSE, pixel: float = PIXEL) -> Image:
    return np.random.default_rng(seed).poisson(image * dose * pixel**2).astype(np.float32)


def lost(image: Image, pixel: float = PIXEL) -> tuple[Image, dict[str, int]]:
    found = without_defects(np.asarray(image, np.float32), None, pixel)
    return ~found.counted, found.numbers


@pytest.mark.parametrize("times", [2.0, 5.0, 1000.0])
@pytest.mark.parametrize("shape", [((0, 0),), ((0, 0), (0, 1)), ((0, 0), (0, 1), (1, 0), (1, 1))])
def test_hot_pixels_and_small_clusters(times: float, shape: tuple[tuple[int, int], ...]) -> None:
    image = counts(clean(), 2)
    planted = np.zeros(image.shape, bool)
    for row, column in np.random.default_rng(3).integers(3, 116, (6, 2)):
        for down, right in shape:
            planted[row + down, column + right] = True
    image[planted] = times * image.max()
    which, numbers = lost(image)
    np.testing.assert_array_equal(which, planted)
    assert numbers == {"hot": planted.sum()}


def test_larger_clusters_where_pixels_are_fine() -> None:
    image = counts(clean(0.05, 200), 2, 1e6, 0.05)
    planted = np.zeros(image.shape, bool)
    planted[40:43, 90:93] = planted[120:125, 33] = True
    image[planted] = 2 * image.max()
    np.testing.assert_array_equal(lost(image, 0.05)[0], planted)


def test_dead_pixels_and_those_at_an_edge() -> None:
    image = counts(clean(under=0.1), 2, 1e6)
    image[60, 60] = image[31, 90] = 0
    image[0, 50] = image[119, 7] = 3 * image.max()
    which, numbers = lost(image)
    assert numbers == {"hot": 2, "dead": 2}
    assert np.argwhere(which).tolist() == [[0, 50], [31, 90], [60, 60], [119, 7]]


@pytest.mark.parametrize("value", [0.0, -5.0, 4000.0])
def test_blank_lines(value: float) -> None:
    image = counts(clean(), 2)
    image[50:52] = image[70] = value
    image[:, 33] = value
    which, numbers = lost(image)
    assert which[[50, 51, 70]].all()
    assert which[:, 33].all()
    assert which.sum() == numbers["lines"] == 3 * 120 + 117


@pytest.mark.parametrize("value", [0.0, 1.0, -1e4])
def test_a_padded_frame(value: float) -> None:
    image = np.full((170, 160), value, np.float32)
    image[20:140, 30:150] = counts(clean(), 2)
    which, numbers = lost(image)
    inner = np.zeros(image.shape, bool)
    inner[21:139, 31:149] = True
    # One pixel more than was padded is left out, and where the value goes on by chance.
    assert which[~inner].all()
    assert which[inner].mean() < 0.01
    assert numbers == {"border": which.sum()}


@pytest.mark.parametrize("order", [0, 1, 3])
def test_corners_of_a_frame_that_was_turned(order: int) -> None:
    image = counts(clean(size=180), 2)
    turned = rotate(image, 11, reshape=False, order=order, cval=0)
    # What has a part of a pixel from outside.
    outside = rotate(np.ones_like(image), 11, reshape=False, order=1, cval=0) < 0.01
    which, _ = lost(turned)
    assert which[outside].mean() > 0.99
    assert which[~outside].mean() < 0.03


def test_a_strip_of_one_pixel() -> None:
    image = counts(clean(), 2)
    image[:, :1] = image[118:] = 0
    which, _ = lost(image)
    assert which.sum() == 120 + 2 * 119
    assert which[:, 0].all()
    assert which[118:].all()


def _disc(seed: int) -> Image:
    """Columns amid a vacuum that is exactly none."""
    return counts(np.where(clean(part=0.6, under=0) < 1e-6, 0, clean(part=0.6, under=0)), seed)


def _jittered(seed: int) -> Image:
    shifts = np.rint(np.random.default_rng(seed).normal(0, 1, 120)).astype(int)
    lines = [np.roll(line, k) for line, k in zip(clean(), shifts, strict=True)]
    return counts(np.array(lines), seed)


def _pulses(seed: int) -> Image:
    """Few electrons, each of which gives a pulse of another height."""
    rng = np.random.default_rng(seed)
    number = counts(clean(part=0.6, under=0.003), seed, 300)
    return 30 * rng.gamma(np.maximum(number, 1e-9)) + rng.normal(0, 2, number.shape)


def _of_8_bits(image: Image, highest: float) -> Image:
    return np.clip(np.rint(255 * image / highest), 0, 255)


def _loud(seed: int) -> Image:
    return clean() + 0.03 * np.random.default_rng(seed).normal(size=(120, 120))


def _coarse(seed: int) -> Image:
    return clean(0.3, part=0.6, under=0) + 0.002 * np.random.default_rng(seed).normal(size=(120, 120))


NOTHING: dict[str, tuple[Callable[[int], Image], float]] = {
    "hardly any counts": (lambda seed: counts(np.full((200, 200), 0.01), seed, 10, 0.1), 0.1),
    "single counts": (lambda seed: counts(clean(), seed, 30), PIXEL),
    "few counts": (lambda seed: counts(clean(), seed, 1000), PIXEL),
    "many counts": (lambda seed: counts(clean(), seed, 1e7), PIXEL),
    "coarse pixels": (lambda seed: counts(clean(0.4), seed, DOSE, 0.4), 0.4),
    "coarse pixels, many counts": (lambda seed: counts(clean(0.4), seed, 1e6, 0.4), 0.4),
    "coarse pixels, narrow columns": (lambda seed: counts(clean(0.3, width=0.25), seed, 1e6, 0.3), 0.3),
    "saturated": (lambda seed: np.minimum(_loud(seed), 0.15), PIXEL),
    "saturated, 8 bits": (lambda seed: _of_8_bits(_loud(seed), 0.15), PIXEL),
    "cut off below, 8 bits": (lambda seed: _of_8_bits(_loud(seed) - 0.03, 0.3), PIXEL),
    "empty vacuum": (_disc, PIXEL),
    "columns amid nothing": (lambda seed: counts(clean(0.3, width=0.25, under=0), seed, 1e3, 0.3), 0.3),
    "finer columns amid nothing": (
        lambda seed: counts(clean(0.2, width=0.25, under=0), seed, DOSE, 0.2),
        0.2,
    ),
    "cut off below, coarse": (lambda seed: _of_8_bits(_coarse(seed) - 0.005, 0.2), 0.3),
    "no noise": (lambda seed: clean(part=0.5, under=0), PIXEL),
    "no noise, 8 bits": (lambda seed: _of_8_bits(clean(part=0.5, under=0), 0.3), PIXEL),
    "dark columns": (lambda seed: 1 - _loud(seed), PIXEL),
    "jitter": (_jittered, PIXEL),
    "pulses": (_pulses, PIXEL),
    "coloured": (lambda seed: gaussian_filter(_loud(seed), 0.7), PIXEL),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_else_is_left_out(kind: str) -> None:
    make, pixel = NOTHING[kind]
    for seed in range(3):
        assert lost(make(seed), pixel)[1] == {}


def test_of_many_images_of_noise_none_has_a_hot_pixel() -> None:
    rng = np.random.default_rng(5)
    for mean in np.geomspace(0.01, 100, 16):
        image = rng.poisson(mean, (150, 150)).astype(np.float32)
        hot, dead = isolated_pixels(image, np.ones(image.shape, bool), 0.1)
        assert not (hot | dead).any()


def test_what_was_lost_is_filled_with_what_is_about_it() -> None:
    rows, columns = np.mgrid[:60, :50].astype(np.float32)
    image, counted = 3 * rows + columns, np.ones((60, 50), bool)
    counted[20, 30] = counted[40:42] = False
    counted[:, :8] = False
    spoilt = np.where(counted, image, 1e6)
    found = filled(spoilt, counted)
    np.testing.assert_array_equal(found[counted], image[counted])
    assert np.abs(found - image)[20, 30] < 3
    assert np.abs(found - image)[40:42, 8:].max() < 9
    assert found[~counted].max() <= image.max()


def test_the_warning_says_how_many_of_which_kind() -> None:
    image = counts(clean(), 2)
    image[50:52] = 0
    image[80, 80] = 1e4
    (told,) = without_defects(image, None, PIXEL).told()
    assert told == "pixels that were not measured do not count: 240 in lines of one value, 1 hot"
    assert without_defects(counts(clean(), 2), None, PIXEL).told() == []
