"""The missing wedge of a tilt series, found in the noise of its reconstruction.

Turned about one axis, a specimen leaves frequencies between two planes through that axis unmeasured
(`tilts`), and a reconstruction has neither signal nor noise there. Which directions are empty can be
counted in bins, but bins that the planes cut through are half empty, and a model that is held against what
was never measured there is wrong. The planes themselves are four angles, which all frequencies together
know much better than any bin.

The periodogram of noise is exponentially distributed about its expectation q s(k),

    s(k) = ε + (1 - ε) Φ(-t(k) / l),

where t is how deep a frequency lies in the wedge and l how far the transform of a finite box blurs its
edges. With the best q, the mean of p / s, the log-likelihood of n frequencies is

    -Σ log s - n log q - n.

It is largest at the best planes. From axes all over the hemisphere the one with the emptiest sector (a
histogram over the tilt angle) is refined.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.special import ndtr

#: Axes that are tried, and sectors of the half circle.
_AXES = 400
_SECTORS = 45
#: Frequencies that are looked at, in the search and in the refinement.
_FEW = 4000
_MANY = 60000
#: ε: power is not believed to be below this part of what it is outside.
_LEAST = 0.02
#: Starts of the refinement after the first, from where the one before has ended.
_RESTARTS = 1


@dataclass(frozen=True, eq=False)
class Wedge:
    """Two planes through the origin of frequency space, between which nothing was measured.

    **Fields:**

    - `normals`: of the planes (x, y, z): k is missing if it lies on the positive side of both, or of none.
    """

    normals: Float[np.ndarray, "2 3"]

    @classmethod
    def about(cls, axis: Float[np.ndarray, " 3"], begin: float, end: float) -> "Wedge":
        """The wedge between two angles (radians, counted in `_across`) about an axis.

        **Arguments:**

        - `axis`: of the tilts, a unit vector.
        - `begin`: the first angle of the wedge.
        - `end`: the last.
        """
        first, second = _across(axis)
        return cls(
            np.stack(
                [
                    np.cos(begin) * second - np.sin(begin) * first,
                    np.sin(end) * first - np.cos(end) * second,
                ]
            )
        )

    @property
    def axis(self) -> Float[np.ndarray, " 3"]:
        """The tilt axis (x, y, z), its largest component positive."""
        return _pointing(np.cross(*self.normals))

    @property
    def middle(self) -> Float[np.ndarray, " 3"]:
        """The middle of what is missing (x, y, z): the beam at tilt zero, if tilts were symmetric."""
        return _pointing(self.normals.sum(axis=0))

    @property
    def opening(self) -> float:
        """The angle between the planes (degrees)."""
        return float(np.degrees(np.arccos(np.clip(-self.normals[0] @ self.normals[1], -1, 1))))

    def depth(self, *frequencies: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """How deep frequencies (1/Å; x, y and z, to be broadcast) lie in the wedge; negative outside."""
        first, second = (
            sum(float(n) * k for n, k in zip(normal, frequencies, strict=True)) for normal in self.normals
        )
        return np.asarray(np.maximum(np.minimum(first, second), -np.maximum(first, second)))

    def missing(
        self, *frequencies: Float[np.ndarray, "..."], margin: float = 0.0
    ) -> Bool[np.ndarray, "..."]:
        """Which frequencies (as for `depth`) were not measured, or lie within a margin (1/Å) of those."""
        return np.asarray(self.depth(*frequencies) > -margin)

    def describe(self) -> str:
        """What it is, in words."""
        middle, axis = (", ".join(f"{x:.2f}" for x in v.round(2) + 0.0) for v in (self.middle, self.axis))
        return f"a wedge of {self.opening:.0f}° around ({middle}), tilt axis ({axis})"


def find_wedge(
    frequencies: Float[np.ndarray, "k 3"], power: Float[np.ndarray, " k"], step: float, seed: int = 0
) -> tuple[Wedge, float]:
    """The wedge that explains best where power is missing, and its log-likelihood.

    **Arguments:**

    - `frequencies`: (1/Å; x, y, z).
    - `power`: there, relative to what is expected where nothing is missing.
    - `step`: between independent frequencies (1/Å).
    - `seed`: of the choice of frequencies, if there are more than need be.
    """
    order = np.random.default_rng(seed).permutation(len(power))
    few, many = order[:_FEW], order[:_MANY]
    sectors = [_best_sector(axis, frequencies[few], power[few]) for axis in _hemisphere(_AXES)]
    _, axis, begin, end = max(sectors, key=lambda sector: sector[0])
    normals = Wedge.about(axis, begin, end).normals
    tangents = np.array([_across(normal) for normal in normals])
    places, powers = frequencies[many].T.astype(np.float64), power[many].astype(np.float64)

    def wedge(x: Float[np.ndarray, " 5"]) -> Wedge:
        moved = normals + np.einsum("pt,ptd->pd", x[:4].reshape(2, 2), tangents)
        return Wedge(moved / np.linalg.norm(moved, axis=1, keepdims=True))

    def misfit(x: Float[np.ndarray, " 5"]) -> float:
        return -_likelihood(ndtr(-wedge(x).depth(*places) / (step * np.exp(x[4]))), powers)

    found, steps = np.zeros(5), np.array([np.pi / _SECTORS] * 4 + [0.7])
    for _ in range(1 + _RESTARTS):
        simplex = found + np.concatenate([np.zeros((1, 5)), np.diag(steps)])
        options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 0.1}
        result = minimize(misfit, found, method="Nelder-Mead", options=options)
        found, steps = result.x, steps / 2
    return wedge(found), -float(result.fun) * len(power) / len(many)


def likelihood(missing: Bool[np.ndarray, " k"], power: Float[np.ndarray, " k"]) -> float:
    """Logarithm of how likely relative power is if some frequencies are missing."""
    return _likelihood((~missing).astype(np.float64), power.astype(np.float64))


def _likelihood(seen: Float[np.ndarray, " k"], power: Float[np.ndarray, " k"]) -> float:
    shape = _LEAST + (1 - _LEAST) * seen
    return float(-np.sum(np.log(shape)) - len(power) * (np.log(np.mean(power / shape)) + 1))


def _across(axis: Float[np.ndarray, " 3"]) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Two directions at right angles to an axis and to each other."""
    first = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    first = first / np.linalg.norm(first)
    return first, np.cross(axis, first)


