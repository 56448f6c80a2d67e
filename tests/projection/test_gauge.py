"""The gauge of a fit to images: whatever it moves, the images stay."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from atomfit.projection.gauge import in_gauge
from atomfit.projection.images import Camera, series_of
from atomfit.projection.model import EachView, TiltModel, single
from atomfit.projection.probe import Probe
from atomfit.structure.atoms import AnisotropicDisplacements, Atoms

VIEWS, ATOMS, SHAPE = 5, 6, (48, 48)
CAMERA = Camera.for_widths(0.4, SHAPE, 0.5, np.array([0.1, 0.4]), cutoff=6.0)
DRAWN = jax.jit(lambda model, rotations, centres: series_of(model, rotations, centres, CAMERA))


def case(seed: int, knots: int, turn: float, shift: float) -> tuple[TiltModel, np.ndarray]:
    """Atoms of any shape, and views that all drift and turn about the same way, and each a little more."""
    rng = np.random.default_rng(seed)
    root = 0.4 * np.eye(3) + 0.1 * rng.normal(size=(ATOMS, 3, 3))
    shapes = AnisotropicDisplacements.from_matrices(root @ np.swapaxes(root, 1, 2))
    positions, amplitudes = rng.uniform(-3, 3, (ATOMS, 3)), rng.uniform(1, 2, ATOMS)
    rotations = Rotation.random(VIEWS, random_state=seed).as_matrix()
    common = rng.normal(size=3)
    turns = turn * (rotations @ common + 0.3 * rng.normal(size=(VIEWS, 3)))
    shifts = shift * ((rotations @ common)[:, :2] + 0.3 * rng.normal(size=(VIEWS, 2)))
    views = EachView(turns, shifts, rng.uniform(0.5, 2, VIEWS), rng.normal(size=VIEWS))
    table = rng.uniform(0.2, 1, (knots, 2))
    probe = Probe(np.array([0.1, 0.4]), table, np.zeros(2), np.asarray(4.0))
    model = single(TiltModel(Atoms(positions, shapes, amplitudes, np.full(ATOMS, 78)), probe, views))
    return model, rotations


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 5]),
    st.floats(0, 0.2),
    st.floats(0, 2),
    st.booleans(),
    st.booleans(),
)
def test_images_stay(seed: int, knots: int, turn: float, shift: float, placed: bool, held: bool) -> None:
    """To float precision: atoms of any shape, through any probe, with turns of some degrees and shifts."""
    model, rotations = case(seed, knots, turn, shift)
    centres = np.full((VIEWS, 2), 24.0)
    fitted = np.arange(VIEWS) < (VIEWS - 1 if held else VIEWS)
    moved = in_gauge(model, rotations, placed, fitted)
    before, after = (np.asarray(DRAWN(m, rotations.astype(np.float32), centres)) for m in (model, moved))
    np.testing.assert_allclose(after, before, atol=2e-5 * np.abs(before).max())
    np.testing.assert_allclose(np.mean(np.asarray(moved.views.gains)[fitted]), 1, rtol=1e-6)
    assert np.sum(moved.probe.table + moved.probe.profile, axis=1).mean() == pytest.approx(1, rel=1e-5)


def test_what_views_have_in_common_is_the_atoms() -> None:
    model, rotations = case(3, 1, 0.1, 0.5)
    moved = in_gauge(model, rotations, False, np.ones(VIEWS, bool))
    frames = Rotation.from_rotvec(np.asarray(moved.views.turns, np.float64)).as_matrix() @ rotations
    shifts, turns = (np.asarray(x, np.float64) for x in (moved.views.shifts, moved.views.turns))
    np.testing.assert_allclose(np.einsum("vki,vk->i", frames[:, :2], shifts), 0, atol=1e-5)
    # Rotations by several degrees do not commute: their mean vanishes to first order.
    assert np.linalg.norm(np.einsum("vki,vk->i", rotations, turns) / VIEWS) < 0.01
    assert np.linalg.norm(np.einsum("vki,vk->i", rotations, np.asarray(model.views.turns)) / VIEWS) > 0.05
