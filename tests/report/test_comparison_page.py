"""The pages of compared models: what they hold, and that a browser shows them."""

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

from atomfit.files.compare import compare_record
from atomfit.io.comparisons import columns, summary
from atomfit.report.comparison import comparison_contents, page_table, rows_shown, series_contents
from atomfit.report.page import COMPARISON, SERIES, page
from atomfit.simulation.changes import changed
from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Comparison, Model, compare
from atomfit.statistics.depth import measure_depths
from atomfit.verdict.comparison_words import headline, warnings
from atomfit.verdict.of_comparison import judge_comparison

HOSTILE = '</script><img src=x onerror="alert(1)"><!-- {{data}}'
RECORD = {
    "versions": {"atomfit": "0"},
    "command": ["atomfit", "compare"],
    "machine": {"cores": 2},
    "options": {"distance": 1.76},
    "files": [{"name": "a", "path": HOSTILE, "sha256": "0"}],
}


def model(name: str, positions: np.ndarray, sigma: float = 0.05, **numbers: np.ndarray) -> Model:
    n = len(positions)
    ids, symbols = np.arange(1, n + 1), ("Pt",) * n
    return Model(name, ids, symbols, positions, np.full((n, 3), sigma), dict(numbers))


@pytest.fixture(scope="module")
def models() -> list[Model]:
    sites = particle("sphere", "Pt", 150)
    sites = sites + np.random.default_rng(0).normal(0, 0.06, sites.shape)
    first = changed(sites, 1)
    second = changed(first.b, 2, lost=0.03)
    return [model("first", first.a), model(HOSTILE, first.b), model("last", second.b)]


@pytest.fixture(scope="module")
def found(models: list[Model]) -> Comparison:
    return compare(models[0], models[1])


def text_of(c: Comparison) -> str:
    return page(comparison_contents(c, summary(c, 1.76, 0.05, False), RECORD), COMPARISON)


@pytest.fixture
def opened(browser: Any, found: Comparison, tmp_path: Path) -> Iterator[Any]:
    yield from shown_without_complaint(browser, text_of(found), tmp_path / "compare.html")


def test_the_headline_has_the_papers_numbers(found: Comparison) -> None:
    words = headline(found, summary(found, 1.76, 0.05, False))
    common = found.count("common")
    assert words["title"] == f"{common} of 150 atoms are common"
    said = " ".join(words["verdict"]).replace("\u00a0", " ")
    for part in (
        f"{100 * common / 150:.1f} % of A's",
        f"{100 * common / len(found.b):.1f} % of B's",
        f"{found.count('displaced')} atoms were displaced",
        f"{found.count('lost')} lost and {found.count('gained')} gained",
        f"{int(found.moved.sum())} moved by more than noise",
        f"turned by {found.registration.motion.angle:.2f}°",
        f"{found.scale.value:.2f} ± {found.scale.esd:.2f} times as far",
        "error bars are right",
    ):
        assert part in said
    assert words["warnings"] == []


def test_warnings_are_sentences(models: list[Model]) -> None:
    sites = models[0].positions
    shifted = compare(model("a", sites, 0.01), model("b", sites + 0.05, 0.01), move=False)
    assert "neighbours share 100% of their displacements; the atoms moved" in warnings(shifted)[0]
    scattered = sites + np.random.default_rng(0).normal(0, 0.05, sites.shape)
    either = warnings(compare(model("a", sites, 0.01), model("b", scattered, 0.01)))
    assert re.sub(r"[\d.]+", "N", either[0]).startswith(
        "common atoms lie N times as far apart as error bars"
    )
    assert "either these are too small (--calibrate allows for that), or the atoms moved" in either[0]
    rng = np.random.default_rng(0)
    noisy = compare(model("a", sites, 1.0), model("b", sites + rng.normal(0, 0.05, sites.shape), 1.0))
    assert "too large" in warnings(noisy)[0]
    elsewhere = compare(model("a", sites), model("b", sites + 40), move=False)
    assert "are they one particle?" in warnings(elsewhere)[0]


