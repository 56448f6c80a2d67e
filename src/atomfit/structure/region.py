"""The part of a map that is fitted: voxels around its atoms, cut out and padded.

Voxels far from any atom say nothing of the atoms, and much of what is wrong with a map (a mask's edge,
a neighbouring particle, a drifting background), so voxels within a few standard deviations of an atom
count. The region that holds them is padded to a multiple of 16 voxels, and to a cube if it nearly is one,
so that particles of similar size share compiled code. Voxels that were not measured do not count.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.ndimage import distance_transform_edt

from atomfit.structure.grid import DensityMap, Grid

#: Edges of a region are multiples of this many voxels.
_EDGE_MULTIPLE = 16
#: Edges of this part of the longest become as long, so that a particle may lie in any orientation.
_NEARLY_CUBIC = 0.75
#: How much farther the region reaches where noise is coloured, so that weights have room to act (Å).
COLOURED_MARGIN = 6.0
#: Where the map ends before that, its last so many Å fade out.
FACE_MARGIN = 2.0


@dataclass(frozen=True, eq=False)
class Region:
    """The part of a map that is fitted, on the host.

    **Fields:**

    - `values`: voxels of the region (map units); zeros where it is padded.
    - `mask`: voxels that count.
    - `grid`: of the region, in the map's frame.
    """

    values: Float[np.ndarray, "..."]
    mask: Bool[np.ndarray, "..."]
    grid: Grid

    @property
    def voxels(self) -> int:
        """How many voxels count."""
        return int(self.mask.sum())

    def cut(self, values: Shaped[np.ndarray, "..."], whole: Grid) -> Shaped[np.ndarray, "..."]:
        """What the region has of an array of the map; its outermost values where it is padded.

        **Arguments:**

        - `values`: of the map's voxels.
        - `whole`: the map's grid.
        """
        start = np.rint((self.grid.origin - whole.origin) / whole.spacing).astype(int)[::-1]
        part = values[tuple(slice(a, a + n) for a, n in zip(start, self.mask.shape, strict=True))]
        beyond = [(0, n - m) for n, m in zip(self.mask.shape, part.shape, strict=True)]
        return np.pad(part, beyond, mode="edge")

    def without(self, held: Bool[np.ndarray, "..."] | None, whole: Grid) -> "Region":
        """The same without voxels of the map that may not be seen; all may if None."""
        return self if held is None else replace(self, mask=self.mask & ~self.cut(held, whole))


def region_around(
    density: DensityMap, positions: Float[np.ndarray, "n d"], radius: float, whole: bool = False
) -> Region:
    """Cut out the voxels within a distance of any atom; there must be one.

    **Arguments:**

    - `density`: the map.
    - `positions`: of the atoms (Å).
    - `radius`: of the neighbourhood of an atom that counts (Å).
    - `whole`: whether all voxels of the box around these count.
    """
    grid = density.grid
    nearest = grid.nearest_voxels(positions)
    reach = np.ceil(radius / grid.spacing[::-1]).astype(int)
    low = np.maximum(nearest.min(axis=0) - reach, 0)
    high = np.minimum(nearest.max(axis=0) + reach + 1, grid.shape)
    edges = -(-(high - low) // _EDGE_MULTIPLE) * _EDGE_MULTIPLE
    shape = tuple(int(n) for n in np.where(edges >= _NEARLY_CUBIC * edges.max(), edges.max(), edges))
    inner = tuple(slice(n) for n in high - low)
    values = np.zeros(shape, np.float32)
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    values[inner] = density.values[there]
    mask = np.zeros(shape, bool)
    start = tuple(int(i) for i in low)
    cut = grid.crop(start, tuple(int(n) for n in high - low))
    mask[inner] = whole or region_mask(cut, positions, radius)
    if density.counted is not None:
        mask[inner] &= density.counted[there]
    return Region(values, mask, grid.crop(start, shape))


def region_mask(grid: Grid, positions: Float[np.ndarray, "n d"], radius: float) -> Bool[np.ndarray, "..."]:
    """Voxels of a grid within a distance (Å) of the voxel of any atom."""
    offsets = grid.offsets_within(radius)
    reach = np.abs(offsets).max(axis=0)
    # With a margin, so that no sphere is cut by a face.
    near = np.zeros(tuple(np.array(grid.shape) + 2 * reach), bool)
    strides = np.array(near.strides)
    centres = (grid.nearest_voxels(positions) + reach) @ strides
    flat = near.reshape(-1)
    for step in offsets @ strides:
        flat[centres + step] = True
    return near[tuple(slice(r, r + n) for r, n in zip(reach, grid.shape, strict=True))]


def tapered(region: Region, positions: Float[np.ndarray, "n d"], radius: float) -> Float[np.ndarray, "..."]:
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
