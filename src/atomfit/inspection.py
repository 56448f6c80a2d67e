"""Whether the numbers of a map can be those of a particle, before anything is fitted to them.

A map that was read without complaint can still be useless: NaN from a failed reconstruction, zeros from
a mask applied twice, a single hot voxel that sets every threshold. Each is refused in one sentence.
`inspect` gathers what a user wants to know of a map before waiting for a fit.
"""

from dataclasses import dataclass

import numpy as np

from atomfit.detection.contrast import Contrast, measure_contrast
from atomfit.detection.mean_atom import MeanAtom, measure_mean_atom
from atomfit.elements import Element
from atomfit.errors import InputError
from atomfit.grid import DensityMap

#: A voxel that exceeds all its neighbours by this factor is no atom (a Gaussian sampled at a third of a
#: voxel would fall by 90 to the next).
_HOT_VOXEL = 100.0
#: Voxels must be smaller than this part of the neighbour distance for atoms to be resolved.
COARSEST_VOXEL = 0.5
_COARSE_VOXEL = 0.25
_FINEST_VOXEL = 0.02


@dataclass(frozen=True, eq=False)
class Inspection:
    """What is in a map.

    **Fields:**

    - `minimum`, `maximum`, `mean`, `deviation`: of the values (map units).
    - `zeros`: part of the voxels that are exactly zero.
    - `contrast`: bright against dark extremes.
    - `mean_atom`: the typical atom.
    - `warnings`: what looks odd but does not prevent a fit.
    """

    minimum: float
    maximum: float
    mean: float
    deviation: float
    zeros: float
    contrast: Contrast
    mean_atom: MeanAtom
    warnings: tuple[str, ...]


def require_usable_values(density: DensityMap) -> None:
    """**Raises:** `InputError` if values are not finite, all alike, or ruled by a single voxel."""
    values = density.values
    finite = np.isfinite(values)
    if not finite.all():
        bad = int(values.size - finite.sum())
        index = ", ".join(str(i) for i in np.argwhere(~finite)[0])
        kind = "NaN" if np.isnan(values).any() else "infinite"
        amount = "all" if bad == values.size else str(bad)
        raise InputError(
            f"{amount} of {values.size} voxels are {kind} (the first at [z, y, x] = [{index}])",
            "reconstruct again, or replace them by the background level",
        )
    low, high = float(values.min()), float(values.max())
    if low == high:
        what = "zero" if low == 0 else f"{low:g}"
        raise InputError(f"all voxels are {what}", "give a map that holds density")
    _refuse_hot_voxel(values)


def require_resolving_voxels(density: DensityMap, element: Element) -> list[str]:
    """Warnings about the voxel size.

    **Raises:** `InputError` if voxels are too large to resolve the element's atoms, or absurdly small.
    """
    coarsest, finest = density.grid.spacing.max(), density.grid.spacing.min()
    limit = COARSEST_VOXEL * element.neighbour_distance
    if coarsest > limit:
        raise InputError(
            f"voxels of {coarsest:.4g} Å cannot resolve {element.symbol} atoms, which are "
            f"{element.neighbour_distance:.2f} Å apart",
            "check the unit, and give the voxel size in Å with --voxel-size",
        )
    if finest < _FINEST_VOXEL:
        raise InputError(
            f"voxels of {finest:.4g} Å are far smaller than atoms",
            "check the unit (nm?), and give the voxel size in Å with --voxel-size",
        )
    if coarsest > _COARSE_VOXEL * element.neighbour_distance:
        return [f"voxels of {coarsest:.3g} Å are coarse for {element.symbol} atoms"]
    return []


def inspect(density: DensityMap, element: Element) -> Inspection:
    """Measure what is in a map; its values must be usable."""
    values = density.values
    warnings = require_resolving_voxels(density, element)
    zeros = float(np.mean(values == 0))
    low, high = float(values.min()), float(values.max())
    if zeros > 0.05:
        how = "clipped at zero" if low == 0 else "masked to zero"
        warnings.append(f"{100 * zeros:.0f} % of the voxels are exactly zero: the map was {how}")
    contrast = measure_contrast(density, element)
    if contrast.inverted:
        warnings.append("atoms are dark: add --invert")
    elif not contrast.decided:
        warnings.append("nothing stands out from the noise at the scale of atoms")
    return Inspection(
        low,
        high,
        float(values.mean(dtype=np.float64)),
        float(values.std(dtype=np.float64)),
        zeros,
        contrast,
        measure_mean_atom(density, element),
        tuple(warnings),
    )


def _refuse_hot_voxel(values: np.ndarray) -> None:
    level = float(np.median(values))
    hottest = np.unravel_index(int(np.argmax(np.abs(values - level))), values.shape)
    around = tuple(slice(max(i - 1, 0), i + 2) for i in hottest)
    neighbours = np.abs(values[around] - np.float32(level)).ravel()
    own = float(neighbours.max())
    others = np.sort(neighbours)[-2] if neighbours.size > 1 else 0.0
    if own > _HOT_VOXEL * float(others):
        index = ", ".join(str(int(i)) for i in hottest)
        raise InputError(
            f"one voxel, at [z, y, x] = [{index}], has the value {float(values[hottest]):g}, while "
            f"its neighbours differ from the rest by {float(others):g} at most",
            "replace it by the mean of its neighbours",
        )
