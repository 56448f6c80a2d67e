"""Atoms that may go only so far from where they begin: what moves in a fit of a map, and in which units.

Bounds are part of the map from free numbers to atoms, so no step can leave them: an atom moves no further
than `bounds.move` from where it was found, widths stay within a factor of the start and below
`bounds.widest` (an atom wider than that is not to be told from its neighbours), and amplitudes are
positive. A fit that ends at a bound says that the map does not determine that number.

An optimiser that knows only gradients depends on the units it is given. Here every free number is
measured in a standard uncertainty: a step of one changes the objective by about one half, whether it
moves a bright atom or widens a faint one. For a lone atom of peak p and width w, in a map of noise 1 and
voxel volume v, these are

    position  √2 w / (p √C)      log width  √2 / (p √C)      shear  2 / (p √C)      strength  1 / (p √C)

with C = π^(3/2) w³ / v, the sum of squares of a Gaussian of unit height (all follow from the moments of
its square, which is a Gaussian of half the variance). The strength s stands for the amplitude A, which
is correlated with the widths: log A = s + ½ Σ log widths is the combination that is not. In these
coordinates the Hessian of well separated atoms is the unit matrix, so that L-BFGS starts with the
right step.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
import paramax
from jaxtyping import Array, Bool, Float, PyTree

from atomfit.gaussians.scatterers import AbstractScattering
from atomfit.structure.atoms import (
    AbstractDisplacements,
    AnisotropicDisplacements,
    Atoms,
    IsotropicDisplacements,
    Leaf,
    namespace,
)
from atomfit.structure.canvas import AbstractCanvas, AbstractStructure


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


class BoundedAtoms(AbstractStructure):
    """Atoms by how they differ from those of the start.

    **Fields:**

    - `moves`: changes of positions (Å), before they are bounded, as all of these.
    - `log_widths`, `shears`: changes of `AnisotropicDisplacements`; of isotropic atoms there are no shears.
    - `strengths`: changes of the logarithm of amplitudes at constant width.
    - `start`: the atoms where all of these are zero; those of no amplitude are padding.
    - `scattering`: what they look like at rest.
    - `limits`: by name, the farthest that each may change (up and down, for widths and shears).
    - `held`: whether amplitudes are those of the start, and do not follow widths.
    """

    moves: Float[Leaf, "n d"]
    log_widths: Float[Leaf, "n w"]
    shears: Float[Leaf, "n s"]
    strengths: Float[Leaf, " n"]
    start: Atoms
    scattering: AbstractScattering
    limits: dict[str, PyTree]
    held: bool = eqx.field(static=True, default=False)

    @classmethod
    def of(
        cls, start: Atoms, scattering: AbstractScattering, bounds: Bounds, frozen: Collection[str] = ()
    ) -> "BoundedAtoms":
        """At the start, with what stays as it is wrapped (`inference.parameters`).

        **Arguments:**

        - `start`, `scattering`: where a fit begins.
        - `bounds`: how far it may go.
        - `frozen`: of "positions", "displacements" and "amplitudes", those that keep their values.
        """
        widths = np.asarray(start.displacements.log_widths)  # type: ignore[attr-defined]
        shears = getattr(start.displacements, "shears", np.zeros((len(start), 0)))
        factor, room = np.log(bounds.width_factor), np.log(bounds.widest) - widths
        limits = {
            "moves": _single(bounds.move),
            "log_widths": (_single(np.clip(room, 0.1, factor)), _single(factor)),
            "shears": (_single(bounds.shear), _single(bounds.shear)),
            "strengths": _single(np.log(bounds.amplitude_factor)),
        }
        parts = {
            "moves": ("positions", start.positions),
            "log_widths": ("displacements", widths),
            "shears": ("displacements", shears),
            "strengths": ("amplitudes", start.amplitudes),
        }
        zeros = {name: np.zeros(np.shape(x), np.float32) for name, (_, x) in parts.items()}
        atoms = cls(**zeros, start=start, scattering=scattering, limits=limits, held="amplitudes" in frozen)
        held = [name for name, (part, x) in parts.items() if part in frozen or not np.size(x)]
        return eqx.tree_at(
            lambda s: [getattr(s, name) for name in (*held, "start", "scattering", "limits")],
            atoms,
            replace_fn=paramax.non_trainable,
        )

    @property
    def atoms(self) -> Atoms:
        """As they are now."""
        start, limits = self.start, self.limits
        xp = namespace(self.moves, self.log_widths, self.shears, self.strengths, start.amplitudes)
        log_widths = _bounded(xp, self.log_widths, *limits["log_widths"])
        amplitudes = start.amplitudes
        if not self.held:
            log = _bounded(xp, self.strengths, limits["strengths"], limits["strengths"])
            log = log + 0.5 * (start.ndim // log_widths.shape[1]) * xp.sum(log_widths, axis=-1)
            amplitudes = amplitudes + amplitudes * xp.expm1(log)
        widths = start.displacements.log_widths + log_widths  # type: ignore[attr-defined]
        shape: AbstractDisplacements
        if isinstance(start.displacements, AnisotropicDisplacements):
            shears = start.displacements.shears + _bounded(xp, self.shears, *limits["shears"])
            shape = AnisotropicDisplacements(widths, shears)
        else:
            shape = IsotropicDisplacements(widths)
        positions = start.positions + _bounded_length(xp, self.moves, limits["moves"])
        return Atoms(positions, displacements=shape, amplitudes=amplitudes, numbers=start.numbers)

    @property  # type: ignore[misc]
    def positions(self) -> Float[Leaf, "n d"]:  # type: ignore[override]
        """In the frame of the start (Å)."""
        return self.atoms.positions

    @property  # type: ignore[misc]
    def amplitudes(self) -> Float[Leaf, " n"]:  # type: ignore[override]
        """Integral of each atom's density."""
        return self.atoms.amplitudes

    @property
    def at_rest(self) -> AbstractScattering:
        return self.scattering

    def __len__(self) -> int:
        return len(self.start)

    def natural(self) -> Float[Leaf, "n q"]:
        return self.atoms.natural()

    def draw(self, canvas: AbstractCanvas) -> Float[Array, "..."]:
        atoms = self.atoms
        drawn = self.scattering.gaussians(atoms.positions, atoms.matrices(), atoms.amplitudes)
        return canvas.gaussians(drawn.centres, drawn.matrices, drawn.weights)

    def at_bound(self, part: float = 0.9) -> Bool[np.ndarray, " n"]:
        """Atoms whose position or widths have used up more than a part of what they are allowed."""
        atoms, start, limits = self.atoms, self.start, self.limits
        moved = np.linalg.norm(np.asarray(atoms.positions) - np.asarray(start.positions), axis=1)
        now, then = (
            np.asarray(a.displacements.log_widths)  # type: ignore[attr-defined]
            for a in (atoms, start)
        )
        up, down = (np.asarray(limit) for limit in limits["log_widths"])
        widened = np.max(np.where(now > then, (now - then) / up, (then - now) / down), axis=1)
        return (moved > part * float(limits["moves"])) | (widened > part)


