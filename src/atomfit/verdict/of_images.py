"""The verdict on atoms that were refined against a tilt series."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.optimisation.ended import Ended
from atomfit.projection.expectations import Expectation
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import width_of
from atomfit.projection.limits import LIMITS as IMAGE_LIMITS
from atomfit.selection.completion import Selection
from atomfit.structure.elements import Element, typical
from atomfit.structure.neighbours import shell_gap
from atomfit.support.errors import Doubt
from atomfit.verdict.common import (
    bond_ratio,
    bonds,
    clear,
    convergence,
    disorder,
    insisted,
    no_atoms,
    removal,
    taken_away,
    uncertain,
    undetermined,
    unsupported,
)
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.limits import LIMITS, level_above, level_outside, part


@dataclass(frozen=True)
class ImageMeasures:
    """What a result of `tilt` is judged by; NaN where a figure is not known.

    **Fields:**

    - `atoms`: how many were refined.
    - `correlation`: of model and images, median over the views.
    - `explained`: part of the images' variance that the model explains.
    - `bond_ratio`: distance of neighbours in that of the bulk.
    - `shell_gap`: density of pairs between the first two shells, in that of the first.
    - `removed`: part of the atoms found that selection has taken away.
    - `unsupported`: part of the atoms that the images speak against.
    - `position_esd`: median standard uncertainty of positions (Å).
    - `undetermined`: part of the atoms whose position has no standard uncertainty.
    - `moved`: root-mean-square move from the start, in distances between neighbours.
    - `chi_square`: mean square of what the model leaves, in that of its noise.
    - `clear`: part of the atoms that stand out so far that no maximum of noise is expected to.
    - `width`: standard deviation of an atom's image, in distances between neighbours.
    """

    atoms: int
    correlation: float = np.nan
    explained: float = np.nan
    bond_ratio: float = np.nan
    shell_gap: float = np.nan
    removed: float = np.nan
    unsupported: float = np.nan
    position_esd: float = np.nan
    undetermined: float = np.nan
    moved: float = np.nan
    chi_square: float = np.nan
    clear: float = np.nan
    width: float = np.nan


def measure_images(
    images: Float[np.ndarray, "v rows columns"],
    counted: Bool[np.ndarray, "v rows columns"],
    fit: TiltFit,
    moving: Bool[np.ndarray, " n"],
    began: Float[np.ndarray, "n 3"],
    errors: Float[np.ndarray, "n 3"],
    selection: Selection,
    element: Element,
) -> ImageMeasures:
    """The figures of a result.

    **Arguments:**

    - `images`, `counted`: what was measured, and where.
    - `fit`: of the atoms.
    - `moving`: atoms that were refined.
    - `began`, `errors`: where atoms began, and the standard uncertainties of where they are (Å).
    - `selection`: which atoms are real.
    - `element`: that was given.
    """
    n = int(moving.sum())
    if not n:
        return ImageMeasures(0)
    positions = np.asarray(fit.atoms.positions)
    measured = images[counted].astype(np.float64)
    left = measured - fit.images[counted]
    known = np.all(np.isfinite(errors[moving]), axis=1)
    moves = np.sum((positions - began)[moving] ** 2, axis=1)
    kept = selection.judgement.kept
    gone = taken_away(selection)
    return ImageMeasures(
        n,
        float(np.median(fit.correlations)),
        1 - float(left.var() / measured.var()) if measured.var() > 0 else np.nan,
        bond_ratio(positions, element),
        shell_gap(positions),
        part(gone, n + gone),
        part(int(np.sum(~kept)), len(kept)),
        float(np.median(errors[moving][known])) if known.any() else np.nan,
        part(int(np.sum(~known)), n),
        float(np.sqrt(np.mean(moves))) / element.neighbour_distance,
        _chi_square(images, fit),
        clear(selection),
        float(np.sqrt(width_of(fit.spot))) / element.neighbour_distance,
    )


def judge_images(
    measures: ImageMeasures,
    elements: Sequence[Element],
    reason: Ended,
    excess: float,
    doubts: tuple[Doubt, ...] = (),
    misread: Doubt | None = None,
    gain_given: bool = False,
    further: Sequence[Finding] = (),
) -> Verdict:
    """What is to be thought of a result of `tilt`.

    **Arguments:**

    - `measures`: its figures.
    - `elements`: that were given.
    - `reason`: why the fit ended.
    - `excess`: of the colour of what is left over white noise.
    - `doubts`: what spoke against a fit, and was insisted on.
    - `misread`: what was probably meant by what the start was read as; see `Agreement`.
    - `gain_given`: whether the noise is what a user says that it is.
    - `further`: what else was found, of single views (`of_views`) or of what was known (`contradicted`).
    """
    figures = {name: float(value) for name, value in asdict(measures).items()}
    if not measures.atoms:
        return Verdict((no_atoms("images", "check views, centre and contrast"),), figures)
    element = typical(elements)
    findings = [
        *bonds(measures.bond_ratio, measures.atoms, elements, "pixel size", "--pixel-size"),
        *_agreement(measures, excess),
        *unsupported(measures.unsupported, measures.atoms, "images"),
        *disorder(measures.shell_gap, measures.position_esd, element),
        *uncertain(measures.position_esd, element),
        *undetermined(measures.undetermined, measures.atoms),
        *removal(measures.removed, measures.atoms, measures.clear),
        *_resolved(measures.width),
        *convergence(reason),
        *(_gain(measures.chi_square) if gain_given else []),
        *further,
    ]
    findings += insisted(doubts, findings)
    if misread is not None and misread not in doubts:
        findings.append(Finding("start", "doubtful", misread.problem, misread.remedy))
    return Verdict.of(findings, figures)


def _resolved(width: float) -> list[Finding]:
    level = level_above(width, LIMITS.width_doubtful, LIMITS.width_bad)
    if level == "good":
        return []
    return [
        Finding(
            "resolution",
            level,
            f"the image of an atom has a standard deviation of {width:.2f} of the distance between "
            "neighbours: atoms are not told apart",
            "check pixel size and element; what is seen may be a body, and not its atoms",
        )
    ]


def contradicted(expectations: Iterable[Expectation], coupled: bool = False) -> list[Finding]:
    """Whether images contradict what was said to be known before they were seen.

    **Arguments:**

    - `expectations`: what was known, and what the images say of it.
    - `coupled`: whether positions are known from a map.
    """
    otherwise = _OTHERWISE | ({"positions": _ANOTHER_MAP} if coupled else {})
    return [
        Finding(
            "known",
            level_above(one.against, 0.0, LIMITS.unsupported_bad) if one.against else "doubtful",
            f"the images contradict what was said to be known of {one.kind}: chi-square of that is "
            f"{one.ratio:.3g} times what it should be, and {one.against:.0%} of them contradict it alone",
            f"what was known is wrong or too narrow: {otherwise[one.kind]}",
        )
        for one in expectations
        if one.contradicted
    ]


#: What to do about it.
_OTHERWISE = {
    "positions": "give a larger --known-positions, or another start",
    "amplitudes": "give a larger --known-amplitudes, or check which element each atom is",
    "rotations": "give a larger --known-turns, or check the views",
}


_ANOTHER_MAP = "leave out --coupled, or check that the map is of this specimen and of its frame"


def _chi_square(images: Float[np.ndarray, "v rows columns"], fit: TiltFit) -> float:
    fitted = fit.precisions > 0
    left = images[fitted].astype(np.float64) - fit.images[fitted]
    return float(np.mean(fit.precisions[fitted] * left**2)) if fitted.any() else float("nan")


def _gain(chi_square: float) -> list[Finding]:
    """Whether noise is as large as a gain that was given makes it: error bars are as wrong as it is."""
    level = level_outside(chi_square, LIMITS.gain_doubtful, LIMITS.gain_bad)
    if level == "good":
        return []
    problem = f"what the model leaves has {chi_square:.3g} times the variance of noise of the gain given"
    return [Finding("gain", level, problem, "leave --gain out (it is measured then), or correct it")]


def _agreement(measures: ImageMeasures, excess: float) -> list[Finding]:
    """A low correlation is no fault where what is left is noise: counts may be few.

    It is hardly any where a few atoms stand out clearly from large images of noise.
    """
    least = 0.0 if measures.clear > 1 - LIMITS.unsupported_doubtful else LIMITS.correlation_none
    if excess <= IMAGE_LIMITS.coloured and measures.correlation > least:
        return []
    level = level_above(-measures.correlation, -LIMITS.images_doubtful, -LIMITS.images_bad)
    if level == "good":
        return []
    return [
        Finding(
            "correlation",
            level,
            f"images and model correlate by {measures.correlation:.2f} only; the model explains "
            f"{max(measures.explained, 0.0):.0%} of what is in the images",
            "check the unit of the start, the pixel size, the centre, the views' convention and the "
            "contrast (views.svg shows atoms over images)",
        )
    ]
