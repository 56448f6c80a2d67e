"""A map and a tilt series as one problem: both observations of the same atoms, refined together.

Positions are in common, and what atoms are at rest. How much that is widened and how bright it is, is each
observation's own: a map has its own unit and resolution, and images see atoms through their probe. Noise is
as each of the two fits before has found it, its colour included. So images and map move atoms as far as
each tells of them, with all that is uncertain of either (`atomfit.inference`). Atoms that the images have
added are not in the map, and it says nothing of them; views that are held out say nothing of any.
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
from atomfit.gaussians.scattering_atoms import ScatteringAtoms
from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.fit import Fit, refine
from atomfit.inference.noise import AbstractNoise, KnownPrecision, LossNoise, WhiteNoise
from atomfit.inference.parameters import fixed_where, frozen, tied, with_wrapped
from atomfit.inference.priors import AbstractPrior, Alike, Correlated, Known
from atomfit.inference.problem import Problem
from atomfit.noise.likelihood import StudentLoss
from atomfit.observation.map import MapNuisance, MapObservation
from atomfit.observation.series import SeriesNuisance, SeriesObservation
from atomfit.optimisation.ended import Ended
from atomfit.options.tilt import TiltOptions
from atomfit.projection.colour import coloured_excess
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.start import Start
from atomfit.projection.verdict import correlation, r_factor
from atomfit.projection.views import TiltSeries
from atomfit.results.build import BuildResult
from atomfit.results.series import PreparedSeries
from atomfit.structure.atoms import elements_of_matrices
from atomfit.structure.neighbours import find_neighbours
from atomfit.tilt_series.result import level
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
) -> tuple[TiltFit, list[str]]:
    """The fit to images gone on with, together with the map; and what is to be said against it.

    **Arguments:**

    - `ready`, `start`, `fit`: the images, their atoms, and where these have come to.
    - `built`: the map and its fit.
    - `rows`: which of the map's atoms each is; -1 for none.
    - `options`, `progress`: as of `refine_start`.
    """
    if fit.reason.early:
        return fit, []
    if built.joint is None or not np.any(rows >= 0):
        return fit, ["no atom of the map is left: it does not count (--coupled)"]
    structure = ScatteringAtoms.of(fit.atoms, fit.scattering)
    observations = (
        _of_map(built, built.joint, structure, rows),
        SeriesObservation.of(
            _fitted_part(ready.series, fit),
            structure,
            noise=_noise_of_images(ready, fit, options),
            probe=fit.probe,
            views=fit.views,
            free={"backgrounds", *options.refine},
            placed=True,
            priors=_known_of_views(options),
        ),
    )
    problem = Problem(_wrapped(structure, start, options), observations, _priors(fit, options))
    log.info("map and images together: %d atoms, of which %d are in the map", len(rows), np.sum(rows >= 0))
    solver = solver_of(options.optimizer)
    found = refine(
        problem,
        solver,
        max_iterations=options.max_iterations or (_MOST if solver is None else _LOOKS * solver.chunk),
        progress=lambda i, value: progress("map and images", i, value),
    )
    log.info("map and images: %s after %d iterations", found.reason, len(found.history) - 1)
    if found.reason == Ended.DIVERGED:
        return fit, ["map and images together have no fit (diverged): atoms are those of the images"]
    return _as_fit(ready.series, fit, found), []


def _fitted_part(series: TiltSeries, fit: TiltFit) -> TiltSeries:
    """The series without what the fit was not to see."""
    return replace(series, counted=series.counted & (fit.precisions > 0))


def _wrapped(atoms: ScatteringAtoms, start: Start, options: TiltOptions) -> ScatteringAtoms:
    """The same with what elements share tied, and what does not change fixed."""
    members = np.unique(np.asarray(atoms.numbers), return_inverse=True)[1]
    own_widths = options.displacements in ("isotropic", "anisotropic")

    def held(own: bool, x: Any) -> Any:
        if not own:
            return tied(np.asarray(x), members)
        return fixed_where(x, start.frozen) if start.frozen.any() else x

    widths, shears = atoms.displacements, getattr(atoms.displacements, "shears", None)
    wrapped = {"log_widths": held(own_widths, widths.log_widths)}  # type: ignore[attr-defined]
    if shears is not None:
        wrapped["shears"] = held(own_widths, shears)
    names = tuple(wrapped)
    atoms = eqx.tree_at(
        lambda a: [getattr(a.displacements, name) for name in names],
        atoms,
        [wrapped[name] for name in names],
    )
    atoms = with_wrapped(atoms, lambda a: a.amplitudes, partial(held, options.own_amplitudes))
    return frozen(with_wrapped(atoms, lambda a: a.positions, partial(held, True)), lambda a: a.scattering)


def _known_of_views(options: TiltOptions) -> tuple[AbstractPrior, ...]:
    """What is known beforehand of views: how far their rotations may be off."""
    return () if options.known_turns is None else (Known(_turns, 0.0, np.radians(options.known_turns)),)


def _turns(nuisance: SeriesNuisance) -> Any:
    return nuisance.views.turns


def _priors(fit: TiltFit, options: TiltOptions) -> tuple[AbstractPrior, ...]:
    """What is known beforehand beside the map: that amplitudes of an element are about alike."""
    if options.known_amplitudes is None:
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


def _amplitudes(atoms: ScatteringAtoms, which: Int[np.ndarray, " k"]) -> Any:
    return atoms.amplitudes[which]


def _of_map(
    built: BuildResult, joint: JointFit, atoms: ScatteringAtoms, rows: Int[np.ndarray, " n"]
) -> MapObservation:
    """The map of those atoms that it shows, as wide and as bright as they are in it."""
    which = np.flatnonzero(rows >= 0)
    shown = joint.atoms[rows[which]]
    noise = joint.spectrum
    white = WhiteNoise(joint.noise)
    if joint.inside is not None:
        u = float(np.median(joint.fitted.u_iso))
        white = WhiteNoise(joint.noise * np.sqrt(joint.inside.excess(u, 3, joint.noise)))
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
    """As the fit before has left it; where its colour has no weights, it counts for less than its size."""
    series = ready.series
    if fit.colour is not None:
        weights = 1 / fit.colour.on(series.shape, series.pixel)
        return SpectralNoise(weights, np.sqrt(fit.precisions), 1.0)
    fitted = FittedSeries.of(series, fit)
    left = fitted.residual * np.sqrt(fitted.precisions)
    excess = max(1.0, coloured_excess(left, series.pixel, fitted.spot))
    if options.likelihood == "robust":
        seen = fit.precisions > 0
        drawn, values = fit.images[seen].astype(np.float64), series.images[seen].astype(np.float64)
        loss = StudentLoss().adapted(values - drawn, 0)
        dispersion = excess * loss.dispersion(drawn, values, 0, 1.0)
        return LossNoise(loss, np.asarray(dispersion, np.float32), known=True)
    return KnownPrecision(fit.precisions / np.float32(excess))


def _as_fit(series: TiltSeries, before: TiltFit, found: Fit) -> TiltFit:
    """As fits to images are, with what became of the images beside the map."""
    views = jax.tree.map(lambda x: np.array(x, np.float64), found.nuisances[1].views)
    counted, images = series.counted, np.array(found.predictions[1])
    # Views that were held out have gain and background by themselves, once atoms are where they are.
    for k in np.flatnonzero(before.held_out):
        bare = (images[k] - views.backgrounds[k]) / views.gains[k]
        views.gains[k], views.backgrounds[k] = level(bare[counted[k]], series.images[k][counted[k]])
        images[k] = views.gains[k] * bare + views.backgrounds[k]
    pairs = [(series.images[k][counted[k]], images[k][counted[k]]) for k in range(len(counted))]
    atoms = eqx.tree_at(lambda a: a.numbers, found.structure.atoms, before.atoms.numbers)  # type: ignore[attr-defined]
    return replace(
        before,
        atoms=jax.tree.map(np.asarray, atoms),
        views=views,
        images=images.astype(np.float32),
        history=found.history,
        reason=found.reason,
        correlations=np.array([correlation(a, b) for a, b in pairs]),
        r_factors=np.array([r_factor(a, b) for a, b in pairs]),
    )
