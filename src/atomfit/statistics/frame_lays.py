"""How well it is known how a frame lies: what it tells of columns in, standard uncertainties out.

A frame is laid on columns by a linear map (`statistics.plane_maps`). Each column that it shows tells of a
small change of that map, about the frame's middle,

    δ_i = s + G (x_i - middle),    G = [[m + a, b - r], [b + r, m - a]],

with a shift s, a rotation r, a magnification m and the two components a, b of a distortion. δ_i errs by
what the frame tells of the column's position, and by what that has moved from where it was expected. So
the covariance of the six is (Σ A_iᵀ C_i⁻¹ A_i)⁻¹, and is of frames beside each other: what moves all frames
alike moves the mean's frame.
"""

import numpy as np
from jaxtyping import Float


def lay_esds(
    information: Float[np.ndarray, "t n 2 2"],
    moved: Float[np.ndarray, " n"],
    places: Float[np.ndarray, "t n 2"],
    factor: float,
) -> Float[np.ndarray, "t 6"]:
    """Standard uncertainties of shift (x, y; Å), rotation (radians), magnification and distortion (a, b).

    NaN where a frame does not tell them.

    **Arguments:**

    - `information`: of each frame on each column's position (1/Å²).
    - `moved`: standard deviation of what a column moves from one frame to the next, along each axis (Å).
    - `places`: of the columns in the mean's frame, from each frame's middle (Å).
    - `factor`: by which error bars of single frames are too small.

        >>> many = np.tile(np.eye(2) / 0.1**2, (1, 100, 1, 1))
        >>> places = np.random.default_rng(1).uniform(-20, 20, (1, 100, 2))
        >>> lay_esds(many, np.zeros(100), places - places.mean(axis=1), 1.0)[0, :2].round(3)
        array([0.01, 0.01])
    """
    t, n = information.shape[:2]
    x, y = places[..., 0], places[..., 1]
    one, none = np.ones((t, n)), np.zeros((t, n))
    design = np.stack([one, none, -y, x, x, y, none, one, x, y, -y, x], axis=-1).reshape(t, n, 2, 6)
    # (Λ⁻¹ s² + q² 1)⁻¹ without an inverse of what may be nothing.
    spread = factor**2 * np.eye(2) + moved[:, None, None] ** 2 * information
    weights = np.linalg.solve(spread, information)
    told = np.einsum("tnia,tnij,tnjb->tab", design, 0.5 * (weights + np.swapaxes(weights, 2, 3)), design)
    scale = np.sqrt(np.diagonal(told, axis1=1, axis2=2))
    found = np.full((t, 6), np.nan)
    for k in np.flatnonzero((scale > 0).all(axis=1)):
        unit = told[k] / np.outer(scale[k], scale[k])
        if np.linalg.eigvalsh(unit)[0] > 1e-9:
            found[k] = np.sqrt(np.diagonal(np.linalg.inv(unit))) / scale[k]
    return found
