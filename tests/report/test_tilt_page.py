"""The page of a tilt series: its data are those of the fit, and a browser shows them."""

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

from atomfit.files.columns import rejected_table
from atomfit.files.tilt import TILT_COLUMNS, particle, run_record, summary, table, view_numbers
from atomfit.projection.agreement import seen_at
from atomfit.projection.views import TiltSeries, Views
from atomfit.report.levels import UNKNOWN, in_shades
from atomfit.report.page import TILT, page
from atomfit.report.residuals import pattern
from atomfit.report.tilt import certainty, tilt_contents
from atomfit.report.tilt_views import Window, pictures, view_table, views_shown
from atomfit.report.tilt_words import tilt_headline
from atomfit.results.tilt import TiltResult
from atomfit.workflows.tilt import tilt
from simulated_series import PIXEL, Planted, planted

HOSTILE = '</script><img src=x onerror="alert(1)"><!-- {{data}}.mrc'


@pytest.fixture(scope="module")
def truth() -> Planted:
    return planted(views=12, shift=0.2, noise=0.05)


@pytest.fixture(scope="module")
def result(truth: Planted, tmp_path_factory: pytest.TempPathFactory) -> TiltResult:
    """Every fourth view held out, drifts refined, a corner of the images not measured."""
    folder = tmp_path_factory.mktemp("tilt")
    start = truth.write(folder, truth.positions)[-1]
    images = truth.images.copy()
    images[:, :6, :6] = np.nan
    return tilt(
        images,
        truth.views,
        "Pt",
        pixel_size=PIXEL,
        mask_value=np.nan,
        start=start,
        anneal=False,
        held_out=4,
        refine=("backgrounds", "gains", "shifts"),
    )


@pytest.fixture(scope="module")
def content(result: TiltResult) -> dict[str, Any]:
    columns = table(result)
    found = summary(result) | {"warnings": ["look at this"], "particle": particle(result, columns)}
    rejected, refined = rejected_table(result.selection.discarded), view_numbers(result)
    return tilt_contents(result, columns, TILT_COLUMNS, rejected, refined, found, run_record(result, 0.0))


@pytest.fixture(scope="module")
def data(content: dict[str, Any]) -> dict[str, Any]:
    """What the page's programs read."""
    return json.loads(parsed(page(content, TILT)).scripts[0], parse_constant=pytest.fail)


def shades(data: dict[str, Any], name: str) -> np.ndarray:
    shown = data["pictures"]
    levels = np.frombuffer(base64.b64decode(shown[name]["bytes"]), np.uint8)
    return levels.reshape(-1, *shown["shape"])


def values(data: dict[str, Any], name: str) -> np.ndarray:
    part = data["pictures"][name]
    return part["low"] + shades(data, name) / 254 * (part["high"] - part["low"])


def test_the_data_are_those_of_the_result(data: dict[str, Any], result: TiltResult) -> None:
    columns = {column["name"]: column for column in data["columns"]}
    assert list(columns) == [column.name for column in TILT_COLUMNS]
    np.testing.assert_allclose(columns["x"]["values"], result.positions[:, 0], atol=6e-6)
    assert columns["x"]["meaning"] == "refined position in the specimen's frame"
    assert columns["u11"]["values"] == [None] * 43
    assert data["headline"]["title"] == "43 Pt atoms"
    assert data["headline"]["warnings"] == ["look at this"]
    assert data["refined"] == ["backgrounds", "gains", "shifts"]
    assert [row["name"] for row in data["certainty"]] == ["x_esd", "y_esd", "z_esd"]
    found = np.median(result.position_errors[:, 2])
    assert data["certainty"][2]["median"] == pytest.approx(found)
    assert data["certainty"][2]["largest"] == pytest.approx(result.position_errors[:, 2].max())


