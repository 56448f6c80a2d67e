"""A map and a tilt series as one problem: both observations of the same atoms, refined together.

Positions are in common. How wide and how bright atoms are is each observation's own: a map has its own unit
and resolution, and images see atoms through their probe. Noise is as each of the two fits before has found
it. So images and map move atoms as far as each tells of them, with all that is uncertain of either
(`atomfit.inference`). Atoms that the images have added are not in the map, and it says nothing of them.
"""

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Int

from atomfit.fitting.joint import JointFit
from atomfit.inference.fit import Fit, refine
from atomfit.inference.noise import AbstractNoise, KnownPrecision, WhiteNoise, robust_noise
from atomfit.inference.parameters import fixed_where, tied, with_wrapped
from atomfit.inference.priors import AbstractPrior, Alike, Correlated
from atomfit.inference.problem import Problem
from atomfit.observation.map import MapNuisance, MapObservation
from atomfit.observation.series import SeriesObservation
from atomfit.optimisation.ended import Ended
from atomfit.options.tilt import TiltOptions
from atomfit.projection.colour import coloured_excess
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.start import Start
from atomfit.projection.verdict import correlation, r_factor
from atomfit.results.build import BuildResult
from atomfit.results.series import PreparedSeries
from atomfit.structure.atoms import Atoms, elements_of_matrices
from atomfit.structure.neighbours import find_neighbours
from atomfit.workflows.refining import solver_of
from atomfit.workflows.tilt_refining import Progress

log = logging.getLogger("atomfit")

#: Iterations at most of Gauss-Newton, and how often others are looked at.
_MOST, _LOOKS = 100, 40


def refine_coupled(
    ready: PreparedSeries,
    start: Start,
    fit: TiltFit,
    built: BuildResult,
    rows: Int[np.ndarray, " n"],
    options: TiltOptions,
    progress: Progress,
) -> TiltFit:
    """The fit to images gone on with, together with the map.

    **Arguments:**

    - `ready`, `start`, `fit`: the images, their atoms, and where these have come to.
    - `built`: the map and its fit.
    - `rows`: which of the map's atoms each is; -1 for none.
    - `options`, `progress`: as of `refine_start`.
    """
    if built.joint is None or fit.reason.early or not np.any(rows >= 0):
        return fit
    own = options.amplitudes == "atom" or (options.amplitudes == "auto" and options.probe == "adaptive")
    observations = (
        _of_map(built, built.joint, fit.atoms, rows),
        SeriesObservation.of(
            ready.series,
            fit.atoms,
            noise=_noise_of_images(ready, fit, options),
            probe=fit.probe,
            views=fit.views,
            free={"backgrounds", *options.refine},
            placed=True,
        ),
    )
    problem = Problem(_structure(start, fit.atoms, own, options), observations, _priors(fit, own, options))
    log.info("map and images together: %d atoms, of which %d are in the map", len(rows), np.sum(rows >= 0))
    solver = solver_of(options.optimizer)
    found = refine(
        problem,
        solver,
        max_iterations=options.max_iterations or (_MOST if solver is None else _LOOKS * solver.chunk),
        progress=lambda i, value: progress("map and images", i, value),
    )
    log.info("map and images: %s after %d iterations", found.reason, len(found.history) - 1)
    return fit if found.reason == Ended.DIVERGED else _as_fit(ready, fit, found)


def _structure(start: Start, atoms: Atoms, own: bool, options: TiltOptions) -> Atoms:
    """The atoms as images see them, with what elements share tied, and those that do not move fixed."""
    members = np.unique(np.asarray(atoms.numbers), return_inverse=True)[1]
    if not own:
        atoms = with_wrapped(atoms, lambda a: a.amplitudes, lambda x: tied(np.asarray(x), members))
    if options.displacements not in ("isotropic", "anisotropic"):
        atoms = with_wrapped(
            atoms,
            lambda a: a.displacements.log_widths,  # type: ignore[attr-defined]
            lambda x: tied(np.asarray(x), members),
        )
    if start.frozen.any():
        atoms = with_wrapped(atoms, lambda a: a.positions, lambda x: fixed_where(x, start.frozen))
    return atoms


