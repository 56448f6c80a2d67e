"""What is to be fitted, put together: region, start, bounds, windows, objective.

A `JointProblem` holds all that a fit needs and nothing of how it is solved: `joint` hands its objective
to a solver, and a researcher's own loop takes its `posterior`, a function of a pytree of free numbers,
and goes on with plain optax.

The fit works in the frame of the region around the atoms and in units of the typical peak, in
float32; results are in the map's frame and units, in float64.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.ndimage import distance_transform_edt

from atomfit.atoms import (
    AbstractDisplacements,
    AnisotropicDisplacements,
    Atoms,
    IsotropicDisplacements,
    Leaf,
)
from atomfit.detection.mean_atom import MeanAtom
from atomfit.elements import Element
from atomfit.errors import InputError
from atomfit.fitting.curvature import neighbour_table
from atomfit.fitting.likelihood import AbstractLoss
from atomfit.fitting.model import (
    AbstractBackground,
    ConstantBackground,
    LinearBackground,
    MapModel,
    NoBackground,
)
from atomfit.fitting.noise import NoiseSpectrum
from atomfit.fitting.objective import (
    AbstractMisfit,
    LeastSquares,
    Pointwise,
    Region,
    SpectralLeastSquares,
    region_around,
    region_mask,
)
from atomfit.fitting.overlaps import natural_parameters
from atomfit.fitting.parameters import Bounds, Free, Parametrisation, parametrise
from atomfit.fitting.posterior import Posterior, Term
from atomfit.fitting.prior import no_prior
from atomfit.fitting.scatterers import AbstractScattering, FormFactors, OneGaussian
from atomfit.grid import DensityMap, Grid
from atomfit.options import Background, Displacements, Scattering
from atomfit.rendering import WindowPlan, bucket, plan_windows
from atomfit.scattering import blur_to_width

#: Voxels count out to this many of the mean atom's standard deviations.
REGION_WIDTHS = 4.5
#: How much farther the region reaches where noise is coloured, so that weights have room to act (Å).
COLOURED_MARGIN = 6.0
#: Where the map ends before that, its last so many Å fade out.
FACE_MARGIN = 2.0
#: What a rough estimate of a fit's duration and memory on two cores is made of.
SECONDS_TO_COMPILE = 5.0
SECONDS_PER_WINDOW_VOXEL = 2e-8
SECONDS_PER_OVERLAP_TERM = 1e-8
ITERATIONS = 8
BYTES_OF_LIBRARIES = 6e8
#: Windows hold this many standard deviations of the longest axis of nearly all atoms.
WINDOW_WIDTHS = 4.0
_WINDOW_QUANTILE = 0.95
_NEARLY_ROUND = 0.9
#: Form factors are of no use where blur is a smaller part of the mean atom's variance.
SHARPEST = 0.1
#: Room for atoms to widen before the windows are drawn anew, as a factor.
WINDOW_ROOM = 1.3
#: Largest move of an atom, in neighbour distances.
MOVE_PER_DISTANCE = 0.22
#: Largest standard deviation of an atom along an axis, in neighbour distances.
WIDEST_PER_DISTANCE = 0.45

Tree = TypeVar("Tree")


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
        seconds = SECONDS_TO_COMPILE + ITERATIONS * work
        numbers = 12 * float(np.prod(plan.shape)) + 250 * atoms * neighbours
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
        misfit = value - float(_others(self.posterior, model))
        return self.unit * float(np.sqrt(2 * misfit / max(self.measurements - self.parameters, 1)))

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
            np.array([[np.sum(f * g, dtype=np.float64) for g in weighted] for f in fields]),
        )

    def outgrown(self, model: MapModel) -> bool:
        """Whether atoms have become too wide for their windows."""
        return bool(np.any(_reach(model, self.n) > 1.05 * self.reach))

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
        reach = np.maximum(self.reach, _reach(model, self.n))
        plan = _plan(model, self.region.grid, reach)
        posterior = eqx.tree_at(lambda p: p.data.plan, self.posterior, plan)
        return replace(self, posterior=posterior, reach=reach)


def pose(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    *,
    numbers: Int[np.ndarray, " n"] | None = None,
    displacements: Displacements = "anisotropic",
    background: Background | AbstractBackground = "constant",
    scattering: Scattering = "gaussian",
    frozen: Collection[str] = (),
    terms: tuple[Term, ...] = (),
    noise: NoiseSpectrum | None = None,
    likelihood: AbstractLoss | None = None,
    region_widths: float = REGION_WIDTHS,
) -> JointProblem:
    """Put a problem together.

    **Arguments:** those of `fit_jointly`, and

    - `region_widths`: how far from an atom voxels count, in widths of the mean atom.
    """
    coloured = likelihood is None and noise is not None and not noise.white
    radius = region_widths * float(np.sqrt(mean_atom.u))
    region = region_around(density, positions, radius + (COLOURED_MARGIN if coloured else 0), coloured)
    numbers = np.full(len(positions), element.number) if numbers is None else numbers
    blur = mean_atom.u if scattering == "gaussian" else _blur(mean_atom, element)
    scatterers = OneGaussian() if scattering == "gaussian" else FormFactors.of(_filled(numbers), blur)
    start = _start(
        density, positions, mean_atom, blur, numbers, scatterers, displacements, background, region
    )
    distance, spacing = element.neighbour_distance, density.grid.spacing
    bounds = Bounds(move=MOVE_PER_DISTANCE * distance, widest=WIDEST_PER_DISTANCE * distance)
    n, reach = len(positions), WINDOW_ROOM * _reach(start, len(positions))
    # Windows of nearly round atoms are cubes, so that similar maps share compiled code.
    reach = np.where(reach > _NEARLY_ROUND * reach.max(), reach.max(), reach)
    values = np.asarray(region.values / mean_atom.height, np.float32)
    counted, edges = region.mask.astype(np.float32), spacing.astype(np.float32)
    plan = _plan(start, region.grid, reach)
    data: AbstractMisfit
    if likelihood is not None:
        data = Pointwise(values=values, weights=counted, loss=likelihood, spacing=edges, plan=plan)
    elif noise is not None and coloured:
        frequencies, parts, _ = (_padded(x.astype(np.float32)) for x in noise.sampled(mean_atom.u))
        weights = noise.on(region.values.shape)
        data = SpectralLeastSquares(
            values=values,
            weights=weights,
            inside=_tapered(region, positions, radius),
            frequencies=frequencies,
            parts=parts,
            spacing=edges,
            plan=plan,
        )
    else:
        data = LeastSquares(values=values, weights=counted, spacing=edges, plan=plan)
    posterior = Posterior(
        parametrise(start, spacing, region.mask, bounds, frozenset(frozen)),
        data,
        no_prior(len(start.atoms), len(natural_parameters(start.atoms.ndim))),
        terms,
        neighbour_table(positions, mean_atom.u, len(start.atoms)),
    )
    informative = noise.information if noise is not None and coloured else 1.0
    return JointProblem(region, mean_atom.height, posterior, n, informative, reach)


def _padded(x: Float[np.ndarray, "k *d"]) -> Float[np.ndarray, "size *d"]:
    """Zeros up to the next bucket; frequencies without weight, so that similar maps share compiled code."""
    return np.pad(x, [(0, bucket(len(x)) - len(x)), *[(0, 0)] * (x.ndim - 1)])


def _tapered(
    region: Region, positions: Float[np.ndarray, "n d"], radius: float
) -> Float[np.ndarray, "..."]:
    """One near the atoms, falling smoothly to zero at the region's faces.

    Without it the faces would cut through the noise, and a cut has all frequencies, also those of high
    weight.
    """
    near = region_mask(region.grid, positions, radius)
    beyond = distance_transform_edt(~near, sampling=region.grid.spacing[::-1]) / COLOURED_MARGIN
    taper = 0.5 + 0.5 * np.cos(np.pi * np.clip(beyond, 0, 1))
    # Where the map itself ends near an atom there is less room.
    ends = distance_transform_edt(np.pad(region.mask, 1), sampling=region.grid.spacing[::-1])
    inner = ends[(slice(1, -1),) * region.grid.ndim] / FACE_MARGIN
    taper = np.minimum(taper, 0.5 - 0.5 * np.cos(np.pi * np.clip(inner, 0, 1)))
    return np.where(region.mask, taper, 0.0).astype(np.float32)


def _start(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    blur: float,
    numbers: Int[np.ndarray, " n"],
    scatterers: AbstractScattering,
    displacements: Displacements,
    background: Background | AbstractBackground,
    region: Region,
) -> MapModel:
    """Mean atoms at the given places, as high as the map is there; padded to the next bucket.

    **Arguments:** those of `pose`, and

    - `blur`: what widens the mean atom (Å²), its `scatterers` apart.
    """
    n, d = positions.shape
    which = _filled(np.arange(n))
    size = len(which)
    below = _named(background, mean_atom.background, d) if isinstance(background, str) else background
    # A number that is no array counts as one.
    below = jax.tree.map(np.asarray, below)
    places = density.grid.nearest_voxels(positions)
    beneath = np.broadcast_to(below.on(density.grid, region.grid), density.grid.shape)
    height = density.at(places) - beneath[tuple(places.T)]
    relative = np.clip(height / mean_atom.height, 0.1, None)
    relative = np.where(np.arange(size) < n, relative[which], 0.0)
    shape: AbstractDisplacements
    if displacements == "isotropic":
        shape = IsotropicDisplacements.from_variances(np.full(size, blur))
    else:
        matrix = mean_atom.matrix * (blur / mean_atom.u)
        shape = AnisotropicDisplacements.from_matrices(np.tile(matrix, (size, 1, 1)))
    weights, matrices = scatterers.terms(shape.matrices(d))
    peaks = np.sum(weights / np.sqrt(np.linalg.det(2 * np.pi * matrices)), axis=1)
    atoms = Atoms(positions[which] - region.grid.origin, shape, relative / peaks, numbers[which])
    # Numpy until it is traced: every jax operation outside a jitted function is compiled on its own.
    return cast(MapModel(atoms, below.times(1 / mean_atom.height), scatterers), np.float32)


def _named(background: Background, level: float, d: int) -> AbstractBackground:
    match background:
        case "none":
            return NoBackground()
        case "constant":
            return ConstantBackground(np.asarray(level))
        case "linear":
            return LinearBackground(np.asarray(level), np.zeros(d))


def _blur(mean_atom: MeanAtom, element: Element) -> float:
    """What widens the mean atom (Å²), its element's form factor apart."""
    blur = blur_to_width(element.symbol, mean_atom.u, 0.5 * element.neighbour_distance)
    if blur is None or blur < SHARPEST * mean_atom.u:
        raise InputError(
            f"the map's atoms are no wider than the electron form factor of {element.symbol}, "
            "or there is none",
            "use --scattering gaussian",
            "--scattering",
        )
    return blur


