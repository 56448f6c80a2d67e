"""Counts on pixels of one size in, counts on pixels of another out, from the same first pixel on.

Each new value is a sum of old ones with weights of Lanczos' kernel, as wide as the coarser of the two
pixels: detail that the new pixels cannot hold goes, noise of single electrons stays about as strong in
every frequency that is left, and nothing is taken for periodic; beyond the border is the image's mirror
image. Counts of a pixel grow with its area.
"""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

#: Half the kernel's width, in the coarser pixels.
_REACH = 8


def resampled(
    counts: Float[np.ndarray, "rows columns"], pixel: float, wanted: float
) -> Float[np.ndarray, "more_rows more_columns"]:
    """An image on other pixels; its first pixel has its centre where it was.

    **Arguments:**

    - `counts`: of the image.
    - `pixel`, `wanted`: edges of its pixels, and of those that are wanted (any unit, the same).
    """
    rows, columns = (_weights(n, wanted / pixel) for n in counts.shape)
    found = rows @ np.asarray(counts, np.float64) @ columns.T
    return np.asarray((wanted / pixel) ** 2 * found)


def _weights(length: int, step: float) -> csr_array:
    """Weights of `length` values in those that are `step` of them apart."""
    count = int(np.floor((length - 1) / step + 1e-9)) + 1
    wide = max(step, 1.0)
    reach = int(np.ceil(_REACH * wide))
    centres = step * np.arange(count)
    nearest = np.rint(centres).astype(int)
    from_where = nearest[:, None] + np.arange(-reach, reach + 1)
    away = (from_where - centres[:, None]) / wide
    weights = np.where(np.abs(away) < _REACH, np.sinc(away) * np.sinc(away / _REACH), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    # Mirrored at the borders, as often as it takes.
    folded = from_where % (2 * length)
    folded = np.minimum(folded, 2 * length - 1 - folded)
    which = np.repeat(np.arange(count), folded.shape[1])
    return csr_array((weights.ravel(), (which, folded.ravel())), shape=(count, length))
