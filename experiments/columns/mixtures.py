"""The published rule: a mixture of Gaussians of one width, with as many components as ICL asks for.

De Backer et al. (Ultramicroscopy 134, 23, 2013), as in StatSTEM: means, parts and the common width are
free, and the integrated classification likelihood -2 log L + 2 EN + 2 G log n, EN being the entropy of
what belongs to which, is least at the number G of components. The first component is one atom.
"""

import numpy as np
from scipy.special import logsumexp, xlogy

#: Components at most, and rounds of the EM algorithm.
_MOST, _ROUNDS = 20, 80


def icl_counts(values: np.ndarray, components: int | None = None) -> np.ndarray:
    """Numbers of components, from 1, that cross-sections most likely belong to; of so many, if given."""
    best, counts = np.inf, np.ones(len(values), int)
    asked = range(1, min(_MOST, len(values) // 2) + 1) if components is None else [components]
    for g in asked:
        spread = np.linspace(values.min(), values.max(), 2 * g + 1)[1::2]
        for start in (np.quantile(values, (np.arange(g) + 0.5) / g), spread):
            criterion, parts, means = _fitted(values, start)
            if criterion < best:
                rank = np.empty(g, int)
                rank[np.argsort(means)] = np.arange(1, g + 1)
                best, counts = criterion, rank[parts.argmax(axis=1)]
    return counts


def _fitted(values: np.ndarray, means: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    n, g = len(values), len(means)
    width, weights = max(float(np.ptp(values)) / (2 * g), 1e-9), np.full(g, 1 / g)
    for _ in range(_ROUNDS):
        logs = -0.5 * ((values[:, None] - means) / width) ** 2 - np.log(width) + np.log(weights)
        total = logsumexp(logs, axis=1)
        parts = np.exp(logs - total[:, None])
        members = np.maximum(parts.sum(axis=0), 1e-12)
        means, weights = parts.T @ values / members, members / n
        off = np.sum(parts * (values[:, None] - means) ** 2)
        width = max(float(np.sqrt(off / n)), 1e-6 * float(np.ptp(values)))
    likelihood = np.sum(total) - 0.5 * n * np.log(2 * np.pi)
    entropy = -np.sum(xlogy(parts, parts))
    return float(-2 * likelihood + 2 * entropy + 2 * g * np.log(n)), parts, means
