"""Whether half-maps are halves of the map they are given with: what stands out in one does in the other.

A map is the mean of its half-maps, often scaled, filtered or masked thereafter. At the scale of atoms, slow
changes taken off, and where the map has its highest and deepest values, each half-map then correlates with
it, by 0.92 and more in simulations with up to 80 % of noise, filtered or not. Half-maps of another place or
particle have other atoms there: 0.72 at most for a crystal that is out by a part of its lattice, whose
atoms still lie in rows.
"""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import shift

from atomfit.detection.denoise import SLOW, denoise, without_slow_changes
from atomfit.doubts.limits import LIMITS
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.scattering import GaussianMixture
from atomfit.support.errors import Doubt

#: Standard deviation of an atom, in distances of neighbours.
_WIDTH = 0.18
#: Part of the voxels that is looked at, and that shows whether half-maps lie apart.
_STRONGEST, _STRONG = 0.01, 0.05

Halves = tuple[DensityMap, DensityMap]


def half_map_doubts(density: DensityMap, halves: Halves, element: Element) -> list[Doubt]:
    """Doubts about half-maps that are none of the map.

    **Arguments:**

    - `density`, `halves`: the map and its half-maps, on one grid.
    - `element`: of its atoms.
    """
    apart = _displacement(halves, element)
    if apart is not None:
        return [
            Doubt(
                f"the half-maps lie {np.linalg.norm(apart):.2f} Å apart "
                f"({', '.join(f'{x:.2f}' for x in apart)} along x, y, z)",
                "align them and the map, or leave out --half-maps",
            )
        ]
    of_map, *of_halves = _strongest(density, halves, element)
    alike = [_cosine(of_map, half) for half in of_halves]
    if min(alike) >= LIMITS.halves_alike:
        return []
    which = "the second half-map" if alike[1] < alike[0] else "the first half-map"
    if max(alike) < LIMITS.halves_alike:
        which = "both half-maps"
    found = " and ".join(f"{one:.2f}" for one in alike)
    return [
        Doubt(
            f"{which} can hardly be of this map: at the scale of atoms they correlate with it by {found}, "
            "where halves of its data have 0.9 or more",
            "give the two half-maps of this very map, in its frame (--half-maps), or none",
        )
    ]


def _displacement(halves: Halves, element: Element) -> Float[np.ndarray, " d"] | None:
    """How far the second half-map is to be moved to lie on the first (Å); None if that is not clear."""
    from skimage.registration import phase_cross_correlation

    grid = halves[0].grid
    first, second = (_seen(half, element).astype(np.float64) for half in halves)
    moves, *_ = phase_cross_correlation(first, second, upsample_factor=10, normalization=None)
    found = np.asarray(moves)[::-1] * grid.spacing
    if np.linalg.norm(found) < max(
        LIMITS.halves_apart * element.neighbour_distance, 0.5 * grid.spacing.min()
    ):
        return None
    moved = shift(second, moves, order=1, mode="nearest")
    kept = np.abs(first) >= np.quantile(np.abs(first), 1 - _STRONG)
    before, then = (_cosine(first[kept], x[kept]) for x in (second, moved))
    return found if then > max(LIMITS.halves_clearly, LIMITS.halves_times * before) else None


def scale_of_halves(density: DensityMap, halves: Halves, element: Element) -> float:
    """By what half-maps are to be multiplied that their mean's atoms are as high as the map's."""
    of_map, first, second = _strongest(density, halves, element)
    mean = 0.5 * (first + second)
    return float(of_map @ mean / (mean @ mean))


def _strongest(density: DensityMap, halves: Halves, element: Element) -> list[Float[np.ndarray, " n"]]:
    """The map and its half-maps where the map is farthest from its mean, at the scale of atoms."""
    of_map = _seen(density, element)
    strength = np.abs(of_map)
    if density.counted is not None:
        strength = strength * density.counted
    kept = strength >= np.quantile(strength, 1 - _STRONGEST)
    return [
        values[kept].astype(np.float64) for values in (of_map, *(_seen(half, element) for half in halves))
    ]


def _seen(one: DensityMap, element: Element) -> Float[np.ndarray, "..."]:
    """A map at the scale of atoms, without what changes slowly."""
    distance = element.neighbour_distance
    atom = GaussianMixture(np.ones(1), np.array([(_WIDTH * distance) ** 2]))
    return denoise(one.with_values(without_slow_changes(one, SLOW * distance)), atom).values


def _cosine(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Correlation about zero; zero with nothing."""
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300))
