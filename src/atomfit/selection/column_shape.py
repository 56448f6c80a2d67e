"""What shape columns share, beside a width: a fit in, what to fit next out.

Columns have wings (`observation.point_spread`), and bright ones are wider, as σ = σ₀ (A / A₀)^γ: beams in
thick columns spread. Part f of the wings and growth γ are a number each for the whole image. What they
should change by follows from what the fit leaves, columns, width and background following them (a step of
Gauss and Newton), and whether they are there at all from the odds against none (MacKay 1992),

    ln K = x² (H + 1/s²) / 2 - ln(1 + s² H) / 2,

x being the likeliest number, H what the image tells of it, and s its usual size.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from atomfit.fitting.column_fit import FittedColumns, columns_of, grown
from atomfit.fitting.column_information import ColumnInformation
from atomfit.fitting.column_wings import USUAL_GROWTH, USUAL_WINGS, wings_of
from atomfit.observation.point_spread import PointSpread
from atomfit.selection.limits import LIMITS
from atomfit.structure.grid import Grid


def with_shape(
    fitted: FittedColumns,
    information: ColumnInformation,
    left: Float[np.ndarray, "rows columns"],
    excess: float,
) -> FittedColumns:
    """The same with the shape that its columns most likely have; itself if theirs is right.

    **Arguments:**

    - `fitted`, `information`: the fit.
    - `left`: what it leaves, in units of the pixels' noise; zero where pixels do not count.
    - `excess`: by which variances are larger than those of pixels that err independently.
    """
    if fitted.widths == "fixed":
        # A shape would make up for a width that is not theirs.
        return broader(fitted, information.grid, left, excess)
    wider = LIMITS.wings_wider * fitted.width**2
    of_wings, of_growth = _told(fitted, information, left, wider)
    before = float(fitted.spread.parts.sum())
    part = min(max(_decided(before, of_wings, excess, USUAL_WINGS), 0.0), LIMITS.part_of_wings)
    growth = fitted.growth
    if fitted.widths == "shared":
        growth = _decided(growth, of_growth, excess, USUAL_GROWTH)
        growth = float(np.clip(growth, -LIMITS.most_growth, LIMITS.most_growth))
    if (part, growth) == (before, fitted.growth):
        return fitted
    spread = PointSpread.wings(part, wider) if part > 0 else PointSpread.none()
    return grown(replace(fitted, spread=spread), growth)


def broader(
    fitted: FittedColumns, grid: Grid, left: Float[np.ndarray, "rows columns"], excess: float
) -> FittedColumns:
    """Columns whose width is held, with a broader one if the image asks for it; else themselves.

    Places that follow noise, and columns that are noise, make widths narrower: such a one is not believed.

    **Arguments:**

    - `fitted`: the fit.
    - `grid`: of the region that was fitted.
    - `left`: what it leaves, in units of the pixels' noise; zero where pixels do not count.
    - `excess`: by which variances are larger than those of pixels that err independently.
    """
    information = ColumnInformation.of(replace(fitted, widths="shared"), grid)
    before = np.zeros(len(information.shared))
    step = float(information.step_of_shared(left, before)[0])
    error = np.sqrt(excess * float(information.covariance_of_shared[0, 0]))
    if step < max(LIMITS.surely_broader * error, LIMITS.least_broader):
        return fitted
    times = np.exp(min(step, LIMITS.most_broader))
    places, amplitudes = np.asarray(fitted.columns.positions), np.asarray(fitted.columns.amplitudes)
    return replace(fitted, columns=columns_of(places, amplitudes, times * fitted.width))


def at_limits(fitted: FittedColumns) -> tuple[str, ...]:
    """What of the shape is at the most, or the least, that it may be, in words.

    **Arguments:**

    - `fitted`: the fit.
    """
    wings = float(fitted.spread.parts.sum()) >= LIMITS.part_of_wings
    growth = abs(fitted.growth) >= LIMITS.most_growth
    return tuple(word for word, there in (("wings", wings), ("growth with brightness", growth)) if there)


def _decided(before: float, told: tuple[float, float], excess: float, usual: float) -> float:
    """A number's next value: as it was, none, or the likeliest."""
    value, variance = told[0], told[1] * excess
    odds = 0.5 * (value**2 / variance - np.log(usual**2 / min(variance, usual**2)))
    if odds < (LIMITS.odds_of_shape if before == 0 else 0.0):
        return 0.0
    settled = abs(value - before) < max(LIMITS.same_shape, 0.5 * np.sqrt(variance))
    return before if settled and before != 0 else value


def _told(
    fitted: FittedColumns,
    information: ColumnInformation,
    left: Float[np.ndarray, "rows columns"],
    wider: float,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Likeliest part of the wings and growth, each with its variance."""
    winged = bool(len(fitted.spread))
    places = len(information.shared)
    before, step = np.zeros(places), np.zeros(places)
    of_growth = places - 1 if fitted.growth else None
    of_wings = places - 1 - (of_growth is not None) if winged else None
    if of_growth is not None:
        before[of_growth] = fitted.growth
    if of_wings is not None:
        before[of_wings] = float(fitted.spread.parts.sum())
    if winged or fitted.growth:
        step = information.step_of_shared(left, before)
    found = []
    for place, usual in ((of_wings, USUAL_WINGS), (of_growth, USUAL_GROWTH)):
        if place is not None:
            variance = float(information.covariance_of_shared[place, place])
            found.append((float(before[place] + step[place]), variance))
            continue
        field = information.growing
        if usual == USUAL_WINGS:
            field = information.roots * wings_of(fitted, np.array([wider]), information.grid)[0]
        seen = np.zeros(1) if field is None else information.left_of(field.ravel())
        variance = 1 / (float(seen @ seen) + usual**-2)
        found.append((variance * float(np.vdot(seen, left.ravel() if field is not None else 0)), variance))
    return found[0], found[1]
