"""Whether the numbers of a map can be those of a particle, before anything is fitted to them.

A map that was read without complaint can still be useless: NaN from a failed reconstruction, a number that
stands for what was not measured, a voxel size in nm. What cannot be is refused in one sentence
(`require_...`); what is wrong as a rule is a `Doubt`, on which a user may insist; what is merely odd is a
warning. `inspect` gathers all of it: `atomfit check` tells it, and `atomfit build` acts on it.
"""

from dataclasses import dataclass

import numpy as np

from atomfit.detection.contrast import Contrast, measure_contrast
from atomfit.detection.existence import Existence
from atomfit.detection.mean_atom import MeanAtom, measure_mean_atom
from atomfit.detection.resolution import MapResolution, measure_resolution
from atomfit.doubts.limits import LIMITS
from atomfit.doubts.noise import beside_noise, noise_doubts
from atomfit.doubts.sections import map_doubts
from atomfit.doubts.shape import shape_doubts
from atomfit.doubts.spacing import measured_distance, spacing_doubts
from atomfit.doubts.unmeasured import Unmeasured, faces
from atomfit.doubts.values import fill_doubts, hot_doubts, sharpest, surrounding_doubts
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import Doubt, InputError

#: Values that differ by less or more leave the range in which 32-bit floats can be squared.
_RANGE = (1e-30, 1e30)


