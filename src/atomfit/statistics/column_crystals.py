"""Strain and order of columns of two images: each image's own in, differences of pairs in one frame out.

Each image counts strain from its own lattice, along its own axes. That of the second is a tensor, which the
turn T of the map between the images takes into the axes of the first, e' = T e Tᵀ; local rotations change
their sign if the image was turned over. As either lattice is fitted in its own image, a magnification or a
shear that all columns of one image have is in neither, nor in the difference.

Tables have standard uncertainties of components, and no covariances: those of a turned tensor are as if
components erred independently, and so are those of both images. Columns of one image share neighbours,
of which strain is made, so that the error of a mean is larger than that of independent ones: by the root
of the number of columns that share them (seven, with six neighbours).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from atomfit.statistics.plane_maps import PlaneMap
from atomfit.statistics.significance import q_values

#: What is compared, in the order of the arrays.
CRYSTAL_DIFFERENCES = ("e_xx", "e_yy", "e_xy", "rotation", "ordered", "contrast")
#: Columns whose strain is made of one column's place.
_SHARED = 7.0


@final
@dataclass(frozen=True, eq=False)
class LocalCrystal:
    """What columns of an image have around them.

    **Fields:**

    - `values`, `esds`: of `CRYSTAL_DIFFERENCES`: strain along the image's axes, rotation (degrees),
        probability of order, contrast; NaN where not known.
    """

    values: Float[np.ndarray, "n 6"]
    esds: Float[np.ndarray, "n 6"]


@final
@dataclass(frozen=True)
class Summed:
    """A difference over all pairs.

    **Fields:**

    - `pairs`: of which it is known.
    - `mean`, `mean_esd`: and its standard uncertainty.
    - `rms`: root mean square.
    - `esd`: standard uncertainty of one, the median.
    - `significant`: pairs that differ at the rate of false ones that was asked for.
    """

    pairs: int
    mean: float
    mean_esd: float
    rms: float
    esd: float
    significant: int


def crystal_differences(
    a: LocalCrystal | None,
    b: LocalCrystal | None,
    pairs: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]],
    motion: PlaneMap,
) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, "n 6"]]:
    """Second less first in the first image's frame, and standard uncertainties; NaN where not known.

    **Arguments:**

    - `a`, `b`: of the images; None without.
    - `pairs`: indices of the pairs.
    - `motion`: of the second image on the first.

    >>> here = LocalCrystal(np.array([[0.01, 0, 0, 0, np.nan, np.nan]]), np.full((1, 6), 0.001))
    >>> there = LocalCrystal(np.array([[0, 0.01, 0, 0, np.nan, np.nan]]), np.full((1, 6), 0.001))
    >>> quarter = PlaneMap(np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(2))
    >>> one = np.array([0]), np.array([0])
    >>> bool(np.allclose(crystal_differences(here, there, one, quarter)[0][0, :3], 0))
    True
    """
    i, j = pairs
    if a is None or b is None:
        unknown = np.full((len(i), len(CRYSTAL_DIFFERENCES)), np.nan)
        return unknown, unknown
    other, errors = b.values[j].copy(), b.esds[j].copy()
    way = _turned_tensors(motion)
    other[:, :3], errors[:, :3] = other[:, :3] @ way.T, np.sqrt(errors[:, :3] ** 2 @ (way**2).T)
    if motion.mirrored:
        other[:, 3] = -other[:, 3]
    return other - a.values[i], np.hypot(errors, a.esds[i])


def summed(values: Float[np.ndarray, " n"], esds: Float[np.ndarray, " n"], fdr: float) -> Summed:
    """A difference over all pairs.

    **Arguments:**

    - `values`, `esds`: of the pairs; NaN where not known.
    - `fdr`: rate of false ones among the pairs that differ significantly.
    """
    known = np.isfinite(values) & (esds > 0)
    d, s = values[known], esds[known]
    if not len(d):
        return Summed(0, np.nan, np.nan, np.nan, np.nan, 0)
    q = q_values(np.asarray(2 * norm.sf(np.abs(d / s))))
    error = float(np.sqrt(min(_SHARED, len(d)) * np.sum(s**2)) / len(d))
    return Summed(
        len(d),
        float(d.mean()),
        error,
        float(np.sqrt(np.mean(d**2))),
        float(np.median(s)),
        int((q < fdr).sum()),
    )


def _turned_tensors(motion: PlaneMap) -> Float[np.ndarray, "3 3"]:
    """What takes (xx, yy, xy) of a tensor along."""
    u, _, vt = np.linalg.svd(motion.matrix)
    (a, b), (c, d) = u @ vt
    return np.array([[a * a, b * b, 2 * a * b], [c * c, d * d, 2 * c * d], [a * c, b * d, a * d + b * c]])
