"""From options to a fit of atoms to images.

The fit itself knows no options (`projection.refinement`); here it is told what a user asked for: of all
views, or of halves of them where rotations have to prove themselves.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from atomfit.fitting.likelihood import AbstractLoss, PoissonLoss, StudentLoss
from atomfit.options.tilt import Amplitudes, TiltOptions
from atomfit.projection.fit import TiltFit
from atomfit.projection.half_sets import HalfSets, compare_half_sets
from atomfit.projection.refinement import refine_against
from atomfit.projection.stages import Run
from atomfit.projection.start import Start
from atomfit.projection.views import TiltSeries
from atomfit.results.series import PreparedSeries

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
        displacements=options.displacements,
        free_views=options.refine,
        anneal=options.anneal,
        frozen=start.frozen if start.frozen.any() else None,
        likelihood=_loss(options),
        held_out=ready.held_out(options.held_out),
        known_positions=start.known,
        expected=start.expected,
        known_amplitudes=options.known_amplitudes,
        known_turns=options.known_turns,
        progress=progress,
    )


def run_of(ready: PreparedSeries, start: Start, options: TiltOptions, progress: Progress) -> Run:
    """What stages of a fit have in common: for those that are not stages of `refine_against`."""
    series = ready.series
    held = ready.held_out(options.held_out)
    return Run(
        series,
        np.zeros(len(series), bool) if held is None else held,
        start.positions - series.centre,
        (start.positions if start.expected is None else start.expected) - series.centre,
        start.numbers,
        ready.element.neighbour_distance,
        start.frozen if start.frozen.any() else None,
        _loss(options),
        True,
        (start.known, None, None),
        progress,
    )


def _loss(options: TiltOptions) -> AbstractLoss | None:
    losses: dict[str, AbstractLoss | None] = {
        "gaussian": None,
        "poisson": PoissonLoss(options.gain),
        "robust": StudentLoss(),
    }
    return losses[options.likelihood]


def alike(options: TiltOptions) -> TiltOptions:
    """The simplest fit: atoms of one element are alike, which is what tells one that is none."""
    shared: Amplitudes = "auto" if options.amplitudes == "auto" else "element"
    return replace(
        options, probe="direct", amplitudes=shared, displacements="shared", known_amplitudes=None
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
        return None if found.reason == "interrupted" else found.positions[~start.frozen]

    placed = start.known is not None or bool(start.frozen.any())
    return compare_half_sets(ready.series, ~fit.held_out, refine, placed)
