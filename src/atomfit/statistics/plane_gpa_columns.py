"""Geometric phase analysis of an image, read off at its columns: to hold beside the strain that these have.

The largest domain says which two reflections are taken and which part of the image is looked at. Pixels are
put together as far as the reflections allow, since the kernel is as wide as a spacing. What `plane_gpa`
says of its trap holds here as well: where composition or thickness changes it is not strain.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.detection.column_scale import binned
from atomfit.statistics.plane_domains import PlaneDomains
from atomfit.statistics.plane_gpa import gpa
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError

#: Pixels to a period that are left, and how much around the domain is looked at (spacings).
_PIXELS, _MARGIN = 7.0, 5.0


@dataclass(frozen=True, eq=False)
class PhaseAtColumns:
    """Of n columns; NaN outside the largest domain, and where the phase is that of nothing.

    **Fields:**

    - `tensors`: e_xx, e_yy and e_xy.
    - `rotations`: from x to y (degrees).
    - `vectors`: the two reflections as refined, as rows (1/Å); NaN if there is no phase.
    - `kernel`: standard deviation of the kernel (Å); the same.
    """

    tensors: Float[np.ndarray, "n 3"]
    rotations: Float[np.ndarray, " n"]
    vectors: Float[np.ndarray, "2 2"]
    kernel: float


def gpa_of_columns(
    image: DensityMap, positions: Float[np.ndarray, "n 2"], domains: PlaneDomains
) -> PhaseAtColumns:
    """Phase analysis of the part of an image where the largest domain is.

    **Arguments:**

    - `image`: of two dimensions.
    - `positions`: of all columns, in its frame (Å).
    - `domains`: of the same columns.
    """
    n = len(positions)
    found = PhaseAtColumns(np.full((n, 3), np.nan), np.full(n, np.nan), np.full((2, 2), np.nan), np.nan)
    if not domains.lattices:
        return found
    lattice, pixel = domains.lattices[0], float(image.grid.spacing[0])
    reflections = np.linalg.inv(lattice.basis)
    own = positions[lattice.columns]
    margin = _MARGIN * domains.spacing
    ends = np.stack([own.min(axis=0) - margin, own.max(axis=0) + margin])
    (x0, y0), (x1, y1) = np.clip(
        np.rint((ends - image.grid.origin) / pixel).astype(int), 0, np.array(image.grid.shape)[::-1]
    )
    values = np.array(image.values[y0:y1, x0:x1], np.float64)
    times = max(int(1 / np.linalg.norm(reflections, axis=1).max() / _PIXELS / pixel), 1)
    values = binned(values, times) if times > 1 else values
    try:
        phase = gpa(values, times * pixel, reflections[0], reflections[1])
    except InputError:
        # Too small a part, or reflections that this motif does not have.
        return found
    first = image.grid.origin + pixel * (np.array([x0, y0]) + 0.5 * (times - 1))
    at = np.rint((own - first) / (times * pixel)).astype(int)
    j, i = np.clip(at, 0, np.array(values.shape)[::-1] - 1).T
    found.tensors[lattice.columns] = phase.tensors[:, i, j].T
    found.rotations[lattice.columns] = phase.rotations[i, j]
    return PhaseAtColumns(found.tensors, found.rotations, phase.vectors, phase.kernel)
