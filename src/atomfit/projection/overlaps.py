"""What the images of two atoms share in one view, and how much pixels about them tell.

All that is asked for are integrals of products of derivatives of Gaussians in the two dimensions of an
image, closed forms (`gaussians.overlaps`). Of atoms that are alike there may be many: theirs are shorter.
"""

import numpy as np
from jaxtyping import Float

from atomfit.gaussians.overlaps import natural_blocks
from atomfit.gaussians.scatterers import Overlap
from atomfit.structure.scattering import GaussianMixture

#: Images overlap up to so many widths.
REACH = 3.5


def weights_about(spot: GaussianMixture, pixel: float, most: int) -> list[Float[np.ndarray, "k k"]]:
    """How much pixels about an atom tell of its place, by its slope, of its amplitude, and of its width.

    All sum to one, and reach no farther than so many pixels.
    """
    # No narrower than a pixel, so that there is a slope.
    variances = np.maximum(spot.variances, pixel**2 / 12)
    reach = min(int(np.ceil(REACH * float(np.sqrt(variances.max())) / pixel)), most)
    square = pixel**2 * np.sum((np.indices((2 * reach + 1,) * 2) - reach) ** 2, axis=0)
    each = np.exp(-square[..., None] / (2 * variances))
    slope, height = each @ (spot.weights / variances**2), each @ (spot.weights / variances)
    bend = (each * (square[..., None] / variances - 2)) @ (spot.weights / variances**2)
    return [told / told.sum() for told in (square * slope**2, height**2, bend**2)]


def shared_by_alike(
    apart: Float[np.ndarray, "p 2"],
    first: Float[np.ndarray, " p"],
    second: Float[np.ndarray, " p"],
    variances: Float[np.ndarray, " k"],
    shares: Float[np.ndarray, " k"],
    plane: Float[np.ndarray, "2 3"],
    told: Float[np.ndarray, "p 2"],
) -> Float[np.ndarray, "p 4 4"]:
    """What two atoms' images share if all are alike: derivatives by x, y, z, and the images themselves.

    `told` is the root of pixels' weights for each of the two.
    """
    square = np.sum(apart**2, axis=1)
    terms = shares / (2 * np.pi * variances) * np.exp(-square[:, None] / (2 * variances))
    overlap, slope, bend = (terms @ variances ** (-float(power)) for power in range(3))
    outer = apart[:, :, None] * apart[:, None, :]
    second_derivatives = bend[:, None, None] * outer - slope[:, None, None] * np.eye(2)
    gradient = -slope[:, None] * apart
    block = np.zeros((len(apart), 4, 4))
    block[:, :3, :3] = -(first * second)[:, None, None] * (plane.T @ second_derivatives @ plane)
    block[:, :3, 3] = first[:, None] * (gradient @ plane)
    block[:, 3, :3] = -second[:, None] * (gradient @ plane)
    block[:, 3, 3] = overlap
    each = told[:, [0, 0, 0, 1]]
    return np.asarray(each[:, :, None] * each[:, None, :] * block, np.float64)


def shared_by_shapes(
    apart: Float[np.ndarray, "p 2"],
    first: Float[np.ndarray, " p"],
    second: Float[np.ndarray, " p"],
    shapes: Float[np.ndarray, "p 2 2"],
    variances: Float[np.ndarray, " k"],
    shares: Float[np.ndarray, " k"],
    onto: Float[np.ndarray, "6 q"],
    told: Float[np.ndarray, "p 3"],
    single: Overlap,
) -> Float[np.ndarray, "p q q"]:
    """The same of atoms that differ in shape, for all of their numbers.

    `shapes` are added to the variances, `onto` is `numbers_of_image`, `told` of slope, height and bend;
    `single` has the derivatives of the overlap by the distance, of atoms seen through one Gaussian.
    """
    derivatives = sum(
        share * single(apart, shapes + variance * np.eye(2))
        for variance, share in zip(variances, shares, strict=True)
    )
    each = told[:, [0, 0, 2, 2, 2, 1]]
    block = each[:, :, None] * each[:, None, :] * natural_blocks(derivatives, first, second, 2)
    return np.asarray(onto.T @ block @ onto, np.float64)


def numbers_of_image(
    plane: Float[np.ndarray, "2 3"], shape: Float[np.ndarray, "6 s"]
) -> Float[np.ndarray, "6 q"]:
    """What an atom's numbers do to those of its image: place, variance (11, 22, 12) and amplitude."""
    row, column = np.triu_indices(3, 1)
    elements = np.array(
        [
            np.concatenate([a * b, a[row] * b[column] + a[column] * b[row]])
            for a, b in ((plane[0], plane[0]), (plane[1], plane[1]), (plane[0], plane[1]))
        ]
    )
    s = shape.shape[1]
    onto = np.zeros((6, 4 + s))
    onto[:2, :3], onto[2:5, 3 : 3 + s], onto[5, -1] = plane, elements @ shape, 1.0
    return onto
