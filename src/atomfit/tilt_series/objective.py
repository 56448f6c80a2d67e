"""The objective of a stage: one structure, one series, and what is known of its free numbers beforehand.

Value, gradient and products with the Gauss-Newton matrix are sums over views (`observation.series`). What
is known of how far atoms may have moved, or their amplitudes may differ, is of the free numbers themselves.
What atoms share is adjusted for what their positions take of the noise (`projection.adjustment`), in the
unit in which noise is.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.gaussians.scattering_atoms import ScatteringAtoms
from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.noise import AbstractNoise, LossNoise, WhiteNoise
from atomfit.inference.priors import AbstractPrior, Prior
from atomfit.inference.problem import Objective
from atomfit.inference.terms import AbstractTerm, KnownNumbers
from atomfit.noise.likelihood import AbstractLoss
from atomfit.observation.series import OneView, SeriesObservation
from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.projection.adjustment import adjustment
from atomfit.projection.colour import Colour
from atomfit.projection.images import Camera
from atomfit.projection.model import EachView, TiltModel
from atomfit.projection.views import Views
from atomfit.structure.atoms import Leaf
from atomfit.tilt_series.parameters import TiltParametrisation, nuisance_of


class Adjusted(AbstractTerm):
    """What positions take of the noise, made up for in what atoms share; of no weight in steps.

    **Fields:**

    - `followed`: how far each atom follows the noise, in the objective's unit.
    - `rotations`: of the views.
    """

    followed: Float[Leaf, " n"]
    rotations: Float[Leaf, "v 3 3"]

    def __call__(self, parametrisation: AbstractParametrisation, free: Free) -> Float[Array, ""]:
        assert isinstance(parametrisation, TiltParametrisation)
        own = parametrisation.rows
        shared = {name: jnp.zeros_like(x) if name in own else x for name, x in free.items()}
        return adjustment(parametrisation.model(shared), self.followed, self.rotations)

    def curvature(
        self, parametrisation: AbstractParametrisation, free: Free
    ) -> Callable[[Float[Array, " k"]], Float[Array, " k"]]:
        return jnp.zeros_like


class OfAtoms(AbstractPrior):
    """A function of atoms in a user's frame and units, in an objective that has its own.

    **Fields:**

    - `term`: minus the logarithm of a probability.
    - `weight`: what the objective changes by if chi-square changes by two.
    - `centre`: where the objective's frame has its origin (Å).
    - `unit`: image units in its unit of amplitudes.
    """

    term: Prior
    weight: Float[Leaf, ""]
    centre: Float[Leaf, " 3"]
    unit: Float[Leaf, ""]

    def __call__(self, structure: ScatteringAtoms) -> Float[Array, ""]:
        atoms = structure.atoms
        scaled = eqx.tree_at(
            lambda a: (a.positions, a.amplitudes),
            atoms,
            (
                jnp.asarray(atoms.positions) + jnp.asarray(self.centre),
                jnp.asarray(atoms.amplitudes) * jnp.asarray(self.unit),
            ),
        )
        return jnp.asarray(self.weight) * self.term(scaled)


def observed(
    images: Float[np.ndarray, "v rows columns"],
    weights: Float[np.ndarray, "v rows columns"],
    views: Views,
    camera: Camera,
    model: TiltModel,
    loss: AbstractLoss | None = None,
    colour: Colour | None = None,
) -> SeriesObservation:
    """Images as the objective needs them.

    **Arguments:**

    - `images`: in units of a typical peak.
    - `weights`: of each pixel; zero where nothing was measured.
    - `views`: from where.
    - `camera`: how they are drawn.
    - `model`: where the fit begins.
    - `loss`: what a difference costs; half its square if None.
    - `colour`: of the noise: frequencies count by it, those of a shift as pixels do where all count alike.
    """
    counted = np.asarray(weights, np.float32)
    noise: AbstractNoise = WhiteNoise(1.0) if loss is None else LossNoise(loss, known=True)
    if colour is not None:
        parts = colour.of_shifts / colour.on(counted.shape[1:], camera.pixel)
        noise, counted = SpectralNoise(parts, np.sqrt(counted), 1.0), (counted > 0).astype(np.float32)
    return SeriesObservation(
        data=np.asarray(images, np.float32),
        counted=counted,
        noise=noise,
        nuisance=nuisance_of(model),
        rotations=np.asarray(views.rotations, np.float32),
        centres=np.asarray(views.centres, np.float32),
        origin=np.zeros(3, np.float32),
        camera=camera,
    )


def objective_of(
    parametrisation: TiltParametrisation,
    observation: SeriesObservation,
    values: Float[np.ndarray, " k"],
    precisions: Float[np.ndarray, " k"],
    followed: Float[np.ndarray, " n"] | None = None,
    priors: tuple[AbstractPrior, ...] = (),
) -> Objective:
    """The objective as a function of the free numbers.

    **Arguments:**

    - `parametrisation`: from free numbers to atoms and views.
    - `observation`: the images.
    - `values`, `precisions`: what the free numbers are expected to be, in the order of `flat`.
    - `followed`: as of `Adjusted`; None if nothing is adjusted.
    - `priors`: what else is known of the atoms.
    """
    others: tuple[AbstractTerm, ...] = (KnownNumbers(values, precisions),)
    if followed is not None:
        others = (*others, Adjusted(followed, observation.rotations))
    return Objective(parametrisation, (observation,), priors, others=others, preconditioner=about_diagonal)


def about_diagonal(objective: Objective, free: Free) -> Float[Array, " k"]:
    """About the diagonal of the Gauss-Newton matrix, in the order of `flat`.

    That of a lone atom is one in the units of `parameters` where all pixels count one (and twice as
    much along an axis that all views see as along one that half of them do). Pixels count as they do
    about each atom; what a view has for itself is summed over its pixels.

    **Arguments:**

    - `objective`, `free`: of a stage, and where it is asked for.
    """
    (series,), parametrisation = objective.observations, objective.parametrisation
    assert isinstance(series, SeriesObservation)
    assert isinstance(parametrisation, TiltParametrisation)
    atoms, (nuisance,) = parametrisation(free)
    shared, views, seen = series.parts(atoms, nuisance)
    camera = series.camera

    def add(totals: tuple[Array, Array], both: tuple[EachView, OneView]) -> Any:
        view, one = both
        image = seen(shared, view, one)
        counts = one.noise.about(image, one.data, one.counted)
        places = jnp.asarray(atoms.positions) @ one.rotation[:2].T / camera.pixel + one.centre
        places = jnp.clip(jnp.round(places).astype(int), 0, jnp.array(camera.shape[::-1]) - 1)
        about = counts[places[:, 1], places[:, 0]]
        along = jnp.sum(one.rotation[:2] ** 2, axis=0)
        bare = (image - view.backgrounds) / jnp.where(view.gains == 0, 1.0, view.gains)
        totals = totals[0] + about, totals[1] + about[:, None] * along
        return totals, (jnp.sum(counts), jnp.sum(counts * bare**2))

    n, v = len(atoms.positions), len(views.gains)
    none = jnp.zeros(n, jnp.float32), jnp.zeros((n, 3), jnp.float32)
    (about, along), (whole, squares) = series.through_views(add, none, views)
    typical = jnp.maximum(jnp.mean(about) / v, 1e-6)
    known = {"positions": along / v, "backgrounds": whole, "gains": squares}
    found: Free = {}
    for name, numbers in free.items():
        if name in parametrisation.rows:
            each = known.get(name, about[:, None] / v)
            value = each if np.ndim(numbers) == 2 else each[:, 0]
        elif name in known and name != "positions":
            value = known[name] * jnp.asarray(parametrisation.steps[name]) ** 2
        else:
            value = typical
        found[name] = jnp.broadcast_to(jnp.maximum(value, 0.05 * typical), np.shape(numbers))
    of_known = (jnp.asarray(t.precisions) for t in objective.others if isinstance(t, KnownNumbers))
    return sum(of_known, parametrisation.flat(found))
