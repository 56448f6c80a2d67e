"""Large images: every column once, in the image's frame, whatever the pieces."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from atomfit.column_heights.found import DRAWS, Condition, Heights
from atomfit.column_heights.pieces import EDGE, WHOLE, cut_out, in_pieces, joined
from atomfit.networks import ImageSeen
from atomfit.networks.columns_seen import ColumnsSeen
from atomfit.support.errors import InputError

LEVELS = 4


def seen_of(places: Float[np.ndarray, "n 2"], shape: tuple[int, int]) -> ImageSeen:
    """A network that says of each column, by its place, how high it is."""
    heights = np.arange(len(places)) % LEVELS
    return ImageSeen(
        np.arange(np.prod(shape), dtype=np.float32).reshape(shape),
        np.zeros((*shape, LEVELS), np.float32),
        ColumnsSeen(places, np.ones(len(places)), np.eye(LEVELS)[heights]),
        100.0,
        5.0,
        1.0,
    )


def believed(image: Float[np.ndarray, "rows columns"], seen: ImageSeen, defocus: float = 5.0) -> Heights:
    """Heights as a network says, with a model that is the image itself."""
    n = len(seen.columns)
    return Heights(
        seen.columns.positions,
        np.full((n, 2), 0.1),
        seen.columns.probabilities,
        np.zeros(n),
        np.ones(n),
        np.ones(n, bool),
        (Condition("defocus", "nm", defocus, 0.1),),
        seen.dose,
        1.0,
        image,
        1.0,
        levels=np.zeros(n),
    )


@pytest.mark.parametrize(("pixel", "shape"), [(0.2, (400, 520)), (0.15, (400, 300)), (0.2, (128, 400))])
def test_each_column_is_told_once_where_it_is(pixel: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    places = pixel * (rng.uniform(0, 1, (500, 2)) * (np.array(shape[::-1]) - 0.1) - 0.45)
    image = rng.uniform(1, 2, shape)
    sizes = []

    def solve(part: Float[np.ndarray, "rows columns"], seen: ImageSeen) -> Heights:
        sizes.append(max(part.shape) * pixel)
        return believed(part, seen)

    seen = seen_of(places, shape)
    found = in_pieces(image, pixel, seen, pixel, 1.0, solve)
    assert len(sizes) > 1
    assert max(sizes) < EDGE + 1
    order, wanted = np.lexsort(found.positions.T), np.lexsort(places.T)
    np.testing.assert_allclose(found.positions[order], places[wanted], atol=1e-9)
    np.testing.assert_array_equal(found.probabilities[order], seen.columns.probabilities[wanted])
    np.testing.assert_array_equal(found.expected, image)
    # Pieces begin in planes of their own.
    assert np.isnan(found.starts).all()
    assert found.levels is None


def test_a_small_image_is_one_piece() -> None:
    edge = int(WHOLE / 0.2)
    seen, image = seen_of(np.array([[1.0, 2.0]]), (edge, edge)), np.ones((edge, edge))
    found = in_pieces(image, 0.2, seen, 0.2, 1.0, believed)
    assert found.expected is image


def test_maps_on_other_pixels_are_cut_where_the_image_is() -> None:
    seen = seen_of(np.array([[3.0, 1.0], [7.0, 5.0]]), (50, 60))
    cut = cut_out(seen, (slice(40, 80), slice(60, 100)), 0.1, 0.2)
    np.testing.assert_array_equal(cut.presence, seen.presence[20:40, 30:50])
    np.testing.assert_allclose(cut.columns.positions, [[1.0, 1.0]])


def test_conditions_are_means_and_a_piece_without_a_lattice_is_the_networks() -> None:
    places = np.array([[5.0, 5.0], [55.0, 5.0], [95.0, 5.0]])
    seen = seen_of(places, (100, 500))

    def solve(part: Float[np.ndarray, "rows columns"], seen: ImageSeen) -> Heights:
        if not len(seen.columns):
            raise InputError("no columns", "give some")
        if seen.columns.probabilities[0, 1]:
            raise InputError("no lattice", "give one")
        return believed(part, seen, 4.0 if seen.columns.probabilities[0, 0] else 6.0)

    found = in_pieces(np.ones((100, 500)), 0.2, seen, 0.2, 1.0, solve)
    np.testing.assert_array_equal(found.positions[:, 0], places[:, 0])
    np.testing.assert_array_equal(found.on_lattice, [True, False, True])
    (defocus,) = found.conditions
    assert defocus.value == pytest.approx(5.0)
    # Two that differ by 2 nm tell their mean to 1 nm, whatever each says of itself.
    assert defocus.esd == pytest.approx(1.0)


def test_when_a_user_has_had_enough_the_rest_is_the_networks() -> None:
    places = np.array([[5.0, 5.0], [45.0, 5.0], [95.0, 5.0]])
    asked = []

    def solve(part: Float[np.ndarray, "rows columns"], seen: ImageSeen) -> Heights:
        asked.append(len(seen.columns))
        return replace(believed(part, seen), interrupted=len(asked) == 2)

    found = in_pieces(np.ones((100, 500)), 0.2, seen_of(places, (100, 500)), 0.2, 1.0, solve)
    assert found.interrupted
    assert len(asked) == 2
    assert len(found) == 3


def test_pieces_have_nothing_in_common() -> None:
    seen = seen_of(np.zeros((10, 2)), (8, 8))
    one = replace(believed(np.ones((8, 8)), seen), draws=np.repeat([[1], [2]], DRAWS // 2, 0).repeat(10, 1))
    alone = replace(one, draws=None, probabilities=np.tile([0, 0.5, 0.5, 0], (10, 1)))
    whole = joined([one] * 8 + [alone] * 8, 100.0, 1.0, np.ones((8, 8)))
    assert whole.draws is not None
    # Of eight of which each is all of one or all of two, and eighty columns by themselves.
    assert whole.atoms[1] == pytest.approx(np.sqrt(8 * 5.0**2 + 80 * 0.5**2), rel=0.15)
