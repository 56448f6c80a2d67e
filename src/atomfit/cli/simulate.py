"""The command `atomfit simulate`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import read, takes
from atomfit.cli.terminal import Overwrite, refusals, say
from atomfit.options.declared import declared, require_unset
from atomfit.options.simulation import SeriesOptions, SimulationOptions

EXAMPLES = """
atomfit simulate -o truth
atomfit simulate -o truth -e Au --shape decahedron --size 5 --noise 0.1 --wedge 30
atomfit simulate -o truth --tilts 60 --counts 1000
"""


@takes(options=SimulationOptions, series=SeriesOptions)
def run(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Output directory.", rich_help_panel="Files"),
    ],
    options: SimulationOptions,
    series: SeriesOptions,
    tilts: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Simulate a tilt series of so many images as well.",
            rich_help_panel="Tilt series",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a particle's map with known truth: map.mrc, truth.csv, simulation.json.

    With --tilts N also a tilt series of the same particle: images.mrc, views.csv, angles.tlt (the tilts
    alone) and truth_views.csv (with drifts, errors of rotations and gains).
    """
    from atomfit.io.manifest import SERIES, SIMULATION
    from atomfit.io.outputs import claimed

    with refusals(), claimed(out, overwrite, SIMULATION if tilts is None else (*SIMULATION, *SERIES)):
        asked = None if tilts is None else replace(series, tilts=read(tilts, int))
        if asked is None:
            # What both have is the map's as well.
            own = declared(SeriesOptions).keys() - declared(SimulationOptions).keys()
            require_unset(series, own, "this is of a tilt series, and none is simulated", "add --tilts N")
        from atomfit.simulation import simulate, simulate_series
        from atomfit.simulation.files import write_simulation

        simulation = simulate(options)
        images = None if asked is None else simulate_series(simulation, asked)
        write_simulation(simulation, out, overwrite, images)
    shape = " x ".join(str(n) for n in simulation.map.grid.shape[::-1])
    say(f"{len(simulation.positions)} atoms in {shape} voxels: {out / 'map.mrc'}")
    if images is not None:
        count, rows, columns = images.images.shape
        say(f"{count} images of {columns} x {rows} pixels: {out / 'images.mrc'} ({out / 'views.csv'})")
