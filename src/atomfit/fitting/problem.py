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
from jaxtyping import Array, Float
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
from atomfit.fitting.curvature import neighbour_table
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
    Region,
    SpectralLeastSquares,
    region_around,
    region_mask,
)
from atomfit.fitting.parameters import Bounds, Free, Parametrisation, parametrise
from atomfit.fitting.posterior import Posterior, Term
from atomfit.grid import DensityMap, Grid
from atomfit.options import Background, Displacements
from atomfit.rendering import Gaussians, WindowPlan, bucket, plan_windows

#: Voxels count out to this many of the mean atom's standard deviations.
REGION_WIDTHS = 4.5
#: How much farther the region reaches where noise is coloured, so that weights have room to act (Å).
COLOURED_MARGIN = 6.0
#: What a rough estimate of a fit's duration and memory on two cores is made of.
SECONDS_TO_COMPILE = 5.0
SECONDS_PER_WINDOW_VOXEL = 2e-8
SECONDS_PER_OVERLAP_TERM = 1e-8
ITERATIONS = 8
BYTES_OF_LIBRARIES = 6e8
#: Windows hold this many standard deviations of the longest axis of nearly all atoms.
WINDOW_WIDTHS = 4.0
_WINDOW_QUANTILE = 0.95
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
        return len(self.parametrisation.flat(self.parametrisation.zeros())) - (atoms - self.n) * each

    def describe(self) -> str:
        """What is about to be done, about how long it takes, and how much memory."""
        atoms, neighbours = np.shape(self.posterior.neighbours)
        plan = self.posterior.data.plan
        windows = atoms * float(np.prod(plan.window))
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
        - `value`: the objective there, which is the misfit unless there are other terms.
        """
        misfit = float(_misfit(self.posterior.data, model)) if self.posterior.terms else value
        return self.unit * float(np.sqrt(2 * misfit / max(self.measurements - self.parameters, 1)))

    def border(
        self, fields: list[Float[np.ndarray, "..."]]
    ) -> tuple[Float[np.ndarray, "n b"], Float[np.ndarray, "b b"]]:
        """What fields in the region share with each atom of unit integral, and with each other."""
        weighted = [np.asarray(_weighted(self.posterior.data, field)) for field in fields]
        positions = (
            np.asarray(self.parametrisation.start.atoms.positions)[: self.n] + self.region.grid.origin
        )
        places = tuple(self.region.grid.nearest_voxels(positions).T)
        return (
            np.stack([field[places] for field in weighted], axis=1),
            np.array([[np.sum(f * g, dtype=np.float64) for g in weighted] for f in fields]),
        )

    def outgrown(self, model: MapModel) -> bool:
        """Whether atoms have become too wide for their windows."""
        return bool(np.any(_reach(model.atoms[: self.n]) > 1.05 * self.reach))

    def redrawn(self, model: MapModel) -> "JointProblem":
        """The same problem with windows around a model's atoms."""
        reach = np.maximum(self.reach, _reach(model.atoms[: self.n]))
        plan = _plan(model.atoms, self.region.grid, reach, self.posterior.data.plan.devices)
        posterior = eqx.tree_at(lambda p: p.data.plan, self.posterior, plan)
        return replace(self, posterior=posterior, reach=reach)


def pose(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    *,
    displacements: Displacements = "anisotropic",
    background: Background = "constant",
    frozen: Collection[str] = (),
    terms: tuple[Term, ...] = (),
    noise: NoiseSpectrum | None = None,
    region_widths: float = REGION_WIDTHS,
    devices: int = 1,
) -> JointProblem:
    """Put a problem together.

    **Arguments:** those of `fit_jointly`, and

    - `region_widths`: how far from an atom voxels count, in widths of the mean atom.
    - `devices`: how many devices draw the atoms.
    """
    coloured = noise is not None and not noise.white
    radius = region_widths * float(np.sqrt(mean_atom.u))
    region = region_around(density, positions, radius + (COLOURED_MARGIN if coloured else 0), coloured)
    start = _start(density, positions, mean_atom, element, displacements, background, region)
    distance, spacing = element.neighbour_distance, density.grid.spacing
    bounds = Bounds(move=MOVE_PER_DISTANCE * distance, widest=WIDEST_PER_DISTANCE * distance)
    n, reach = len(positions), WINDOW_ROOM * _reach(start.atoms[: len(positions)])
    values = np.asarray(region.values / mean_atom.height, np.float32)
    counted, edges = region.mask.astype(np.float32), spacing.astype(np.float32)
    plan = _plan(start.atoms, region.grid, reach, devices)
    data: AbstractMisfit
    if noise is not None and coloured:
        frequencies, parts, _ = (x.astype(np.float32) for x in noise.sampled(mean_atom.u))
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
        parametrise(start, spacing, region.voxels, bounds, frozenset(frozen)),
        data,
        terms,
        neighbour_table(positions, mean_atom.u, len(start.atoms)),
    )
    informative = noise.information if noise is not None and coloured else 1.0
    return JointProblem(region, mean_atom.height, posterior, n, informative, reach)


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
    return np.where(region.mask, taper, 0.0).astype(np.float32)


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
    return cast(MapModel(atoms, kinds[background]), np.float32)


def _plan(atoms: Atoms, region: Grid, reach: Float[np.ndarray, " d"], devices: int) -> WindowPlan:
    """Windows of a given reach (Å) around every atom, in the region's frame."""
    points = eqx.tree_at(lambda g: g.matrices, Gaussians.of_atoms(atoms), replace_fn=np.zeros_like)
    local = Grid(region.shape, region.spacing, np.zeros(region.ndim))
    return plan_windows(points, local, margin=reach, devices=devices)


def _reach(atoms: Atoms) -> Float[np.ndarray, " d"]:
    """How far windows must reach along x, y, z (Å) to hold nearly all atoms."""
    variances = np.diagonal(np.asarray(atoms.matrices(), np.float64), axis1=1, axis2=2)
    return WINDOW_WIDTHS * np.quantile(np.sqrt(variances), _WINDOW_QUANTILE, axis=0)


def cast(tree: Tree, kind: type) -> Tree:
    """Floating-point leaves as numpy arrays of one kind."""
    return jax.tree.map(lambda x: np.asarray(x, kind if x.dtype.kind == "f" else None), tree)


@eqx.filter_jit
def _apply(parametrisation: Parametrisation, free: Free) -> MapModel:
    return parametrisation(free)


@eqx.filter_jit
def _misfit(data: AbstractMisfit, model: MapModel) -> Float[Array, ""]:
    return data(model)


@eqx.filter_jit
def _weighted(data: AbstractMisfit, field: Float[Leaf, "..."]) -> Float[Array, "..."]:
    return data.weighted(jnp.asarray(field, jnp.float32))