def _pointing(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """Of length 1, with its largest component positive."""
    return np.asarray(vector / np.linalg.norm(vector) * np.sign(vector[np.argmax(np.abs(vector))]))


def _hemisphere(n: int) -> Float[np.ndarray, "n 3"]:
    """Directions spread evenly (a spiral of golden angles)."""
    z = (np.arange(n) + 0.5) / n
    turn = np.pi * (1 + 5**0.5) * np.arange(n)
    return np.stack([*(np.sqrt(1 - z**2) * f(turn) for f in (np.cos, np.sin)), z], axis=1)


def _best_sector(
    axis: Float[np.ndarray, " 3"], frequencies: Float[np.ndarray, "k 3"], power: Float[np.ndarray, " k"]
) -> tuple[float, Float[np.ndarray, " 3"], float, float]:
    """The emptiest sector about an axis: its log-likelihood, the axis, its begin and its end."""
    first, second = _across(axis)
    angle = np.mod(np.arctan2(frequencies @ second, frequencies @ first), np.pi)
    sector = np.minimum((angle / np.pi * _SECTORS).astype(int), _SECTORS - 1)
    count, total = (np.bincount(sector, w, _SECTORS) for w in (np.ones_like(power), power))
    around = (np.arange(_SECTORS)[:, None] + np.arange(_SECTORS // 2)) % _SECTORS
    # Row: where the sector begins; column: its width.
    n, inside = (np.cumsum(x[around], axis=1) for x in (count, total))
    q = (total.sum() - inside + inside / _LEAST) / len(power)
    score = -n * np.log(_LEAST) - len(power) * (np.log(q) + 1)
    begin, width = np.unravel_index(np.argmax(score), score.shape)
    edge = np.pi / _SECTORS
    return float(score.max()), axis, float(begin * edge), float((begin + width + 1) * edge)
