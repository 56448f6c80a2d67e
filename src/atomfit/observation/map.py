"""A map as an observation: density on the voxels of a grid, of three dimensions or, as an image, of two.

    density(r) = scale · structure(r), blurred + background(r)

What counts are the voxels around the atoms, as in `build`. Scale and blur are one and zero, and kept,
unless they are asked for: where two maps, or a map and a tilt series, are observations of one structure,
each needs a scale of its own, and a resolution of its own. Other parts of the structure may be its own
altogether (`own`): then positions alone are in common, say.
"""

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import paramax
from jaxtyping import Array, Bool, Float, Int, PyTree
from scipy.spatial import cKDTree

from atomfit.inference.noise import AbstractNoise, SpectralNoise, WhiteNoise
from atomfit.inference.observation import (
    AbstractObservation,
    require_known,
    require_like,
    with_own,
)
from atomfit.inference.parameters import frozen
from atomfit.inference.priors import AbstractPrior, Prior, as_priors
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.observation.background import AbstractBackground, background_of
from atomfit.observation.overlaps import overlaps
from atomfit.options.build import Background
from atomfit.rendering import MeasuringCanvas, VoxelCanvas, WindowPlan
from atomfit.rendering.canvas import holds
from atomfit.structure.canvas import AbstractStructure, Leaf
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.region import COLOURED_MARGIN, Region, region_around, tapered
from atomfit.support.errors import InputError

#: Windows are so much larger than atoms need, for these to move and widen in.
_ROOM = 1.3
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
        which: Int[np.ndarray, " m"] | None = None,
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
        - `which`: indices of the atoms that it shows; all if None.
        - `priors`: what is known beforehand of its nuisances: functions of these.

        **Raises:** `InputError` if a name is none, if no atom is inside the map, or a voxel near one no
        number.
        """
        require_known(free, ("scale", "blur"), "free")
        require_known(own, [f.name for f in fields(structure)], "own")
        require_like(structure.positions, density.grid.ndim, "a map")
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
        if isinstance(noise, NoiseSpectrum):
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

    def known(self, nuisance: MapNuisance) -> Float[Array, ""] | float:
        return sum((jnp.asarray(p(nuisance)) for p in self.priors), jnp.zeros(()))

    def planned(self, structure: AbstractStructure, nuisance: MapNuisance) -> "MapObservation":
        measured = self._measured(structure, nuisance)
        needed = measured.plans(self.grid)
        if len(needed) == len(self.plans) and all(map(holds, self.plans, needed)):
            return self
        return replace(self, plans=measured.plans(self.grid, _ROOM, self.devices))

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
    return SpectralNoise(noise.on(region.values.shape), tapered(region, positions, radius), deviation)


def _known(noise: NoiseSpectrum) -> float | None:
    return float(np.sqrt(noise.variance)) if np.isfinite(noise.variance) else None
