"""What is to be fitted: an objective, and what its numbers mean.

A `JointProblem` holds all that a fit needs and nothing of how it is solved: `joint` hands its objective
to a solver, and a researcher's own loop takes its `posterior`, a function of a pytree of free numbers,
and goes on with plain optax. `pose` puts one together.

The fit works in the frame of the region around the atoms and in units of the typical peak, in
float32; results are in the map's frame and units, in float64.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.fitting.model import MapModel
from atomfit.fitting.objective import AbstractMisfit, Pointwise, SpectralLeastSquares
from atomfit.fitting.parameters import Parametrisation
from atomfit.fitting.posterior import Posterior
from atomfit.fitting.prior import no_prior
from atomfit.gaussians.overlaps import natural_parameters
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.optimisation.parameters import Free
from atomfit.rendering import WindowPlan, plan_windows
from atomfit.structure.atoms import (
    Leaf,
)
from atomfit.structure.grid import Grid
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
#: Windows hold this many standard deviations of the longest axis of nearly all atoms.
WINDOW_WIDTHS = 4.0
_WINDOW_QUANTILE = 0.95


@dataclass(frozen=True, eq=False)
class JointProblem:
    """All atoms of a map, ready to be fitted.

    **Fields:**

    - `region`: the part of the map that counts.
    - `unit`: the typical peak (map units), in which densities are measured.
    - `posterior`: the objective, as a function of free numbers.
    - `n`: number of atoms; those behind them are padding.
    - `informative`: part of the region's spatial frequencies that count.
    - `reach`: of the windows along x, y, z (Å).
    """

    region: Region
    unit: float
    posterior: Posterior
    n: int
    informative: float
    reach: Float[np.ndarray, " d"]

    @property
    def parametrisation(self) -> Parametrisation:
        """The map from free numbers to a model."""
        return self.posterior.parametrisation

    @property
    def coloured(self) -> bool:
        """Whether spatial frequencies have weights."""
        return isinstance(self.posterior.data, SpectralLeastSquares)

    @property
    def measurements(self) -> int:
        """How many independent numbers of the map count."""
        data = self.posterior.data
        if isinstance(data, SpectralLeastSquares):
            return int(np.sum(np.asarray(data.inside) ** 2) * self.informative)
        return self.region.voxels

    @property
    def parameters(self) -> int:
        """How many numbers are free, not counting padding."""
        atoms, each = self.parametrisation.columns
        return sum(step.size for step in self.parametrisation.steps.values()) - (atoms - self.n) * each

    def describe(self) -> str:
        """What is about to be done, about how long it takes, and how much memory."""
        atoms, neighbours = np.shape(self.posterior.neighbours)
        plan = self.posterior.data.plan
        windows = len(plan.starts) * float(np.prod(plan.window))
        data = self.posterior.data
        terms = atoms * neighbours * (len(data.parts) if isinstance(data, SpectralLeastSquares) else 0)
        work = SECONDS_PER_WINDOW_VOXEL * windows + SECONDS_PER_OVERLAP_TERM * terms
        if isinstance(data, Pointwise):
            work *= PRODUCTS_DRAWN
        seconds = SECONDS_TO_COMPILE + ITERATIONS * work
        numbers = NUMBERS_PER_VOXEL * float(np.prod(plan.shape)) + 250 * atoms * neighbours
        memory = BYTES_OF_LIBRARIES + 4 * numbers
        minutes = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        return (
            f"joint fit of {self.parameters} numbers to {self.measurements} voxels: about {minutes} on two "
            f"cores (less if a fit of this size was compiled before), {1e-9 * memory:.1f} GB of memory"
        )

    def model(self, free: Free) -> MapModel:
        """The model at given free numbers, padding included, on the host."""
        return jax.tree.map(np.asarray, _apply(self.parametrisation, free))

    def noise(self, model: MapModel, value: float) -> float:
        """Standard deviation of what a model leaves, for each degree of freedom (map units).

        **Arguments:**

        - `model`: at the end of a fit.
        - `value`: the objective there.
        """
        if isinstance(self.posterior.data, Pointwise):
            precision = self.precision(model)
            return float(np.sqrt(np.mean(1 / precision[self.region.mask])))
        misfit = self._misfit(model, value)
        return self.unit * float(np.sqrt(2 * misfit / max(self.measurements - self.parameters, 1)))

    def misfit(self, free: Free, value: float) -> float:
        """What the map has in the objective (squared typical peaks).

        **Arguments:**

        - `free`, `value`: the free numbers and the objective there.
        """
        return self._misfit(self.model(free), value) if self._has_others else value

    def _misfit(self, model: MapModel, value: float) -> float:
        return value - float(_others(self.posterior, model)) if self._has_others else value

    @property
    def _has_others(self) -> bool:
        """Whether there are a prior or other terms; there is nothing to compile if there are none."""
        return bool(self.posterior.terms) or bool(np.any(self.posterior.prior.precisions))

    def drawn(
        self, means: Float[np.ndarray, "n s"], precision: Float[np.ndarray, "s s"], noise: float
    ) -> "JointProblem":
        """The same problem with displacements that are drawn to expected ones.

        **Arguments:**

        - `means`: expected displacements (Å²; 11, 22, 33, 12, 13, 23).
        - `precision`: inverse covariance about them (1/Å⁴).
        - `noise`: of a voxel, in which the objective is measured (map units).
        """
        d, prior = self.region.grid.ndim, no_prior(*self.posterior.prior.means.shape)
        prior.means[: self.n, d:-1] = means
        prior.precisions[: self.n, d:-1, d:-1] = precision * (noise / self.unit) ** 2
        return replace(self, posterior=eqx.tree_at(lambda p: p.prior, self.posterior, prior))

    def prior_information(self, noise: float) -> Float[np.ndarray, "n q q"]:
        """Precision of the prior for each atom, in natural parameters (map units).

        **Arguments:**

        - `noise`: of a voxel (map units).
        """
        unit = np.ones(self.posterior.prior.means.shape[1])
        unit[-1] = self.unit
        precisions = np.asarray(self.posterior.prior.precisions, np.float64)[: self.n]
        return precisions * (self.unit / noise) ** 2 / np.outer(unit, unit)

    def dispersion(self, model: MapModel) -> float:
        """By what the misfit is to be divided to be minus log likelihood, for a likelihood of voxels."""
        data = self.posterior.data
        assert isinstance(data, Pointwise)
        return data.loss.dispersion(*self._counted(model), self.parameters, self.unit)

    def precision(self, model: MapModel) -> Float[np.ndarray, "..."]:
        """Inverse variance of each voxel (1 / squared map units), for a likelihood of voxels."""
        data = self.posterior.data
        assert isinstance(data, Pointwise)
        precision = np.zeros(self.region.mask.shape)
        known = data.loss.precision(*self._counted(model), self.parameters, self.unit)
        precision[self.region.mask] = known / self.unit**2
        return precision

    def chi_square(self, model: MapModel, deviation: float, noise: NoiseSpectrum | None) -> float:
        """Square of what a model leaves, per degree of freedom, in units of noise known apart from the fit.

        NaN if no noise is.

        **Arguments:**

        - `model`, `deviation`: at the end of a fit, and what `noise` says of it.
        - `noise`: as measured.
        """
        data = self.posterior.data
        if isinstance(data, Pointwise):
            density, values = self._counted(model)
            measured = np.nan if noise is None else noise.variance / self.unit**2
            squares = (values - density) ** 2 / data.loss.variances(density, self.unit, measured)
            return float(np.sum(squares) / max(self.measurements - self.parameters, 1))
        if noise is None:
            return float("nan")
        return deviation**2 / (noise.deviation**2 if self.coloured else noise.variance)

    def _counted(self, model: MapModel) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Density and map at the voxels that count, in units of the typical peak."""
        data, mask = self.posterior.data, self.region.mask
        density = np.asarray(_density(data, model), np.float64)
        return density[mask], np.asarray(data.values, np.float64)[mask]

    def border(
        self, fields: list[Float[np.ndarray, "..."]]
    ) -> tuple[Float[np.ndarray, "n q b"], Float[np.ndarray, "b b"]]:
        """What fields in the region share with each atom's numbers and with each other, for Gaussian noise.

        A background hardly changes across an atom, and shares something with its amplitude alone.
        """
        weighted = [np.asarray(_weighted(self.posterior.data, field)) for field in fields]
        positions = (
            np.asarray(self.parametrisation.start.atoms.positions)[: self.n] + self.region.grid.origin
        )
        places = tuple(self.region.grid.nearest_voxels(positions).T)
        amplitudes = np.stack([field[places] for field in weighted], axis=1)
        others = np.zeros((self.n, len(natural_parameters(self.region.grid.ndim)) - 1, len(fields)))
        return (
            np.concatenate([others, amplitudes[:, None]], axis=1),
            np.array([[float(np.vdot(f, g)) for g in weighted] for f in fields], np.float64),
        )

    def outgrown(self, model: MapModel) -> bool:
        """Whether atoms have become too wide for their windows."""
        return bool(np.any(reach_of(model, self.n) > 1.05 * self.reach))

    def fitting(self, model: MapModel) -> "JointProblem":
        """The same problem with windows that a model's atoms fit into."""
        return self._redrawn(model) if self.outgrown(model) else self

    def adapted(self, model: MapModel) -> "JointProblem | None":
        """The problem to go on with after a fit, with new windows and scales; None if the old ones do."""
        problem = self._rescaled(model)
        if self.outgrown(model):
            problem = problem._redrawn(model)
        return None if problem is self else problem

    def _rescaled(self, model: MapModel) -> "JointProblem":
        """The same problem with the scale of what a model leaves."""
        data = self.posterior.data
        if not isinstance(data, Pointwise):
            return self
        density, values = self._counted(model)
        loss = data.loss.adapted(values - density, self.parameters)
        if loss is data.loss:
            return self
        return replace(self, posterior=eqx.tree_at(lambda p: p.data.loss, self.posterior, loss))

    def _redrawn(self, model: MapModel) -> "JointProblem":
        """The same problem with windows around a model's atoms."""
        reach = np.maximum(self.reach, reach_of(model, self.n))
        plan = windows_around(model, self.region.grid, reach, self.posterior.data.plan.devices)
        posterior = eqx.tree_at(lambda p: p.data.plan, self.posterior, plan)
        return replace(self, posterior=posterior, reach=reach)


