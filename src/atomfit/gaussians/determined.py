"""What data do not determine has no standard uncertainty: one rule for all fits.

Covariances come from derivatives of the model, and hold as far as the model is straight: a fraction of an
atom's width for its position, a part of its own value for a width or an amplitude. Where nothing is known
of a number, its covariance comes out as whatever rounding leaves of a division by zero, and an atom of
hardly any amplitude has a position that is "known" to 1e13 Å. A standard uncertainty of more than ten such
lengths does not say how well a number is known, but that it is not: it becomes NaN, and so does all that is
computed from it, and a field in a file stays empty.
"""

import numpy as np
from jaxtyping import Float

from atomfit.gaussians.fitted import FittedAtoms

#: Standard uncertainties beyond so many scales of a number say that it is not known.
BEYOND = 10.0


def determined(
    covariances: Float[np.ndarray, "n q q"], scales: Float[np.ndarray, "n q"]
) -> Float[np.ndarray, "n q q"]:
    """Covariances; NaN in the rows and columns of what is not determined.

    **Arguments:**

    - `covariances`: of numbers of n atoms.
    - `scales`: over which the model is straight in each; NaN where there is none, and nothing is judged.
    """
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    unknown = ~np.isfinite(variances) | (variances > (BEYOND * scales) ** 2)
    return np.where(unknown[:, :, None] | unknown[:, None, :], np.nan, covariances)


def scales_of(atoms: FittedAtoms) -> Float[np.ndarray, "n q"]:
    """Scales of position (width, Å), displacements (Å²; 11, 22, 33, 12, 13, 23) and amplitude of atoms."""
    d = atoms.positions.shape[1]
    u = np.trace(atoms.shapes, axis1=1, axis2=2)[:, None] / d
    columns = [np.sqrt(u)] * d + [u] * (d * (d + 1) // 2) + [np.abs(atoms.amplitudes)[:, None]]
    return np.concatenate(columns, axis=1)
