"""Compare a result with known atoms: `python experiments/score.py truth.csv atoms.csv`.

Both are tables with columns x, y, z and, if known, u_iso. Found means: within 1 Å, one to one.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from atomfit.structure.matching import match


def columns(path: Path, *names: str) -> np.ndarray:
    """Columns of a CSV file, side by side; NaN where a field is empty."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row.get(name) or "nan") for name in names] for row in rows]).reshape(
        -1, len(names)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("atoms", type=Path)
    arguments = parser.parse_args()
    known, found = (columns(path, "x", "y", "z", "u_iso") for path in (arguments.truth, arguments.atoms))
    start = columns(arguments.atoms, "com_x", "com_y", "com_z", "logfit_u_iso")
    pairs = match(found[:, :3], known[:, :3])
    write = sys.stdout.write
    write(f"{len(pairs.found)} of {len(known)} atoms found, {pairs.false} false\n")
    for name, table in (("joint fit", found), ("per-atom baseline", start)):
        distance = np.linalg.norm(table[pairs.found, :3] - known[pairs.known, :3], axis=1)
        u = table[pairs.found, 3] - known[pairs.known, 3]
        write(
            f"{name}: {100 * np.sqrt(np.mean(distance**2)):.2f} pm off in position, "
            f"U {np.nanmean(u):+.4f} Å² off on average\n"
        )


if __name__ == "__main__":
    main()
