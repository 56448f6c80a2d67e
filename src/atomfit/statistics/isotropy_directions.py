"""Directions of anisotropic matrices, drawn where they matter, and what each draw counts.

In go five numbers a of each atom's matrix (`matrix_logarithms`) with their inverse covariance S⁻¹. A
direction D is a traceless matrix whose eigenvalues span one: b says where the middle one lies (0 of a
disc, as the largest two are alike, 1 of a cigar), and three angles how its axes lie. A mean over all
directions, of which b and orientations are alike likely, is that over draws, half of all directions and
half of those of N(a, S), the atom's own with its noise. Each counts by the inverse of the density that it
was drawn with, which is known of both halves (importance sampling, Veach & Guibas 1995), since dA = r⁴ b
(1 - b) dr db dR. Discs and cigars proper are drawn apart, as no draw has b of just 0 or 1.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

from atomfit.statistics.matrix_logarithms import basis

#: Classes of the middle eigenvalue between discs and cigars.
CLASSES = 5


def triaxial(
    a: Float[np.ndarray, "n 5"], w: Float[np.ndarray, "n 5 5"], draws: Float[np.ndarray, "m 5"]
) -> tuple[Float[np.ndarray, "n m 5"], Float[np.ndarray, "n m"], Int[np.ndarray, "n m"]]:
    """Directions of any b and orientation, what each counts, and its class of b.

    **Arguments:**

    - `a`, `w`: five numbers of each matrix, and their inverse covariances.
    - `draws`: points of a cube, half of them for each density.
    """
    n, half = len(a), len(draws) // 2
    normal, anywhere = ndtri(np.clip(draws[:half], 1e-6, 1 - 1e-6)), _anywhere(draws[half:])
    factor = np.linalg.cholesky(w)
    spread = np.linalg.solve(np.swapaxes(factor, 1, 2), np.broadcast_to(normal.T, (n, *normal.T.shape)))
    own = a[:, None] + np.swapaxes(spread, 1, 2)
    directions = np.concatenate([own, np.broadcast_to(anywhere, (n, *anywhere.shape))], axis=1)
    values = np.linalg.eigvalsh(np.einsum("nmk,kij->nmij", directions, basis()[1:]))
    ranges = np.maximum(values[..., 2] - values[..., 0], 1e-12)
    b = np.clip((values[..., 2] - values[..., 1]) / ranges, 1e-9, 1 - 1e-9)
    directions = directions / ranges[..., None]
    # Density of directions of N(a, S), with respect to b and orientations.
    weighed = directions @ w
    curvature = np.einsum("nmk,nmk->nm", weighed, directions)
    slope = np.einsum("nmk,nk->nm", weighed, a)
    constant = np.einsum("nk,nkl,nl->n", a, w, a)
    volume = np.prod(np.diagonal(factor, axis1=1, axis2=2), axis=1)[:, None]
    radial = _fourth_moment(slope / np.sqrt(curvature)) / curvature**2.5
    radial *= np.exp(0.5 * (slope**2 / curvature - constant[:, None]))
    weights = 2.0 / (_constant() * b * (1 - b) * volume * radial + 1.0)
    return directions, weights, np.minimum((b * CLASSES).astype(int), CLASSES - 1)


def uniaxial(
    a: Float[np.ndarray, "n 5"], w: Float[np.ndarray, "n 5 5"], draws: Float[np.ndarray, "m 5"], which: int
) -> tuple[Float[np.ndarray, "n l 5"], Float[np.ndarray, "n l"]]:
    """Directions of discs (whose normal is the axis of the smallest eigenvalue, 0) or cigars (largest, 2).

    The axis is drawn about that of `a`, as widely as noise makes it uncertain and three times that, and
    anywhere: a third each. t is the tangent of its angle to that of `a`.

    **Arguments:**

    - `a`, `w`: five numbers of each matrix, and their inverse covariances.
    - `draws`: points of a cube, as many as are divided by three.
    - `which`: the eigenvalue, from the smallest, whose axis is that of the disc or cigar.
    """
    values, axes = np.linalg.eigh(np.einsum("nk,kij->nij", a, basis()[1:]))
    noise = np.sqrt(5 / np.trace(w, axis1=1, axis2=2))
    width = np.minimum(noise / np.maximum(values[:, 2] - values[:, 0], 1e-12), 1.0)[:, None]
    part = len(draws) // 3
    radius = np.sqrt(-2 * np.log(np.clip(1 - draws[: 3 * part, 0], 1e-9, 1)))
    scale = width * np.repeat([1.0, 3.0, 0.0], part)
    uniform = np.clip(draws[: 3 * part, 0], 0, 1 - 1e-6)
    anywhere = np.sqrt(1 / (1 - uniform) ** 2 - 1)
    t = np.where(np.arange(3 * part) < 2 * part, scale * radius, anywhere)
    angle = 2 * np.pi * draws[: 3 * part, 1]
    first, second = (axes[:, :, k] for k in range(3) if k != which)
    across = np.cos(angle)[:, None] * first[:, None] + np.sin(angle)[:, None] * second[:, None]
    axis = (axes[:, None, :, which] + t[..., None] * across) / np.sqrt(1 + t**2)[..., None]
    shapes = axis[..., :, None] * axis[..., None, :] - np.eye(3) / 3
    directions = np.einsum("nmij,kij->nmk", shapes, basis()[1:]) * (1 if which == 2 else -1)
    density = 1.0 + sum(
        np.exp(-0.5 * (t / (k * width)) ** 2) / (k * width) ** 2 * (1 + t**2) ** 1.5 for k in (1, 3)
    )
    return directions, 3.0 / density


def _anywhere(uniform: Float[np.ndarray, "m 5"]) -> Float[np.ndarray, "m 5"]:
    """Matrices of range one, of all b and orientations alike."""
    b = uniform[:, 0]
    values = np.column_stack([(1 + b) / 3, (1 - 2 * b) / 3, (b - 2) / 3])
    quaternions = ndtri(np.clip(uniform[:, 1:], 1e-6, 1 - 1e-6))
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return np.einsum("ijm,mj,ljm,kil->mk", axes, values, axes, basis()[1:])


def _fourth_moment(t: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """∫ s⁴ exp(-(s - t)² / 2) ds / √2π over all s > 0."""
    tail = np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
    exact = (t**4 + 6 * t**2 + 3) * ndtr(t) + (t**3 + 5 * t) * tail
    # Far below zero both terms cancel; there the integral is 24 / |t|⁵ of the tail.
    return np.where(t > -6, exact, 24 / np.maximum(np.abs(t), 1) ** 5 * tail)


@cache
def _constant() -> float:
    """Volume of dA over r⁴ b (1 - b) dr db dR, times the (2π)^½ of a radius over those of five numbers."""
    b = (np.arange(2000) + 0.5) / 2000
    round_one = np.mean(b * (1 - b) / (2 / 3 * (1 - b + b * b)) ** 2.5)
    return float(2 / (3 * round_one))
