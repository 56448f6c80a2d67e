"""Round Gaussians on an image: second derivatives, whichever of their numbers are held."""

from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.rendering.discs import render_discs
from atomfit.rendering.gaussians import Gaussians
from atomfit.rendering.windows import plan_windows
from atomfit.structure.grid import Grid

GRID = Grid((30, 34), np.full(2, 0.3), np.zeros(2))
NUMBERS = {
    "centres": np.array([[3.1, 4.2], [4.0, 5.1], [7.3, 6.6]], np.float32),
    "variances": np.array([0.3, 0.35, 0.5], np.float32),
    "weights": np.array([1.0, 2.0, 0.7], np.float32),
}
PLAN = plan_windows(
    Gaussians(NUMBERS["centres"], NUMBERS["variances"][:, None, None] * np.eye(2), NUMBERS["weights"]), GRID
)


def slow(centres: jax.Array, variances: jax.Array, weights: jax.Array) -> jax.Array:
    y, x = (jnp.asarray(0.3 * i, jnp.float32) for i in np.indices(GRID.shape))
    away = (x[..., None] - centres[:, 0]) ** 2 + (y[..., None] - centres[:, 1]) ** 2
    return jnp.sum(weights / (2 * jnp.pi * variances) * jnp.exp(-0.5 * away / variances), axis=-1)


@pytest.mark.parametrize("free", [c for k in (1, 2, 3) for c in combinations(NUMBERS, k)])
def test_second_derivatives_whatever_is_held(free: tuple[str, ...]) -> None:
    draw = partial(render_discs, plan=PLAN, spacing=jnp.full(2, 0.3), origin=jnp.zeros(2))
    rng = np.random.default_rng(1)
    at = {name: jnp.asarray(NUMBERS[name]) for name in free}
    along = {name: jnp.asarray(rng.normal(size=NUMBERS[name].shape), jnp.float32) for name in free}
    found = []
    for function in (lambda **numbers: draw(*numbers.values()), slow):

        def of_free(numbers: dict[str, jax.Array], function: object = function) -> jax.Array:
            return function(**(NUMBERS | numbers))  # type: ignore[operator]

        def slope(numbers: dict[str, jax.Array], of_free: object = of_free) -> jax.Array:
            return jax.jvp(of_free, (numbers,), (along,))[1]  # type: ignore[arg-type]

        found.append(jax.jvp(slope, (at,), (along,))[1])
    np.testing.assert_allclose(found[0], found[1], atol=2e-4 * np.abs(found[1]).max())
