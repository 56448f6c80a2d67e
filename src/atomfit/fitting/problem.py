"""A map's problem, ready to be solved, and what is known of it in the map's own frame and units.

A `JointProblem` holds an objective (`inference`) of one structure and one observation, and nothing of how
it is solved: `joint` hands it to a solver, and a researcher's own loop takes its `objective`, a function of
a pytree of free numbers, and goes on with plain optax. `pose` puts one together.

The fit works in the frame of the region around the atoms and in units of the typical peak, in
float32; results are in the map's frame and units, in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.gaussians.bounded import BoundedAtoms
from atomfit.gaussians.curvature import curvature_of_atoms
from atomfit.gaussians.overlaps import natural_parameters
from atomfit.gaussians.scatterers import AbstractScattering
from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.noise import AbstractNoise, LossNoise
from atomfit.inference.parameters import Parameters, on_host
from atomfit.inference.priors import AbstractPrior, Correlated
from atomfit.inference.problem import Objective, predicted
from atomfit.noise.likelihood import AbstractLoss
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.observation.background import AbstractBackground
from atomfit.observation.map import MapNuisance, MapObservation
from atomfit.optimisation.parameters import Free
from atomfit.structure.atoms import Atoms, Leaf
from atomfit.structure.region import Region
from atomfit.support.compiled import kept

#: What a rough estimate of a fit's duration and memory on two cores is made of.
SECONDS_TO_COMPILE = 5.0
SECONDS_PER_WINDOW_VOXEL = 2e-8
SECONDS_PER_OVERLAP_TERM = 1e-8
ITERATIONS = 8
PRODUCTS_DRAWN = 10
NUMBERS_PER_VOXEL = 7
BYTES_OF_LIBRARIES = 6e8

#: What else a good model keeps to: a number of its atoms, in squared typical peaks.
Term = Callable[[BoundedAtoms], Float[Array, ""]]


class MapModel(NamedTuple):
    """Atoms on a background, in the frame of a region and in units of the typical peak.

    **Fields:**

    - `structure`: the atoms; padding is behind them.
    - `nuisance`: what the map has for itself.
    """

    structure: BoundedAtoms
    nuisance: MapNuisance

    @property
    def atoms(self) -> Atoms:
        """Their displacements are all that widens them, their scattering apart."""
        return self.structure.atoms

    @property
    def scattering(self) -> AbstractScattering:
        """What they look like at rest."""
        return self.structure.scattering

    @property
    def background(self) -> AbstractBackground:
        """What lies beneath them."""
        return self.nuisance.background


class WeightedTerm(AbstractPrior):
    """A term of an objective as a prior.

    **Fields:**

    - `term`: a function of the atoms.
    - `weight`: one by the noise's variance (in squared typical peaks).
    """

    term: Term
    weight: Float[Leaf, ""]

    def __call__(self, structure: BoundedAtoms) -> Float[Array, ""]:
        return jnp.asarray(self.weight) * self.term(structure)


@dataclass(frozen=True, eq=False)
class JointProblem:
    """All atoms of a map, ready to be fitted.

    **Fields:**

    - `region`: the part of the map that counts.
    - `unit`: the typical peak (map units), in which densities are measured.
    - `objective`: what is minimised, as a function of free numbers, in squared typical peaks.
    - `n`: number of atoms; those behind them are padding.
    """

    region: Region
    unit: float
    objective: Objective
    n: int

    @property
    def parametrisation(self) -> Parameters:
        """The map from free numbers to structure and nuisance."""
        return self.objective.parameters

    @property
    def observation(self) -> MapObservation:
        """The map, in units of the typical peak."""
        (observation,) = self.objective.observations
        assert isinstance(observation, MapObservation)
        return observation

    @property
    def noise(self) -> AbstractNoise:
        """How voxels err."""
        return self.observation.noise

    @property
    def coloured(self) -> bool:
        """Whether spatial frequencies have weights."""
        return isinstance(self.noise, SpectralNoise)

    @property
    def loss(self) -> AbstractLoss | None:
        """What a voxel's difference costs, where noise is not Gaussian."""
        return self.noise.loss if isinstance(self.noise, LossNoise) else None

    @property
    def terms(self) -> tuple[Term, ...]:
        """What else the objective knows, in squared typical peaks."""
        return tuple(prior.term for prior in self.objective.priors if isinstance(prior, WeightedTerm))

    @property
    def measurements(self) -> int:
        """How many independent numbers of the map count."""
        return self.observation.measurements

    @property
    def parameters(self) -> int:
        """How many numbers are free, not counting padding."""
        return self.parametrisation.size

    def describe(self) -> str:
        """What is about to be done, about how long it takes, and how much memory."""
        (plan,), noise, table = self.observation.plans, self.noise, self.observation.neighbours
        pairs = 0 if table is None else int(np.size(table))
        windows = len(plan.starts) * float(np.prod(plan.window))
        sampled = len(noise.sampled[1]) if isinstance(noise, SpectralNoise) and noise.sampled else 0
        work = SECONDS_PER_WINDOW_VOXEL * windows + SECONDS_PER_OVERLAP_TERM * pairs * sampled
        if self.loss is not None:
            work *= PRODUCTS_DRAWN
        seconds = SECONDS_TO_COMPILE + ITERATIONS * work
        numbers = NUMBERS_PER_VOXEL * float(np.prod(plan.shape)) + 250 * pairs
        memory = BYTES_OF_LIBRARIES + 4 * numbers
        minutes = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        return (
            f"joint fit of {self.parameters} numbers to {self.measurements} voxels: about {minutes} on two "
            f"cores (less if a fit of this size was compiled before), {1e-9 * memory:.1f} GB of memory"
        )

    def model(self, free: Free) -> MapModel:
        """The model at given free numbers, padding included, on the host."""
        structure, (nuisance,) = jax.tree.map(np.asarray, _apply(self.parametrisation, free))
        return MapModel(structure, nuisance)

    def deviation(self, free: Free, value: float) -> float:
        """Standard deviation of what a model leaves, for each degree of freedom (map units).

        **Arguments:**

        - `free`: at the end of a fit.
        - `value`: the objective there.
        """
        if self.loss is not None:
            return float(np.sqrt(np.mean(1 / self.precision(free)[self.region.mask])))
        misfit = self.misfit(free, value)
        return self.unit * float(np.sqrt(2 * misfit / max(self.measurements - self.parameters, 1)))

    def misfit(self, free: Free, value: float) -> float:
        """What the map has in the objective (squared typical peaks).

        **Arguments:**

        - `free`, `value`: the free numbers and the objective there.
        """
        # There is nothing to compile if there is nothing else.
        known = self.terms or self.prior_information().any()
        return float(_misfit(self.objective, free, value)) if known else value

    def drawn(
        self, means: Float[np.ndarray, "n s"], precision: Float[np.ndarray, "s s"], noise: float
    ) -> "JointProblem":
        """The same problem with displacements that are drawn to expected ones.

        **Arguments:**

        - `means`: expected displacements (Å²; 11, 22, 33, 12, 13, 23).
        - `precision`: inverse covariance about them (1/Å⁴).
        - `noise`: of a voxel (map units).
        """
        d, count = self.region.grid.ndim, self.parametrisation.count
        q, variance = len(natural_parameters(d)), (noise / self.unit) ** 2
        places, precisions = np.zeros((count, q), np.float32), np.zeros((count, q, q), np.float32)
        places[: self.n, d:-1] = means
        precisions[: self.n, d:-1, d:-1] = precision
        weight = np.asarray(1 / variance, np.float32)
        objective = self.objective
        terms = tuple(WeightedTerm(term, weight) for term in self.terms)
        sized = eqx.tree_at(lambda o: o.noise, self.observation, self.noise.sized(variance))
        # Weighed against what the noise is, and still measured in squared peaks.
        priors = (Correlated(_natural, places, precisions), *terms)
        objective = replace(objective, observations=(sized,), priors=priors, unit=weight)
        return replace(self, objective=objective)

    def prior_information(self) -> Float[np.ndarray, "n q q"]:
        """Precision of the prior for each atom, in natural parameters (map units)."""
        q = len(natural_parameters(self.region.grid.ndim))
        unit = np.ones(q)
        unit[-1] = self.unit
        total = np.zeros((self.n, q, q))
        for prior in self.objective.priors:
            if isinstance(prior, Correlated):
                total += np.asarray(prior.precision, np.float64)[: self.n]
        return total / np.outer(unit, unit)

    def dispersion(self, free: Free) -> float:
        """By what the misfit is to be divided to be minus log likelihood, for a likelihood of voxels."""
        assert self.loss is not None
        return self.loss.dispersion(*self._counted(free), self.parameters, self.unit)

    def precision(self, free: Free) -> Float[np.ndarray, "..."]:
        """Inverse variance of each voxel (1 / squared map units), for a likelihood of voxels."""
        assert self.loss is not None
        precision = np.zeros(self.region.mask.shape)
        known = self.loss.precision(*self._counted(free), self.parameters, self.unit)
        precision[self.region.mask] = known / self.unit**2
        return precision

    def chi_square(self, free: Free, deviation: float, noise: NoiseSpectrum | None) -> float:
        """Square of what a model leaves, per degree of freedom, in units of noise known apart from the fit.

        NaN if no noise is.

        **Arguments:**

        - `free`, `deviation`: at the end of a fit, and what is said of it above.
        - `noise`: as measured.
        """
        if self.loss is not None:
            density, values = self._counted(free)
            measured = np.nan if noise is None else noise.variance / self.unit**2
            squares = (values - density) ** 2 / self.loss.variances(density, self.unit, measured)
            return float(np.sum(squares) / max(self.measurements - self.parameters, 1))
        if noise is None:
            return float("nan")
        return deviation**2 / (noise.deviation**2 if self.coloured else noise.variance)

    def _counted(self, free: Free) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Density and map at the voxels that count, in units of the typical peak."""
        mask = self.region.mask
        (density,) = predicted(self.objective, free)
        return np.asarray(density, np.float64)[mask], np.asarray(self.observation.data, np.float64)[mask]

    def border(
        self, fields: list[Float[np.ndarray, "..."]]
    ) -> tuple[Float[np.ndarray, "n q b"], Float[np.ndarray, "b b"]]:
        """What fields in the region share with each atom's numbers and with each other, for Gaussian noise.

        A background hardly changes across an atom, and shares something with its amplitude alone.
        """
        alone = eqx.tree_at(lambda o: o.noise, self.observation, self.noise.sized(1.0))
        weighted = [np.asarray(_weighted(alone, np.asarray(field, np.float32))) for field in fields]
        start = on_host(self.parametrisation.start[0]).start
        positions = np.asarray(start.positions)[: self.n] + self.region.grid.origin
        places = tuple(self.region.grid.nearest_voxels(positions).T)
        amplitudes = np.stack([field[places] for field in weighted], axis=1)
        others = np.zeros((self.n, len(natural_parameters(self.region.grid.ndim)) - 1, len(fields)))
        return (
            np.concatenate([others, amplitudes[:, None]], axis=1),
            np.array([[float(np.vdot(f, g)) for g in weighted] for f in fields], np.float64),
        )


def about_diagonal(objective: Objective, free: Free) -> Float[Array, " k"]:
    """The diagonal of the matrix that steps follow, of what atoms have for themselves; one of the others.

    **Arguments:**

    - `objective`, `free`: of a map's problem, and where it is asked for.
    """
    (observation,), parameters = objective.observations, objective.parameters
    assert isinstance(observation, MapObservation)
    at, (n, p), overlap = parameters.flat(free), parameters.columns, observation.noise.overlap()
    if overlap is None or not p:
        return jnp.ones_like(at)

    def natural(vector: Float[Array, " k"]) -> Float[Array, "n q"]:
        structure, (own,) = parameters(parameters.unflat(vector))
        return observation.natural(structure, own)

    def along(column: Array) -> tuple[Array, Array]:
        rows = jnp.tile(jax.nn.one_hot(column, p), (n, 1)).ravel()
        return jax.jvp(natural, (at,), (jnp.concatenate([rows, jnp.zeros(len(at) - n * p)]),))

    there, jacobians = jax.vmap(along, out_axes=(None, -1))(jnp.arange(p))
    at_rest, itself = parameters(free)[0].at_rest, jnp.arange(n)[:, None]
    alone = curvature_of_atoms(there, at_rest, itself, overlap, observation.noise.atoms_at_a_time)
    own = alone.blocks[:, 0] / jnp.prod(jnp.asarray(observation.spacing))
    for prior in objective.priors:
        if isinstance(prior, Correlated):
            own = own + jnp.asarray(prior.precision)
    inner = jnp.sum(own[:, :, :, None] * jacobians[:, None], axis=2)
    diagonal = jnp.sum(jacobians * inner, axis=1).ravel() / objective.unit
    return jnp.concatenate([diagonal, jnp.ones(len(at) - n * p)])


def no_prior(n: int, d: int) -> Correlated:
    """A prior that says nothing, in whose place one may come without anything being compiled anew.

    **Arguments:**

    - `n`: atoms, padding included.
    - `d`: dimensions.
    """
    q = len(natural_parameters(d))
    return Correlated(_natural, np.zeros((n, q), np.float32), np.zeros((n, q, q), np.float32))


def _natural(structure: BoundedAtoms) -> Float[Array, "n q"]:
    return jnp.asarray(structure.natural())


@kept
def _apply(parametrisation: Parameters, free: Free) -> Any:
    return parametrisation(free)


@kept
def _misfit(objective: Objective, free: Free, value: Float[Leaf, ""] | float) -> Float[Array, ""]:
    return jnp.asarray(objective.misfit(free, jnp.asarray(value)))


@kept
def _weighted(observation: MapObservation, field: Float[Leaf, "..."]) -> Float[Array, "..."]:
    # Gaussian noise has one curvature at all densities.
    data, counted = jnp.asarray(observation.data), jnp.asarray(observation.counted)
    return observation.noise.weighted(jnp.asarray(field), jnp.zeros_like(data), data, counted)
