"""Heights of columns, and conditions of imaging, as tables: see `docs/files.md` for what they hold."""

import numpy as np

from atomfit.column_heights.found import Condition, Heights
from atomfit.io.tables import Column

#: What the sets of `heights.csv` hold.
_HELD = 0.9
#: The columns of `heights.csv`, before probabilities of heights.
HEIGHTS: tuple[Column, ...] = (
    Column("id", "", "d", "number of the column, from 1"),
    Column("x", "Å", ".5f", "along rows, from the centre of the first pixel"),
    Column("y", "Å", ".5f", "from row to row, likewise"),
    Column("x_esd", "Å", ".5f", "standard uncertainty of x; empty from the network alone"),
    Column("y_esd", "Å", ".5f", "of y"),
    Column("height", "", "d", "the likeliest number of atoms of the heaviest element; 0: vacant"),
    Column("height_low", "", "d", "least of the smallest set of heights that holds 90 %"),
    Column("height_high", "", "d", "greatest of that set"),
    Column("presence", "", ".5f", "probability that it is occupied, 1 - p_0"),
    Column("height_expected", "", ".3f", "mean of the probabilities of heights"),
    Column("set_size", "", "d", "heights in that set"),
    Column(
        "start", "planes", ".3f", "how far below the first of all it begins; empty from the network alone"
    ),
    Column("start_esd", "planes", ".3f", "its standard uncertainty"),
    Column("on_lattice", "", "d", "1 at a site of the crystal, 0 elsewhere"),
)
#: The columns of `conditions.csv`.
CONDITIONS: tuple[Column, ...] = (
    Column("name", "", "s", "as options of `atomfit simulate --hrtem` are named; _x and _y of a pair"),
    Column("unit", "", "s", "of all numbers of the row"),
    Column("value", "", ".6g", "what is found"),
    Column("esd", "", ".4g", "its standard uncertainty"),
    Column("prior", "", ".6g", "what was held likely before; empty if nothing was"),
    Column("prior_esd", "", ".4g", "its standard deviation"),
)


def height_columns(levels: int) -> tuple[Column, ...]:
    """The columns of `heights.csv`.

    **Arguments:**

    - `levels`: heights that are told, from 0.
    """
    return (*HEIGHTS, *(Column(f"p_{k}", "", ".5f", f"probability of {k} atoms") for k in range(levels)))


def heights_table(found: Heights) -> dict[str, np.ndarray]:
    """The columns of `heights.csv`, by name.

    **Arguments:**

    - `found`: the columns.
    """
    n, p, sets = len(found), found.probabilities, found.sets(_HELD)
    levels = p.shape[1]
    return {
        "id": np.arange(1, n + 1),
        "x": found.positions[:, 0],
        "y": found.positions[:, 1],
        "x_esd": found.position_esds[:, 0],
        "y_esd": found.position_esds[:, 1],
        "height": found.heights,
        "height_low": sets.argmax(axis=1),
        "height_high": levels - 1 - sets[:, ::-1].argmax(axis=1),
        "presence": found.presence,
        "height_expected": p @ np.arange(levels),
        "set_size": sets.sum(axis=1),
        "start": found.starts,
        "start_esd": found.start_esds,
        "on_lattice": found.on_lattice.astype(int),
        **{f"p_{k}": p[:, k] for k in range(levels)},
    }


def conditions_table(conditions: tuple[Condition, ...]) -> dict[str, np.ndarray]:
    """The columns of `conditions.csv`, by name.

    **Arguments:**

    - `conditions`: of the imaging.
    """
    words = {
        name: np.array([getattr(one, name) for one in conditions], object) for name in ("name", "unit")
    }
    numbers = ("value", "esd", "prior", "prior_esd")
    return words | {name: np.array([getattr(one, name) for one in conditions], float) for name in numbers}
