"""Pairs of models that agree, and pairs that differ in ways that look like wrong error bars."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Model, compare
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_comparison import judge_comparison

ESD = 0.02
SITES = particle("sphere", "Pt", 201, 0, 3.92)


@dataclass(frozen=True)
class Pair:
    """Two models: what becomes of the second's positions, its error bars and its element."""

    name: str
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    bars: float = 1.0
    expected: tuple[str, ...] = ()
    element: str = "Pt"


def _same(sites: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return sites


def _some_moved(part: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    def moved(sites: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        which = rng.random(len(sites)) < part
        return sites + which[:, None] * rng.normal(0, 0.3, sites.shape)

    return moved


def _larger_elsewhere(sites: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 1.1 * sites @ Rotation.random(rng=rng).as_matrix() + 30


def _anywhere(sites: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    radius, found = float(np.linalg.norm(sites, axis=1).max()) + 1, sites[:1]
    for place in radius * rng.uniform(-1, 1, (5000, 3)):
        if np.linalg.norm(place) < radius and np.linalg.norm(found - place, axis=1).min() > 2.2:
            found = np.vstack([found, place])
    # As many as there are sites, the last ones anywhere.
    return np.vstack([found, radius * rng.uniform(-0.5, 0.5, (len(sites), 3))])[: len(sites)]


RIGHT_PAIRS = (
    Pair("the same particle twice", _same),
    Pair("5 % of the atoms moved", _some_moved(0.05)),
)
WRONG_PAIRS = (
    Pair("expanded by 2 %", lambda sites, rng: 1.02 * sites, expected=("atoms-differ",)),
    Pair(
        "sheared by 2 %",
        lambda sites, rng: sites + 0.02 * sites[:, [1, 0, 2]] * [1, 0, 0],
        expected=("atoms-differ",),
    ),
    Pair("70 % of the atoms moved", _some_moved(0.7), expected=("atoms-differ",)),
    Pair("error bars three times too small", _same, 1 / 3, ("error-bars",)),
    Pair("error bars three times too large", _same, 3.0, ("error-bars",)),
    Pair("in nm", lambda sites, rng: sites / 10, expected=("few-common",)),
    Pair("larger by a tenth", lambda sites, rng: 1.1 * sites, expected=("size",)),
    Pair("larger by a tenth, in another frame", _larger_elsewhere, expected=("size",)),
    Pair("expanded by 4 %", lambda sites, rng: 1.04 * sites, expected=("size",)),
    Pair("of gold", _same, expected=("elements",), element="Au"),
    Pair("points that keep 2.2 Å apart", _anywhere, expected=("chance",)),
)


def compared(pair: Pair, seed: int) -> Verdict:
    """The verdict on a pair."""
    rng = np.random.default_rng(seed)
    n = len(SITES)
    positions = [SITES, pair.change(SITES, rng)]
    esds = np.full((n, 3), pair.bars * ESD)
    models = [
        Model(name, np.arange(1, n + 1), (kind,) * n, p + rng.normal(0, ESD, p.shape), esds, numbers={})
        for name, p, kind in zip("ab", positions, ("Pt", pair.element), strict=True)
    ]
    return judge_comparison(compare(*models))
