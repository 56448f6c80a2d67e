"""What `report.html` of heights of columns is told: columns, pictures, what to trust, the records."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.column_heights.found import Condition
from atomfit.io.tables import Column
from atomfit.report.atoms import atoms_shown
from atomfit.report.described import Table, described
from atomfit.report.image_pictures import modelled_pictures
from atomfit.report.residuals import histogram
from atomfit.report.whole import Row, row_of
from atomfit.structure.neighbours import nearest_distances

if TYPE_CHECKING:
    from atomfit.results.heights import HeightsResult

#: Of a disc: part of the distance between neighbours.
_RADIUS = 0.3
#: Columns nearer to the image's border are seen in part (Å).
_BORDER = 4.0
#: Conditions in words.
_WORDS = {
    "defocus": "defocus C1",
    "a1": "astigmatism A1",
    "b2": "coma B2",
    "a2": "threefold astigmatism A2",
    "c3": "spherical aberration C3",
    "c5": "spherical aberration of fifth order C5",
    "focal_spread": "focal spread (standard deviation)",
    "convergence": "convergence (standard deviation)",
    "mistilt": "tilt of the zone axis",
    "blur": "image spread (standard deviation)",
    "blur_variance": "image spread (variance)",
    "b": "displacement factor B",
    "background": "background, as a part of the dose",
    "scale": "electrons of vacuum, by the mean",
    "absorption": "absorption, as a part of the potential",
    "mtf": "transfer of the detector at the Nyquist frequency",
    "noise_mtf": "transfer of its noise, likewise",
    "dose": "dose",
}


def heights_contents(
    result: "HeightsResult",
    table: Table,
    known: tuple[Column, ...],
    found: dict[str, Any],
    record: dict[str, Any],
    frames: Table | None = None,
) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `result`: of `heights`.
    - `table`, `known`: of columns, and what its columns mean.
    - `found`: what goes into `summary.json`.
    - `record`: what goes into `run.json`.
    - `frames`: a row a frame, of a stack.
    """
    which, image = atoms_shown(len(result)), result.source.image
    if len(which) < len(result):
        few = (
            f"This page shows {len(which)} of {len(result)} columns, chosen at random; heights.csv has all."
        )
        found = found | {"warnings": [*found["warnings"], few]}
    return {
        "headline": heights_headline(found),
        "things": "columns",
        "unit": "counts",
        "columns": described({name: x[which] for name, x in table.items()}, known),
        "pictures": modelled_pictures(result.counts, result.model, image.grid),
        "radius": _radius(result.positions),
        "numbers": height_numbers(found),
        "conditions": conditions_shown(result.found.conditions, found),
        "cautions": height_cautions(result, found),
        "noise": f"{result.gain.told()[:1].upper()}{result.gain.told()[1:]}.",
        "residuals": residual_scores(result),
        "frames": None if frames is None else {name: x.tolist() for name, x in frames.items()},
        "summary": found,
        "run": record,
    }


def heights_headline(found: dict[str, Any]) -> dict[str, Any]:
    """The page's first lines.

    **Arguments:**

    - `found`: what goes into `summary.json`.

    **Returns:** as of `image_words.image_headline`.
    """
    n, atoms = found["columns"], found["atoms"]
    counted = (
        f"{atoms['mean']:,.0f} ± {max(atoms['esd'], 1):,.0f} {atoms['element']} atoms in " if n else ""
    )
    frames = found.get("frames")
    in_frames = f" in {frames['number']:,} frames" if frames else ""
    return {
        "title": f"{counted}{n:,} {'column' if n == 1 else 'columns'}{in_frames}",
        "source": f"found in {found['image']['file'] or 'an image without a file'}",
        "verdict": _said(found),
        "warnings": list(found.get("warnings", ())),
        "judged": found["verdict"],
    }


def _said(found: dict[str, Any]) -> list[str]:
    zone = "".join(str(i) for i in found["crystal"]["zone"])
    crystal = f"{found['crystal']['name']} along [{zone}]"
    if not found["columns"]:
        return [f"Nothing in the image looks like a column of {crystal}."]
    vacant = found["vacant"]
    by = "by a network alone" if found["by"] == "network" else "by the likelihood of the image"
    frames = found.get("frames")
    each = (
        [
            f"Of {frames['number']:,} frames, which have {frames['atoms_least']:,.0f} to "
            f"{frames['atoms_most']:,.0f} atoms, and drift by up to {frames['drift']:.2g} Å. Below are "
            "all columns that they show, with means of the frames' probabilities."
        ]
        if frames
        else []
    )
    return [
        *each,
        f"Columns of {crystal}, {by}, at {found['dose']:,.4g} electrons/Å².",
        f"{vacant:,} of {found['columns']:,} positions {'is' if vacant == 1 else 'are'} likeliest vacant. "
        f"The sets of heights that hold 90 % have {found['set_size']:.1f} heights on average: 1 would be "
        "certain.",
    ]


