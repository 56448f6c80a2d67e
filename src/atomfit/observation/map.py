"""A map as an observation: density on the voxels of a grid, of three dimensions or, as an image, of two.

    density(r) = scale · structure(r), blurred + background(r)

What counts are the voxels around the atoms, as in `build`. Scale and blur are one and zero, and kept,
unless they are asked for: where two maps, or a map and a tilt series, are observations of one structure,
each needs a scale of its own, and a resolution of its own. Other parts of the structure may be its own
altogether (`own`): then positions alone are in common, say.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import paramax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped
from scipy.spatial import cKDTree

from atomfit.gaussians.curvature import curvature_of_atoms
from atomfit.gaussians.neighbours import neighbour_table
from atomfit.gaussians.scatterers import OneGaussian
from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.noise import AbstractNoise, WhiteNoise
from atomfit.inference.observation import (
    AbstractObservation,
    Product,
    blocks,
    require_known,
    require_like,
    require_noise,
    with_own,
)
from atomfit.inference.parameters import frozen, on_host
from atomfit.inference.priors import AbstractPrior, Prior, as_priors
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.observation.background import AbstractBackground, background_of
from atomfit.observation.overlaps import overlaps
from atomfit.options.build import Background
from atomfit.rendering import MeasuringCanvas, VoxelCanvas, WindowPlan, bucket
from atomfit.rendering.canvas import CUTOFF, holds
from atomfit.structure.canvas import AbstractStructure, Leaf
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.region import COLOURED_MARGIN, Region, region_around, tapered
from atomfit.support.errors import InputError

#: Windows are so much larger than atoms need, for these to move and widen in; planned anew if they are
#: smaller than this part of it (at 3.6 standard deviations an atom has 0.2 % of its peak).
_ROOM, _LEAST_ROOM = 1.3, 0.9
#: Edge of the blocks that may be held out (Å).
_BLOCK = 2.0
#: Atoms share data up to this many times the reach of one.
_TOGETHER = 1.6


class MapNuisance(eqx.Module):
    """What a map has for itself.

    **Fields:**

    - `background`: beneath the atoms (map units).
    - `scale`: map units in those of the structure's amplitudes.
    - `blur`: variance by which atoms are wider in it than in the structure (Å²).
    - `own`: parts of the structure that it has for itself, by name.
    """

    background: AbstractBackground
    scale: PyTree
    blur: PyTree
    own: dict[str, PyTree]


class MapObservation(AbstractObservation):
    """A map, or an image of columns.

    **Fields:**

    - `data`, `counted`, `noise`, `nuisance`: as of every observation; of a region around the atoms.
    - `spacing`, `origin`: of its grid (Å; x, y, z).
    - `plans`: windows of the structure's calls to a canvas.
    - `which`: indices of the atoms that it shows; all if None.
    - `priors`: of its nuisances, each minus the logarithm of a probability.
    - `neighbours`: which atoms overlap, where steps may follow the matrix of their overlaps (`gaussians`).
    - `devices`: how many of JAX's devices draw.
    """

    data: Float[Leaf, "..."]
    counted: Leaf
    noise: AbstractNoise
    nuisance: MapNuisance
    spacing: Float[Leaf, " d"]
    origin: Float[Leaf, " d"]
    plans: tuple[WindowPlan, ...] = ()
    which: Int[Leaf, " m"] | None = None
    priors: tuple[AbstractPrior, ...] = ()
    neighbours: Int[Leaf, "m k"] | None = None
    devices: int = eqx.field(static=True, default=1)

    @classmethod
    def of(
        cls,
        density: DensityMap,
        structure: AbstractStructure,
        *,
        noise: AbstractNoise | NoiseSpectrum | None = None,
        background: Background | AbstractBackground = "constant",
        free: Collection[str] = (),
        own: Collection[str] | dict[str, PyTree] = (),
        which: Shaped[np.ndarray, " m"] | Sequence[int] | None = None,
        priors: tuple[Prior, ...] = (),
    ) -> "MapObservation":
        """What a map tells of a structure.

        **Arguments:**

        - `density`: the map.
        - `structure`: about where its atoms are.
        - `noise`: how voxels err; a measured spectrum weighs spatial frequencies; white noise, of a size
            that is taken from what a fit leaves, if not given.
        - `background`: beneath the atoms, by name or to start from (map units).
        - `free`: "scale" and "blur", where the map has its own.
        - `own`: fields of the structure that the map has for itself, such as "displacements"; or by these
            names where they begin.
        - `which`: indices of the atoms that it shows, or a mask; all if None.
        - `priors`: what is known beforehand of its nuisances: functions of these.

        **Raises:** `InputError` if a name is none, if no atom is inside the map, or a voxel near one no
        number.
        """
        require_known(free, ("scale", "blur"), "free")
        require_known(own, [f.name for f in fields(structure)], "own")
        structure = on_host(structure)
        require_like(structure, density.grid.ndim, "a map")
        require_noise(noise, (AbstractNoise, NoiseSpectrum))
        which = None if which is None else _indices(which, len(structure))
        structure = with_own(structure, {}, which)
        parts = own if isinstance(own, dict) else {name: getattr(structure, name) for name in own}
        structure = with_own(structure, parts)
        measured = MeasuringCanvas()
        structure.draw(measured)
        radius, positions = float(measured.reach.max()), np.asarray(structure.positions, np.float64)
        coloured = isinstance(noise, NoiseSpectrum) and not noise.white
        if not np.any(density.grid.contains(positions)):
            raise InputError("no atom is inside the map", "give positions in the map's frame", "structure")
        margin = COLOURED_MARGIN if coloured else 0.0
        region = region_around(density, positions, radius + margin, coloured)
        if isinstance(noise, AbstractNoise):
            noise = _cut_out(noise, region, density.grid)
        elif isinstance(noise, NoiseSpectrum):
            noise = _spectral(noise, region, positions, radius) if coloured else WhiteNoise(_known(noise))
        if not np.all(np.isfinite(region.values[region.mask])):
            raise InputError(
                "voxels near atoms are no numbers", "say which were measured", "density.counted"
            )
        level = float(np.median(density.values[density.measured(np.ones(density.values.shape, bool))]))
        below = background_of(background, level, density.grid.ndim)
        numbers = {"scale": np.asarray(1.0, np.float32), "blur": np.asarray(0.0, np.float32)}
        kept = {name: x if name in free else frozen(x) for name, x in numbers.items()}
        return cls(
            data=region.values,
            counted=region.mask.astype(np.float32),
            noise=WhiteNoise() if noise is None else noise,
            nuisance=MapNuisance(below, own=parts, **kept),
            spacing=np.asarray(density.grid.spacing, np.float32),
            origin=np.asarray(region.grid.origin, np.float32),
            which=which,
            priors=as_priors(priors),
        )

    def predict(self, structure: AbstractStructure, nuisance: MapNuisance) -> Float[Array, "..."]:
        canvas = VoxelCanvas(self.plans, self.spacing, self.origin, nuisance.blur)
        atoms = nuisance.scale * with_own(structure, nuisance.own, self.which).draw(canvas)
        return atoms + nuisance.background.density(self.data.shape, self.spacing)

    def steepness(self, structure: AbstractStructure, nuisance: MapNuisance) -> Product:
        overlap = self.noise.overlap()
        if self.neighbours is None or overlap is None:
            return super().steepness(structure, nuisance)
        moving, still = eqx.partition((structure, nuisance), eqx.is_inexact_array)
        seen, push = jax.linearize(lambda numbers: self.natural(*eqx.combine(numbers, still)), moving)
        pull = jax.linear_transpose(push, moving)
        seen_atoms = with_own(structure, {}, self.which)
        at_rest, table = seen_atoms.at_rest or OneGaussian(), jnp.asarray(self.neighbours)
        atoms = curvature_of_atoms(seen, at_rest, table, overlap, self.noise.atoms_at_a_time)
        volume = jnp.prod(jnp.asarray(self.spacing))
        shares, corner, unravel = self._shares_of_background(nuisance.background, seen)

        def product(changes: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            natural, below = push(changes), ravel_pytree(changes[1].background)[0]
            # A background hardly changes across an atom, and shares nothing but with its amplitude.
            pulled = (atoms.product(natural).at[:, -1].add(below @ shares)) / volume
            by_structure, by_own = pull(pulled)[0]
            beneath = unravel(shares @ natural[:, -1] / volume + corner @ below)
            return by_structure, eqx.tree_at(lambda own: own.background, by_own, beneath)

        return product

    def natural(self, structure: AbstractStructure, nuisance: MapNuisance) -> Float[Array, "m q"]:
        """Natural parameters of the atoms as the map shows them.

        **Arguments:**

        - `structure`, `nuisance`: of Gaussian atoms, and what the map has for itself.
        """
        d = len(self.spacing)
        natural = jnp.asarray(with_own(structure, nuisance.own, self.which).natural())
        natural = natural.at[:, d : 2 * d].add(nuisance.blur)
        return natural.at[:, -1].multiply(nuisance.scale)

    def _shares_of_background(
        self, background: AbstractBackground, natural: Float[Array, "m q"]
    ) -> tuple[Float[Array, "b m"], Float[Array, "b b"], Callable[[Array], Any]]:
        """Weighted density of each of the background's numbers at the atoms, and its share in others.

        Each is drawn when it is needed: memory is that of the map, however many there are.
        """
        moving, still = eqx.partition(background, eqx.is_inexact_array)
        numbers, unravel = ravel_pytree(moving)
        shape, data, counted = self.data.shape, jnp.asarray(self.data), jnp.asarray(self.counted)

        def drawn(numbers: Float[Array, " b"]) -> Float[Array, "..."]:
            whole = eqx.combine(unravel(numbers), still)
            return jnp.broadcast_to(whole.density(shape, self.spacing), shape)

        places = (natural[:, : len(shape)] - jnp.asarray(self.origin)) / jnp.asarray(self.spacing)
        places = jnp.clip(jnp.round(places).astype(int)[:, ::-1], 0, np.array(shape) - 1)
        if not numbers.size:
            return jnp.zeros((0, len(natural))), jnp.zeros((0, 0)), unravel
        there, push = jax.linearize(drawn, numbers)
        pull = jax.linear_transpose(push, numbers)

        def of_one(direction: Float[Array, " b"]) -> tuple[Float[Array, " m"], Float[Array, " b"]]:
            weighted = self.noise.weighted(push(direction), there, data, counted)
            return weighted[tuple(places.T)], pull(weighted)[0]

        return *lax.map(of_one, jnp.eye(len(numbers))), unravel

    def known(self, nuisance: MapNuisance) -> Float[Array, ""] | float:
        return sum((jnp.asarray(p(nuisance)) for p in self.priors), jnp.zeros(()))

    def planned(self, structure: AbstractStructure, nuisance: MapNuisance) -> "MapObservation":
        measured = self._measured(structure, nuisance)
        needed = measured.plans(self.grid, _LEAST_ROOM)
        if len(needed) == len(self.plans) and all(map(holds, self.plans, needed)):
            return self
        table = self.neighbours
        # Overlaps know of no weights between nothing and one.
        alike = np.isin(np.asarray(self.counted), (0, 1)).all()
        if table is None and alike and self.noise.overlap() is not None:
            table = self._table(with_own(structure, jax.tree.map(np.asarray, nuisance.own), self.which))
        return replace(self, plans=measured.plans(self.grid, _ROOM, self.devices), neighbours=table)

    def _table(self, structure: AbstractStructure) -> Int[np.ndarray, "m k"] | None:
        """Which atoms overlap; None if these have no closed form. Padding has no amplitude, and none."""
        natural = structure.natural()
        if natural is None or not len(natural):
            return None
        d, size = len(self.spacing), len(natural)
        natural = np.asarray(natural, np.float64)[np.asarray(structure.amplitudes) != 0]
        variance = np.median(natural[:, d : 2 * d].mean(axis=1))
        width = (structure.at_rest or OneGaussian())[:1].widths(np.full((1, d), variance))
        return neighbour_table(natural[:, :d], float(np.mean(width**2)), size)

    def interacting(self, structure: AbstractStructure) -> Bool[np.ndarray, "n n"]:
        n = len(structure)
        shown = np.arange(n) if self.which is None else np.asarray(self.which)
        reach = _TOGETHER * float(self._measured(structure, paramax.unwrap(self.nuisance)).reach.max())
        if isinstance(self.noise, SpectralNoise):
            reach += COLOURED_MARGIN / 2
        found = np.eye(n, dtype=bool)
        places = np.asarray(structure.positions)[shown]
        pairs = shown[cKDTree(places).query_pairs(reach, output_type="ndarray")]
        found[pairs[:, 0], pairs[:, 1]] = found[pairs[:, 1], pairs[:, 0]] = True
        return found

    def overlaps(
        self,
        structure: AbstractStructure,
        nuisance: MapNuisance,
        tangents: PyTree,
        pairs: Int[np.ndarray, "m 2"],
    ) -> Float[np.ndarray, "m p p"]:
        if self.which is not None or nuisance.own or len(self.plans) != 1:
            return super().overlaps(structure, nuisance, tangents, pairs)
        return overlaps(self, structure, nuisance, tangents, pairs)

    @property
    def groups(self) -> Int[np.ndarray, "..."]:
        """Blocks of about one atom's width."""
        return blocks(np.shape(self.data), max(round(_BLOCK / float(np.mean(self.spacing))), 2))

    @property
    def measurements(self) -> int:
        return int(self.noise.independent(self.counted))

    @property
    def grid(self) -> Grid:
        """Of the region."""
        return Grid(
            self.data.shape, np.asarray(self.spacing, np.float64), np.asarray(self.origin, np.float64)
        )

    @property
    def volume(self) -> float:
        return self.measurements * self.grid.voxel_volume

    def _measured(self, structure: AbstractStructure, nuisance: MapNuisance) -> MeasuringCanvas:
        canvas = MeasuringCanvas(float(nuisance.blur))
        with_own(structure, jax.tree.map(np.asarray, nuisance.own), self.which).draw(canvas)
        return canvas


