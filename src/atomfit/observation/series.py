"""A tilt series as an observation: 1 to V images of one structure, drawn and compared view by view.

    image_v(r) = gain_v · scale · structure seen in view v, through the probe + background_v

What views have for themselves (shifts, turns, gains, backgrounds) is kept unless it is asked for, as are
scale, blur and the probe's shape. One image is a series of one view.

What all views have in common of shifts, turns and gains is the atoms': a shift of all images that a shift
of the atoms would undo is none. So views are free in what they differ by only, unless something else tells
where the atoms are (`placed`): a map beside the series, say, or a prior.
"""

from collections.abc import Callable, Collection
from dataclasses import fields, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from atomfit.inference.noise import AbstractNoise, WhiteNoise
from atomfit.inference.observation import (
    AbstractObservation,
    Product,
    blocks,
    require_known,
    require_like,
    require_noise,
    with_own,
)
from atomfit.inference.parameters import Follows, frozen, on_host
from atomfit.inference.priors import AbstractPrior, Prior, as_priors
from atomfit.projection.canvas import ViewCanvas
from atomfit.projection.images import Camera
from atomfit.projection.model import EachView
from atomfit.projection.probe import Probe, make_probe
from atomfit.projection.views import TiltSeries
from atomfit.rendering import MeasuringCanvas
from atomfit.rendering.canvas import CUTOFF
from atomfit.structure.canvas import AbstractStructure, Leaf

#: Edge of the blocks of a single image that may be held out (Å).
_BLOCK = 2.0
#: Variances that windows have room for, in those of nearly the widest atoms.
_ROOM = 1.3


class SeriesNuisance(eqx.Module):
    """What a series has for itself.

    **Fields:**

    - `views`: numbers of each view.
    - `probe`: what a point looks like.
    - `scale`, `blur`, `own`: as of a map (`MapNuisance`).
    """

    views: EachView
    probe: Probe
    scale: PyTree
    blur: PyTree
    own: dict[str, PyTree]


class OneView(NamedTuple):
    """What was measured of one view, and from where."""

    noise: AbstractNoise
    data: Float[Array, "rows columns"]
    counted: Float[Array, "rows columns"]
    rotation: Float[Array, "3 3"]
    centre: Float[Array, " 2"]


