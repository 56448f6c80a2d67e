"""A scene in, its map and true atoms out; what is costly is kept in a directory that git ignores.

Atoms and reconstruction of a film are kept once, and its four sub-areas are cut from them.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.structure.grid import DensityMap, Grid
from experiments.film.imaging import denoiser, series
from experiments.film.reconstruction import reconstructed
from experiments.film.scenes import VOXEL, Scene
from experiments.film.structures import brightness, specimen
from experiments.keeping import kept

#: The support, and with it the map, ends so far beyond the outermost atoms (Å), as of the measured film.
LOOSE = 6.0
#: Atoms so far beyond a face are true ones, too (Å).
BEYOND = 4.0
#: The mean of the brightest maxima is set to this, as maps come in any unit.
UNIT = 1000.0


@dataclass(frozen=True, eq=False)
class SubArea:
    """A map and what is true of it.

    **Fields:**

    - `map`: reconstructed density.
    - `positions`: of the atoms in it and within 4 Å beyond its faces (Å, in the map's frame).
    - `types`: which of the kind's elements each is.
    - `denoiser`: of the images.
    """

    map: DensityMap
    positions: Float[np.ndarray, "n 3"]
    types: Int[np.ndarray, " n"]
    denoiser: str


def sub_area(scene: Scene, folder: Path) -> SubArea:
    """The map of a scene, and its atoms.

    **Arguments:**

    - `scene`: what it is.
    - `folder`: in which films are kept.
    """
    atoms = kept(folder / scene.kind / f"{scene.film}-atoms.npz", lambda: _atoms(scene))
    imaged = kept(folder / scene.kind / f"{scene.film}-density.npz", lambda: _imaged(scene, atoms))
    return cut(scene, imaged["density"], atoms["positions"], atoms["types"], str(imaged["denoiser"]))


def _atoms(scene: Scene) -> dict[str, np.ndarray]:
    begin = time.perf_counter()
    made = specimen(scene)
    seconds = np.array(time.perf_counter() - begin)
    return {"positions": made.positions, "types": made.types, "seconds": seconds}


def _imaged(scene: Scene, atoms: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    begin, by = time.perf_counter(), denoiser()
    bright = brightness(scene.kind)[atoms["types"]]
    images = series(atoms["positions"], bright, scene.period, scene.imaging, scene.film, by)
    density = reconstructed(
        images, scene.period, support_of(scene, atoms["positions"]), scene.imaging.steps
    )
    seconds = np.array(time.perf_counter() - begin)
    return {"density": density, "denoiser": np.array(by), "seconds": seconds}


def support_of(scene: Scene, positions: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, "nz nx"]:
    """Voxels of a plane that may be other than zero: not more than a little beyond the atoms.

    **Arguments:**

    - `scene`: what it is.
    - `positions`: of its atoms (Å).
    """
    reach = float(np.abs(positions[:, 2]).max()) + LOOSE
    half = int(reach / VOXEL)
    z = VOXEL * np.arange(-half, half + 1)
    x = VOXEL * np.arange(scene.period[0])
    middle, wide = positions[:, 0].min() / 2 + positions[:, 0].max() / 2, np.ptp(positions[:, 0]) / 2
    length = scene.lengths[0]
    beside = np.abs(np.mod(x - middle + length / 2, length) - length / 2)
    return np.array((np.abs(z)[:, None] <= reach) & (beside <= wide + LOOSE))


def cut(
    scene: Scene,
    density: Float[np.ndarray, "nz ny nx"],
    positions: Float[np.ndarray, "n 3"],
    types: Int[np.ndarray, " n"],
    by: str,
) -> SubArea:
    """The sub-area of a scene.

    **Arguments:**

    - `scene`: what it is.
    - `density`: of the whole film.
    - `positions`, `types`: of its atoms (Å).
    - `by`: what denoised its images.
    """
    corner, edge, nz = np.array(scene.corner), scene.edge, len(density)
    values = density[:, corner[1] : corner[1] + edge, corner[0] : corner[0] + edge]
    unit = UNIT / max(float(np.quantile(values, 0.999)), 1e-30)
    origin = np.append(VOXEL * corner, -VOXEL * (nz - 1) / 2)
    grid = Grid(values.shape, np.full(3, VOXEL), origin)
    low, high = origin - BEYOND, grid.positions_of(np.array(values.shape) - 1) + BEYOND
    found, which = [], []
    for shift in np.ndindex(3, 3):
        moved = positions + np.append((np.array(shift) - 1) * scene.lengths, 0.0)
        near = np.all((moved >= low) & (moved <= high), axis=1)
        found.append(moved[near])
        which.append(types[near])
    return SubArea(
        DensityMap((unit * values).astype(np.float32), grid),
        np.concatenate(found),
        np.concatenate(which),
        by,
    )
