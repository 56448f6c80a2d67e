"""What a network is trained on: truth stays with its image, whatever is cut, turned and added."""

from pathlib import Path

import numpy as np
import pytest

from experiments.heights.pool import PATCH, SITES, Pool, load, noisy, patch, save
from experiments.heights.specimens import HELD_OUT, PIXEL, Imaged, options_of

SIZE = 160


def planted(seed: int = 0) -> Imaged:
    """Columns as Gaussians whose brightness is their height."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(6, SIZE, 13.0), np.arange(5, SIZE, 17.0)), -1).reshape(-1, 2)
    places += rng.uniform(-2, 2, places.shape)
    heights = rng.integers(0, 8, len(places))
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.ones((SIZE, SIZE))
    for (column, row), height in zip(places, heights, strict=True):
        image += height * np.exp(-0.5 * ((x - column) ** 2 + (y - row) ** 2) / 2.0)
    conditions = np.array([[3.0, -9.0, 2.5, 1.0]], np.float32)
    return Imaged(
        image[None].astype(np.float16),
        conditions,
        (PIXEL * places).astype(np.float32),
        heights.astype(np.int32),
    )


@pytest.mark.parametrize("seed", range(8))
def test_sites_are_where_columns_are(seed: int) -> None:
    made = planted()
    image, features, sites, heights, inside, present, defocus = patch(
        made, 0, 3e4, np.random.default_rng(seed)
    )
    assert image.shape == (PATCH, PATCH)
    assert sites.shape == (SITES, 2)
    assert defocus == 3.0
    assert features[0] == pytest.approx(np.log10(3e4 * made.images.mean(dtype=float)) - 3, abs=0.05)
    clear = (inside > 0) & np.all((sites > 3) & (sites < PATCH - 4), axis=1)
    rows, columns = np.rint(sites[clear]).astype(int).T
    assert clear.sum() > 40
    assert np.corrcoef(image[rows, columns], heights[clear])[0, 1] > 0.95
    np.testing.assert_array_equal(present[clear] > 0, heights[clear] > 0)


def test_noise_is_poissons_and_a_transfer_makes_it_less() -> None:
    mean = np.full((400, 400), 25.0)
    plain, damped = (noisy(mean, t, np.random.default_rng(1)) for t in (1.0, 0.5))
    assert plain.var() == pytest.approx(25.0, rel=0.02)
    k = np.fft.fftfreq(400)
    transfer = 1 / (1 + 4 * (k[:, None] ** 2 + k**2))
    assert damped.var() == pytest.approx(25 * np.mean(transfer**2), rel=0.02)


def test_a_pool_keeps_the_newest_and_draws_the_same_again(tmp_path: Path) -> None:
    for seed in range(5):
        save(tmp_path / f"{seed:08d}.npz", planted(seed))
    (tmp_path / "00000009.npz").write_bytes(b"half")
    pool = Pool(tmp_path, "CeO2", most=4)
    assert list(pool.held) == [2, 3, 4]
    assert not (tmp_path / "00000009.npz").exists()
    first, again, other = pool.batch(3, 7), Pool(tmp_path, "CeO2", 4).batch(3, 7), pool.batch(3, 8)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.sites, again.sites)
    assert not np.array_equal(first.images, other.images)
    np.testing.assert_array_equal(load(tmp_path / "00000002.npz").heights, planted(2).heights)


def test_shapes_that_are_scored_are_never_trained_on() -> None:
    trained = {
        (made.outline, made.profile) for made in (options_of("CeO2", k, "training") for k in range(300))
    }
    scored = {(made.outline, made.profile) for made in (options_of("CeO2", k, "bar") for k in range(20))}
    assert scored == set(HELD_OUT)
    assert len(trained) == 14
    assert not trained & scored
