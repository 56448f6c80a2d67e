"""Where detection says yes or no: its thresholds, in one place.

Lengths are in the element's neighbour distance unless another unit is given. `experiments/thresholds` tells
what each of them moves; one without a source was set when its test was made.
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class DetectionLimits:
    """Thresholds of detection.

    **Fields:**

    - `contrast`: factor by which extremes of one sign must exceed those of the other to decide which is
        bright.
    - `contrast_level`: part of the larger extreme beyond which maxima and minima are counted for that.
    - `closest`: two atoms are never closer.
    - `narrowest`, `widest`: between which the width (standard deviation) of the mean atom is looked for.
    - `expected_false`: maxima of noise above the floor, in the whole box.
    - `quiet_percentile`: of the blocks' deviations, which is taken for that of noise (per cent).
    - `empty_ratio`: a box has an empty part if its quiet blocks vary less than this part of its loud ones.
    - `validation_radii`: radius of the sphere in which an atom is validated, in theoretical atomic radii
        (the paper, Methods).
    - `automatic_deviations`: robust standard deviations below the median at which the automatic rule
        discards.
    - `automatic_limit`: validation correlation above which the automatic rule keeps whatever there is.
        Sound surface atoms have 0.5 at a noise of 15 % of a core atom's peak.
    - `lone`: if so large a part of the atoms has too few neighbours, neighbours are not asked for.
    - `well_described`: a map that correlates so well with its atoms is not looked at without slow changes.
    - `much_better`: what is slow is background if the correlation without it is so much larger; an alloy
        gains 0.09.
    - `existence_atoms`: fewer are not compared with surrogates.
    - `loud`: part of the loudness at the typical atom from which on a map is loud; its outline.
    - `shell_correlation`: Fourier shell correlation of half-maps at the resolution (Rosenthal & Henderson
        2003).
    - `power_above_noise`: ratio of power to noise at the resolution of a single map, which that correlation
        means.
    - `resolution_errors`: standard errors by which a shell of few waves must be above.
    - `empty_corners`: corners of the box are empty if their variance is below this part of the whole's.
    - `narrowest_column`, `widest_column`: between which the width (standard deviation, Å) of the columns of
        an image is looked for: no microscope has a narrower beam, and wider ones show no columns.
    - `column_score`: maxima of a filtered image above so many deviations of its noise may be columns.
    - `faint_score`: the same of those that stand alone; their fit judges them.
    - `score_of_counts`, `score_in_half`: the same for the scale of an image of few counts, and in one of
        its halves: what noise gives is known there, and taken off.
    - `crest_of_lone`, `crest_of_crowded`: width of the filter, in those of columns, at which the sum of
        maxima is highest: √3 of lone Gaussians, less where they touch; with room for the ladder's steps.
    - `nearly_highest`: the first crest of the sum of such maxima counts if it is so near to the highest.
    - `nearly_of_counts`: the same of few counts, whose noise has crests.
    - `roundness`: ratio of the bends of a column, along and across; less is a fringe or a rim.
    - `of_roundness`: its standard deviation at a maximum, times the maximum's score: what is faint may well
        look like a fringe. √3 of filtered white noise.
    - `least_variance`: part of the mean variance of noise below which no pixel's is.
    - `least_counts`: within the reach of a column, by which pixels err at least.
    """

    contrast: float = 1.2
    contrast_level: float = 0.5
    closest: float = 0.6
    narrowest: float = 0.05
    widest: float = 0.32
    expected_false: float = 0.5
    quiet_percentile: float = 10
    empty_ratio: float = 0.6
    validation_radii: float = 1.5
    automatic_deviations: float = 5.0
    automatic_limit: float = 0.5
    lone: float = 0.5
    well_described: float = 0.8
    much_better: float = 0.12
    existence_atoms: int = 5
    loud: float = 0.5
    shell_correlation: float = 0.143
    power_above_noise: float = 1 + 1 / 3
    resolution_errors: float = 5.0
    empty_corners: float = 0.5
    narrowest_column: float = 0.2
    widest_column: float = 1.0
    column_score: float = 3.5
    faint_score: float = 2.2
    score_of_counts: float = 3.0
    score_in_half: float = 2.5
    crest_of_lone: float = 2.0
    crest_of_crowded: float = 1.1
    nearly_highest: float = 0.7
    nearly_of_counts: float = 0.9
    roundness: float = 0.25
    of_roundness: float = 1.7
    least_variance: float = 0.01
    least_counts: float = 4.0


LIMITS = DetectionLimits()