class SeriesObservation(AbstractObservation):
    """Images of a structure from several directions.

    **Fields:**

    - `data`, `counted`, `noise`, `nuisance`: as of every observation.
    - `rotations`, `centres`, `origin`: of the views, and what they turn about (Å).
    - `camera`: how views are drawn.
    - `priors`: of its nuisances, each minus the logarithm of a probability.
    """

    data: Float[Leaf, "v rows columns"]
    counted: Leaf
    noise: AbstractNoise
    nuisance: SeriesNuisance
    rotations: Float[Leaf, "v 3 3"]
    centres: Float[Leaf, "v 2"]
    origin: Float[Leaf, " 3"]
    camera: Camera
    priors: tuple[AbstractPrior, ...] = ()

    @classmethod
    def of(
        cls,
        series: TiltSeries,
        structure: AbstractStructure,
        *,
        noise: AbstractNoise | None = None,
        probe: Probe | None = None,
        views: EachView | None = None,
        free: Collection[str] = ("backgrounds",),
        own: Collection[str] = (),
        placed: bool = False,
        priors: tuple[Prior, ...] = (),
    ) -> "SeriesObservation":
        """What images tell of a structure.

        **Arguments:**

        - `series`: the images; amplitudes are integrals of images (image units x Å²).
        - `structure`: about where its atoms are.
        - `noise`: how pixels err; white, of a size taken from what a fit leaves, if not given.
        - `probe`: what a point looks like; one Gaussian of no width if not given.
        - `views`: numbers of the views to begin with.
        - `free`: of "backgrounds", "gains", "shifts", "turns", "profile" (the probe's shape), "scale",
            "blur".
        - `own`: fields of the structure that the series has for itself, such as "displacements".
        - `placed`: whether something else tells where the atoms are, so that views keep what they have in
            common.
        - `priors`: what is known beforehand of its nuisances: functions of these.

        **Raises:** `InputError` if a name is none, or atoms are not in three dimensions.
        """
        names = ("backgrounds", "gains", "shifts", "turns", "profile", "scale", "blur")
        require_known(free, names, "free")
        require_known(own, [f.name for f in fields(structure)], "own")
        structure = on_host(structure)
        require_like(structure, 3, "a series")
        require_noise(noise, (AbstractNoise,))
        reach = float(
            np.linalg.norm(np.asarray(structure.positions) - series.centre, axis=1).max(initial=1.0)
        )
        seen_through = make_probe("direct", reach) if probe is None else probe
        single = {"scale": np.asarray(1.0, np.float32), "blur": np.asarray(0.0, np.float32)}
        kept = {name: x if name in free else frozen(x) for name, x in single.items()}
        shape = frozen(seen_through)
        if "profile" in free:
            shape = eqx.tree_at(lambda p: p.profile, shape, seen_through.profile)
        deep = len(seen_through.table) > 1
        nuisance = SeriesNuisance(
            _views(views or EachView.as_given(len(series)), series.views.rotations, free, placed, deep),
            shape,
            own={name: getattr(structure, name) for name in own},
            **kept,
        )
        variances = np.asarray(seen_through.variances, np.float64)
        return cls(
            data=np.where(series.counted, series.images, 0.0).astype(np.float32),
            counted=series.counted.astype(np.float32),
            noise=WhiteNoise() if noise is None else noise,
            nuisance=nuisance,
            rotations=series.views.rotations.astype(np.float32),
            centres=series.views.centres.astype(np.float32),
            origin=np.asarray(series.centre, np.float32),
            camera=_camera(structure, series.pixel, series.shape, variances),
            priors=as_priors(priors),
        )

    def predict(
        self, structure: AbstractStructure, nuisance: SeriesNuisance
    ) -> Float[Array, "v rows columns"]:
        atoms = with_own(structure, nuisance.own)

        # Drawn anew for derivatives: nothing that grows with the number of views is kept.
        @jax.checkpoint
        def draw(one: tuple[EachView, Array, Array]) -> Array:
            return self._image(atoms, nuisance, *one)

        views = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), nuisance.views)
        return lax.map(draw, (views, jnp.asarray(self.rotations), jnp.asarray(self.centres)))

    def value_and_gradient(
        self, structure: AbstractStructure, nuisance: SeriesNuisance
    ) -> tuple[Float[Array, ""], tuple[PyTree, PyTree]]:
        if not self.noise.of_images:
            return super().value_and_gradient(structure, nuisance)
        shared, views, seen = self.parts(structure, nuisance)

        def cost(shared: PyTree, view: EachView, one: OneView) -> Float[Array, ""]:
            return one.noise.negative_log_likelihood(seen(shared, view, one), one.data, one.counted)

        def add(total: Any, both: tuple[EachView, OneView]) -> Any:
            value, (by_shared, by_view) = jax.value_and_grad(cost, (0, 1))(shared, *both)
            return jax.tree.map(jnp.add, total, (value, by_shared)), by_view

        none = jnp.zeros(()), jax.tree.map(jnp.zeros_like, shared)
        (value, by_shared), by_views = self.through_views(add, none, views)
        return value, _with_views(by_shared, by_views)

    def information(self, structure: AbstractStructure, nuisance: SeriesNuisance) -> Product:
        if not self.noise.of_images:
            return super().information(structure, nuisance)
        shared, views, seen = self.parts(structure, nuisance)

        def product(changes: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            along = eqx.tree_at(lambda c: c[1].views, changes, None)

            def add(total: PyTree, both: tuple[tuple[EachView, EachView], OneView]) -> Any:
                (view, change), one = both
                drawn, field = jax.jvp(lambda s, v: seen(s, v, one), (shared, view), (along, change))
                _, back = jax.vjp(lambda s, v: seen(s, v, one), shared, view)
                by_shared, by_view = back(one.noise.weighted(field, drawn, one.data, one.counted))
                return jax.tree.map(jnp.add, total, by_shared), by_view

            none = jax.tree.map(jnp.zeros_like, shared)
            return _with_views(*self.through_views(add, none, (views, changes[1].views)))

        return product

    def parts(
        self, structure: AbstractStructure, nuisance: SeriesNuisance
    ) -> tuple[PyTree, EachView, Callable[[PyTree, EachView, "OneView"], Array]]:
        """Numbers that views share, numbers of each, and the image of one by both."""
        views = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), nuisance.views)
        both = structure, eqx.tree_at(lambda n: n.views, nuisance, None)
        shared, still = eqx.partition(both, eqx.is_inexact_array)
        shared = jax.tree.map(jnp.asarray, shared)

        def seen(shared: PyTree, view: EachView, one: OneView) -> Array:
            structure, own = eqx.combine(shared, still)
            return self._image(with_own(structure, own.own), own, view, one.rotation, one.centre)

        return shared, views, seen

    def through_views(self, add: Any, start: Any, views: Any) -> Any:
        """A sum over views, one after the other: nothing that grows with their number is kept.

        **Arguments:**

        - `add`: of a total, and of numbers and measurements of a view: the next total, and what is kept.
        - `start`: the first total.
        - `views`: numbers of each view.
        """
        shape = np.shape(self.data)
        of_each, of_all = eqx.partition(self.noise, lambda x: np.shape(x) == shape)
        each = jax.tree.map(jnp.asarray, (of_each, self.data, self.counted, self.rotations, self.centres))

        def one_by_one(total: Any, both: Any) -> Any:
            numbers, (noise, *rest) = both
            return add(total, (numbers, OneView(eqx.combine(noise, of_all), *rest)))

        return lax.scan(one_by_one, start, (views, each))

    def _image(
        self,
        atoms: AbstractStructure,
        nuisance: SeriesNuisance,
        view: EachView,
        rotation: Float[Array, "3 3"],
        centre: Float[Array, " 2"],
    ) -> Float[Array, "rows columns"]:
        probe = jax.tree.map(jnp.asarray, nuisance.probe)
        canvas = ViewCanvas(view, rotation, centre, self.origin, probe, self.camera, nuisance.blur)
        return view.gains * nuisance.scale * atoms.draw(canvas) + view.backgrounds

    def known(self, nuisance: SeriesNuisance) -> Float[Array, ""] | float:
        return sum((jnp.asarray(p(nuisance)) for p in self.priors), jnp.zeros(()))

    def planned(self, structure: AbstractStructure, nuisance: SeriesNuisance) -> "SeriesObservation":
        variances = np.asarray(nuisance.probe.variances, np.float64) + float(nuisance.blur)
        structure = with_own(structure, jax.tree.map(np.asarray, nuisance.own))
        needed = _camera(structure, self.camera.pixel, self.camera.shape, variances, 1.0)
        pairs = list(zip(needed.windows, self.camera.windows, strict=False))
        same = [a for a, _ in needed.windows] == [a for a, _ in self.camera.windows]
        if same and all(a[1] <= b[1] for a, b in pairs):
            return self
        return replace(self, camera=_camera(structure, self.camera.pixel, self.camera.shape, variances))

    @property
    def groups(self) -> Int[np.ndarray, "v rows columns"]:
        """Views; blocks of a single image."""
        v, *shape = np.shape(self.data)
        if v == 1:
            return blocks((v, *shape), max(round(_BLOCK / self.camera.pixel), 2))
        return np.broadcast_to(np.arange(v)[:, None, None], (v, *shape))

    @property
    def volume(self) -> float:
        """Of a ball that fills most of an image."""
        return 4 / 3 * np.pi * (0.5 * self.camera.pixel * min(self.camera.shape)) ** 3


