"""Eight platinum particles that move, their maps, and the truth.

The paper's maps are not public, so its particles are made again in their sizes: fcc sites are cut by an
ellipsoid whose surface is rough by half an Å, turned at random, and move under the effective-medium
potential at 700 K. Loose atoms of the cut find better sites before frames are kept; thereafter surface
atoms swing widely, and a few of them hop.

A map is the mean over frames of Gaussians as wide as an atom at rest, which holds the blur of a
reconstruction. As in the paper the two halves of the time series are a map each, with noise of its own, and
the whole map is their mean. Reconstructions blur noise as they blur atoms, so noise is correlated over the
width of an atom at rest.

**Truth of an atom** is defined as any fit sees it. Its home is the place where it is most often: the frames
in which it keeps within half a bond of that place. Its position is their mean, its U their covariance and
the variance of an atom at rest: all of the width in the map. An atom that hops leaves a fainter peak at
home and, if it stays elsewhere, another one there (`visited`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from atomfit.simulation.disturbances import noise
from atomfit.simulation.dynamics import Trajectory, molecular_dynamics
from atomfit.simulation.particles import particle
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid

PT = element("Pt")
#: Atoms of the paper's particles NP1 to NP8 (Table 1).
SIZES = (219, 357, 373, 390, 496, 569, 667, 710)
VOXEL = 0.358
TEMPERATURE = 700.0
FRAMES = 240
STEPS_PER_FRAME = 20
WARM_UP = 3000
#: Variance of an atom at rest in the map (Å²).
AT_REST = 0.16
#: Noise of a half map, as a part of the highest voxel.
NOISE = 0.05
#: An atom is at home within half a bond (Å).
HOME = PT.neighbour_distance / 2
#: A place where some atom is in so many of the frames is no invention.
VISITED = 0.05
_MARGIN = 8.0
_ROUGHNESS = 0.5
#: Logarithms of the ellipsoid's half axes are drawn from the uniform distribution of this half width.
_ELONGATION = 0.15


@dataclass(frozen=True, eq=False)
class Truth:
    """n atoms of a time series in a noiseless map.

    **Fields:**

    - `map`: without noise.
    - `frames`: positions in the map's frame (Å).
    - `positions`, `matrices`: of the atoms at home (Å, Å²).
    - `at_home`: part of the frames in which each is.
    """

    map: DensityMap
    frames: Float[np.ndarray, "t n 3"]
    positions: Float[np.ndarray, "n 3"]
    matrices: Float[np.ndarray, "n 3 3"]
    at_home: Float[np.ndarray, " n"]

    def visited(self, places: Float[np.ndarray, "m 3"], radius: float = 1.0) -> Bool[np.ndarray, " m"]:
        """Places where some atom is now and then, at home or not."""
        near = [np.linalg.norm(self.frames - place, axis=2) < radius for place in places]
        return np.array([one.mean(axis=0).max() > VISITED for one in near], bool)


@dataclass(frozen=True, eq=False)
class Case:
    """A particle as it is measured: the noisy maps and truths of all frames, of part 1, and of part 2."""

    name: str
    maps: tuple[DensityMap, DensityMap, DensityMap]
    truths: tuple[Truth, Truth, Truth]


def make_case(number: int, seed: int) -> Case:
    """The particle of a number (from 0), with its motion and maps."""
    seeds = np.random.SeedSequence((seed, number)).generate_state(5)
    start = irregular(SIZES[number], int(seeds[0]))
    motion = molecular_dynamics(
        PT.symbol,
        Rotation.random(rng=np.random.default_rng(seeds[1])).apply(start),
        temperature=TEMPERATURE,
        frames=FRAMES,
        steps_per_frame=STEPS_PER_FRAME,
        warm_up=WARM_UP,
        seed=int(seeds[2]),
    )
    edge = int(2 * np.ceil((np.abs(motion.frames).max() + _MARGIN) / VOXEL))
    grid = Grid((edge,) * 3, np.full(3, VOXEL), np.zeros(3))
    middle = FRAMES // 2
    parts = [
        true_atoms(frames, Trajectory(frames).density(grid, AT_REST, grid.centre))
        for frames in (motion.frames[:middle], motion.frames[middle:])
    ]
    whole = true_atoms(motion.frames, _mean(parts[0].map, parts[1].map))
    level = NOISE * float(whole.map.values.max())
    halves = [
        part.map.with_values(
            (part.map.values + noise(grid, level, AT_REST**0.5, int(s))).astype(np.float32)
        )
        for part, s in zip(parts, seeds[3:], strict=True)
    ]
    return Case(f"NP{number + 1}", (_mean(*halves), *halves), (whole, *parts))


def irregular(size: int, seed: int) -> Float[np.ndarray, "n 3"]:
    """fcc sites within a rough ellipsoid (Å)."""
    rng = np.random.default_rng(seed)
    sites = particle("sphere", PT.symbol, 2 * size, seed)
    axes = np.exp(rng.uniform(-_ELONGATION, _ELONGATION, 3))
    radii = np.linalg.norm(sites / axes, axis=1) + rng.normal(0, _ROUGHNESS, len(sites))
    return sites[np.argsort(radii)[:size]]


def true_atoms(frames: Float[np.ndarray, "t n 3"], density: DensityMap) -> Truth:
    """Positions and displacements of atoms that move about the centre of a noiseless map."""
    frames = frames + density.grid.centre
    homes = [_at_home(places) for places in np.swapaxes(frames, 0, 1)]
    matrices = [np.cov(home.T) + AT_REST * np.eye(3) for home in homes]
    return Truth(
        density,
        frames,
        np.array([home.mean(axis=0) for home in homes]),
        np.array(matrices),
        np.array([len(home) / len(frames) for home in homes]),
    )


def _at_home(places: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "k 3"]:
    """An atom's places within reach of the one that has most of them within reach."""
    near = np.linalg.norm(places[:, None] - places, axis=2) < HOME
    return places[near[near.sum(axis=1).argmax()]]


def _mean(a: DensityMap, b: DensityMap) -> DensityMap:
    return a.with_values(0.5 * (a.values + b.values))