def steps_of(
    start: Atoms, spacing: Float[np.ndarray, " d"], frozen: Collection[str] = ()
) -> dict[str, Float[np.ndarray, "n *s"]]:
    """By name, how much of each number of `BoundedAtoms` is a standard uncertainty; zero for padding.

    **Arguments:**

    - `start`: in a unit in which typical peaks are of order one, and noise is one.
    - `spacing`: voxel edges (Å).
    - `frozen`: parts that keep their values.
    """
    d = start.ndim
    matrices = np.asarray(start.matrices(), np.float64)
    determinants = np.linalg.det(matrices)
    width = np.maximum(determinants, 1e-12) ** (0.5 / d)
    peak = np.asarray(start.amplitudes, np.float64) / np.sqrt((2 * np.pi) ** d * determinants)
    squares = (np.sqrt(np.pi) * width) ** d / np.prod(spacing)
    unit = 1 / np.where(peak > 0, peak * np.sqrt(squares), np.inf)
    widths = np.shape(start.displacements.log_widths)[1]  # type: ignore[attr-defined]
    steps: dict[str, np.ndarray] = {}
    if "positions" not in frozen:
        along = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
        steps["moves"] = np.sqrt(2) * along * unit[:, None]
    if "displacements" not in frozen:
        width_step = np.sqrt(2 * widths / d) * unit
        steps["log_widths"] = np.repeat(width_step[:, None], widths, axis=1)
        if isinstance(start.displacements, AnisotropicDisplacements) and d > 1:
            count = start.displacements.shears.shape[1]
            steps["shears"] = np.repeat((2 * unit)[:, None], count, axis=1)
    if "amplitudes" not in frozen:
        steps["strengths"] = unit
    return {name: np.asarray(step, np.float32) for name, step in steps.items()}


def _single(x: Float[np.ndarray, "..."] | float) -> Float[np.ndarray, "..."]:
    return np.asarray(x, np.float32)


def _bounded(xp: Any, change: Leaf, up: Leaf, down: Leaf) -> Leaf:
    """A change that approaches its limits smoothly."""
    limit = xp.where(change > 0, up, down)
    return change / xp.sqrt(1 + (change / limit) ** 2)


def _bounded_length(xp: Any, change: Leaf, limit: Leaf) -> Leaf:
    """A vector (along the last axis) whose length approaches a limit smoothly."""
    return change / xp.sqrt(1 + xp.sum(change**2, axis=-1, keepdims=True) / limit**2)
