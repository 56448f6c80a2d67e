"""What is to be thought of a refined series: a fit and what was known of its atoms in, a verdict out.

The figures and what they say are `verdict.of_images`'; here they are taken from a fit and from what a user
has asked for. Surroundings, which do not move, are not judged.
"""

import numpy as np

from atomfit.options.tilt import TiltOptions
from atomfit.projection.expectations import Expectation, of_atoms, of_rotations
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import ImageUncertainty
from atomfit.projection.start import Start
from atomfit.projection.unrefined import shifts_left
from atomfit.results.series import PreparedSeries
from atomfit.selection.completion import Selection
from atomfit.selection.image_scores import scores_of_images
from atomfit.support.errors import Doubt
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.of_elements import bright_for_light, lacking_elements, of_another_element
from atomfit.verdict.of_images import ImageMeasures, contradicted, judge_images, measure_images
from atomfit.verdict.of_views import drifted, turned, undescribed


def verdict_of(
    ready: PreparedSeries,
    start: Start,
    fit: TiltFit,
    selection: Selection,
    uncertainty: ImageUncertainty,
    options: TiltOptions,
    insisted: tuple[Doubt, ...],
    misread: Doubt | None,
) -> Verdict:
    """The verdict on a fit.

    **Arguments:**

    - `ready`, `start`: images, and the atoms that were fitted, with where they were expected.
    - `fit`, `selection`, `uncertainty`: what was found.
    - `options`: what was asked for.
    - `insisted`: what spoke against the start, and was insisted on.
    - `misread`: what was probably meant by what a given start was read as.
    """
    series = ready.series
    measures = measure_images(
        series.images,
        series.counted,
        fit,
        ~start.frozen,
        start.positions,
        uncertainty.positions,
        selection,
        ready.element,
    )
    known = _expectations(ready, start, fit, uncertainty.excess, options) if len(start.ids) else []
    return judge_images(
        measures,
        ready.elements,
        fit.reason,
        uncertainty.excess,
        (*ready.insisted, *insisted),
        misread,
        options.gain is not None,
        [
            *contradicted(known, options.coupled),
            *undescribed(fit.correlations),
            *_of_drift(ready, fit, uncertainty.excess, measures, options),
            *turned(np.degrees(np.asarray(fit.views.turns)), ~fit.held_out),
            *_of_elements(ready, start, fit),
        ],
    )


def _of_drift(
    ready: PreparedSeries, fit: TiltFit, excess: float, measures: ImageMeasures, options: TiltOptions
) -> list[Finding]:
    """Whether images have drifted, where that was not refined."""
    if "shifts" in options.refine or not measures.atoms:
        return []
    left = shifts_left(fit.images, FittedSeries.of(ready.series, fit), excess)
    fitted = int(np.sum(~fit.held_out))
    return drifted(left, fitted, measures.position_esd, ready.element.neighbour_distance)


def _of_elements(ready: PreparedSeries, start: Start, fit: TiltFit) -> list[Finding]:
    """Whether atoms are of the elements that they are said to be."""
    if len(ready.elements) == 1 or not len(start.ids):
        return []
    moving = ~start.frozen
    numbers, amplitudes = (np.asarray(x)[moving] for x in (fit.atoms.numbers, fit.atoms.amplitudes))
    # What is left at an atom's place, put back.
    scores = scores_of_images(FittedSeries.of(ready.series, fit), ready.element.neighbour_distance, moving)
    alone = amplitudes * (scores.atoms / np.where(scores.whole > 0, scores.whole, np.nan))[moving]
    return [
        *lacking_elements(ready.elements, numbers),
        *bright_for_light(ready.elements, numbers, amplitudes),
        *of_another_element(ready.elements, numbers, alone, start.ids),
    ]


def _expectations(
    ready: PreparedSeries, start: Start, fit: TiltFit, excess: float, options: TiltOptions
) -> list[Expectation]:
    """What the images say of what was known before the fit."""
    moving = ~start.frozen
    expected = start.positions if start.expected is None else start.expected
    of_each = of_atoms(
        FittedSeries.of(ready.series, fit).chosen(moving),
        excess,
        (fit.positions - expected)[moving],
        None if start.known is None else start.known[moving],
        np.asarray(fit.atoms.numbers)[moving],
        options.known_amplitudes,
    )
    turns = np.degrees(np.asarray(fit.views.turns)[~fit.held_out])
    return [*of_each, *of_rotations(turns, options.known_turns)]