def _spectral(
    noise: NoiseSpectrum, region: Region, positions: Float[np.ndarray, "n d"], radius: float
) -> SpectralNoise:
    """Weights on the region's own frequencies."""
    deviation: Any = noise.deviation if np.isfinite(noise.deviation) else None
    inside = tapered(region, positions, radius)
    sampled = sampled_for_overlaps(noise, (radius / CUTOFF) ** 2)
    return SpectralNoise(noise.on(region.values.shape), inside, deviation, sampled=sampled)


def sampled_for_overlaps(
    noise: NoiseSpectrum, u: float
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Frequencies that overlaps are summed over, and their parts, padded so that maps share compiled code.

    **Arguments:**

    - `noise`: its spectrum.
    - `u`: variance of a typical atom (Å²).
    """

    def padded(x: Float[np.ndarray, "k *d"]) -> Float[np.ndarray, "size *d"]:
        rest = [(0, 0)] * (x.ndim - 1)
        return np.pad(x.astype(np.float32), [(0, bucket(len(x)) - len(x)), *rest])

    frequencies, parts, _ = noise.sampled(u)
    return padded(frequencies), padded(parts)


def _indices(which: Any, count: int) -> Int[np.ndarray, " m"]:
    """Of some atoms, each once.

    **Raises:** `InputError` if they are not.
    """
    found = np.asarray(which)
    found = np.flatnonzero(found) if found.dtype == bool and found.shape == (count,) else found
    whole = found.ndim == 1 and found.size and found.dtype.kind in "iu"
    if not whole or found.min() < 0 or found.max() >= count or len(np.unique(found)) < len(found):
        raise InputError(
            f"which atoms a map shows is not said by {np.array2string(found, threshold=6)}",
            f"give some of the indices 0 to {count - 1}, each once, or as many yes and no",
            "which",
        )
    return found


def _cut_out(noise: AbstractNoise, region: Region, grid: Grid) -> AbstractNoise:
    """A noise on a region; what it has for each voxel of a map is cut out.

    **Raises:** `InputError` if it has arrays of other voxels.
    """

    def cut(leaf: Any) -> Any:
        if np.ndim(leaf) != grid.ndim or not noise.single:
            return leaf
        if np.shape(leaf) != grid.shape:
            raise InputError(
                f"noise of {np.shape(leaf)} values is not that of a map of {grid.shape} voxels",
                "give an array like the map's",
                "noise",
            )
        return region.cut(np.asarray(leaf), grid)

    return jax.tree.map(cut, noise)


def _known(noise: NoiseSpectrum) -> float | None:
    return float(np.sqrt(noise.variance)) if np.isfinite(noise.variance) else None