def test_words_without_error_bars(models: list[Model]) -> None:
    bare = compare(model("a", models[0].positions, np.nan), model("b", models[0].positions, np.nan))
    said = " ".join(headline(bare, summary(bare, 1.76, 0.05, False))["verdict"])
    assert "not both models have error bars" in said
    assert "not known" in said
    same = compare(models[0], models[0])
    assert "copies" in " ".join(headline(same, summary(same, 1.76, 0.05, False))["verdict"])


def test_the_data_are_those_of_the_table(found: Comparison) -> None:
    data = json.loads(parsed(text_of(found)).scripts[0], parse_constant=pytest.fail)
    shown = {column["name"]: column for column in data["columns"]}
    assert set(columns(found)) < set(shown)
    assert shown["status"]["values"] == list(found.statuses)
    assert shown["id_b"]["values"] == [None if i is None else int(i) for i in columns(found)["id_b"]]
    depth = measure_depths(found.a.positions).radial
    lone = found.first < 0
    expected = np.where(lone, np.nan, depth[found.first])
    got = np.array([np.nan if v is None else v for v in shown["radial_depth_a"]["values"]])
    np.testing.assert_allclose(got, expected, atol=6e-5)
    assert set(found.statuses) <= set(data["kinds"]["status"])


def test_coordination_is_counted_where_it_is_not_known(models: list[Model]) -> None:
    a = models[0]
    known = model("a", a.positions, cn=np.full(150, 7.0))
    assert np.nanmax(page_table(compare(known, a))["cn_a"]) == 7
    counted = page_table(compare(a, a))["cn_a"]
    assert np.max(counted) == 12


def test_a_page_of_many_rows_shows_what_changed(found: Comparison) -> None:
    changes = np.flatnonzero(np.array(found.statuses, dtype=object) != "common")
    rows = rows_shown(found, most=len(changes) + 10)
    assert len(rows) == len(changes) + 10
    assert set(changes) <= set(rows)
    assert np.all(np.diff(rows) > 0)
    np.testing.assert_array_equal(rows_shown(found), np.arange(len(found)))


def test_nothing_is_loaded_and_names_stay_text(found: Comparison, models: list[Model]) -> None:
    c = compare(models[1], models[2])
    tracks = np.zeros((1, 3), int)
    pairs = [(found, summary(found, 1.76, 0.05, False))]
    series = series_contents(models, pairs, tracks, RECORD, judge_comparison(found).told())
    for text in (text_of(found), text_of(c), page(series, SERIES)):
        elements = parsed(text)
        assert "img" not in {tag for tag, _ in elements.found}
        assert len(elements.scripts) == 2
        assert "default-src 'none'" in text
        for tag, attributes in elements.found:
            assert "src" not in attributes
            href = attributes.get("href", "#")
            assert href[:1] == "#" or (tag, href) == ("link", "data:,")


def test_the_page_is_drawn(opened: Any, found: Comparison) -> None:
    assert opened.inner_text("h1") == f"{found.count('common')} of 150 atoms are common"
    assert f"{len(found)} of {len(found)} atoms shown" in opened.inner_text("#shown")
    charts = "#distances, #probabilities, #scatter-one, #scatter-two, #by-coordination"
    assert opened.locator(charts).locator("svg").count() == 5
    assert "NaN" not in opened.inner_text("body")
    bars = opened.eval_on_selector_all("#probabilities .bars", "b => b.map(e => +e.getAttribute('height'))")
    assert bars[0] == max(bars) > 1.5 * np.median(bars)


def test_colour_models_arrows_and_cut_change_the_picture(opened: Any, found: Comparison) -> None:
    seen = [picture(opened, "#view")]
    controls = (("#colour", "distance"), ("#arrows", "20"), ("#show", "b"), ("#cut", "z"))
    for control, choice in controls:
        opened.select_option(control, choice)
        seen.append(picture(opened, "#view"))
        if control == "#show":
            assert f"{len(found.b)} of {len(found)} atoms shown" in opened.inner_text("#shown")
    assert len(set(seen)) == len(seen)


