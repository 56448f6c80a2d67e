"""How much worse an image errs than its pixels do: what a fit leaves, seen through a column's own filter.

Pixels of interpolated, filtered or drifting images err together, and what no Gaussian describes errs in the
same way at every column. Both are slow beside a pixel and as wide as a column, so that they count for more
than their variance. They are measured where they act: the residual, in units of the pixels' noise, through
a filter as wide as a column, beside what the same fit leaves of simulated noise that has neither. A fit
absorbs most of what looks like columns, and the simulated one absorbs as much. As with pixels, it may
grow with brightness.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.detection.column_filter import BlobFilter
from atomfit.fitting.column_fit import FittedColumns
from atomfit.fitting.column_information import ColumnInformation
from atomfit.structure.grid import DensityMap

#: Classes of brightness, and pixels of a class at least.
_CLASSES, _FEWEST = 6, 400
#: Seed of the simulated noise.
_SEED = 0


@dataclass(frozen=True, eq=False)
class Excess:
    """By how much variances are larger than those of pixels that err independently.

    **Fields:**

    - `brightness`: of classes of pixels, in image units.
    - `factors`: of their variances.
    """

    brightness: Float[np.ndarray, " c"]
    factors: Float[np.ndarray, " c"]

    def at(self, brightness: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """At places of some brightness."""
        return np.interp(brightness, self.brightness, self.factors)


def measure_excess(
    image: DensityMap,
    fitted: FittedColumns,
    information: ColumnInformation,
    model: Float[np.ndarray, "rows columns"],
    width: float,
) -> Excess:
    """What a fit leaves, beside what it leaves of white noise.

    **Arguments:**

    - `image`: the region that was fitted.
    - `fitted`, `information`: the fit.
    - `model`: what it predicts.
    - `width`: of the filter (Å).
    """
    pixel, counted = float(image.grid.spacing[0]), fitted.counted
    left = np.where(counted, (image.values - model) / np.sqrt(fitted.variance), 0.0)
    noise = np.random.default_rng(_SEED).standard_normal(image.grid.size) * counted.ravel()
    simulated = information.left_of(noise).reshape(counted.shape)
    seen, expected = (BlobFilter(field, pixel).blobs(width)[counted] for field in (left, simulated))
    brightness = model[counted]
    classes = max(min(_CLASSES, len(brightness) // _FEWEST), 1)
    edges = np.quantile(brightness, np.linspace(0, 1, classes + 1))
    which = np.clip(np.searchsorted(edges[1:-1], brightness, side="right"), 0, classes - 1)
    middles, factors = [], []
    for k in range(classes):
        inside = which == k
        if inside.any():
            middles.append(float(np.mean(brightness[inside])))
            # Medians: what the fit lacks is to be found, not to count as noise.
            ratio = np.median(np.abs(seen[inside])) / max(np.median(np.abs(expected[inside])), 1e-30)
            factors.append(max(float(ratio) ** 2, 1.0))
    return Excess(np.array(middles), np.array(factors))
