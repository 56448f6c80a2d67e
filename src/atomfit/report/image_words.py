"""An image's columns in words: the first lines of its `report.html`, its figures, and what not to trust.

Three questions of whoever looks at a table of columns: is each of them there, how well is it known, and
what is not in the error bars? The last has answers that hold of any image (drift, the pixel size) and
others that are of this one (columns at its edge, faint ones, close ones).
"""

from typing import Any

import numpy as np

from atomfit.report.described import Table
from atomfit.report.image_statistics import counted_words, counting_cautions, statistics_rows
from atomfit.report.whole import Row, row_of

#: Columns nearer to each other than so many of their widths are told apart by their shape alone.
_CLOSE = 2.4
#: Columns that stand out by less are faint (σ).
_FAINT = 6.0
#: The finding that says the same of what is left.
_STRUCTURED = "structured-residual"
#: What is left varies little more than noise of single pixels would, up to so many times.
_NOISE = 1.3


def image_headline(found: dict[str, Any]) -> dict[str, Any]:
    """The page's first lines.

    **Arguments:**

    - `found`: what goes into `summary.json`; what goes into `particle.json` as `particle`, if there is one.

    **Returns:** `title`, `source`, `verdict` as sentences, `warnings`, and the verdict as it is `judged`.
    """
    n, elements = found["columns"], " and ".join(found["element"])
    return {
        "title": f"{n:,} {elements + ' ' if elements else ''}{'column' if n == 1 else 'columns'}",
        "source": f"found and refined in {found['image']['file'] or 'an image without a file'}",
        "verdict": [one for one in _said(found) if one],
        "warnings": list(found.get("warnings", ())),
        "judged": found["verdict"],
    }


def _said(found: dict[str, Any]) -> list[str]:
    counted = counted_words(found.get("particle", {})) if found["columns"] else ""
    return [*_known(found), counted, _rejected(found["rejected"])]


def _known(found: dict[str, Any]) -> list[str]:
    if not found["columns"]:
        return ["Nothing in the image stands out from its noise as a column would."]
    medians = found["medians"]
    position, size = _along(medians), medians["relative_cross_section_esd"]
    said = [
        f"As far as noise goes, positions are known to {100 * position:.2g} pm along each axis and "
        f"cross-sections to {100 * size:.2g} % (median standard uncertainties)."
    ]
    excess = _excess(found)
    if excess is not None and excess <= _NOISE:
        said.append("What is left of the image is noise: it has no pattern of a column's size.")
    elif excess is not None and not any(one["code"] == _STRUCTURED for one in found["verdict"]["findings"]):
        said.append(
            f"At the size of a column, what is left of the image varies {excess:.3g} times as much as "
            "noise of single pixels would; scores and error bars contain that."
        )
    return said


def _along(medians: dict[str, Any]) -> float:
    """Of a position along an axis (Å)."""
    return float(np.sqrt(0.5 * (medians["x_esd"] ** 2 + medians["y_esd"] ** 2)))


def _excess(found: dict[str, Any]) -> float | None:
    value = found["verdict"]["measures"].get("excess", np.nan)
    return float(value) if np.isfinite(value) else None


def _rejected(count: int) -> str:
    if not count:
        return "No other place was considered."
    places = "place was" if count == 1 else "places were"
    return f"{count:,} other {places} considered and not taken; they are listed below."


def image_numbers(found: dict[str, Any]) -> list[Row]:
    """Rows of the table of figures: name, value, esd and unit.

    **Arguments:**

    - `found`: what goes into `summary.json`, with what goes into `particle.json` as `particle`.
    """
    fit, medians, whole = found["fit"], found["medians"], found["particle"]
    rows = [
        row_of("columns", found["columns"]),
        row_of("places that were considered and are none", found["rejected"]),
        row_of("columns look", "bright" if found["detection"]["bright"] else "dark"),
        row_of("pixel of the image", found["image"]["pixel_size"], unit="Å"),
        row_of("pixel that was fitted", fit["pixel_size"], unit="Å"),
        row_of("from knot to knot of the background", float(np.mean(fit["background_step"])), unit="Å"),
        *_noise_rows(found),
    ]
    if not found["columns"]:
        return rows
    width = whole["width"]
    return [
        *rows,
        row_of("width of a column (standard deviation; median)", width["median"], width["esd"], "Å"),
        *_shape_rows(fit),
        row_of("distance to the nearest column (median)", whole["nn_distance_median"], unit="Å"),
        row_of(
            "standard uncertainty of a position along an axis (median)", 100 * _along(medians), unit="pm"
        ),
        row_of(
            "standard uncertainty of a cross-section (median)",
            100 * medians["relative_cross_section_esd"],
            unit="%",
        ),
        row_of("score (median)", medians["score"], unit="σ"),
        row_of("cross-section (median)", whole["cross_section_median"], unit="image units x Å²"),
        row_of("cross-sections, sum", whole["cross_section_total"], unit="image units x Å²"),
        *statistics_rows(whole),
    ]


