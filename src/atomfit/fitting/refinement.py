"""Where the fit of a map has ended: its atoms in the map's frame, and how well they are known.

Covariances are computed in closed form, atom by atom with its neighbours (`gaussians.uncertainty`): those
of `inference.uncertainty` take the matrix of all numbers, of which a map may have a million.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property, partial

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from atomfit.fitting.problem import JointProblem, MapModel
from atomfit.fitting.start import cast
from atomfit.fitting.term_information import term_blocks
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.information import Beforehand, free_directions
from atomfit.gaussians.overlaps import weighted_derivatives
from atomfit.gaussians.pointwise import information_blocks, information_border, part_inside
from atomfit.gaussians.scatterers import AbstractScattering, Overlap
from atomfit.gaussians.uncertainty import Uncertainty, covariances_of_lone_atoms, uncertainty
from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.fit import CHI_SQUARE_PER_ATOM, refine
from atomfit.noise.residual import SmoothNoise, noise_left, taper
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.optimisation.ended import Ended
from atomfit.optimisation.parameters import Free
from atomfit.optimisation.solvers import AbstractSolver
from atomfit.structure.atoms import Atoms, IsotropicDisplacements, matrices_of_elements


@dataclass(frozen=True, eq=False)
class FitState:
    """How far a fit has come.

    **Fields:**

    - `free`: the best free numbers.
    - `history`: the objective after each iteration (half the sum of squared residuals, in squared typical
        peaks, where there is nothing else in it).
    """

    free: Free
    history: Float[np.ndarray, " i"]


@dataclass(frozen=True, eq=False)
class Refinement:
    """Where a solver has ended.

    **Fields:**

    - `problem`: that was solved.
    - `state`: the free numbers, and how it came to them.
    - `value`: of the objective, in squared typical peaks.
    - `reason`: why it ended.
    """

    problem: JointProblem
    state: FitState
    value: float
    reason: Ended

    @cached_property
    def model(self) -> MapModel:
        """In the problem's frame and units, padding included."""
        return self.problem.model(self.state.free)

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of what the model leaves, for each degree of freedom (map units)."""
        return self.problem.deviation(self.state.free, self.value)

    @cached_property
    def atoms(self) -> Atoms:
        """In the map's frame and units (float64)."""
        problem = self.problem
        host = cast(self.model.atoms[: problem.n], np.float64)
        scaled = eqx.tree_at(lambda a: a.amplitudes, host, replace_fn=lambda x: x * problem.unit)
        return scaled.shifted(problem.region.grid.origin)

    @cached_property
    def fitted(self) -> FittedAtoms:
        """The atoms as plain numbers, with all that widens them as their displacements."""
        return plain(self.atoms, self.model.scattering[: self.problem.n])

    def noise_left(self, frozen: Collection[str] = ()) -> SmoothNoise:
        """The noise that the model has left of the map; see `residual_noise`."""
        problem, grid = self.problem, self.problem.region.grid
        background = self.model.background.times(problem.unit).on(grid, grid)
        residual = problem.region.values - self.fitted.density(grid) - background
        u = float(np.median(self.fitted.u_iso))
        isotropic = isinstance(self.atoms.displacements, IsotropicDisplacements)
        window = taper(problem.region.mask, grid)
        return noise_left(residual, window, grid, problem.n, u, frozen, isotropic)

    def uncertainty(
        self,
        u: float,
        noise: NoiseSpectrum | None = None,
        inside: SmoothNoise | None = None,
        frozen: Collection[str] = (),
        curvature_only: bool = False,
    ) -> Uncertainty:
        """Covariances of the atoms' numbers.

        **Arguments:**

        - `u`: variance of the mean atom (Å²).
        - `noise`: by which frequencies were weighted, if they were.
        - `inside`: the noise, where all frequencies counted alike but should not have.
        - `frozen`: parts that were not refined.
        - `curvature_only`: take the inverse of the objective's curvature for the covariance, as if weights
            were those of the noise.
        """
        problem, grid = self.problem, self.problem.region.grid
        fields = [] if "background" in frozen else self.model.background.fields(grid)
        isotropic = isinstance(self.atoms.displacements, IsotropicDisplacements)
        basis = free_directions(grid.ndim, isotropic, frozen)
        strength = self.strength_of_noise(inside, noise)
        prior = self._beforehand(strength, basis)
        if problem.loss is not None:
            precision = problem.precision(self.state.free)
            return uncertainty(
                self.fitted,
                1.0,
                1.0,
                isotropic=isotropic,
                frozen=frozen,
                border=information_border(self.fitted, fields, precision, grid) if fields else None,
                prior=prior,
                blocks_of=partial(information_blocks, precision=precision, grid=grid),
            )
        overlap, noise_overlap = self._overlaps(u, noise, inside)
        return uncertainty(
            self.fitted,
            strength,
            grid.voxel_volume,
            isotropic=isotropic,
            frozen=frozen,
            border=problem.border(fields) if fields else None,
            overlap=overlap,
            noise_overlap=None if curvature_only else noise_overlap,
            prior=prior,
            inside=self._inside(),
        )

    def _inside(self) -> tuple[Float[np.ndarray, "n q q"], Float[np.ndarray, "n q q"]] | None:
        """What the region's faces leave of the information on each atom, and of what noise does to it."""
        noise, grid = self.problem.noise, self.problem.region.grid
        if isinstance(noise, SpectralNoise):
            weights = np.asarray(noise.inside, np.float64) ** 2
            return part_inside(self.fitted, weights, grid), part_inside(self.fitted, weights**2, grid)
        part = part_inside(self.fitted, self.problem.region.mask.astype(np.float64), grid)
        return part, part

    def _beforehand(self, noise: float, basis: Float[np.ndarray, "q p"]) -> Beforehand | None:
        """What a prior and terms say of atoms, in natural parameters (map units); None if there are none.

        **Arguments:**

        - `noise`: of a voxel, in which the objective is measured (map units).
        - `basis`: directions in which an atom is free.
        """
        problem, terms = self.problem, self.problem.terms
        own = problem.prior_information()
        if not terms and not own.any():
            return None
        unit = np.ones(own.shape[-1])
        unit[-1] = problem.unit

        def blocks(neighbours: Int[np.ndarray, "n m"]) -> Float[np.ndarray, "n m q q"]:
            known = np.zeros((*neighbours.shape, *own.shape[1:]))
            known[:, 0] = own
            if terms:
                of_terms = term_blocks(terms, self.model.structure, neighbours, basis)
                known += of_terms * (problem.unit / noise) ** 2 / np.outer(unit, unit)
            return known

        return blocks

    def covariances_if_alone(
        self,
        which: Int[np.ndarray, " k"],
        elements: Float[np.ndarray, "k s"],
        u: float,
        noise: NoiseSpectrum | None = None,
        inside: SmoothNoise | None = None,
        frozen: Collection[str] = (),
    ) -> Float[np.ndarray, "k s s"]:
        """Covariances that displacements of atoms would have without neighbours, in a unit of their own.

        **Arguments:** those of `uncertainty`, and

        - `which`: atoms.
        - `elements`: displacements that they are to have (Å²; 11, 22, 33, 12, 13, 23, or U_iso).
        """
        isotropic = isinstance(self.atoms.displacements, IsotropicDisplacements)
        unit = np.eye(self.atoms.ndim)
        overlap, noise_overlap = self._overlaps(u, noise, inside)
        return covariances_of_lone_atoms(
            elements[..., None] * unit if isotropic else np.asarray(matrices_of_elements(elements)),
            self.fitted.scattering[which],
            isotropic=isotropic,
            frozen=frozen,
            overlap=overlap,
            noise_overlap=noise_overlap,
        )

    def _overlaps(
        self, u: float, noise: NoiseSpectrum | None, inside: SmoothNoise | None
    ) -> tuple[Overlap | None, Overlap | None]:
        """`overlap` and `noise_overlap` of `uncertainty`."""
        if noise is not None and self.problem.coloured:
            frequencies, parts, noisy = noise.sampled(u)
            overlap = partial(weighted_derivatives, frequencies=frequencies, parts=parts)
            return overlap, partial(weighted_derivatives, frequencies=frequencies, parts=noisy)
        if inside is not None:
            return None, inside.times(1 / self.strength_of_noise(inside) ** 2).overlap
        return None, None

    def strength_of_noise(self, inside: SmoothNoise | None, noise: NoiseSpectrum | None = None) -> float:
        """Standard deviation of the white noise that would do to displacements what the noise does.

        Its square, in units of the typical peak, is what the objective is to be divided by to be minus the
        logarithm of the probability; of a likelihood of voxels, that is its dispersion. Where noise is
        coloured it is what was measured, at least: frequencies beyond a filter's end hold less than their
        weights reckon with (the edges of where noise is measured leave some there), and lower the mean.
        """
        if self.problem.loss is not None:
            return self.problem.unit * float(np.sqrt(self.problem.dispersion(self.state.free)))
        if noise is not None and self.problem.coloured and np.isfinite(noise.deviation):
            return max(self.deviation, noise.deviation)
        if inside is None:
            return self.deviation
        u, d = float(np.median(self.fitted.u_iso)), self.atoms.ndim
        return self.deviation * float(np.sqrt(inside.excess(u, d, self.deviation)))


