"""Where images and atoms agree, and where they do not: the thresholds, in one place.

Correlations are of images and models; standard errors are those that noise gives.
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class ProjectionLimits:
    """Thresholds of images, their views and the atoms in them.

    **Fields:**

    - `agreement_errors`, `agreement_part`: something else is meant if it agrees better by so many standard
        errors of a correlation, which hold for views that have nothing in common, and by this part, for
        atoms that are not quite where they are.
    - `agreement_enough`: part of the correlation that noise allows that images must have then: wrong atoms
        agree with any view.
    - `existence_views`: fewer views are judged only if their images are white.
    - `existence_white`: images are white if no ring of their power spectrum, beyond what was taken off, is
        louder than this.
    - `existence_more`: what few pixels show at some depth is noise, as if there were so many more, which
        show nothing.
    - `existence_alike`: images are alike where their mean varies by this factor more than that of
        independent ones.
    - `existence_place`: views see one place if its pixels are less far apart (root mean square, in
        neighbour distances).
    - `misread_better`: another convention is meant if it agrees better by so much.
    - `misread_times`, `misread_errors`: or, in images that are mostly noise, by this factor and so many
        standard errors.
    - `misread_left`: or if, of a dense particle, which looks alike from everywhere, it leaves this part of
        the variance.
    - `well_read`: a model that agrees as well as this is of the right size and in the right place.
    - `misread_surely`: below this part of what would agree better, a model was misunderstood.
    - `hardly_any`: less than this part of what noise allows is hardly any agreement.
    - `unrefined_clear`, `unrefined_views`: what is not refined is missed if chi-square is more than noise
        makes it by so many of its standard deviations, of at least so many views.
    - `half_set_views`: views of a half set, at least.
    - `view_far`, `view_deviations`: a view is far below the others if its correlation is by so much, and by
        so many deviations of the others.
    - `view_far_beside`, `views_beside`: less is enough below those beside it, which are so many: the
        correlation changes with the tilt anyway.
    - `no_agreement`: below this median of correlations a model does not describe the images.
    - `coloured`: if the residual's colour makes positions less certain by this factor, it is not noise
        alone.
    - `held_out_worse`, `held_out_errors`: held-out views are worse than their neighbours by at least this,
        and by so many standard errors.
    - `called_wrong`: how seldom what is right is called wrong.
    - `faintest`: an atom of a reconstruction is at least so bright beside the typical one. Chosen, with the
        rule of two classes, on the very series of platinum and silicon that
        `experiments/local_orbital_tomography` reports.
    - `seen_by`: a place belongs to a reconstruction if this part of the views shows it.
    """

    agreement_errors: float = 3.5
    agreement_part: float = 0.07
    agreement_enough: float = 0.8
    existence_views: int = 16
    existence_white: float = 1.3
    existence_more: int = 3
    existence_alike: float = 2.0
    existence_place: float = 0.5
    misread_better: float = 0.1
    misread_times: float = 1.15
    misread_errors: float = 15.0
    misread_left: float = 0.5
    well_read: float = 0.8
    misread_surely: float = 0.75
    hardly_any: float = 0.5
    unrefined_clear: float = 5.0
    unrefined_views: int = 8
    half_set_views: int = 4
    view_far: float = 0.1
    view_deviations: float = 6.0
    view_far_beside: float = 0.02
    views_beside: int = 7
    no_agreement: float = 0.5
    coloured: float = 1.3
    held_out_worse: float = 0.003
    held_out_errors: float = 2.0
    called_wrong: float = 1e-3
    faintest: float = 0.6
    seen_by: float = 0.7


LIMITS = ProjectionLimits()
