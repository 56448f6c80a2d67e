"""Linear maps between two images: pairs of columns in, the map and how well it is known out.

Two images of one particle are turned against each other, and neither is quite true: magnifications differ
by a per cent or two, and the specimen drifts while it is scanned, which shears and stretches an image. All
that is linear together is a map x -> M x + t with any matrix M of two by two. As complex numbers it is

    z -> p z + q z* + t

in which the angle of p is the rotation, |p| the magnification, and q / p* the distortion: its two
components are half the difference of the strains along x and y, and the shear. Nothing is known of the
rotation beforehand, but of the others what is usual, which is their prior: ln |p| ~ N(0, m²), and both
components of the distortion ~ N(0, s²). That of either image alone has no preferred direction here, as
that of the other lies anyhow.

With pairs of columns the likeliest map is found by Gauss-Newton as a rigid motion is (`statistics.rigid`),
in six parameters: a small linear map about the middle of the columns, and a shift. What is left of fitted
pairs has less noise than the positions, by the same formula as there; a prior does not change it.

A mirrored image is one whose second coordinate is turned round first; then z* stands for z.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from atomfit.statistics.limits import LIMITS

_ROUNDS = 30
#: Steps smaller than this end the fit (Å).
_SETTLED = 1e-9
#: Standard uncertainty of a position in a first look (Å).
_ROUGHLY = 0.1
#: What turns an image over.
MIRROR = np.diag([1.0, -1.0])


@final
@dataclass(frozen=True)
class UsualDistortion:
    """What is known of distortions beforehand.

    **Fields:**

    - `magnification`: standard deviation of the ratio of two images' magnifications.
    - `distortion`: of each component of what else is linear and no rotation: shear, and drift of the scan.
    """

    magnification: float = 0.02
    distortion: float = 0.01


USUAL = UsualDistortion()


@final
@dataclass(frozen=True, eq=False)
class PlaneMap:
    """x -> M x + t.

    **Fields:**

    - `matrix`: M.
    - `translation`: t (Å).
    """

    matrix: Float[np.ndarray, "2 2"]
    translation: Float[np.ndarray, "2"]

    def __call__(self, positions: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Positions after the map (Å)."""
        return positions @ self.matrix.T + self.translation

    def back(self, positions: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Positions before the map (Å)."""
        return (positions - self.translation) @ np.linalg.inv(self.matrix).T

    def turn(self, covariances: Float[np.ndarray, "n 2 2"]) -> Float[np.ndarray, "n 2 2"]:
        """Covariances after the map."""
        return self.matrix @ covariances @ self.matrix.T

    @property
    def still(self) -> "PlaneMap":
        """The map that moves nothing."""
        return PLANE_STILL

    @property
    def mirrored(self) -> bool:
        """Whether it turns the image over."""
        return bool(np.linalg.det(self.matrix) < 0)

    @property
    def parts(self) -> tuple[complex, complex]:
        """p and q; of a mirrored image after its second coordinate was turned round."""
        (a, b), (c, d) = self.matrix @ MIRROR if self.mirrored else self.matrix
        return complex(a + d, c - b) / 2, complex(a - d, b + c) / 2

    @property
    def rotation(self) -> float:
        """From x to y, between -180 and 180 (degrees); of a mirrored image after that."""
        return float(np.degrees(np.angle(self.parts[0])))

    @property
    def angle(self) -> float:
        """Size of the rotation (degrees)."""
        return abs(self.rotation)

    @property
    def magnification(self) -> float:
        """By how much lengths in the second image are multiplied."""
        return abs(self.parts[0])

    @property
    def distortion(self) -> complex:
        """Half the difference of the strains along x and y, and the shear as imaginary part."""
        p, q = self.parts
        return q / p.conjugate()

    def alike(self, other: "PlaneMap", middle: Float[np.ndarray, "2"]) -> bool:
        """Whether two maps are one but for noise: turned by less than 5 degrees, and not by a step apart.

        **Arguments:**

        - `other`: the other one.
        - `middle`: of the second image's columns (Å).
        """
        turned = np.angle(self.parts[0] * np.conj(other.parts[0]), deg=True)
        shift = np.linalg.norm((self(middle[None]) - other(middle[None]))[0])
        return bool(abs(turned) < 5.0 and self.mirrored == other.mirrored and shift < LIMITS.map_step)


PLANE_STILL = PlaneMap(np.eye(2), np.zeros(2))


@final
@dataclass(frozen=True, eq=False)
class FittedPlaneMap:
    """A linear map with its uncertainty.

    **Fields:**

    - `motion`: the map.
    - `centre`: that the small map is about, in the first image's frame (Å).
    - `covariance`: of the small map's elements xx, xy, yx, yy and of the shift of the centre (Å).
    """

    motion: PlaneMap
    centre: Float[np.ndarray, "2"]
    covariance: Float[np.ndarray, "6 6"]

    def spread(self, positions: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2 2"]:
        """What the map's uncertainty adds to that of positions (Å², first image's frame)."""
        slopes = _slopes(positions - self.centre)
        return slopes @ self.covariance @ np.swapaxes(slopes, 1, 2)

    @property
    def esds(self) -> dict[str, float]:
        """Standard uncertainties of rotation (degrees), magnification and the distortion's components."""
        return map_esds(self.covariance)


