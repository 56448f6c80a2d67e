"""Problems whose numbers are kept: maps and tilt series, each with one way to look at them.

    python tests/golden/cases.py            # what differs from values.json
    python tests/golden/cases.py --record   # write it anew

For each: the objective, its gradient, products with its curvature and the diagonal at fixed free numbers,
and covariances there; and where a fit ends. Vectors are kept as their norm and their products with three
fixed directions.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import fit_jointly
from atomfit.fitting.pose import pose
from atomfit.fitting.refinement import FitState, Refinement
from atomfit.noise.likelihood import PoissonLoss, StudentLoss
from atomfit.noise.sources import measure_noise
from atomfit.optimisation.ended import Ended
from atomfit.optimisation.solvers import Minimum
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import measure_uncertainty
from atomfit.projection.model import EachView, TiltModel
from atomfit.projection.probe import make_probe
from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians
from atomfit.simulation import simulate
from atomfit.simulation.series import projected
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap
from atomfit.tilt_series.refinement import refine_against
from atomfit.tilt_series.result import result_of
from atomfit.tilt_series.stages import Run, Stage

VALUES = Path(__file__).with_name("values.json")
Numbers = dict[str, list[float]]
_PT = element("Pt")
_MEAN_ATOM = MeanAtom(1.0, 0.25, 0.0, 0.25 * np.eye(3), 13)
_PIXEL, _SHAPE, _VIEWS = 0.4, (36, 40), 6


def kept(vector: Any) -> list[float]:
    """A vector's norm and its products with three directions of random numbers; NaN counts as zero."""
    flat = np.nan_to_num(np.asarray(vector, np.float64).ravel())
    directions = np.random.default_rng(len(flat)).standard_normal((3, len(flat)))
    return [float(np.linalg.norm(flat)), *(float(x) for x in directions @ flat / np.sqrt(len(flat)))]


def objective(posterior: Any) -> tuple[Numbers, Any]:
    """An objective and its derivatives, and the free numbers where they are taken."""
    parameters = posterior.parametrisation
    count = len(parameters.flat(parameters.zeros()))
    rng = np.random.default_rng(count)
    at, along = (jnp.asarray(0.4 * rng.standard_normal(count), jnp.float32) for _ in range(2))

    @eqx.filter_jit
    def numbers(posterior: Any, at: jax.Array, along: jax.Array) -> tuple[jax.Array, ...]:
        free = posterior.parametrisation.unflat(at)
        value, gradient = posterior.evaluate(free)
        product, diagonal = posterior.curvature(free)
        return value, gradient, product(along), diagonal

    names = ("objective", "gradient", "curvature", "diagonal")
    found = dict(zip(names, numbers(posterior, at, along), strict=True))
    free = parameters.unflat(at)
    value = float(found["objective"])
    told = {"objective": [value, float(posterior.misfit(free, value))]}
    return told | {name: kept(found[name]) for name in names[1:]}, free


def map_of(kind: str) -> tuple[DensityMap, np.ndarray, dict[str, Any]]:
    """A map of thirteen atoms, places a little off theirs, and how they are fitted."""
    coloured = kind == "spectral"
    case = simulate(
        shape="icosahedron",
        size=2,
        noise=0.05,
        noise_correlation=0.6 if coloured else 0.0,
        jitter=0.1,
        seed=5,
        box=64 if coloured else 44,
    )
    numbers = np.where(np.arange(13) % 3 == 0, 26, 78) if kind == "two elements" else None
    options: dict[str, Any] = {
        "white": {},
        "spectral": {"noise": measure_noise(case.map, case.positions, 0.2) if coloured else None},
        "Poisson": {"likelihood": PoissonLoss(0.02)},
        "Student": {"likelihood": StudentLoss(np.asarray(0.06, np.float32))},
        "form factor": {"scattering": "form-factor"},
        "isotropic": {"displacements": "isotropic"},
        "two elements": {"scattering": "form-factor", "numbers": numbers},
        "linear background": {"background": "linear"},
    }[kind]
    density = case.map
    if kind == "Poisson":
        density = density.with_values(np.maximum(density.values, 0) + np.float32(0.05))
    return density, case.positions + np.random.default_rng(1).normal(0, 0.05, case.positions.shape), options


def of_map(kind: str) -> Numbers:
    """At fixed free numbers."""
    density, start, options = map_of(kind)
    problem = pose(density, start, _MEAN_ATOM, _PT, **options)
    told, free = objective(problem.objective)
    fit = Refinement(problem, FitState(free, np.zeros(1)), told["objective"][0], Ended.CONVERGED)
    known = fit.uncertainty(_MEAN_ATOM.u, noise=options.get("noise"))
    return told | {"covariances": kept(known.covariances), "bias": kept(known.bias)}


def end_of_map(kind: str) -> Numbers:
    """Where a fit ends."""
    density, start, options = map_of(kind)
    fit = fit_jointly(density, start, _MEAN_ATOM, _PT, **options)
    fitted, known = fit.fitted, fit.uncertainty
    return {
        "positions": kept(fitted.positions - start),
        "displacements": kept(fitted.matrices),
        "amplitudes": kept(fitted.amplitudes),
        "deviations": kept(known.deviations),
        "noise": [fit.noise],
    }


