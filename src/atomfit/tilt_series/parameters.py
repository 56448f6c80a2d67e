"""What moves when atoms are refined against images, and in which units.

As in `gaussians.bounded`, free numbers are zero at the start and measured so that a step of one changes
the objective by about one half: for a lone atom of peak p and width w seen in V views of pixel area a,

    position  √2 w / (p √(C V))     log width  1 / (p √(C V))     strength  1 / (p √(C V)),   C = π w² / a

(moments of the square of a two-dimensional Gaussian).
Those of numbers that several atoms share, or all, are estimated as if each atom stood alone.

Amplitudes and widths belong to each atom or to each element (`own`). Images of one direction say nothing
of the depth, so positions are known by all views together, and no bounds are needed: what a step may do
is limited by the solver's trust region.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from atomfit.gaussians.scattering_atoms import ScatteringAtoms
from atomfit.observation.series import SeriesNuisance
from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.projection.model import TiltModel
from atomfit.structure.atoms import AnisotropicDisplacements, Leaf

#: Free numbers of atoms, in the order in which `flat` has them.
OF_ATOMS = ("positions", "log_widths", "shears", "strengths")
#: Free numbers of the whole series and of each view.
OF_SERIES = ("backgrounds", "gains", "probe", "profile", "shifts", "turns")


class TiltParametrisation(AbstractParametrisation):
    """The map from free numbers, all zero at the start, to a model.

    **Fields:**

    - `start`: the model at zero.
    - `steps`: by name, how much of each quantity is one unit of its free number.
    - `members`: which row of the shared numbers each atom has.
    - `basis`: combinations of the probe's Gaussians that are orthogonal in an image, in its rows.
    - `own`: the atoms' quantities that each atom has for itself; elements share the others.
    """

    start: TiltModel
    steps: dict[str, Leaf]
    members: Int[Leaf, " n"]
    basis: Float[Leaf, "k k"]
    own: frozenset[str] = eqx.field(static=True)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the free numbers that each atom has for itself, in the order of `flat`."""
        return tuple(name for name in OF_ATOMS if name in self.steps and name in self.own)

    def __call__(self, free: Free) -> tuple[ScatteringAtoms, tuple[SeriesNuisance]]:
        model = self.model(free)
        return model.structure, (nuisance_of(model),)

    def model(self, free: Free) -> TiltModel:
        """Atoms, probe and views.

        **Arguments:**

        - `free`: the free numbers.
        """
        changes = {}
        for name, number in free.items():
            change = jnp.asarray(self.steps[name]) * number
            if name in OF_ATOMS and name not in self.own:
                change = change[jnp.asarray(self.members)]
            elif name in ("probe", "profile"):
                change = change @ jnp.asarray(self.basis)
            changes[name] = change
        if "strengths" in changes:
            changes["strengths"] = jnp.asarray(self.start.atoms.amplitudes) * jnp.expm1(
                changes["strengths"]
            )

        def changed(model: Any) -> list[Any]:
            return [LEAVES[name](model) for name in changes]

        new = [old + change for old, change in zip(changed(self.start), changes.values(), strict=True)]
        return eqx.tree_at(changed, self.start, new) if new else self.start


def nuisance_of(model: TiltModel) -> SeriesNuisance:
    """What a series has for itself in a model."""
    one, none = np.asarray(1.0, np.float32), np.asarray(0.0, np.float32)
    return SeriesNuisance(model.views, model.probe, one, none, {})


#: Which leaf of a model each kind of free number changes.
LEAVES: dict[str, Callable[[Any], Any]] = {
    "positions": lambda model: model.atoms.positions,
    "log_widths": lambda model: model.atoms.displacements.log_widths,
    "shears": lambda model: model.atoms.displacements.shears,
    "strengths": lambda model: model.atoms.amplitudes,
    "probe": lambda model: model.probe.table,
    "profile": lambda model: model.probe.profile,
    "backgrounds": lambda model: model.views.backgrounds,
    "gains": lambda model: model.views.gains,
    "shifts": lambda model: model.views.shifts,
    "turns": lambda model: model.views.turns,
}


