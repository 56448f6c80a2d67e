"""The page: what it holds, that nothing from outside becomes HTML, and that a browser shows it."""

import base64
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
    require_print,
    shown_without_complaint,
)

from atomfit.files.build import run_record, summary
from atomfit.files.columns import depth_table, particle, rejected_table, table
from atomfit.report.atoms import atoms_shown
from atomfit.report.contents import contents
from atomfit.report.described import MOST_SHOWN
from atomfit.report.page import REPORT, page
from atomfit.report.whole import particle_rows
from atomfit.report.words import verdict
from atomfit.results.build import BuildResult
from atomfit.simulation import Simulation
from atomfit.structure.grid import DensityMap
from atomfit.support.units import HALF_PROBABILITY_SCALE
from atomfit.workflows.build import build

HOSTILE = '</script><img src=x onerror="alert(1)"><!-- {{data}}.mrc'


def told(result: BuildResult, **changes: Any) -> dict[str, Any]:
    model = result.model
    found = summary(result, model) | {"warnings": [], "particle": particle(result, table(result))} | changes
    record = run_record(result, 0.0)
    return contents(result, table(result), rejected_table(result.discarded), model, found, record)


@pytest.fixture(scope="module")
def content(small_result: BuildResult) -> dict[str, Any]:
    return told(small_result)


@pytest.fixture(scope="module")
def text(content: dict[str, Any]) -> str:
    return page(content, REPORT)


def test_the_data_are_those_of_the_result(text: str, small_result: BuildResult) -> None:
    data = json.loads(parsed(text).scripts[0], parse_constant=pytest.fail)
    columns = {column["name"]: column for column in data["columns"]}
    assert set(table(small_result)) == set(columns)
    np.testing.assert_allclose(columns["x"]["values"], small_result.positions[:, 0], atol=6e-6)
    assert columns["u_iso"]["unit"] == "Å²"
    assert columns["element"]["values"] == ["Pt"] * 55
    assert data["summary"]["atoms"] == len(data["ellipsoids"]) == 55
    axes = np.array(data["ellipsoids"]).reshape(-1, 3, 3) / HALF_PROBABILITY_SCALE
    np.testing.assert_allclose(np.swapaxes(axes, 1, 2) @ axes, small_result.matrices, atol=1e-4)


def test_what_is_not_known_is_null(small_result: BuildResult) -> None:
    model = small_result.model
    columns = table(small_result)
    columns["u_iso"] = np.where(np.arange(55) == 3, np.nan, columns["u_iso"])
    columns["strain"] = np.full(55, np.inf)
    found, record = summary(small_result, model), run_record(small_result, 0.0)
    made = page(
        contents(small_result, columns, rejected_table(small_result.discarded), model, found, record),
        REPORT,
    )
    data = json.loads(parsed(made).scripts[0], parse_constant=pytest.fail)
    values = {column["name"]: column["values"] for column in data["columns"]}
    assert values["u_iso"][3] is None
    assert values["u_iso"][4] is not None
    assert values["strain"] == [None] * 55


def test_nothing_is_loaded(text: str) -> None:
    assert not re.search(r"https?://|@import|url\(|\bfetch\(|XMLHttpRequest|import\(", text)
    for tag, attributes in parsed(text).found:
        assert "src" not in attributes
        assert attributes.get("href", "#")[:1] == "#" or (tag, attributes["href"]) == ("link", "data:,")
    assert "default-src 'none'" in text


def test_a_hostile_file_name_stays_text(small_result: BuildResult) -> None:
    found = summary(small_result, small_result.model)
    changed = told(small_result, map=found["map"] | {"file": HOSTILE}, warnings=[HOSTILE])
    elements = parsed(page(changed, REPORT))
    assert "img" not in {tag for tag, _ in elements.found}
    assert len(elements.scripts) == 2
    assert json.loads(elements.scripts[0])["headline"]["source"].endswith(HOSTILE)