def windows_around(
    model: MapModel, region: Grid, reach: Float[np.ndarray, " d"], devices: int
) -> WindowPlan:
    """Windows of a given reach (Å) around every Gaussian, in the region's frame."""
    points = eqx.tree_at(lambda g: g.matrices, model.gaussians, replace_fn=np.zeros_like)
    local = Grid(region.shape, region.spacing, np.zeros(region.ndim))
    return plan_windows(points, local, margin=reach, devices=devices)


def reach_of(model: MapModel, n: int) -> Float[np.ndarray, " d"]:
    """How far windows must reach along x, y, z (Å) to hold nearly all of the first n atoms."""
    variances = np.diagonal(np.asarray(model.atoms[:n].matrices(), np.float64), axis1=1, axis2=2)
    return WINDOW_WIDTHS * np.quantile(model.scattering[:n].widths(variances), _WINDOW_QUANTILE, axis=0)


@kept
def _apply(parametrisation: Parametrisation, free: Free) -> MapModel:
    return parametrisation(free)


@kept
def _others(posterior: Posterior, model: MapModel) -> Float[Array, ""]:
    return posterior.others(model)


@kept
def _density(data: AbstractMisfit, model: MapModel) -> Float[Array, "..."]:
    return model.density(data.plan, data.spacing)


@kept
def _weighted(data: AbstractMisfit, field: Float[Leaf, "..."]) -> Float[Array, "..."]:
    field = jnp.asarray(field, jnp.float32)
    # Gaussian noise has one curvature at all densities.
    return data.weighted(field, jnp.zeros_like(field))