def series_of(kind: str) -> tuple[TiltSeries, np.ndarray, np.ndarray]:
    """A series of six images of thirteen atoms, their places, and places a little off."""
    case = simulate(shape="icosahedron", size=2, noise=0.0, jitter=0.1, seed=5, box=44)
    rng = np.random.default_rng(2)
    positions, n = case.positions - case.map.grid.centre, len(case.positions)
    views = Views.from_tilts(np.linspace(-70, 70, _VIEWS), "y", _SHAPE)
    atoms = Gaussians(positions, np.tile(0.15 * np.eye(3), (n, 1, 1)), np.full(n, 4.0))
    images = np.stack(list(projected(atoms, views, np.zeros(3), _SHAPE, _PIXEL))) + 0.1
    counted = kind == "Poisson"
    images = rng.poisson(5 * images) if counted else images + 0.2 * rng.standard_normal(images.shape)
    series = TiltSeries(images.astype(np.float32), np.ones(images.shape, bool), _PIXEL, views, np.zeros(3))
    return series, positions, positions + rng.normal(0, 0.05, positions.shape)


def end_of_series(kind: str) -> Numbers:
    """Where a fit ends."""
    series, positions, start = series_of(kind)
    options: dict[str, Any] = {
        "Poisson": {"likelihood": PoissonLoss(1.0)},
        "known": {"known_positions": 0.1, "known_amplitudes": 0.2, "amplitudes": "atom"},
        "fixed": {"probe": "fixed"},
        "adaptive": {"probe": "adaptive"},
        "turned and shifted": {"free_views": ("backgrounds", "turns", "shifts")},
        "matrices": {"displacements": "anisotropic"},
    }.get(kind, {})
    numbers = np.full(len(start), 78)
    fit = refine_against(series, start, numbers, 2.77, expected=positions, anneal=False, **options)
    return {
        "positions": kept(fit.positions - start),
        "amplitudes": kept(fit.atoms.amplitudes),
        "images": kept(fit.images),
        "deviations": kept(measure_uncertainty(FittedSeries.of(series, fit)).positions),
    }


def of_series(kind: str) -> Numbers:
    """At fixed free numbers."""
    series, positions, start = series_of(kind)
    n, counted = len(positions), kind == "Poisson"
    every = {
        "direct": {"positions", "strengths", "log_widths", "backgrounds"},
        "Poisson": {"positions", "strengths", "log_widths", "backgrounds"},
        "known": {"positions", "strengths", "backgrounds", "turns"},
        "fixed": {"positions", "strengths", "profile", "backgrounds"},
        "adaptive": {"positions", "strengths", "probe", "gains", "backgrounds"},
        "turned and shifted": {"positions", "strengths", "log_widths", "turns", "shifts", "gains"},
        "matrices": {"positions", "strengths", "log_widths", "shears", "backgrounds"},
    }[kind]
    own = {"positions", "strengths"} | ({"log_widths", "shears"} if kind == "matrices" else set())
    run = Run(
        series,
        np.arange(_VIEWS) == 4,
        start,
        positions,
        np.full(n, 78),
        2.77,
        None,
        PoissonLoss(1.0) if counted else None,
        not counted,
        (0.1, 0.2, 1.0) if kind == "known" else (None, None, None),
        lambda stage, iteration, value: None,
    )
    model = run.first(wide=False)
    if kind in ("fixed", "adaptive"):
        probe = make_probe(kind, run.reach, convergence=25.0)  # type: ignore[arg-type]
        model = eqx.tree_at(lambda m: m.probe, model, probe)
    if kind == "matrices":
        from atomfit.tilt_series.refinement import _with_matrices

        model = _with_matrices(model)
    stage = Stage(kind, frozenset(every), frozenset(own), adjusted=kind in ("direct", "known"))
    posterior = run.posterior(model, stage, noise=0.01)
    told, free = objective(posterior)
    ended: TiltModel = jax.tree.map(np.asarray, posterior.parametrisation.model(free))
    fit = result_of(run, ended, Minimum(free, told["objective"][0], np.zeros(1), Ended.CONVERGED))
    known = measure_uncertainty(FittedSeries.of(series, fit))
    return told | {
        "covariances": kept(known.covariances),
        "amplitudes": kept(known.amplitudes),
        "evidence": kept(known.evidence),
        "positions": kept(fit.positions),
        "views": [x for numbers in EachView(*fit.views) for x in kept(numbers)],
    }


MAPS = (
    "white",
    "spectral",
    "Poisson",
    "Student",
    "form factor",
    "isotropic",
    "two elements",
    "linear background",
)
SERIES = ("direct", "Poisson", "known", "fixed", "adaptive", "turned and shifted", "matrices")
CASES: dict[str, Callable[[], Numbers]] = {
    **{f"map, {kind}": partial(of_map, kind) for kind in MAPS},
    **{f"series, {kind}": partial(of_series, kind) for kind in SERIES},
    **{f"end of a map's fit, {kind}": partial(end_of_map, kind) for kind in MAPS},
    **{f"end of a series' fit, {kind}": partial(end_of_series, kind) for kind in SERIES},
}


def differences(found: Numbers, known: Numbers) -> dict[str, float]:
    """By how much each quantity differs, relative to its largest number."""
    assert found.keys() == known.keys(), sorted(found.keys() ^ known.keys())
    return {
        name: max(
            abs(a - b) / max(1e-12, *map(abs, known[name]))
            for a, b in zip(found[name], known[name], strict=True)
        )
        for name in known
    }


if __name__ == "__main__":
    now = {name: case() for name, case in CASES.items()}
    if "--record" in sys.argv:
        VALUES.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    else:
        before = json.loads(VALUES.read_text(encoding="utf-8"))
        for name in CASES:
            told = {key: f"{x:.1e}" for key, x in differences(now[name], before[name]).items()}
            print(name, told)
