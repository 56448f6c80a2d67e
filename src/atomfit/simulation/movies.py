"""A movie of one particle with planted truth: columns that gain and lose atoms, wander, and drift together.

A particle is that of `changed_columns`: a patch of a face-centred lattice along [110], thick in its middle.
From frame to frame

- columns wander: a random walk that is pulled back (an Ornstein-Uhlenbeck process), or none;
- columns at the border gain or lose an atom now and then, each with one rate in either direction; those
    that
  come to none are empty until they gain one;
- the stage drifts (a straight line and a random walk), turns and stretches a little.

Frames are counts of electrons: Poisson's, of columns over an even background. They are written one after
the other, so that a movie may be larger than memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Int

from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.simulation.changed_columns import law_of_atoms, nearest_to, particle_sites
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.structure.grid import Grid

#: Width of columns (Å).
WIDTH = 0.45


@final
@dataclass(frozen=True)
class MovieOptions:
    """What is filmed.

    **Fields:**

    - `frames`, `size`, `pixel`: how many, of so many pixels along an edge, of this edge (Å).
    - `columns`: about how many.
    - `dose`: electrons per Å² in each frame.
    - `background`: what lies beneath (fraction of the beam).
    - `gain`, `loss`: probability of a border column to gain or to lose an atom from one frame to the next.
    - `vacant`: empty sites beside the border that may gain atoms, too.
    - `wander`, `memory`: standard deviation of columns' displacements (Å), and how many frames they last.
    - `drift`, `jumps`: of the stage, from frame to frame: steady (Å), and at random (Å).
    - `turn`, `stretch`: standard deviations of the frames' rotation (degrees) and distortion.
    - `flicker`: standard deviation of the beam's current.
    """

    frames: int = 20
    size: int = 256
    pixel: float = 0.2
    columns: int = 100
    dose: float = 2e3
    background: float = 0.02
    gain: float = 0.0
    loss: float = 0.0
    vacant: int = 0
    wander: float = 0.0
    memory: float = 10.0
    drift: float = 0.0
    jumps: float = 0.0
    turn: float = 0.0
    stretch: float = 0.0
    flicker: float = 0.0


@final
@dataclass(frozen=True, eq=False)
class MovieTruth:
    """What was filmed.

    **Fields:**

    - `positions`: of columns in the specimen (Å).
    - `counts`: atoms.
    - `motions`: each takes positions of its frame to the specimen's.
    - `library`: cross-sections of columns of 1, 2, ... atoms (Å²).
    """

    positions: Float[np.ndarray, "t n 2"]
    counts: Int[np.ndarray, "t n"]
    motions: tuple[PlaneMap, ...]
    library: Float[np.ndarray, " k"]


def simulate_movie(path: str | Path, seed: int, options: MovieOptions = MovieOptions()) -> MovieTruth:
    """Write a movie as .npy (32-bit floats, fractions of the beam), and say what is in it.

    **Arguments:**

    - `path`: the file.
    - `seed`: of all that is random.
    - `options`: what is filmed.
    """
    rng = np.random.default_rng(seed)
    sites, atoms, spare = particle_sites(rng, options.columns)
    grid = Grid((options.size, options.size), np.full(2, options.pixel), np.zeros(2))
    new = rng.choice(len(spare), min(options.vacant, len(spare)), replace=False)
    sites, atoms = np.concatenate([sites, spare[new]]), np.concatenate([atoms, np.zeros(len(new), int)])
    border = nearest_to(sites, np.delete(spare, new, axis=0))
    sites = sites - sites.mean(axis=0) + 0.5 * options.pixel * (options.size - 1)
    counts = _history(rng, atoms, border, options)
    positions = sites + _wandering(rng, len(sites), options)
    motions = _stage(rng, sites.mean(axis=0), options)
    area, dose = options.pixel**2, options.dose
    frames = np.lib.format.open_memmap(path, "w+", np.float32, (options.frames, options.size, options.size))
    current = np.exp(rng.normal(0, options.flicker, options.frames))
    for k in range(options.frames):
        back = np.linalg.inv(motions[k].matrix)
        seen = (positions[k] - motions[k].translation) @ back.T
        sizes = np.where(counts[k] > 0, law_of_atoms(np.maximum(counts[k], 1)), 0.0)
        image = options.background + drawn(grid, columns_of(seen, sizes, WIDTH))
        frames[k] = rng.poisson(current[k] * image * dose * area) / (dose * area)
    frames.flush()
    return MovieTruth(positions, counts, motions, law_of_atoms(np.arange(1, int(counts.max()) + 10)))


def _history(
    rng: np.random.Generator,
    atoms: Int[np.ndarray, " n"],
    border: Int[np.ndarray, " m"],
    options: MovieOptions,
) -> Int[np.ndarray, "t n"]:
    """Atoms of each column in each frame."""
    steps = np.zeros((options.frames, len(atoms)), int)
    chance = rng.random((options.frames, len(border)))
    steps[:, border] = np.where(
        chance < options.gain, 1, np.where(chance < options.gain + options.loss, -1, 0)
    )
    counts = np.empty_like(steps)
    counts[0] = atoms
    for k in range(1, options.frames):
        counts[k] = np.maximum(counts[k - 1] + steps[k], 0)
    return counts


def _wandering(rng: np.random.Generator, n: int, options: MovieOptions) -> Float[np.ndarray, "t n 2"]:
    """Displacements of columns (Å)."""
    keep = float(np.exp(-1 / options.memory))
    found = np.empty((options.frames, n, 2))
    found[0] = rng.normal(0, options.wander, (n, 2))
    for k in range(1, options.frames):
        found[k] = keep * found[k - 1] + rng.normal(0, options.wander * (1 - keep**2) ** 0.5, (n, 2))
    return found


def _stage(
    rng: np.random.Generator, middle: Float[np.ndarray, " 2"], options: MovieOptions
) -> tuple[PlaneMap, ...]:
    """What takes each frame's positions to the specimen's."""
    direction = rng.uniform(0, 2 * np.pi)
    steady = options.drift * np.array([np.cos(direction), np.sin(direction)])
    steps = steady + rng.normal(0, options.jumps, (options.frames, 2))
    shifts = np.cumsum(steps, axis=0)
    shifts -= shifts[len(shifts) // 2]
    motions = []
    for shift in shifts:
        angle = np.radians(rng.normal(0, options.turn))
        size, stretch, shear = rng.normal(0, options.stretch, 3)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ (np.eye(2) + np.array([[size + stretch, shear], [shear, size - stretch]]))
        motions.append(PlaneMap(matrix, middle - matrix @ middle + shift))
    return tuple(motions)
