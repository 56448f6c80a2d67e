"""Columns followed through a movie: what each frame tells of them in, where they are at each time out.

A column has a site, and a displacement from it. From frame to frame the displacement keeps the part φ and
gains a step that is drawn from N(0, q 1): an Ornstein-Uhlenbeck process. One that forgets at once trembles,
one that forgets never is a random walk, and a column that does not move is the limit q = 0. What a frame
tells of a position errs by its own variances, times a factor s² that all share: what scans do from line to
line looks as if error bars were too small. These three numbers are those under which the whole movie is
likeliest (Kalman's filter gives that likelihood), and positions at each time are given all frames, before
and after (Rauch, Tung & Striebel 1965). Axes are told apart: what a frame tells of x and y of a column
hardly has anything in common.

Columns do not all move alike. Those at the surface may be restless, and one that hops is for a moment. Each
has a step of its own, as far as the movie tells it: its logarithm is normally distributed about that of
all, as widely as is likeliest.

A frame that tells less of a column's position than this is known beforehand tells nothing of it.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize

#: Frames tell of a position if its standard uncertainty there is less than this (Å).
_TOLD = 0.5
#: What is known of a column's place beforehand (Å).
_ANYWHERE = 1.0
#: Steps, memories and factors that are looked at: standard deviations of a step (Å), frames, factors s; and
#: where it is begun: steps as parts of a typical error bar, and memories.
_STEPS, _MEMORIES, _FACTORS = (1e-4, 0.5), (0.3, 1e4), (0.7, 5.0)
_STARTS = ((0.3, 10.0), (0.02, 1000.0), (0.7, 1.0))
#: How much likelier it has to be that columns move: three in the logarithm is what two numbers that mean
#: nothing give by chance, once in twenty times.
_MEANS = 3.0
#: A step of a column, as a factor to that of all, in which its own is looked for.
_OWN = np.exp(0.6 * np.arange(-4, 7))
#: How much columns' own steps vary (standard deviation of their logarithm), to choose among.
_SPREADS = (0.0, 0.5, 1.0, 1.5)


@final
@dataclass(frozen=True, eq=False)
class Tracks:
    """Positions of n columns at t times, given all frames.

    **Fields:**

    - `offsets`: from the reference (Å).
    - `variances`: theirs along each axis (Å²).
    - `seen`: whether the frame itself tells of the position.
    - `walk`: how a typical column moves.
    - `steps`: standard deviation of each column's own step, along each axis (Å).
    - `moves`: logarithm of the likelihood ratio of columns that move to columns that do not.
    """

    offsets: Float[np.ndarray, "t n 2"]
    variances: Float[np.ndarray, "t n 2"]
    seen: Bool[np.ndarray, "t n"]
    walk: "Walk"
    steps: Float[np.ndarray, " n"]
    moves: float

    @property
    def esds(self) -> Float[np.ndarray, "t n 2"]:
        """Standard uncertainties (Å)."""
        return np.sqrt(self.variances)


@final
@dataclass(frozen=True)
class Walk:
    """How columns move, as far as it is common to all.

    **Fields:**

    - `step`: standard deviation of a step along each axis (Å).
    - `memory`: after how many frames a displacement has fallen to 1/e.
    - `factor`: by which error bars of single frames are too small.
    """

    step: float
    memory: float
    factor: float

    @property
    def keep(self) -> float:
        """What is left of a displacement in the next frame."""
        return float(np.exp(-1 / self.memory))

    @property
    def wander(self) -> float:
        """Standard deviation of displacements from the site along each axis (Å)."""
        return self.step / (1 - self.keep**2) ** 0.5


@final
@dataclass(frozen=True, eq=False)
class _Told:
    """What frames tell of each axis: offsets (Å), and their precisions (Å⁻²), zero where they tell
    nothing."""

    places: Float[np.ndarray, "t n 2"]
    precisions: Float[np.ndarray, "t n 2"]


def follow_columns(information: Float[np.ndarray, "t n 2 2"], pull: Float[np.ndarray, "t n 2"]) -> Tracks:
    """Follow columns.

    **Arguments:**

    - `information`: Λ of each position in each frame (Å⁻²); zero if it tells nothing.
    - `pull`: Λ times the offset from the reference (Å⁻¹).
    """
    n = information.shape[1]
    seen = np.trace(information, axis1=2, axis2=3) > 2 / _TOLD**2
    seen &= np.linalg.det(information) > _TOLD**-4
    errors = np.linalg.inv(np.where(seen[:, :, None, None], information, np.eye(2)))
    precisions = np.where(seen[:, :, None], 1 / np.diagonal(errors, axis1=2, axis2=3), 0.0)
    told = _Told(np.einsum("tnij,tnj->tni", errors, pull) * seen[:, :, None], precisions)
    walk, moves = Walk(0.0, 1.0, 1.0), 0.0
    if len(seen) > 1 and seen.any():
        walk, moves = _likeliest(told)
    steps = _own_steps(told, walk) if walk.step else np.zeros(n)
    return Tracks(*_smoothed(told, walk, steps), seen, walk, steps, moves)


def _likeliest(told: _Told) -> tuple[Walk, float]:
    """How columns move, and how much likelier that is than that they stay (logarithm)."""
    n = told.places.shape[1]

    def unlikely(logs: np.ndarray) -> float:
        walk = Walk(*(float(x) for x in np.exp(logs)))
        return -float(_filtered(told, walk, np.full(n, walk.step))[0].sum())

    def still(logs: np.ndarray) -> float:
        walk = Walk(0.0, 1.0, float(np.exp(logs[0])))
        return -float(_filtered(told, walk, np.zeros(n))[0].sum())

    how = {"method": "Nelder-Mead", "options": {"xatol": 0.02, "fatol": 0.05, "maxiter": 90}}
    quiet = minimize(still, [0.0], bounds=(np.log(_FACTORS),), **how)
    typical = float(np.median(told.precisions[told.precisions > 0])) ** -0.5
    bounds = np.log([_STEPS, _MEMORIES, _FACTORS])
    starts = [np.log([a * typical, b, 1.0]) for a, b in _STARTS]
    found = min((minimize(unlikely, x, bounds=bounds, **how) for x in starts), key=lambda one: one.fun)
    moves = float(quiet.fun - found.fun)
    if moves < _MEANS:
        return Walk(0.0, 1.0, float(np.exp(quiet.x[0]))), moves
    return Walk(*(float(x) for x in np.exp(found.x))), moves


def _own_steps(told: _Told, walk: Walk) -> Float[np.ndarray, " n"]:
    """Each column's own step: mean of its logarithm, given how much these vary."""
    n, step = told.places.shape[1], walk.step
    logs = np.stack([_filtered(told, walk, np.full(n, f * step))[0] for f in _OWN])
    where = np.log(_OWN)
    best, found = -np.inf, np.full(n, step)
    for spread in _SPREADS:
        for middle in np.linspace(-1.5, 1.0, 6) if spread else (0.0,):
            prior = -0.5 * ((where - middle) / max(spread, 1e-3)) ** 2
            prior -= np.log(np.exp(prior - prior.max()).sum()) + prior.max()
            joint = logs + prior[:, None]
            top = joint.max(axis=0)
            parts = np.exp(joint - top)
            evidence = float(np.sum(np.log(parts.sum(axis=0)) + top))
            if evidence > best + (2.0 if spread else 0.0):
                mean = (parts * where[:, None]).sum(axis=0) / parts.sum(axis=0)
                best, found = evidence, step * np.exp(mean)
    return found


