"""All atoms of a map, refined together.

Every atom is free at once: neighbours that overlap share the density between them, the background is
part of the model, and no voxel is fitted by two atoms independently. That is what the per-atom fits
of the field (`logfit`) cannot do.

The fit works in the frame of the region around the atoms and in units of the typical peak, in
float32; its result is in the map's frame and units, in float64.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from atomfit.atoms import (
    AbstractDisplacements,
    AnisotropicDisplacements,
    Atoms,
    IsotropicDisplacements,
)
from atomfit.detection.mean_atom import MeanAtom
from atomfit.elements import Element
from atomfit.fitting.fitted import FittedAtoms
from atomfit.fitting.model import (
    AbstractBackground,
    ConstantBackground,
    LinearBackground,
    MapModel,
    NoBackground,
)
from atomfit.fitting.objective import LeastSquares, Region, region_around
from atomfit.fitting.parameters import Bounds, Free, Parametrisation, parametrise
from atomfit.fitting.solvers import LBFGS, AbstractSolver, minimise
from atomfit.grid import DensityMap, Grid
from atomfit.options import Background, Displacements
from atomfit.rendering import Gaussians, WindowPlan, bucket, plan_windows

#: Voxels count out to this many of the mean atom's standard deviations.
REGION_WIDTHS = 3.0
#: Windows hold this many standard deviations of the longest axis of nearly all atoms.
WINDOW_WIDTHS = 4.0
_WINDOW_QUANTILE = 0.95
#: Room for atoms to widen before the windows are drawn anew, as a factor.
WINDOW_ROOM = 1.3
#: Largest move of an atom, in neighbour distances.
MOVE_PER_DISTANCE = 0.22
#: Largest standard deviation of an atom along an axis, in neighbour distances.
WIDEST_PER_DISTANCE = 0.45
#: A fit ends when a chunk of iterations lowers chi-square by less than this for each atom.
CHI_SQUARE_PER_ATOM = 1e-2
_MAX_PLANS = 3

Tree = TypeVar("Tree")


@dataclass(frozen=True, eq=False)
class JointFit:
    """The result of a joint fit.

    **Fields:**

    - `atoms`: refined, in the map's frame and units (float64).
    - `background`: refined, in map units; `fitted_on` is the grid of the region it was fitted on.
    - `noise`: standard deviation of the residual in the region (map units), per degree of freedom.
    - `history`: half the sum of squared residuals after each iteration, in squared typical peaks.
    - `reason`: why it ended.
    - `voxels`, `parameters`: how many voxels counted, how many numbers were free.
    - `at_bound`: atoms that went to the limit of their move or their width.
    """

    atoms: Atoms
    background: AbstractBackground
    fitted_on: Grid
    noise: float
    history: Float[np.ndarray, " i"]
    reason: str
    voxels: int
    parameters: int
    at_bound: Bool[np.ndarray, " n"]

    @property
    def fitted(self) -> FittedAtoms:
        """The atoms as plain numbers; an isotropic fit knows no matrices."""
        matrices = np.asarray(self.atoms.matrices())
        u_iso = np.trace(matrices, axis1=1, axis2=2) / self.atoms.ndim
        if isinstance(self.atoms.displacements, IsotropicDisplacements):
            matrices = np.full_like(matrices, np.nan)
        positions, amplitudes = (np.asarray(x) for x in (self.atoms.positions, self.atoms.amplitudes))
        return FittedAtoms(positions, amplitudes, u_iso, matrices)

    def density(self, grid: Grid) -> Float[np.ndarray, "..."]:
        """The model's density on a grid (map units): atoms and background."""
        background = self.background.on(grid, self.fitted_on).astype(np.float32)
        return self.fitted.density(grid) + background


class _FreeObjective(eqx.Module):
    """The objective as a function of the free numbers."""

    parametrisation: Parametrisation
    objective: LeastSquares

    def __call__(self, free: Free) -> Float[Array, ""]:
        return self.objective(self.parametrisation(free))


def fit_jointly(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    *,
    displacements: Displacements = "anisotropic",
    background: Background = "constant",
    frozen: Collection[str] = (),
    solver: AbstractSolver | None = None,
    max_iterations: int = 300,
    progress: Callable[[int, float], None] = lambda iteration, value: None,
) -> JointFit:
    """Refine all atoms of a map together.

    **Arguments:**

    - `density`: the map.
    - `positions`: where the atoms were found (Å); at least one.
    - `mean_atom`: what all atoms look like at the start.
    - `element`: what they are.
    - `displacements`: one number an atom, or a matrix.
    - `background`: what lies beneath the atoms.
    - `frozen`: parts that keep their starting values.
    - `solver`: L-BFGS if not given.
    - `max_iterations`: the most iterations.
    - `progress`: called with iterations done and the objective.
    """
    solver = LBFGS() if solver is None else solver
    width = float(np.sqrt(mean_atom.u))
    region = region_around(density, positions, REGION_WIDTHS * width)
    unit = mean_atom.height
    start = _start(density, positions, mean_atom, element, displacements, background, region)
    distance = element.neighbour_distance
    bounds = Bounds(move=MOVE_PER_DISTANCE * distance, widest=WIDEST_PER_DISTANCE * distance)
    spacing = density.grid.spacing
    parametrisation = parametrise(start, spacing, region.voxels, bounds, frozenset(frozen))
    values = np.asarray(region.values / unit, np.float32)
    weights = region.mask.astype(np.float32)
    n = len(positions)
    tolerance = CHI_SQUARE_PER_ATOM * n / region.voxels

    free, history = parametrisation.zeros(), np.zeros(0)
    model, reach = start, WINDOW_ROOM * _reach(start.atoms[:n])
    for _ in range(_MAX_PLANS):
        plan = _plan(model.atoms, region.grid, reach)
        objective = LeastSquares(values, weights, spacing.astype(np.float32), plan)
        minimum = minimise(
            jax.device_put(_FreeObjective(parametrisation, objective)),
            free,
            solver,
            tolerance=tolerance,
            max_iterations=max_iterations - len(history),
            progress=_counting_from(len(history), progress),
        )
        free = minimum.params
        history = np.concatenate([history, minimum.history])
        model = jax.tree.map(np.asarray, _apply(parametrisation, free))
        needed = _reach(model.atoms[:n])
        if np.all(needed <= 1.05 * reach) or minimum.reason != "converged" or not free:
            break
        reach = np.maximum(reach, needed)
    count = sum(int(np.prod(x.shape[1:], dtype=int)) * n if x.ndim else 1 for x in free.values())
    residual = np.asarray(_residual(objective, model), np.float64)
    freedom = max(region.voxels - count, 1)
    noise = unit * float(np.sqrt(np.sum(residual[region.mask] ** 2) / freedom))
    return JointFit(
        _to_map_frame(model.atoms[:n], unit, region.grid),
        model.background.times(unit),
        region.grid,
        noise,
        history,
        minimum.reason,
        region.voxels,
        count,
        _at_bound(parametrisation, model, n),
    )


