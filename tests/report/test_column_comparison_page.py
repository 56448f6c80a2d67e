"""The page of two images compared: what it holds, and that a browser shows it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browsing import parsed, require_layout, shown_without_complaint

from atomfit.io.column_comparisons import COLUMN_COMPARE_COLUMNS, column_summary
from atomfit.report.column_comparison import column_comparison_contents
from atomfit.report.page import COLUMN_COMPARISON, page
from atomfit.simulation.changed_columns import ColumnChanges, changed_columns
from atomfit.statistics.column_changes import ColumnComparison, compare_columns
from atomfit.support.palette import COLUMN_STATUSES

HOSTILE = '</script><img src=x onerror="alert(1)"><!-- {{data}}'
RECORD = {
    "versions": {"atomfit": "0"},
    "command": ["atomfit", "compare"],
    "machine": {"cores": 2},
    "options": {"fdr": 0.05},
    "files": [{"name": "a", "path": HOSTILE, "sha256": "0"}],
}


@pytest.fixture(scope="module")
def found() -> ColumnComparison:
    case = changed_columns(160, 120, 1e5, ColumnChanges(lost=0.05, gained=0.05, recounted=0.1, moved=0.2))
    return compare_columns(case.a, replace(case.b, name=HOSTILE))


def text_of(c: ColumnComparison) -> str:
    return page(column_comparison_contents(c, column_summary(c, 0.05, False), RECORD), COLUMN_COMPARISON)


@pytest.fixture
def opened(browser: Any, found: ColumnComparison, tmp_path: Any) -> Iterator[Any]:
    yield from shown_without_complaint(browser, text_of(found), tmp_path / "compare.html")


def test_the_data_are_those_of_the_table(found: ColumnComparison) -> None:
    data = json.loads(parsed(text_of(found)).scripts[0], parse_constant=pytest.fail)
    shown = {column["name"]: column for column in data["columns"]}
    assert set(shown) == {column.name for column in COLUMN_COMPARE_COLUMNS}
    assert shown["status"]["values"] == list(found.statuses)
    assert set(found.statuses) <= set(COLUMN_STATUSES)
    changed = sum(found.count(kind) for kind in ("moved", "changed", "lost", "gained"))
    assert data["headline"]["title"] == f"{changed} of {len(found)} columns changed"
    assert "atoms lost" in " ".join(data["headline"]["verdict"])


def test_a_browser_shows_every_column(opened: Any, found: ColumnComparison) -> None:
    rings = found.count("gained")
    assert opened.locator("#both svg circle").count() == len(found) + rings + 1
    opened.select_option("#show", "a")
    assert opened.locator("#both svg circle").count() == len(found.a) + 1
    opened.select_option("#show", "")
    for name in ("difference", "probability", "facet", "distance"):
        if opened.locator(f"#colour option[value={name}]").count():
            opened.select_option("#colour", name)
    assert opened.locator("#both svg path").count() > 50
    opened.select_option("#arrows", "")
    assert opened.locator("#both svg path").count() == 0


def test_a_row_is_selected_in_the_picture(opened: Any) -> None:
    opened.locator("#atoms-table tbody tr").nth(3).click()
    assert "is selected" in opened.locator("#shown").inner_text()
    assert float(opened.locator("#both .chosen").get_attribute("r")) > 5


def test_it_fits_a_desk_and_a_phone(browser: Any, found: ColumnComparison, tmp_path: Any) -> None:
    require_layout(browser, text_of(found), tmp_path / "compare.html")


def test_without_numbers_it_says_so(browser: Any, found: ColumnComparison, tmp_path: Any) -> None:
    bare = [
        replace(
            image,
            covariances=np.full((len(image), 2, 2), np.nan),
            cross_sections=np.full(len(image), np.nan),
            cross_section_esds=np.full(len(image), np.nan),
            probabilities=None,
            law=None,
            corners=None,
        )
        for image in (found.a, found.b)
    ]
    text = text_of(compare_columns(bare[0], bare[1]))
    for shown in shown_without_complaint(browser, text, tmp_path / "compare.html"):
        assert "There are no error bars to judge by." in shown.locator("#p-moved").inner_text()
        assert "not known" in shown.locator("#totals").inner_text()
