"""Views that ended in a wrong direction: other directions near to theirs are tried.

A gradient turns a view by a degree or two; one that is farther off, among noise, sits in a minimum of its
own. So when atoms and views have been refined once, each view is compared with images of the model from all
directions around its own, on a grid, and takes the one that is likelier by more than chance makes one of so
many. The views are then refined again from there. Views whose direction was right stay as they are.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from scipy.spatial.transform import Rotation

from atomfit.observation.series import SeriesObservation
from atomfit.projection.images import Camera, draw_view
from atomfit.projection.model import Drawn, EachView, TiltModel
from atomfit.structure.atoms import Leaf
from atomfit.support.compiled import kept
from atomfit.tilt_series.limits import LIMITS

#: Directions that are tried: steps of the grid and its radius (degrees).
_STEP, _RADIUS = 2.5, 12.5


def better_turns(model: TiltModel, seen: SeriesObservation) -> tuple[Float[np.ndarray, "v 3"], int]:
    """Turns of the views with those replaced that are likelier elsewhere, and how many these are.

    **Arguments:**

    - `model`: atoms and views, refined once.
    - `seen`: the images.
    """
    before = np.asarray(model.views.turns, np.float64)
    tried = _directions()
    drawn = jax.tree.map(jnp.asarray, model.drawn())
    turns, changed = before.copy(), 0
    for k in range(len(before)):
        weights = np.asarray(seen.counted[k])
        if not weights.any():
            continue
        candidates = (tried * Rotation.from_rotvec(before[k])).as_rotvec().astype(np.float32)
        view = jax.tree.map(lambda leaf, k=k: np.asarray(leaf[k], np.float32), model.views)
        found = np.asarray(
            _correlations(
                drawn,
                view,
                candidates,
                seen.data[k],
                weights,
                seen.rotations[k],
                seen.centres[k],
                seen.camera,
            ),
            np.float64,
        )
        best = int(found.argmax())
        # Of n pixels, gain and background being free; the present direction is the first.
        n = float(np.count_nonzero(weights))
        likelier = 0.5 * n * np.log((1 - min(found[0], 0.999) ** 2) / (1 - min(found[best], 0.999) ** 2))
        if best and found[best] > 0 and likelier > LIMITS.likelier:
            turns[k], changed = candidates[best], changed + 1
    return turns, changed


def _directions() -> Rotation:
    """Small rotations on a grid, none at all first."""
    steps = np.arange(-_RADIUS, _RADIUS + 1e-6, _STEP)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(grid, axis=1)
    order = np.argsort(lengths, kind="stable")
    return Rotation.from_rotvec(np.radians(grid[order][lengths[order] <= _RADIUS]))


@kept
def _correlations(
    drawn: Drawn,
    view: EachView,
    turns: Float[Leaf, "m 3"],
    image: Float[Leaf, "rows columns"],
    weights: Float[Leaf, "rows columns"],
    rotation: Float[Leaf, "3 3"],
    centre: Float[Leaf, " 2"],
    camera: Camera,
) -> Float[Array, " m"]:
    """Correlation of an image with the model's from several directions."""
    total = jnp.sum(weights)

    def of_turn(turn: Array) -> Array:
        picture = draw_view(drawn, view._replace(turns=turn), rotation, centre, camera)
        a, b = (x - jnp.sum(weights * x) / total for x in (picture, jnp.asarray(image)))
        return jnp.sum(weights * a * b) / jnp.sqrt(jnp.sum(weights * a**2) * jnp.sum(weights * b**2))

    return lax.map(of_turn, jnp.asarray(turns))
