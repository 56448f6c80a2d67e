"""Whether what stands out in a map has the shape of atoms: a spot, between two widths, on little else.

A fit puts atoms wherever something is bright, into noise, the grain of a featureless ball, or the blobs of
a map of low resolution. But the mean of a map around its maxima is an atom's profile only if there are
atoms: of noise it is a voxel wide, in a ball it hardly rises above what lies beneath, and where atoms are
not resolved it is as wide as neighbours are apart.
"""

from dataclasses import dataclass

from atomfit.detection.limits import LIMITS as DETECTION
from atomfit.detection.mean_atom import MeanAtom
from atomfit.detection.resolution import MapResolution
from atomfit.doubts.limits import LIMITS
from atomfit.structure.elements import Element
from atomfit.structure.grid import Grid
from atomfit.support.errors import Doubt
from atomfit.support.units import fwhm_from_u


@dataclass(frozen=True)
class ShapeDoubt:
    """What speaks against spots being atoms.

    **Fields:**

    - `code`: "resolution" if atoms are not resolved, "no-shape" if there are none.
    - `doubt`: in words.
    - `grain`: distances between such spots are those of noise, and say nothing of the voxel size.
    """

    code: str
    doubt: Doubt
    grain: bool = True


def shape_doubts(
    mean: MeanAtom,
    level: float,
    resolution: MapResolution,
    grid: Grid,
    element: Element,
    cut: bool = False,
) -> list[ShapeDoubt]:
    """Whether the mean of a map around its maxima is an atom; at most one doubt.

    **Arguments:**

    - `mean`: of the map.
    - `level`: of the emptiness around the particle (map units).
    - `resolution`, `grid`: of the map.
    - `element`: whose atoms are expected.
    - `cut`: whether the map was set to one value below a threshold: then spots have lost their flanks, and
        their widths say nothing.
    """
    if not mean.count:
        return []
    distance, voxel = element.neighbour_distance, float(grid.spacing.max())
    width, beneath = mean.u**0.5, (mean.background - level) / mean.height
    widest = LIMITS.shape_widest * DETECTION.widest * distance
    coarse = resolution.value > LIMITS.shape_low_resolution * distance
    apart = f"where {element.symbol} atoms are {distance:.2f} Å apart"
    low = (
        "the resolution is too low for single atoms, or voxel size (--voxel-size) or element are wrong",
        f"its resolution is {resolution.value:.2g} Å",
    )
    if width > widest and voxel < LIMITS.shape_small_voxel * distance:
        problem = f"what stands out is {fwhm_from_u(mean.u):.1f} Å wide or more, {apart}; {low[1]}"
        if coarse:
            return [ShapeDoubt("resolution", Doubt(problem, low[0]), grain=False)]
        remedy = (
            "a map as fine as that shows atoms narrower: these are blobs of noise or of something else, or "
            "voxel size (--voxel-size) or element are wrong"
        )
        return [ShapeDoubt("no-shape", Doubt(problem, remedy), grain=False)]
    if beneath > LIMITS.shape_beneath:
        problem = f"what stands out rises by {1 / beneath:.1%} only above what lies beneath it"
        if coarse:
            return [ShapeDoubt("resolution", Doubt(f"{problem}, {apart}; {low[1]}", low[0]))]
        remedy = "it is no more than grain, not atoms: look at the map"
        return [ShapeDoubt("no-shape", Doubt(problem, remedy))]
    if not cut and width < LIMITS.shape_narrow * distance and width < LIMITS.shape_one_voxel * voxel:
        problem = (
            f"what stands out is {fwhm_from_u(mean.u):.2f} Å wide, no more than voxels of {voxel:.2g} Å are"
        )
        remedy = "that is the width of noise, not of atoms: look at the map, or check the voxel size"
        return [ShapeDoubt("no-shape", Doubt(problem, remedy))]
    return []
