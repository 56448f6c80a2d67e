"""Pages that show a result to those who want to see it before they compute with it.

A page is one file that holds everything: its data as JSON, its style and its programs. It asks for
nothing from anywhere, and its own policy forbids that it does, so that it opens from a disk, from an
e-mail and in ten years. What is drawn and how is in `assets`: a frame that all pages share (`page.html`),
the sections of each kind of page, and programs, most of which are shared as well. What a page is told is
made by `contents`, `tilt`, `image_columns`, `image_heights`, `comparison` and `time_slider`.

Names of files and whatever else comes from outside reach the page as data or escaped, never as HTML.
"""

import html
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from atomfit.io.json_files import plain
from atomfit.support.palette import KINDS
from atomfit.support.text import writable


@dataclass(frozen=True)
class Layout:
    """A kind of page.

    **Fields:**

    - `sections`: assets with a section each, or with several.
    - `scripts`: its programs, in the order in which they need each other.
    """

    sections: tuple[str, ...]
    scripts: tuple[str, ...]


def _sections(*names: str) -> tuple[str, ...]:
    return tuple(f"sections/{name}.html" for name in names)


_BASE = ("data.js", "colours.js", "svg.js", "charts.js")
_PARTICLE = ("paint.js", "balls.js", "scene.js", "particle.js")
#: Of one model.
_MODEL = (*_BASE, "atoms.js", *_PARTICLE, "table.js", "record.js", "statistics.js", "fit.js", "pictures.js")

#: Of a particle that was built.
REPORT = Layout(
    _sections("particle", "slices", "detection", "statistics", "fit", "logfit", "atoms", "record"),
    (*_MODEL, "slices.js", "build.js"),
)
#: Of a particle in a tilt series.
TILT = Layout(
    _sections("particle", "images", "views", "statistics", "fit", "certainty", "atoms", "record"),
    (*_MODEL, "smoothing.js", "images.js", "views.js", "tilt.js"),
)
#: Of the columns of an image.
COLUMNS = Layout(
    _sections("columns", "numbers", "crystal", "micrographs", "distributions", "columns_table", "record"),
    (
        *(*_BASE, "paint.js", "table.js", "record.js", "fit.js", "pictures.js", "micrographs.js"),
        *("crystal.js", "columns.js", "columns_page.js"),
    ),
)
#: The same with a model in three dimensions.
COLUMNS_MODEL = Layout(
    (COLUMNS.sections[0], *_sections("model3d"), *COLUMNS.sections[1:]),
    (*COLUMNS.scripts[:-1], "model3d.js", COLUMNS.scripts[-1]),
)
#: Of heights of columns in an HRTEM image, and with a model of the image.
HEIGHTS = Layout(
    _sections("heights", "numbers", "conditions", "distributions", "heights_table", "record"),
    (
        *(*_BASE, "paint.js", "table.js", "record.js", "fit.js", "pictures.js", "micrographs.js"),
        *("columns.js", "heights_page.js"),
    ),
)
HEIGHTS_MODEL = Layout(
    (*HEIGHTS.sections[:3], *_sections("heights_images"), *HEIGHTS.sections[3:]), HEIGHTS.scripts
)
#: And of each frame of a stack.
HEIGHTS_SERIES = Layout(
    (HEIGHTS.sections[0], *_sections("heights_frames"), *HEIGHTS.sections[1:]), HEIGHTS.scripts
)
#: Of two models.
COMPARISON = Layout(
    ("comparison.html",),
    (*_BASE, "pairs.js", *_PARTICLE, "table.js", "record.js", "models.js", "comparison.js"),
)
#: Of the columns of two images.
COLUMN_COMPARISON = Layout(
    ("column_comparison.html",),
    (*_BASE, "paint.js", "table.js", "record.js", "models.js", "pictures.js", "column_comparison.js"),
)
#: Of things followed in time.
TIME_SLIDER = Layout(
    ("time_slider.html",),
    (
        *(*_BASE, "packed.js", "paint.js", "balls.js", "scene.js", "course.js", "particle.js", "table.js"),
        *("record.js", "models.js", "time_slider.js"),
    ),
)
#: Of a series of models.
SERIES = Layout(("series.html",), (*_BASE, "table.js", "record.js", "models.js", "series.js"))


def write_page(path: Path, content: dict[str, Any], layout: Layout) -> None:
    """Write a page of some content, of `contents`, `tilt`, `image_columns` and others."""
    path.write_text(writable(page(content, layout)), encoding="utf-8")


def page(content: dict[str, Any], layout: Layout) -> str:
    """A page, as HTML.

    **Arguments:**

    - `content`: what it is told, with its `headline`.
    - `layout`: which kind of page.
    """
    sections = "\n".join(_asset(name) for name in layout.sections)
    parts = {
        "title": html.escape(content["headline"]["title"]),
        "headline": _headline(content["headline"]),
        "contents": _contents(sections),
        "style": _asset("page.css"),
        "sections": sections,
        "data": _json({**content, "palette": KINDS}),
        "script": "\n".join(_asset(name) for name in layout.scripts),
    }
    # In one pass, so that what is put in is not searched for more.
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], _asset("page.html"))


def _contents(sections: str) -> str:
    named = re.findall(r'<section id="(\w+)" data-name="([^"]+)">', sections)
    links = " ".join(f'<a href="#{name}">{title}</a>' for name, title in named)
    return f'<nav aria-label="Sections">{links}</nav>'


def _asset(name: str) -> str:
    return files("atomfit.report").joinpath("assets", name).read_text(encoding="utf-8")


#: A verdict's level in words.
_JUDGED = {
    "good": "Nothing that was looked at speaks against this result.",
    "doubtful": "Parts of this result are doubtful.",
    "bad": "This result is not to be trusted.",
}


def _headline(words: dict[str, Any]) -> str:
    findings = words["judged"]["findings"]
    # What the verdict says need not be said twice.
    said = {f"{finding['problem']}; {finding['remedy']}" for finding in findings}
    warnings = "".join(
        f"<li>{html.escape(warning)}</li>" for warning in words["warnings"] if warning not in said
    )
    lines = [
        f"<h1>{html.escape(words['title'])}</h1>",
        f'<p class="file">{html.escape(words["source"])}</p>',
        _judged(words["judged"]["level"], findings),
        *(f'<p class="verdict">{html.escape(sentence)}</p>' for sentence in words["verdict"]),
        f'<ul class="warnings" aria-label="Warnings">{warnings}</ul>'
        if warnings
        else f'<p class="fine">There are no {"other " if findings else ""}warnings.</p>',
    ]
    return "\n".join(lines)


def _judged(level: str, findings: list[dict[str, str]]) -> str:
    """The verdict: its level in words, and each finding with what to do."""
    items = "".join(
        f'<li class="{finding["level"]}">{_sentence(finding["problem"])} '
        f"<em>{_sentence(finding['remedy'])}</em></li>"
        for finding in findings
    )
    listed = f"<ul>{items}</ul>" if items else ""
    return (
        f'<div class="judged {level}" role="note" aria-label="Verdict">'
        f"<p><strong>Verdict: {level}.</strong> {_JUDGED[level]}</p>{listed}</div>"
    )


def _sentence(words: str) -> str:
    return html.escape(words[:1].upper() + words[1:]) + "."


def _json(content: dict[str, Any]) -> str:
    text = json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Nothing in it may end the element that holds it.
    return text.replace("<", "\\u003c")
