"""What moves in a fit, how far, and in which units.

An optimiser that knows only gradients depends on the units it is given. Here every free number is
measured in a standard uncertainty: a step of one changes the objective by about one half, whether it
moves a bright atom, widens a faint one or lifts the background. For a lone atom of peak p and
width w, in a map of noise 1 and voxel volume v, these are

    position  √2 w / (p √C)      log width  √2 / (p √C)      shear  2 / (p √C)      strength  1 / (p √C)

and 1 / √Σf² for a number of the background, f being what it does to the voxels that count,

with C = π^(3/2) w³ / v, the sum of squares of a Gaussian of unit height (all follow from the moments of
its square, which is a Gaussian of half the variance). The strength s stands for the amplitude A, which
is correlated with the widths: log A = s + ½ Σ log widths is the combination that is not. In these
coordinates the Hessian of well separated atoms is the unit matrix, so that L-BFGS starts with the
right step.

Bounds are part of the map from free numbers to the model, so no step can leave them: an atom moves no
further than `bounds.move` from where it was found, widths stay within a factor of the start and below
`bounds.widest` (an atom wider than that is not to be told from its neighbours), and amplitudes are
positive. A fit that ends at a bound says that the map does not determine that number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from atomfit.fitting.model import MapModel
from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.structure.atoms import AnisotropicDisplacements, Leaf
from atomfit.structure.grid import Grid


@dataclass(frozen=True)
class Bounds:
    """How far a fit may go from its start.

    **Fields:**

    - `move`: largest displacement of an atom (Å).
    - `widest`: largest standard deviation along an axis (Å).
    - `width_factor`: largest factor on an atom's widths (standard deviations), up or down.
    - `shear`: largest change of a shear.
    - `amplitude_factor`: largest factor on its amplitude, up or down, at constant width.
    """

    move: float
    widest: float
    width_factor: float = 2.0
    shear: float = 0.5
    amplitude_factor: float = 20.0


class Parametrisation(AbstractParametrisation):
    """The map from free numbers, all zero at the start, to a model.

    **Fields:**

    - `start`: the model at zero.
    - `steps`: by name, how much of each quantity is one unit of its free number.
    - `limits`: by name, the farthest that the quantity may change (up and down, for widths and shears).
    - `axes_per_width`: how many axes share a width; all of them for isotropic atoms.
    """

    start: MapModel
    steps: dict[str, Leaf]
    limits: dict[str, PyTree]
    axes_per_width: int = eqx.field(static=True)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the free numbers that each atom has for itself, in the order of `flat`."""
        return tuple(name for name in _OF_ATOMS if name in self.steps)

    def __call__(self, free: Free) -> MapModel:
        changes = {name: jnp.asarray(self.steps[name]) * number for name, number in free.items()}
        if "positions" in changes:
            changes["positions"] = _bounded_length(changes["positions"], self.limits["positions"])
        for name in ("log_widths", "shears"):
            if name in changes:
                changes[name] = _bounded(changes[name], *self.limits[name])
        if "strengths" in changes:
            limit = self.limits["strengths"]
            log = _bounded(changes["strengths"], limit, limit)
            if "log_widths" in changes:
                log += 0.5 * jnp.sum(changes["log_widths"] * self.axes_per_width, axis=-1)
            changes["strengths"] = jnp.asarray(self.start.atoms.amplitudes) * jnp.expm1(log)

        def changed(model: Any) -> list[Any]:
            return [_LEAVES[name](model) for name in changes]

        background = self.start.background
        if "background" in changes:
            background = background.plus(changes.pop("background"))
        new = [old + change for old, change in zip(changed(self.start), changes.values(), strict=True)]
        model = eqx.tree_at(changed, self.start, new) if new else self.start
        return eqx.tree_at(lambda model: model.background, model, background)


