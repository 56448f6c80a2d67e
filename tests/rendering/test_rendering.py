"""The fast renderer against the slow one, its derivatives against finite differences."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.rendering import Gaussians, plan_windows, render, render_map, render_reference
from atomfit.rendering.windows import BLOCK, _add_one_by_one, _add_together
from atomfit.structure.grid import Grid

pytestmark = pytest.mark.optimised

GRID = Grid((22, 26, 30), np.array([0.41, 0.36, 0.33]), np.array([5.0, -3.0, 100.0]))


def some_gaussians(n: int, grid: Grid, seed: int = 0) -> Gaussians:
    """Gaussians anywhere in the box, and one beyond its corner."""
    rng = np.random.default_rng(seed)
    d = grid.ndim
    centres = grid.origin + rng.uniform(size=(n, d)) * grid.extent
    centres[0] = grid.origin - 0.5
    root = 0.3 * rng.normal(size=(n, d, d))
    matrices = root @ np.swapaxes(root, 1, 2) + 0.15 * np.eye(d)
    return Gaussians(centres, matrices, rng.uniform(0.5, 1.5, n))


def compiled(gaussians: Gaussians, grid: Grid, cutoff: float) -> np.ndarray:
    plan = plan_windows(gaussians, grid, cutoff)
    draw = jax.jit(lambda g: render(g, plan, grid.spacing, grid.origin))
    return np.asarray(draw(jax.tree.map(lambda x: np.asarray(x, np.float32), gaussians)))


def plane(shape: tuple[int, int]) -> Grid:
    return Grid(shape, np.array([0.4, 0.3]), np.array([2.0, -1.0]))


@pytest.mark.parametrize("grid", [GRID, plane((30, 41))], ids=["map", "image"])
@pytest.mark.parametrize("n", [1, 9, BLOCK + 3])
def test_fast_and_slow_agree(grid: Grid, n: int) -> None:
    gaussians = some_gaussians(n, grid)
    reference = render_reference(gaussians, grid)
    difference = np.abs(render_map(gaussians, grid, cutoff=7.0) - reference)
    assert difference.max() < 5e-6 * reference.max()
    # Far from the middle of its window, as beyond the box, an exponent is a difference of large numbers.
    difference = np.abs(compiled(gaussians, grid, 7.0) - reference)
    assert difference.max() < 1e-5 * reference.max()


def test_windows_are_no_larger_than_the_ellipsoids() -> None:
    rng = np.random.default_rng(0)
    grid = Grid((30, 30, 30), np.full(3, 0.5), np.zeros(3))
    gaussians = Gaussians(rng.uniform(5, 10, (50, 3)), np.tile(0.25 * np.eye(3), (50, 1, 1)), np.ones(50))
    plan = plan_windows(gaussians, grid, cutoff=4.0)
    assert plan.window == (9, 9, 9)
    centres = np.asarray(gaussians.centres)[plan.order]
    first = grid.positions_of(plan.starts)
    last = grid.positions_of(np.asarray(plan.starts) + 8)
    assert np.all(first >= centres - 2.0)
    assert np.all(first - 0.5 < centres - 2.0)
    assert np.all(last + 0.5 > centres + 2.0)


@pytest.mark.parametrize("ratio", [1.0, 4.0, 9.0])
@pytest.mark.parametrize("seed", range(4))
def test_strong_anisotropy_in_any_orientation(ratio: float, seed: int) -> None:
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    matrix = turn @ np.diag([0.1, 0.1, 0.1 * ratio]) @ turn.T
    grid = Grid((40, 40, 40), np.full(3, 0.3), np.zeros(3))
    gaussians = Gaussians(np.array([[6.1, 6.05, 5.93]]), matrix[None], np.ones(1))
    reference = render_reference(gaussians, grid)
    # At 4.5 standard deviations a Gaussian has fallen to 4e-5 of its peak.
    for density in (render_map(gaussians, grid), compiled(gaussians, grid, 4.5)):
        assert np.abs(density - reference).max() < 5e-5 * reference.max()


def test_nothing_wraps_round_the_box() -> None:
    grid = Grid((20, 20, 20), np.full(3, 0.4), np.zeros(3))
    gaussians = Gaussians(np.zeros((1, 3)), 0.3 * np.eye(3)[None], np.ones(1))
    density = render_map(gaussians, grid, cutoff=6.0)
    assert density[0, 0, 0] == density.max()
    assert density[10:].max() < 1e-9
    assert density[:, 10:].max() < 1e-9


def test_no_atoms_make_an_empty_map() -> None:
    none = Gaussians(np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros(0))
    assert not render_map(none, GRID).any()


@pytest.mark.parametrize("grid", [GRID, plane((20, 24))], ids=["map", "image"])
@pytest.mark.parametrize("field", ["centres", "matrices", "weights"])
@pytest.mark.parametrize("n", [5, BLOCK + 1])
def test_gradient_against_finite_differences(grid: Grid, field: str, n: int) -> None:
    gaussians = some_gaussians(n, grid)
    plan = plan_windows(gaussians, grid, cutoff=7.0)
    rng = np.random.default_rng(1)
    test_map = rng.normal(size=grid.shape)

    def projection(g: Gaussians) -> jax.Array:
        return jnp.sum(render(g, plan, grid.spacing, grid.origin) * jnp.asarray(test_map, jnp.float32))

    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), gaussians)
    gradient = getattr(jax.jit(jax.grad(projection))(single), field)
    direction = rng.normal(size=gradient.shape)
    if field == "matrices":
        direction += np.swapaxes(direction, 1, 2)

    def shifted(step: float) -> float:
        moved = eqx.tree_at(
            lambda g: getattr(g, field), gaussians, getattr(gaussians, field) + step * direction
        )
        return float(np.sum(render_reference(moved, grid) * test_map))

    expected = (shifted(1e-5) - shifted(-1e-5)) / 2e-5
    assert float(np.sum(np.asarray(gradient) * direction)) == pytest.approx(expected, rel=1e-3)


def test_forward_and_second_derivatives_exist_and_agree() -> None:
    gaussians = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), some_gaussians(4, GRID))
    plan = plan_windows(gaussians, GRID, cutoff=6.0)
    target = 1.3 * render_map(gaussians, GRID, cutoff=6.0)

    @jax.jit
    def loss(g: Gaussians) -> jax.Array:
        return jnp.sum((render(g, plan, GRID.spacing, GRID.origin) - target) ** 2)

    direction = jax.tree.map(lambda x: jnp.full_like(x, 0.01), gaussians)

    def along(tree: Gaussians) -> float:
        pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(direction), strict=True)
        return float(sum(jnp.vdot(a, b) for a, b in pairs))

    gradient = jax.jit(jax.grad(loss))
    _, forward = jax.jit(lambda g, t: jax.jvp(loss, (g,), (t,)))(gaussians, direction)
    assert float(forward) == pytest.approx(along(gradient(gaussians)), rel=1e-4)
    _, curvature = jax.jit(lambda g, t: jax.jvp(jax.grad(loss), (g,), (t,)))(gaussians, direction)
    step = 0.05
    ends = [
        along(gradient(jax.tree.map(lambda x, t, s=s: x + s * step * t, gaussians, direction)))
        for s in (-1, 1)
    ]
    assert along(curvature) == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-2)


def test_two_devices_draw_what_one_draws() -> None:
    """An odd number of Gaussians, several blocks a device: map, gradient, second derivative."""
    gaussians = some_gaussians(2 * BLOCK + 5, GRID)
    gaussians = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), gaussians)
    target = np.random.default_rng(2).normal(size=GRID.shape).astype(np.float32)

    def derivatives(devices: int) -> tuple:
        plan = plan_windows(gaussians, GRID, devices=devices)

        def projection(g: Gaussians) -> jax.Array:
            return jnp.sum((render(g, plan, GRID.spacing, GRID.origin) - target) ** 2)

        def all_of_them(g: Gaussians) -> tuple:
            gradient, curvature = jax.jvp(jax.grad(projection), (g,), (g,))
            return render(g, plan, GRID.spacing, GRID.origin), gradient, curvature

        return jax.tree.leaves(jax.jit(all_of_them)(gaussians))

    for one, two in zip(derivatives(1), derivatives(2), strict=True):
        # Blocks are other ones, and float32 adds up in another order.
        np.testing.assert_allclose(two, one, atol=5e-5 * np.abs(one).max())


@pytest.mark.parametrize("grid", [GRID, plane((30, 41))], ids=["map", "image"])
def test_all_ways_to_add_windows_agree(grid: Grid) -> None:
    """Those of processors and of accelerators, in blocks of any size."""
    gaussians = some_gaussians(150, grid)
    plan = plan_windows(gaussians, grid)
    values = np.random.default_rng(0).normal(size=(150, *plan.window)).astype(np.float32)
    empty = np.zeros(grid.shape, np.float32)
    one_by_one, together = (
        jax.jit(add)(plan.starts, empty, values) for add in (_add_one_by_one, _add_together)
    )
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)

    def drawn(block: int) -> jax.Array:
        other = dataclasses.replace(plan, block=block)
        return jax.jit(lambda g: render(g, other, grid.spacing, grid.origin))(gaussians)

    expected = drawn(plan.block)
    for block in (7, 4096):
        np.testing.assert_allclose(drawn(block), expected, atol=1e-4)


def test_integral_is_the_weight() -> None:
    grid = Grid((40, 40, 40), np.array([0.3, 0.35, 0.25]), np.zeros(3))
    gaussians = Gaussians(grid.centre[None], 0.25 * np.eye(3)[None], np.array([3.0]))
    total = render_map(gaussians, grid, cutoff=7.0).sum() * grid.voxel_volume
    assert total == pytest.approx(3.0, rel=1e-4)
