"""Heights and starts of columns in, atoms in three dimensions out: what `particle.xyz` holds.

Each column has its likeliest height, and begins at the plane that is nearest to its start. x and y are
those of the image's frame, z goes along the beam. Lighter elements are not in it: how many of their atoms
there are is integrated out, not told.
"""

import numpy as np

from atomfit.column_heights.found import Heights
from atomfit.io.structures import Structure
from atomfit.structure.crystals import ZoneColumns


def atoms_of_heights(found: Heights, zone: ZoneColumns, element: str) -> Structure | None:
    """Atoms of the heaviest element; None if it is not known where along the beam columns begin.

    **Arguments:**

    - `found`: the columns.
    - `zone`: the crystal along the beam.
    - `element`: its heaviest one.
    """
    if found.levels is None:
        return None
    known = np.flatnonzero(np.isfinite(found.levels + found.starts) & (found.heights > 0))
    if not len(known):
        return None
    counts = found.heights[known]
    column = np.repeat(known, counts)
    rank = np.arange(len(column)) - np.repeat(np.cumsum(counts) - counts, counts)
    planes = max(int(np.bincount(zone.of[zone.atom_symbols == element]).max()), 1)
    spacing = zone.repeat / planes
    z = found.levels[column] + spacing * (np.rint(found.starts[column]) + rank)
    positions = np.column_stack([found.positions[column], z])
    esds = np.column_stack([found.position_esds[column], spacing * found.start_esds[column]])
    none = np.full((len(column), 3, 3), np.nan)
    numbers = {
        "column": column + 1.0,
        "probability": found.probabilities[column, found.heights[column]],
        **{f"{axis}_esd": esd for axis, esd in zip("xyz", esds.T, strict=True)},
    }
    return Structure([element] * len(column), positions, none, np.full(len(column), np.nan), numbers, esds)
