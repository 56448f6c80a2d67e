"""Losses beside a slow reference, and what minimises them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from atomfit.networks.losses import defocus_loss, height_losses, presence_loss, sites_of


@pytest.mark.parametrize("focus", [0.0, 1.0, 2.0])
def test_presence_beside_a_loop(focus: float) -> None:
    rng = np.random.default_rng(0)
    logits, target = rng.normal(0, 3, (5, 7)), rng.uniform(0, 1, (5, 7))
    total = 0.0
    for logit, t in zip(logits.ravel(), target.ravel(), strict=True):
        p = 1 / (1 + np.exp(-logit))
        total -= abs(t - p) ** focus * (t * np.log(p) + (1 - t) * np.log(1 - p))
    found = presence_loss(jnp.asarray(logits, jnp.float32), jnp.asarray(target, jnp.float32), focus)
    assert float(found) == pytest.approx(total / 35, rel=1e-5)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_presence_is_finite_where_it_is_sure_and_wrong(logit: float) -> None:
    value, slope = jax.value_and_grad(presence_loss)(jnp.full((2, 2), logit), jnp.full((2, 2), 0.5))
    assert float(value) == pytest.approx(100.0)
    assert np.isfinite(slope).all()


def test_heights_beside_a_loop() -> None:
    rng = np.random.default_rng(1)
    logits, heights, weights = (
        rng.normal(0, 2, (6, 5)),
        rng.integers(0, 5, 6),
        np.array([1, 0, 2, 1, 0.5, 0]),
    )
    entropy = ranked = 0.0
    for row, height, weight in zip(logits, heights, weights, strict=True):
        p = np.exp(row) / np.exp(row).sum()
        entropy -= weight * np.log(p[height])
        ranked += weight * sum((p[: k + 1].sum() - (k >= height)) ** 2 for k in range(5))
    found = height_losses(
        jnp.asarray(logits, jnp.float32), jnp.asarray(heights), jnp.asarray(weights, jnp.float32)
    )
    np.testing.assert_allclose([float(x) for x in found], np.array([entropy, ranked]) / 4.5, rtol=1e-5)


def test_no_column_costs_nothing() -> None:
    found = height_losses(jnp.zeros((3, 4)), jnp.zeros(3, int), jnp.zeros(3))
    assert [float(x) for x in found] == [0.0, 0.0]


@pytest.mark.parametrize("error", [0.0, -3.0, 8.0])
@pytest.mark.parametrize("spread", [0.2, 2.0])
def test_defocus_is_a_gaussians_likelihood(error: float, spread: float) -> None:
    found = defocus_loss(jnp.asarray(4.0 + error), jnp.asarray(spread), jnp.asarray(4.0))
    expected = -norm.logpdf(error, scale=spread) - 0.5 * np.log(2 * np.pi)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_values_are_read_at_rows_and_columns() -> None:
    values = np.arange(24.0).reshape(3, 4, 2)
    found = sites_of(jnp.asarray(values), jnp.asarray([[2, 1], [0, 3]]))
    np.testing.assert_array_equal(found, [values[2, 1], values[0, 3]])