#: Free numbers that an atom has; the others are the background's.
_OF_ATOMS = ("positions", "log_widths", "shears", "strengths")
#: Which leaf of a model each kind of free number changes; "background" changes all numbers of that.
_LEAVES: dict[str, Callable[[Any], Any]] = {
    "positions": lambda model: model.atoms.positions,
    "log_widths": lambda model: model.atoms.displacements.log_widths,
    "shears": lambda model: model.atoms.displacements.shears,
    "strengths": lambda model: model.atoms.amplitudes,
}


def parametrise(
    start: MapModel,
    spacing: Float[np.ndarray, " d"],
    counted: Bool[np.ndarray, "..."],
    bounds: Bounds,
    frozen: frozenset[str] = frozenset(),
) -> Parametrisation:
    """Free numbers for all parts of a model that are not frozen.

    **Arguments:**

    - `start`: the model to start from, in a unit in which typical peaks are of order one; atoms of
        amplitude zero are padding and never change.
    - `spacing`: voxel edges (Å).
    - `counted`: voxels of the region that count.
    - `bounds`: how far the fit may go.
    - `frozen`: parts that keep their values.
    """
    atoms, d = start.atoms, start.atoms.ndim
    matrices = np.asarray(atoms.matrices(), np.float64)
    determinants = np.linalg.det(matrices)
    width = np.maximum(determinants, 1e-12) ** (0.5 / d)
    peak = np.asarray(atoms.amplitudes, np.float64) / np.sqrt((2 * np.pi) ** d * determinants)
    squares = (np.sqrt(np.pi) * width) ** d / np.prod(spacing)
    # Padding has no peak; any finite step will do, since nothing depends on it.
    unit = 1 / np.where(peak > 0, peak * np.sqrt(squares), np.inf)
    widths = atoms.displacements.log_widths.shape[1]  # type: ignore[attr-defined]
    steps: dict[str, np.ndarray] = {}
    if "positions" not in frozen:
        along = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
        steps["positions"] = np.sqrt(2) * along * unit[:, None]
    if "displacements" not in frozen:
        width_step = np.sqrt(2 * widths / d) * unit
        steps["log_widths"] = np.repeat(width_step[:, None], widths, axis=1)
        if isinstance(atoms.displacements, AnisotropicDisplacements):
            count = atoms.displacements.shears.shape[1]
            steps["shears"] = np.repeat((2 * unit)[:, None], count, axis=1)
    if "amplitudes" not in frozen:
        steps["strengths"] = unit
    if "background" not in frozen and start.background.count:
        grid = Grid(counted.shape, np.asarray(spacing, np.float64), np.zeros(d))
        felt = np.array([np.sum(field[counted] ** 2) for field in start.background.fields(grid)])
        # A number that no voxel feels keeps its value.
        steps["background"] = 1 / np.sqrt(np.where(felt > 0, felt, np.inf))
    factor = np.log(bounds.width_factor)
    room = np.log(bounds.widest) - np.asarray(atoms.displacements.log_widths)  # type: ignore[attr-defined]
    limits = {
        "positions": bounds.move,
        "log_widths": (np.clip(room, 0.1, factor), factor),
        "shears": (bounds.shear, bounds.shear),
        "strengths": np.log(bounds.amplitude_factor),
    }
    return Parametrisation(
        start,
        {name: np.asarray(step, np.float32) for name, step in steps.items()},
        jax.tree.map(lambda limit: np.asarray(limit, np.float32), limits),
        d // widths,
    )


def _bounded(change: Leaf, up: Leaf, down: Leaf) -> Array:
    """A change that approaches its limits smoothly."""
    limit = jnp.where(jnp.asarray(change) > 0, up, down)
    return jnp.asarray(change) / jnp.sqrt(1 + (change / limit) ** 2)


def _bounded_length(change: Leaf, limit: Leaf) -> Array:
    """A vector (along the last axis) whose length approaches a limit smoothly."""
    return jnp.asarray(change) / jnp.sqrt(1 + jnp.sum(change**2, axis=-1, keepdims=True) / limit**2)
