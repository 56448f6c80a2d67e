"""`report.html`: the result on one page, for those who want to see it before they compute with it.

The page is one file that holds everything: its data as JSON, its style and its programs. It asks for
nothing from anywhere, and its own policy forbids that it does, so that it opens from a disk, from an
e-mail and in ten years. What it draws and how is in `assets`; what it is told, in `contents`.

Names of files and whatever else comes from outside reach the page as data or escaped, never as HTML.
"""

import html
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atomfit.io.json_files import plain
from atomfit.report.contents import Table, contents

if TYPE_CHECKING:
    from atomfit.pipeline import BuildResult

#: In the order in which they need each other.
_SCRIPTS = (
    "data.js",
    "colours.js",
    "svg.js",
    "charts.js",
    "balls.js",
    "scene.js",
    "particle.js",
    "slices.js",
    "table.js",
    "panels.js",
)


def write_page(
    path: Path,
    result: "BuildResult",
    columns: Table,
    rejected: Table,
    model: Float[np.ndarray, "..."],
    found: dict[str, Any],
    record: dict[str, Any],
) -> None:
    """Write the page of a result.

    **Arguments:**

    - `path`: of the page.
    - `result`: of `build`.
    - `columns`, `rejected`: the tables of atoms and of places that are none, of any columns.
    - `model`: density of the model on the map's grid (map units).
    - `found`: what goes into `summary.json`; what goes into `particle.json` as `particle`, if there is any.
    - `record`: what goes into `run.json`.
    """
    path.write_text(page(contents(result, columns, rejected, model, found, record)), encoding="utf-8")


def page(content: dict[str, Any]) -> str:
    """The page, as HTML.

    **Arguments:**

    - `content`: of `contents`.
    """
    parts = {
        "title": html.escape(content["headline"]["title"]),
        "headline": _headline(content["headline"]),
        "style": _asset("page.css"),
        "data": _json(content),
        "script": "\n".join(_asset(name) for name in _SCRIPTS),
    }
    # In one pass, so that what is put in is not searched for more.
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return files("atomfit.report").joinpath("assets", name).read_text(encoding="utf-8")


def _headline(words: dict[str, Any]) -> str:
    warnings = "".join(f"<li>{html.escape(warning)}</li>" for warning in words["warnings"])
    lines = [
        f"<h1>{html.escape(words['title'])}</h1>",
        f'<p class="file">found and refined in {html.escape(words["file"])}</p>',
        f'<p class="verdict">{html.escape(words["verdict"])}</p>',
        f'<ul class="warnings" aria-label="Warnings">{warnings}</ul>'
        if warnings
        else '<p class="fine">There are no warnings.</p>',
    ]
    return "\n".join(lines)


def _json(content: dict[str, Any]) -> str:
    text = json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Nothing in it may end the element that holds it.
    return text.replace("<", "\\u003c")
