"""Pairs of models that agree, and pairs that differ in ways that look like wrong error bars."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Model, compare
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_comparison import judge_comparison

ESD = 0.02
SITES = particle("sphere", "Pt", 201, 0, 3.92)


@dataclass(frozen=True)
class Pair:
    """Two models: what becomes of the second's positions, and what its error bars are multiplied by."""

    name: str
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    bars: float = 1.0
    expected: tuple[str, ...] = ()


def _same(sites: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return sites


def _some_moved(part: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    def moved(sites: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        which = rng.random(len(sites)) < part
        return sites + which[:, None] * rng.normal(0, 0.3, sites.shape)

    return moved


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
)


def compared(pair: Pair, seed: int) -> Verdict:
    """The verdict on a pair."""
    rng = np.random.default_rng(seed)
    n = len(SITES)
    positions = [SITES, pair.change(SITES, rng)]
    models = [
        Model(name, np.arange(1, n + 1), ("Pt",) * n, p + rng.normal(0, ESD, p.shape), esds, numbers={})
        for name, p, esds in zip("ab", positions, [np.full((n, 3), pair.bars * ESD)] * 2, strict=True)
    ]
    return judge_comparison(compare(*models))
