"""Half-maps: two reconstructions from the two halves of the data, which must match the map."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from atomfit.doubts.inspection import require_usable_values
from atomfit.io.mrc import MapFile, is_numpy, read_map
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError

#: Voxel sizes may differ by this part, origins by this many voxels: what headers round off.
_SAME_SIZE = 1e-3
_SAME_PLACE = 0.5
#: A map is the mean of its half-maps if it differs from it by less than this part of their noise.
_SAME_MAP = 0.5


def read_half_maps(
    paths: tuple[str | Path, str | Path], whole: MapFile, voxel_size: float | tuple[float, ...] | None
) -> tuple[DensityMap, DensityMap]:
    """Read both half-maps of a map.

    **Arguments:**

    - `paths`: of the two files; arrays (.npy) are on the map's grid.
    - `whole`: the map.
    - `voxel_size`: replaces the headers' (Å), as for the map.

    **Raises:** `InputError` if one cannot be read, is not on the map's grid, or both are the same.
    """
    files = [_read(Path(path), whole.map.grid, voxel_size) for path in paths]
    for file, path in zip(files, paths, strict=True):
        try:
            _require_same_grid(file.map.grid, whole.map.grid)
            require_usable_values(file.map)
        except InputError as error:
            raise error.at(path) from None
    first, second = (file.map for file in files)
    if np.array_equal(first.values, second.values):
        raise InputError(
            f"{Path(paths[0]).name} and {Path(paths[1]).name} hold the same map, whose noise is unknown",
            "give two reconstructions, each from one half of the data",
            "--half-maps",
        )
    return first, second


def _read(path: Path, grid: Grid, voxel_size: float | tuple[float, ...] | None) -> MapFile:
    """A half-map; one that says nothing of its grid is on the map's."""
    if not (path.is_file() and is_numpy(path)):
        return read_map(path, voxel_size)
    file = read_map(path, tuple(grid.spacing.tolist()))
    density = file.map
    return replace(file, map=DensityMap(density.values, grid)) if density.grid.shape == grid.shape else file


def is_their_mean(density: DensityMap, first: DensityMap, second: DensityMap) -> bool:
    """Whether a map, where it was measured, is the mean of its half-maps: their noise is its own then."""
    where = density.measured(np.ones(density.values.shape, bool))
    a, b = first.values[where], second.values[where]
    return bool(np.std(density.values[where] - 0.5 * (a + b)) < _SAME_MAP * np.std(0.5 * (a - b)))


def _require_same_grid(half: Grid, whole: Grid) -> None:
    def refuse(what: str, mine: str, other: str) -> None:
        raise InputError(
            f"its {what} is {mine}, but the map's is {other}", "give half-maps on the map's grid"
        )

    if half.shape != whole.shape:
        refuse("shape (z, y, x)", _listed(half.shape), _listed(whole.shape))
    if not np.allclose(half.spacing, whole.spacing, rtol=_SAME_SIZE):
        refuse("voxel size", f"{_listed(half.spacing)} Å", f"{_listed(whole.spacing)} Å")
    if np.any(np.abs(half.origin - whole.origin) > _SAME_PLACE * whole.spacing):
        refuse("origin", f"{_listed(half.origin)} Å", f"{_listed(whole.origin)} Å")


def _listed(numbers: object) -> str:
    return ", ".join(f"{number:g}" for number in np.asarray(numbers))
