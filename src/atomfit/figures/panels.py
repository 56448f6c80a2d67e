"""Panels: each function makes what draws one panel, or nothing if there are no numbers for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from atomfit.figures.quantities import CN, DEPTH, Quantity, Table
from atomfit.figures.style import BLACK, GREY, PALE_BLUE, Panel
from atomfit.statistics.depth import running_means
from atomfit.support.palette import BLUE, GREEN, VERMILION

#: Bins of a histogram at most.
_MOST_BINS = 60
#: A depth of the kink that is less certain than this part of all depths is none.
_VAGUE = 0.15


def threshold(detection: dict[str, Any]) -> list[Panel]:
    """Correlation and F1 against the threshold, each with its optimum.

    **Arguments:**

    - `detection`: of `summary.json`.
    """
    curve, best = detection.get("threshold_curve"), detection["threshold"]
    if curve is None:
        return []
    own, by_model = detection.get("model_threshold"), detection.get("model_curve", {})

    def draw(axes: Axes) -> None:
        x = curve["threshold"]
        axes.plot(
            x,
            curve["correlation"],
            "o-",
            color=BLUE,
            label="correlation of simulated atoms and denoised map",
        )
        _optimum(axes, best["threshold"], best["correlation"], BLUE)
        if own is not None:
            f1 = by_model["f1"]
            axes.plot(
                by_model["threshold"], f1, "-", color=GREEN, label="F1 with the refined model's voxels"
            )
            _optimum(axes, own["threshold"], own["f1"], GREEN)
        axes.set_xlabel("threshold (units of the denoised map)")
        axes.set_ylabel("agreement")
        axes.set_ylim(min(0, *curve["correlation"]), 1.3)
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.legend(loc="upper right")

    return [draw]


def _optimum(axes: Axes, x: float, y: float, colour: str) -> None:
    axes.plot([x, x], [-1, y], ls=(0, (3, 2)), lw=0.8, color=colour)
    axes.plot([x], [y], "D", ms=4.5, mfc="white", mew=1.1, color=colour, zorder=4)
    # Below the mark, where neither curve is.
    axes.annotate(f"{x:.3g}", (x, 0.5 * y), (3, -3), textcoords="offset points", color=colour)


def histogram(quantity: Quantity, columns: Table, counted: str = "atoms") -> list[Panel]:
    """How many atoms have which value."""
    values = quantity.of(columns)
    values = values[np.isfinite(values)]
    if not len(values):
        return []

    def draw(axes: Axes) -> None:
        axes.hist(values, _bins(values).tolist(), color=PALE_BLUE, edgecolor="white", lw=0.3)
        if _whole(values):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(quantity.label)
        axes.set_ylabel(counted)

    return [draw]


def _bins(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Edges of bins: one for each whole number, else as Freedman and Diaconis have it, within reason."""
    if _whole(values):
        return np.arange(values.min(), values.max() + 2) - 0.5
    edges = np.histogram_bin_edges(values, "fd")
    count = int(np.clip(len(edges) - 1, min(12, len(values)), _MOST_BINS))
    return np.linspace(edges[0], edges[-1], count + 1)


def _whole(values: Float[np.ndarray, " n"]) -> bool:
    """Whether these are whole numbers, and few different ones."""
    return bool(np.all(values == np.round(values)) and np.ptp(values) < _MOST_BINS)


def counted(
    edges: Float[np.ndarray, " k_plus_1"], counts: Float[np.ndarray, " k"], label: str, upward: str
) -> list[Panel]:
    """A histogram that was counted before."""
    if not np.sum(counts):
        return []

    def draw(axes: Axes) -> None:
        axes.stairs(counts, edges, fill=True, color=PALE_BLUE)
        axes.set_xlabel(label)
        axes.set_ylabel(upward)
        axes.set_xlim(edges[max(int(np.flatnonzero(counts)[0]) - 3, 0)], edges[-1])
        axes.set_ylim(0)

    return [draw]


