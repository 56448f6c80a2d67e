"""Maps whose atoms are known, built once; parts that a threshold does not touch are not computed again."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.ndimage import gaussian_filter

from atomfit.detection.detect import Detection
from atomfit.options.build import BuildOptions
from atomfit.rendering import Gaussians, render_map
from atomfit.results.build import BuildResult
from atomfit.simulation import simulate
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_map import BuiltAtoms, judge_map
from atomfit.workflows import preparation
from atomfit.workflows.preparation import PreparedMap, prepare
from experiments.noise_only.maps import MAPS

job = importlib.import_module("atomfit.workflows.build")
VOXEL = 0.5
#: Noise is white, as it was planted, and shapes are spheres: fits take a tenth of the time.
OPTIONS = BuildOptions(insist=True, noise="white", displacements="isotropic")
#: Nearer than this (Å) a fit begins with the same atom.
SAME = 0.2


@dataclass(eq=False)
class Built:
    """A map, its atoms, and what `build` makes of it as thresholds are.

    **Fields:**

    - `name`: of the case.
    - `make`: the map and the places of its atoms (Å).
    - `element`: one or several.
    """

    name: str
    make: Callable[[], tuple[DensityMap, np.ndarray]]
    element: str | tuple[str, ...] = "Pt"
    options: BuildOptions = OPTIONS

    @cached_property
    def data(self) -> tuple[DensityMap, np.ndarray]:
        return self.make()

    @cached_property
    def known(self) -> "_Known":
        ready, _ = self.prepared()
        detections, joints, judged = [], [], []
        with ExitStack() as stack:
            for name, kept in (("_detect", detections), ("refine_jointly", joints)):
                stack.enter_context(patch.object(job, name, _kept(getattr(job, name), kept)))
            stack.enter_context(patch.object(job, "judge_map", _asked(judge_map, judged)))
            result = job.build(ready, self.element, self.options)
        return _Known(ready, detections[0], tuple(joints), judged[0][0], result)

    def prepared(self) -> tuple[PreparedMap, int]:
        """The map as it is fitted, and how many doubts there are."""
        doubted: list[tuple[Any, ...]] = []
        with patch.object(preparation, "settle", _asked(preparation.settle, doubted)):
            ready = prepare(self.data[0], self.element, self.options)
        return ready, sum(len(tuple(doubts)) for doubts, _ in doubted)

    def selected(self) -> str:
        """The outcome with the same detection and the same first fits."""
        known = self.known
        joints = iter(known.joints)
        with (
            patch.object(job, "_detect", lambda *_: known.detection),
            patch.object(job, "refine_jointly", lambda *_: next(joints)),
        ):
            return self.told(job.build(known.ready, self.element, self.options))

    def fitted(self) -> str:
        """The outcome with the same detection."""
        known = self.known
        with patch.object(job, "_detect", lambda *_: known.detection):
            return self.told(job.build(known.ready, self.element, self.options))

    def detected(self) -> str:
        """The outcome, fitted again if other atoms are detected."""
        known = self.known
        ready, doubts = self.prepared()
        found = job._detect(ready, self.options)
        before, now = known.detection.positions, found.positions
        pairs = match(now, before, SAME)
        if len(now) == len(before) == len(pairs.found):
            verdict = judge_map(
                replace(
                    known.judged,
                    detection=found,
                    resolution=ready.resolution,
                    existence=ready.existence,
                    insisted=ready.insisted,
                )
            )
            told = self.of(known.result, verdict, len(known.result.warnings))
        else:
            told = self.told(job.build(ready, self.element, self.options))
        return f"{doubts} doubts; {len(now)} detected; {told}"

    def found(self) -> str:
        """What is detected, without a fit."""
        ready, doubts = self.prepared()
        detection = job._detect(ready, self.options)
        pairs = match(detection.positions, self.data[1])
        return (
            f"{doubts} doubts; {len(pairs.found)} detected, {pairs.missing} missed, {pairs.false} false, "
            f"{len(detection.rejected.reasons)} rejected; resolution {ready.resolution.value:.2f} Å"
        )

    def judged(self) -> str:
        """The verdict on the same fit."""
        return said(judge_map(self.known.judged))

    def told(self, result: BuildResult) -> str:
        return self.of(result, result.verdict, len(result.warnings))

    def of(self, result: BuildResult, verdict: Verdict, warnings: int) -> str:
        """A result in a line."""
        pairs = match(result.positions, self.data[1])
        right = "" if np.isnan(pairs.rmsd) else f" to {pairs.rmsd:.3f} Å"
        kinds = ", ".join(sorted({str(one) for one in result.symbols}))
        return (
            f"{len(pairs.found)} found{right}, {pairs.missing} missed, {pairs.false} false"
            f"{f' ({kinds})' if len(self.element) > 2 else ''}; {said(verdict)}; {warnings} warnings"
        )


@dataclass(frozen=True, eq=False)
class _Known:
    ready: PreparedMap
    detection: Detection
    joints: tuple[Any, ...]
    judged: BuiltAtoms
    result: BuildResult


def said(verdict: Verdict) -> str:
    """A verdict in words."""
    return verdict.level + (f" ({', '.join(verdict.codes)})" if verdict.codes else "")


def _kept(function: Callable[..., Any], found: list[Any]) -> Callable[..., Any]:
    def kept(*args: Any, **named: Any) -> Any:
        found.append(function(*args, **named))
        return found[-1]

    return kept


def _asked(function: Callable[..., Any], asked: list[tuple[Any, ...]]) -> Callable[..., Any]:
    def recorded(*args: Any) -> Any:
        asked.append(args)
        return function(*args)

    return recorded


@contextmanager
def quiet() -> Iterator[None]:
    """Without the job's log."""
    job.log.disabled = True
    try:
        yield
    finally:
        job.log.disabled = False


