"""From a file to a map that can be fitted: read, judged, and changed only as asked.

Whatever can be refused is refused here, in seconds: this module and what it imports do without JAX. A
map is changed only as asked: its contrast is inverted, or it is masked.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.detection.existence import Existence
from atomfit.detection.resolution import MapResolution
from atomfit.doubts.halves import Halves, half_map_doubts, scale_of_halves
from atomfit.doubts.inspection import (
    Inspection,
    edge_level,
    inspect,
    oddities,
    require_usable_values,
    value_doubts,
)
from atomfit.doubts.unmeasured import find_unmeasured
from atomfit.io.half_maps import is_their_mean, read_half_maps
from atomfit.io.mrc import MapFile, from_array, read_map
from atomfit.io.tilts import read_tilts
from atomfit.noise.tilt_angles import TiltAngles
from atomfit.options.build import BuildOptions
from atomfit.structure.elements import Element, elements_of, typical
from atomfit.structure.elements import element as element_of
from atomfit.structure.grid import DensityMap
from atomfit.support.arrays import AnyArray, told_of_offset, without_offset
from atomfit.support.errors import Doubt, InputError, settle
from atomfit.support.memory import require_memory

Source = str | Path | DensityMap | AnyArray

#: Stands for an unknown element where only the distance between atoms matters.
_ANY_METAL = "Pt"
_SOFT_EDGE = 2.0
#: Bytes of memory per voxel that detection and the fit need at their peak (measured).
_BYTES_PER_VOXEL = 85
_BYTES_AT_LEAST = 400e6


@dataclass(frozen=True, eq=False)
class PreparedMap:
    """A map that is ready to be fitted.

    **Fields:**

    - `source`: the map as it was read.
    - `density`: the map to be fitted; the same, unless it was inverted or masked.
    - `element`: what its atoms are; what stands for all of them if there are several elements.
    - `elements`: all of them.
    - `warnings`: what looks odd but does not prevent a fit.
    - `seconds`: how long it took.
    - `resolution`: up to which wavelength it shows more than noise.
    - `existence`: how much better atoms describe it than noise like it; None where that was not asked.
    - `insisted`: what spoke against a fit, and was insisted on.
    - `half_maps`, `tilts`: what else is known of its noise; None if they were not given.
    - `lost_below`: the spatial frequency (1/Å) below which a fit has shown that it lacks what atoms have.
    """

    source: MapFile
    density: DensityMap
    element: Element
    elements: tuple[Element, ...]
    warnings: tuple[str, ...]
    seconds: float
    resolution: MapResolution
    existence: Existence | None = None
    insisted: tuple[Doubt, ...] = ()
    half_maps: tuple[DensityMap, DensityMap] | None = None
    tilts: TiltAngles | None = None
    lost_below: float = 0.0


def prepare(
    source: Source, element: str | Sequence[str], options: BuildOptions | None = None
) -> PreparedMap:
    """Read a map, judge it, and change it as the options ask.

    **Arguments:**

    - `source`: a file, a `DensityMap`, or an array in [z, y, x] order.
    - `element`: chemical symbol, or several.
    - `options`: of which those of the map and of what is known of its noise matter here.

    **Raises:** `InputError` if the map cannot be fitted.
    """
    begin = time.perf_counter()
    options = options or BuildOptions()
    elements = elements_of(element, options.neighbour_distance)
    kind = typical(elements)
    tilts = options.tilts
    series = None if tilts is None else read_tilts(tilts, options.tilt_axis, options.beam)
    file = _read(source, options.voxel_size)
    halves = options.half_maps
    half_maps = None if halves is None else read_half_maps(halves, file, options.voxel_size)
    try:
        require_usable_values(file.map)
        around = find_unmeasured(file.map.values)
        warnings = [*file.warnings, *settle(value_doubts(file.map, kind, around), options.insist)]
        warnings += oddities(file.map, around, file.offset)
        measured = file.map if around is None else replace(file.map, counted=~around.voxels)
        of_halves = [] if half_maps is None else half_map_doubts(measured, half_maps, kind)
        warnings += settle(of_halves, options.insist)
        density = inverted(measured) if options.invert else measured
        if options.mask_diameter is not None:
            require_room_for_atoms(options.mask_diameter, kind)
            density = masked(density, options.mask_diameter)
        found = inspect(density, kind, options.invert, half_maps=half_maps)
        if found.doubts and options.mask_diameter is not None:
            found = _of_the_mask(found, measured, kind, options)
        warnings += [*found.warnings, *settle(found.doubts, options.insist)]
        if options.likelihood == "poisson":
            require_counts(density)
    except InputError as error:
        raise error.at(file.path or "map") from None
    if half_maps is not None and not of_halves:
        half_maps, told = _on_its_scale(measured, half_maps, kind)
        warnings += told
    seconds = time.perf_counter() - begin
    return PreparedMap(
        file,
        density,
        kind,
        elements,
        tuple(warnings),
        seconds,
        found.resolution,
        found.existence,
        (*of_halves, *found.doubts),
        half_maps,
        series,
    )


def check(
    source: Source,
    element: str | None = None,
    voxel_size: float | tuple[float, ...] | None = None,
    half_maps: tuple[str | Path, str | Path] | None = None,
) -> tuple[MapFile, Inspection]:
    """Read a map and measure what is in it, without fitting anything.

    **Arguments:**

    - `source`: as for `prepare`.
    - `element`: chemical symbol; without it, a metal whose atoms are 2.8 Å apart is assumed.
    - `voxel_size`: replaces the header's (Å).
    - `half_maps`: files of two half-maps, which tell the resolution best.

    **Raises:** `InputError` if the map cannot be used.
    """
    kind = element_of(element or _ANY_METAL)
    file = _read(source, voxel_size)
    both = BuildOptions(half_maps=half_maps).half_maps
    halves = None if both is None else read_half_maps(both, file, voxel_size)
    try:
        require_usable_values(file.map)
        around = find_unmeasured(file.map.values)
        settle(value_doubts(file.map, kind, around), insist=False)
        measured = file.map if around is None else replace(file.map, counted=~around.voxels)
        found = inspect(measured, kind, known=element is not None, half_maps=halves)
        if halves is not None:
            found = replace(found, doubts=(*half_map_doubts(measured, halves, kind), *found.doubts))
        return file, replace(found, warnings=(*oddities(file.map, around, file.offset), *found.warnings))
    except InputError as error:
        raise error.at(file.path or "map") from None


def _on_its_scale(density: DensityMap, halves: Halves, element: Element) -> tuple[Halves, list[str]]:
    """Half-maps whose atoms are as high as the map's, and what is to be told of them."""
    if is_their_mean(density, *halves):
        return halves, []
    scale = np.float32(scale_of_halves(density, halves, element))
    first, second = (half.with_values(scale * half.values) for half in halves)
    if is_their_mean(density, first, second):
        return (first, second), [
            f"the map is {scale:.4g} times the mean of the half-maps, and its noise is taken to be so, too"
        ]
    return (first, second), [
        "the map is not the mean of the half-maps (it was filtered or masked, or they were); its noise is "
        f"taken to be half their difference all the same, multiplied by {scale:.3g}"
    ]


