"""Columns of two images that are one: how far they moved, and by how much their cross-sections differ.

Displacements have the covariance A + M B Mᵀ, less or plus what registration takes or adds
(`statistics.rigid`). Differences of cross-sections, second less first in units of the first, have that of
both, less or plus what their ratio takes or adds (`statistics.brightness_ratio`).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from atomfit.statistics.brightness_ratio import BrightnessRatio, brightness_ratio
from atomfit.statistics.change_probabilities import (
    AtomChanges,
    atom_changes,
    moved_probabilities,
    resized_probabilities,
)
from atomfit.statistics.image_columns_seen import ImageColumns
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.statistics.registration import Registration, mahalanobis
from atomfit.statistics.rigid import residual_covariances
from atomfit.statistics.significance import Scale, chi_square_scale, p_values

_LEAST_SCALE = 1e-6


@final
@dataclass(frozen=True, eq=False)
class ColumnPairs:
    """Pairs of columns.

    **Fields:**

    - `first`, `second`: their indices.
    - `displacements`, `covariances`: from the first to the second (Å, Å²); covariances NaN where not known.
    - `brightness`: ratio of the images'.
    - `differences`, `difference_esds`: of cross-sections (units of the first image); NaN where not known.
    - `p_moved`, `p_changed`: p-values of both; NaN where not known.
    - `moved_probability`, `changed_probability`: of both.
    - `atoms`: how many atoms were gained; None without counts in both images.
    - `scale`, `brightness_scale`: by what factor error bars of positions and cross-sections are too small.
    """

    first: Int[np.ndarray, " n"]
    second: Int[np.ndarray, " n"]
    displacements: Float[np.ndarray, "n 2"]
    covariances: Float[np.ndarray, "n 2 2"]
    brightness: BrightnessRatio
    differences: Float[np.ndarray, " n"]
    difference_esds: Float[np.ndarray, " n"]
    p_moved: Float[np.ndarray, " n"]
    p_changed: Float[np.ndarray, " n"]
    moved_probability: Float[np.ndarray, " n"]
    changed_probability: Float[np.ndarray, " n"]
    atoms: AtomChanges | None
    scale: Scale
    brightness_scale: Scale

    @property
    def p(self) -> Float[np.ndarray, " n"]:
        """Of any change: of the smaller of both p-values, as it is of so many."""
        both = np.stack([self.p_moved, self.p_changed])
        tests = np.isfinite(both).sum(axis=0)
        least = np.min(np.where(np.isfinite(both), both, 1.0), axis=0)
        return np.where(tests > 0, -np.expm1(tests * np.log1p(-np.minimum(least, 1 - 1e-16))), np.nan)


def measure_pairs(
    a: ImageColumns,
    b: ImageColumns,
    registration: Registration[PlaneMap],
    pairs: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]],
    reach: float,
    calibrate: bool,
) -> ColumnPairs:
    """Measure what pairs of columns differ by.

    **Arguments:**

    - `a`, `b`: columns of both images.
    - `registration`: of the second on the first.
    - `pairs`: indices of the pairs.
    - `reach`: how far pairs may be apart (Å).
    - `calibrate`: whether error bars are multiplied by their scale for p-values and probabilities.
    """
    i, j = pairs
    moved = registration.motion(b.positions[j])
    d, together = moved - a.positions[i], np.full((len(i), 2, 2), np.nan)
    known = a.certain[i] & b.certain[j]
    both = a.covariances[i] + registration.motion.turn(b.covariances[j])
    left = residual_covariances(registration.fitted, moved, both, registration.used(i, j))
    together[known] = left[known]
    ratio, differences, esds = _differences(a, b, i, j)
    scale = chi_square_scale(mahalanobis(d, together), 2)
    brightness_scale = chi_square_scale((differences / esds) ** 2, 1)
    by = [_factor(one) if calibrate else 1.0 for one in (scale, brightness_scale)]
    larger, wider = together * by[0] ** 2, esds * by[1]
    counted = a.counted[i] & b.counted[j]
    changed, atoms = resized_probabilities(differences, wider), None
    if counted.any() and a.probabilities is not None and a.law is not None:
        counts = np.where(counted[:, None], a.probabilities[i], np.nan)
        atoms = atom_changes(differences, wider, counts, a.law)
        changed = np.where(counted, atoms.changed, changed)
    return ColumnPairs(
        i,
        j,
        d,
        together,
        ratio,
        differences,
        esds,
        p_values(mahalanobis(d, larger), freedom=2),
        np.asarray(2 * norm.sf(np.abs(differences) / wider)),
        moved_probabilities(d, larger, max(min(reach, 1e3), 1e-3)),
        changed,
        atoms,
        scale,
        brightness_scale,
    )


def _factor(scale: Scale) -> float:
    return max(float(np.nan_to_num(scale.value, nan=1.0)), _LEAST_SCALE)


def _differences(
    a: ImageColumns, b: ImageColumns, i: Int[np.ndarray, " n"], j: Int[np.ndarray, " n"]
) -> tuple[BrightnessRatio, Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Ratio of cross-sections, their differences, and what these err by."""
    s, t, u, v = (
        a.cross_sections[i],
        b.cross_sections[j],
        a.cross_section_esds[i],
        b.cross_section_esds[j],
    )
    ratio = brightness_ratio(s, t, u, v)
    k = ratio.value
    shared = (np.abs(s) * ratio.esd / k) ** 2 * np.where(ratio.used, -1.0, 1.0)
    variance = u**2 + (v / k) ** 2 + shared
    return ratio, t / k - s, np.sqrt(np.where(variance > 0, variance, np.nan))