def parametrise(
    start: TiltModel,
    free: frozenset[str],
    own: frozenset[str],
    members: Int[np.ndarray, " n"],
    pixel: float,
    frozen: np.ndarray | None = None,
) -> TiltParametrisation:
    """Free numbers of the parts that are named.

    **Arguments:**

    - `start`: the model to start from, in a unit in which typical peaks are of order one.
    - `free`: names of what is refined, of `OF_ATOMS` and `OF_SERIES`.
    - `own`: those of the atoms' that each has for itself.
    - `members`: which of the elements, counted from 0, each atom is.
    - `pixel`: edge of a pixel (Å).
    - `frozen`: atoms whose own numbers keep their values.
    """
    atoms = start.atoms
    views = len(start.views.gains)
    shares = np.abs(np.asarray(start.probe.table, np.float64).mean(axis=0))
    probe = float(np.asarray(start.probe.variances, np.float64) @ shares / shares.sum())
    widths_of_atoms = np.trace(np.asarray(atoms.matrices(), np.float64), axis1=1, axis2=2) / 3
    own_width, variances = float(np.median(widths_of_atoms)), widths_of_atoms + probe
    peaks = np.asarray(atoms.amplitudes, np.float64) / (2 * np.pi * variances)
    unit = 1 / (np.abs(peaks) * np.sqrt(np.pi * variances * views) / pixel)
    if frozen is not None:
        unit = np.where(frozen, 0.0, unit)
    widths = atoms.displacements.log_widths.shape[1]  # type: ignore[attr-defined]
    of_each: dict[str, np.ndarray] = {
        "positions": np.repeat((np.sqrt(2 * variances) * unit)[:, None], 3, axis=1),
        "log_widths": np.repeat((np.sqrt(widths) * unit)[:, None], widths, axis=1),
        "strengths": unit,
    }
    if isinstance(atoms.displacements, AnisotropicDisplacements):
        of_each["shears"] = np.repeat((2 * unit)[:, None], 3, axis=1)
    kinds = int(members.max(initial=0)) + 1
    alone = np.median(unit[unit > 0]) if np.any(unit > 0) else 1.0
    steps: dict[str, np.ndarray] = {}
    for name in free & of_each.keys():
        if name in own:
            steps[name] = of_each[name]
        else:
            counts = np.maximum(np.bincount(members, minlength=kinds), 1)
            shape = (kinds, *of_each[name].shape[1:])
            steps[name] = alone / np.sqrt(counts).reshape(-1, *[1] * (len(shape) - 1)) * np.ones(shape)
    # One view sees all atoms: as if each stood alone.
    of_view = alone * np.sqrt(views / max(len(atoms), 1))
    shapes = {name: np.shape(LEAVES[name](start)) for name in OF_SERIES}
    sizes = {
        # As if the particle were a disc as wide as it is deep.
        "backgrounds": pixel / (float(np.sqrt(np.pi)) * float(start.probe.reach)),
        "gains": of_view,
        "probe": alone * np.sqrt(np.shape(start.probe.table)[0] / max(len(atoms), 1)),
        "profile": alone / np.sqrt(max(len(atoms), 1)),
        "shifts": of_view * float(np.sqrt(2 * np.median(variances))),
        "turns": of_view * float(np.sqrt(2 * np.median(variances))) / (0.5 * float(start.probe.reach)),
    }
    for name in free & sizes.keys():
        steps[name] = np.full(shapes[name], sizes[name])
    return TiltParametrisation(
        start,
        {name: np.asarray(step, np.float32) for name, step in steps.items()},
        members,
        _orthogonal(np.asarray(start.probe.variances, np.float64), own_width).astype(np.float32),
        own,
    )


def _orthogonal(variances: Float[np.ndarray, " k"], width: float) -> Float[np.ndarray, "k k"]:
    """Combinations of Gaussians whose images are orthogonal, each as bright as the narrowest one.

    The integral of the product of two is that of a Gaussian of the sum of their variances.
    """
    total = variances + width
    products = 1 / (2 * np.pi * (total[:, None] + total))
    return np.linalg.inv(np.linalg.cholesky(products)) * np.sqrt(products[0, 0])