def test_numbers_of_the_views_are_those_of_the_fit(data: dict[str, Any], result: TiltResult) -> None:
    views = {column["name"]: column["values"] for column in data["views"]}
    np.testing.assert_allclose(views["tilt"], np.linspace(-70, 70, 12), atol=0.01)
    assert [k for k, held in enumerate(views["held_out"]) if held] == [2, 6, 10]
    np.testing.assert_allclose(views["shift_u"], result.fit.views.shifts[:, 0], atol=6e-5)
    np.testing.assert_allclose(views["correlation"], result.fit.correlations, atol=6e-6)


def test_pictures_are_the_images_within_a_shade(
    data: dict[str, Any], truth: Planted, result: TiltResult
) -> None:
    assert data["pictures"]["views"] == list(range(12))
    known = result.prepared.series.counted
    for name, images in (
        ("measured", truth.images),
        ("model", result.fit.images),
        ("residual", result.residual),
    ):
        part = data["pictures"][name]
        clipped = np.clip(images, part["low"], part["high"])
        step = (part["high"] - part["low"]) / 254
        np.testing.assert_allclose(values(data, name)[known], clipped[known], atol=0.51 * step)
    for name in ("measured", "residual"):
        np.testing.assert_array_equal(shades(data, name) == UNKNOWN, ~known)
    part = data["pictures"]["residual"]
    assert part["low"] == -part["high"]
    np.testing.assert_allclose(data["pictures"]["centres"], result.views.centres, atol=6e-4)


def test_atoms_are_placed_where_the_model_is_bright(data: dict[str, Any], result: TiltResult) -> None:
    """With what the page's programs are told: rotations, centres, first pixel and factor."""
    shown, model = data["pictures"], values(data, "model")
    background = np.median(model)
    for k in range(12):
        rotation = np.array(shown["rotations"][k]).reshape(3, 3)
        away = (result.positions - shown["centre"]) @ rotation[:2].T / shown["pixel"]
        u, v = ((away + shown["centres"][k] - shown["first"]) / shown["factor"]).round().astype(int).T
        assert np.mean(model[k, v, u] > background + 0.5 * np.ptp(model[k]) / 3) > 0.9


def test_a_window_has_all_atoms_and_no_more_than_can_be_shown() -> None:
    places = np.array([[100.0, 210.0], [500.0, 480.0]])
    window = Window.around(places, 10, (600, 700), most=160)
    (u, v), (rows, columns), factor = window.first, window.shape, window.factor
    assert max(rows, columns) <= 160
    assert factor == 3
    assert u <= 90
    assert v <= 200
    assert u + columns * factor >= 509
    assert v + rows * factor >= 489
    small = Window.around(places[:1], 10, (600, 700), most=160)
    assert (small.shape, small.factor) == ((160, 160), 1)
    assert Window.around(places / 10, 1, (60, 70)) == Window((0, 0), (60, 70), 1)
    assert Window.around(places[:1], 10, (600, 700), most=160).first == (20, 130)


def test_large_pixels_are_means_of_what_was_measured(rng: np.random.Generator) -> None:
    images, known = rng.normal(size=(2, 11, 13)), rng.random((2, 11, 13)) > 0.6
    window = Window((1, 2), (3, 4), 3)
    means, there = window.of(np.where(known, images, np.nan), known)
    for k in range(2):
        for row in range(3):
            for column in range(4):
                part = (k, slice(2 + 3 * row, 5 + 3 * row), slice(1 + 3 * column, 4 + 3 * column))
                assert there[k, row, column] == known[part].any()
                expected = images[part][known[part]].mean() if known[part].any() else 0
                assert means[k, row, column] == pytest.approx(expected)


