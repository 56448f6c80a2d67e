"""All figures of compared models: both particles, displacements, their significance, where atoms move."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from atomfit.figures import panels
from atomfit.figures.particle import by_kind, by_number, save_views
from atomfit.figures.quantities import Quantity, Table
from atomfit.figures.style import BLACK, PALE_BLUE, Panel, save_panels, styled
from atomfit.report.comparison import page_table
from atomfit.report.described import RADIUS
from atomfit.statistics.comparison import Comparison
from atomfit.statistics.particle import by_coordination
from atomfit.statistics.registration import typical_spacing
from atomfit.support.palette import BLUE, GREEN, STATUSES, VERMILION

_DISTANCE = Quantity("distance_common", "displacement of\ncommon atoms (Å)")
_DEPTH = Quantity("radial_depth_a", r"radial depth in A, $R_{NP} - R$ (Å)")
_U_CHANGE = Quantity("u_iso_z", r"change of $U_{iso}$ / standard uncertainty")
_P_BINS = 20


def write_comparison_figures(directory: Path, c: Comparison, ending: str = "") -> None:
    """Write every figure of two models for which there are numbers.

    **Arguments:**

    - `directory`: where to.
    - `c`: the comparison.
    - `ending`: of the files' names.
    """
    table = page_table(c)
    by_cn = by_coordination(table["cn_a"], table["distance_common"])
    with styled():
        directory.mkdir(exist_ok=True)
        _save_models(directory, f"models{ending}", c, table)
        save_panels(
            directory,
            f"displacements{ending}",
            [*_distances(table), *_probabilities(table), *_normal(table)],
        )
        save_panels(
            directory,
            f"surroundings{ending}",
            [
                *panels.against_depth(_DISTANCE, table, {}, _DEPTH),
                *panels.by_coordination(_DISTANCE, by_cn, "coordination number in A"),
            ],
            columns=2,
            height=56,
        )


def write_course_figure(directory: Path, pairs: Sequence[dict[str, Any]]) -> None:
    """Write how common atoms become fewer in a series.

    **Arguments:**

    - `directory`: where to.
    - `pairs`: of `series_contents`.
    """
    with styled():
        directory.mkdir(exist_ok=True)
        save_panels(
            directory,
            "course",
            [
                _course(pairs, "common atoms (%)", "percentages", "common_of_a"),
                _course(pairs, "median displacement of\ncommon atoms (Å)", "common_pairs", "median"),
            ],
            columns=2,
            height=56,
        )


def _save_models(directory: Path, name: str, c: Comparison, table: Table) -> None:
    """Both models in one picture: a displaced atom is small where it was and large where it went."""
    a, b = (np.stack([table[f"{axis}_{side}"] for axis in "xyz"], axis=1) for side in "ab")
    status = table["status"]
    in_a, in_b = np.isfinite(a[:, 0]), np.isfinite(b[:, 0]) & (status != "common")
    rows = np.concatenate([np.flatnonzero(in_a), np.flatnonzero(in_b)])
    left = np.concatenate([status[in_a] == "displaced", np.zeros(in_b.sum(), bool)])
    radius = RADIUS * float(np.nan_to_num(typical_spacing(c.a.positions), nan=2.5))
    shapes = np.where(left, 0.5 * radius, radius)[:, None, None] * np.eye(3)
    kinds = STATUSES
    colourings = [by_kind("what became of atoms", status[rows], kinds, shapes)]
    for quantity in (_DISTANCE, _U_CHANGE):
        values = quantity.of(table)
        if np.isfinite(values).any():
            colourings.append(by_number(quantity, values[rows], shapes, quantity is _U_CHANGE))
    save_views(directory, name, np.concatenate([a[in_a], b[in_b]]), colourings)


def _distances(table: Table) -> list[Panel]:
    values = table["distance_common"]
    common = np.isfinite(values)
    if not common.any():
        return []
    errors = table["distance_esd"][common]
    errors = errors[errors > 0]

    def draw(axes: Axes) -> None:
        counts, edges = np.histogram(values[common], "auto")
        axes.stairs(counts, edges, fill=True, color=PALE_BLUE)
        if len(errors):
            x = np.linspace(0, edges[-1], 200)
            expected = _maxwell(x, errors) * len(errors) * (edges[1] - edges[0])
            axes.plot(x, expected, color=VERMILION, label="by error bars alone")
            axes.set_ylim(0, 1.3 * max(counts.max(), expected.max()))
            axes.legend(loc="upper right")
        axes.set_xlim(0)
        axes.set_xlabel("displacement of common atoms (Å)")
        axes.set_ylabel("atoms")

    return [draw]


def _maxwell(x: Float[np.ndarray, " k"], errors: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Mean density of lengths of normal vectors, alike in all directions, with these deviations."""
    s = errors[:, None]
    return np.mean(np.sqrt(2 / np.pi) * x**2 / s**3 * np.exp(-(x**2) / (2 * s**2)), axis=0)


def _probabilities(table: Table) -> list[Panel]:
    raw, calibrated = (values[np.isfinite(values)] for values in (table["p_value"], table["p_calibrated"]))
    if not len(raw):
        return []

    def draw(axes: Axes) -> None:
        edges = np.linspace(0, 1, _P_BINS + 1)
        axes.stairs(np.histogram(raw, edges)[0], edges, fill=True, color=PALE_BLUE, label="as given")
        axes.stairs(np.histogram(calibrated, edges)[0], edges, color=BLUE, lw=0.8, label="calibrated")
        axes.axhline(len(raw) / _P_BINS, ls="--", lw=0.8, color=BLACK, label="nothing moved")
        axes.set_xlabel("p-value of the displacement")
        axes.set_ylabel("pairs")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
        axes.legend(loc="upper right", title="error bars")

    return [draw]


def _normal(table: Table) -> list[Panel]:
    z = _U_CHANGE.of(table)
    z = z[np.isfinite(z)]
    if not len(z):
        return []

    def draw(axes: Axes) -> None:
        edges = np.linspace(-5, 5, 26)
        axes.hist(
            np.clip(z, -5, 5), edges.tolist(), density=True, color=PALE_BLUE, edgecolor="white", lw=0.3
        )
        x = np.linspace(-5, 5, 200)
        axes.plot(x, np.exp(-x * x / 2) / np.sqrt(2 * np.pi), color=BLACK, lw=0.8, label="no change")
        axes.set_xlabel(_U_CHANGE.label)
        axes.set_ylabel("part of pairs per unit")
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        axes.legend(loc="upper right")

    return [draw]


def _course(pairs: Sequence[dict[str, Any]], label: str, group: str, name: str) -> Panel:
    def draw(axes: Axes) -> None:
        for kind, colour, wanted in (
            ("with the first", BLUE, lambda a, b: a == 0),
            ("with the one before", GREEN, lambda a, b: a == b - 1),
        ):
            points = [(p["places"][1] + 1, p[group][name]) for p in pairs if wanted(*p["places"])]
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=kind)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("model, in the order given")
        axes.set_ylabel(label)
        axes.legend()

    return draw
