"""Positions that are known, alone and in pairs, and tilt series: what statistics and verdicts make of
them."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any
from unittest.mock import patch

import numpy as np

from atomfit.projection.views import Views
from atomfit.simulation.changes import changed
from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Comparison, Model, compare
from atomfit.statistics.depth import fit_depth
from atomfit.statistics.geometry import measure_geometry
from atomfit.structure.elements import element
from atomfit.structure.matching import match
from atomfit.structure.neighbours import find_neighbours
from atomfit.support.errors import InputError
from atomfit.verdict.of_comparison import judge_comparison
from atomfit.workflows.tilt_verdict import verdict_of
from experiments.thresholds.built import said
from experiments.verdict import models
from experiments.verdict.images import PIXEL, SITES, Inputs, Series, refined
from experiments.verdict.models import RIGHT_PAIRS, WRONG_PAIRS, Pair

PT = element("Pt")


def _strained(positions: np.ndarray) -> np.ndarray:
    """Longer by up to 8 % towards one side."""
    return positions * (1 + 0.008 * positions[:, :1])


def _glass(n: int) -> np.ndarray:
    """Places that only keep apart."""
    rng = np.random.default_rng(20)
    found = np.zeros((1, 3))
    for place in rng.uniform(-8, 8, (40_000, 3)):
        if len(found) < n and np.linalg.norm(found - place, axis=1).min() > 2.5:
            found = np.vstack([found, place])
    return found


def geometry(sites: Callable[[], np.ndarray], noise: float) -> Callable[[], str]:
    """What positions say, with noise (Å) in them."""

    def look() -> str:
        rng, exact = np.random.default_rng(20), sites()
        places = exact + rng.normal(0, noise, exact.shape)
        around = find_neighbours(places, None, PT.neighbour_distance)
        found = measure_geometry(places, np.full(places.shape, noise), around.cutoff, PT)
        crystal = found.grains.crystal
        depth = fit_depth(found.depths.radial, around.coordination_numbers.astype(float))
        surface = sum(str(one).startswith("surface") for one in found.structure)
        parts = (
            "no crystal" if crystal is None else crystal.name,
            f"{len(found.grains.grains)} grains",
            f"{len(found.twins)} twins",
            f"{int(np.sum(found.on_lattice >= 0))} atoms on lattices ({len(found.lattices)})",
            f"{int(np.sum(np.isfinite(found.strain.radial)))} with strain",
            f"{surface} at the surface",
            "not one lattice" if "no" in found.describe() else "one lattice",
            "no depth" if depth is None else "a depth",
        )
        return "; ".join(parts)

    return look


def sites(shape: Any, size: int) -> Callable[[], np.ndarray]:
    """Of a particle of Pt."""
    return lambda: particle(shape, "Pt", size, 0, 3.92)


GEOMETRIES = {
    "sphere of 147, strained, 0.1 Å off": geometry(lambda: _strained(sites("sphere", 147)()), 0.1),
    "sphere of 147, 0.25 Å off": geometry(sites("sphere", 147), 0.25),
    "decahedron, 0.05 Å off": geometry(sites("decahedron", 5), 0.05),
    "icosahedron of 309, 0.05 Å off": geometry(sites("icosahedron", 5), 0.05),
    "sphere of 38, 0.05 Å off": geometry(sites("sphere", 38), 0.05),
    "13 atoms, 0.02 Å off": geometry(sites("sphere", 13), 0.02),
    "glass of 150": geometry(lambda: _glass(150), 0.0),
}


class Compared:
    """Two models, compared as thresholds are."""

    def __init__(self, make: Callable[[], Comparison]) -> None:
        self.make = make

    @cached_property
    def known(self) -> Comparison | None:
        try:
            return self.make()
        except InputError:
            return None

    def compared(self) -> str:
        """What is common, and the verdict."""
        try:
            found = self.make()
        except InputError:
            return "refused"
        counts = [found.count(status) for status in ("common", "displaced", "lost", "gained")]
        size = found.magnification.ratio
        parts = (
            f"{'/'.join(map(str, counts))} common/displaced/lost/gained",
            found.registration.how,
            f"{found.registration.equals} equal",
            f"{len(found.registration.pairs[0])} pairs",
            f"size {size:.3f}",
            said(judge_comparison(found)),
        )
        return "; ".join(parts)

    def judged(self) -> str:
        """The verdict on the same comparison."""
        return "refused" if self.known is None else said(judge_comparison(self.known))


def _pair(pair: Pair) -> Callable[[], Comparison]:
    def make() -> Comparison:
        found: list[Comparison] = []

        def kept(comparison: Comparison) -> Any:
            found.append(comparison)
            return judge_comparison(comparison)

        with patch.object(models, "judge_comparison", kept):
            models.compared(pair, 20)
        return found[0]

    return make


def _changed(
    rotate: bool, noise: float, size: int = 87, times: float = 1.0, **options: Any
) -> Callable[[], Comparison]:
    def make() -> Comparison:
        change = changed(sites("sphere", size)(), 20, rotate=rotate, noise=noise, **options)
        a, b = (
            Model(name, np.arange(1, len(x) + 1), ("Pt",) * len(x), x, np.full(x.shape, noise), {})
            for name, x in (("a", change.a), ("b", times * change.b))
        )
        return compare(a, b)

    return make


PAIRS = {one.name: Compared(_pair(one)) for one in (*RIGHT_PAIRS, *WRONG_PAIRS)} | {
    "atoms lost and moved": Compared(_changed(False, 0.05, lost=0.1, moved=0.1)),
    "the same in another frame": Compared(_changed(True, 0.05, lost=0.1, moved=0.1)),
    "55 atoms in another frame": Compared(_changed(True, 0.05, 55, lost=0.0, moved=0.0)),
    "larger by 60 %": Compared(_changed(False, 0.05, times=1.6)),
    "six atoms": Compared(_changed(False, 0.05, 6, lost=0.0, moved=0.0)),
    "half of the atoms lost": Compared(_changed(False, 0.05, lost=0.55)),
    "four fifths of the atoms lost": Compared(_changed(False, 0.05, lost=0.82)),
}
#: Pairs that are compared again for each threshold of statistics.
SOME = (
    *("5 % of the atoms moved", "expanded by 2 %", "expanded by 4 %", "larger by a tenth", "in nm"),
    *("atoms lost and moved", "the same in another frame", "55 atoms in another frame"),
    *("larger by 60 %", "six atoms", "half of the atoms lost"),
)


def _drifted(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    views = inputs.views
    drift = rng.normal(0, 0.15 / PIXEL, views.centres.shape)
    return replace(inputs, views=Views(views.rotations, views.centres + drift))


def _noisy(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    noise = 1.2 * rng.normal(size=inputs.images.shape)
    return replace(inputs, images=(inputs.images + noise).astype(np.float32), pixel=1.08 * PIXEL)


def _no_start(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    noise = 0.3 * rng.normal(size=inputs.images.shape)
    return replace(inputs, images=(inputs.images + noise).astype(np.float32), start=None)


class Refined:
    """A tilt series, refined once, and the verdict on it."""

    def __init__(
        self, change: Callable[[Inputs, np.random.Generator], Inputs], sites: np.ndarray = SITES
    ) -> None:
        self.series = Series("", change, options={"insist": True}, sites=sites)

    @cached_property
    def known(self) -> tuple[Any, ...]:
        asked: list[tuple[Any, ...]] = []

        def kept(*args: Any) -> Any:
            asked.append(args)
            return verdict_of(*args)

        with patch.object(importlib.import_module("atomfit.workflows.tilt"), "verdict_of", kept):
            refined(self.series, 20)
        return asked[-1]

    def judged(self) -> str:
        """The verdict on the same fit."""
        return said(verdict_of(*self.known))

    def refined(self) -> str:
        """The atoms that are refined, or found where there is no start, and the verdict on them."""
        result, sites = refined(self.series, 20), self.series.sites
        pairs = match(result.positions, sites + np.random.default_rng(20).normal(0, 0.05, sites.shape))
        right = "" if np.isnan(pairs.rmsd) else f" to {pairs.rmsd:.3f} Å"
        count = f"{len(pairs.found)} found{right}, {pairs.missing} missed, {pairs.false} false"
        return f"{count}; {said(result.verdict)}; {len(result.warnings)} warnings"


SERIES = {
    "55 atoms in 21 images": Refined(lambda inputs, rng: inputs),
    "the same, drifted by 0.15 Å": Refined(_drifted),
    "the same in noise, pixels told 8 % too large": Refined(_noisy),
}
#: Of which the fit, and the search, is made again.
TILTED = {
    "19 atoms in 21 images": Refined(lambda inputs, rng: inputs, SITES[:19]),
    "19 atoms in 21 noisy images, no start": Refined(_no_start, SITES[:19]),
}
