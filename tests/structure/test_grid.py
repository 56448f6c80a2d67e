import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomfit.structure.grid import DensityMap, Grid

lengths = st.floats(0.1, 5.0)
places = st.floats(-500.0, 500.0)
triples = st.tuples(places, places, places)
grids = st.tuples(st.tuples(*[st.integers(1, 40)] * 3), st.tuples(lengths, lengths, lengths), triples)


def made(parts: tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]) -> Grid:
    shape, spacing, origin = parts
    return Grid(shape, np.array(spacing), np.array(origin))


@given(grids, triples)
def test_indices_and_positions_are_inverse(parts: tuple, place: tuple[float, ...]) -> None:
    grid = made(parts)
    position = np.array(place)
    np.testing.assert_allclose(grid.positions_of(grid.indices_of(position)), position, atol=1e-9)


def test_array_order_is_reversed_coordinate_order() -> None:
    grid = Grid((4, 5, 6), np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(grid.positions_of(np.array([1, 2, 3])), [1.3, 2.4, 3.3])
    np.testing.assert_allclose(grid.extent, [0.6, 1.0, 1.2])


@given(grids, st.data())
def test_a_crop_leaves_voxels_where_they_are(parts: tuple, data: st.DataObject) -> None:
    grid = made(parts)
    start = tuple(data.draw(st.integers(0, n - 1)) for n in grid.shape)
    cropped = grid.crop(start, tuple(n - s for n, s in zip(grid.shape, start, strict=True)))
    inner = np.zeros(3, int)
    np.testing.assert_allclose(cropped.positions_of(inner), grid.positions_of(inner + start), atol=1e-9)


def test_offsets_within_a_radius_count_unequal_voxels() -> None:
    grid = Grid((9, 9, 9), np.array([0.5, 1.0, 2.0]), np.zeros(3))
    offsets = grid.offsets_within(1.0)
    # Along z (first) nothing but the centre; along y one voxel each way; along x two.
    assert set(offsets[:, 0]) == {0}
    assert set(offsets[offsets[:, 1] == 0][:, 2]) == {-2, -1, 0, 1, 2}
    assert set(offsets[:, 1]) == {-1, 0, 1}


def test_contains_counts_whole_voxels() -> None:
    grid = Grid((10, 10, 10), np.ones(3), np.zeros(3))
    inside = grid.contains(np.array([[-0.4, 0, 0], [-0.6, 0, 0], [9.4, 9, 9], [9.6, 9, 9]]))
    assert inside.tolist() == [True, False, True, False]


def test_mismatched_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of axes"):
        Grid((3, 3), np.ones(3), np.zeros(3))
    with pytest.raises(ValueError, match="positive"):
        Grid((3, 3, 3), np.array([1.0, 0.0, 1.0]), np.zeros(3))
    with pytest.raises(ValueError, match="do not fit"):
        DensityMap(np.zeros((3, 3, 4), np.float32), Grid((3, 3, 3), np.ones(3), np.zeros(3)))
