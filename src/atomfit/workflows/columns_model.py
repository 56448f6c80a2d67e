"""A model in three dimensions of columns, if asked for: columns in, a model or why there is none out.

Refused before the fit are an element that the potential does not know, and a structure or a direction
whose columns are not stacked. What the columns then do not allow (another zone, no counts, no lattice)
leaves the model out, and speaks against the result.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from atomfit.options.columns import ColumnOptions
from atomfit.selection.column_judgement import ColumnRounds
from atomfit.stacking.model import Asked, Model3D
from atomfit.stacking.modelling import model_of_columns
from atomfit.stacking.zones import zone_lattice
from atomfit.statistics.image_columns import ColumnStatistics
from atomfit.structure.effective_medium import METALS
from atomfit.structure.elements import Element, bulk_structure
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError

log = logging.getLogger("atomfit")


def model_asked(options: ColumnOptions, elements: Sequence[Element], calculator: Any) -> Asked | None:
    """What model is wanted; None if none is.

    **Arguments:**

    - `options`, `elements`: of `columns`.
    - `calculator`: one of ase's, or None for the effective-medium potential.

    **Raises:** `InputError` if it cannot be had of the element.
    """
    if not options.model3d or options.zone is None:
        if calculator is not None:
            raise InputError(
                "a calculator is for a model", "give model3d=True, or leave it out", "calculator"
            )
        return None
    symbol = elements[0].symbol
    if calculator is None and symbol not in METALS:
        raise InputError(
            f"the potential does not know {symbol}, only {', '.join(METALS)}",
            "leave out --model3d, or give an ase calculator from Python (calculator=)",
            "--model3d",
        )
    zone_lattice(str(bulk_structure(symbol)), 1.0, options.zone)
    return Asked(symbol, options.zone, options.temperature, calculator)


def column_model(
    image: DensityMap,
    selection: ColumnRounds,
    statistics: ColumnStatistics,
    asked: Asked | None,
    progress: Callable[[float], None] = lambda part: None,
) -> tuple[Model3D | None, str]:
    """The model, or why there is none; neither if none is asked for.

    **Arguments:**

    - `image`: that was fitted.
    - `selection`: the columns.
    - `statistics`: their counts and lattices.
    - `asked`: what model.
    - `progress`: called with the part that is done.
    """
    if asked is None:
        return None, ""
    positions = np.asarray(selection.fitted.columns.positions, np.float64)
    try:
        errors = selection.uncertainty.positions
        # Pixels err together, as the columns' uncertainties say.
        variance = selection.fitted.variance * float(np.median(selection.factors))
        seen = image, replace(selection.fitted, variance=variance)
        model = model_of_columns(positions, errors, statistics, asked, progress, seen)
    except InputError as error:
        return None, f"{error.problem}; {error.remedy}"
    atoms, esd = model.total
    log.info("model in three dimensions: %.1f atoms, standard deviation %.1f", atoms, esd)
    return model, ""