def test_map_is_model_plus_residual_within_a_level(
    content: dict[str, Any], small_result: BuildResult
) -> None:
    shown = content["slices"]
    volumes = []
    for name in ("model", "residual"):
        part = shown[name]
        levels = np.frombuffer(base64.b64decode(part["bytes"]), np.uint8).reshape(shown["shape"])
        volumes.append(part["low"] + levels / 255 * (part["high"] - part["low"]))
    density = small_result.density
    first = density.grid.nearest_voxels(np.asarray(shown["origin"]))
    box = tuple(slice(a, a + n) for a, n in zip(first, shown["shape"], strict=True))
    level = sum(shown[name]["high"] - shown[name]["low"] for name in ("model", "residual")) / 255
    np.testing.assert_allclose(sum(volumes), density.values[box], atol=0.51 * level)


def test_residuals_are_measured_in_noise(content: dict[str, Any]) -> None:
    found = content["residuals"]
    assert found["measured"]
    assert found["noise"] == pytest.approx(0.03, rel=0.05)
    assert found["deviation"] == pytest.approx(1, abs=0.1)
    total = np.sum(found["density"] * np.diff(found["edges"])) + found["beyond"] / found["count"]
    assert total == pytest.approx(1)


def test_a_page_of_many_atoms_shows_some() -> None:
    np.testing.assert_array_equal(atoms_shown(5), np.arange(5))
    some = atoms_shown(1000, most=100)
    assert len(np.unique(some)) == 100
    assert np.all(np.diff(some) > 0)
    assert some[-1] > 900


def test_statistics_of_the_particle_are_rows(small_result: BuildResult) -> None:
    whole = particle(small_result, table(small_result))
    rows = {row["name"]: row for row in particle_rows(whole)}
    assert rows["median coordination number"]["value"] == whole["table_1"]["median_cn"]
    assert "icosahedral" in rows["surroundings of atoms"]["value"]
    assert any(name.endswith(": lattice constant") for name in rows) == bool(whole["lattices"])
    assert all(set(row) == {"name", "value", "esd", "unit"} for row in rows.values())
    assert particle_rows(None) == []


@pytest.mark.parametrize(
    ("chi_square", "words"),
    [
        (1.02, "within its noise"),
        (1.3, "a little more"),
        (3, "clearly more"),
        (0.7, "less"),
        (np.nan, "not known"),
    ],
)
def test_the_verdict_follows_chi_square(chi_square: float, words: str) -> None:
    assert words in verdict({"chi_square_reduced": chi_square, "correlation": 0.97})
    assert "0.970" in verdict({"chi_square_reduced": chi_square, "correlation": 0.97})


def test_the_verdict_without_a_joint_fit() -> None:
    assert "one by one" in verdict({"correlation": 0.9})


@pytest.fixture
def opened(browser: Any, text: str, tmp_path: Path) -> Iterator[Any]:
    """The page in a browser, which is to say nothing on its console and to ask for nothing else."""
    yield from shown_without_complaint(browser, text, tmp_path / "report.html")


def test_the_page_is_drawn(opened: Any) -> None:
    assert opened.inner_text("h1") == "55 Pt atoms"
    assert "55 of 55 atoms shown" in opened.inner_text("#shown")
    assert opened.locator("#atoms-table tbody tr:not([hidden])").count() > 10
    charts = (
        "#threshold, #scatter-one, #scatter-two, #histogram-one, #pair-distances, #bond-lengths, "
        "#by-coordination, #residuals, #baseline"
    )
    assert opened.locator(charts).locator("svg[role]").count() == 9


def test_both_optima_of_the_threshold_are_in_one_frame(opened: Any, content: dict[str, Any]) -> None:
    detection = content["summary"]["detection"]
    paper, model = detection["threshold"]["threshold"], detection["model_threshold"]["threshold"]
    marks = [
        float(x)
        for x in opened.eval_on_selector_all("#threshold .mark", "m => m.map(e => e.getAttribute('x1'))")
    ]
    assert np.sign(marks[1] - marks[0]) == np.sign(model - paper)
    heights = opened.eval_on_selector_all("#threshold circle", "m => m.map(e => +e.getAttribute('cy'))")
    curve = opened.get_attribute("#threshold .curve.other", "points")
    assert min(float(point.split(",")[1]) for point in curve.split()) >= heights[1] - 0.02
    assert "F1" in opened.inner_text("#threshold .key")