def test_binned_and_cropped_pictures_leave_measured_less_model(rng: np.random.Generator) -> None:
    """Of images with too many pixels: atoms lie in the picture where they are seen."""
    positions = rng.uniform(-65, 65, (40, 3))
    views = Views.from_tilts(np.array([-60.0, 0.0, 50.0]), "y", (420, 400))
    images = np.zeros((3, 420, 400))
    series = TiltSeries(images, np.ones(images.shape, bool), 0.5, views, np.zeros(3))
    seen = [seen_at(positions, r, c, 0.5) for r, c in zip(views.rotations, views.centres, strict=True)]
    for image, places in zip(images, seen, strict=True):
        for u, v in places.round().astype(int):
            image[v - 2 : v + 3, u - 2 : u + 3] = 1
    shown = pictures(series, 0.25 * images, views, positions, np.arange(3))
    assert shown["factor"] == 3
    found = json.loads(json.dumps({"pictures": shown}, default=lambda x: np.asarray(x).tolist()))
    bright = values(found, "measured")
    for k in range(3):
        u, v = ((seen[k] - np.array(shown["first"]) - 0.5 * (3 - 1)) / 3).round().astype(int).T
        assert np.all(bright[k, v, u] > 0.4)
    model, residual = values(found, "model"), values(found, "residual")
    np.testing.assert_allclose(residual, bright - model, atol=0.02)


def test_what_is_beyond_the_shades_is_their_end() -> None:
    part = in_shades(np.array([-5.0, 0.0, 1.0, 9.0, 0.5]), np.array([1, 1, 1, 1, 0], bool), 0.0, 1.0)
    assert list(base64.b64decode(part["bytes"])) == [0, 0, 254, 254, UNKNOWN]


def test_some_of_many_views_are_shown_and_the_worst_of_all() -> None:
    correlations = np.full(100, 0.9)
    np.testing.assert_array_equal(views_shown(correlations[:24]), np.arange(24))
    correlations[41] = 0.2
    shown = views_shown(correlations)
    assert len(shown) <= 24
    assert {0, 41, 99} <= set(shown.tolist())
    assert np.diff(shown).max() <= 6


def test_views_without_an_axis_have_no_tilt(result: TiltResult, rng: np.random.Generator) -> None:
    from scipy.spatial.transform import Rotation

    anywhere = Rotation.random(12, rng=rng).as_matrix()
    columns = view_table(view_numbers(result), anywhere)
    assert "tilt" not in columns
    assert "view" in columns


def test_noise_has_no_pattern_and_what_is_smooth_has(rng: np.random.Generator) -> None:
    from scipy.ndimage import gaussian_filter

    noise, everywhere = rng.normal(size=(6, 70, 64)), np.ones((6, 70, 64), bool)
    assert pattern(noise, everywhere, 5) == pytest.approx(1, abs=0.15)
    assert pattern(3 * noise, everywhere, 5) == pytest.approx(pattern(noise, everywhere, 5) or 0)
    smooth = gaussian_filter(noise, (0, 2, 2))
    assert (pattern(smooth, everywhere, 5) or 0) > 5
    # What does not count has no part in it.
    half = np.arange(64) < 32
    mixed = np.where(half, noise, 100.0)
    assert pattern(mixed, everywhere & half, 5) == pytest.approx(1, abs=0.2)
    assert pattern(noise, everywhere & (np.arange(64) < 4), 5) is None


def test_certainty_is_told_in_quantiles() -> None:
    columns = {name: np.arange(1.0, 102.0) for name in ("x_esd", "y_esd")}
    columns |= {"z_esd": np.array([np.nan, 3.0]), "amplitude_esd": np.full(3, np.nan)}
    rows = {row["name"]: row for row in certainty(columns)}
    assert set(rows) == {"x_esd", "y_esd", "z_esd"}
    assert (rows["x_esd"]["median"], rows["x_esd"]["most"], rows["x_esd"]["largest"]) == (51, 91, 101)
    assert rows["z_esd"]["median"] == 3


def said(result: TiltResult, ratio: float | None = 1.0, drop: Any = None, **changes: Any) -> str:
    found = summary(result)
    if drop is not None:
        found["fit"]["held_out_drop"] = {"mean": drop[0], "error": drop[1]}
    for name, value in changes.items():
        found["fit"][name] = value
    words = tilt_headline(found, result.symbols, "found in the images alone", ratio)
    return " ".join(words["verdict"])


