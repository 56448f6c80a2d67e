"""How much a pixel counts, by how bright it is.

Bright pixels err more than dark ones. Shot noise grows with what is expected, and so does what the model
cannot describe: where many atoms lie on each other, scattering is no longer the sum of theirs. If all
pixels counted alike, the worst of them would rule the fit.

How variance grows with brightness is measured. Pixels are put into classes by the model's brightness m,
each of as many pixels, and to the mean squares v_c of what the fit leaves in them

    v(m) = a + b m + c m²,    a, b, c >= 0,

is fitted by least squares of v / v_c (a variance function: Davidian & Carroll 1987). What the model cannot
describe is alike in neighbouring pixels, so dark ones, where there is least of it, tell less than their
number and their variance promise. Half of the variance is therefore taken to be the same everywhere: a
pixel counts as 1 / (v̄ + v(m)), v̄ being the mean.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

#: Classes of brightness.
_CLASSES = 30
#: Pixels of a class, at least.
_FEWEST = 30


def weights_by_brightness(
    drawn: Float[np.ndarray, " k"], left: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Weights of pixels, one on average.

    **Arguments:**

    - `drawn`: the model's pixels.
    - `left`: what it leaves of the measured ones.
    """
    if not len(drawn):
        return np.ones(0)
    variances = variances_by_brightness(drawn, left)
    weights = 1 / (np.mean(variances) + variances)
    return np.asarray(weights / np.mean(weights))


def variances_by_brightness(
    drawn: Float[np.ndarray, " k"], left: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """v(m) of pixels; one, where there are too few to tell.

    **Arguments:** as above.
    """
    if len(drawn) < 3 * _FEWEST:
        return np.ones(len(drawn))
    m, square = np.maximum(drawn, 0).astype(np.float64), left.astype(np.float64) ** 2
    edges = np.unique(np.quantile(m, np.linspace(0, 1, min(_CLASSES, len(m) // _FEWEST) + 1)))
    which = np.searchsorted(edges[1:-1], m, side="right")
    counts = np.maximum(np.bincount(which, minlength=max(len(edges) - 1, 1)), 1)
    middle, found = np.bincount(which, m) / counts, np.bincount(which, square) / counts
    seen = found > 0
    if np.count_nonzero(seen) < 3:
        return np.ones(len(m))
    powers = middle[seen, None] ** np.arange(3)
    terms, _ = nnls(powers / found[seen, None], np.ones(np.count_nonzero(seen)))
    variances = np.polynomial.polynomial.polyval(m, terms)
    return np.asarray(variances) if variances.min() > 0 else np.ones(len(m))
