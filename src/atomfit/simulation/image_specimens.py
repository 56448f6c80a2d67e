"""Where the atoms of an imaged specimen are: particles, a crystal, single atoms, of one or two elements.

The cubic axes of particle or crystal are turned so that the zone axis is the beam, and then in the plane,
by any angle: columns lie on no grid of pixels. An ordered alloy has its elements on the sublattices of fcc
sites, each site right with the probability that the order parameter says. Everything is placed from the
centre of the first pixel.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from atomfit.options.images import ImageOptions
from atomfit.simulation.alloys import occupied
from atomfit.simulation.particles import FCC_BASIS, particle
from atomfit.structure.elements import Element, bulk_structure, element, lattice_constant
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError

#: Room around a particle, and least distance of a single atom from everything else (Å).
_MARGIN, _APART = 6.0, 3.0
#: Pixels along an edge where nothing says how many are needed; the most of all frames.
_EDGE, _MOST_PIXELS = 256, 2**31
_MOST_CELLS = 20_000_000
_TRIALS = 200
#: Discs that are laid at random cover no more than this part of a plane (0.547 in the end).
_MOST_COVERED = 0.5
_BODY = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
#: Sites in a cubic cell, and its edge in nearest neighbours' distances.
_CELLS = {
    "fcc": (FCC_BASIS, 2**0.5),
    "bcc": (_BODY, 2 / 3**0.5),
    "diamond": (np.concatenate([FCC_BASIS, FCC_BASIS + 0.25]), 4 / 3**0.5),
}


@dataclass(frozen=True, eq=False)
class Specimen:
    """Atoms above a field of pixels.

    **Fields:**

    - `positions`: x, y from the centre of the first pixel, z against the beam (Å).
    - `numbers`: atomic numbers.
    - `grid`: the field.
    """

    positions: Float[np.ndarray, "n 3"]
    numbers: Int[np.ndarray, " n"]
    grid: Grid


def specimen(options: ImageOptions, rng: np.random.Generator) -> Specimen:
    """Place what is to be imaged.

    **Arguments:**

    - `options`: of the image.
    - `rng`: of everything random.

    **Raises:** `InputError` if there are no such elements, crystal or particles, or they do not fit in.
    """
    kinds = tuple(element(one) for one in (options.element, options.second) if one is not None)
    if options.crystal is None:
        grid, positions, numbers = _particles(kinds, options, rng)
    else:
        grid = _field(options.image_size or _EDGE, options)
        positions, numbers = _crystal(kinds, grid, options, rng)
    single = _single_atoms(options.single_atoms, grid, positions[:, :2], rng)
    return Specimen(
        np.concatenate([positions, single]),
        np.concatenate([numbers, np.full(len(single), kinds[0].number)]),
        grid,
    )


def _particles(
    kinds: tuple[Element, ...], options: ImageOptions, rng: np.random.Generator
) -> tuple[Grid, Float[np.ndarray, "n 3"], Int[np.ndarray, " n"]]:
    """Particles in the cells of a square net, each anywhere within its own."""
    a = _lattice_constant(kinds, options)
    made = []
    for i in range(options.particles):
        sites = particle(options.shape, kinds[0].symbol, options.size, options.seed + i, a)
        shifted = sites @ _frame(options.axis)[1] > 0 if options.antiphase else np.zeros(len(sites), bool)
        numbers = occupied(sites, shifted, a, kinds, options, rng)
        turn = options.turn if i == 0 else None
        made.append((sites @ _view(options, turn, rng).T, numbers))
    reach = max((float(np.linalg.norm(sites[:, :2], axis=1).max()) for sites, _ in made), default=0.0)
    across = max(int(np.ceil(np.sqrt(len(made)))), 1)
    needed = int(np.ceil(2 * across * (reach + _MARGIN) / options.pixel_size)) if made else _EDGE
    grid = _field(options.image_size or needed, options)
    cell = (float(grid.extent[0]) - options.pixel_size) / across
    if made and cell < 2 * reach:
        raise InputError("the particles do not fit into the image", "give more pixels", "--image-size")
    # One particle is in the middle but for a part of a pixel.
    slack = 0.5 * options.pixel_size if len(made) == 1 else max(0.5 * cell - reach - 0.5 * _MARGIN, 0.0)
    placed = []
    for i, (sites, _) in enumerate(made):
        middle = cell * (np.array([i % across, i // across]) + 0.5)
        placed.append(sites + [*(middle + rng.uniform(-slack, slack, 2)), 0.0])
    numbers = np.concatenate([np.zeros(0, int), *(each for _, each in made)])
    return grid, np.concatenate([np.zeros((0, 3)), *placed]), numbers


def _crystal(
    kinds: tuple[Element, ...], grid: Grid, options: ImageOptions, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, " n"]]:
    """A slab that reaches over the edges of the field."""
    structure = bulk_structure(kinds[0].symbol)
    if structure not in _CELLS or (len(kinds) > 1 and structure != "fcc"):
        raise InputError(
            f"no cubic crystal of {kinds[0].symbol} is known", "give another element", "--element"
        )
    basis, edge = _CELLS[structure]
    a = _lattice_constant(kinds, options, edge)
    view = _view(options, options.turn, rng)
    half = np.array([*(0.5 * grid.extent + _MARGIN), 0.5 * (options.crystal or 0.0)])
    corners = half * np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) @ view
    low, high = np.floor(corners.min(axis=0) / a) - 1, np.ceil(corners.max(axis=0) / a) + 1
    if np.prod(high - low) > _MOST_CELLS:
        raise InputError(
            "the crystal has too many atoms", "give a thinner one or fewer pixels", "--crystal"
        )
    axes = [np.arange(int(i), int(j) + 1) for i, j in zip(low, high, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = (cells + basis).reshape(-1, 3) * a
    seen = sites @ view.T + [*rng.uniform(-0.5 * a, 0.5 * a, 2), 1e-3]
    inside = np.all(np.abs(seen) <= half, axis=1)
    seen, sites = seen[inside], sites[inside]
    numbers = occupied(sites, np.zeros(len(sites), bool), a, kinds, options, rng)
    return seen + [*grid.centre, 0.0], numbers


def _single_atoms(
    count: int, grid: Grid, taken: Float[np.ndarray, "n 2"], rng: np.random.Generator
) -> Float[np.ndarray, "m 3"]:
    """Atoms anywhere on the support, each away from all others."""
    found = np.zeros((0, 2))
    others = cKDTree(taken) if len(taken) else None
    crowded = count * np.pi * (0.5 * _APART) ** 2 > _MOST_COVERED * np.prod(grid.extent)
    for _ in range(0 if crowded else _TRIALS):
        if len(found) == count:
            break
        new = rng.uniform(grid.origin, grid.origin + grid.extent - grid.spacing, (count, 2))
        if others is not None:
            new = new[others.query(new)[0] > _APART]
        for place in new:
            if len(found) < count and np.linalg.norm(found - place, axis=1).min(initial=np.inf) > _APART:
                found = np.concatenate([found, place[None]])
    if len(found) < count:
        raise InputError(
            f"{count} single atoms do not fit in", "give fewer or a larger field", "--single-atoms"
        )
    return np.column_stack([found, np.zeros(count)])


def _lattice_constant(kinds: tuple[Element, ...], options: ImageOptions, edge: float = 2**0.5) -> float:
    if options.lattice is not None:
        return options.lattice
    return float(np.mean([lattice_constant(kind.symbol) / 2**0.5 * edge for kind in kinds]))


def _frame(axis: tuple[int, int, int]) -> Float[np.ndarray, "3 3"]:
    """A right-handed frame, rows of cubic coordinates, whose last axis is the zone's."""
    beam = np.array(axis) / np.linalg.norm(axis)
    other = np.eye(3)[2 - int(np.argmin(np.abs(beam[::-1])))]
    across = other - (other @ beam) * beam
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(beam, across), beam])


def _view(options: ImageOptions, turn: float | None, rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """From cubic coordinates to the image's, and the height above it."""
    angle = rng.uniform(0, 2 * np.pi) if turn is None else np.radians(turn)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ _frame(options.axis)


def _field(edge: int, options: ImageOptions) -> Grid:
    if edge**2 * options.frames > _MOST_PIXELS:
        raise InputError(
            f"{options.frames} images of {edge} x {edge} pixels cannot be made",
            "give fewer or larger pixels",
            "--pixel-size",
        )
    return Grid((edge, edge), np.full(2, options.pixel_size), np.zeros(2))