def test_five_atoms_in_a_row_have_one_mean(opened: Any, small_result: BuildResult) -> None:
    points = opened.get_attribute("#scatter-two .means", "points").split()
    assert len(points) == len(depth_table(table(small_result))["radial_depth"]) == 51
    assert opened.locator("#scatter-one .means").get_attribute("points") == ""


def test_colour_shape_and_cut_change_the_picture(opened: Any) -> None:
    seen = [picture(opened, "#view")]
    for control, choice in (("#colour", "cn"), ("#shape", "spheres"), ("#cut", "z")):
        opened.select_option(control, choice)
        seen.append(picture(opened, "#view"))
    assert len(set(seen)) == 4
    assert "coordination number" in opened.inner_text("#colour-bar")
    assert "55 of 55" not in opened.inner_text("#shown")


def test_dragging_and_the_wheel_move_the_particle(opened: Any) -> None:
    box = opened.locator("#view").bounding_box()
    before = picture(opened, "#view")
    opened.mouse.move(box["x"] + 200, box["y"] + 100)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 260, box["y"] + 120, steps=3)
    opened.mouse.up()
    turned = picture(opened, "#view")
    opened.mouse.wheel(0, -300)
    assert len({before, turned, picture(opened, "#view")}) == 3


def test_a_row_selects_its_atom_and_an_atom_its_row(opened: Any) -> None:
    before = picture(opened, ".plane canvas")
    opened.locator("#atoms-table tbody tr:not([hidden])").nth(4).click()
    assert "Atom 5 is selected" in picture(opened, "#view") + opened.inner_text("#shown")
    assert picture(opened, ".plane canvas") != before
    opened.locator("#view").scroll_into_view_if_needed()
    box = opened.locator("#view").bounding_box()
    opened.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    picture(opened, "#view")
    chosen = re.search(r"Atom (\d+) is selected", opened.inner_text("#shown"))
    assert chosen is not None
    assert opened.inner_text("#atoms-table tr.chosen td").strip() == chosen[1]


def test_the_table_sorts_filters_and_is_saved(opened: Any, small_result: BuildResult) -> None:
    wide = table(small_result)["u_iso"]
    head = opened.locator("#atoms-table th", has_text=re.compile("^u_iso"))
    head.click()
    first = opened.locator("#atoms-table tbody tr:not([hidden]) td").first
    assert int(first.inner_text()) == np.argmin(wide) + 1
    opened.locator("#atoms-table th", has_text=re.compile("^u_iso")).click()
    assert int(first.inner_text()) == np.argmax(wide) + 1
    limit = float(np.sort(wide)[27:29].mean())
    opened.fill("#atoms-table input[type=search]", f"u_iso > {limit}")
    assert "27 of 55 rows" in opened.inner_text("#atoms-table .controls")
    with opened.expect_download() as waiting:
        opened.click("#atoms-table .controls button")
    lines = Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 28
    assert lines[0].startswith("id,element,x,y,z,amplitude")


def test_the_table_is_sorted_by_keys(opened: Any) -> None:
    head = opened.locator("#atoms-table th", has_text=re.compile("^u_iso"))
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").focus()
    for expected in ("ascending", "descending"):
        opened.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == expected
    assert opened.evaluate("document.activeElement.textContent").startswith("u_iso")