def _counting_from(done: int, progress: Callable[[int, float], None]) -> Callable[[int, float], None]:
    return lambda iteration, value: progress(done + iteration, value)


def _start(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    displacements: Displacements,
    background: Background,
    region: Region,
) -> MapModel:
    """Mean atoms at the given places, as high as the map is there; padded to the next bucket."""
    n, d = positions.shape
    size = bucket(n)
    which = np.concatenate([np.arange(n), np.zeros(size - n, int)])
    height = density.at(density.grid.nearest_voxels(positions)) - mean_atom.background
    relative = np.clip(height / mean_atom.height, 0.1, None)
    relative = np.where(np.arange(size) < n, relative[which], 0.0)
    shape: AbstractDisplacements
    if displacements == "isotropic":
        shape = IsotropicDisplacements.from_variances(np.full(size, mean_atom.u))
    else:
        shape = AnisotropicDisplacements.from_matrices(np.tile(mean_atom.matrix, (size, 1, 1)))
    integrals = relative * np.sqrt(np.linalg.det(2 * np.pi * shape.matrices(d)))
    atoms = Atoms(positions[which] - region.grid.origin, shape, integrals, np.full(size, element.number))
    level = np.asarray(mean_atom.background / mean_atom.height)
    kinds: dict[str, AbstractBackground] = {
        "none": NoBackground(),
        "constant": ConstantBackground(level),
        "linear": LinearBackground(level, np.zeros(d)),
    }
    # Numpy until it is traced: every jax operation outside a jitted function is compiled on its own.
    return _cast(MapModel(atoms, kinds[background]), np.float32)


def _plan(atoms: Atoms, region: Grid, reach: Float[np.ndarray, " d"]) -> WindowPlan:
    """Windows of a given reach (Å) around every atom, in the region's frame."""
    points = eqx.tree_at(lambda g: g.matrices, Gaussians.of_atoms(atoms), replace_fn=np.zeros_like)
    local = Grid(region.shape, region.spacing, np.zeros(region.ndim))
    return plan_windows(points, local, margin=reach)


def _reach(atoms: Atoms) -> Float[np.ndarray, " d"]:
    """How far windows must reach along x, y, z (Å) to hold nearly all atoms."""
    variances = np.diagonal(np.asarray(atoms.matrices(), np.float64), axis1=1, axis2=2)
    return WINDOW_WIDTHS * np.quantile(np.sqrt(variances), _WINDOW_QUANTILE, axis=0)


def _cast(tree: Tree, kind: type) -> Tree:
    """Floating-point leaves as numpy arrays of one kind."""
    return jax.tree.map(lambda x: np.asarray(x, kind if x.dtype.kind == "f" else None), tree)


@eqx.filter_jit
def _apply(parametrisation: Parametrisation, free: Free) -> MapModel:
    return parametrisation(free)


@eqx.filter_jit
def _residual(objective: LeastSquares, model: MapModel) -> Float[Array, "..."]:
    return objective.residual(model)


def _to_map_frame(atoms: Atoms, unit: float, region: Grid) -> Atoms:
    host = _cast(atoms, np.float64)
    scaled = eqx.tree_at(lambda a: a.amplitudes, host, replace_fn=lambda x: x * unit)
    return scaled.shifted(region.origin)


def _at_bound(
    parametrisation: Parametrisation, model: MapModel, n: int, part: float = 0.9
) -> Bool[np.ndarray, " n"]:
    """Atoms whose position or widths have used up nearly all of what they are allowed."""
    start, limits = parametrisation.start, parametrisation.limits
    moved = np.linalg.norm(np.asarray(model.atoms.positions) - np.asarray(start.atoms.positions), axis=1)
    change = np.asarray(model.atoms.displacements.log_widths) - np.asarray(  # type: ignore[attr-defined]
        start.atoms.displacements.log_widths  # type: ignore[attr-defined]
    )
    up, down = (np.asarray(limit) for limit in limits["log_widths"])
    widened = np.max(np.where(change > 0, change / up, -change / down), axis=1)
    return ((moved > part * float(limits["positions"])) | (widened > part))[:n]
