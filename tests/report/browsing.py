"""Pages as their tests see them: parsed, and in a browser."""

import io
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest


class Elements(HTMLParser):
    """Elements with their attributes, and the text of each script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br", "img"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


def parsed(text: str) -> Elements:
    elements = Elements()
    elements.feed(text)
    elements.close()
    assert not elements.open
    return elements


def shown_without_complaint(
    browser: Any, text: str, path: Path, width: int = 1280, scheme: str = "light"
) -> Iterator[Any]:
    path.write_text(text, encoding="utf-8")
    shown = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(path.as_uri())
    shown.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)
    yield shown
    shown.wait_for_timeout(100)
    assert complaints == []
    assert requests == [path.as_uri()]
    shown.close()


def picture(opened: Any, canvas: str) -> str:
    # After the next frame, for it is drawn once a frame.
    opened.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return opened.evaluate(f"document.querySelector('{canvas}').toDataURL()")


#: Words of drawings that lie over each other or reach out of theirs, and are in sight.
_OVERLAPS = """() => [...document.querySelectorAll("svg[role]")].flatMap((drawing) => {
    const frame = drawing.getBoundingClientRect();
    if (!frame.width) return [];
    const words = [...drawing.querySelectorAll("text")].map((one) => [one.textContent, one.getBoundingClientRect()]);
    const out = words.filter(([, r]) => r.left < frame.left - 1 || r.right > frame.right + 1 || r.top < frame.top - 1 || r.bottom > frame.bottom + 1);
    const over = words.flatMap(([a, p], i) => words.slice(i + 1).filter(([, q]) =>
        p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3).map(([b]) => `${a} over ${b}`));
    return [...out.map(([a]) => `${a} out of its drawing`), ...over];
})"""  # noqa: E501
#: The same for each choice of each menu of columns.
_ALL_CHOICES = f"""() => [...document.querySelectorAll("select:has(optgroup)")].flatMap((select) =>
    [...select.options].flatMap((option) => {{
        select.value = option.value;
        select.dispatchEvent(new Event("change"));
        return ({_OVERLAPS})().map((words) => `${{option.value}}: ${{words}}`);
    }}))"""


def require_layout(browser: Any, text: str, path: Path) -> None:
    """Nothing is wider than a phone, no words lie over others, and pictures can be read; light and dark."""
    for width, scheme, dark in ((1280, "light", False), (360, "dark", True), (360, "light", False)):
        for shown in shown_without_complaint(browser, text, path, width, scheme):
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            assert shown.evaluate(_OVERLAPS) == []
            paper, ink = (
                shown.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
                for name in ("backgroundColor", "color")
            )
            assert (sum(paper) < sum(ink)) == dark
            pictures = shown.eval_on_selector_all(
                ".plane canvas", "all => all.map((one) => one.getBoundingClientRect().width)"
            )
            assert all(size > 0.6 * width for size in pictures) or width > 360
            if not dark:
                assert shown.evaluate(_ALL_CHOICES) == []


def require_print(browser: Any, text: str, path: Path) -> None:
    """On paper a page is light, the particle keeps its shape, and tables their heads."""
    for shown in shown_without_complaint(browser, text, path, scheme="dark"):
        on_screen = drawn_shape(shown)
        shown.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        shown.emulate_media(media="print")
        assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert drawn_shape(shown) == pytest.approx(on_screen, rel=0.04)
        assert shown.locator("#atoms-table th button").first.is_visible()
        assert not shown.locator("#atoms-table input").first.is_visible()
        shown.emulate_media(media="screen")
        shown.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert shown.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert len(shown.pdf()) > 20_000


def drawn_shape(shown: Any) -> float:
    """Width over height of all that is drawn in the particle's canvas, which differs from its paper."""
    from skimage.io import imread

    shown.eval_on_selector("#view", "view => (view.style.border = '0')")
    image = imread(io.BytesIO(shown.locator("#view").screenshot()))[..., :3].astype(int)
    differs = np.abs(image - image[1, 1]).sum(axis=2) > 60
    (top, bottom), (left, right) = (
        (rows[0], rows[-1]) for rows in (np.flatnonzero(differs.any(axis=k)) for k in (1, 0))
    )
    return float((right - left) / (bottom - top))


def of_few(content: dict[str, Any], n: int) -> dict[str, Any]:
    """What a page would be told of the first n atoms, or of n that are these again and again."""

    def cut(values: Any) -> list[Any]:
        known = list(values)
        return [known[i % len(known)] for i in range(n)]

    columns = [column | {"values": cut(column["values"])} for column in content["columns"]]
    changed = content | {"columns": columns}
    return changed | ({"ellipsoids": cut(content["ellipsoids"])} if "ellipsoids" in content else {})


def require_any_number(browser: Any, text_of: Callable[[int], str], path: Path) -> None:
    """Pages of no atom, one and two have nothing in them that is no number."""
    for n in (0, 1, 2):
        for shown in shown_without_complaint(browser, text_of(n), path):
            for word in ("NaN", "undefined", "Infinity"):
                assert word not in shown.inner_text("body")
            assert shown.locator("#atoms-table tbody tr:not([hidden])").count() == n
