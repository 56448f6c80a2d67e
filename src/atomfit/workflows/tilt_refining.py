"""From options to a fit of atoms to images.

The fit itself knows no options (`tilt_series.refinement`); here it is told what a user asked for: of all
views, or of halves of them where rotations have to prove themselves.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from atomfit.noise.likelihood import AbstractLoss, PoissonLoss, StudentLoss
from atomfit.optimisation.ended import Ended
from atomfit.options.tilt import Amplitudes, TiltDisplacements, TiltOptions
from atomfit.projection.colour import coloured_excess
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.half_sets import HalfSets, compare_half_sets
from atomfit.projection.start import Start
from atomfit.projection.unrefined import Unrefined, widths_left
from atomfit.projection.views import TiltSeries
from atomfit.results.series import PreparedSeries
from atomfit.selection.search_limits import LIMITS
from atomfit.tilt_series.refinement import refine_against
from atomfit.tilt_series.settings import SeriesSettings
from atomfit.tilt_series.stages import Run
from atomfit.workflows.refining import solver_of

log = logging.getLogger("atomfit")
Progress = Callable[[str, int, float], None]


def refine_start(ready: PreparedSeries, start: Start, options: TiltOptions, progress: Progress) -> TiltFit:
    """Atoms refined against the images as the options ask."""
    return refine_against(
        ready.series,
        start.positions,
        start.numbers,
        ready.element.neighbour_distance,
        probe=options.probe,
        voltage=options.voltage,
        convergence=options.convergence,
        defocus=options.defocus,
        spherical=options.spherical,
        amplitudes=options.amplitudes,
        displacements="shared" if options.displacements == "auto" else options.displacements,
        scattering=options.scattering,
        noise=options.noise,
        free_views=options.refine,
        anneal=options.anneal,
        frozen=start.frozen if start.frozen.any() else None,
        likelihood=_loss(options),
        held_out=ready.held_out(options.held_out),
        known_positions=start.known,
        expected=start.expected,
        known_amplitudes=options.known_amplitudes,
        known_turns=options.known_turns,
        solver=solver_of(options.optimizer),
        max_iterations=options.max_iterations,
        progress=progress,
    )


def run_of(ready: PreparedSeries, start: Start, options: TiltOptions, progress: Progress) -> Run:
    """What stages of a fit have in common: for those that are not stages of `refine_against`."""
    settings = SeriesSettings(
        frozen=start.frozen if start.frozen.any() else None,
        likelihood=_loss(options),
        held_out=ready.held_out(options.held_out),
        known_positions=start.known,
        expected=start.expected,
        solver=solver_of(options.optimizer),
        max_iterations=options.max_iterations,
        progress=progress,
    )
    return Run.of(ready.series, start.positions, start.numbers, ready.element.neighbour_distance, settings)


def _loss(options: TiltOptions) -> AbstractLoss | None:
    losses: dict[str, AbstractLoss | None] = {
        "gaussian": None,
        "poisson": PoissonLoss(options.gain),
        "robust": StudentLoss(),
    }
    return losses[options.likelihood]


def alike(options: TiltOptions) -> TiltOptions:
    """The simplest fit: atoms of one element are alike, which is what tells one that is none."""
    amplitudes: Amplitudes = "auto" if options.amplitudes == "auto" else "element"
    displacements: TiltDisplacements = "auto" if options.displacements == "auto" else "shared"
    return replace(
        options,
        probe="direct",
        amplitudes=amplitudes,
        displacements=displacements,
        scattering="gaussian",
        noise="residual",
        known_amplitudes=None,
    )


def half_sets(
    ready: PreparedSeries, start: Start, fit: TiltFit, options: TiltOptions, progress: Progress
) -> HalfSets | None:
    """What halves of the views say of the atoms, with rotations refined and without.

    Their fits are of the simplest kind, and begin with the atoms of the whole but with the views that were
    given.
    """
    plain = replace(alike(options), held_out=None, anneal=False)
    fixed = replace(plain, known_turns=None, refine=tuple(x for x in options.refine if x != "turns"))
    begin = start.going_on(fit.positions)

    def refine(half: TiltSeries, turning: bool) -> Float[np.ndarray, "n 3"] | None:
        part = replace(ready, series=half)
        found = refine_start(part, begin, plain if turning else fixed, progress)
        return None if found.reason == Ended.INTERRUPTED else found.positions[~start.frozen]

    placed = start.known is not None or bool(start.frozen.any())
    return compare_half_sets(ready.series, ~fit.held_out, refine, placed)


def with_own_widths(
    ready: PreparedSeries, start: Start, fit: TiltFit, options: TiltOptions, progress: Progress
) -> tuple[TiltOptions, TiltFit]:
    """What is to become of displacements on which a user leaves the choice to the images.

    Atoms that differ in width pull at their neighbours in all views where they overlap, by more than error
    bars say. But where widths are not known to as much as they differ by, those of their own are worse.

    **Returns:** the options with the choice, and the fit; of each atom's own width if that describes the
    images by more better than it has numbers.
    """
    if options.displacements != "auto":
        return options, fit
    shared = replace(options, displacements="shared")
    if fit.reason == Ended.INTERRUPTED or options.probe != "direct" or not len(start.ids):
        return shared, fit
    widths, excess = differing_widths(ready, start, fit)
    if not widths.worthwhile:
        return shared, fit
    log.info("atoms differ in the variance of their images by %.2g Å² (rms): each has its own", widths.rms)
    own = replace(options, displacements="isotropic")
    found = refine_start(ready, start.going_on(fit.positions), replace(own, anneal=False), progress)
    left = [
        float(np.sum(fit.precisions * FittedSeries.of(ready.series, one).residual ** 2, dtype=np.float64))
        for one in (fit, found)
    ]
    if found.reason != Ended.INTERRUPTED and left[0] - left[1] <= LIMITS.price * excess * len(start.ids):
        log.info("that does not describe the images better: they share one")
        return shared, fit
    return own, found


def differing_widths(ready: PreparedSeries, start: Start, fit: TiltFit) -> tuple[Unrefined, float]:
    """By how much atoms differ in width where all were drawn alike, and how coloured what is left is."""
    fitted = FittedSeries.of(ready.series, fit)
    left = fitted.residual * np.sqrt(fitted.precisions)
    excess = max(1.0, coloured_excess(left, ready.series.pixel, fitted.spot))
    return widths_left(fitted, excess, ~start.frozen), excess


def width_warnings(ready: PreparedSeries, start: Start, fit: TiltFit, options: TiltOptions) -> list[str]:
    """What a user should know who has asked for one width where there are several."""
    if options.displacements != "shared" or options.probe != "direct" or not len(start.ids):
        return []
    widths, _ = differing_widths(ready, start, fit)
    if not widths.worthwhile:
        return []
    return [
        f"atoms differ in the variance of their images by {widths.rms:.2g} Å² (rms), and share one width: "
        "positions are off by more than their error bars (--displacements isotropic, or auto)"
    ]
