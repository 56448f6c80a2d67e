"""Images of counts of which single ones are seen: without their columns, and parted in two by lot.

Of few counts noise is skewed, and its maxima are many and narrow. What they give is found from counts
that are drawn without any columns. Each count of an image falls to one of two halves by lot: both have the
same mean and independent noise (the thinning of a Poisson process), so that what is found in one half is
measured in the other one without what the first one's noise has added.
"""

import numpy as np
from jaxtyping import Float

from atomfit.detection.image_brightness import BrightnessLaw

#: Beyond so many counts a pixel's noise is a Gaussian's.
_MANY = 1e6


def empty_counts(
    variance: Float[np.ndarray, "rows columns"], gain: float, rng: np.random.Generator
) -> Float[np.ndarray, "rows columns"]:
    """Noise of counts about a mean of zero.

    **Arguments:**

    - `variance`: of each pixel.
    - `gain`: what a count is worth.
    - `rng`: of the counts.
    """
    mean = np.minimum(variance / gain**2, _MANY)
    return np.sqrt(variance / mean) * (rng.poisson(mean) - mean)


def halves(
    image: Float[np.ndarray, "rows columns"], law: BrightnessLaw, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "rows columns"], Float[np.ndarray, "rows columns"]]:
    """Two images whose mean is the image, each with half of its counts.

    **Arguments:**

    - `image`: of counts.
    - `law`: what a count is worth, and none.
    - `rng`: of the lot.
    """
    counts = np.maximum(np.rint((image - law.dark) / law.gain), 0).astype(np.int64)
    more = law.gain * (2 * rng.binomial(counts, 0.5) - counts)
    return image + more, image - more