def test_the_verdict_follows_the_numbers(result: TiltResult) -> None:
    fitted = f"{result.fit.correlations[~result.fit.held_out].mean():.3f} (mean over 9 views"
    held = f"{result.fit.correlations[result.fit.held_out].mean():.3f} on 3 views"
    for part in (fitted, held):
        assert part in said(result)
    assert "about as good" in said(result, drop=(0.001, 0.01))
    assert "the fit describes noise" in said(result, drop=(0.05, 0.01))
    assert "no view was held out" in said(result, held_out=None)
    assert "no pattern" in said(result, 1.1)
    assert "has a pattern" in said(result, 4.0)
    assert "2.0 times" in said(result, 4.0)
    assert "What is left" not in said(result, None)
    error = float(np.median(result.position_errors))
    assert f"known to {100 * error:.2g} pm" in said(result)
    assert "Rotations" not in said(result)
    assert "real: atoms from one half" in said(result, half_sets={"refined": 0.02, "nominal": 0.1})
    assert "do not support it" in said(result, half_sets={"refined": 0.2, "nominal": 0.1})


def test_nothing_is_loaded_and_names_stay_text(content: dict[str, Any], result: TiltResult) -> None:
    found = summary(result)
    found["images"]["file"] = HOSTILE
    words = tilt_headline(found | {"warnings": [HOSTILE]}, result.symbols, HOSTILE, 1.0)
    text = page(content | {"headline": words}, TILT)
    elements = parsed(text)
    assert "img" not in {tag for tag, _ in elements.found}
    assert len(elements.scripts) == 2
    assert not re.search(r"https?://|@import|url\(|\bfetch\(|XMLHttpRequest|import\(", elements.scripts[1])
    assert all("src" not in attributes for _, attributes in elements.found)
    assert json.loads(elements.scripts[0])["headline"]["source"].endswith(HOSTILE)


@pytest.fixture
def opened(browser: Any, content: dict[str, Any], tmp_path: Path) -> Iterator[Any]:
    """The page in a browser, which is to say nothing on its console and to ask for nothing else."""
    yield from shown_without_complaint(browser, page(content, TILT), tmp_path / "report.html")


def test_the_page_is_drawn(opened: Any) -> None:
    assert opened.inner_text("h1") == "43 Pt atoms"
    assert "43 of 43 atoms shown" in opened.inner_text("#shown")
    assert "look at this" in opened.inner_text(".warnings")
    charts = (
        "#scatter-one, #scatter-two, #histogram-one, #histogram-two, #pair-distances, #bond-lengths, "
        "#by-coordination, #convergence, #residuals, #scores"
    )
    assert opened.locator(charts).locator("svg[role]").count() == 10
    # Rotations were not refined, and are not drawn.
    titles = opened.eval_on_selector_all("#view-charts h4", "heads => heads.map(e => e.textContent)")
    assert titles == ["Correlation", "R-factor", "Drift", "Gain", "Background"]
    assert opened.locator("#view-charts svg[role]").count() == 5
    assert opened.locator("#view-charts figure:first-child circle.held").count() == 3
    assert opened.locator("#view-charts figure:first-child circle.view").count() == 12
    assert "and drift. Taken as given: rotation. Views that were" in opened.inner_text("#refined")
    assert "not measured" in opened.inner_text("#view-note")
    assert opened.locator("#views-table tbody tr:not([hidden])").count() == 12
    assert opened.input_value("#shape") == "spheres"
    assert "NaN" not in opened.inner_text("body")


def test_the_page_fits_phones_and_paper(browser: Any, content: dict[str, Any], tmp_path: Path) -> None:
    require_layout(browser, page(content, TILT), tmp_path / "report.html")
    require_print(browser, page(content, TILT), tmp_path / "report.html")


def test_pages_of_few_atoms(browser: Any, content: dict[str, Any], tmp_path: Path) -> None:
    require_any_number(browser, lambda n: page(of_few(content, n), TILT), tmp_path / "report.html")


