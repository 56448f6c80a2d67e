"""A view as a canvas: structures drawn as a microscope sees them from one direction.

Gaussians go through `images.draw_view`. Any other density is projected by the function that gives it: it is
told the axes of the image in the specimen's frame, and by how much the probe blurs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from atomfit.projection.images import Camera, draw_view
from atomfit.projection.model import Drawn, EachView, turned
from atomfit.projection.probe import Probe
from atomfit.rendering.canvas import summed
from atomfit.rendering.windows import WindowPlan
from atomfit.structure.canvas import AbstractCanvas, AtomDensity, Leaf


class ViewCanvas(AbstractCanvas):
    """The image of one view, without its gain and background.

    **Arguments:**

    - `view`: numbers of this view.
    - `rotation`, `centre`: of the view (see `views`).
    - `origin`: of the specimen, that views turn about (Å).
    - `probe`: what a point looks like.
    - `camera`: how views are drawn.
    - `blur`: variance by which all atoms are wider than they are at rest (Å²).
    """

    def __init__(
        self,
        view: EachView,
        rotation: Float[Leaf, "3 3"],
        centre: Float[Leaf, " 2"],
        origin: Float[Leaf, " 3"],
        probe: Probe,
        camera: Camera,
        blur: Float[Leaf, ""] | float = 0.0,
    ) -> None:
        one, none = jnp.ones((), jnp.float32), jnp.zeros((), jnp.float32)
        self._view = view._replace(gains=one, backgrounds=none)
        self._rotation, self._centre = jnp.asarray(rotation), jnp.asarray(centre)
        self._origin = jnp.asarray(origin, jnp.float32)
        self._probe, self._camera, self._blur = probe, camera, jnp.asarray(blur, jnp.float32)

    def gaussians(
        self,
        centres: Float[Leaf, "n d"],
        spreads: Float[Leaf, " n"] | Float[Leaf, "n d d"],
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        spreads = jnp.asarray(spreads)
        unit = 1.0 if spreads.ndim == 1 else jnp.eye(3, dtype=jnp.float32)
        drawn = Drawn(
            jnp.asarray(centres) - self._origin,
            spreads + self._blur * unit,
            jnp.asarray(weights),
            self._probe,
        )
        return draw_view(drawn, self._view, self._rotation, self._centre, self._camera)

    def densities(
        self,
        centres: Float[Leaf, "n d"],
        reach: Float[Leaf, ""] | float,
        numbers: PyTree,
        density: AtomDensity,
        weights: Float[Leaf, " n"],
    ) -> Float[Array, "..."]:
        pixel, window = self._camera.pixel, max(window for _, window in self._camera.windows)
        frame = turned(jnp.asarray(self._view.turns), self._rotation)
        seen = (jnp.asarray(centres) - self._origin) @ frame.T
        places = (seen[:, :2] + self._view.shifts) / pixel + self._centre
        shape = np.array(self._camera.shape)
        first = jnp.round(lax.stop_gradient(places[:, ::-1])).astype(int) - np.array(window) // 2
        starts = jnp.clip(first, 0, shape - np.array(window))
        pixels = np.indices(window).reshape(2, -1).T[:, ::-1]
        variances = jnp.asarray(self._probe.variances) + self._blur

        def of_atom(start: Array, place: Array, shares: Array, numbers: Any) -> Array:
            offsets = (start[::-1] + pixels - place) * pixel
            each = jax.vmap(lambda variance: density(numbers, offsets, frame[:2], variance))(variances)
            return jnp.reshape(shares @ each, window)

        order = np.arange(len(places), dtype=np.int32)
        plan = WindowPlan(starts, order, tuple(window), self._camera.shape)
        atoms = (places, self._probe.weights(seen[:, 2]), jax.tree.map(jnp.asarray, numbers))
        return summed(plan, of_atom, atoms, jnp.asarray(weights))
