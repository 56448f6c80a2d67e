"""All atoms of a map, refined together.

Every atom is free at once: neighbours that overlap share the density between them, the background is
part of the model, and no voxel is fitted by two atoms independently. That is what the per-atom fits
of the field (`logfit`) cannot do.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.hyperparameters import estimate_prior
from atomfit.fitting.limits import LIMITS
from atomfit.fitting.pose import pose
from atomfit.fitting.prior import DisplacementPrior, MapAlone
from atomfit.fitting.refinement import FitState, Refinement, plain, solve
from atomfit.fitting.resolution import Resolution, resolve, voxel_variances
from atomfit.fitting.settings import MapSettings
from atomfit.gaussians.bias import natural
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.scatterers import AbstractScattering
from atomfit.gaussians.uncertainty import Uncertainty
from atomfit.noise.residual import SmoothNoise
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.observation.background import AbstractBackground
from atomfit.optimisation.ended import Ended
from atomfit.optimisation.newton import GaussNewton
from atomfit.structure.atoms import (
    AbstractDisplacements,
    AnisotropicDisplacements,
    Atoms,
    IsotropicDisplacements,
    matrices_of_elements,
)
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.neighbours import find_neighbours

log = logging.getLogger("atomfit")

#: Times that the prior is estimated, and the atoms refined with it.
_ROUNDS = 2
#: Chi-square for each atom, as in `refine`: what the prior put in cannot be taken out of a rough solution.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class JointFit:
    """The result of a joint fit.

    **Fields:**

    - `atoms`: refined, in the map's frame and units (float64), without the bias that `uncertainty` has;
        their displacements are all that widens them, which `fitted` takes apart.
    - `scattering`: what they look like at rest.
    - `resolution`: the resolution term; None for Gaussians, whose displacements contain it.
    - `blur`: what widens all atoms alike: resolution and voxels (Å²).
    - `background`: refined, in map units; `fitted_on` is the grid of the region it was fitted on.
    - `spectrum`: weights of spatial frequencies; None if all counted alike.
    - `inside`: the noise as the residual has it; None if it was known otherwise.
    - `prior`: what displacements were drawn to; None for plain maximum likelihood.
    - `noise`: standard deviation of the (weighted) residual (map units), per degree of freedom; where
        voxels are not known alike, the root of their mean variance.
    - `chi_square`: square of the residual per degree of freedom, in units of the noise that was measured
        apart from the fit; near one if the model describes the map. NaN if none was measured.
    - `state`: the free numbers, and how the fit came to them.
    - `reason`: why it ended.
    - `voxels`, `parameters`: how many independent voxels counted, how many numbers were free.
    - `uncertainty`: covariances of the atoms' numbers.
    - `alone`: displacements without the prior's part in them.
    - `at_bound`: atoms that went to the limit of their move or their width.
    """

    atoms: Atoms
    scattering: AbstractScattering
    resolution: Resolution | None
    blur: Float[np.ndarray, "d d"]
    background: AbstractBackground
    fitted_on: Grid
    spectrum: NoiseSpectrum | None
    inside: SmoothNoise | None
    prior: DisplacementPrior | None
    noise: float
    chi_square: float
    state: FitState
    reason: Ended
    voxels: int
    parameters: int
    uncertainty: Uncertainty
    alone: MapAlone
    at_bound: Bool[np.ndarray, " n"]

    @property
    def history(self) -> Float[np.ndarray, " i"]:
        """Half the sum of squared residuals after each iteration, in squared typical peaks."""
        return self.state.history

    @property
    def positions(self) -> Float[np.ndarray, "n d"]:
        """Of the atoms, in the map's frame (Å)."""
        return np.asarray(self.atoms.positions)

    @property
    def fitted(self) -> FittedAtoms:
        """The atoms as plain numbers."""
        return plain(self.atoms, self.scattering, self.blur)

    @property
    def narrower(self) -> Bool[np.ndarray, " n"]:
        """Atoms that are narrower, along some axis, than resolution and voxels make them."""
        return np.linalg.eigvalsh(np.asarray(self.atoms.matrices()) - self.blur)[:, 0] <= 0

    def density(self, grid: Grid) -> Float[np.ndarray, "..."]:
        """The model's density on a grid (map units): atoms and background."""
        background = self.background.on(grid, self.fitted_on).astype(np.float32)
        return self.fitted.density(grid) + background