def test_colour_and_cut_change_the_particle(opened: Any) -> None:
    seen = [picture(opened, "#view")]
    for control, choice in (("#colour", "z_esd"), ("#colour", "structure"), ("#cut", "z")):
        opened.select_option(control, choice)
        seen.append(picture(opened, "#view"))
    assert len(set(seen)) == 4


def slide(opened: Any, place: int) -> None:
    opened.locator("#view-slider").evaluate(
        f"slider => {{ slider.value = {place}; slider.dispatchEvent(new Event('input')); }}"
    )


def three(opened: Any) -> list[str]:
    return [picture(opened, f"#view-pictures figure:nth-of-type({k}) canvas") for k in (1, 2, 3)]


def test_the_slider_goes_through_the_views(opened: Any, content: dict[str, Any]) -> None:
    before = three(opened)
    slide(opened, 2)
    after = three(opened)
    assert all(a != b for a, b in zip(before, after, strict=True))
    told = opened.inner_text("#view-words")
    assert "number 2 (0 to 11)" in told
    assert "held out" in told
    correlation = content["views"][-3]["values"][2]
    assert f"{correlation:.3g}" in told
    slide(opened, 3)
    assert "held out" not in opened.inner_text("#view-words")


def test_atoms_are_marked_and_pictures_smoothed(opened: Any) -> None:
    bare = three(opened)
    opened.check("#marks")
    marked = three(opened)
    opened.uncheck("#marks")
    assert three(opened) == bare
    opened.select_option("#smooth", "0.4")
    smooth = three(opened)
    for pictures_of_one in zip(bare, marked, smooth, strict=True):
        assert len(set(pictures_of_one)) == 3
    opened.select_option("#smooth", "")
    assert three(opened) == bare


def test_a_dot_and_a_row_show_their_view(opened: Any) -> None:
    dot = opened.locator("#view-charts figure:first-child circle.view").nth(8)
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    opened.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "number 8 " in opened.inner_text("#view-words")
    guides = opened.eval_on_selector_all(
        "#view-charts figure:first-child .guide", "lines => lines.map(line => +line.getAttribute('x1'))"
    )
    assert guides == [pytest.approx(float(dot.get_attribute("cx")), abs=0.1)]
    opened.locator("#views-table tbody tr:not([hidden])").nth(4).click()
    assert "number 4 " in opened.inner_text("#view-words")
    opened.select_option("#views-across", "view")
    assert (
        "number of the viewcorrelation"
        in opened.locator("#view-charts figure:first-child svg").text_content()
    )


#: Place of a picture in its canvas (px): a ruler on the left, little elsewhere.
LEFT, TOP, RIGHT = 46, 8, 8


