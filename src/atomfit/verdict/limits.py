"""Where figures stop being good: the limits that verdicts are made with, and what they rest on.

Each is chosen between what right inputs show and what wrong ones do, on one set of seeds, and reported on
another: `experiments/verdict` has the table. Those of gains, and of a gap that is filled, are no more than
plausible: what they mean is known beforehand (a factor of noise, the width of a shell). Lengths are in the
element's.
"""

from dataclasses import dataclass
from typing import final

from atomfit.verdict.findings import Level


@final
@dataclass(frozen=True)
class VerdictLimits:
    """Thresholds of verdicts; a pair of names is for what is doubtful, and for what is bad.

    **Fields:**

    - `bonds_doubtful`, `bonds_bad`: mean distance of the first shell in that of the bulk: 0.99 to 1.038 in
        right maps, 1.033 in icosahedra.
    - `bonds_of_one`: added for the bonds of one atom, less for more: two standard deviations of bonds that
        scatter by 4 %.
    - `bonds_need`: so many atoms or fewer, far from each other, may stand alone.
    - `light_brighter`: brightness of light atoms in that of heavier ones: images by electrons that were
        scattered far have them fainter, by 10 % even for neighbours among the elements of a period.
    - `of_another_sure`, `of_another_bad`: how probable it must be that an atom is of another element, and
        the part of the atoms that are.
    - `gap_doubtful`, `gap_bad`: density of pairs between the first two shells in that of the first.
    - `gap_filled`: standard uncertainty of a distance, in that of the first shell, with which real atoms
        fill that gap.
    - `correlation_doubtful`, `correlation_bad`: Pearson's correlation of model and denoised map around the
        atoms.
    - `images_doubtful`, `images_bad`: the same of model and images, where what is left is no noise;
    - `correlation_none`: below this it is nothing at all.
    - `gain_doubtful`, `gain_bad`: what a model leaves beside noise of a gain that was given, in squares.
    - `unsupported_doubtful`, `unsupported_bad`: part of the atoms that the data speak against, and that are
        kept.
    - `at_bound_doubtful`, `at_bound_bad`: part of the atoms that went to the limit of their move or width.
    - `removed_doubtful`, `removed_bad`: part of the atoms that were taken away again as noise.
    - `uncertain_doubtful`, `uncertain_bad`: median standard uncertainty of positions in distances between
        neighbours.
    - `undetermined_doubtful`, `undetermined_bad`: part of the atoms without a standard uncertainty of their
        position, where others have one.
    - `width_doubtful`, `width_bad`: standard deviation of an atom's image in distances between neighbours:
        0.06 to 0.27 in series that were tried, 1.2 in that of a ball; those of neighbours have one maximum
        from 0.5 on.
    - `held_out_doubtful`, `held_out_bad`: squares that a model leaves where a fit has not looked, in those
        where it has: a right model's with five values for each of its numbers, and with two.
    - `held_out_errors`: by so many standard errors they must be more.
    - `cut_doubtful`: part of the atoms that the edge of what was measured cuts through.
    - `drift_doubtful`, `drift_bad`: drift that was not allowed for: what it moves atoms by in their
        standard uncertainty, and itself in distances between neighbours.
    - `turned_medians`, `turned_least`, `turned_wrong`: a view was turned far if by so many medians of all
        (of normal turns about three axes, six deviations of one) and by at least the second (degrees),
        which mechanics may have; none is off by the third.
    - `sizes_doubtful`, `sizes_bad`: what lengths of two models may differ by. Heat expands metals by 2 to 3
        % before they melt, hydrogen does palladium by 3.5 %; crystals that grow on each other differ by up
        to 5 %; voxel sizes are wrong by any factor. Noise of 0.3 Å in one of two models makes 1.2 % at most
        (tests/statistics/test_magnification.py).
    - `elements_doubtful`, `elements_bad`: part of the common pairs of two models that are of two elements.
    - `common_few`, `common_hardly_any`: fewer common atoms, of the smaller model's, are hardly those of one
        particle; still fewer are not. Of the larger model's, fewer than the second say nothing of it, and
        any piece of a crystal lies on another one.
    - `chance`: models that chance lays on each other as well with this probability are any two models.
    - `chance_atoms`: fewer atoms may be those of one particle, and cannot show it.
    - `copy`: displacements of no pair larger than this are those of a copy, by rounding in files (Å).
    - `same_data`: and so are those that are a smaller part of their error bars: two measurements have one,
        error bars that are wrong by a factor of ten have 0.1.
    - `excess`, `excess_errors`: the logarithm of what error bars are wrong by exceeds the first, and so
        many standard uncertainties.
    - `together`, `errors`: neighbours share this part of their displacements, and so many standard
        uncertainties, if atoms moved.
    - `one_factor`: below this probability chi-squares do not scatter as one wrong factor would have it.
    - `uneven_columns`: fewer columns of two images do not tell whether they scatter evenly.
    - `slip_explains`: if a part slipped, a step explains so large a part of the chi-square beyond noise.
    - `width_unlike`: columns of two images do not differ in width by this factor.
    - `counts_apart`: counts of two images contradict cross-sections by so many atoms (median).
    - `excess_doubtful`: variance that a fit to an image leaves at the size of a column, in that of pixels
        that err independently.
    - `columns_few`: fewer columns with heights do not tell which crystal they are of.
    - `white_doubtful`: power of noise of counts before the highest frequencies, in that there.
    - `set_doubtful`: heights of a column in a set that holds 90 %, on average.
    - `dose_doubtful`: electrons per Å², below which probabilities of heights are hardly known to be right.
    - `focus_doubtful`: defocus (nm) nearer to zero hardly tells heights.
    - `highest_doubtful`, `highest_bad`: part of the columns that have the most atoms that can be told.
    - `noise_doubtful`: of whole numbers, noise in that of as many electrons: 0.76 to 1.3 of simulated
        images, 0.39 to 0.56 with a dark level of half of all counts.
    - `gain_high`: noise in that of a gain that was given; as above, images of electrons go as far as 1.3.
    - `white_alike`: noise that is as white as this does not fall towards the highest frequencies.
    - `misfit_doubtful`, `misfit_bad`: variance that a model of an HRTEM image leaves, in that of noise.
    - `condition_doubtful`: widths of its prior, beyond twice its standard uncertainty, that a condition of
        imaging may be off.
    - `conditions_doubtful`: how unlikely those are together that do not change with the image (sum of
        ln(1 + x²/2) in widths x): at most 2.6 of 49 images of `experiments/heights` that were made as is
        held likely; 2.3 to 6.8 of 12 where C3, background, absorption, blur or displacements were not,
        4.5 where 200 kV were taken for 300.
    - `spacing_doubtful`: distance of columns of known heights in the crystal's: 0.993 to 1.012 of 66
        simulated images; a pixel that is 3.5 % wrong has made all heights one too many.
    - `together_doubtful`: standard deviation of the mean height that all columns have in common: 0.3 atoms
        if all are one higher or lower with a probability of a tenth.
    - `off_lattice_doubtful`: part of the columns that are at no site of the crystal.
    - `closest_projected`, `farthest_projected`: between which the median distance of columns lies, in the
        bulk's distance of atoms.
    """

    bonds_doubtful: tuple[float, float] = (0.955, 1.045)
    bonds_bad: tuple[float, float] = (0.85, 1.15)
    bonds_of_one: float = 0.04
    bonds_need: int = 3
    light_brighter: tuple[float, float] = (1.05, 1.3)
    of_another_sure: float = 0.99
    of_another_bad: float = 0.3
    gap_doubtful: float = 0.45
    gap_bad: float = 0.55
    gap_filled: float = 0.06
    correlation_doubtful: float = 0.7
    correlation_bad: float = 0.4
    images_doubtful: float = 0.6
    images_bad: float = 0.4
    correlation_none: float = 0.1
    gain_doubtful: tuple[float, float] = (0.7, 1.5)
    gain_bad: tuple[float, float] = (0.4, 3.0)
    unsupported_doubtful: float = 0.1
    unsupported_bad: float = 0.5
    at_bound_doubtful: float = 0.1
    at_bound_bad: float = 0.5
    removed_doubtful: float = 0.6
    removed_bad: float = 0.9
    uncertain_doubtful: float = 0.1
    uncertain_bad: float = 0.25
    undetermined_doubtful: float = 0.02
    undetermined_bad: float = 0.3
    width_doubtful: float = 0.4
    width_bad: float = 0.6
    held_out_doubtful: float = 1.5
    held_out_bad: float = 3.0
    held_out_errors: float = 3.0
    cut_doubtful: float = 0.03
    drift_doubtful: float = 0.5
    drift_bad: float = 0.2
    turned_medians: float = 4.0
    turned_least: float = 3.0
    turned_wrong: float = 10.0

    sizes_doubtful: float = 0.03
    sizes_bad: float = 0.06
    elements_doubtful: float = 0.1
    elements_bad: float = 0.5
    common_few: float = 0.5
    common_hardly_any: float = 0.2
    chance: float = 0.01
    chance_atoms: int = 4
    copy: float = 5e-5
    same_data: float = 0.02
    excess: float = 0.1
    excess_errors: float = 3.0
    together: float = 0.2
    errors: float = 4.0
    one_factor: float = 1e-3
    uneven_columns: int = 30
    slip_explains: float = 0.5
    width_unlike: float = 1.5
    counts_apart: float = 0.5
    excess_doubtful: float = 2.0
    closest_projected: float = 0.4
    farthest_projected: float = 1.6

    columns_few: int = 6
    white_doubtful: float = 1.4
    set_doubtful: float = 3.0
    dose_doubtful: float = 200.0
    focus_doubtful: float = 1.0
    highest_doubtful: float = 0.1
    highest_bad: float = 0.5
    noise_doubtful: float = 0.7
    gain_high: float = 1.35
    white_alike: float = 1.2
    misfit_doubtful: float = 1.12
    misfit_bad: float = 1.5
    condition_doubtful: float = 4.0
    conditions_doubtful: float = 3.0
    spacing_doubtful: tuple[float, float] = (0.975, 1.025)
    together_doubtful: float = 0.3
    off_lattice_doubtful: float = 0.1


LIMITS = VerdictLimits()


def part(count: float, of: int) -> float:
    """A part; NaN of nothing."""
    return float(count) / of if of else float("nan")


def level_above(value: float, doubtful: float, bad: float) -> Level:
    """Of a figure that should be small; good where it is not known."""
    return "bad" if value > bad else "doubtful" if value > doubtful else "good"


def level_outside(value: float, doubtful: tuple[float, float], bad: tuple[float, float]) -> Level:
    """Of a figure that should lie between two; good where it is not known."""
    if value < bad[0] or value > bad[1]:
        return "bad"
    return "doubtful" if value < doubtful[0] or value > doubtful[1] else "good"
