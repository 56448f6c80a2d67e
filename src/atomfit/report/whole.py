"""The whole particle as rows of a table: a name in words, a value, its standard uncertainty, a unit.

Not all of `particle.json` is worth a reader's time: rows are those of the paper's Table 1, the lattice of
each grain with its errors, and how many atoms have which surroundings. What is drawn elsewhere on the page
(statistics by coordination number and against depth) is left out.
"""

from collections.abc import Mapping
from typing import Any

#: The paper's Table 1, in words.
_TABLE_1 = (
    ("diameter", "diameter: largest distance between two atoms", "Å"),
    ("median_cn", "median coordination number", ""),
    ("mean_cn", "mean coordination number", ""),
    ("median_nn_distance", "median distance to the nearest atom", "Å"),
    ("median_radial_strain_percent", "median radial strain, from the bulk's lattice", "%"),
    ("core_atoms", "atoms with 12 neighbours", ""),
    ("core_ratio", "part of the atoms with 12 neighbours", ""),
)
#: Lattices that are shown.
_MOST_LATTICES = 5

Row = dict[str, Any]


def particle_rows(particle: Mapping[str, Any] | None) -> list[Row]:
    """Rows with name, value, esd and unit.

    **Arguments:**

    - `particle`: what goes into `particle.json`; None if there is none.
    """
    if particle is None:
        return []
    rows = [row_of(words, particle["table_1"][name], None, unit) for name, words, unit in _TABLE_1]
    rows.append(row_of("structure", particle["structure"]))
    local = sorted(particle["local_structure"].items(), key=lambda item: -item[1])
    rows.append(row_of("surroundings of atoms", ", ".join(f"{count} {name}" for name, count in local)))
    for number, lattice in enumerate(particle["lattices"][:_MOST_LATTICES], start=1):
        rows += _of_lattice(number, lattice)
    rows.append(
        row_of(
            "scatter of radial strain, from the fitted lattice",
            100 * particle["strain"]["radial_standard_deviation"],
            None,
            "%",
        )
    )
    return rows


def _of_lattice(number: int, lattice: Mapping[str, Any]) -> list[Row]:
    name = f"grain {number}, {lattice['crystal']}, {lattice['atoms']} atoms"
    rows = [
        row_of(f"{name}: lattice constant", lattice["constant"], lattice["constant_esd"], "Å"),
    ]
    for letters, kind, unit in (("abc", "edges", "Å"), ("αβγ", "angles", "°")):
        for letter, value, esd in zip(letters, lattice[kind], lattice[f"{kind}_esd"], strict=True):
            rows.append(row_of(f"{name}: {letter}", float(value), float(esd), unit))
    return rows


def row_of(name: str, value: Any, esd: float | None = None, unit: str = "") -> Row:
    """A row of a table of figures."""
    return {"name": name, "value": value, "esd": esd, "unit": unit}
