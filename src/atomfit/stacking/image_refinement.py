"""A particle refined against an image's pixels: atoms about where they are in, as the image shows them out.

The image is one view of atoms in three dimensions, along z. Each atom is a Gaussian of its column's width
and an even share of its column's integral, beneath which lies the background of the columns' fit; the prior
is

    E(r) / kT,

with E the effective-medium potential of the atoms without the image's scale and distortion. So x and y
follow the pixels, an atom in a column as its neighbours let it, and z is what the potential makes of that.
The problem is any other's (`inference`): atoms of a column have positions of their own in it, which
relaxation with the columns' places (`relaxation`) knows by their mean only.
"""

from dataclasses import dataclass, replace
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.spatial import cKDTree

from atomfit.fitting.column_fit import FittedColumns, without
from atomfit.inference.fit import refine
from atomfit.inference.noise import KnownPrecision
from atomfit.inference.parameters import frozen
from atomfit.inference.priors import AbstractGaussianPrior, AbstractPrior
from atomfit.inference.problem import Objective, Problem, predicted
from atomfit.observation.map import MapObservation
from atomfit.observation.point_spread import PointSpread
from atomfit.optimisation.ended import Ended
from atomfit.structure.canvas import AbstractCanvas, AbstractStructure, Leaf
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.structure.grid import DensityMap

#: Pairs are kept that are farther apart than the potential reaches by this (Å).
_SKIN = 1.0
#: What the particle's height is known to, that nothing tells (Å), and how far the zone may be off the beam.
_HEIGHT, _TILT = 1e-3, 0.02
#: By what an iteration promises to lower chi-square in the end, for each atom: modes of many are soft.
_ENDED = 1e-4
#: Atoms whose uncertainties are measured together, at most (a minute), and iterations of each round.
_MOST, _ITERATIONS = 2000, 200


@final
class SeenAtoms(AbstractStructure):
    """Atoms in three dimensions, as an image along z shows them.

    **Fields:**

    - `positions`: x and y (Å).
    - `amplitudes`: integral of each.
    - `heights`: z (Å), which the image does not see.
    - `variances`: of each in the image (Å²).
    - `spread`: what the image is convolved with.
    """

    positions: Float[Leaf, "n 2"]
    amplitudes: Float[Leaf, " n"]
    heights: Float[Leaf, " n"]
    variances: Float[Leaf, " n"]
    spread: PointSpread

    def draw(self, canvas: AbstractCanvas) -> Float[Array, "..."]:
        terms = [
            canvas.gaussians(self.positions, self.variances + variance, part * self.amplitudes)
            for part, variance in self.spread.terms
        ]
        return sum(terms[1:], terms[0])


class Potential(AbstractPrior):
    """Energy over kT of atoms that an image shows.

    **Fields:**

    - `medium`: the potential.
    - `pairs`: of atoms that may interact.
    - `straight`: from the image's lengths to the potential's.
    - `thermal`: kT (eV).
    """

    medium: EffectiveMedium
    pairs: Int[Leaf, "p 2"]
    straight: Float[Leaf, "3 3"]
    thermal: Float[Leaf, ""]

    def __call__(self, structure: Any) -> Float[Array, ""]:
        x = _places(structure)
        energies = self.medium.energies(x @ jnp.asarray(self.straight).T, jnp.asarray(self.pairs))
        return jnp.sum(energies) / self.thermal


class Lay(AbstractGaussianPrior):
    """Height and tilt of the particle: of a plane through its atoms' heights, less that at the start.

    To first order an image of columns along the beam does not know how the crystal is tilted, nor does a
    potential.

    **Fields:**

    - `plane`: what heights are multiplied with for height and slopes of the plane.
    - `start`: heights at the start (Å).
    - `deviations`: of height (Å) and slopes.
    """

    plane: Float[Leaf, "3 n"]
    start: Float[Leaf, " n"]
    deviations: Float[Leaf, "3"]

    def away(self, structure: Any) -> Float[Array, "3"]:
        return jnp.asarray(self.plane) @ (structure.heights - self.start)

    def weighted(self, away: Float[Array, "3"]) -> Float[Array, "3"]:
        return away / jnp.asarray(self.deviations) ** 2


@final
@dataclass(frozen=True, eq=False)
class Refined:
    """A particle as the image shows it.

    **Fields:**

    - `positions`: in the image's frame (Å).
    - `esds`: standard uncertainties; NaN where image and potential do not tell one, and of all if there are
        too many atoms to measure them together.
    - `moved`: root mean square of how far atoms went, along x, y and z (Å).
    - `chi_square`: of the pixels near atoms, for each; `before` as well.
    - `reason`: how the fit has ended.
    - `gone`: atoms that ended nearer to other sites than to their own.
    """

    positions: Float[np.ndarray, "n 3"]
    esds: Float[np.ndarray, "n 3"]
    moved: Float[np.ndarray, "3"]
    chi_square: float
    before: float
    reason: Ended
    gone: int

    @property
    def untold(self) -> int:
        """Atoms without a standard uncertainty along some axis."""
        return int(np.sum(~np.isfinite(self.esds).all(axis=1)))