def _filled(x: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Filled up to the next bucket, by the first of them."""
    return np.concatenate([x, np.repeat(x[:1], bucket(len(x)) - len(x))])


def _plan(model: MapModel, region: Grid, reach: Float[np.ndarray, " d"]) -> WindowPlan:
    """Windows of a given reach (Å) around every Gaussian, in the region's frame."""
    points = eqx.tree_at(lambda g: g.matrices, model.gaussians, replace_fn=np.zeros_like)
    local = Grid(region.shape, region.spacing, np.zeros(region.ndim))
    return plan_windows(points, local, margin=reach)


def _reach(model: MapModel, n: int) -> Float[np.ndarray, " d"]:
    """How far windows must reach along x, y, z (Å) to hold nearly all of the first n atoms."""
    variances = np.diagonal(np.asarray(model.atoms[:n].matrices(), np.float64), axis1=1, axis2=2)
    return WINDOW_WIDTHS * np.quantile(model.scattering[:n].widths(variances), _WINDOW_QUANTILE, axis=0)


def cast(tree: Tree, kind: type) -> Tree:
    """Floating-point leaves as numpy arrays of one kind."""
    return jax.tree.map(lambda x: np.asarray(x, kind if x.dtype.kind == "f" else None), tree)


@eqx.filter_jit
def _apply(parametrisation: Parametrisation, free: Free) -> MapModel:
    return parametrisation(free)


@eqx.filter_jit
def _others(posterior: Posterior, model: MapModel) -> Float[Array, ""]:
    return posterior.others(model)


@eqx.filter_jit
def _density(data: AbstractMisfit, model: MapModel) -> Float[Array, "..."]:
    return model.density(data.plan, data.spacing)


@eqx.filter_jit
def _weighted(data: AbstractMisfit, field: Float[Leaf, "..."]) -> Float[Array, "..."]:
    field = jnp.asarray(field, jnp.float32)
    # Gaussian noise has one curvature at all densities.
    return data.weighted(field, jnp.zeros_like(field))
