"""The page of things followed in time: what it holds, and that a browser shows it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from browsing import parsed, picture, require_layout, shown_without_complaint

from atomfit.io.tables import Column
from atomfit.report.packed import packed
from atomfit.report.page import TIME_SLIDER, page
from atomfit.report.time_slider import FactTable, SliderWords, shown, slider_contents
from atomfit.structure.tracked import ABSENT, Event, Quantity, Tracked

HOSTILE = '</script><img src=x onerror="alert(1)"><!-- {{data}}'
RECORD = {
    "versions": {"atomfit": "0"},
    "command": ["atomfit", "series"],
    "machine": {"cores": 2},
    "options": {"fdr": 0.05},
    "files": [{"name": "a", "path": HOSTILE, "sha256": "0"}],
}
WORDS = SliderWords(
    headline={
        "title": "40 atoms in 6 models",
        "source": HOSTILE,
        "verdict": ["A sentence."],
        "warnings": [HOSTILE],
        "judged": {"level": "good", "findings": [], "measures": {}},
    },
    explained="What there is.",
    colours={"state": {"present": "#b3bcc4", "missing": "#882255"}},
    first=("u_iso",),
    lines={"u_iso": ("u_iso_mean", "u_iso_slope")},
    tables=(FactTable("Trends of groups", ("group", "slope"), (("all", 0.25), (HOSTILE, 1.5))),),
)


def tracked(times: int = 6, n: int = 40, axes: int = 3) -> Tracked:
    """Things that wander and swell; the last one comes late, the one before goes."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 20, (n, axes)) + 0.1 * rng.normal(size=(times, n, axes))
    values = 0.01 + 0.001 * np.arange(times)[:, None] + 0.001 * rng.normal(size=(times, n))
    state = np.zeros((times, n), np.int8)
    for index, gone in ((n - 1, slice(0, 2)), (n - 2, slice(times - 2, None))):
        places[gone, index] = values[gone, index] = np.nan
        state[gone, index] = ABSENT
    u = Quantity("u_iso", "Å²", 6, "a third of the trace", values, np.full(values.shape, 0.001))
    return Tracked(
        "atoms" if axes == 3 else "columns",
        np.arange(1, n + 1),
        ("Pt",) * n,
        tuple(f"t{k}" for k in range(times - 1)) + (HOSTILE,),
        np.arange(times) * 0.5,
        places,
        (u, Quantity("doi", "", 4, "isotropy", np.full(values.shape, np.nan))),
        ("present", "missing"),
        state,
        events=(Event("lost", n - 2, times - 2, 0.98, HOSTILE), Event("gained", n - 1, 2)),
        groups={"surface": np.arange(n) < n // 2, "inside": np.arange(n) >= n // 2},
        time_unit="s",
    )


def text_of(things: Tracked) -> str:
    n = len(things)
    table = {
        "id": things.ids,
        "element": np.array(things.symbols, object),
        "u_iso_mean": np.full(n, 0.0125),
        "u_iso_slope": np.linspace(-1, 1, n) * 1e-3,
    }
    known = (Column("id", "", "d", "number"), Column("u_iso_slope", "Å²/s", ".6f", "change"))
    return page(slider_contents(things, table, known, WORDS, RECORD), TIME_SLIDER)


@pytest.fixture
def opened(browser: Any, tmp_path: Any) -> Iterator[Any]:
    yield from shown_without_complaint(browser, text_of(tracked()), tmp_path / "series.html")


def read(field: dict[str, Any]) -> np.ndarray:
    raw = base64.b64decode(field["data"])
    if field["kind"] == "f4":
        return np.frombuffer(raw, "<f4").astype(float)
    whole = np.frombuffer(raw, "<i2").astype(float)
    return np.where(whole == -32768, np.nan, field["low"] + (whole + 32767) * field["step"])


@pytest.mark.parametrize("short", [False, True])
def test_packed_numbers_are_the_numbers(short: bool) -> None:
    values = np.random.default_rng(1).normal(size=(50, 3))
    values[3, 1] = np.nan
    error = np.ptp(values[np.isfinite(values)]) / 65_533 if short else 1e-6
    np.testing.assert_allclose(read(packed(values, short)), values.ravel(), atol=error)
    assert np.all(np.isnan(read(packed(np.full(4, np.nan), short))))
    np.testing.assert_allclose(read(packed(np.full(4, 2.5), short)), 2.5)


def test_the_page_holds_every_time() -> None:
    things = tracked()
    data = json.loads(parsed(text_of(things)).scripts[0], parse_constant=pytest.fail)
    course = data["course"]
    np.testing.assert_allclose(read(course["positions"]), things.positions.ravel(), rtol=1e-6)
    # What nothing is known of is left out.
    assert [one["name"] for one in course["quantities"]] == ["u_iso"]
    np.testing.assert_allclose(
        read(course["quantities"][0]["values"]), things.quantities[0].values.ravel(), rtol=1e-6
    )
    assert data["event_places"] == [[38, 4], [39, 2]]


def test_too_much_is_thinned_and_that_is_said() -> None:
    things = tracked(times=500, n=2)
    many = replace(
        things,
        ids=np.arange(20_000),
        symbols=("Pt",) * 20_000,
        positions=np.broadcast_to(things.positions[:, :1], (500, 20_000, 3)),
        quantities=(),
        state=np.zeros((500, 20_000), np.int8),
        groups={},
        events=(Event("lost", 19_990, 499),),
    )
    frames, which = shown(many)
    assert frames[0] == 0
    assert frames[-1] == 499
    assert len(frames) * len(which) * 3 <= 6_000_000
    assert 19_990 in which
    part = many.of(frames, which)
    assert part.events[0].frame == len(frames) - 1
    assert part.ids[part.events[0].index] == 19_990
    frames, which = shown(tracked(times=500, n=300, axes=2))
    assert (len(frames), len(which)) == (500, 300)


def test_the_slider_goes_through_time(opened: Any) -> None:
    shown_at = lambda: opened.inner_text("#now")  # noqa: E731
    assert shown_at() == "0 s (t0, 1 of 6)"
    assert "39 of 40 atoms shown" in opened.inner_text("#shown")
    first = picture(opened, "#view")
    opened.click("#later")
    assert shown_at() == "0.5 s (t1, 2 of 6)"
    opened.focus("#time")
    opened.keyboard.press("ArrowRight")
    assert shown_at() == "1 s (t2, 3 of 6)"
    assert "40 of 40 atoms shown" in opened.inner_text("#shown") or picture(opened, "#view") != first
    opened.evaluate("document.activeElement.blur()")
    opened.keyboard.press("ArrowLeft")
    assert "2 of 6" in shown_at()
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("ArrowLeft")
    assert "1 of 6" in shown_at()


def test_it_plays_and_pauses(opened: Any) -> None:
    opened.select_option("#speed", "30")
    opened.click("#play")
    assert opened.get_attribute("#play", "aria-pressed") == "true"
    opened.wait_for_selector("#now:has-text('4 of 6')")
    opened.click("#play")
    stopped = opened.inner_text("#now")
    opened.wait_for_timeout(150)
    assert opened.inner_text("#now") == stopped


def test_a_thing_has_a_chart_and_an_event_leads_to_it(opened: Any) -> None:
    assert "Click one" in opened.inner_text("#one")
    opened.locator("#atoms-table tbody tr:not([hidden])").nth(3).click()
    assert opened.inner_text("#one-name") == "Atom 4 (Pt)"
    assert opened.locator("#one .guide").count() == 1
    opened.locator("#events-table tbody tr:not([hidden])").nth(0).click()
    assert opened.inner_text("#one-name") == "Atom 39 (Pt)"
    assert "5 of 6" in opened.inner_text("#now")
    assert opened.locator("#groups path").count() == 4


def test_columns_of_a_movie_are_shown_as_in_their_image(browser: Any, tmp_path: Any) -> None:
    text = text_of(tracked(times=3, axes=2))
    for shown_page in shown_without_complaint(browser, text, tmp_path / "series.html"):
        assert "39 of 40 columns shown" in shown_page.inner_text("#shown")
        assert not shown_page.locator("[data-view=x]").is_visible()
        before = picture(shown_page, "#view")
        shown_page.focus("#view")
        shown_page.keyboard.press("ArrowLeft")
        assert picture(shown_page, "#view") == before


def test_it_fits_a_desk_and_a_phone(browser: Any, tmp_path: Any) -> None:
    require_layout(browser, text_of(tracked()), tmp_path / "series.html")


def test_one_time_and_one_thing_are_enough(browser: Any, tmp_path: Any) -> None:
    one = tracked(n=3).of(np.array([2]), np.array([0]))
    alone = replace(one, groups={}, quantities=(), time_unit="")
    for shown_page in shown_without_complaint(browser, text_of(alone), tmp_path / "series.html"):
        for word in ("NaN", "undefined", "Infinity"):
            assert word not in shown_page.inner_text("body")
        assert "Nothing happened." in shown_page.inner_text("#events-table")
