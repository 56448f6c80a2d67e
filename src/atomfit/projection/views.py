"""Views: from where a specimen was seen, and what was seen from there.

A view turns the specimen and looks along the third axis of the turned frame:

    (u, v, w) = R (x - centre)

u runs along an image's rows, v from row to row, and the beam along w. The pixel is (u / pixel + centre_u,
v / pixel + centre_v), counted from 0. That is the whole convention; `io.views` turns others into it.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from atomfit.support.errors import InputError

#: How far a matrix may be from a rotation.
_ROUNDING = 1e-3


@dataclass(frozen=True, eq=False)
class Views:
    """From where a specimen was seen.

    **Fields:**

    - `rotations`: R of each view.
    - `centres`: pixel (u, v) that the specimen's centre is seen at.

    **Raises:** `InputError` if a matrix is no rotation.
    """

    rotations: Float[np.ndarray, "v 3 3"]
    centres: Float[np.ndarray, "v 2"]

    def __post_init__(self) -> None:
        for name, ends in (("rotations", (3, 3)), ("centres", (2,))):
            try:
                given = np.asarray(getattr(self, name))
            except (ValueError, TypeError):  # rows of different lengths
                given = np.array(None)
            if given.dtype.kind not in "iuf" or given.ndim != 1 + len(ends) or given.shape[1:] != ends:
                wanted = " x ".join(map(str, ("views", *ends)))
                raise InputError(
                    f"{name} of {given.dtype} and shape {given.shape} are none",
                    f"give {wanted} numbers",
                    "--views",
                )
            object.__setattr__(self, name, given.astype(np.float64))
        if len(self.rotations) != len(self.centres):
            raise InputError(
                f"there are {len(self.rotations)} rotations and {len(self.centres)} centres",
                "give one of each for each view",
                "--views",
            )
        products = self.rotations @ np.swapaxes(self.rotations, 1, 2)
        off = np.abs(products - np.eye(3)).max(axis=(1, 2))
        # The determinant of what is no number warns.
        known = np.where(np.isfinite(self.rotations).all(axis=(1, 2))[:, None, None], self.rotations, 0)
        determinants = np.linalg.det(known)
        wrong = np.flatnonzero(~(off < _ROUNDING) | ~(determinants > 0))
        if len(wrong):
            raise InputError(
                f"the matrix of view {wrong[0]} is no rotation (determinant {determinants[wrong[0]]:.3g})",
                "give rows of orthogonal unit vectors that form a right-handed frame",
                "--views",
            )
        if not np.all(np.isfinite(self.centres)):
            raise InputError("a view's centre is no number", "give pixels", "--views")

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, which: np.ndarray | slice) -> "Views":
        return Views(self.rotations[which], self.centres[which])

    @classmethod
    def from_tilts(cls, angles: Float[np.ndarray, " v"], axis: str, shape: tuple[int, int]) -> "Views":
        """Views of a specimen that was turned about an axis of the image, seen in the images' middle.

        **Arguments:**

        - `angles`: degrees; right-handed about the axis.
        - `axis`: "x" (along u) or "y" (along v).
        - `shape`: of the images, in pixels (rows, columns).
        """
        from scipy.spatial.transform import Rotation

        about = np.eye(3)["xyz".index(axis)]
        rotations = Rotation.from_rotvec(np.radians(angles)[:, None] * about).as_matrix()
        middle = np.array([shape[1] // 2, shape[0] // 2], float)
        return cls(rotations, np.tile(middle, (len(angles), 1)))


@dataclass(frozen=True, eq=False)
class TiltSeries:
    """Images of one specimen from several directions.

    **Fields:**

    - `images`: any unit.
    - `counted`: pixels that were measured.
    - `pixel`: edge of a pixel (Å).
    - `views`: from where.
    - `centre`: of the specimen, that the views turn about (Å).
    """

    images: Float[np.ndarray, "v rows columns"]
    counted: Bool[np.ndarray, "v rows columns"]
    pixel: float
    views: Views
    centre: Float[np.ndarray, " 3"]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.views):
            raise InputError(
                f"there are {len(self.images)} images and {len(self.views)} views",
                "give one view for each image",
                "--views",
            )
        if not np.all(np.isfinite(self.images[self.counted])):
            view = int(np.argmax(np.any(~np.isfinite(self.images) & self.counted, axis=(1, 2))))
            raise InputError(
                f"image {view} has pixels that are no numbers",
                "mask them (--mask-value nan) or mend them",
                "IMAGES",
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, which: np.ndarray | slice) -> "TiltSeries":
        return replace(
            self, images=self.images[which], counted=self.counted[which], views=self.views[which]
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.images.shape[1], self.images.shape[2]
