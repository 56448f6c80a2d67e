"""Where figures stop being good: the limits that verdicts are made with, and what they rest on.

Each is chosen between what right inputs show and what wrong ones do, on one set of seeds, and reported on
another: `experiments/verdict` has the table. Those of gains, and of a gap that is filled, are no more than
plausible: what they mean is known beforehand (a factor of noise, the width of a shell). Lengths are in the
element's.
"""

from atomfit.verdict.findings import Level

#: Mean distance of the first shell in that of the bulk: 0.99 to 1.038 in right maps, 1.033 in icosahedra.
BONDS_DOUBTFUL = (0.955, 1.045)
#: Added for the bonds of one atom, less for more: two standard deviations of bonds that scatter by 4 %.
BONDS_OF_ONE = 0.04
BONDS_BAD = (0.85, 1.15)
#: So many atoms or fewer, far from each other, may stand alone.
BONDS_NEED = 3
#: What lengths of two models may differ by. Heat expands metals by 2 to 3 % before they melt, hydrogen does
#: palladium by 3.5 %; crystals that grow on each other differ by up to 5 %; voxel sizes are wrong by any
#: factor. Noise of 0.3 Å in one of two models makes 1.2 % at most (tests/statistics/test_magnification.py).
SIZES_DOUBTFUL, SIZES_BAD = 0.03, 0.06
#: Part of the common pairs of two models that are of two elements.
ELEMENTS_DOUBTFUL, ELEMENTS_BAD = 0.1, 0.5
#: Brightness of light atoms in that of heavier ones: images by electrons that were scattered far have them
#: fainter, by 10 % even for neighbours among the elements of a period.
LIGHT_BRIGHTER = (1.05, 1.3)
#: Density of pairs between the first two shells in that of the first.
GAP_DOUBTFUL, GAP_BAD = 0.45, 0.55
#: Standard uncertainty of a distance, in that of the first shell, with which real atoms fill that gap.
GAP_FILLED = 0.06
#: Pearson's correlation of model and denoised map around the atoms.
CORRELATION_DOUBTFUL, CORRELATION_BAD = 0.7, 0.4
#: The same of model and images, where what is left is no noise; below the last it is nothing at all.
IMAGES_DOUBTFUL, IMAGES_BAD, CORRELATION_NONE = 0.6, 0.4, 0.1
#: What a model leaves beside noise of a gain that was given, in squares.
GAIN_DOUBTFUL, GAIN_BAD = (0.7, 1.5), (0.4, 3.0)
#: Part of the atoms that the data speak against, and that are kept.
UNSUPPORTED_DOUBTFUL, UNSUPPORTED_BAD = 0.1, 0.5
#: Part of the atoms that are as bright as those of another element.
OF_ANOTHER_BAD = 0.3
#: Part of the atoms that went to the limit of their move or width.
AT_BOUND_DOUBTFUL, AT_BOUND_BAD = 0.1, 0.5
#: Part of the atoms that were taken away again as noise.
REMOVED_DOUBTFUL, REMOVED_BAD = 0.6, 0.9
#: Median standard uncertainty of positions in distances between neighbours.
UNCERTAIN_DOUBTFUL, UNCERTAIN_BAD = 0.1, 0.25
#: Part of the atoms without a standard uncertainty of their position, where others have one.
UNDETERMINED_DOUBTFUL, UNDETERMINED_BAD = 0.02, 0.3
#: Standard deviation of an atom's image in distances between neighbours: 0.06 to 0.27 in series that were
#: tried, 1.2 in that of a ball; those of neighbours have one maximum from 0.5 on.
WIDTH_DOUBTFUL, WIDTH_BAD = 0.4, 0.6
#: Part of the atoms that the edge of what was measured cuts through.
CUT_DOUBTFUL = 0.03
#: Drift that was not allowed for: what it moves atoms by in their standard uncertainty, and itself in
#: distances between neighbours.
DRIFT_DOUBTFUL, DRIFT_BAD = 0.5, 0.2


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