def fit_jointly(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    settings: MapSettings | None = None,
    **changes: Any,
) -> JointFit:
    """Refine all atoms of a map together.

    **Arguments:**

    - `density`: the map.
    - `positions`: where the atoms were found (Å); at least one.
    - `mean_atom`: what all atoms look like at the start.
    - `element`: what they are, or the one that `mean_atom` is of.
    - `settings`: how; `changes`, further keyword arguments, replace single fields of it.
    """
    wanted = replace(settings or MapSettings(), **changes)
    frozen, noise = wanted.frozen, wanted.noise
    measured = noise if isinstance(noise, NoiseSpectrum) else None
    problem = pose(density, positions, mean_atom, element, wanted)
    log.info(problem.describe())
    solver = wanted.solver or GaussNewton()
    run = partial(solve, solver=solver, max_iterations=wanted.max_iterations, progress=wanted.progress)
    found = run(problem)
    spectrum = measured if problem.coloured else None
    inside = found.noise_left(frozen) if noise == "residual" and wanted.likelihood is None else None
    known = partial(Refinement.uncertainty, u=mean_atom.u, noise=spectrum, inside=inside, frozen=frozen)
    neighbours = find_neighbours(found.fitted.positions, typical=element.neighbour_distance)
    coordination = neighbours.coordination_numbers.astype(float)
    uncertainty, drawn = known(found), None
    alone = _map_alone(found, uncertainty, None, coordination)
    drawing = wanted.prior == "empirical" or (wanted.prior == "auto" and _uncertain(found, uncertainty))
    for _ in range(_ROUNDS if drawing and "displacements" not in frozen else 0):
        if found.reason != Ended.CONVERGED:
            break
        of_lone = partial(
            found.covariances_if_alone, u=mean_atom.u, noise=spectrum, inside=inside, frozen=frozen
        )
        estimate = estimate_prior(alone, coordination, ~_at_bound(found), of_lone)
        if estimate is None or alone.shift(estimate, coordination) < LIMITS.prior_shift:
            break
        # What a map tells nothing of has a mean, too, but it need not be a displacement.
        if np.linalg.eigvalsh(estimate.matrix(density.grid.ndim))[0] <= 0:
            log.info("no prior: the mean of the displacements is none")
            break
        drawn = estimate
        log.info(drawn.describe())
        strength = found.strength_of_noise(inside, spectrum)
        posed = found.problem.drawn(*drawn.of_matrices(coordination, density.grid.ndim), strength)
        found = run(posed, start=found.state, tolerance=_TOLERANCE)
        # What the prior has put in can only be taken out of the very curvature that it is a part of.
        alone = _map_alone(found, known(found, curvature_only=True), drawn, coordination)
    if drawn is not None:
        uncertainty = known(found)
    at_bound, atoms = _at_bound(found), _moved(found.atoms, natural(found.fitted) - uncertainty.bias)
    shapes = np.asarray(atoms.matrices())
    blur, resolution = np.zeros_like(shapes[0]), None
    if wanted.voxels == "integrated":
        blur = voxel_variances(density.grid.spacing)
    if wanted.scattering != "gaussian" and "resolution" not in frozen:
        resolution = resolve(shapes - blur, uncertainty, ~at_bound, wanted.u_mean)
        blur = blur + resolution.s * np.eye(len(blur))
    return JointFit(
        atoms,
        found.fitted.scattering,
        resolution,
        blur,
        found.model.background.times(problem.unit),
        problem.region.grid,
        spectrum,
        inside,
        drawn,
        found.deviation,
        found.problem.chi_square(found.state.free, found.deviation, measured),
        found.state,
        found.reason,
        problem.measurements,
        problem.parameters,
        uncertainty,
        alone.without(blur),
        at_bound,
    )


def _moved(atoms: Atoms, to: Float[np.ndarray, "n q"]) -> Atoms:
    """The same atoms with other positions, displacements (11, 22, 33, 12, 13, 23) and amplitudes."""
    d = atoms.ndim
    shape: AbstractDisplacements
    if isinstance(atoms.displacements, IsotropicDisplacements):
        shape = IsotropicDisplacements.from_variances(to[:, d])
    else:
        shape = AnisotropicDisplacements.from_matrices(np.asarray(matrices_of_elements(to[:, d:-1])))
    return Atoms(to[:, :d], displacements=shape, amplitudes=to[:, -1], numbers=atoms.numbers)


def _map_alone(
    found: Refinement,
    known: Uncertainty,
    drawn: DisplacementPrior | None,
    coordination: Float[np.ndarray, " n"],
) -> MapAlone:
    """Displacements and their information, without what a prior has put into them."""
    d = found.atoms.ndim
    covariances = known.covariances[:, d:-1, d:-1]
    elements = (natural(found.fitted) - known.bias)[:, d:-1]
    if isinstance(found.atoms.displacements, IsotropicDisplacements):
        elements, covariances = elements[:, :1], covariances[:, :1, :1]
    return MapAlone.of(elements, covariances, drawn, coordination)


def _uncertain(found: Refinement, known: Uncertainty) -> bool:
    """Whether plain maximum likelihood leaves displacements uncertain.

    That is asked of the typical atom. A few at a bound, where the map is clear, are no reason to draw the
    others: they hop, or are two, or none.
    """
    d = found.atoms.ndim
    variances = known.covariances[:, d : 2 * d, d : 2 * d].sum(axis=(1, 2)) / d**2
    if not np.any(variances > 0):
        return False
    relative = np.sqrt(np.where(variances > 0, variances, np.nan)) / found.fitted.u_iso
    unknown = _at_bound(found) | ~np.isfinite(relative)
    return bool(np.median(np.where(unknown, np.inf, relative)) > LIMITS.uncertain)


def _at_bound(found: Refinement) -> Bool[np.ndarray, " n"]:
    """Atoms whose position or widths have used up nearly all of what they are allowed."""
    return found.model.structure.at_bound()[: found.problem.n]
