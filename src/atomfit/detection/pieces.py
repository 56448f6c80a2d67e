"""Which voxels belong to which atom: connected components, and their split into atoms.

A component of the thresholded map is an atom, or several that touch. The paper splits a component
whose centre is not on a maximum or that is longer than 1.5 atomic radii, by drawing atoms on its
highest voxels in turn until the next would be too close to the last. Here that rule is applied with
two repairs, which change nothing for separate atoms: the places to draw atoms at are the local maxima
of the denoised map, so that the flank of an atom is not taken for another one; and there may be as many
as there are, compared with all that were drawn, not only with the last.

The voxels of a component go to the maximum that they run up to (watershed), within 1.5 atomic radii
of it. As the threshold rises a maximum keeps those of its voxels that remain above it, so basins
are found once and serve every threshold.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from atomfit.detection.peaks import local_maxima
from atomfit.structure.grid import DensityMap

#: Faces, edges and corners connect, as in the published program.
_CONNECTIVITY = 3


@dataclass(frozen=True, eq=False)
class Pieces:
    """The foreground at the lowest threshold, voxel by voxel, and the maxima in it.

    **Fields:**

    - `maxima`: array indices of the n maxima, highest first; `heights` are their values.
    - `voxels`: array indices of the m foreground voxels; `values` of the denoised map there.
    - `masses`: density of the raw map there, above its background and not negative.
    - `owners`: which maximum each voxel runs up to; -1 for none.
    - `density`: the raw map.
    """

    maxima: Int[np.ndarray, "n d"]
    heights: Float[np.ndarray, " n"]
    voxels: Int[np.ndarray, "m d"]
    values: Float[np.ndarray, " m"]
    masses: Float[np.ndarray, " m"]
    owners: Int[np.ndarray, " m"]
    density: DensityMap

    def split_centres(self, threshold: float) -> Float[np.ndarray, "k d"]:
        """Centres of mass (Å) of the basins above a threshold: every merged component split."""
        alive = self.heights > threshold
        above = (self.values > threshold) & (self.owners >= 0)
        return self._centres(self.owners[above], above, len(self.heights))[alive]

    def component_centres(self, threshold: float) -> Float[np.ndarray, "k d"]:
        """Centres of mass (Å) of the connected components above a threshold: nothing split."""
        labels, count = self.components(threshold)
        above = labels >= 0
        return self._centres(labels[above], above, count)

    def partly_split_centres(self, threshold: float, radius: float) -> Float[np.ndarray, "k d"]:
        """Centres (Å) when only the components that fail the paper's tests are split.

        **Arguments:**

        - `threshold`: of the denoised map.
        - `radius`: theoretical atomic radius (Å). A component fails if its centre is more than one
            voxel from its maximum, or a voxel of it more than 1.5 radii from its centre.
        """
        labels, count = self.components(threshold)
        above = labels >= 0
        centres = self._centres(labels[above], above, count)
        grid = self.density.grid
        order = np.lexsort((-self.values[above], labels[above]))
        first = np.unique(labels[above][order], return_index=True)[1]
        highest = self.voxels[above][order][first]
        off_peak = np.any(np.abs(grid.nearest_voxels(centres) - highest) > 1, axis=1)
        length = np.linalg.norm(grid.positions_of(self.voxels[above]) - centres[labels[above]], axis=1)
        longest = np.zeros(count)
        np.maximum.at(longest, labels[above], length)
        failed = off_peak | (longest > 1.5 * radius)
        member = np.full(len(self.heights), -1)
        owned = above & (self.owners >= 0)
        member[self.owners[owned]] = labels[owned]
        alive = (self.heights > threshold) & (member >= 0)
        split = alive & failed[np.maximum(member, 0)]
        basins = self._centres(
            self.owners[above & (self.owners >= 0)], above & (self.owners >= 0), len(self.heights)
        )
        return np.concatenate([centres[~failed], basins[split]])

    def components(self, threshold: float) -> tuple[Int[np.ndarray, " m"], int]:
        """Component of each foreground voxel (-1 if not above the threshold), and their number."""
        low = self.voxels.min(axis=0)
        box = np.zeros(tuple(self.voxels.max(axis=0) - low + 1), bool)
        inside = tuple((self.voxels - low).T)
        box[inside] = self.values > threshold
        labels, count = ndimage.label(box, np.ones((3,) * box.ndim))
        return labels[inside] - 1, int(count)

    def _centres(
        self, labels: Int[np.ndarray, " k"], chosen: np.ndarray, count: int
    ) -> Float[np.ndarray, "c d"]:
        """Centres of mass of labelled voxels; plain centres where there is no mass."""
        voxels, mass = self.voxels[chosen], self.masses[chosen]
        total = np.bincount(labels, mass, count)
        weight = np.where(total[labels] > 0, mass, 1.0)
        total = np.maximum(np.bincount(labels, weight, count), np.finfo(float).tiny)
        indices = [np.bincount(labels, weight * axis, count) / total for axis in voxels.T]
        return self.density.grid.positions_of(np.stack(indices, axis=1))


def find_pieces(
    density: DensityMap,
    denoised: DensityMap,
    above: float,
    separation: float,
    reach: float,
    background: float,
) -> Pieces:
    """Find the maxima and divide the foreground among them.

    **Arguments:**

    - `density`, `denoised`: the raw and the denoised map.
    - `above`: the lowest threshold that will be asked for.
    - `separation`: least distance between two atoms (Å).
    - `reach`: how far from its maximum an atom's voxels may lie (Å).
    - `background`: of the raw map (map units).
    """
    from skimage.segmentation import watershed

    maxima = local_maxima(denoised, above, separation)
    foreground = denoised.values > above
    voxels = np.argwhere(foreground)
    owners = np.full(len(voxels), -1)
    if len(maxima):
        low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        markers = np.zeros(foreground[box].shape, np.int32)
        markers[tuple((maxima - low).T)] = np.arange(1, len(maxima) + 1)
        basins = watershed(-denoised.values[box], markers, connectivity=_CONNECTIVITY, mask=foreground[box])
        owners = basins[tuple((voxels - low).T)].astype(np.int64) - 1
        offset = (voxels - maxima[owners]) * density.grid.spacing[::-1]
        owners[np.linalg.norm(offset, axis=1) > reach] = -1
    return Pieces(
        maxima,
        denoised.at(maxima).astype(np.float64),
        voxels,
        denoised.at(voxels).astype(np.float64),
        np.maximum(density.at(voxels).astype(np.float64) - background, 0.0),
        owners,
        density,
    )
