"""A scene in, its atoms out: glass quenched from the melt, grains of a polycrystal, a disordered particle.

The cell of the molecular dynamics is periodic. A film is all of it along x and y and a slab along z, whose
two surfaces are rough: smooth random heights, as periodic as the cell. A particle is a ball with a rough
surface cut from a glass, and annealed in vacuum.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from experiments.film.scenes import KINDS, VOXEL, WIDE, Scene

#: Edges of a cell of a film and of a particle (Å), before it breathes.
FILM_CELL = (WIDE * VOXEL, WIDE * VOXEL, 36.0)
PARTICLE_CELL = (34.0, 34.0, 34.0)
#: Steps in the melt, while it is quenched, and of annealing.
MELT, QUENCH, ANNEAL = 1500, 8000, 1000
#: Volume of a grain (Å³), lattice constant of bcc tantalum, and atoms that are one too many at a boundary.
GRAIN, BCC, TOO_NEAR = 9e3, 3.3026, 2.2
#: Waves of a film's roughness in a period, at most; waves of a particle's.
WAVES, BALL_WAVES = 4, 12


@dataclass(frozen=True, eq=False)
class Specimen:
    """Atoms of a film or a particle.

    **Fields:**

    - `positions`: in Å; x and y of a film from 0, of a particle in the middle; z about 0.
    - `types`: which of the kind's elements each is.
    """

    positions: Float[np.ndarray, "n 3"]
    types: Int[np.ndarray, " n"]


def specimen(scene: Scene) -> Specimen:
    """Atoms of the film or particle that a scene is cut from.

    **Arguments:**

    - `scene`: what it is.
    """
    from experiments.film.melting import evolved

    kind, rng = scene.material, np.random.default_rng([scene.film, 22])
    if kind.made == "polycrystal":
        cell = np.array(FILM_CELL)
        positions = grains(cell, rng)
        types = np.zeros(len(positions), int)
        stages = [(kind.melt, kind.melt, ANNEAL), (kind.melt, 300.0, ANNEAL)]
    else:
        cell = np.array(PARTICLE_CELL if scene.alone else FILM_CELL)
        positions = scattered(cell, round(kind.density * float(np.prod(cell))), rng)
        types = rng.choice(len(kind.symbols), len(positions), p=kind.parts)
        stages = [(kind.melt, kind.melt, MELT), (kind.melt, 300.0, QUENCH)]
    positions, cell = evolved(kind, positions, types, cell, scene.film, stages)
    if scene.alone:
        kept = ball(positions - cell / 2, scene.thickness / 2, scene.roughness, rng)
        roomy = np.full(3, 60.0)
        alone = positions[kept] - cell / 2 + roomy / 2
        relaxed, _ = evolved(
            kind, alone, types[kept], roomy, scene.film, [(300.0, 300.0, ANNEAL)], press=False
        )
        middle = np.append(scene.lengths / 2, 0.0)
        return Specimen(relaxed - relaxed.mean(axis=0) + middle, types[kept])
    centred = positions - [0, 0, cell[2] / 2]
    kept = slab(centred, scene.thickness, scene.roughness, cell[:2], rng)
    return Specimen(centred[kept], types[kept])


def scattered(
    cell: Float[np.ndarray, " 3"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """So many places of a cell that are not too near to each other: sites of a grid, some left out (Å)."""
    n = np.ceil(count ** (1 / 3) * cell / np.prod(cell) ** (1 / 3)).astype(int)
    sites = np.stack(np.meshgrid(*(np.arange(k) / k for k in n), indexing="ij"), axis=-1).reshape(-1, 3)
    return sites[rng.permutation(len(sites))[:count]] * cell


def grains(cell: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Voronoi grains of bcc tantalum in a periodic cell, each turned at random (Å)."""
    count = max(round(float(np.prod(cell)) / GRAIN), 1)
    seeds = rng.uniform(0, 1, (count, 3)) * cell
    shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * cell
    tree = cKDTree((seeds[:, None] + shifts).reshape(-1, 3))
    n = int(np.ceil(0.9 * np.linalg.norm(cell) / BCC))
    cubes = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    lattice = BCC * (cubes + np.array([[0, 0, 0], [0.5, 0.5, 0.5]])).reshape(-1, 3)
    lattice = lattice[np.linalg.norm(lattice, axis=1) < np.linalg.norm(cell) / 2]
    found = []
    for turn, seed in zip(Rotation.random(count, rng=rng), seeds, strict=True):
        sites = turn.apply(lattice) + seed
        mine = tree.query(sites)[1]
        # Of the seed itself, and not of one of its copies.
        found.append(np.mod(sites[(mine == _own(tree, seed))], cell))
    atoms = np.concatenate(found)
    pairs = cKDTree(atoms, boxsize=cell).query_pairs(TOO_NEAR, output_type="ndarray")
    gone: set[int] = set()
    for i, j in pairs:
        if i not in gone and j not in gone:
            gone.add(int(j))
    return np.delete(atoms, sorted(gone), axis=0)


def _own(tree: cKDTree, seed: Float[np.ndarray, " 3"]) -> int:
    return int(tree.query(seed)[1])


def slab(
    positions: Float[np.ndarray, "n 3"],
    thickness: float,
    roughness: float,
    lengths: Float[np.ndarray, " 2"],
    rng: np.random.Generator,
) -> Bool[np.ndarray, " n"]:
    """Which atoms lie between two rough surfaces about z = 0.

    **Arguments:**

    - `positions`: in Å.
    - `thickness`, `roughness`: mean distance of the surfaces, and the standard deviation of each (Å).
    - `lengths`: periods along x and y (Å).
    - `rng`: of the roughness.
    """
    n = np.arange(-WAVES, WAVES + 1)
    waves = np.stack(np.meshgrid(n, n, indexing="ij"), axis=-1).reshape(-1, 2)
    waves = waves[np.any(waves != 0, axis=1) & (np.linalg.norm(waves, axis=1) <= WAVES)]
    phases = 2 * np.pi * (positions[:, :2] / lengths) @ waves.T
    size = roughness * np.sqrt(2 / len(waves))
    upper, lower = (
        size * np.cos(phases + rng.uniform(0, 2 * np.pi, len(waves))).sum(axis=1) for _ in range(2)
    )
    z = positions[:, 2]
    return (z < thickness / 2 + upper) & (z > -thickness / 2 + lower)


def ball(
    positions: Float[np.ndarray, "n 3"], radius: float, roughness: float, rng: np.random.Generator
) -> Bool[np.ndarray, " n"]:
    """Which atoms lie in a rough ball about the origin; arguments as of `slab`."""
    directions = rng.standard_normal((BALL_WAVES, 3))
    outward = positions / np.maximum(np.linalg.norm(positions, axis=1, keepdims=True), 1e-9)
    waves = np.cos(3 * outward @ directions.T + rng.uniform(0, 2 * np.pi, BALL_WAVES)).sum(axis=1)
    return np.linalg.norm(positions, axis=1) < radius + roughness * np.sqrt(2 / BALL_WAVES) * waves


def brightness(kind: str) -> Float[np.ndarray, " elements"]:
    """Of an atom of each element of a kind in an annular dark field, Z^1.7; their geometric mean is 1."""
    from ase.data import atomic_numbers

    z = np.array([atomic_numbers[symbol] for symbol in KINDS[kind].symbols], float) ** 1.7
    return np.asarray(z / np.exp(np.mean(np.log(z))))
