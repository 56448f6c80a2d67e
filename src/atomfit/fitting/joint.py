"""All atoms of a map, refined together.

Every atom is free at once: neighbours that overlap share the density between them, the background is
part of the model, and no voxel is fitted by two atoms independently. That is what the per-atom fits
of the field (`logfit`) cannot do.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from atomfit.atoms import Atoms, IsotropicDisplacements
from atomfit.detection.mean_atom import MeanAtom
from atomfit.elements import Element
from atomfit.fitting.fitted import FittedAtoms
from atomfit.fitting.model import AbstractBackground, MapModel
from atomfit.fitting.newton import GaussNewton
from atomfit.fitting.noise import NoiseSpectrum
from atomfit.fitting.overlaps import weighted_derivatives
from atomfit.fitting.parameters import Parametrisation
from atomfit.fitting.posterior import Term
from atomfit.fitting.problem import JointProblem, cast, pose
from atomfit.fitting.solvers import AbstractSolver, minimise
from atomfit.fitting.uncertainty import Uncertainty, uncertainty
from atomfit.grid import DensityMap, Grid
from atomfit.options import Background, Displacements

log = logging.getLogger("atomfit")

#: A fit ends when a chunk of iterations lowers chi-square by less than this for each atom.
CHI_SQUARE_PER_ATOM = 1e-2
#: A map is not believed beyond this noise, as a part of a typical peak: float32 ends there.
SMALLEST_NOISE = 3e-4
_MAX_PLANS = 3


@dataclass(frozen=True, eq=False)
class JointFit:
    """The result of a joint fit.

    **Fields:**

    - `atoms`: refined, in the map's frame and units (float64).
    - `background`: refined, in map units; `fitted_on` is the grid of the region it was fitted on.
    - `spectrum`: weights of spatial frequencies; None if all counted alike.
    - `noise`: standard deviation of the (weighted) residual (map units), per degree of freedom.
    - `history`: half the sum of squared residuals after each iteration, in squared typical peaks.
    - `reason`: why it ended.
    - `voxels`, `parameters`: how many independent voxels counted, how many numbers were free.
    - `uncertainty`: covariances of the atoms' numbers.
    - `at_bound`: atoms that went to the limit of their move or their width.
    """

    atoms: Atoms
    background: AbstractBackground
    fitted_on: Grid
    spectrum: NoiseSpectrum | None
    noise: float
    history: Float[np.ndarray, " i"]
    reason: str
    voxels: int
    parameters: int
    uncertainty: Uncertainty
    at_bound: Bool[np.ndarray, " n"]

    @property
    def fitted(self) -> FittedAtoms:
        """The atoms as plain numbers."""
        return _plain(self.atoms)

    def density(self, grid: Grid) -> Float[np.ndarray, "..."]:
        """The model's density on a grid (map units): atoms and background."""
        background = self.background.on(grid, self.fitted_on).astype(np.float32)
        return self.fitted.density(grid) + background


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
    terms: tuple[Term, ...] = (),
    noise: NoiseSpectrum | None = None,
    max_iterations: int = 300,
    devices: int = 1,
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
    - `solver`: Gauss-Newton if not given.
    - `terms`: what else a good model keeps to, as functions of the model; see `posterior`.
    - `noise`: its spectrum; white if not given.
    - `max_iterations`: the most iterations.
    - `devices`: how many of JAX's devices draw the atoms.
    - `progress`: called with iterations done and the objective.
    """
    solver = GaussNewton() if solver is None else solver
    problem = pose(
        density,
        positions,
        mean_atom,
        element,
        displacements=displacements,
        background=background,
        frozen=frozen,
        terms=terms,
        noise=noise,
        devices=devices,
    )
    log.info(problem.describe())
    voxels, n = problem.measurements, problem.n
    free, history = problem.parametrisation.zeros(), np.zeros(0)
    for _ in range(_MAX_PLANS):
        minimum = minimise(
            jax.device_put(problem.posterior),
            free,
            solver,
            tolerance=CHI_SQUARE_PER_ATOM * n / voxels,
            least=0.5 * voxels * SMALLEST_NOISE**2,
            max_iterations=max_iterations - len(history),
            progress=_counting_from(len(history), progress),
        )
        free = minimum.params
        history = np.concatenate([history, minimum.history])
        model = problem.model(free)
        if minimum.reason != "converged" or not free or not problem.outgrown(model):
            break
        problem = problem.redrawn(model)
    deviation = problem.noise(model, minimum.value)
    atoms = _to_map_frame(model.atoms[:n], problem.unit, problem.region.grid)
    return JointFit(
        atoms,
        model.background.times(problem.unit),
        problem.region.grid,
        noise if problem.coloured else None,
        deviation,
        history,
        minimum.reason,
        problem.measurements,
        problem.parameters,
        _uncertainty(problem, _plain(atoms), model.background, deviation, noise, mean_atom.u, frozen),
        _at_bound(problem.parametrisation, model, n),
    )


def _uncertainty(
    problem: JointProblem,
    atoms: FittedAtoms,
    background: AbstractBackground,
    deviation: float,
    noise: NoiseSpectrum | None,
    u: float,
    frozen: Collection[str],
) -> Uncertainty:
    """Covariances of fitted atoms; `u` is the mean atom's variance (Å²)."""
    fields = [] if "background" in frozen else background.fields(problem.region.grid)
    overlap = noise_overlap = None
    if noise is not None and problem.coloured:
        frequencies, parts, noisy = noise.sampled(u)
        overlap = partial(weighted_derivatives, frequencies=frequencies, parts=parts)
        noise_overlap = partial(weighted_derivatives, frequencies=frequencies, parts=noisy)
    return uncertainty(
        atoms,
        deviation,
        float(np.prod(problem.region.grid.spacing)),
        isotropic=isinstance(problem.parametrisation.start.atoms.displacements, IsotropicDisplacements),
        frozen=frozen,
        border=problem.border(fields) if fields else None,
        overlap=overlap,
        noise_overlap=noise_overlap,
    )


def _counting_from(done: int, progress: Callable[[int, float], None]) -> Callable[[int, float], None]:
    return lambda iteration, value: progress(done + iteration, value)


def _plain(atoms: Atoms) -> FittedAtoms:
    """Atoms as plain numbers; isotropic ones have no matrices."""
    matrices = np.asarray(atoms.matrices())
    u_iso = np.trace(matrices, axis1=1, axis2=2) / atoms.ndim
    if isinstance(atoms.displacements, IsotropicDisplacements):
        matrices = np.full_like(matrices, np.nan)
    return FittedAtoms(np.asarray(atoms.positions), np.asarray(atoms.amplitudes), u_iso, matrices)


def _to_map_frame(atoms: Atoms, unit: float, region: Grid) -> Atoms:
    host = cast(atoms, np.float64)
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