def refine_against_image(
    positions: Float[np.ndarray, "n 3"],
    columns: Int[np.ndarray, " n"],
    stretch: Float[np.ndarray, "2 2"],
    seen: tuple[DensityMap, FittedColumns],
    medium: EffectiveMedium,
    thermal: float,
) -> Refined:
    """Refine atoms against the pixels, with a potential as prior.

    **Arguments:**

    - `positions`: to start from (Å), in the image's frame.
    - `columns`: of the fit, that each atom is in.
    - `stretch`: from the potential's lengths to the image's, x and y.
    - `seen`: the image that was fitted, and its columns.
    - `medium`: the potential.
    - `thermal`: kT (eV).
    """
    image, fitted = seen
    n = len(positions)
    integrals = np.asarray(fitted.columns.amplitudes, np.float64)
    number = np.bincount(columns, minlength=len(integrals))
    # What is not the model's is known well enough from the columns' fit.
    grid = image.grid
    rest = without(replace(fitted, rows=None), number > 0).drawn(grid)
    values = fitted.aligned(image) - rest - np.asarray(fitted.background.density(grid.shape, grid.spacing))
    structure = SeenAtoms(
        positions[:, :2],
        integrals[columns] / number[columns],
        positions[:, 2],
        np.linalg.det(fitted.spreads)[columns] ** 0.5,
        fitted.spread,
    )
    straight = np.zeros((3, 3))
    straight[:2, :2], straight[2, 2] = np.linalg.inv(stretch), abs(np.linalg.det(stretch)) ** -0.5
    near = cKDTree(positions @ straight.T).query_pairs(medium.reach + _SKIN, output_type="ndarray")
    numbers = straight.astype(np.float32), np.asarray(thermal, np.float32)
    lay = np.array([_HEIGHT, _TILT, _TILT], np.float32)
    priors = Potential(medium, near, *numbers), Lay(_plane(positions[:, :2]), positions[:, 2], lay)
    pixels = DensityMap(values.astype(np.float32), grid, fitted.counted)
    precision = np.where(fitted.counted, 1 / fitted.variance, 0.0)
    begun = _problem(structure, pixels, precision, priors).objective()
    before = _chi_square(begun, begun.parametrisation.zeros())
    # Pixels that atoms are far from would throw them over the potential's barriers if trusted at once.
    steps = int(np.ceil(np.log10(max(before, 1.0))))
    found: Any = structure
    for trusted in 10.0 ** np.arange(-steps, 1):
        problem = _problem(found, pixels, trusted * precision, priors)
        fit = refine(problem, max_iterations=_ITERATIONS, tolerance=_ENDED)
        found = fit.structure
    refined = np.column_stack([found.positions, found.heights])
    esds = np.full((n, 3), np.nan)
    if n <= _MOST:
        told: Any = fit.uncertainty.structure
        esds = np.column_stack([told.positions, told.heights])
    moved = np.sqrt(np.mean((refined - positions) ** 2, axis=0))
    gone = int(np.sum(np.linalg.norm(refined - positions, axis=1) > 0.5 * medium.neighbour_distance))
    return Refined(refined, esds, moved, _chi_square(fit.objective, fit.free), before, fit.reason, gone)


def _problem(
    atoms: SeenAtoms,
    pixels: DensityMap,
    precision: Float[np.ndarray, "rows columns"],
    priors: tuple[AbstractPrior, ...],
) -> Problem:
    noise = KnownPrecision(precision.astype(np.float32))
    observed = MapObservation.of(pixels, atoms, noise=noise, background="none")
    return Problem(frozen(atoms, lambda s: (s.amplitudes, s.variances, s.spread)), (observed,), priors)


def _places(structure: Any) -> Float[Array, "n 3"]:
    return jnp.concatenate([structure.positions, structure.heights[:, None]], axis=1)


def _plane(across: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "3 n"]:
    """What finds height and slopes of a plane, by least squares."""
    design = np.column_stack([np.ones(len(across)), across - across.mean(axis=0)])
    return np.linalg.pinv(design).astype(np.float32)


def _chi_square(objective: Objective, free: Any) -> float:
    """Of a pixel that counts."""
    observed = objective.observations[0]
    off = np.asarray(observed.data) - np.asarray(predicted(objective, free)[0])
    counted = np.asarray(observed.counted)
    noise: Any = observed.noise
    return float(np.sum(counted * np.asarray(noise.precision) * off**2) / max(counted.sum(), 1))
