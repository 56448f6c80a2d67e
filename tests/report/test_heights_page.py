"""The page of heights of columns: its data, and what a browser makes of it, with a model and without."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atomfit.column_heights import Condition, FoundGain, Heights, follow_heights
from atomfit.files.height_tables import height_columns, heights_table
from atomfit.files.heights import run_record, summary, write_heights_results
from atomfit.files.heights_series import SEEN, frames_table, frames_told
from atomfit.io.images import image_of
from atomfit.networks import ColumnsSeen, ImageSeen
from atomfit.options.heights import HeightsOptions
from atomfit.report.image_heights import heights_contents
from atomfit.report.page import HEIGHTS, HEIGHTS_MODEL, HEIGHTS_SERIES, page
from atomfit.results.heights import HeightsResult
from atomfit.structure.crystals import crystal, zone_columns
from atomfit.verdict.of_heights import judge_heights
from report.browsing import parsed, picture, require_any_number, require_layout, shown_without_complaint

WHITE = FoundGain(1.0, "whole", 1.02, 0.02, 1.0, 0.03)


@pytest.fixture(scope="module")
def result() -> HeightsResult:
    """Planted columns, as a likelihood would have them."""
    rng = np.random.default_rng(0)
    x, y = 3.8 * np.mgrid[1:6, 1:5].reshape(2, -1)
    positions, n = np.stack([x, y], axis=1), len(x)
    probabilities = rng.dirichlet(np.full(11, 0.2), n)
    expected = np.full((100, 120), 40.0)
    v, u = 0.2 * np.mgrid[:100, :120]
    for place, height in zip(positions, probabilities.argmax(axis=1), strict=True):
        expected += 8 * height * np.exp(-((u - place[0]) ** 2 + (v - place[1]) ** 2))
    counts = rng.poisson(expected).astype(np.float64)
    conditions = (
        Condition("defocus", "nm", -5.31, 0.21, 0.0, 10.0),
        Condition("a1_x", "nm", 0.4, 0.1, 0.0, 1.0),
        Condition("blur", "Å", 0.3, float("nan")),
    )
    found = Heights(
        positions,
        np.full((n, 2), 0.03),
        probabilities,
        rng.uniform(0, 3, n),
        np.full(n, 0.5),
        np.arange(n) > 1,
        conditions,
        1003.0,
        1.0,
        expected,
        1.05,
    )
    seen = ImageSeen(
        np.zeros((100, 120)),
        np.zeros((100, 120, 11)),
        ColumnsSeen(positions, found.presence, probabilities),
        1003.0,
        5.0,
        1.0,
    )
    ceria = crystal("CeO2")
    columns = zone_columns(ceria, (1, 1, 0))
    return HeightsResult(
        image_of(counts, 0.2),
        counts,
        HeightsOptions(crystal="CeO2", zone="110"),
        ceria,
        columns,
        WHITE,
        seen,
        found,
        "likelihood",
        {"crystal": "CeO2"},
        judge_heights(found, True, columns, "Ce", WHITE, 0.9),
        ("a warning <b>",),
        {"read": 0.1},
        write_heights_results,
    )


def content_of(result: HeightsResult) -> dict[str, Any]:
    told = summary(result) | {"warnings": list(result.warnings)}
    levels = result.probabilities.shape[1]
    return heights_contents(
        result, heights_table(result.found), height_columns(levels), told, run_record(result, 0.1)
    )


def without_model(result: HeightsResult) -> HeightsResult:
    return replace(result, by="network", found=replace(result.found, expected=None, conditions=()))


def test_the_data_are_those_of_the_result(result: HeightsResult) -> None:
    text = page(content_of(result), HEIGHTS_MODEL)
    data = json.loads(parsed(text).scripts[0], parse_constant=pytest.fail)
    named = {column["name"]: column for column in data["columns"]}
    assert named["height"]["values"] == result.heights.tolist()
    assert named["p_3"]["label"] == "probability of 3 atoms"
    assert [row[0] for row in data["conditions"]["rows"]] == [
        *("defocus C1", "astigmatism A1, x", "image spread (standard deviation)")
    ]
    atoms, esd = result.atoms
    assert f"<h1>{atoms:,.0f} ± {esd:,.0f} Ce atoms in 20 columns</h1>" in text
    assert "a warning &lt;b&gt;" in text


@pytest.fixture
def opened(browser: Any, result: HeightsResult, tmp_path: Path) -> Iterator[Any]:
    yield from shown_without_complaint(
        browser, page(content_of(result), HEIGHTS_MODEL), tmp_path / "a.html"
    )


def test_columns_are_coloured_selected_and_told_of(opened: Any, result: HeightsResult) -> None:
    seen = [picture(opened, "#field")]
    opened.select_option("#colour", "start")
    seen.append(picture(opened, "#field"))
    for name in ("model", "residual", ""):
        opened.select_option("#under", name)
        seen.append(picture(opened, "#field"))
    assert len(set(seen)) == 5
    opened.locator("#atoms-table tbody tr").nth(3).click()
    facts = opened.inner_text("#facts")
    assert "Column 3" in facts
    assert opened.locator("#facts svg .bars").count() == 11
    assert opened.locator("#image-pictures canvas").count() == 3
    assert "−5.31 ± 0.21" in opened.inner_text("#conditions-table")
    assert opened.locator("#residuals svg").count() == 1


def test_a_network_alone_has_its_image(browser: Any, result: HeightsResult, tmp_path: Path) -> None:
    text = page(content_of(without_model(result)), HEIGHTS)
    for shown in shown_without_complaint(browser, text, tmp_path / "a.html", width=390):
        assert shown.locator("#under option").count() == 2
        assert shown.locator("#images").count() == 0
        assert "no residual" in shown.inner_text("#residuals")


def test_frames_are_shown_in_time(browser: Any, result: HeightsResult, tmp_path: Path) -> None:
    alone = without_model(result).found
    frames = frames_table(follow_heights([alone, alone, alone]))
    told = summary(result) | {"warnings": [], "frames": frames_told(frames)}
    known = (*height_columns(11), SEEN)
    table = heights_table(alone) | {"frames": np.full(len(alone), 3)}
    content = heights_contents(without_model(result), table, known, told, run_record(result, 0.1), frames)
    for shown in shown_without_complaint(browser, page(content, HEIGHTS_SERIES), tmp_path / "a.html"):
        assert "20 columns in 3 frames" in shown.inner_text("h1")
        assert shown.locator("#frames-atoms .error").count() == 3
        assert "no numbers" in shown.inner_text("#frames-other")
        shown.select_option("#frames-number", "columns")
        assert shown.locator("#frames-other svg").count() == 1
        shown.select_option("#colour", "frames")


def test_the_page_fits_phones(browser: Any, result: HeightsResult, tmp_path: Path) -> None:
    require_layout(browser, page(content_of(result), HEIGHTS_MODEL), tmp_path / "a.html")


def test_pages_of_few_columns(browser: Any, result: HeightsResult, tmp_path: Path) -> None:
    def text_of(n: int) -> str:
        found, k = result.found, slice(0, n)
        few = replace(
            found,
            positions=found.positions[k],
            position_esds=found.position_esds[k],
            probabilities=found.probabilities[k],
            starts=found.starts[k],
            start_esds=found.start_esds[k],
            on_lattice=found.on_lattice[k],
        )
        return page(content_of(replace(result, found=few)), HEIGHTS_MODEL)

    require_any_number(browser, text_of, tmp_path / "a.html")