def click_uppermost(
    opened: Any, shown: dict[str, Any], positions: np.ndarray, views: Views, view: int
) -> int:
    """Click where the uppermost atom of a view is seen, and tell which it is."""
    slide(opened, view)
    places = seen_at(positions, views.rotations[view], views.centres[view], PIXEL)
    uppermost = int(np.argmin(places[:, 1]))
    canvas = opened.locator("#view-pictures canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    scale = (box["width"] - LEFT - RIGHT) / shown["shape"][1] / shown["factor"]
    u, v = scale * (places[uppermost] + 0.5 - shown["first"])
    opened.mouse.click(box["x"] + LEFT + u, box["y"] + TOP + v)
    picture(opened, "#view")
    return uppermost


def test_pixels_have_the_shades_of_their_view(opened: Any, data: dict[str, Any]) -> None:
    model = shades(data, "model") * (255 / 254)
    slide(opened, 7)
    picture(opened, "#view")
    reds, width = opened.evaluate(
        """() => {
            const canvas = document.querySelectorAll("#view-pictures canvas")[1];
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return [Array.from(data.filter((_, i) => i % 4 === 0)), width];
        }"""
    )
    drawn = np.array(reds).reshape(-1, width)
    scale = (width - LEFT - RIGHT) / 44
    # Of each pixel what is drawn in its middle.
    u, v = ((start + scale * (np.arange(n) + 0.5)).astype(int) for start, n in ((LEFT, 44), (TOP, 46)))
    np.testing.assert_allclose(drawn[np.ix_(v, u)], model[7], atol=1)


def test_an_atom_is_selected_in_all_pictures(
    opened: Any, content: dict[str, Any], result: TiltResult
) -> None:
    before = three(opened)
    opened.locator("#atoms-table tbody tr:not([hidden])").nth(4).click()
    assert all(a != b for a, b in zip(before, three(opened), strict=True))
    assert "Atom 5 is selected" in opened.inner_text("#shown")
    atom = click_uppermost(opened, content["pictures"], result.positions, result.views, 7)
    assert f"Atom {atom + 1} is selected" in opened.inner_text("#shown")


def test_atoms_have_their_places_in_a_part_of_larger_images(
    browser: Any, content: dict[str, Any], result: TiltResult, tmp_path: Path
) -> None:
    """Of a specimen that is turned, so that all numbers of the rotations count, in larger pixels."""
    from scipy.spatial.transform import Rotation

    series, away = result.prepared.series, 60
    around = ((0, 0), (away, away), (away, away))
    turned = Rotation.from_euler("xyz", [50, 20, 70], degrees=True).as_matrix()
    views = Views(result.views.rotations @ turned.T, result.views.centres + away)
    positions = result.positions @ turned.T
    large = TiltSeries(
        np.pad(series.images, around), np.pad(series.counted, around), PIXEL, views, series.centre
    )
    shown = pictures(large, np.pad(result.fit.images, around), views, positions, np.arange(12), most=20)
    assert shown["factor"] > 1
    assert min(shown["first"]) > 20
    places = dict(zip("xyz", positions.T, strict=True))
    columns = [
        column | {"values": places[column["name"]].tolist()} if column["name"] in places else column
        for column in content["columns"]
    ]
    text = page(content | {"pictures": shown, "columns": columns}, TILT)
    for opened in shown_without_complaint(browser, text, tmp_path / "report.html"):
        assert "means of" in opened.inner_text("#view-note")
        chosen = None
        for view in (0, 4, 9):
            atom = click_uppermost(opened, shown, positions, views, view)
            # A second click on the same atom lets it go.
            chosen = None if atom == chosen else atom
            words = "" if chosen is None else f"Atom {chosen + 1} is selected"
            assert opened.inner_text("#shown").partition(". ")[2].partition(":")[0] == words


def test_a_page_without_some_of_the_numbers(browser: Any, content: dict[str, Any], tmp_path: Path) -> None:
    """No tilt axis, nothing refined or held out, no error bars, no history, some of the views."""
    views = [
        column | {"values": [0] * 12} if column["name"] == "held_out" else column
        for column in content["views"]
        if column["name"] != "tilt"
    ]
    columns = [
        column | {"values": [None] * 43} if column["name"] in ("x_esd", "score") else column
        for column in content["columns"]
    ]
    shown = content["pictures"] | {"views": [0, 5, 11]}
    summary_without = content["summary"] | {"fit": content["summary"]["fit"] | {"history": []}}
    changed = content | {
        "views": views,
        "columns": columns,
        "refined": [],
        "certainty": [],
        "residuals": None,
        "pictures": shown,
        "summary": summary_without,
        "surroundings": [[0.0, 0.0, 0.0]],
    }
    for opened in shown_without_complaint(browser, page(changed, TILT), tmp_path / "report.html"):
        assert "3 of 12 views are shown" in opened.inner_text("#view-note")
        assert "surroundings" in opened.inner_text("#view-note")
        assert opened.inner_text("#refined").startswith("Taken as given: background, ")
        assert opened.locator("#view-charts svg[role]").count() == 2
        assert "not known" in opened.inner_text("#certainty-numbers")
        assert "NaN" not in opened.inner_text("body")
