"""Where voxels are: the one place that knows how array indices and coordinates correspond.

Two orders meet in a density map. The array is stored [section, row, column], which for a map is
[z, y, x], as `mrcfile` and every viewer have it. Coordinates are (x, y, z), in Å, as every structure
file has them. `Grid` holds the conversion and nothing else in the package reverses an axis: shapes
and indices are in array order, positions, spacings and displacement matrices in coordinate order.

Voxels may have unequal edges, so the spacing is a vector everywhere. Nothing here assumes three
dimensions: an image is a grid with two axes.

Grids and maps live on the host in float64 and float32 numpy; what is traced by JAX is made from
them in `rendering` and `fitting`.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from atomfit.support.arrays import real_array


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxel centres.

    **Fields:**

    - `shape`: voxels along each axis, in array order ([z, y, x] in three dimensions).
    - `spacing`: voxel edge along x, y, z (Å).
    - `origin`: coordinates of the centre of the first voxel (Å).

        >>> grid = Grid((4, 4, 8), np.array([0.5, 0.5, 0.5]), np.zeros(3))
        >>> grid.positions_of(np.array([0, 0, 7])).tolist()  # indices are [z, y, x], coordinates (x, y, z)
        [3.5, 0.0, 0.0]
    """

    shape: tuple[int, ...]
    spacing: Float[np.ndarray, " d"]
    origin: Float[np.ndarray, " d"]

    def __post_init__(self) -> None:
        if not len(self.shape) == len(self.spacing) == len(self.origin):
            raise ValueError(
                f"shape {self.shape}, spacing {self.spacing} and origin {self.origin} "
                "must have the same number of axes"
            )
        if not np.all(self.spacing > 0):
            raise ValueError(f"spacing must be positive, not {self.spacing}")

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel (Å³; Å² for an image)."""
        return float(np.prod(self.spacing))

    @property
    def extent(self) -> Float[np.ndarray, " d"]:
        """Edges of the box along x, y, z (Å), counting whole voxels."""
        return self.spacing * np.array(self.shape[::-1])

    @property
    def centre(self) -> Float[np.ndarray, " d"]:
        """Coordinates of the middle of the box (Å)."""
        return self.origin + 0.5 * (self.extent - self.spacing)

    def positions_of(self, indices: Shaped[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n d"]:
        """Coordinates (Å) of (fractional) array indices."""
        return self.origin + np.asarray(indices, np.float64)[..., ::-1] * self.spacing

    def indices_of(self, positions: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n d"]:
        """Fractional array indices of coordinates (Å)."""
        return ((np.asarray(positions, np.float64) - self.origin) / self.spacing)[..., ::-1]

    def nearest_voxels(self, positions: Float[np.ndarray, "*n d"]) -> Int[np.ndarray, "*n d"]:
        """Array indices of the voxels nearest to coordinates (Å), kept inside the box."""
        nearest = np.rint(self.indices_of(positions)).astype(np.int64)
        return np.clip(nearest, 0, np.array(self.shape) - 1)

    def contains(self, positions: Float[np.ndarray, "*n d"]) -> Bool[np.ndarray, "*n"]:
        """Whether coordinates (Å) lie in the box, counting whole voxels."""
        indices = self.indices_of(positions)
        return np.all((indices >= -0.5) & (indices <= np.array(self.shape) - 0.5), axis=-1)

    def crop(self, start: tuple[int, ...], shape: tuple[int, ...]) -> "Grid":
        """The grid of `values[start : start + shape]` (array order)."""
        return replace(self, shape=shape, origin=self.positions_of(np.array(start)))

    def offsets_within(self, radius: float) -> Int[np.ndarray, "k d"]:
        """Index offsets (array order) of the voxels whose centres lie within `radius` (Å)."""
        reach = np.floor(radius / self.spacing[::-1]).astype(int)
        axes = [np.arange(-r, r + 1) for r in reach]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.ndim)
        distance = np.linalg.norm(offsets * self.spacing[::-1], axis=1)
        return offsets[distance <= radius]


@dataclass(frozen=True, eq=False)
class DensityMap:
    """Values on a grid: a reconstruction, a model's density, a residual.

    **Fields:**

    - `values`: one number a voxel (any unit; the fit works in multiples of an atom's peak).
    - `grid`: where the voxels are.
    - `counted`: voxels that were measured (see `doubts.unmeasured`); all of them if None.
    """

    values: Float[np.ndarray, "..."]
    grid: Grid
    counted: Bool[np.ndarray, "..."] | None = None

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            raise ValueError(
                f"values of shape {self.values.shape} do not fit a grid of shape {self.grid.shape}"
            )

    @classmethod
    def from_array(
        cls,
        values: Shaped[np.ndarray, "..."],
        voxel_size: float | tuple[float, ...] | list[float],
        origin: tuple[float, ...] | list[float] | None = None,
    ) -> "DensityMap":
        """A map from an array in [z, y, x] order.

        **Arguments:**

        - `values`: the array.
        - `voxel_size`: one edge, or one each along x, y, z (Å).
        - `origin`: coordinates of the first voxel (Å); zero by default.

        **Raises:** `InputError` if values are no real numbers that 32-bit floats hold, or are masked.

            >>> DensityMap.from_array(np.zeros((8, 8, 16), np.float32), voxel_size=0.5).grid.extent.tolist()
            [8.0, 4.0, 4.0]
        """
        held = real_array(values)
        spacing = np.broadcast_to(np.asarray(voxel_size, np.float64), (held.ndim,)).copy()
        start = np.zeros(held.ndim) if origin is None else np.asarray(origin, np.float64)
        return cls(held, Grid(held.shape, spacing, start))

    def with_values(self, values: Float[np.ndarray, "..."]) -> "DensityMap":
        """Other values on the same grid."""
        return replace(self, values=values)

    def measured(self, voxels: Bool[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Those of some voxels that were measured."""
        return voxels if self.counted is None else voxels & self.counted

    def at(self, voxels: Int[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n"]:
        """Values at array indices."""
        return self.values[tuple(np.moveaxis(voxels, -1, 0))]
