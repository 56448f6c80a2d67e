"""Maps that are right, and maps that are wrong but plausible, each made from a seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from atomfit.rendering import Gaussians, render_map
from atomfit.simulation import simulate
from atomfit.structure.grid import DensityMap, Grid
from experiments.noise_only.maps import MAPS

VOXEL = 0.358


@dataclass(frozen=True)
class Case:
    """An input of `build`.

    **Fields:**

    - `name`: what it is, or what is wrong with it.
    - `make`: a map from a seed.
    - `element`: what is asked for.
    - `expected`: codes of which the verdict must have one; none for a right input.
    - `told`: words of which what is told before the fit must have one; none if only the fit can tell.
    - `options`: of `build`.
    """

    name: str
    make: Callable[[int], DensityMap]
    element: str | tuple[str, ...] = "Pt"
    expected: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def simulated(**options: Any) -> Callable[[int], DensityMap]:
    """A particle as `atomfit simulate` makes it, turned at random."""
    return lambda seed: simulate(rotate="random", seed=seed, **options).map


def with_voxels(make: Callable[[int], DensityMap], *times: float) -> Callable[[int], DensityMap]:
    """The same map with a wrong voxel size: by one factor, or by one along each axis."""

    def changed(seed: int) -> DensityMap:
        found = make(seed)
        grid = Grid(found.grid.shape, found.grid.spacing * times, found.grid.origin * times)
        return DensityMap(found.values, grid)

    return changed


def changed(
    make: Callable[[int], DensityMap], change: Callable[[np.ndarray], np.ndarray]
) -> Callable[[int], DensityMap]:
    """The same map with other values."""

    def other(seed: int) -> DensityMap:
        found = make(seed)
        return found.with_values(change(found.values).astype(np.float32))

    return other


def noise(number: int) -> Callable[[int], DensityMap]:
    """Noise of a kind of `experiments.noise_only`."""
    return MAPS[number - 1].map


def two_elements(seed: int) -> DensityMap:
    """An alloy: a quarter of the atoms of an icosahedron scatter twice as much as the others."""
    case = simulate(shape="icosahedron", size=3, rotate="random", noise=0.05, seed=seed)
    heavy = np.random.default_rng(seed).random(len(case.positions)) < 0.3
    more = simulate(shape="icosahedron", size=3, rotate="random", noise=0.0, seed=seed)
    bright = Gaussians(more.positions, more.matrices, more.amplitudes * heavy)
    return case.map.with_values((case.map.values + render_map(bright, case.map.grid)).astype(np.float32))


def blurred(fwhm: float, noise: float) -> Callable[[int], DensityMap]:
    """A particle seen at a worse resolution (Å), with noise as a part of the largest value."""

    def made(seed: int) -> DensityMap:
        rng, sharp = (
            np.random.default_rng(seed),
            simulate(shape="sphere", size=147, noise=0.0, seed=seed).map,
        )
        values = gaussian_filter(sharp.values, fwhm / 2.355 / VOXEL)
        return sharp.with_values(
            (values + noise * values.max() * rng.normal(size=values.shape)).astype(np.float32)
        )

    return made


def _box(n: int) -> tuple[Grid, np.ndarray]:
    grid = Grid((n, n, n), np.full(3, VOXEL), np.zeros(3))
    z, y, x = np.indices((n, n, n)) - n // 2
    return grid, np.sqrt(z**2 + y**2 + x**2)


def noise_only(seed: int) -> DensityMap:
    """White noise in a box."""
    grid, r = _box(64)
    return DensityMap(np.random.default_rng(seed).normal(size=r.shape).astype(np.float32), grid)


def ball(noise: float, inside: float = 0.0) -> Callable[[int], DensityMap]:
    """A ball of radius 7 Å without atoms, with noise everywhere and more of it inside."""

    def made(seed: int) -> DensityMap:
        rng, (grid, r) = np.random.default_rng(seed), _box(72)
        shape = 1 / (1 + np.exp((r - 20) / 1.5))
        values = shape * (1 + inside * rng.normal(size=r.shape)) + noise * rng.normal(size=r.shape)
        return DensityMap(values.astype(np.float32), grid)

    return made


def blobs(seed: int) -> DensityMap:
    """A protein at 3 Å: chains of C, N and O 1.5 Å apart that are not resolved."""
    rng, (grid, r) = np.random.default_rng(seed), _box(72)
    walk, place = [], np.zeros(3)
    while len(walk) < 300:
        step = rng.normal(size=3)
        new = place + 1.5 * step / np.linalg.norm(step)
        if np.linalg.norm(new) < 8:
            walk.append(new)
            place = new
    index = np.rint(np.array(walk) / VOXEL).astype(int) + 36
    values = np.zeros(r.shape)
    np.add.at(values, tuple(index.T), rng.choice([6.0, 7.0, 8.0], len(index), p=[0.6, 0.2, 0.2]))
    values = gaussian_filter(values, 1.3 / VOXEL)
    return DensityMap((values / values.max() + 0.03 * rng.normal(size=r.shape)).astype(np.float32), grid)


def _cut(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0.33 * np.percentile(values, 99.9), values, 0.0)


ICOSAHEDRON = simulated(shape="icosahedron", size=3, noise=0.05)
RIGHT = (
    Case("icosahedron of 55, noise 5 %", ICOSAHEDRON),
    Case("icosahedron of 55, noise 15 %", simulated(shape="icosahedron", size=3, noise=0.15)),
    Case("icosahedron of 55, noise 30 %", simulated(shape="icosahedron", size=3, noise=0.3)),
    Case("13 atoms, noise 5 %", simulated(size=13, noise=0.05)),
    Case("13 atoms, noise 15 %", simulated(size=13, noise=0.15)),
    Case("octahedron, noise 10 %", simulated(shape="octahedron", size=5, noise=0.1)),
    Case("decahedron, noise 10 %", simulated(shape="decahedron", size=3, noise=0.1)),
    Case("sphere of 309, noise 30 %", simulated(size=309, noise=0.3)),
    Case("sphere of 711, noise 10 %", simulated(size=711, noise=0.1)),
    Case("wedge of 25 degrees, noise 5 %", simulated(size=147, noise=0.05, wedge=25.0)),
    Case("noise 5 % blurred over 0.6 Å", simulated(size=147, noise=0.05, noise_correlation=0.6)),
    Case("broad atoms, noise 3 %", simulated(size=147, noise=0.03, u_core=0.3, u_surface=0.6)),
    Case("Al, noise 10 %", simulated(element="Al", size=147, noise=0.1), "Al"),
    Case("alloy", two_elements, ("Fe", "Pt")),
    Case("cut at a third of its peaks", changed(ICOSAHEDRON, _cut)),
)
NO_ATOMS = ("no-atoms", "resolution", "no-shape", "noise")
BLURRED = ("resolution",)
SIZE = ("bonds", "insisted")
WRONG = (
    Case("Pt taken for Si", ICOSAHEDRON, "Si", ("bonds",)),
    Case("Pt taken for U", ICOSAHEDRON, "U", ("bonds",)),
    Case("Cu taken for Ag", simulated(element="Cu", size=55, noise=0.05), "Ag", ("bonds",)),
    Case("voxels twice as large", with_voxels(ICOSAHEDRON, 2), "Pt", SIZE, ("too large",)),
    Case("voxels half as large", with_voxels(ICOSAHEDRON, 0.5), "Pt", SIZE, ("too small",)),
    Case("voxels 5 % larger", with_voxels(ICOSAHEDRON, 1.05), "Pt", ("bonds",)),
    Case("voxels in nm", with_voxels(ICOSAHEDRON, 0.1), "Pt", SIZE, ("nm",)),
    Case("voxels 30 % too long along z", with_voxels(ICOSAHEDRON, 1, 1, 1.3), "Pt", ("bonds", "disorder")),
    Case("two elements for one", ICOSAHEDRON, ("Fe", "Pt"), ("one-element",)),
    Case("contrast inverted", changed(ICOSAHEDRON, np.negative), "Pt", NO_ATOMS, ("dark",)),
    Case("resolution 3 Å", blurred(3.0, 0.01), "Pt", BLURRED, BLURRED),
    Case("resolution 5 Å", blurred(5.0, 0.003), "Pt", BLURRED, BLURRED),
    Case("noise only", noise_only, "Pt", NO_ATOMS, ("nothing stands out",)),
    Case("white noise in a ball", ball(0.0, 0.35), "Pt", NO_ATOMS, ("width of noise",)),
    Case("coloured noise in a mask, clipped", noise(8), "Pt", NO_ATOMS, ("may be noise",)),
    Case("noise with the distances of atoms", noise(18), "Pt", NO_ATOMS, ("may be noise",)),
    Case("amorphous blob", noise(17), "Pt", NO_ATOMS, ("noise",)),
    Case("featureless ball", ball(0.02), "Pt", NO_ATOMS, ("grain",)),
    Case("protein at 3 Å, taken for C", blobs, "C", BLURRED, BLURRED),
    Case("protein at 3 Å, taken for Pt", blobs, "Pt", NO_ATOMS, ("resolution", "blobs", "grain")),
)
