import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.projection.images import Camera, draw_view
from atomfit.projection.model import Drawn, EachView, turned
from atomfit.projection.probe import Probe

PIXEL, SHAPE = 0.4, (30, 41)
CENTRE = np.array([20.3, 14.6])
draw = eqx.filter_jit(draw_view)


def case(oblique: bool, seed: int = 0) -> tuple[Drawn, EachView, np.ndarray]:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-7, 7, (20, 3))
    spreads = rng.uniform(0.1, 0.4, 20)
    if oblique:
        factor = 0.2 * rng.normal(size=(20, 3, 3))
        spreads = factor @ np.swapaxes(factor, 1, 2) + 0.1 * np.eye(3)
    table = rng.uniform(-0.3, 1, (5, 3))
    probe = Probe(*(jnp.asarray(x, jnp.float32) for x in ([0.02, 0.2, 0.6], table, [0.1, -0.1, 0.2], 6.0)))
    drawn = Drawn(
        *(jnp.asarray(x, jnp.float32) for x in (positions, spreads, rng.uniform(0.5, 2, 20))), probe
    )
    each = (rng.normal(size=3) * 0.02, rng.normal(size=2), 1.3, 0.2)
    view = EachView(*(jnp.asarray(x, jnp.float32) for x in each))
    return drawn, view, Rotation.random(random_state=seed).as_matrix()


def reference(drawn: Drawn, view: EachView, rotation: np.ndarray) -> np.ndarray:
    """Every Gaussian of every atom at every pixel."""
    frame = Rotation.from_rotvec(np.asarray(view.turns)).as_matrix() @ rotation
    image = np.zeros(SHAPE)
    v, u = np.indices(SHAPE)
    weights = np.asarray(
        drawn.probe.weights(jnp.asarray(np.asarray(drawn.positions) @ frame[2], jnp.float32))
    )
    for i, x in enumerate(np.asarray(drawn.positions, float)):
        place = (frame @ x)[:2] + np.asarray(view.shifts)
        apart = np.stack([(u - CENTRE[0]) * PIXEL - place[0], (v - CENTRE[1]) * PIXEL - place[1]], -1)
        spread = np.asarray(drawn.spreads, float)[i]
        shape = spread * np.eye(2) if np.ndim(spread) == 0 else frame[:2] @ spread @ frame[:2].T
        for weight, variance in zip(weights[i], np.asarray(drawn.probe.variances), strict=True):
            total = shape + variance * np.eye(2)
            exponent = np.einsum("rca,ab,rcb->rc", apart, np.linalg.inv(total), apart)
            height = float(drawn.amplitudes[i]) * weight / (2 * np.pi * np.sqrt(np.linalg.det(total)))
            image += height * np.exp(-exponent / 2)
    return float(view.gains) * image + float(view.backgrounds)


def camera(drawn: Drawn, cutoff: float = 6.0) -> Camera:
    return Camera.for_widths(PIXEL, SHAPE, 0.5, np.asarray(drawn.probe.variances), cutoff)


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_images_are_those_of_a_plain_sum(oblique: bool, seed: int) -> None:
    drawn, view, rotation = case(oblique, seed)
    found = draw(drawn, view, rotation, CENTRE, camera(drawn))
    np.testing.assert_allclose(found, reference(drawn, view, rotation), atol=3e-5)


def test_windows_of_four_standard_deviations_suffice() -> None:
    drawn, view, rotation = case(oblique=False)
    found = draw(drawn, view, rotation, CENTRE, camera(drawn, cutoff=4.0))
    wanted = reference(drawn, view, rotation)
    assert np.abs(found - wanted).max() < 1e-3 * wanted.max()


def test_round_atoms_are_the_same_drawn_either_way() -> None:
    drawn, view, rotation = case(oblique=False)
    matrices = drawn.spreads[:, None, None] * jnp.eye(3)
    a = draw(drawn, view, rotation, CENTRE, camera(drawn))
    b = draw(drawn._replace(spreads=matrices), view, rotation, CENTRE, camera(drawn))
    np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("oblique", [False, True])
def test_derivatives_are_those_of_finite_differences(oblique: bool) -> None:
    drawn, view, rotation = case(oblique)
    weight = jnp.asarray(np.random.default_rng(3).normal(size=SHAPE), jnp.float32)

    @jax.jit
    def value(numbers: tuple[Drawn, EachView]) -> jax.Array:
        return jnp.vdot(weight, draw_view(*numbers, rotation, CENTRE, camera(drawn)))

    at = (drawn, view)
    slope = jax.jit(jax.grad(value))(at)
    rng = np.random.default_rng(4)
    for _ in range(4):
        along = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32) * 0.02, at)
        if oblique:
            symmetric = along[0].spreads + jnp.swapaxes(along[0].spreads, 1, 2)
            along = (along[0]._replace(spreads=symmetric), along[1])
        up, down = (
            float(value(jax.tree.map(lambda x, a, s=sign: x + s * a, at, along))) for sign in (0.1, -0.1)
        )
        wanted = (up - down) / 0.2
        products = jax.tree.map(lambda a, b: float(jnp.vdot(a, b)), slope, along)
        assert sum(jax.tree.leaves(products)) == pytest.approx(wanted, rel=0.02, abs=0.02)
        assert float(jax.jvp(value, (at,), (along,))[1]) == pytest.approx(wanted, rel=0.02, abs=0.02)


def test_small_turns_are_rotations() -> None:
    turn = np.array([0.1, -0.2, 0.15])
    rotation = Rotation.random(random_state=2).as_matrix()
    wanted = Rotation.from_rotvec(turn).as_matrix() @ rotation
    found = turned(jnp.asarray(turn, jnp.float32), jnp.asarray(rotation, jnp.float32))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
