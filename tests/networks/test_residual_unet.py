"""The network: shapes, shifts, tiles, and that it learns."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from atomfit.networks import Architecture, Calibration, ResidualUNet, TrainedNetwork, look
from atomfit.networks.looking import padded, spans
from atomfit.networks.losses import defocus_loss, height_losses, presence_loss, sites_of
from atomfit.networks.residual_unet import CONDITIONS, STRIDE, gathered, known_features, spread_out
from atomfit.support.errors import InputError

SMALL = Architecture((6, 8, 8), (1, 1, 1), 4)


@pytest.fixture(scope="module")
def network() -> ResidualUNet:
    return ResidualUNet(SMALL, jax.random.key(1))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(20.0, shape).astype(np.float32) / 20


def test_the_default_one_has_about_700_000_weights() -> None:
    shapes = eqx.filter_eval_shape(lambda: ResidualUNet(Architecture(), jax.random.key(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes) if hasattr(leaf, "size"))
    assert 5e5 < count < 1e6


@pytest.mark.parametrize(("rows", "columns"), [(31, 40), (17, 9), (40, 33)])
def test_images_of_odd_sizes_give_maps_of_their_size(
    network: ResidualUNet, rows: int, columns: int
) -> None:
    trained = TrainedNetwork(network, Calibration(), {})
    seen = look(trained, 50 * noise(rows, columns), 0.2, gain=10.0)
    assert seen.presence.shape == (rows, columns)
    assert seen.heights.shape == (rows, columns, 5)
    assert seen.dose == pytest.approx((5 * noise(rows, columns)).mean() / 0.04, rel=1e-5)
    assert seen.defocus_spread > 0


def test_gathering_and_spreading_out_undo_each_other() -> None:
    image = jnp.asarray(noise(8, 12, 3))
    together = gathered(image)
    assert together.shape == (4, 6, 12)
    np.testing.assert_array_equal(together[1, 2], np.asarray(image)[2:4, 4:6].ravel())
    np.testing.assert_array_equal(spread_out(together), image)


@pytest.mark.parametrize("shift", [(STRIDE, 0), (0, -STRIDE), (2 * STRIDE, STRIDE)])
def test_a_shift_by_the_stride_shifts_what_is_seen(network: ResidualUNet, shift: tuple[int, int]) -> None:
    image = np.ones((144, 144), np.float32)
    image[60:84, 60:84] = noise(24, 24)
    known = jnp.asarray(known_features(500.0))
    first = network(jnp.asarray(image), known)
    moved = network(jnp.asarray(np.roll(image, shift, (0, 1))), known)
    # Zeros beyond the edge are seen from within some distance of it.
    inner = (slice(60, 84), slice(60, 84))
    for name in ("presence", "heights"):
        expected = np.roll(np.asarray(getattr(first, name)), shift, (0, 1))
        assert np.ptp(expected[inner]) > 1e-3
        np.testing.assert_allclose(np.asarray(getattr(moved, name))[inner], expected[inner], atol=2e-4)


def test_tiles_give_what_the_whole_image_does(
    network: ResidualUNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = TrainedNetwork(network, Calibration(), {})
    image = noise(150, 200)
    whole = look(trained, image, 0.2)
    cut = {"edge": 128, "overlap": 48}

    from atomfit.networks import looking

    every = looking.tiles
    monkeypatch.setattr(looking, "tiles", lambda shape: every(shape, **cut))
    parts = look(trained, image, 0.2)
    np.testing.assert_allclose(parts.presence, whole.presence, atol=2e-4)
    np.testing.assert_allclose(parts.heights, whole.heights, atol=2e-4)


@pytest.mark.parametrize("length", [5, 96, 97, 150, 151, 400])
def test_every_pixel_is_taken_from_one_tile(length: int) -> None:
    taken = np.zeros(length, int)
    for tile, kept, within in spans(length, 96, 16):
        assert tile.start % STRIDE == 0
        assert tile.stop - tile.start <= 96
        np.testing.assert_array_equal(np.arange(length)[tile][within], np.arange(length)[kept])
        taken[kept] += 1
        # Away from the image's edges what is kept is away from the tile's.
        assert tile.start == 0 or within.start >= 16
        assert tile.stop == length or tile.stop - kept.stop >= 16
    np.testing.assert_array_equal(taken, 1)


def test_an_edge_is_padded_with_its_reflection() -> None:
    image = noise(7, 17)
    found = padded(image)
    assert found.shape == (8, 24)
    np.testing.assert_array_equal(found[7, :17], image[6])
    np.testing.assert_array_equal(found[:7, 17:], image[:, :9:-1])


def test_known_conditions_are_told_from_unknown_ones(network: ResidualUNet) -> None:
    assert known_features(1e3).tolist() == [0.0] * (1 + 2 * len(CONDITIONS))
    assert known_features(1e2, {"defocus": 0.0}).tolist()[:3] == [-1.0, 0.0, 1.0]
    image = jnp.asarray(noise(32, 32))
    said = [
        np.asarray(network(image, jnp.asarray(known_features(dose, given))).presence)
        for dose, given in ((1e3, None), (1e2, None), (1e3, {"defocus": 0.0}))
    ]
    assert np.abs(said[0] - said[1]).max() > 1e-6
    assert np.abs(said[0] - said[2]).max() > 1e-6


@pytest.mark.parametrize("counts", [np.zeros((16, 16)), -np.ones((16, 16)), np.full((16, 16), np.nan)])
def test_an_image_without_electrons_is_refused(network: ResidualUNet, counts: np.ndarray) -> None:
    with pytest.raises(InputError, match="no electrons"):
        look(TrainedNetwork(network, Calibration(), {}), counts, 0.2)


def test_a_small_one_learns_a_small_set() -> None:
    """Columns as Gaussians, brighter the higher they are."""
    rng = np.random.default_rng(3)
    sites = np.stack([rng.permutation(np.arange(4, 28, 8))[:3] for _ in range(8)]).reshape(4, 3, 2)
    heights = rng.integers(1, 5, (4, 3))
    y, x = np.mgrid[:32, :32]
    apart = (y - sites[..., 0, None, None]) ** 2 + (x - sites[..., 1, None, None]) ** 2
    marks = np.exp(-apart / 8)
    images = jnp.asarray(1 + (marks * heights[..., None, None]).sum(1), jnp.float32)
    targets, known = jnp.asarray(marks.max(1), jnp.float32), jnp.asarray(known_features(1e3))
    focus = jnp.asarray([1.0, 2.0, 3.0, 4.0])

    def loss(network: ResidualUNet) -> jax.Array:
        seen = jax.vmap(network, (0, None))(images, known)
        levels = jax.vmap(sites_of)(seen.heights, jnp.asarray(sites)).reshape(12, 5)
        entropy, ranked = height_losses(levels, jnp.asarray(heights.ravel()), jnp.ones(12))
        of_focus = jax.vmap(defocus_loss)(seen.defocus, seen.defocus_spread, focus).mean()
        return 4 * presence_loss(seen.presence, targets) + entropy + ranked + 0.1 * of_focus

    optimiser = optax.adam(1e-2)
    network = ResidualUNet(Architecture((8, 8, 8), (1, 1, 1), 4), jax.random.key(0))
    moments = optimiser.init(eqx.filter(network, eqx.is_array))

    @eqx.filter_jit
    def step(network: ResidualUNet, moments: object) -> tuple[ResidualUNet, object, jax.Array]:
        value, gradient = eqx.filter_value_and_grad(loss)(network)
        update, moments = optimiser.update(gradient, moments)
        return eqx.apply_updates(network, update), moments, value

    values = []
    for _ in range(120):
        network, moments, value = step(network, moments)
        values.append(float(value))
    assert values[-1] < values[0] / 3