def _with_views(by_both: tuple[PyTree, PyTree], by_views: EachView) -> tuple[PyTree, PyTree]:
    """Derivatives by what views share, with those by what each has."""
    return eqx.tree_at(lambda b: b[1].views, by_both, by_views, is_leaf=lambda x: x is None)


def _views(
    begin: EachView,
    rotations: Float[np.ndarray, "v 3 3"],
    free: Collection[str],
    placed: bool,
    deep: bool,
) -> EachView:
    """Numbers of views, those that are not free frozen, and the others without what they have in common.

    `deep` is whether the probe tells depths apart, so that no shift of atoms undoes one of all views.
    """
    gauge = {"gains": np.ones((len(rotations), 1))}
    if not placed:
        gauge["turns"] = rotations.reshape(-1, 3)
    if not placed and not deep:
        gauge["shifts"] = rotations[:, :2].reshape(-1, 3)
    numbers: dict[str, PyTree] = {}
    for name, values in begin._asdict().items():
        start = np.asarray(values, np.float32)
        if name not in free:
            numbers[name] = frozen(start)
        elif name in gauge:
            common = np.linalg.qr(gauge[name])[0].astype(np.float32)
            numbers[name] = Follows(_without_common, np.zeros_like(start), frozen(common), frozen(start))
        else:
            numbers[name] = start
    return EachView(**numbers)


def _without_common(changes: Leaf, common: Leaf, start: Leaf) -> Leaf:
    """What views differ by, beside what they have in common, which is as it was."""
    flat = jnp.ravel(changes)
    return start + jnp.reshape(flat - common @ (common.T @ flat), jnp.shape(start))


def _camera(
    structure: AbstractStructure,
    pixel: float,
    shape: tuple[int, int],
    variances: Float[np.ndarray, " k"],
    room: float = _ROOM,
) -> Camera:
    """Windows for a structure's atoms, with room to widen."""
    measured = MeasuringCanvas()
    structure.draw(measured)
    return Camera.for_widths(
        pixel, shape, room * float(measured.reach.max() / CUTOFF) ** 2, variances, CUTOFF
    )
