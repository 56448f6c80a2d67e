"""A simulation as files: the map, and the truth in the words of `atoms.csv`."""

import csv
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from atomfit.io.mrc import write_map
from atomfit.io.outputs import staged
from atomfit.simulation.maps import Simulation
from atomfit.statistics.displacements import principal_displacements

#: The columns of `atoms.csv` that a truth has.
TRUTH_COLUMNS = (
    *("id", "element", "x", "y", "z", "amplitude"),
    *("u11", "u22", "u33", "u12", "u13", "u23", "u_iso", "u_maj", "u_med", "u_min", "doi"),
)


def write_simulation(simulation: Simulation, directory: Path, overwrite: bool = False) -> Path:
    """Write `map.mrc`, `truth.csv` and `simulation.json`.

    **Raises:** `InputError` if the directory holds something and `overwrite` is false.
    """
    u = simulation.matrices
    principal = principal_displacements(u)
    numbers = np.column_stack(
        [
            simulation.positions,
            simulation.amplitudes,
            u[:, 0, 0],
            u[:, 1, 1],
            u[:, 2, 2],
            u[:, 0, 1],
            u[:, 0, 2],
            u[:, 1, 2],
            np.trace(u, axis1=1, axis2=2) / 3,
            principal.values,
            principal.degree_of_isotropy,
        ]
    )
    with staged(directory, overwrite) as stage:
        write_map(stage / "map.mrc", simulation.map)
        with open(stage / "truth.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(TRUTH_COLUMNS)
            for i, row in enumerate(numbers.tolist(), start=1):
                writer.writerow([i, simulation.symbol, *(f"{value:.6f}" for value in row)])
        record = {"atomfit": version("atomfit"), "options": asdict(simulation.options)}
        (stage / "simulation.json").write_text(json.dumps(record, indent=2) + "\n")
    return directory
