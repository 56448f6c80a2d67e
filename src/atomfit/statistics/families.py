"""Families of motions that may lay one particle on another: rigid ones in space, linear maps of a plane.

Registration (`statistics.registration`) is the same for both: candidates, the motion of pairs, and the
pairs of a motion. A family says what candidates there are, which motion lays pairs on each other with the
least sum of squares, and which one is the likeliest with error bars.

Two models of atoms may share their frame, and are laid on each other anew only if they do not. Frames of
two images mean nothing, as a stage is moved in between.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, final, runtime_checkable

import numpy as np
from jaxtyping import Float

from atomfit.statistics.likeliest import Laying, Marks
from atomfit.statistics.orientations import Shown, candidate_motions
from atomfit.statistics.plane_maps import (
    MIRROR,
    PLANE_STILL,
    USUAL,
    FittedPlaneMap,
    PlaneMap,
    UsualDistortion,
    fit_plane_map,
    laid_vectors,
    superpose_planes,
)
from atomfit.statistics.plane_search import plane_candidates
from atomfit.statistics.rigid import STILL, Motion, Spreading, fit_motion, superpose, turned, unfitted


@runtime_checkable
class Moving(Laying, Protocol):
    """A motion, which takes covariances along."""

    def turn(self, covariances: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "n d d"]:
        """Covariances after the motion (Å²)."""


M = TypeVar("M", bound=Moving)
M_co = TypeVar("M_co", bound=Moving, covariant=True)


@runtime_checkable
class Fitted(Spreading, Protocol[M_co]):
    """A motion with its uncertainty."""

    @property
    def motion(self) -> M_co:
        """The motion."""

    @property
    def centre(self) -> Float[np.ndarray, " d"]:
        """That small motions are about, in the first model's frame (Å)."""

    @property
    def covariance(self) -> Float[np.ndarray, "k k"]:
        """Of the parameters of a small motion."""


@runtime_checkable
class Family(Protocol[M]):
    """A family of motions."""

    @property
    def still(self) -> M:
        """The motion that moves nothing."""

    @property
    def frames_may_agree(self) -> bool:
        """Whether two models may share their frame."""

    @property
    def things(self) -> str:
        """What lies near each other, in a word."""

    @property
    def whole(self) -> str:
        """What they are of, in a word."""

    def unfitted(self) -> Fitted[M]:
        """The still motion, known without error."""

    def candidates(
        self,
        a: Float[np.ndarray, "n d"],
        b: Float[np.ndarray, "m d"],
        spacing: float,
        marks: Marks | None = None,
        shown: tuple[Shown, Shown] | None = None,
    ) -> list[M]:
        """Motions that may lay b on a, to be improved and judged.

        Marks tell atoms apart; either model may show some places only.
        """

    def superpose(self, a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "n d"], near: M) -> M:
        """The motion that takes b onto a with the least sum of squares, of the kind of another one."""

    def fit(self, a: Any, b: Any, covariances_a: Any, covariances_b: Any, near: M) -> Fitted[M]:
        """The likeliest motion of pairs with covariances, of the kind of another one."""


@final
@dataclass(frozen=True)
class RigidMotions:
    """Proper rotations and shifts of space."""

    frames_may_agree: bool = True
    things: str = "atoms"
    whole: str = "model"

    @property
    def still(self) -> Motion:
        """The motion that moves nothing."""
        return STILL

    def unfitted(self) -> Fitted[Motion]:
        """The still motion, known without error."""
        return unfitted(STILL)

    def candidates(
        self,
        a: Float[np.ndarray, "n 3"],
        b: Float[np.ndarray, "m 3"],
        spacing: float,
        marks: Marks | None = None,
        shown: tuple[Shown, Shown] | None = None,
    ) -> list[Motion]:
        """See `orientations`."""
        return [Motion(turn, shift) for turn, shift in candidate_motions(a, b, spacing, turned)]

    def superpose(self, a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"], near: Motion) -> Motion:
        """See `rigid`."""
        return superpose(a, b)

    def fit(self, a: Any, b: Any, covariances_a: Any, covariances_b: Any, near: Motion) -> Fitted[Motion]:
        """See `rigid`."""
        return fit_motion(a, b, covariances_a, covariances_b)


RIGID = RigidMotions()


@final
@dataclass(frozen=True)
class PlaneMaps:
    """Linear maps of a plane, with what is usual of their distortions.

    **Fields:**

    - `usual`: the prior.
    - `mirror`: whether the second image may be turned over.
    """

    usual: UsualDistortion = USUAL
    mirror: bool = False
    frames_may_agree: bool = False
    things: str = "columns"
    whole: str = "image"

    @property
    def still(self) -> PlaneMap:
        """The map that moves nothing."""
        return PLANE_STILL

    def unfitted(self) -> Fitted[PlaneMap]:
        """The still map, known without error."""
        return FittedPlaneMap(PLANE_STILL, np.zeros(2), np.zeros((6, 6)))

    def candidates(
        self,
        a: Float[np.ndarray, "n 2"],
        b: Float[np.ndarray, "m 2"],
        spacing: float,
        marks: Marks | None = None,
        shown: tuple[Shown, Shown] | None = None,
    ) -> list[PlaneMap]:
        """See `plane_search`; of mirrored images as well if they are asked for."""

        def laid(to: np.ndarray, of: np.ndarray, weights: np.ndarray) -> np.ndarray:
            return laid_vectors(to, of, weights, self.usual)

        return [
            motion
            for over in ((np.eye(2), MIRROR) if self.mirror else (np.eye(2),))
            for motion in plane_candidates(a, b, spacing, (marks, shown), over, (laid, self.superpose))
        ]

    def superpose(
        self, a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"], near: PlaneMap
    ) -> PlaneMap:
        """See `plane_maps`."""
        return superpose_planes(a, b, self.usual, near.mirrored)

    def fit(
        self, a: Any, b: Any, covariances_a: Any, covariances_b: Any, near: PlaneMap
    ) -> Fitted[PlaneMap]:
        """See `plane_maps`."""
        return fit_plane_map(a, b, covariances_a, covariances_b, self.usual, near.mirrored)