def against_depth(
    quantity: Quantity, columns: Table, fits: dict[str, Any], depth: Quantity = DEPTH
) -> list[Panel]:
    """A statistic against depth: atoms, means of five, and the linear-constant function.

    **Arguments:**

    - `quantity`, `columns`, `depth`: which statistic, of which table, against which depth.
    - `fits`: of the statistics by name, as `particle.json` has them.
    """
    x, y = depth.of(columns), quantity.of(columns)
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 5:
        return []
    depths, means = running_means(x[known], {"y": y[known]})
    fit = fits.get(quantity.name)

    def draw(axes: Axes) -> None:
        axes.plot(x[known], y[known], ".", ms=1.5, color="#c3cad0", zorder=1)
        axes.plot(depths, means["y"], "o", ms=1.6, color=BLACK, zorder=2)
        if fit is not None:
            _depth_line(axes, fit, quantity.factor, float(x[known].min()), float(x[known].max()))
        axes.set_xlabel(depth.label)
        axes.set_ylabel(quantity.label)

    return [draw]


def _depth_line(axes: Axes, fit: dict[str, Any], factor: float, low: float, high: float) -> None:
    delta, error, constant = fit["delta"], fit["delta_esd"], factor * fit["constant"]
    start = factor * fit["slope"] * (low - delta) + constant
    axes.plot([low, delta, high], [start, constant, constant], "--", color=VERMILION, zorder=3)
    if error < _VAGUE * (high - low):
        axes.axvline(delta, ls=":", lw=0.8, color=VERMILION, zorder=0)
        axes.set_title(f"δ = {delta:.2f} ± {error:.2f} Å", loc="right", color=VERMILION)
    else:
        axes.set_title("δ not determined", loc="right", color=VERMILION)


def by_coordination(
    quantity: Quantity, rows: Sequence[dict[str, float]], label: str = CN.label
) -> list[Panel]:
    """Means by coordination number with S/√N.

    **Arguments:**

    - `quantity`: which statistic.
    - `rows`: its means, as `particle.json` has them.
    - `label`: of the coordination numbers.
    """
    if not rows:
        return []

    def draw(axes: Axes) -> None:
        cn = [row["cn"] for row in rows]
        means = [quantity.factor * row["mean"] for row in rows]
        errors = [quantity.factor * row["esd"] for row in rows]
        axes.errorbar(cn, means, errors, fmt="o-", ms=3, lw=0.7, capsize=2, color=BLUE)
        axes.set_xlabel(label)
        axes.set_ylabel(quantity.label)
        axes.set_xticks(cn)

    return [draw]


def convergence(history: Float[np.ndarray, " k"]) -> list[Panel]:
    """The misfit after each iteration."""
    if not len(history):
        return []

    def draw(axes: Axes) -> None:
        axes.plot(np.arange(1, len(history) + 1), history, "o-", color=BLUE)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("iteration")
        axes.set_ylabel("misfit (squared peaks)")

    return [draw]


def residuals(found: dict[str, Any] | None, pieces: str = "voxels") -> list[Panel]:
    """What is left of the map or image in standard deviations of the noise, and the normal curve."""
    if found is None:
        return []

    def draw(axes: Axes) -> None:
        axes.stairs(found["density"], found["edges"], fill=True, color=PALE_BLUE, label="residual")
        z = np.linspace(found["edges"][0], found["edges"][-1], 241)
        axes.plot(z, np.exp(-z * z / 2) / np.sqrt(2 * np.pi), color=BLACK, lw=0.8, label="noise alone")
        axes.set_xlabel("residual / standard deviation of noise")
        axes.set_ylabel(f"part of {pieces} per unit")
        axes.set_ylim(0, 1.3 * max(*found["density"], 0.4))
        axes.legend(loc="upper right")

    return [draw]


def one_against_other(x: Quantity, y: Quantity, columns: Table) -> list[Panel]:
    """A number against the same by another method; equal ones lie on the dashed line."""
    pairs = np.stack([x.of(columns), y.of(columns)], axis=1)
    pairs = pairs[np.all(np.isfinite(pairs), axis=1)]
    if not len(pairs):
        return []
    low, high = np.quantile(pairs, [0.005, 0.995])
    ends = (low - 0.2 * (high - low), high + 0.2 * (high - low))

    def draw(axes: Axes) -> None:
        axes.plot(ends, ends, "--", lw=0.8, color=GREY)
        axes.plot(pairs[:, 0], pairs[:, 1], ".", ms=2.5, alpha=0.6, mew=0, color=BLUE)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
        axes.set_xlabel(x.label)
        axes.set_ylabel(y.label)

    return [draw]