@pytest.mark.parametrize(
    ("filter", "rows"),
    [
        ("cn < 9", lambda t: t["cn"] < 9),
        ("CN<9 and u_iso > 0.25", lambda t: (t["cn"] < 9) & (t["u_iso"] > 0.25)),
        ("element = pt", lambda t: t["cn"] > 0),
        ("element != Pt", lambda t: t["cn"] < 0),
        ("x >= 1e1", lambda t: t["x"] >= 10),
        ("icosahedral", lambda t: t["structure"] == "icosahedral"),
    ],
)
def test_filters(opened: Any, small_result: BuildResult, filter: str, rows: Any) -> None:
    opened.fill("#atoms-table input[type=search]", filter)
    count = int(np.sum(rows(table(small_result))))
    assert f"{count} of 55 rows" in opened.inner_text("#atoms-table .controls")
    assert opened.inner_text("#atoms-table .complaint") == ""


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        ("cm < 9", "no column “cm”"),
        ("cn < nine", "“nine” is no number"),
        ("cn <", "is no condition"),
        ("3 < cn", "no column “3”"),
        ("2 < cn < 9", "is no condition"),
        ("element > Pt", "holds words"),
        ("cn < 9 and", "is no condition"),
    ],
)
def test_a_filter_that_cannot_be_read_says_so(opened: Any, filter: str, words: str) -> None:
    opened.fill("#atoms-table input[type=search]", filter)
    said = opened.inner_text("#atoms-table .complaint")
    assert "cannot be read" in said
    assert words in said
    assert "55 of 55 rows" in opened.inner_text("#atoms-table .controls")
    assert opened.get_attribute("#atoms-table input[type=search]", "aria-invalid") == "true"


def test_menus_are_grouped_and_in_words(opened: Any, content: dict[str, Any]) -> None:
    groups = opened.eval_on_selector_all("#colour optgroup", "all => all.map((one) => one.label)")
    assert {"Position", "Neighbours", "Displacement", "Evidence"} < set(groups)
    assert groups.index("Standard uncertainties") > groups.index("Neighbours")
    options = opened.eval_on_selector_all(
        "#colour option", "all => all.map((one) => [one.title, one.textContent])"
    )
    words = dict(options)
    assert words["nn_distance"] == "distance to nearest atom (Å)"
    assert words["u_iso_esd"] == "± displacement U_iso (Å²)"
    assert {name for name in words if words[name] == name} <= {"grain"}


def test_the_page_fits_phones_and_paper(browser: Any, text: str, tmp_path: Path) -> None:
    require_layout(browser, text, tmp_path / "report.html")
    require_print(browser, text, tmp_path / "report.html")


def test_pages_of_few_atoms(browser: Any, content: dict[str, Any], tmp_path: Path) -> None:
    require_any_number(browser, lambda n: page(of_few(content, n), REPORT), tmp_path / "report.html")


def test_a_page_of_as_many_atoms_as_are_shown(
    browser: Any, content: dict[str, Any], tmp_path: Path
) -> None:
    """It can still be sent by mail, and a click has its answer at once."""
    text = page(of_few(content, MOST_SHOWN), REPORT)
    assert len(text.encode()) < 12e6
    for shown in shown_without_complaint(browser, text, tmp_path / "report.html"):
        assert f"{MOST_SHOWN:,} of {MOST_SHOWN:,} rows" in shown.inner_text("#atoms-table .controls")
        shown.fill("#atoms-table input[type=search]", "id = 5")
        assert shown.locator("#atoms-table tbody tr:not([hidden])").count() > 10


@pytest.mark.parametrize("changes", [{"fit": "log"}, {"displacements": "isotropic", "noise": "white"}])
def test_a_page_without_some_of_the_numbers(
    browser: Any, small: Simulation, tmp_path: Path, changes: dict[str, str]
) -> None:
    joint = {} if changes.get("fit") == "log" else {"max_iterations": 2, "selection": "paper"}
    text = page(told(build(small.map, "Pt", **joint, **changes)), REPORT)
    for shown in shown_without_complaint(browser, text, tmp_path / "report.html"):
        assert shown.inner_text("h1") == "55 Pt atoms"
        assert "NaN" not in shown.inner_text("body")


def test_a_page_without_atoms(browser: Any, rng: np.random.Generator, tmp_path: Path) -> None:
    noise = DensityMap.from_array(rng.normal(0, 1, (24, 24, 24)), 0.4)
    result = build(noise, "Pt")
    assert len(result) == 0
    for shown in shown_without_complaint(browser, page(told(result), REPORT), tmp_path / "report.html"):
        assert shown.inner_text("h1") == "0 Pt atoms"
        assert "stands out" in shown.inner_text(".verdict")
        assert "NaN" not in shown.inner_text("body")