def simulated(times: float = 1.0, **options: Any) -> Callable[[], tuple[DensityMap, np.ndarray]]:
    """A particle, turned at random; its voxel size told wrongly by a factor."""

    def made() -> tuple[DensityMap, np.ndarray]:
        one = simulate(rotate="random", seed=20, **({"voxel_size": VOXEL} | options))
        grid = Grid(one.map.grid.shape, one.map.grid.spacing * times, one.map.grid.origin * times)
        return DensityMap(one.map.values, grid), one.positions * times

    return made


def nothing() -> tuple[DensityMap, np.ndarray]:
    """White noise."""
    values = np.random.default_rng(20).normal(size=(40, 40, 40)).astype(np.float32)
    return DensityMap.from_array(values, VOXEL), np.zeros((0, 3))


def alloy() -> tuple[DensityMap, np.ndarray]:
    """55 atoms, of which every third is brighter by a third."""
    one = simulate(rotate="random", seed=20, voxel_size=VOXEL, size=55, noise=0.08)
    heavy = np.arange(55) % 3 == 0
    more = render_map(Gaussians(one.positions, one.matrices, 0.35 * one.amplitudes * heavy), one.map.grid)
    return one.map.with_values((one.map.values + more).astype(np.float32)), one.positions


BUILT = (
    Built("55 atoms, noise 3 %", simulated(size=55, noise=0.03)),
    Built("55 atoms, noise 20 %", simulated(size=55, noise=0.2)),
    Built("19 atoms, noise 28 %", simulated(size=19, noise=0.28)),
    Built(
        "55 atoms, noise 20 %, taken from what is left",
        simulated(size=55, noise=0.2),
        options=replace(OPTIONS, noise="residual"),
    ),
    Built("noise alone", nothing),
    Built("55 atoms, voxels told 30 % too large", simulated(1.3, size=55, noise=0.05)),
    Built("alloy of 55, noise 8 %", alloy, ("Ag", "Pt")),
)


def smooth() -> tuple[DensityMap, np.ndarray]:
    """55 atoms in noise that is correlated over an atom's width."""
    one = simulate(rotate="random", seed=20, voxel_size=VOXEL, size=55, noise=0.0)
    noise = gaussian_filter(np.random.default_rng(20).normal(size=one.map.values.shape), 0.6 / VOXEL)
    noise *= 0.06 * one.map.values.max() / noise.std()
    return one.map.with_values((one.map.values + noise).astype(np.float32)), one.positions


#: Noise is measured, and atoms have matrices.
OF_USERS = BuildOptions(insist=True)
#: Of which the fit is made again.
FITTED = (
    Built(
        "55 atoms, noise 3 %, measured", simulated(size=55, noise=0.03), options=BuildOptions(insist=True)
    ),
    Built("55 atoms, coloured noise, measured", smooth, options=replace(OPTIONS, noise="auto")),
    BUILT[3],
)


def masked() -> tuple[DensityMap, np.ndarray]:
    """Atoms of which a mask cuts some."""
    density, places = simulated(size=55, noise=0.05)()
    axes = np.indices(density.values.shape) - (np.array(density.values.shape)[:, None, None, None] - 1) / 2
    inside = np.sqrt((axes**2).sum(axis=0)) * VOXEL < 7.0
    return density.with_values(np.where(inside, density.values, np.float32(0))), places


def noise_in_a_mask() -> tuple[DensityMap, np.ndarray]:
    """Noise as coloured as atoms are wide, masked and clipped at zero."""
    return MAPS[7].map(1), np.zeros((0, 3))


def uneven() -> tuple[DensityMap, np.ndarray]:
    """Atoms on a background that changes over some bonds."""
    density, places = simulated(size=55, noise=0.05)()
    more = gaussian_filter(np.random.default_rng(20).normal(size=density.values.shape), 8.0 / VOXEL)
    return density.with_values((density.values + 0.5 * more / more.std()).astype(np.float32)), places


def chain() -> tuple[DensityMap, np.ndarray]:
    """Seven atoms in a row: none has three neighbours."""
    density, _ = simulated(size=19, noise=0.05)()
    places = density.grid.centre + np.linspace(-8.3, 8.3, 7)[:, None] * [1.0, 0.0, 0.0]
    atoms = Gaussians(places, np.tile(0.25 * np.eye(3), (7, 1, 1)), np.full(7, (2 * np.pi * 0.25) ** 1.5))
    noise = 0.05 * np.random.default_rng(20).normal(size=density.values.shape)
    return density.with_values((render_map(atoms, density.grid) + noise).astype(np.float32)), places


#: Of which detection only is looked at.
DETECTED = (
    Built("55 atoms on an uneven background", uneven),
    Built("seven atoms in a row", chain),
    Built("noise in a mask", noise_in_a_mask),
    Built("55 atoms, noise 30 %", simulated(size=55, noise=0.3)),
)
#: Of which the verdict only is looked at.
JUDGED = (
    Built("55 atoms cut by a mask", masked),
    Built("noise in a mask, insisted on", noise_in_a_mask),
    Built(
        "19 atoms, noise 28 %, all that is detected",
        simulated(size=19, noise=0.28),
        options=replace(OPTIONS, selection="paper"),
    ),
)