@dataclass(frozen=True, eq=False)
class Inspection:
    """What is in a map.

    **Fields:**

    - `minimum`, `maximum`, `mean`, `deviation`: of the values (map units).
    - `zeros`: part of the voxels that are exactly zero.
    - `contrast`: bright against dark extremes.
    - `doubts`: what speaks against a fit, unless a user insists.
    - `warnings`: what looks odd but does not prevent a fit.
    - `resolution`: up to which wavelength the map shows more than noise.
    - `mean_atom`: the typical atom; None if nothing stands out.
    - `existence`: how much better atoms describe it than noise like it; None where that was not asked.
    """

    minimum: float
    maximum: float
    mean: float
    deviation: float
    zeros: float
    contrast: Contrast
    doubts: tuple[Doubt, ...]
    warnings: tuple[str, ...]
    resolution: MapResolution
    mean_atom: MeanAtom | None
    existence: Existence | None

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against a fit."""
        return not self.doubts


def require_usable_values(density: DensityMap) -> None:
    """**Raises:** `InputError` if values are not finite, all alike, or beyond what 32-bit floats hold."""
    values = density.values
    if not values.size:
        raise InputError(f"an array of shape {values.shape} has no voxels", "give a map")
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
    if high - low < _RANGE[0]:
        raise InputError(
            f"values differ by {high - low:.2g} at most, which 32-bit floats hardly hold",
            "multiply the map by a number that makes its atoms about 1",
        )


def value_doubts(density: DensityMap, element: Element, around: Unmeasured | None = None) -> list[Doubt]:
    """Doubts about values that stand for something else, and about broken voxels.

    Nothing else can be measured before these are settled.

    **Arguments:**

    - `density`, `element`: the map, and of its atoms.
    - `around`: what surrounds the part that was measured.
    """
    values = density.values
    middle = float(np.median(density.grid.spacing))
    # A few voxels that are alike are broken all the same.
    doubts = hot_doubts(values, sharpest(element.neighbour_distance, middle)) or fill_doubts(
        values.ravel(), "voxels", "replace {value} by the background level, or cut out the part without it"
    )
    doubts = doubts or surrounding_doubts(around)
    low, high = float(values.min()), float(values.max())
    if not doubts and high - low > _RANGE[1]:
        doubts.append(
            Doubt(f"values go from {low:.2g} to {high:.2g}", "check how the map was written, or scale it")
        )
    return doubts


def require_resolving_voxels(grid: Grid, element: Element) -> tuple[list[Doubt], list[str]]:
    """Doubts and warnings about the sizes of voxels and box.

    **Raises:** `InputError` if voxels are too large to resolve the element's atoms, or absurdly small, or
        if the box holds no atom.
    """
    distance, symbol = element.neighbour_distance, element.symbol
    coarsest, finest, shortest = grid.spacing.max(), grid.spacing.min(), float(grid.extent.min())
    box = " x ".join(f"{edge:.3g}" for edge in grid.extent)
    if coarsest > LIMITS.voxel_coarsest * distance:
        raise InputError(
            f"voxels of {coarsest:.4g} Å cannot resolve {symbol} atoms, which are {distance:.2f} Å apart",
            "check the unit, and give the voxel size in Å with --voxel-size",
        )
    if finest < LIMITS.voxel_finest * distance:
        raise InputError(
            f"voxels of {finest:.4g} Å are far smaller than atoms",
            "check the unit (nm?), and give the voxel size in Å with --voxel-size",
        )
    if shortest < LIMITS.box_of_no_atom * distance:
        raise InputError(
            f"a box of {box} Å (voxels of {finest:.4g} Å) is smaller than an atom",
            "check the voxel size (in nm?), or give the whole particle",
        )
    doubts, warnings = [], []
    if finest < LIMITS.voxel_fine * distance:
        doubts.append(
            Doubt(
                f"voxels of {finest:.4g} Å are unusually small for {symbol} atoms, {distance:.2f} Å apart",
                "check the unit (nm?), and give the voxel size in Å with --voxel-size",
            )
        )
    if coarsest > LIMITS.voxel_coarse * distance:
        warnings.append(f"voxels of {coarsest:.3g} Å are coarse for {symbol} atoms")
    if shortest < LIMITS.box_of_few * distance:
        warnings.append(
            f"a box of {box} Å holds few {symbol} atoms, and little beside them that tells the noise: "
            "check the voxel size, or give the whole particle"
        )
    return doubts, warnings


def contrast_doubts(contrast: Contrast, inverted: bool = False) -> list[Doubt]:
    """Doubts about a map in which atoms are dark, or nothing stands out.

    **Arguments:**

    - `contrast`: of the map that is to be fitted.
    - `inverted`: whether its contrast was turned already.
    """
    if contrast.inverted:
        sharp = f"{contrast.minima} sharp minima, {contrast.maxima} sharp maxima"
        if inverted:
            return [Doubt(f"atoms are dark in the inverted map ({sharp})", "leave out --invert")]
        return [
            Doubt(f"atoms are dark in this map ({sharp})", "add --invert to atomfit build if that is so")
        ]
    if not contrast.decided:
        return [
            Doubt(
                "nothing stands out from the noise at the scale of atoms",
                "check the voxel size and the element, or look at the map",
            )
        ]
    return []


def oddities(density: DensityMap, around: Unmeasured | None = None, offset: float = 0.0) -> list[str]:
    """Warnings about values: what was masked, clipped or padded, and digits that were lost.

    **Arguments:**

    - `density`: the map.
    - `around`: what surrounds the part that was measured.
    - `offset`: what was taken off all values (map units).
    """
    values, warnings = density.values, []
    low, high = float(values.min()), float(values.max())
    on_faces = faces(values)
    outside = float(np.median(on_faces))
    constant = float(np.mean(values == np.float32(outside)))
    counts = bool(
        np.all(on_faces % 1 == 0) and np.all(values.ravel()[:: 1 + values.size // 100_000] % 1 == 0)
    )
    if around is not None:
        warnings.append(
            f"{100 * around.part:.0f} % of the voxels, around all others, are exactly {around.value:g}: "
            "the map was masked or padded there, and these voxels do not count"
        )
    elif constant > LIMITS.constant and not counts:
        how = "clipped" if outside in (low, high) else "masked or padded"
        what = "zero" if outside == 0 else f"{outside:g}"
        warnings.append(
            f"{100 * constant:.0f} % of the voxels are exactly {what}: the map was {how}, and tells "
            "nothing of its noise there"
        )
    rounded = 0.5 * float(np.spacing(np.float32(abs(offset))))
    if high - low < LIMITS.few_digits * abs(offset) and np.all(values % rounded == 0):
        warnings.append(
            f"values differ by {high - low:.2g} only beside their size of {offset:.4g}: few digits are left"
        )
    return warnings


def inspect(
    density: DensityMap,
    element: Element,
    inverted: bool = False,
    known: bool = True,
    half_maps: tuple[DensityMap, DensityMap] | None = None,
) -> Inspection:
    """Measure what is in a map; its values must be usable.

    **Arguments:**

    - `density`: the map that is to be fitted.
    - `element`: of its atoms.
    - `inverted`: whether its contrast was turned already.
    - `known`: whether the element is known, and with it the distance between atoms.
    - `half_maps`: of half the data each, if there are any; they tell the resolution best.

    **Raises:** as `require_resolving_voxels`.
    """
    values = density.values
    doubts, warnings = require_resolving_voxels(density.grid, element)
    contrast = measure_contrast(density, element)
    noise = _noise_of_the_dark(density, element) if contrast.inverted else []
    doubts += noise or contrast_doubts(contrast, inverted)
    resolution = measure_resolution(density, half_maps)
    mean = measure_mean_atom(density, element) if contrast.decided and not contrast.inverted else None
    existence = None
    if mean is not None and not doubts:
        seen, odd, existence = _doubts_of_atoms(density, element, mean, resolution, known)
        doubts = seen if known else []
        warnings += odd if known else [f"{doubt.problem} ({doubt.remedy})" for doubt in seen]
    doubted, odd = map_doubts(values)
    doubts, warnings = [*doubts, *doubted], [*warnings, *odd]
    return Inspection(
        float(values.min()),
        float(values.max()),
        float(values.mean(dtype=np.float64)),
        float(values.std(dtype=np.float64)),
        float(np.mean(values == 0)),
        contrast,
        tuple(doubts),
        tuple(warnings),
        resolution,
        mean,
        existence,
    )


def _noise_of_the_dark(density: DensityMap, element: Element) -> list[Doubt]:
    """Whether what is dark would be noise, too, if it was turned."""
    turned = density.with_values(-density.values)
    return noise_doubts(beside_noise(turned, element.neighbour_distance))


def _doubts_of_atoms(
    density: DensityMap, element: Element, mean: MeanAtom, resolution: MapResolution, known: bool
) -> tuple[list[Doubt], list[str], Existence | None]:
    """Whether what stands out has the shape and the distances of atoms, and is more than noise."""
    cut = float(np.mean(density.values == density.values.min())) > LIMITS.cut
    found = shape_doubts(mean, edge_level(density), resolution, density.grid, element, cut)
    shape, odd = [one.doubt for one in found], list[str]()
    if found and found[0].grain:
        return shape, odd, None
    scale, distance = element.neighbour_distance, measured_distance(density, element)
    # Grain has distances, which say nothing of voxels; blobs may be atoms in voxels of a wrong size.
    if shape and (distance or 0.0) < scale:
        return shape, odd, None
    spacing = list[Doubt]()
    if known:
        spacing, odd = spacing_doubts(distance, density.grid.spacing, element)
    if shape and not spacing:
        return shape, odd, None
    existence = beside_noise(density, scale if distance is None or not spacing else distance)
    noise = noise_doubts(existence)
    # Crests of noise have distances, too.
    return (noise, [], existence) if noise else (spacing, odd, existence)


def edge_level(density: DensityMap) -> float:
    """Median value on the faces of the box: the level of the emptiness around a particle."""
    return float(np.median(faces(density.values)))