def inverted(density: DensityMap) -> DensityMap:
    """Bright for dark, with the emptiness around the particle at zero."""
    return density.with_values(np.float32(edge_level(density)) - density.values)


def masked(density: DensityMap, diameter: float) -> DensityMap:
    """The map inside a sphere about the middle of the box; outside, the level at the box's faces.

    Voxels that the sphere's edge or its outside have changed do not count.

    **Arguments:**

    - `density`: the map.
    - `diameter`: of the sphere (Å), beyond which a cosine edge of 2 Å leads to the level outside.

    **Raises:** `InputError` if the sphere does not fit into the box.
    """
    grid = density.grid
    smallest = float(grid.extent.min())
    if not 0 < diameter <= smallest:
        raise InputError(
            f"a mask of {diameter:g} Å does not fit into the box, whose shortest edge is {smallest:.1f} Å",
            "give a smaller diameter, or none",
            "--mask-diameter",
        )
    axes = [
        origin + spacing * np.arange(n) - centre
        for origin, spacing, n, centre in zip(
            grid.origin, grid.spacing, grid.shape[::-1], grid.centre, strict=True
        )
    ][::-1]
    square = sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
    beyond = np.clip((np.sqrt(square) - diameter / 2) / _SOFT_EDGE, 0, 1)
    part: Float[np.ndarray, ...] = 0.5 + 0.5 * np.cos(np.pi * beyond)
    level = edge_level(density)
    values = (level + part * (density.values - level)).astype(np.float32)
    return DensityMap(values, grid, density.measured(part == 1))


def require_room_for_atoms(diameter: float, element: Element) -> None:
    """**Raises:** `InputError` if a sphere (diameter in Å) does not hold one atom."""
    least = element.neighbour_distance
    if diameter < least:
        raise InputError(
            f"a mask of {diameter:g} Å holds no whole atom: {element.symbol} atoms are {least:.2f} Å apart",
            "give a larger diameter, or none",
            "--mask-diameter",
        )


def _of_the_mask(
    found: Inspection, unmasked: DensityMap, kind: Element, options: BuildOptions
) -> Inspection:
    """Doubts about a map that is inside a mask, with the mask named where the whole map raises none."""
    whole = inverted(unmasked) if options.invert else unmasked
    if inspect(whole, kind, options.invert).doubts:
        return found
    doubts = tuple(
        Doubt(
            f"inside the mask of {options.mask_diameter:g} Å {one.problem}",
            "the whole map raises no such doubt: give a larger --mask-diameter, or none",
        )
        for one in found.doubts
    )
    return replace(found, doubts=doubts)


def require_counts(density: DensityMap) -> None:
    """**Raises:** `InputError` if a map has values below zero, which are no counts."""
    negative = int(np.sum(density.values < 0))
    if negative:
        raise InputError(
            f"{negative} of {density.grid.size} voxels are below zero, which no counts are",
            "give counts (times a gain), or --likelihood gaussian",
        )


def room_to_fit(voxels: int) -> None:
    """**Raises:** `InputError` if there is no memory for a fit to so many voxels."""
    require_memory(
        _BYTES_AT_LEAST + _BYTES_PER_VOXEL * voxels,
        f"fitting {voxels} voxels",
        "cut out the particle, or bin the map",
    )


def _read(source: Source, voxel_size: float | tuple[float, ...] | None) -> MapFile:
    if isinstance(source, str | os.PathLike):
        return read_map(source, voxel_size, room_to_fit)
    if isinstance(source, DensityMap):
        room_to_fit(source.grid.size)
        values, offset = without_offset(source.values)
        notes = ["map: given as an object", *told_of_offset(offset)]
        return MapFile(source.with_values(values), None, "", notes, offset=offset)
    size = getattr(source, "size", None)  # known before lazy arrays are read
    if isinstance(size, int):
        room_to_fit(size)
    return from_array(source, voxel_size)