def _filtered(
    told: _Told, walk: Walk, steps: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "t n 2 2"], Float[np.ndarray, "t n 2 2 2"]]:
    """Log-likelihood of columns, and site and displacement at each time with covariances, given frames so
    far.

    **Arguments:**

    - `steps`: standard deviations of a step along each axis, of each column (Å).
    """
    t, n = told.precisions.shape[:2]
    keep, drawn = walk.keep, steps[:, None] ** 2 * np.ones((n, 2))
    site, moved = np.zeros((n, 2)), np.zeros((n, 2))
    # Covariance: of the site, of both, of the displacement.
    a, b, c = np.full((n, 2), _ANYWHERE**2), np.zeros((n, 2)), drawn / (1 - keep**2)
    total = np.zeros((n, 2))
    means, spreads = np.empty((t, n, 2, 2)), np.empty((t, n, 2, 2, 2))
    for k in range(t):
        if k:
            moved, b, c = keep * moved, keep * b, keep**2 * c + drawn
        w = told.precisions[k] / walk.factor**2
        both, one, other = a + 2 * b + c, a + b, b + c
        shrunk = w / (1 + both * w)
        apart = told.places[k] - site - moved
        total += shrunk * apart**2 + np.log1p(both * w)
        site, moved = site + one * shrunk * apart, moved + other * shrunk * apart
        a, b, c = a - shrunk * one**2, b - shrunk * one * other, c - shrunk * other**2
        means[k, ..., 0], means[k, ..., 1] = site, moved
        spreads[k, ..., 0, 0], spreads[k, ..., 1, 1] = a, c
        spreads[k, ..., 0, 1] = spreads[k, ..., 1, 0] = b
    seen = told.precisions > 0
    total += np.where(seen, 2 * np.log(walk.factor), 0.0).sum(axis=0)
    return -0.5 * total.sum(axis=1), means, spreads


def _smoothed(
    told: _Told, walk: Walk, steps: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "t n 2"], Float[np.ndarray, "t n 2"]]:
    """Places and variances given all frames."""
    _, means, spreads = _filtered(told, walk, steps)
    keep = np.diag([1.0, walk.keep])
    drawn = np.zeros((len(steps), 1, 2, 2))
    # A hair more than nothing, or a column that stays would have a matrix without inverse.
    drawn[:, 0, 1, 1] = steps**2 + 1e-14
    for k in range(len(means) - 2, -1, -1):
        ahead = keep @ spreads[k] @ keep + drawn
        gain = spreads[k] @ keep @ np.linalg.inv(ahead)
        means[k] += np.einsum("nxij,nxj->nxi", gain, means[k + 1] - means[k] @ keep)
        spreads[k] += gain @ (spreads[k + 1] - ahead) @ np.swapaxes(gain, 2, 3)
    return means.sum(axis=3), np.maximum(spreads.sum(axis=(3, 4)), 1e-12)
