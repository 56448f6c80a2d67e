"""Rigid motions between two models of one particle, and how well one is known.

A motion takes a position x of the second model into the frame of the first, R x + t, R being a proper
rotation. With pairs of atoms (a_i, b_i) at hand it minimises

    Σ_i (a_i - R b_i - t)ᵀ (A_i + R B_i Rᵀ)⁻¹ (a_i - R b_i - t)

where A_i and B_i are the covariances of the two positions. With equal and isotropic covariances the answer
is closed (Kabsch 1976); it is the start of a few steps of Gauss-Newton in six parameters: a small rotation
ω about the middle c of the atoms and a shift τ, by which R b + t moves by ω × (R b + t - c) + τ. About the
middle the two hardly depend on each other. The inverse of the normal matrix Σ Jᵀ W J is their covariance.

The motion is fitted to the same atoms whose displacements are then looked at, so it has taken a part of
their noise away: residuals of fitted pairs have the covariance A + R B Rᵀ - J P Jᵀ, those of other pairs
A + R B Rᵀ + J P Jᵀ, with P the covariance of the six parameters.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

_ROUNDS = 20
#: Steps smaller than this end the fit (Å, and radians times the particle's radius).
_SETTLED = 1e-9


@dataclass(frozen=True, eq=False)
class Motion:
    """x -> R x + t.

    **Fields:**

    - `rotation`: the proper rotation R.
    - `translation`: t (Å).
    """

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    def __call__(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Positions after the motion (Å)."""
        return positions @ self.rotation.T + self.translation

    def back(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Positions before the motion (Å)."""
        return (positions - self.translation) @ self.rotation

    def turn(self, covariances: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3 3"]:
        """Covariances after the motion."""
        return self.rotation @ covariances @ self.rotation.T

    @property
    def still(self) -> "Motion":
        """The motion that moves nothing."""
        return STILL

    def alike(self, other: "Motion", middle: Float[np.ndarray, "3"]) -> bool:
        """Whether two motions are one, but for noise: no orientations of a lattice are 5 degrees apart.

        **Arguments:**

        - `other`: the other one.
        - `middle`: of the second model's atoms (Å), which motions of a plane ask for.
        """
        cosine = 0.5 * (np.trace(self.rotation @ other.rotation.T) - 1)
        return bool(np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 5.0)

    @property
    def vector(self) -> Float[np.ndarray, "3"]:
        """Rotation axis, as long as the angle (degrees)."""
        return Rotation.from_matrix(self.rotation).as_rotvec(degrees=True)

    @property
    def angle(self) -> float:
        """Of the rotation (degrees)."""
        return float(np.linalg.norm(self.vector))


STILL = Motion(np.eye(3), np.zeros(3))


@dataclass(frozen=True, eq=False)
class FittedMotion:
    """A motion with its uncertainty.

    **Fields:**

    - `motion`: the motion.
    - `centre`: that the small rotation is about, in the first model's frame (Å).
    - `covariance`: of the small rotation about x, y, z (radians) and the shift of the centre (Å), as the
        covariances of the positions have it.
    """

    motion: Motion
    centre: Float[np.ndarray, "3"]
    covariance: Float[np.ndarray, "6 6"]

    def spread(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
        """What the motion's uncertainty adds to that of positions (Å², first model's frame)."""
        slopes = _slopes(positions - self.centre)
        return slopes @ self.covariance @ np.swapaxes(slopes, 1, 2)


def unfitted(motion: Motion) -> FittedMotion:
    """A motion that is known without error."""
    return FittedMotion(motion, np.zeros(3), np.zeros((6, 6)))


def superpose(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"]) -> Motion:
    """The motion that takes b onto a with the least sum of squares (Kabsch 1976).

    **Arguments:**

    - `a`: where the atoms are to be (Å).
    - `b`: the same atoms, that are moved (Å).
    """
    middle_a, middle_b = a.mean(axis=0), b.mean(axis=0)
    turn = turned(a - middle_a, b - middle_b, np.ones(len(a)))
    return Motion(turn, middle_a - turn @ middle_b)


def turned(
    a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "3 3"]:
    """The rotation that takes vectors b onto a with the least sum of weighted squares."""
    u, _, vt = np.linalg.svd((a * weights[:, None]).T @ b)
    return np.asarray((u * np.array([1.0, 1.0, np.linalg.det(u @ vt)])) @ vt)


def fit_motion(
    a: Float[np.ndarray, "n 3"],
    b: Float[np.ndarray, "n 3"],
    covariances_a: Float[np.ndarray, "n 3 3"],
    covariances_b: Float[np.ndarray, "n 3 3"],
) -> FittedMotion:
    """The most likely motion of pairs of atoms with known covariances.

    **Arguments:**

    - `a`, `b`: positions of the pairs (Å), at least three.
    - `covariances_a`, `covariances_b`: of the positions (Å²), each in its own frame.
    """
    motion = superpose(a, b)
    for _ in range(_ROUNDS):
        moved = motion(b)
        centre = moved.mean(axis=0)
        slopes = _slopes(moved - centre)
        weights = np.linalg.inv(covariances_a + motion.turn(covariances_b))
        weighted = np.swapaxes(slopes, 1, 2) @ weights
        normal = np.sum(weighted @ slopes, axis=0)
        # Atoms on a line leave one rotation open, which is then not made.
        covariance = np.linalg.pinv(normal, rcond=1e-10, hermitian=True)
        step = covariance @ np.einsum("nij,nj->i", weighted, a - moved)
        turn = Rotation.from_rotvec(step[:3]).as_matrix()
        motion = Motion(turn @ motion.rotation, turn @ (motion.translation - centre) + centre + step[3:])
        if np.linalg.norm(step[:3]) * np.abs(moved - centre).max() + np.linalg.norm(step[3:]) < _SETTLED:
            break
    return FittedMotion(motion, centre, covariance)


@runtime_checkable
class Spreading(Protocol):
    """A motion with its uncertainty, in space or in a plane."""

    def spread(self, positions: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d d"]:
        """What the motion's uncertainty adds to that of positions (Å²)."""


def residual_covariances(
    fitted: Spreading,
    positions: Float[np.ndarray, "n d"],
    covariances: Float[np.ndarray, "n d d"],
    used: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, "n d d"]:
    """Covariances of what is left of pairs (Å²); see the head of this module.

    **Arguments:**

    - `fitted`: the motion.
    - `positions`: of the pairs (Å), `covariances`: of the two positions together (Å²), in the first
        model's frame.
    - `used`: which pairs the motion was fitted to.
    """
    sign = np.where(used, -1.0, 1.0)[:, None, None]
    return covariances + sign * fitted.spread(positions)


def along(
    vectors: Float[np.ndarray, "n d"], covariances: Float[np.ndarray, "n d d"]
) -> Float[np.ndarray, " n"]:
    """Standard uncertainty of lengths."""
    length = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.where(length > 0, length, np.nan)[:, None]
    return np.asarray(np.sqrt(np.einsum("ni,nij,nj->n", unit, covariances, unit)))


def _slopes(arms: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 6"]:
    """Derivatives of ω × arm + τ."""
    x, y, z = arms.T
    zero = np.zeros(len(arms))
    cross = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=1).reshape(-1, 3, 3)
    return np.concatenate([cross, np.broadcast_to(np.eye(3), cross.shape)], axis=2)