def map_esds(covariance: Float[np.ndarray, "6 6"]) -> dict[str, float]:
    """Standard uncertainties of rotation (degrees), magnification and the distortion's components.

    **Arguments:**

    - `covariance`: of `FittedPlaneMap`.
    """
    ways = {
        "rotation": (0.0, -0.5, 0.5, 0.0),
        "magnification": (0.5, 0.0, 0.0, 0.5),
        "distortion_xx": (0.5, 0.0, 0.0, -0.5),
        "distortion_xy": (0.0, 0.5, 0.5, 0.0),
    }
    own = covariance[:4, :4]
    found = {name: float(np.sqrt(np.array(way) @ own @ np.array(way))) for name, way in ways.items()}
    return found | {"rotation": float(np.degrees(found["rotation"]))}


def superpose_planes(
    a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"], usual: UsualDistortion, mirrored: bool
) -> PlaneMap:
    """The map that takes b onto a if all positions err alike: a first look."""
    equal = np.tile(0.5 * _ROUGHLY**2 * np.eye(2), (len(a), 1, 1))
    return fit_plane_map(a, b, equal, equal, usual, mirrored).motion


def laid_vectors(
    a: Float[np.ndarray, "n 2"],
    b: Float[np.ndarray, "n 2"],
    weights: Float[np.ndarray, " n"],
    usual: UsualDistortion,
) -> Float[np.ndarray, "2 2"]:
    """The matrix that takes vectors b onto a with the least sum of weighted squares.

    One that distorts far more than is usual is made a rotation.
    """
    matrix = np.linalg.lstsq(b * weights[:, None] ** 0.5, a * weights[:, None] ** 0.5, rcond=None)[0].T
    found = PlaneMap(matrix, np.zeros(2))
    if not found.mirrored and unusual(found, usual) < LIMITS.map_unusual:
        return matrix
    p = complex(np.sum(weights * _complex(a) * _complex(b).conj()))
    p = p / abs(p) if p else 1.0 + 0j
    return np.array([[p.real, -p.imag], [p.imag, p.real]])


def fit_plane_map(
    a: Float[np.ndarray, "n 2"],
    b: Float[np.ndarray, "n 2"],
    covariances_a: Float[np.ndarray, "n 2 2"],
    covariances_b: Float[np.ndarray, "n 2 2"],
    usual: UsualDistortion,
    mirrored: bool = False,
) -> FittedPlaneMap:
    """The most likely map of pairs of columns with known covariances; see the head of this module.

    **Arguments:**

    - `a`, `b`: positions of the pairs (Å), at least two.
    - `covariances_a`, `covariances_b`: of the positions (Å²), each in its own frame.
    - `usual`: the prior.
    - `mirrored`: whether the second image is turned over.
    """
    motion = _rigid(a, b, mirrored)
    prior = np.array([usual.magnification, usual.distortion, usual.distortion]) ** -2.0
    # The strains of a small map: its mean, half the difference, and the shear.
    ways = 0.5 * np.array([[1, 0, 0, 1, 0, 0], [1, 0, 0, -1, 0, 0], [0, 1, 1, 0, 0, 0]], float)
    for _ in range(_ROUNDS):
        moved = motion(b)
        centre = moved.mean(axis=0)
        slopes = _slopes(moved - centre)
        weights = np.linalg.inv(covariances_a + motion.turn(covariances_b))
        weighted = np.swapaxes(slopes, 1, 2) @ weights
        skew = motion.distortion
        strains = np.array([np.log(motion.magnification), skew.real, skew.imag])
        normal = np.sum(weighted @ slopes, axis=0) + ways.T @ (prior[:, None] * ways)
        covariance = np.linalg.pinv(normal, rcond=1e-12, hermitian=True)
        slope = np.einsum("nij,nj->i", weighted, a - moved) - ways.T @ (prior * strains)
        step = covariance @ slope
        small = np.eye(2) + step[:4].reshape(2, 2)
        motion = PlaneMap(small @ motion.matrix, small @ (motion.translation - centre) + centre + step[4:])
        if np.abs(step[:4]).max() * np.abs(moved - centre).max() + np.abs(step[4:]).max() < _SETTLED:
            break
    return FittedPlaneMap(motion, centre, covariance)


def unusual(motion: PlaneMap, usual: UsualDistortion) -> float:
    """The largest of magnification and distortion in standard deviations of what is usual."""
    if not motion.magnification > 0:
        return np.inf
    bent = max(abs(motion.distortion.real), abs(motion.distortion.imag))
    return float(max(abs(np.log(motion.magnification)) / usual.magnification, bent / usual.distortion))


def _rigid(a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"], mirrored: bool) -> PlaneMap:
    """The rotation and shift with the least sum of squares."""
    over = MIRROR if mirrored else np.eye(2)
    middle_a, middle_b = a.mean(axis=0), (b @ over).mean(axis=0)
    p = complex(np.sum(_complex(a - middle_a) * _complex(b @ over - middle_b).conj()))
    p = p / abs(p) if abs(p) > 0 else 1.0 + 0j
    turn = np.array([[p.real, -p.imag], [p.imag, p.real]])
    return PlaneMap(turn @ over, middle_a - turn @ middle_b)


def _complex(vectors: Float[np.ndarray, "n 2"]) -> np.ndarray:
    return np.asarray(vectors[:, 0] + 1j * vectors[:, 1])


def _slopes(arms: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2 6"]:
    """Derivatives of W arm + τ."""
    (x, y), zero, one = arms.T, np.zeros(len(arms)), np.ones(len(arms))
    rows = [[x, y, zero, zero, one, zero], [zero, zero, x, y, zero, one]]
    return np.moveaxis(np.array(rows), 2, 0)
