"""The measured film beside simulated ones, in one table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atomfit.io.mrc import read_map
from experiments.film import realism
from experiments.film.made import sub_area
from experiments.film.measuring import FOLDER
from experiments.film.scenes import Scene
from experiments.recording import markdown, record


def write(scenes: Sequence[Scene], data: Path | None, path: Path) -> None:
    """Record the table.

    **Arguments:**

    - `scenes`: that are simulated.
    - `data`: directory with a folder for each part of the measured film, or none.
    - `path`: of the record.
    """
    rows = []
    for folder in sorted(one.parent for one in data.glob("*/volume.mrc")) if data is not None else ():
        lines = (folder / "atoms_final.xyz").read_text().splitlines()[2:]
        atoms = np.array([line.split()[1:4] for line in lines], float)
        rows.append(realism.row(f"measured {folder.name}", read_map(folder / "volume.mrc").map, atoms))
        print(*rows[-1], sep=" | ", flush=True)
    for one in scenes:
        area = sub_area(one, FOLDER)
        rows.append(realism.row(f"{one.kind} {one.seed}", area.map, area.positions))
        print(*rows[-1], sep=" | ", flush=True)
    # A row for each number reads better than one for each map.
    turned = [list(cells) for cells in zip(realism.HEADER, *rows, strict=True)]
    record(path, "python -m experiments.film realism --data DATA", markdown(turned[0], turned[1:]))
