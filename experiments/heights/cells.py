"""Columns of many images, found beside true, in; rates in words, as tables have them, out."""

from collections.abc import Callable

import numpy as np

from experiments.heights.judge import CONDITIONS, Compared
from experiments.heights.scoring import calibration_error
from experiments.heights.specimens import MOST


def _rate(right: np.ndarray, digits: int = 3) -> str:
    return f"{np.mean(right):.{digits}f}" if len(right) else "-"


#: Columns of the table: what each is called, and how it is told.
Cell = Callable[[Compared], str]


def _beside(of: Callable[[Compared], np.ndarray], right: Callable[[Compared], np.ndarray]) -> Cell:
    """A rate of some columns, and the oracle's of the same."""

    def cell(c: Compared) -> str:
        which = of(c)
        limit = (c.limit == c.truth)[which]
        return f"{_rate(right(c)[which])} / {_rate(limit) if np.all(c.limit[which] >= 0) else '-'}"

    return cell


def _there(c: Compared) -> np.ndarray:
    return c.truth > 0


def _seen(c: Compared) -> np.ndarray:
    return (c.truth > 0) & (c.found >= 0)


def _exact(c: Compared) -> np.ndarray:
    return c.found == c.truth


def _ratio(c: Compared) -> str:
    there = _there(c)
    limit = np.mean((c.limit == c.truth)[there])
    return f"{np.mean(_exact(c)[there]) / limit:.3f}" if np.all(c.limit[there] >= 0) else "-"


def _rms(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    return f"{np.sqrt(np.mean(values**2)):.2f}" if len(values) else "-"


def _z(c: Compared) -> np.ndarray:
    return (c.errors / np.where(c.esds > 0, c.esds, np.nan))[_seen(c)]


CELLS: dict[str, Cell] = {
    "images": lambda c: f"{len(c.seconds)}",
    "columns": lambda c: f"{_there(c).sum()}",
    "exact": lambda c: _rate(_exact(c)[_there(c)]),
    "limit": lambda c: _rate((c.limit == c.truth)[_there(c)]) if np.all(c.limit >= 0) else "-",
    "exact/limit": _ratio,
    "±1": lambda c: _rate(((c.found > 0) & (np.abs(c.found - c.truth) <= 1))[_there(c)]),
    "missed": lambda c: f"{100 * np.mean(c.found[_there(c)] < 1):.1f} %",
    "false": lambda c: f"{100 * c.false.sum() / max(_there(c).sum(), 1):.1f} %",
    "ECE": lambda c: f"{calibration_error(c.held[_seen(c)], _exact(c)[_seen(c)]):.3f}",
    "90 % sets": lambda c: f"{100 * np.mean(c.in_set[_seen(c)]):.1f} %",
    "say": lambda c: f"{100 * np.mean(c.said[_seen(c)]):.1f} %",
    "size": lambda c: _rate(c.size[_seen(c)], 2),
    "RMSD (Å)": lambda c: f"{np.sqrt(np.nanmean(np.sum(c.errors[_seen(c)] ** 2, axis=1))):.3f}",
    "z of places": lambda c: _rms(_z(c)),
    "surface": _beside(lambda c: _there(c) & c.surface, _exact),
    "vacant": _beside(lambda c: c.truth == 0, lambda c: c.found < 1),
    "one atom less": _beside(lambda c: _there(c) & (c.missing > 0), _exact),
    "z of defocus": lambda c: _rms(c.conditions[:, 0, 0] / c.conditions[:, 0, 1]),
    "misfit": lambda c: f"{np.median(c.misfit):.2f}" if np.isfinite(c.misfit).any() else "-",
    "s": lambda c: f"{np.median(c.seconds):.2g}",
}


HEADER = ["set", "e/Å²", *CELLS]
CONDITIONS_HEADER = ["set", "e/Å²", *CONDITIONS]
HEIGHTS_HEADER = ["set", "e/Å²", *map(str, range(1, MOST + 1))]


def row(name: str, dose: float, c: Compared) -> list[str]:
    """A line of the table.

    **Arguments:**

    - `name`, `dose`: of the images.
    - `c`: what is found in them.
    """
    return [name, f"{dose:g}", *(cell(c) for cell in CELLS.values())]


def heights_row(name: str, dose: float, c: Compared) -> list[str]:
    """Exact ones of each height, and the oracle's.

    **Arguments:**

    - `name`, `dose`, `c`: as of `row`.
    """
    cells = [_beside(lambda c, h=height: c.truth == h, _exact)(c) for height in range(1, MOST + 1)]
    return [name, f"{dose:g}", *cells]


def conditions_row(name: str, dose: float, c: Compared) -> list[str]:
    """Root mean squares of conditions' errors, and of errors over esds.

    **Arguments:**

    - `name`, `dose`, `c`: as of `row`.
    """
    cells = []
    for errors, esds in np.moveaxis(c.conditions, 0, 2):
        z = errors / np.where(esds > 0, esds, np.nan)
        rms = [np.sqrt(np.mean(e[np.isfinite(e)] ** 2)) for e in (errors, z) if np.isfinite(e).any()]
        cells.append(" / ".join(f"{one:.2g}" for one in rms) or "-")
    return [name, f"{dose:g}", *cells]
