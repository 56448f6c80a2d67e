"""A shape's name in, how far a crystal reaches and how thick it is out: flat, saw-tooth, stepped or smooth.

The same four shapes are those of the crystal's edge, seen along the beam, and of its thickness behind the
edge. Flat ones do not change; saw-tooth ones are facets, up and down again; stepped ones terraces of random
width; smooth ones random, over lengths of a few columns.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from atomfit.options.hrtem import Shape

#: Wave of a saw-tooth edge and how far it reaches (Å), terraces' least and greatest width, and a step.
_WAVE, _TOOTH, _TERRACE, _STEP = 18.0, 5.0, (5.0, 12.0), 3.0
#: Length over which smooth things change, and how far a smooth edge strays (Å).
_SMOOTH, _STRAY = 6.0, 3.0
_MODES = 60

Profile = Callable[[Float[np.ndarray, " n"], Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]


def edge(shape: Shape, length: float, rng: np.random.Generator) -> Profile:
    """How much farther than straight a crystal's edge reaches (Å), by the place along it.

    **Arguments:**

    - `shape`: of the edge.
    - `length`: of the edge, from -length to length (Å).
    - `rng`: of what is random.
    """
    phase = rng.uniform(0, 1)
    match shape:
        case "flat":
            return lambda u, v: np.zeros_like(u)
        case "saw-tooth":
            return lambda u, v: _TOOTH * (_triangle(u / _WAVE + phase) - 0.5)
        case "stepped":
            bounds = _terraces(length, rng)
            levels = _STEP * np.cumsum(rng.choice([-1, 1], len(bounds) + 1))
            levels -= levels.mean()
            return lambda u, v: levels[np.searchsorted(bounds, u)]
        case "smooth":
            field = random_field(rng)
            return lambda u, v: _STRAY * field(u, np.zeros_like(u))


def thickness(shape: Shape, atoms: tuple[int, int], length: float, rng: np.random.Generator) -> Profile:
    """How thick a crystal is (atoms, not whole), by the places along its edge and away from it.

    **Arguments:**

    - `shape`: of the profile.
    - `atoms`: the least and the greatest number.
    - `length`: from the edge to the end of the field (Å).
    - `rng`: of what is random.
    """
    low, high = atoms
    match shape:
        case "flat":
            return lambda u, v: np.full_like(u, high)
        case "saw-tooth":
            return lambda u, v: low + (high - low) * _triangle(0.5 * v / _WAVE)
        case "stepped":
            bounds = _terraces(length, rng)
            bounds = bounds[bounds > 0]
            levels = low + np.cumsum([0, *rng.integers(1, 4, len(bounds))])
            return lambda u, v: np.minimum(levels[np.searchsorted(bounds, v)], high).astype(float)
        case "smooth":
            field = random_field(rng)
            return lambda u, v: low + (high - low) * (0.5 + 0.5 * np.tanh(0.8 * field(u, v)))


def random_field(rng: np.random.Generator) -> Profile:
    """A smooth random function of the plane, of mean 0 and variance 1.

    **Arguments:**

    - `rng`: of its waves.
    """
    waves = rng.normal(0, 1 / _SMOOTH, (_MODES, 2))
    phases = rng.uniform(0, 2 * np.pi, _MODES)

    def field(u: Float[np.ndarray, " n"], v: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        angles = np.stack([u, v], axis=1) @ waves.T + phases
        return np.sqrt(2 / _MODES) * np.cos(angles).sum(axis=1)

    return field


def _terraces(length: float, rng: np.random.Generator) -> Float[np.ndarray, " k"]:
    """Where terraces end, from -length to length (Å)."""
    count = int(2 * length / _TERRACE[0]) + 1
    return -length + np.cumsum(rng.uniform(*_TERRACE, count))


def _triangle(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """From 0 at whole numbers to 1 between them."""
    part = np.asarray(x) % 1
    return np.minimum(2 * part, 2 - 2 * part)
