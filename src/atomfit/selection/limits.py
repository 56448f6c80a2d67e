"""Where selection says yes or no: its thresholds, in one place.

Scores are in standard deviations of what noise makes. `experiments/thresholds` tells what each of them
moves; one without a source was set when its test was made.
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class SelectionLimits:
    """Thresholds of selection.

    **Fields:**

    - `lowest`: t₀, the score that candidates and decoys exceed.
    - `even`: probability of being an atom at the cut.
    - `unlike_others`: part of the atoms that may have any score.
    - `expected_clear`: what noise is not expected to have so many of is an atom to begin with.
    - `caution`: standard deviations by which a density of few scores is taken to be smaller.
    - `gaussian_decoys`: decoys of Gaussian noise that are added to those found, for the scale of noise.
    - `faintest`: no atom has a score below this part of the typical one: where noise is nothing, the
        model's own small errors stand out from it.
    - `faintest_in_disorder`: nor below this one, where noise cannot be measured and what the model lacks is
        no noise. Chosen with all three parts of the tantalum film in view.
    - `generous`: there this score is enough for a trial.
    - `far`: a place is far from all atoms beyond this, in distances at which atoms are neighbours.
    - `fewest_far`: bumps and hollows far from all atoms that are needed to tell how many there are.
    - `promised`, `anyway`: a change may make chi-square larger by so many times what was promised, and by
        this much (squared scores).
    - `classes_decided`: by how much an information criterion must be smaller (Kass & Raftery 1995: "very
        strong").
    - `classes_apart`: least distance of two classes in their standard deviation (Ashman, Bird & Zepf 1994).
    - `part_of_contrast`: least part of the contrast that atomic numbers let expect (of logarithms).
    - `fewest_in_class`: atoms for each class, at least.
    - `column_rounds`: in which columns of an image come and go, at most.
    - `noise_rounds`: in which columns and the noise of pixels settle, at most.
    - `same_noise`: noise has settled if variances have changed by less than this part.
    - `same_column`: two columns of a start that are nearer than this (in widths) are one, given twice.
    - `closest_columns`: of two columns nearer than this (in widths) one is none.
    - `entangled`: of two faint columns nearer than this (in widths) the fainter one goes first: until then
        neither is known.
    - `rounds_entangled`: in which that is so.
    - `kept`, `disordered`: columns are looked for once more if fewer than this part of the candidates has
        stayed, and less than this part of what is left has no order: 0.11 to 0.15 of two measured images
        whose columns were lost, 0.5 to 0.7 of simulated ones whose faint columns were, 1 of noise.
    - `rounds_lacking`: in which a lattice is then no noise.
    - `apart_from_columns`: what the residual shows nearer to a column than this (in widths) is its shape.
    - `seconds_at_least`, `seconds_a_column`: what the fits to an image take, as it is told beforehand; on
        two processors, measured.
    - `dense_columns`: columns whose nearest is nearer than so many widths have no support between them.
    - `coarse_background`: from knot to knot of the background (Å) where they are dense, in the end.
    - `fine_background`: the same while columns are selected, in widths of a column.
    - `flat_background`, `flat_leaves`: the same where all of it is flat, and what that then leaves beyond a
        fine one, as for `straight_leaves`: below 0.004 of five images of crystals, 0.05 of a particle of
        Pt-Ir, 0.5 of one of gold.
    - `background_of_counts`: the same step where single counts are seen: a background of half the step
        takes a quarter of the scores, which loses many columns that have little.
    - `even_beneath`: what lies beneath columns is even if squared scores of hollows add up to less than
        this part of those of bumps: 0.05 to 0.4 of simulated images, 0.7 to 0.8 of measured ones on a film.
    - `affords_fine`: scores above which columns can afford that; the upper fifth of them.
    - `tells_width`: median score above which columns tell the width that they share. A fit whose positions
        are free finds them narrower by about one over the squared score, and narrow ones are kept.
    - `surely_broader`, `least_broader`, `most_broader`: a width that is held becomes broader by a step of
        its logarithm that is more than so many of its errors, and this; at once by no more than the last.
    - `likely`: rate of false columns among those that are fitted until the last ones are chosen.
    - `straight_leaves`: a background is straight beneath dense columns if the squares that it leaves beyond
        those of a fine one are less than so many times those of the columns themselves: 0.02 of a simulated
        particle, 0.7 of Pt-Ir, 5 of a gold particle as thick as it is wide (the last two were in view).
    - `widths_of_columns`: between which the fitted width lies, in the width that detection has seen.
    - `wings_wider`: variance by which the wings of columns are wider, in that of a column. What they are as
        images of multislice does not tell: 2 to 8 leave the same within eleven of 400 units of chi-square.
    - `odds_of_shape`: logarithm of the odds from which columns have wings, or grow: ten to one.
    - `part_of_wings`: of the integral that lies in them, at most.
    - `most_growth`: the most that widths grow, or shrink, as a power of the columns' integrals.
    - `same_shape`: a part or a power that changes by less has settled.
    - `rounds_of_shape`: in which they settle, at most.
    - `farthest_offset`, `least_offset`: of a row, and of the standard deviation of all, in pixels.
    - `told_offset`: parts of the most that pixels tell of any, below which they tell of none.
    - `offset_follows`: the part of what columns follow that a step of offsets expects of them.
    - `parts_of_row`: that are compared, to see what wanders within a row.
    - `offset_rounds`: in which columns, noise and offsets settle, at most.
    - `offset_halvings`: how often a step of offsets is halved that describes the image worse.
    - `false_columns`: that noise may add to an image in a round.
    - `lacking_bump`: bumps so many times higher than hollows are deep are columns that are lacking, and
        hollows are about them: no texture.
    - `mostly_empty`: part of a neighbourhood without columns above which its texture counts.
    """

    lowest: float = 2.5
    even: float = 0.5
    unlike_others: float = 1e-3
    expected_clear: float = 0.01
    caution: float = 1.5
    gaussian_decoys: float = 5.0
    faintest: float = 0.05
    faintest_in_disorder: float = 0.6
    generous: float = 3.0
    far: float = 1.5
    fewest_far: int = 20
    promised: float = 1.5
    anyway: float = 10.0
    classes_decided: float = 10.0
    classes_apart: float = 2.0
    part_of_contrast: float = 1 / 3
    fewest_in_class: int = 6
    column_rounds: int = 8
    noise_rounds: int = 4
    same_noise: float = 0.05
    same_column: float = 0.3
    closest_columns: float = 1.2
    entangled: float = 3.0
    rounds_entangled: int = 2
    kept: float = 0.7
    disordered: float = 0.8
    rounds_lacking: int = 3
    apart_from_columns: float = 1.6
    seconds_at_least: float = 10.0
    seconds_a_column: float = 0.06
    dense_columns: float = 7.0
    coarse_background: float = 1000.0
    fine_background: float = 9.0
    flat_background: float = 25.0
    flat_leaves: float = 0.01
    background_of_counts: float = 20.0
    even_beneath: float = 0.55
    affords_fine: float = 12.0
    likely: float = 0.2
    tells_width: float = 6.0
    surely_broader: float = 3.0
    least_broader: float = 0.05
    most_broader: float = 0.3
    straight_leaves: float = 2.0
    widths_of_columns: tuple[float, float] = (0.6, 1.8)
    wings_wider: float = 4.0
    odds_of_shape: float = 2.3
    part_of_wings: float = 0.6
    most_growth: float = 0.3
    same_shape: float = 0.003
    rounds_of_shape: int = 4
    farthest_offset: float = 5.0
    least_offset: float = 1e-3
    told_offset: float = 0.02
    offset_follows: float = 0.8
    parts_of_row: int = 4
    offset_rounds: int = 12
    offset_halvings: int = 5
    false_columns: float = 0.5
    lacking_bump: float = 2.0
    mostly_empty: float = 0.5


LIMITS = SelectionLimits()
