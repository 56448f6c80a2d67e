"""What is asked of the columns of an image besides themselves: options in, counts and crystals out.

What cannot be meant is refused before the fit, a library that cannot be read among it. What the image then
does not allow is told, and leaves the fit as it is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from atomfit.io.cross_sections import read_cross_sections
from atomfit.options.columns import ColumnOptions
from atomfit.selection.column_judgement import ColumnRounds
from atomfit.statistics.count_law import Library
from atomfit.statistics.image_columns import ColumnStatistics, Counting, measure_columns
from atomfit.statistics.vacant_sites import left_at
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError


def library_of(options: ColumnOptions, elements: Sequence[Element]) -> Library | None:
    """The library that was given, if what is asked for can be had of such elements.

    **Arguments:** those of `columns`.

    **Raises:** `InputError` if it cannot, or the library cannot be read.
    """
    if options.order is not None and len(elements) != 2:
        symbols = " and ".join(symbols_of(elements)) or "no element"
        raise InputError(
            f"{options.order} is an order of two elements, and {symbols} was given",
            "name both (-e Pt -e Co), or leave out --order",
            "--order",
        )
    if options.model3d and len(elements) != 1:
        raise InputError(
            f"a model is of columns of one element, and {' and '.join(symbols_of(elements)) or 'none'} was "
            "given",
            "give one (-e Pt), or leave out --model3d",
            "--model3d",
        )
    if options.library is None:
        return None
    if len(elements) > 1:
        raise InputError(
            "columns of several elements are not counted: those of one thickness differ",
            "name one element, or leave out --library",
            "--library",
        )
    symbol = elements[0].symbol if elements else None
    return read_cross_sections(options.library, options.library_error, symbol)


def symbols_of(elements: Sequence[Element]) -> list[str]:
    """Their chemical symbols."""
    return [one.symbol for one in elements]


def column_statistics(
    image: DensityMap,
    selection: ColumnRounds,
    scale: float,
    elements: Sequence[Element],
    options: ColumnOptions,
    library: Library | None,
) -> ColumnStatistics:
    """Counts, lattices and what follows from them.

    **Arguments:**

    - `image`: that was fitted.
    - `selection`: the columns, in units of the fit.
    - `scale`: these per image unit; negative where columns are dark.
    - `elements`, `options`, `library`: what was asked for.
    """
    fitted = selection.fitted
    positions = np.asarray(fitted.columns.positions, np.float64)
    sizes = np.asarray(fitted.columns.amplitudes, np.float64)
    statistics = measure_columns(
        positions,
        selection.uncertainty.positions,
        sizes / abs(scale),
        selection.uncertainty.amplitudes / abs(scale),
        Counting(library, options.neighbours, _reason(scale < 0, elements, options)),
        options.order,
        options.reference,
        image,
    )
    if not statistics.vacancies:
        return statistics
    model = fitted.drawn(image.grid) + fitted.background.on(image.grid, image.grid)
    residual = DensityMap(image.values - model, image.grid)
    sites = np.array([vacancy.position for vacancy in statistics.vacancies])
    vacant = left_at(residual, fitted.counted, sites, fitted.width, positions, sizes)
    return replace(statistics, vacant=vacant)


def _reason(dark: bool, elements: Sequence[Element], options: ColumnOptions) -> str:
    """Why columns are not counted."""
    if options.counts == "off":
        return "not asked for (--counts off)"
    if len(elements) > 1:
        return "columns of several elements are not counted: those of one thickness differ"
    if dark:
        return "columns are dark: what they take from the beam is no measure of their atoms"
    return ""
