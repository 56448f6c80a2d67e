"""The page of an image's columns: its data are those of the fit, and a browser shows them."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import (
    of_few,
    parsed,
    picture,
    require_any_number,
    require_layout,
    shown_without_complaint,
)
from skimage.io import imread

from atomfit.files.image_columns import (
    IMAGE_COLUMNS,
    REJECTED_IMAGE_COLUMNS,
    columns_table,
    particle,
    rejected_columns,
    run_record,
    summary,
)
from atomfit.files.image_particle import particle_statistics
from atomfit.report.image_columns import image_contents
from atomfit.report.image_crystal import crystal_shown
from atomfit.report.image_pictures import image_pictures
from atomfit.report.image_statistics import law_of_counts, statistics_rows
from atomfit.report.image_words import image_cautions, image_headline, image_numbers
from atomfit.report.page import COLUMNS, page
from atomfit.statistics.image_columns import Counting, measure_columns
from atomfit.structure.grid import Grid
from simulated_image import GRID, PIXEL, found, image, places

HOSTILE = '</script><img src=x onerror="alert(1)"><!-- {{data}}.mrc'
COUNT = len(places())


def told(**more: np.ndarray) -> dict[str, Any]:
    """What the page is told, with further columns of the table."""
    result = found()
    table = columns_table(result) | more
    numbers = summary(result) | {"warnings": ["look at this"], "particle": particle(result, table)}
    known = (IMAGE_COLUMNS, REJECTED_IMAGE_COLUMNS)
    tables = (table, rejected_columns(result))
    record = run_record(result, 0.0)
    return image_contents(result, tables, known, result.model, result.background, numbers, record)


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """With counts, strains and lattices, as analyses add them: one of each is not known."""
    numbers = np.arange(COUNT, dtype=float)
    return told(
        count=numbers + 1,
        count_low=numbers,
        count_high=numbers + 3,
        e_xx=np.where(numbers == 2, np.nan, 0.01 * (numbers - 4)),
        domain=np.array([None if n == 3 else n % 2 for n in range(COUNT)], dtype=object),
        site=np.array(["Pt", "Co"] * (COUNT // 2), dtype=object),
    )


def levels(shown: dict[str, Any], name: str) -> np.ndarray:
    return imread(io.BytesIO(base64.b64decode(shown[name]["png"])))


def values(shown: dict[str, Any], name: str) -> np.ndarray:
    part = shown[name]
    return part["low"] + levels(shown, name) / 254 * (part["high"] - part["low"])


def test_the_data_are_those_of_the_result(content: dict[str, Any]) -> None:
    data = json.loads(parsed(page(content, COLUMNS)).scripts[0], parse_constant=pytest.fail)
    columns = {column["name"]: column for column in data["columns"]}
    assert {column.name for column in IMAGE_COLUMNS} < set(columns)
    np.testing.assert_allclose(columns["y"]["values"], found().positions[:, 1], atol=6e-6)
    assert columns["cross_section"]["unit"] == "image units x Å²"
    assert (columns["count"]["group"], columns["count"]["label"]) == ("Counts", "atoms in the column")
    assert columns["e_xx"]["values"][2] is None
    assert data["headline"]["title"] == f"{COUNT} Pt columns"
    assert data["headline"]["warnings"] == ["look at this"]


def test_pictures_are_the_images_within_a_shade(content: dict[str, Any]) -> None:
    shown, result = content["pictures"], found()
    assert (shown["shape"], shown["factor"]) == ([112, 88], 1)
    there = result.counted
    for name, wanted in (
        ("image", image().values),
        ("model", result.model),
        ("background", result.background),
        ("residual", image().values - result.model),
    ):
        part = shown[name]
        step = (part["high"] - part["low"]) / 254
        known = levels(shown, name) != 255
        np.testing.assert_array_equal(known, np.ones_like(there) if name == "image" else there)
        clipped = np.clip(wanted, part["low"], part["high"])
        np.testing.assert_allclose(values(shown, name)[known], clipped[known], atol=0.51 * step)
    scales = {(shown[name]["low"], shown[name]["high"]) for name in ("image", "model", "background")}
    assert len(scales) == 1
    assert shown["residual"]["low"] == -shown["residual"]["high"]


def test_columns_lie_where_the_model_is_bright(content: dict[str, Any]) -> None:
    shown, model = content["pictures"], values(content["pictures"], "model")
    u, v = ((found().positions - shown["first"]) / shown["pixel"]).astype(int).T
    assert np.all(model[v, u] > 0.3)
    known = levels(shown, "model") != 255
    assert np.mean(model[known] > 0.3) < 0.3


def test_large_images_are_made_small(rng: np.random.Generator) -> None:
    values_of, fitted = rng.normal(size=(70, 50)), rng.random((70, 50)) > 0.4
    model, grid = rng.normal(size=(70, 50)), Grid((70, 50), np.full(2, 0.1), np.array([5.0, -3.0]))
    values_of[:3, :3] = np.nan
    shown = image_pictures(values_of, model, np.zeros((70, 50)), fitted, grid, most=25)
    assert (shown["shape"], shown["factor"], shown["pixel"]) == ([23, 16], 3, pytest.approx(0.3))
    np.testing.assert_allclose(shown["first"], [4.95, -3.05])
    residual = levels(shown, "residual")
    assert levels(shown, "image")[0, 0] == residual[0, 0] == 255
    for row, column in ((1, 2), (20, 15), (7, 9)):
        square = np.s_[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        there = fitted[square]
        if there.mean() < 0.5:
            assert residual[row, column] == 255
            continue
        left = (values_of - model)[square][there].mean()
        step = shown["residual"]["high"] / 127
        wanted = np.clip(left, shown["residual"]["low"], shown["residual"]["high"])
        assert values(shown, "residual")[row, column] == pytest.approx(wanted, abs=step)


def test_words_follow_the_numbers() -> None:
    result = found()
    table = columns_table(result)
    numbers = summary(result) | {"particle": particle(result, table)}
    said = " ".join(image_headline(numbers)["verdict"])
    assert f"{100 * np.median(result.uncertainty.esd):.1g}"[0] in said
    assert "is noise" in said
    measures = numbers["verdict"] | {"measures": {"excess": 4.0}}
    assert "4 times" in " ".join(image_headline(numbers | {"verdict": measures})["verdict"])
    rows = {row["name"]: row["value"] for row in image_numbers(numbers)}
    assert rows["columns"] == COUNT
    dose = rows["dose, if the image is a fraction of the beam"]
    assert dose == pytest.approx(1 / (0.01 * PIXEL**2), rel=0.15)
    counts = rows["electrons in a median column, if its noise is that of counts"]
    assert counts == pytest.approx(0.7 / (0.01 * PIXEL**2), rel=0.2)
    cautious = table | {"flags": np.array(["edge"] + [""] * (COUNT - 1), dtype=object)}
    assert any("1 of 10 columns is cut" in one for one in image_cautions(cautious, numbers))
    assert not any("cut by" in one for one in image_cautions(table, numbers))
    close = table | {"nn_distance": np.full(COUNT, 0.8)}
    assert any("10 of 10 columns are nearer" in one for one in image_cautions(close, numbers))


def test_the_law_of_counts_is_that_of_the_columns() -> None:
    """Of columns of two to five atoms that scatter by little, in no place twice."""
    rng = np.random.default_rng(0)
    atoms = np.repeat([2, 3, 4, 5], [12, 9, 15, 6])
    at = 2.5 * np.stack(np.unravel_index(rng.permutation(49)[: len(atoms)], (7, 7)), axis=1).astype(float)
    sizes, esds = 0.5 * atoms + rng.normal(0, 0.02, len(atoms)), np.full(len(atoms), 0.02)
    spreads = np.tile(1e-4 * np.eye(2), (len(atoms), 1, 1))
    statistics = measure_columns(at, spreads, sizes, esds, Counting(neighbours=False))
    law = law_of_counts(statistics, esds)
    assert law is not None
    assert sum(one["columns"] for one in law) == pytest.approx(len(atoms), abs=0.1)
    for mean, count in ((1.0, 12), (1.5, 9), (2.0, 15), (2.5, 6)):
        near = [one for one in law if abs(one["mean"] - mean) < 0.05]
        assert sum(one["columns"] for one in near) == pytest.approx(count, abs=0.2)
        assert near[0]["deviation"] == pytest.approx(0.02, rel=0.6)
    rows = {row["name"]: row for row in statistics_rows(particle_statistics(statistics))}
    total = rows["atoms in all columns"]
    counts = statistics.counts
    assert counts is not None
    assert (total["value"], total["esd"]) == (counts.total, counts.total_esd)


def test_nothing_is_loaded_and_names_stay_text(content: dict[str, Any]) -> None:
    numbers = summary(found()) | {"warnings": [HOSTILE]}
    numbers["image"]["file"] = HOSTILE
    text = page(content | {"headline": image_headline(numbers)}, COLUMNS)
    elements = parsed(text)
    assert "img" not in {tag for tag, _ in elements.found}
    assert len(elements.scripts) == 2
    assert not re.search(r"https?://|@import|url\(|\bfetch\(|XMLHttpRequest|import\(", elements.scripts[1])
    assert json.loads(elements.scripts[0])["headline"]["source"].endswith(HOSTILE)


@pytest.fixture
def opened(browser: Any, content: dict[str, Any], tmp_path: Path) -> Iterator[Any]:
    """The page in a browser, which is to say nothing on its console and to ask for nothing else."""
    yield from shown_without_complaint(browser, page(content, COLUMNS), tmp_path / "report.html")


def test_the_page_is_drawn(opened: Any) -> None:
    assert opened.inner_text("h1") == f"{COUNT} Pt columns"
    assert "look at this" in opened.inner_text(".warnings")
    charts = "#histogram-one, #residuals, #scatter-one, #scatter-two"
    assert opened.locator(charts).locator("svg[role]").count() == 4
    assert opened.locator("#image-pictures canvas").count() == 4
    assert opened.locator("#cautions li").count() >= 2
    assert "lattice" in opened.inner_text("#facet-words")
    assert opened.locator("#defects").is_disabled()
    assert opened.locator("#image-numbers tbody tr").count() > 12
    assert opened.locator("#atoms-table tbody tr:not([hidden])").count() == COUNT
    assert "columns: mean" in opened.inner_text("#histogram-one")
    for word in ("NaN", "undefined", "Infinity"):
        assert word not in opened.inner_text("body")


def test_all_that_is_in_the_table_can_colour_columns(opened: Any, content: dict[str, Any]) -> None:
    offered = set(opened.eval_on_selector_all("#colour option", "all => all.map((one) => one.value)"))
    numeric = {one["name"] for one in content["columns"] if one["numeric"] and set(one["values"]) - {None}}
    assert offered == (numeric | {"site"}) - {"id"}
    seen = [picture(opened, "#field")]
    for name in ("count", "e_xx", "domain", "site", "x_esd"):
        opened.select_option("#colour", name)
        seen.append(picture(opened, "#field"))
    assert len(set(seen)) == len(seen)
    # Of two lattices, one colour each; strains lie about zero.
    opened.select_option("#colour", "domain")
    assert opened.locator("#colour-bar circle").count() == 2
    opened.select_option("#colour", "e_xx")
    bar = opened.inner_html("#colour-bar")
    assert "rgb(255,255,255)" in bar or "rgb(25" in bar


def test_facets_are_listed_and_defects_marked(
    browser: Any, content: dict[str, Any], tmp_path: Path
) -> None:
    x, y = found().positions[4] + 1.5
    told = {
        "domains": [{}],
        "facets": [
            {
                "domain": 1,
                "indices": [0, -1],
                "length": 9.0,
                "layer_spacing": 2.0,
                "columns": [1, 2],
                "relaxations": [-0.05, 0.01],
                "relaxations_esd": [0.01, 0.01],
            }
        ],
        "vacancies": [{"domain": 1, "position": [x, y], "left": 0.02}],
    }
    text = page(content | {"crystal": crystal_shown(told)}, COLUMNS)
    for opened in shown_without_complaint(browser, text, tmp_path / "a.html"):
        assert "−5.0 ± 1.0 (−2.5 %)" in opened.inner_text("#facets tbody")
        assert "empty" in opened.inner_text("#defects-table tbody")
        marked = picture(opened, "#field")
        opened.uncheck("#defects")
        assert picture(opened, "#field") != marked


def canvas_place(opened: Any, canvas: Any, position: np.ndarray) -> tuple[float, float]:
    """Where on the screen a place of the image is, when all of it is shown."""
    canvas.scroll_into_view_if_needed()
    box, corner = canvas.bounding_box(), GRID.origin - 0.5 * PIXEL
    width, height = GRID.extent
    scale = min((box["width"] - 2) / width, (box["height"] - 2) / height)
    x = box["x"] + box["width"] / 2 + (position[0] - corner[0] - width / 2) * scale
    y = box["y"] + box["height"] / 2 + (position[1] - corner[1] - height / 2) * scale
    return x, y


def test_columns_are_pointed_at_and_selected(opened: Any) -> None:
    for number, where in ((4, "#field"), (9, "#image-pictures canvas >> nth=2")):
        place = canvas_place(opened, opened.locator(where), found().positions[number])
        opened.mouse.move(*place)
        assert opened.inner_text("#facts h3") == f"Column {number + 1}"
        opened.mouse.click(*place)
        assert opened.inner_text("#shown") == f"Column {number + 1} is selected."
        assert opened.inner_text("#atoms-table tr.chosen td >> nth=0") == str(number + 1)
        facts = opened.inner_text("#facts")
        assert f"{number + 1} ({number} to {number + 3})" in facts
        assert "±" in facts
    before = picture(opened, "#field")
    opened.locator("#atoms-table tbody tr:not([hidden])").nth(2).click()
    assert opened.inner_text("#facts h3") == "Column 3"
    assert picture(opened, "#field") != before


def test_counts_are_drawn_over_cross_sections(
    browser: Any, content: dict[str, Any], tmp_path: Path
) -> None:
    law = [{"count": k, "columns": 5.0, "mean": 0.5 * k, "deviation": 0.03} for k in (1, 2)]
    for shown in shown_without_complaint(
        browser, page(content | {"law": law}, COLUMNS), tmp_path / "a.html"
    ):
        lines = shown.locator("#histogram-one polyline.means")
        assert lines.count() == 2
        assert shown.locator("#histogram-one polyline.wanted").get_attribute("points")
        assert "1, 2, 3" in shown.inner_text("#law-words")
        shown.select_option("#histogram-one select", "score")
        assert lines.count() == 0


def test_pictures_zoom_and_move_together(opened: Any) -> None:
    names = ["#field", *(f"#image-pictures figure:nth-of-type({k}) canvas" for k in (1, 2, 3, 4))]
    whole = [picture(opened, name) for name in names]
    opened.click("#closer")
    closer = [picture(opened, name) for name in names]
    assert all(a != b for a, b in zip(whole, closer, strict=True))
    opened.locator("#field").hover()
    box = opened.locator("#field").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.mouse.move(x, y)
    opened.mouse.down()
    opened.mouse.move(x + 40, y + 30, steps=4)
    opened.mouse.up()
    moved = [picture(opened, name) for name in names]
    assert all(a != b for a, b in zip(moved, closer, strict=True))
    opened.click("#whole")
    opened.mouse.move(0, 0)
    assert [picture(opened, name) for name in names] == whole


def test_what_is_under_the_columns_can_be_chosen(opened: Any) -> None:
    opened.select_option("#shape", "nothing")
    seen = []
    for name in ("image", "model", "residual", "background", ""):
        opened.select_option("#under", name)
        seen.append(picture(opened, "#field"))
    opened.select_option("#under", "image")
    opened.check("#faint")
    seen.append(picture(opened, "#field"))
    opened.select_option("#shape", "rings")
    seen.append(picture(opened, "#field"))
    assert len(set(seen)) == 7


def test_the_page_fits_phones(browser: Any, content: dict[str, Any], tmp_path: Path) -> None:
    require_layout(browser, page(content, COLUMNS), tmp_path / "report.html")


def test_the_page_is_printed(browser: Any, content: dict[str, Any], tmp_path: Path) -> None:
    text = page(content, COLUMNS)
    for shown in shown_without_complaint(browser, text, tmp_path / "report.html", scheme="dark"):
        shown.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        shown.emulate_media(media="print")
        assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert shown.locator("#atoms-table th button").first.is_visible()
        assert not shown.locator("#closer").is_visible()
        assert len(shown.pdf()) > 20_000


def test_pages_of_few_columns(browser: Any, content: dict[str, Any], tmp_path: Path) -> None:
    require_any_number(browser, lambda n: page(of_few(content, n), COLUMNS), tmp_path / "report.html")
