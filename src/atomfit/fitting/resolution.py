"""What of an atom's width is its displacement, and what is the map's resolution.

A displacement U, the resolution S of the map and the averaging over a voxel of edges h are all
convolutions with a Gaussian. The map determines their sum for each atom, to an accuracy that the fit
states,

    V_i = U_i + S 1 + diag(h²) / 12,

and so the differences of U between atoms, which need no more. It does not determine S: adding a number to
all U and taking it from S gives the same map. One number has to come from elsewhere, and then S is

- V̄ - u_mean, if the mean U_iso of the atoms is given (of the bulk, say: 0.003 to 0.01 Å² for most metals at
  room temperature, 0.004 for Pt), V̄ being the mean of a third of the trace of V_i - diag(h²) / 12. Errors
  of single atoms average out;
- otherwise v - `limits.rigid`, where v is the smallest eigenvalue of V - diag(h²) / 12 that 99 of 100
  atoms reach: the most rigid atoms are about as rigid as those of a bulk metal. Noise makes the smallest
  eigenvalues too small, and S with them, so that U contains some of the blur: it is then a displacement
  up to a number that all atoms share.

In both, S is not negative. An atom that is narrower than S along some axis has no displacement matrix:
noise has made it narrow, or the given mean is too small for what the map shows.

The twelfth of a voxel's edge squared is the variance of a box. Beyond its variance a box differs from a
Gaussian by its fourth cumulant, -h⁴/120, which changes the density of an atom of variance V by no more
than 3 (h⁴/120) / 8V² of its peak: 0.3 % where the width √V is a voxel's edge, 0.02 % where it is two.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.fitting.limits import LIMITS
from atomfit.gaussians.uncertainty import Uncertainty


@dataclass(frozen=True)
class Resolution:
    """The resolution term that all atoms share.

    **Fields:**

    - `s`: its variance S (Å²); B = 8π²S is what is known as a map's overall B factor.
    - `esd`: standard uncertainty, the convention taken for granted (Å²); NaN where widths were not refined.
    - `convention`: what it follows from, in words.
    """

    s: float
    esd: float
    convention: str

    def describe(self) -> str:
        """What was found, in words."""
        return f"resolution: S = {self.s:.4f} Å² (esd {self.esd:.4f}), from {self.convention}"


def voxel_variances(spacing: Float[np.ndarray, " d"]) -> Float[np.ndarray, "d d"]:
    """Variance matrix (Å²) of a box with the given edges along x, y, z (Å)."""
    return np.diag(np.asarray(spacing, np.float64) ** 2 / 12)


def resolve(
    shapes: Float[np.ndarray, "n d d"],
    known: Uncertainty,
    sound: Bool[np.ndarray, " n"],
    u_mean: float | None = None,
) -> Resolution:
    """Tell the resolution from the displacements, by the conventions at the head of this module.

    **Arguments:**

    - `shapes`: V - diag(h²) / 12 of each atom (Å²).
    - `known`: covariances of the fit, of which those of V are used.
    - `sound`: atoms that count; all do if there are none.
    - `u_mean`: mean U_iso of the atoms (Å²), if it is known.
    """
    d = shapes.shape[-1]
    of_shapes = known.covariances[:, d:-1, d:-1]
    if np.any(sound):
        shapes, of_shapes = shapes[sound], of_shapes[sound]
    row, column = np.triu_indices(d, 1)
    if u_mean is not None:
        mean = float(np.trace(shapes, axis1=1, axis2=2).mean()) / d
        slope = (np.arange(of_shapes.shape[1]) < d) / d
        variance = float(np.sum(slope @ of_shapes @ slope)) / len(shapes) ** 2
        s, convention = mean - u_mean, f"mean U_iso of {u_mean:g} Å²"
    else:
        values, vectors = np.linalg.eigh(shapes)
        # The narrowest but one in a hundred.
        at = np.argsort(values[:, 0])[int(LIMITS.narrower * len(values))]
        v = vectors[at, :, 0]
        slope = np.concatenate([v**2, 2 * v[row] * v[column]])
        variance = float(slope @ of_shapes[at] @ slope)
        s, convention = (
            float(values[at, 0]) - LIMITS.rigid,
            f"most rigid atoms displaced by {LIMITS.rigid:g} Å²",
        )
    return Resolution(max(s, 0.0), np.sqrt(variance) if variance > 0 else float("nan"), convention)