def _shape_rows(fit: Any) -> list[Row]:
    wings, growth = fit["wings"], fit["growth"]
    rows = []
    if fit["row_jitter"] is not None:
        rows.append(
            row_of("offset of a line of the scan (standard deviation)", fit["row_jitter"], unit="Å")
        )
    if wings["part"]:
        rows.append(row_of("part of a column in its wings", wings["part"], wings["part_esd"]))
    if growth["power"]:
        rows.append(
            row_of("widths grow as integrals to the power of", growth["power"], growth["power_esd"])
        )
    return rows


def _noise_rows(found: dict[str, Any]) -> list[Row]:
    """Noise and dose as far as the image tells them."""
    fit = found["fit"]
    gain, area = fit["noise"]["gain"], fit["pixel_size"] ** 2
    excess = _excess(found)
    rows = [
        row_of(
            "noise of a fitted pixel where it is darkest",
            fit["noise"]["level_deviation"],
            unit="image units",
        ),
        row_of("noise: variance gained with each unit of brightness", gain, unit="image units"),
    ]
    if excess is not None:
        rows.append(row_of("variance of what is left at a column's size, in that of noise", excess))
    if gain > 0:
        rows.append(
            row_of("dose, if the image is a fraction of the beam", 1 / (gain * area), unit="electrons/Å²")
        )
    if gain > 0 and found["columns"]:
        size = abs(found["particle"]["cross_section_median"])
        rows.append(
            row_of("electrons in a median column, if its noise is that of counts", size / (gain * area))
        )
    return rows


#: How an image's noise is found.
NOISE = (
    "Noise was found from the image itself: its variance is a constant and a part that grows with "
    "brightness, both fitted to what the columns' fit leaves, in classes of brightness. Whether "
    "neighbouring pixels err together is seen at the size of a column, and is in scores and error bars."
)


def image_cautions(columns: Table, found: dict[str, Any]) -> list[str]:
    """What is not to be trusted, in sentences.

    **Arguments:**

    - `columns`: the table of columns.
    - `found`: what goes into `summary.json`, with what goes into `particle.json` as `particle`.
    """
    n = found["columns"]
    if not n:
        return ["There is no column to be trusted or not."]
    flagged = np.array(["edge" in str(flag) for flag in columns["flags"]])
    apart = np.asarray(columns["nn_distance"], np.float64) / np.asarray(columns["width"], np.float64)
    counted = [
        (
            flagged,
            "cut by the image's edge, or by pixels that do not count: cross-section and position lean on "
            "the common width",
        ),
        (
            apart < _CLOSE,
            f"nearer to a neighbour than {_CLOSE:g} widths: they merge in the image, what one has more of "
            "the other has less of, and they may be one column that is not round",
        ),
        (
            np.asarray(columns["score"], np.float64) < _FAINT,
            f"faint (score below {_FAINT:g} σ): these are the ones that may be false, or change with --fdr",
        ),
    ]
    said = [
        f"{_of(int(which.sum()), n)} {'is' if which.sum() == 1 else 'are'} {words}."
        for which, words in counted
        if which.any()
    ]
    if found["fit"]["widths"] == "shared":
        said.append(
            "All columns share one width. One that is wider (tilted, thicker, out of focus) then has a "
            "cross-section that is too small and leaves a ring; --widths own tells."
        )
    return [
        *said,
        *counting_cautions(
            found["particle"], found["element"], not found["detection"]["bright"], found.get("warnings", ())
        ),
        "Error bars hold noise alone. Drift and scan distortion move whole rows and stretch the lattice by "
        "per cents without a trace in them, and every length has the relative error of the pixel size.",
        "A cross-section is what a column's shape over the background holds: tails that a "
        "background takes up are in none.",
    ]


def _of(count: int, n: int) -> str:
    return f"{count:,} of {n:,} columns"