def solve(
    problem: JointProblem,
    solver: AbstractSolver,
    *,
    start: FitState | None = None,
    tolerance: float = CHI_SQUARE_PER_ATOM,
    max_iterations: int = 300,
    progress: Callable[[int, float], None] = lambda iteration, value: None,
) -> Refinement:
    """Solve a problem; see `inference.refine`.

    **Arguments:**

    - `solver`: the rule for an iteration.
    - `start`: goes on from there.
    - `tolerance`: the fit ends when an iteration lowers chi-square by less than this for each atom.
    - `max_iterations`: the most iterations, those before `start` included.
    - `progress`: called with iterations done and the objective.

    **Raises:** `InputError` if the objective is no number at the start.
    """
    before = np.zeros(0) if start is None else start.history
    done = len(before)
    fit = refine(
        problem.objective,
        solver,
        start=None if start is None else start.free,
        max_iterations=max(max_iterations - done, 0),
        tolerance=tolerance,
        progress=lambda iteration, value: progress(done + iteration, value),
    )
    unit = float(problem.objective.unit)
    state = FitState(fit.free, np.concatenate([before, fit.history / unit]))
    return Refinement(replace(problem, objective=fit.objective), state, fit.value / unit, fit.reason)


def plain(
    atoms: Atoms,
    scattering: AbstractScattering,
    blur: Float[np.ndarray, "d d"] | float = 0.0,
) -> FittedAtoms:
    """Atoms as plain numbers, with what widens all of them taken off.

    Isotropic ones have no matrices, nor have those that are narrower than the blur.
    """
    shapes = np.asarray(atoms.matrices())
    matrices = shapes - blur
    u_iso = np.trace(matrices, axis1=1, axis2=2) / atoms.ndim
    impossible = np.linalg.eigvalsh(matrices)[:, 0] <= 0
    if isinstance(atoms.displacements, IsotropicDisplacements):
        impossible = np.ones_like(impossible)
    return FittedAtoms(
        np.asarray(atoms.positions),
        np.asarray(atoms.amplitudes),
        np.where(u_iso > 0, u_iso, np.nan),
        np.where(impossible[:, None, None], np.nan, matrices),
        scattering,
        shapes,
    )
