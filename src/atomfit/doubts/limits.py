"""Where an input is doubted: the thresholds of all doubts, in one place.

Lengths are in the element's neighbour distance unless another unit is given; of two levels the first is for
a warning, the second for a doubt. `experiments/thresholds` tells what each of them moves; one without a
source was set when its test was made. What 32-bit floats can hold is no threshold, and is where it is asked
(`inspection`).
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class DoubtLimits:
    """Thresholds of doubts.

    **Fields:**

    Voxels and box (`inspection`):

    - `voxel_coarsest`, `voxel_coarse`: larger voxels are refused, warned of.
    - `voxel_finest`, `voxel_fine`: smaller voxels are refused, doubted (0.07 Å for Pt; the finest maps have
        0.2).
    - `box_of_no_atom`, `box_of_few`: boxes with a shorter edge are refused, warned of.

    Values (`inspection`, `values`):

    - `few_digits`: a range that is less than this part of the offset has few digits left.
    - `constant`: a part of the voxels this large that has one value was masked, clipped or padded.
    - `cut`: if so many voxels have the lowest value, the map was cut there, and widths say nothing.
    - `fill_far`, `fill_far_zero`: how far a value must be from all others, in what these are from each
        other, to stand for something; and zero.
    - `hot_isolated`, `hot_higher`: a hot pixel exceeds its neighbours, everything else, by at least this
        factor.
    - `hot_few`, `hot_few_part`: at most so many, or this part of all, are defects.
    - `hot_counts`: how much higher than the rest a pixel of whole numbers must be: counts scatter.
    - `hot_company`: neighbours that may be as hot, as a cosmic ray leaves them.
    - `narrowest_atom`: standard deviation of the narrowest atoms.

    Pixels of an image of columns (`hot_pixels`, `blank_pixels`):

    - `defects_false`: how many pixels an image of noise alone may have that are called hot or dead.
    - `defects_part`: more pixels than this part of all are no defects.
    - `blank_line`: least part of a line that was measured, and has one value.
    - `blank_differ`: part of the pixels beside what has one value that must differ from it.
    - `blank_as_far`: how far these are from that value, in what any within half an Å are: of what was not
        measured 1, of a foot less than 0.5.
    - `blank_foot`: the same in those of the next line, if there is noise: of the foot of a Gaussian 0.1.

    What was not measured (`unmeasured`):

    - `unmeasured_least`: least part of the box.
    - `unmeasured_together`: least part of the voxels of one value that lie together.
    - `unmeasured_both_sides`: least part of the values beside the edge that lie on either side of the
        number.
    - `unmeasured_continuous`: how much nearer than the median the nearest (5 %) come to it: those of
        quantised values do not.
    - `unmeasured_lower`: greatest probability that a value beside the edge is below one elsewhere, in what
        was no level set. Masks through particles have 0.37 to 0.55, those that cut nothing 0.71, cut values
        0.78 on.
    - `unmeasured_far`: a number farther from the values beside the edge, in what these scatter by, is no
        level of an empty surrounding.

    Shape of the mean atom (`shape`):

    - `shape_widest`: part of the greatest width that is looked for, above which it counts as that.
    - `shape_small_voxel`: voxels below this are no reason for that.
    - `shape_narrow`, `shape_one_voxel`: a spot is narrower than an atom below both, the second in voxels.
    - `shape_beneath`: what lies beneath the maxima, in their heights.
    - `shape_low_resolution`: resolution that explains these.

    Distances of maxima (`spacing`):

    - `spacing_agrees`: a scale agrees with distances that are this many times as long.
    - `spacing_even`: distances whose lower part (tenth percentile) is below this many medians are those of
        noise.
    - `spacing_fewest`: fewer maxima tell nothing.
    - `spacing_more`: a finer scale must find so many times as many.
    - `spacing_pairs`: pairs that tell whether maxima are in order.
    - `spacing_odd`, `spacing_wrong`: factors between distances and the element's that are odd, and that no
        material explains.

    Noise (`noise`):

    - `noise_pairs`: pairs that tell whether neighbours are in order.
    - `noise_silent`: outside it is silent if the quietest blocks are below this part of the loudest.
        Particles that noise has put out of order have 0.24 and more.
    - `noise_enough`, `noise_clear`: standard deviations below which there is no telling atoms from noise,
        and from which on there is: of 160 maps of noise one came to 4.0 (`experiments/noise_only`).
    - `noise_views`: the same for views, whose highest crests scatter to the high side.

    Half-maps (`halves`):

    - `halves_alike`: least correlation with the map; halves have 0.92 and more, others 0.72 at most.
    - `halves_apart`: half-maps lie apart by at least this and half a voxel,
    - `halves_times`, `halves_clearly`: if they then correlate by so many times what they do, and by this.

    Sections and images (`sections`, `images`):

    - `sections_lively`, `sections_empty`: sections are so if they vary by more, less than this part of what
        the liveliest do.
    - `sections_as_rows`: sections of a map correlate with the next as rows do, but for this factor: 1.3 at
        most in parts of maps, 1.7 and more in series.
    - `sections_change`: by how much less sections of a stack correlate with the next than rows do.
    - `images_skewed`: atoms are dark if what is sharp, and the middle against the edges, are skewed by
        this.
    - `images_zero`: part of the pixels that are zero, and were hardly measured.
    - `images_exchanged`: part of the images that change places that must gain clearly.

    Views and starts (`views`, `starts`):

    - `views_fewest`: fewer cannot tell atoms from the crossings of others' rays.
    - `views_odd`, `views_wrong`: how many times worse depth may be known than what is across.
    - `start_columns`: standard deviations by which an image must be higher at a start's columns than at
        places that have nothing to do with them.
    - `start_no_distance`: nearest atoms below this are in another unit.
    - `start_odd`: between which their distance is not odd.
    """

    voxel_coarsest: float = 0.5
    voxel_coarse: float = 0.25
    voxel_finest: float = 0.007
    voxel_fine: float = 0.025
    box_of_no_atom: float = 0.5
    box_of_few: float = 2.0

    few_digits: float = 1e-5
    constant: float = 0.05
    cut: float = 0.3
    fill_far: float = 1.0
    fill_far_zero: float = 4.0
    hot_isolated: float = 4.0
    hot_higher: float = 3.0
    hot_few: int = 10
    hot_few_part: float = 1e-4
    hot_counts: float = 10.0
    hot_company: int = 3
    narrowest_atom: float = 0.12

    defects_false: float = 1e-3
    defects_part: float = 3e-3
    blank_line: float = 0.5
    blank_differ: float = 0.9
    blank_foot: float = 0.3
    blank_as_far: float = 0.7

    unmeasured_least: float = 0.01
    unmeasured_together: float = 0.8
    unmeasured_both_sides: float = 0.02
    unmeasured_continuous: float = 0.25
    unmeasured_lower: float = 0.7
    unmeasured_far: float = 4.0

    shape_widest: float = 0.99
    shape_small_voxel: float = 0.25
    shape_narrow: float = 0.1
    shape_one_voxel: float = 0.8
    shape_beneath: float = 1.5
    shape_low_resolution: float = 0.8

    spacing_agrees: tuple[float, float] = (0.8, 1.2)
    spacing_even: float = 0.68
    spacing_fewest: int = 6
    spacing_more: float = 3
    spacing_pairs: int = 40
    spacing_odd: float = 1.25
    spacing_wrong: float = 1.45

    noise_pairs: int = 9
    noise_silent: float = 0.2
    noise_enough: float = 5.0
    noise_clear: float = 7.0
    noise_views: float = 6.0

    halves_alike: float = 0.8
    halves_apart: float = 0.05
    halves_times: float = 1.1
    halves_clearly: float = 0.5

    sections_lively: float = 0.4
    sections_empty: float = 0.2
    sections_as_rows: float = 1.4
    sections_change: float = 0.1
    images_skewed: float = 0.1
    images_zero: float = 0.02
    images_exchanged: float = 0.5

    views_fewest: int = 3
    views_odd: float = 4.0
    views_wrong: float = 15.0
    start_columns: float = 3.0
    start_no_distance: float = 0.4
    start_odd: tuple[float, float] = (0.7, 1.8)


LIMITS = DoubtLimits()
