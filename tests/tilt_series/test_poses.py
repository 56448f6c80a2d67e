"""A view in a wrong direction is found among others; right ones are left alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from atomfit.projection.images import Camera, draw_view
from atomfit.projection.model import EachView, TiltModel, single
from atomfit.projection.probe import make_probe
from atomfit.projection.views import Views
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.tilt_series.objective import observed
from atomfit.tilt_series.poses import better_turns

SHAPE, PIXEL = (40, 40), 0.5
draw = eqx.filter_jit(draw_view)


def test_a_view_that_is_stuck_is_turned() -> None:
    rng = np.random.default_rng(0)
    n, views = 30, 4
    atoms = Atoms(
        rng.uniform(-5, 5, (n, 3)),
        IsotropicDisplacements.from_variances(np.full(n, 0.25)),
        np.full(n, 5.0),
        np.full(n, 78),
    )
    rotations = Rotation.random(views, random_state=1)
    off = np.zeros((views, 3))
    off[2] = np.radians([6.0, -5.0, 3.0])
    each = EachView(np.zeros((views, 3)), np.zeros((views, 2)), np.ones(views), np.zeros(views))
    model = single(TiltModel(atoms, make_probe("direct", 8.0), each))
    camera = Camera.for_widths(PIXEL, SHAPE, 0.25, np.zeros(1))
    middle = np.full(2, 20.0, np.float32)
    drawn = jax.tree.map(jnp.asarray, model.drawn())
    images = []
    for k in range(views):
        view = EachView(jnp.asarray(off[k], jnp.float32), jnp.zeros(2), jnp.ones(()), jnp.zeros(()))
        rotation = rotations[k].as_matrix().astype(np.float32)
        images.append(np.asarray(draw(drawn, view, rotation, middle, camera)))
    noisy = np.stack(images) + np.std(images) * rng.normal(size=(views, *SHAPE))
    views_given = Views(rotations.as_matrix(), np.tile(middle, (views, 1)))
    seen = observed(noisy, np.ones((views, *SHAPE)), views_given, camera, model)
    turns, changed = better_turns(model, seen)
    assert changed == 1
    np.testing.assert_array_equal(turns[[0, 1, 3]], 0)
    left = Rotation.from_rotvec(turns[2]) * Rotation.from_rotvec(off[2]).inv()
    assert np.degrees(left.magnitude()) < 3.0
