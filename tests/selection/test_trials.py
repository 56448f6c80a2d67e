"""Atoms taken away and added with their neighbours giving way: against planted truth and a slow fit."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

from atomfit.projection.fitted import FittedSeries
from atomfit.projection.neighbourhood import Cutout
from atomfit.projection.views import TiltSeries, Views
from atomfit.selection.trials import Trials
from atomfit.structure.scattering import GaussianMixture

PIXEL, SHAPE, DISTANCE, U, AMPLITUDE, SIGMA = 0.4, (40, 44), 2.4, 0.3, 2.0, 0.4
VIEWS = Views.from_tilts(np.arange(12) * 15.0, "y", SHAPE)
CENTRE = np.array([1.0, -2.0, 3.0])
#: Places whose nearest are 2.4 to 2.9 Å apart; the last one is near the edge of the images.
TRUTH = CENTRE + np.array(
    [[0, 0, 0], [2.4, 0.2, 0.1], [-0.3, 2.5, 0.4], [0.4, -0.3, 2.7], [-2.5, -0.4, 0.3], [0.1, -2.6, -1.2]]
    + [[6.0, 6.5, -1.0]]
)


def drawn(positions: np.ndarray) -> np.ndarray:
    """Images of atoms, each a Gaussian."""
    seen = np.einsum("vij,kj->vki", VIEWS.rotations[:, :2], positions - CENTRE)
    seen += PIXEL * VIEWS.centres[:, None]
    wide, high = (
        np.exp(-0.5 * (PIXEL * np.arange(n) - seen[..., i, None]) ** 2 / U)
        for i, n in ((0, SHAPE[1]), (1, SHAPE[0]))
    )
    return AMPLITUDE / (2 * np.pi * U) * np.einsum("vkr,vkc->vrc", high, wide)


IMAGES = drawn(TRUTH) + SIGMA * np.random.default_rng(2).normal(size=(12, *SHAPE))


def fitted(positions: np.ndarray) -> FittedSeries:
    images = IMAGES.astype(np.float32)
    series = TiltSeries(images, np.ones(images.shape, bool), PIXEL, VIEWS, CENTRE)
    left = (IMAGES - drawn(positions)).astype(np.float32)
    weights = np.full(left.shape, 1 / SIGMA**2, np.float32)
    amplitudes = np.full(len(positions), AMPLITUDE, np.float32)
    spot = GaussianMixture(np.ones(1), np.full(1, U))
    return FittedSeries(series, left, weights, np.ones(12), positions, amplitudes, spot)


def refined(positions: np.ndarray) -> tuple[np.ndarray, float]:
    """All atoms fitted to whole images, slowly."""

    def left(x: np.ndarray) -> np.ndarray:
        return ((IMAGES - drawn(x.reshape(-1, 3))) / SIGMA).ravel()

    found = least_squares(left, positions.ravel(), method="lm", xtol=1e-5, ftol=1e-7)
    return found.x.reshape(-1, 3), 2 * float(found.cost)


def trials(positions: np.ndarray, earned: float = 16.0) -> Trials:
    return Trials(fitted(positions), DISTANCE, np.ones(len(positions), bool), earned)


@pytest.fixture(scope="module")
def best() -> tuple[np.ndarray, float]:
    return refined(TRUTH)


def test_worth_is_what_a_slow_fit_finds(best: tuple[np.ndarray, float]) -> None:
    """With atoms within reach refined, the last one of which is not."""
    positions, square = best
    change = trials(positions).without(0)
    moved, without = refined(np.delete(positions, 0, axis=0))
    assert 16.0 - change.worth == pytest.approx(without - square, rel=0.03)
    order = np.argsort(change.neighbours)
    np.testing.assert_allclose(change.positions[order], moved[: len(order)], atol=0.03)
    assert 6 not in change.neighbours


def test_one_too_many_goes_and_its_neighbours_move_back() -> None:
    """Three atoms that share what is that of two: each stands out, while the others stay."""
    between = 0.5 * (TRUTH[0] + TRUTH[1])
    begin = np.concatenate([TRUTH, [between]])
    begin[:2] += 0.35 * (begin[:2] - between)
    shared, _ = refined(begin)
    changed = trials(shared).best(np.arange(len(shared)), np.zeros((0, 3)))
    assert np.count_nonzero(~changed.kept) == 1
    left = changed.positions[changed.kept]
    apart = np.linalg.norm(left[:, None] - refined(TRUTH)[0], axis=-1)
    assert apart.min(axis=0).max() < 0.2


@pytest.mark.parametrize("lacking", [0, 6], ids=["among others", "at the edge"])
def test_one_that_is_lacking_is_added_in_its_place(lacking: int) -> None:
    """Although its neighbours have moved in, and the place to try is half an ångström off."""
    moved, _ = refined(np.delete(TRUTH, lacking, axis=0))
    changed = trials(moved).best(np.zeros(0, int), TRUTH[[lacking]] + [[0.3, -0.3, 0.3]])
    assert changed.kept.all()
    (added,) = changed.added
    assert np.linalg.norm(added - TRUTH[lacking]) < 0.35


def test_right_atoms_stay_as_they_are(best: tuple[np.ndarray, float]) -> None:
    positions, _ = best
    empty = CENTRE + np.array([[3.0, 3.0, 3.0], [-5.0, 0.0, -4.0], [30.0, 0.0, 0.0]])
    changed = trials(positions).best(np.arange(len(positions)), empty)
    assert not changed.any
    np.testing.assert_array_equal(changed.positions, positions)


def test_atoms_that_do_not_move_stay_where_they_are() -> None:
    begin = np.concatenate([TRUTH, TRUTH[:1] + 0.9])
    moving = np.arange(len(begin)) != 1
    some = Trials(fitted(begin), DISTANCE, moving, 16.0)
    changed = some.best(np.array([len(begin) - 1]), np.zeros((0, 3)))
    assert 1 not in some.without(len(begin) - 1).neighbours
    assert changed.kept[1]
    np.testing.assert_array_equal(changed.positions[1], begin[1])


def cutout(weights: Callable[[tuple[int, ...]], np.ndarray] = np.ones) -> Cutout:
    shape = (12, 30, 30)
    planes = VIEWS.rotations[:, :2].astype(np.float32)
    numbers = np.array(U, np.float32), np.array(PIXEL, np.float32)
    offsets = np.full((12, 2), 14.6, np.float32)
    left = np.zeros(shape, np.float32)
    return Cutout(
        left, weights(shape).astype(np.float32), planes, offsets, np.ones(12, np.float32), *numbers
    )


def test_the_matrix_in_closed_form_is_that_of_derivatives() -> None:
    places = jnp.asarray(TRUTH[:3] - CENTRE, jnp.float32)
    part = cutout()

    def image(x: jax.Array) -> jax.Array:
        *_, wide, high = part.tables(part.seen(x.reshape(3, 3)), jnp.ones(3))
        return jnp.einsum("vkr,vkc->vrc", high, wide).ravel()

    jacobian = jax.jacfwd(image)(places.ravel())
    found = part.curvature(part.seen(places), jnp.ones(3))
    np.testing.assert_allclose(found, jacobian.T @ jacobian, atol=0.01 * float(found.max()))
