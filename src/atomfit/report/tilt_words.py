"""The first lines of a tilt series' `report.html`: atoms of what, in which images, and how sure.

Three questions of whoever has not done the fit: do the model's images look like the measured ones, also
where the fit has not looked; how well are positions known; and is each atom really there?
"""

from typing import Any

import numpy as np

from atomfit.projection.half_sets import HalfSets
from atomfit.projection.verdict import describes_noise
from atomfit.report.words import title_of

#: Areas of what is left may vary by so much more than noise of single pixels would.
_PATTERN = 1.3


def tilt_headline(
    found: dict[str, Any], symbols: np.ndarray, origin: str, pattern: float | None
) -> dict[str, Any]:
    """The page's first lines.

    **Arguments:**

    - `found`: what goes into `summary.json`.
    - `symbols`: of the atoms.
    - `origin`: where the atoms are from, in words.
    - `pattern`: of `residuals.pattern`.

    **Returns:** `title`, `source`, `verdict` as sentences, `warnings`, and the verdict as it is `judged`.
    """
    kinds, counts = np.unique(symbols.astype(str), return_counts=True)
    images = found["images"]["file"] or "a stack without a file"
    return {
        "title": title_of(
            found["atoms"], found["element"], dict(zip(kinds.tolist(), counts.tolist(), strict=True))
        ),
        "source": f"{origin}, refined against the {found['views']['count']} images of {images}",
        "verdict": [
            _agreement(found["fit"]),
            *(
                []
                if found["fit"]["half_sets"] is None
                else [_halves(HalfSets(**found["fit"]["half_sets"]))]
            ),
            *([] if pattern is None else [_left(pattern)]),
            f"{_certainty(found)} {_selection(found['selection'])}",
        ],
        "warnings": list(found.get("warnings", ())),
        "judged": found["verdict"],
    }


def _agreement(fit: dict[str, Any]) -> str:
    """How well images and model agree, and whether they do where the fit has not looked."""
    fitted, held = fit["fitted"], fit["held_out"]
    first = (
        f"Images and model correlate by {fitted['correlation_mean']:.3f} (mean over {_views(fitted)}; "
        "1 is identity)"
    )
    if held is None:
        return f"{first}; no view was held out to test the fit with."
    second = f"{first} and by {held['correlation_mean']:.3f} on {_views(held)} that the fit has not seen"
    drop = fit["held_out_drop"]
    if drop is None:
        return f"{second}."
    by = f"{drop['mean']:.3f} ± {drop['error']:.3f}"
    if describes_noise(drop["mean"], drop["error"]):
        return f"{second}, {by} less than on their neighbours: the fit describes noise as well."
    return f"{second}, about as good as on their neighbours (less by {by})."


def _halves(halves: HalfSets) -> str:
    """Whether refined rotations are real."""
    apart = (
        f"atoms from one half of the views are {_length(halves.refined)} from those of the other with "
        f"rotations refined, {_length(halves.nominal)} with the given ones"
    )
    if halves.supported:
        return f"Rotations of the views were refined, and that is real: {apart}."
    return f"Rotations of the views were refined, but the images do not support it: {apart}."


def _left(pattern: float) -> str:
    if pattern <= _PATTERN:
        return "What is left of the images is noise: it has no pattern of an atom's size."
    return (
        "What is left of the images has a pattern: over areas as wide as neighbours are apart it varies "
        f"{pattern**0.5:.1f} times as much as noise of single pixels would. The model lacks something that "
        "is in the images, or these were smoothed; errors are then larger than error bars say."
    )


def _certainty(found: dict[str, Any]) -> str:
    median = found["uncertainty"]["position_median"]
    if not np.isfinite(median):
        return "How well positions are known cannot be told."
    return (
        f"As far as noise goes, positions are known to {_length(median)} along each axis (median standard "
        "uncertainty)."
    )


def _selection(selection: dict[str, Any]) -> str:
    count = selection["rejected"]
    if not count:
        return "No other place was considered."
    places = "place was" if count == 1 else "places were"
    return f"{count:,} other {places} considered and not taken; they are listed below, with reasons."


def _views(quality: dict[str, Any]) -> str:
    return "1 view" if quality["views"] == 1 else f"{quality['views']} views"


def _length(value: float) -> str:
    """A length (Å) to two digits, in picometres if it is shorter than a tenth."""
    return f"{value:.2g} Å" if value >= 0.1 else f"{100 * value:.2g} pm"