def test_a_row_selects_its_atoms_and_the_table_is_saved(opened: Any, found: Comparison) -> None:
    opened.fill("#atoms-table input[type=search]", "displaced")
    lines = opened.locator("#atoms-table tbody tr:not([hidden])")
    assert lines.count() == found.count("displaced")
    lines.first.click()
    picture(opened, "#view")
    row = found.statuses.index("displaced")
    assert f"Atom {found.first[row] + 1} of first, {found.second[row] + 1} of" in opened.inner_text(
        "#shown"
    )
    with opened.expect_download() as waiting:
        opened.click("#atoms-table .controls button")
    saved = Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(saved) == 1 + found.count("displaced")
    assert saved[0].startswith("status,id_a,id_b,element_a")


def test_the_page_fits_phones_and_paper(browser: Any, found: Comparison, tmp_path: Path) -> None:
    require_layout(browser, text_of(found), tmp_path / "compare.html")
    require_print(browser, text_of(found), tmp_path / "compare.html")


def test_pages_of_few_atoms(browser: Any, found: Comparison, tmp_path: Path) -> None:
    content = comparison_contents(found, summary(found, 1.76, 0.05, False), RECORD)
    require_any_number(browser, lambda n: page(of_few(content, n), COMPARISON), tmp_path / "compare.html")


def test_a_page_without_error_bars(browser: Any, models: list[Model], tmp_path: Path) -> None:
    a, b = (model(one.name, one.positions, np.nan) for one in models[:2])
    for shown in shown_without_complaint(browser, text_of(compare(a, b)), tmp_path / "compare.html"):
        assert "no error bars" in shown.inner_text("#probabilities")
        assert "NaN" not in shown.inner_text("body")


def test_models_with_nothing_in_common(browser: Any, models: list[Model], tmp_path: Path) -> None:
    far = model("far", models[0].positions + 100)
    c = compare(models[0], far, move=False)
    for shown in shown_without_complaint(browser, text_of(c), tmp_path / "compare.html"):
        assert shown.inner_text("h1") == "0 of 150 atoms are common"
        assert "one particle?" in shown.inner_text(".judged")
        assert "NaN" not in shown.inner_text("body")


def test_a_series_leads_to_its_pages(browser: Any, tmp_path: Path) -> None:
    import atomfit

    sites = particle("sphere", "Pt", 55)
    for k, name in enumerate(("one", "two #2%", "three")):
        kept = sites[k:] + np.random.default_rng(k).normal(0, 0.03, (55 - k, 3))
        lines = [",".join(f"{v:.5f}" for v in r) + ",0.03,0.03,0.03" for r in kept]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,z,x_esd,y_esd,z_esd", *lines]))
    result = atomfit.compare([tmp_path / f"{name}.csv" for name in ("one", "two #2%", "three")])
    out = result.write(tmp_path / "out")
    assert [file["name"] for file in compare_record(result)["files"]] == ["one", "two #2%", "three"]
    text = (out / "compare.html").read_text(encoding="utf-8")
    for shown in shown_without_complaint(browser, text, tmp_path / "out" / "compare.html"):
        assert shown.inner_text("h1") == "3 models of one particle"
        assert "53 atoms are in every model" in shown.inner_text(".verdict")
        assert shown.locator("#common svg[role], #apart svg[role]").count() == 2
        assert shown.locator("#tracks-table tbody tr:not([hidden])").count() > 10
        links = shown.eval_on_selector_all("#pairs-table a", "a => a.map(e => e.href)")
    assert len(links) == 3
    for link in links:
        other = browser.new_page()
        other.goto(link)
        other.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)
        assert "atoms are common" in other.inner_text("h1")
        other.close()
