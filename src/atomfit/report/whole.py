"""Statistics of the whole particle as rows of a table: a name, a value, its standard uncertainty, a unit.

They come as `particle.json` has them: numbers by name, in groups and lists of groups, and a number's
standard uncertainty beside it under its name with `_esd`. What the page draws from the atoms themselves
(statistics of columns, by coordination number) or does not show (fits against depth, histograms) is left
out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Groups that are no rows.
_LEFT_OUT = ("statistics", "by_cn", "depth_fits", "pair_distribution")
#: Lists of more numbers than axes are no values.
_MOST_VALUES = 3
_UNITS = {
    "diameter": "Å",
    "median_nn_distance": "Å",
    "median_radial_strain_percent": "%",
    "bulk_lattice_constant": "Å",
    "constant": "Å",
    "edges": "Å",
    "angles": "degrees",
    "angle": "degrees",
    "deviation_from_sites": "Å",
    "kernel_width": "Å",
}

Row = dict[str, Any]


def particle_rows(particle: Mapping[str, Any] | None, group: str = "") -> list[Row]:
    """Statistics of the whole particle as rows: name, value, esd and unit.

    **Arguments:**

    - `particle`: what goes into `particle.json`; None if there is none.
    - `group`: put before each name.
    """
    rows: list[Row] = []
    for name, entry in (particle or {}).items():
        if name in _LEFT_OUT or name.endswith("_esd"):
            continue
        title = f"{group}{name}".replace("_", " ")
        if isinstance(entry, Mapping) and "value" in entry:
            rows += _row(title, entry["value"], entry.get("esd"), entry.get("unit", ""))
        elif isinstance(entry, Mapping):
            rows += particle_rows(entry, f"{title}: ")
        elif isinstance(entry, Sequence) and entry and isinstance(entry[0], Mapping):
            for number, one in enumerate(entry, start=1):
                rows += particle_rows(one, f"{title} {number}: ")
        else:
            rows += _row(title, entry, (particle or {}).get(f"{name}_esd"), _UNITS.get(name, ""))
    return rows


def _row(name: str, value: Any, esd: Any, unit: str) -> list[Row]:
    """One row, or one for each of a few numbers, or none for what is no value."""
    if value is None or isinstance(value, (str, int, float, np.number)):
        return [{"name": name, "value": value, "esd": esd, "unit": unit}]
    values, esds = np.asarray(value), np.asarray(esd)
    if values.ndim != 1 or len(values) > _MOST_VALUES or values.dtype.kind not in "iuf":
        return []
    known = esds if esds.shape == values.shape else np.full(len(values), np.nan)
    pairs = zip(values.tolist(), known.tolist(), strict=True)
    return [
        {"name": f"{name} {number}", "value": one, "esd": error, "unit": unit}
        for number, (one, error) in enumerate(pairs, start=1)
    ]