def _priors(fit: TiltFit, own: bool, options: TiltOptions) -> tuple[AbstractPrior, ...]:
    """What is known beforehand beside the map: that amplitudes of an element are about alike."""
    if not own or options.known_amplitudes is None:
        return ()
    numbers, amplitudes = np.asarray(fit.atoms.numbers), np.asarray(fit.atoms.amplitudes)
    groups = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    return tuple(
        Alike(
            partial(_amplitudes, which=which),
            options.known_amplitudes * abs(float(np.mean(amplitudes[which]))),
        )
        for which in groups
    )


def _amplitudes(atoms: Atoms, which: Int[np.ndarray, " k"]) -> Any:
    return atoms.amplitudes[which]


def _of_map(
    built: BuildResult, joint: JointFit, atoms: Atoms, rows: Int[np.ndarray, " n"]
) -> MapObservation:
    """The map of those atoms that it shows, as wide and as bright as they are in it."""
    which = np.flatnonzero(rows >= 0)
    shown = joint.atoms[rows[which]]
    noise = joint.spectrum
    white = WhiteNoise(joint.noise)
    if joint.inside is not None:
        u = float(np.median(joint.fitted.u_iso))
        white = WhiteNoise(joint.noise * np.sqrt(joint.inside.excess(u, atoms.ndim, joint.noise)))
    return MapObservation.of(
        built.density,
        atoms,
        noise=white if noise is None else noise,
        background=joint.background,
        own={"displacements": shown.displacements, "amplitudes": shown.amplitudes},
        which=which,
        priors=_drawn(built, joint, rows[which]),
    )


def _drawn(built: BuildResult, joint: JointFit, rows: Int[np.ndarray, " m"]) -> tuple[AbstractPrior, ...]:
    """Displacements are drawn to the others' as in the map's own fit, if they were."""
    if joint.prior is None:
        return ()
    neighbours = find_neighbours(joint.positions, typical=built.element.neighbour_distance)
    coordination = neighbours.coordination_numbers.astype(float)[rows]
    return (Correlated(_elements, *joint.prior.of_matrices(coordination, joint.atoms.ndim)),)


def _elements(nuisance: MapNuisance) -> Any:
    return elements_of_matrices(nuisance.own["displacements"].matrices(3))


def _noise_of_images(ready: PreparedSeries, fit: TiltFit, options: TiltOptions) -> AbstractNoise:
    """As the fit before has left it; coloured noise counts for less than its pixels' variance."""
    if options.likelihood == "robust":
        return robust_noise(ready.series.images[ready.series.counted])
    fitted = FittedSeries.of(ready.series, fit)
    left = fitted.residual * np.sqrt(fitted.precisions)
    excess = max(1.0, coloured_excess(left, ready.series.pixel, fitted.spot))
    return KnownPrecision(fit.precisions / np.float32(excess))


def _as_fit(ready: PreparedSeries, before: TiltFit, found: Fit) -> TiltFit:
    """As fits to images are, with what became of the images beside the map."""
    counted, images = ready.series.counted, found.predictions[1]
    pairs = [(ready.series.images[k][counted[k]], images[k][counted[k]]) for k in range(len(counted))]
    own = found.nuisances[1]
    atoms = eqx.tree_at(lambda a: a.numbers, found.structure, before.atoms.numbers)
    return replace(
        before,
        atoms=jax.tree.map(np.asarray, atoms),
        views=jax.tree.map(lambda x: np.asarray(x, np.float64), own.views),
        images=images,
        history=found.history,
        reason=found.reason,
        correlations=np.array([correlation(a, b) for a, b in pairs]),
        r_factors=np.array([r_factor(a, b) for a, b in pairs]),
    )
