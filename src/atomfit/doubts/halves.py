"""Whether half-maps are halves of the map they are given with: what stands out in one does in the other.

A map is the mean of its half-maps, often scaled, filtered or masked thereafter. At the scale of atoms, slow
changes taken off, and where the map has its highest and deepest values, each half-map then correlates with
it, by 0.92 and more in simulations with up to 80 % of noise, filtered or not. Half-maps of another place or
particle have other atoms there: 0.72 at most for a crystal that is out by a part of its lattice, whose
atoms still lie in rows.
"""

import numpy as np
from jaxtyping import Float

from atomfit.detection.denoise import SLOW, denoise, without_slow_changes
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.scattering import GaussianMixture
from atomfit.support.errors import Doubt

#: Standard deviation of an atom, in distances of neighbours.
_WIDTH = 0.18
#: Part of the voxels that is looked at, and the least correlation there.
_STRONGEST, _ALIKE = 0.01, 0.8

Halves = tuple[DensityMap, DensityMap]


def half_map_doubts(density: DensityMap, halves: Halves, element: Element) -> list[Doubt]:
    """Doubts about half-maps that are none of the map.

    **Arguments:**

    - `density`, `halves`: the map and its half-maps, on one grid.
    - `element`: of its atoms.
    """
    of_map, *of_halves = _strongest(density, halves, element)
    alike = [_cosine(of_map, half) for half in of_halves]
    if min(alike) >= _ALIKE:
        return []
    which = "the second half-map" if alike[1] < alike[0] else "the first half-map"
    if max(alike) < _ALIKE:
        which = "both half-maps"
    found = " and ".join(f"{one:.2f}" for one in alike)
    return [
        Doubt(
            f"{which} can hardly be of this map: at the scale of atoms they correlate with it by {found}, "
            "where halves of its data have 0.9 or more",
            "give the two half-maps of this very map, in its frame (--half-maps), or none",
        )
    ]


def scale_of_halves(density: DensityMap, halves: Halves, element: Element) -> float:
    """By what half-maps are to be multiplied that their mean's atoms are as high as the map's."""
    of_map, first, second = _strongest(density, halves, element)
    mean = 0.5 * (first + second)
    return float(of_map @ mean / (mean @ mean))


def _strongest(density: DensityMap, halves: Halves, element: Element) -> list[Float[np.ndarray, " n"]]:
    """The map and its half-maps where the map is farthest from its mean, at the scale of atoms."""
    distance = element.neighbour_distance
    atom = GaussianMixture(np.ones(1), np.array([(_WIDTH * distance) ** 2]))

    def seen(one: DensityMap) -> Float[np.ndarray, "..."]:
        flat = one.with_values(without_slow_changes(one, SLOW * distance))
        return denoise(flat, atom).values

    of_map = seen(density)
    strength = np.abs(of_map)
    if density.counted is not None:
        strength = strength * density.counted
    kept = strength >= np.quantile(strength, 1 - _STRONGEST)
    return [values[kept].astype(np.float64) for values in (of_map, *(seen(half) for half in halves))]


def _cosine(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Correlation about zero; zero with nothing."""
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))
