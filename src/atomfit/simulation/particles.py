"""Where the atoms of a simulated particle are: fcc spheres and ase's faceted clusters."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from atomfit.options.build import ParticleShape
from atomfit.structure.elements import element, lattice_constant
from atomfit.support.errors import InputError

#: Sites in a cubic cell, in its edges.
FCC_BASIS = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def particle(
    shape: ParticleShape,
    symbol: str,
    size: int,
    seed: int = 0,
    lattice: float | None = None,
) -> Float[np.ndarray, "n 3"]:
    """Positions (Å) of a particle's atoms, about their centroid.

    **Arguments:**

    - `shape`: an fcc sphere about a random point of the cell, or a cluster of ase.
    - `symbol`: chemical symbol.
    - `size`: atoms of a sphere; atoms along an edge of an octahedron or cuboctahedron, layers of an
        icosahedron (centre included), atoms along the edge of a decahedron (pentagonal bipyramid).
    - `seed`: of the sphere's centre.
    - `lattice`: fcc lattice constant (Å), the element's by default.

    **Raises:** `InputError` for an unknown element or shape, or a size that is no number of atoms.
    """
    kind = element(symbol)
    if size < 1 or (shape == "sphere" and size > 200_000):
        raise InputError(f"a particle of size {size} cannot be made", "give 1 or more", "--size")
    a = lattice_constant(symbol) if lattice is None else lattice
    positions = _sphere(size, a, seed) if shape == "sphere" else _cluster(shape, kind.symbol, size, a)
    return positions - positions.mean(axis=0)


def rotated(positions: Float[np.ndarray, "n 3"], rotation: Rotation) -> Float[np.ndarray, "n 3"]:
    """Positions turned about the origin.

    **Arguments:**

    - `positions`: in Å.
    - `rotation`: about the origin.
    """
    return rotation.apply(positions)


def orientation(text: str, seed: int) -> Rotation:
    """A rotation from words: "none", "random" (seeded), or three angles "a,b,c" about x, y, z (degrees).

    **Arguments:**

    - `text`: one of these.
    - `seed`: of a random rotation.

    **Raises:** `InputError` for anything else.
    """
    if text == "none":
        return Rotation.identity()
    if text == "random":
        return Rotation.random(rng=np.random.default_rng(seed))
    try:
        angles = [float(part) for part in text.split(",")]
        if len(angles) != 3 or not np.all(np.isfinite(angles)):
            raise ValueError
    except ValueError:
        raise InputError(
            f"{text!r} is no orientation",
            "give none, random, or three angles about x, y and z as 10,20,30",
            "--rotate",
        ) from None
    return Rotation.from_euler("xyz", angles, degrees=True)


def _sphere(n: int, a: float, seed: int) -> Float[np.ndarray, "n 3"]:
    """The n lattice sites nearest to a random point of the cell."""
    reach = int(np.ceil((3 * n / (16 * np.pi)) ** (1 / 3))) + 2
    cells = np.arange(-reach, reach + 1)
    corners = np.stack(np.meshgrid(cells, cells, cells, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = (corners + FCC_BASIS).reshape(-1, 3) * a
    centre = np.random.default_rng(seed).uniform(0, a, 3)
    order = np.argsort(np.linalg.norm(sites - centre, axis=1), kind="stable")
    return sites[order[:n]] - centre


def _cluster(shape: str, symbol: str, size: int, a: float) -> Float[np.ndarray, "n 3"]:
    from ase.cluster import Decahedron, Icosahedron, Octahedron

    match shape:
        case "octahedron":
            cluster = Octahedron(symbol, size, latticeconstant=a)
        case "cuboctahedron":
            cluster = Octahedron(symbol, 2 * size - 1, cutoff=size - 1, latticeconstant=a)
        case "decahedron":
            cluster = Decahedron(symbol, size, 1, 0, latticeconstant=a)
        case _:
            cluster = Icosahedron(symbol, size, latticeconstant=a)
    return np.asarray(cluster.get_positions(), np.float64)