def height_numbers(found: dict[str, Any]) -> list[Row]:
    """Rows of the table of figures: name, value, esd and unit.

    **Arguments:**

    - `found`: what goes into `summary.json`.
    """
    atoms, model = found["atoms"], found["model"]
    rows = [
        row_of("positions of columns", found["columns"]),
        row_of("of these likeliest vacant", found["vacant"]),
        row_of(f"atoms of {atoms['element']} in all columns", atoms["mean"], atoms["esd"]),
        row_of("heights in a set that holds 90 % (mean)", found["set_size"]),
        row_of("dose: the image's mean", found["dose"], unit="electrons/Å²"),
        row_of("gain", found["gain"]["value"], unit="counts/electron"),
        row_of("pixel of the image", found["image"]["pixel_size"], unit="Å"),
    ]
    if found["by"] == "likelihood":
        rows.append(row_of("variance of what is left, in that of noise", model["misfit"]))
    return [row for row in rows if not (isinstance(row["value"], float) and np.isnan(row["value"]))]


def conditions_shown(conditions: tuple[Condition, ...], found: dict[str, Any]) -> dict[str, Any]:
    """The table of imaging conditions.

    **Arguments:**

    - `conditions`: of the imaging.
    - `found`: what goes into `summary.json`.

    **Returns:** `head` and `rows` of name, value, esd, unit, prior and its esd, and `words`.
    """
    rows = [
        [
            _in_words(one.name),
            *map(_known, (one.value, one.esd)),
            one.unit,
            *map(_known, (one.prior, one.prior_esd)),
        ]
        for one in conditions
    ]
    alone = (
        "The network tells the defocus only, positive for overfocus; run.json tells for which aberrations "
        "it was trained (network)."
    )
    modelled = (
        "How the image was made, found together with the heights, each with its standard uncertainty; what "
        "was held likely before stands beside it. Defocus is positive for overfocus."
    )
    return {
        "head": ["", "value", "unit", "held likely before"],
        "rows": rows,
        "words": alone if found["by"] == "network" else modelled,
    }


def _in_words(name: str) -> str:
    base, _, axis = name.rpartition("_")
    if axis in ("x", "y") and base in _WORDS:
        return f"{_WORDS[base]}, {axis}"
    if base == "b":
        return f"{_WORDS[base]} of {axis}"
    return _WORDS.get(name, name)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def height_cautions(result: "HeightsResult", found: dict[str, Any]) -> list[str]:
    """What is not to be trusted, in sentences.

    **Arguments:**

    - `result`: of `heights`.
    - `found`: what goes into `summary.json`.
    """
    n = len(result)
    if not n:
        return ["There is no column to be trusted or not."]
    grid = result.source.image.grid
    away = np.minimum(result.positions, grid.extent - grid.spacing - result.positions).min(axis=1)
    near, gone = int(np.sum(away < _BORDER)), int(np.sum(~result.found.on_lattice))
    said = [f"Heights count atoms of {result.element} along the beam; columns without any are not told."]
    if near:
        said.append(
            f"{near:,} of {n:,} columns {'is' if near == 1 else 'are'} nearer than {_BORDER:g} Å to the "
            "image's border, where a part of what they scatter is not seen."
        )
    if gone:
        said.append(f"{gone:,} of {n:,} columns {'is' if gone == 1 else 'are'} at no site of the crystal.")
    if found["by"] == "network":
        said.append(
            "A network alone has no error bars of positions, which are right to some 0.1 Å, and does not "
            "tell where along the beam a column begins. Its probabilities were calibrated on simulated "
            "images."
        )
    return [
        *said,
        "The standard uncertainty of all atoms takes columns as independent; what a wrong gain or defocus "
        "would do to all of them at once is not in it."
        if found["by"] == "network"
        else "The standard uncertainty of all atoms is that of samples of all columns together; what a "
        "wrong model would do to all of them at once is not in it.",
        "Every length has the relative error of the pixel size.",
    ]


def residual_scores(result: "HeightsResult") -> dict[str, Any] | None:
    """Histogram of what a model leaves, in deviations of the noise of electrons; None without a model.

    **Returns:** what `residuals.histogram` does.
    """
    if result.model is None:
        return None
    noise = _noise(result.model, result.gain.value)
    scores = (result.counts - result.model) / noise
    return histogram(scores.ravel(), float(np.median(noise)), True, "pixels", "of the image", "counts")


def _noise(model: Float[np.ndarray, "rows columns"], gain: float) -> Float[np.ndarray, "rows columns"]:
    return np.sqrt(gain * np.maximum(model, 1e-3 * float(model.mean())))


def _radius(positions: Float[np.ndarray, "n 2"]) -> float:
    """Of a column as it is drawn (Å)."""
    return _RADIUS * float(np.median(nearest_distances(positions))) if len(positions) > 1 else 1.0
