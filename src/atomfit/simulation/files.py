"""A simulation as files: the map, the truth in the words of `atoms.csv`, and a tilt series if asked for.

`views.csv` holds what the series claims, with the point that the views turn about; `truth_views.csv` what
is true of them, in the words of `views_refined.csv`.
"""

import csv
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from atomfit.io.image_stacks import write_images
from atomfit.io.mrc import write_map
from atomfit.io.outputs import staged
from atomfit.io.views import write_views
from atomfit.simulation.maps import Simulation
from atomfit.simulation.series import SimulatedSeries
from atomfit.statistics.displacements import principal_displacements

#: The columns of `atoms.csv` that a truth has.
TRUTH_COLUMNS = (
    *("id", "element", "x", "y", "z", "amplitude"),
    *("u11", "u22", "u33", "u12", "u13", "u23", "u_iso", "u_maj", "u_med", "u_min", "doi"),
)


def write_simulation(
    simulation: Simulation,
    directory: Path,
    overwrite: bool = False,
    series: SimulatedSeries | None = None,
) -> Path:
    """Write `map.mrc`, `truth.csv`, `simulation.json`, and the files of a tilt series of the same particle.

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
        if series is not None:
            _write_series(series, stage)
            record["series"] = asdict(series.options) | {"image_units_per_map_unit": series.scale}
        (stage / "simulation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return directory


def _write_series(series: SimulatedSeries, stage: Path) -> None:
    write_images(stage / "images.mrc", series.images, series.options.pixel_size)
    write_views(stage / "views.csv", series.nominal, centre=series.centre)
    angles = "".join(f"{angle:.6g}\n" for angle in series.options.angles.tolist())
    (stage / "angles.tlt").write_text(angles, encoding="ascii")
    further = {
        "shift_u": series.shifts[:, 0],
        "shift_v": series.shifts[:, 1],
        "turn": np.linalg.norm(series.turns, axis=1),
        "gain": series.gains,
    }
    write_views(stage / "truth_views.csv", series.views, further, series.centre)
