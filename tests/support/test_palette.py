"""Colours of pages and figures are apart for eyes without green cones, and columns have names in words."""

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from atomfit.files.tilt import TILT_COLUMNS
from atomfit.io.column_comparisons import COLUMN_COMPARE_COLUMNS
from atomfit.io.comparisons import COMPARE_COLUMNS
from atomfit.io.tables import COLUMNS
from atomfit.report.comparison import PAGE_COLUMNS
from atomfit.report.labels import label_of
from atomfit.report.tilt_views import VIEW_COLUMNS
from atomfit.support import palette

#: What an eye without green cones sees, of linear RGB (Machado, Oliveira & Fernandes 2009, severity 1).
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
#: CIEDE2000: colours side by side are told apart from 2.3 on, single dots from about four times that.
APART = 10.0


def lab(colour: str, blind: bool) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(DEUTERANOPIA @ linear if blind else linear, 0, 1)
    shown = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return rgb2lab(shown[None, None])[0, 0]


def nearest(colours: list[str], blind: bool = True) -> float:
    seen = [lab(colour, blind) for colour in colours]
    return min(float(deltaE_ciede2000(a, b)) for a, b in itertools.combinations(seen, 2))


def style(theme: int) -> dict[str, str]:
    """Colours of the page's style: 0 is the light theme, 1 the dark one."""
    text = files("atomfit.report").joinpath("assets", "page.css").read_text(encoding="utf-8")
    block = re.findall(r":root[^{]*\{([^}]*)\}", text)[theme]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


def script(name: str) -> str:
    return files("atomfit.report").joinpath("assets", name).read_text(encoding="utf-8")


def test_red_and_green_would_not_do() -> None:
    assert nearest(["#b4464b", "#8a6d57"]) < 5 < 10 < nearest(["#b4464b", "#8a6d57"], blind=False)


@pytest.mark.parametrize("blind", [True, False])
def test_kinds_and_statuses_are_apart(blind: bool) -> None:
    assert nearest(list(palette.KINDS), blind) > APART
    assert nearest(list(palette.STATUSES.values()), blind) > 2 * APART
    assert nearest(list(palette.COLUMN_STATUSES.values()), blind) > APART
    assert nearest(list(palette.LINES), blind) > APART
    assert nearest(list(palette.FOLLOWED_STATES.values()), blind) > APART
    assert nearest(list(palette.PLACES.values()), blind) > APART
    assert nearest([palette.BLUE, palette.ORANGE, palette.GREEN, palette.VERMILION], blind) > APART


@pytest.mark.parametrize("theme", [0, 1])
def test_lines_levels_and_words_of_pages_are_apart(theme: int) -> None:
    colours = style(theme)
    assert nearest([colours[name] for name in ("accent", "mark", "other", "paper", "ink")]) > APART
    assert nearest([colours[name] for name in ("good", "doubtful", "bad")]) > APART
    # Words against their paper, as WCAG asks it of small ones (4.5).
    for name in ("ink", "soft", "accent"):
        assert contrast(colours[name], colours["paper"]) > 4.5
        assert contrast(colours[name], colours["fill"]) > 4.5


def contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05

    one, two = luminance(a), luminance(b)
    return max(one, two) / min(one, two)


def scale(name: str) -> list[np.ndarray]:
    found = re.search(rf"const {name} = \[([^\]]*)\]", script("colours.js"))
    assert found is not None
    return [lab(f"#{colour}", True) for colour in re.findall(r'"(\w{6})"', found[1])]


def test_scales_of_numbers_are_read_by_lightness() -> None:
    lightness = [colour[0] for colour in scale("viridis")]
    assert np.all(np.diff(lightness) > 2)
    low, *_, high = sides = scale("blueToRed")
    assert float(deltaE_ciede2000(low, high)) > 3 * APART
    assert np.argmax([colour[0] for colour in sides]) == len(sides) // 2


def test_marks_in_pictures_are_apart() -> None:
    found = dict(re.findall(r'(atom|seen|chosen): "(#\w{6})"', script("pictures.js")))
    assert nearest(list(found.values())) > APART


def test_every_column_has_a_name_in_words() -> None:
    compared = (*COMPARE_COLUMNS, *PAGE_COLUMNS), COLUMN_COMPARE_COLUMNS
    for columns in (COLUMNS, TILT_COLUMNS, *compared, VIEW_COLUMNS):
        names = [
            column.name for column in columns if column.format != "s" and not column.name.startswith("id")
        ]
        labels = [label_of(name) for name in names]
        assert not [
            name for name, (group, _) in zip(names, labels, strict=True) if group == "Other numbers"
        ]
        assert len({words for _, words in labels}) == len(names)
        units = {column.name: column.unit for column in columns}
        # What fits an axis of a chart on a phone.
        shown = [f"{words} ({units[name]})" for name, (_, words) in zip(names, labels, strict=True)]
        assert max(len(words) for name, words in zip(names, shown, strict=True) if "_esd" not in name) < 44
