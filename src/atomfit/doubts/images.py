"""What speaks against the pixels of a tilt series: fill values, hot pixels, dark atoms, sections of a map.

Pixels that no atom can be are left out of a fit, which images allow; everything else is for the user.
"""

from hashlib import sha256

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from atomfit.doubts.limits import LIMITS
from atomfit.doubts.sections import image_doubts
from atomfit.doubts.values import fill_doubts, hot_pixels, sharpest
from atomfit.support.errors import Doubt

#: Views whose contrast is looked at, at most.
_VIEWS = 9
#: Widths of what is sharp, in neighbour distances.
_SHARP, _SLOW = 0.18, 0.7


def pixel_doubts(
    images: Float[np.ndarray, "v rows columns"],
    counted: Bool[np.ndarray, "v rows columns"],
    pixel: float,
    distance: float,
) -> tuple[list[Doubt], list[str]]:
    """Doubts and warnings about images.

    **Arguments:**

    - `images`, `counted`: of which hot pixels are left out already.
    - `pixel`: its edge (Å).
    - `distance`: of neighbouring atoms (Å).
    """
    doubts = fill_doubts(images[counted], "pixels", "say so with --mask-value {value}")
    if doubts:
        return doubts, []
    doubts = image_doubts(images)
    if _dark(images, counted, pixel, distance):
        doubts.append(
            Doubt(
                "what is sharp in the images is dark, and so is their middle beside their edges",
                "give images in which atoms are bright (turn their sign)",
            )
        )
    return doubts, [*_constant(images, counted), *_twice(images)]


def without_hot_pixels(
    images: Float[np.ndarray, "v rows columns"],
    counted: Bool[np.ndarray, "v rows columns"],
    pixel: float,
    distance: float,
) -> tuple[Bool[np.ndarray, "v rows columns"], list[str]]:
    """Pixels that count without those that no atom can be, and what is said of these.

    A hot pixel is far from everything in its image, so each image is looked at alone.
    """
    factor = sharpest(distance, pixel)
    found = [hot_pixels(image, which, factor) for image, which in zip(images, counted, strict=True)]
    number = sum(len(hot) for hot in found)
    if not number:
        return counted, []
    counted = counted.copy()
    for view, hot in enumerate(found):
        counted[view, hot[:, 0], hot[:, 1]] = False
    view = next(k for k, hot in enumerate(found) if len(hot))
    row, column = found[view][0]
    return counted, [
        f"{number} hot pixels, in {sum(len(hot) > 0 for hot in found)} images, do not count (the first is "
        f"{images[view, row, column]:g}, at [view, row, column] = [{view}, {row}, {column}])"
    ]


def _dark(
    images: Float[np.ndarray, "v rows columns"],
    counted: Bool[np.ndarray, "v rows columns"],
    pixel: float,
    distance: float,
) -> bool:
    skewed, middles = [], []
    for k in np.unique(np.linspace(0, len(images) - 1, min(_VIEWS, len(images))).round().astype(int)):
        which = counted[k]
        image = np.where(which, images[k], np.median(images[k][which])).astype(np.float64)
        sharp = gaussian_filter(image, _SHARP * distance / pixel)
        sharp = (sharp - gaussian_filter(image, _SLOW * distance / pixel))[which]
        sharp = sharp - sharp.mean()
        skewed.append(float(np.mean(sharp**3) / max(float(np.mean(sharp**2)) ** 1.5, 1e-300)))
        edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        middles.append((image.mean() - float(np.median(edges))) / max(float(image.std()), 1e-300))
    return bool(np.median(skewed) < -LIMITS.images_skewed and np.median(middles) < -LIMITS.images_skewed)


def _constant(
    images: Float[np.ndarray, "v rows columns"], counted: Bool[np.ndarray, "v rows columns"]
) -> list[str]:
    """A warning if many pixels are exactly zero, and are no counts."""
    values = images[counted]
    zeros = float(np.mean(values == 0))
    if zeros < LIMITS.images_zero or np.all(values % 1 == 0):
        return []
    return [
        f"{100 * zeros:.0f} % of the pixels are exactly zero: if these were not measured, say so with "
        "--mask-value 0"
    ]


def _twice(images: Float[np.ndarray, "v rows columns"]) -> list[str]:
    """A warning if images are equal, value for value: noise never is."""
    first: dict[bytes, int] = {}
    equal = []
    for k, image in enumerate(images):
        before = first.setdefault(sha256(np.ascontiguousarray(image).tobytes()).digest(), k)
        if before != k and np.ptp(image) > 0:
            equal.append(f"{before} and {k}")
    if not equal:
        return []
    more = f" and {len(equal) - 5} more pairs" if len(equal) > 5 else ""
    return [
        f"images {', '.join(equal[:5])}{more} are equal, value for value: was one read twice? its noise "
        "counts as if it were measured twice"
    ]
