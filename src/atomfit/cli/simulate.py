"""The command `atomfit simulate`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import read, takes
from atomfit.cli.terminal import Overwrite, refusals, say
from atomfit.options.declared import declared, require_unset
from atomfit.options.images import ImageOptions
from atomfit.options.simulation import SeriesOptions, SimulationOptions
from atomfit.support.errors import InputError

EXAMPLES = """
atomfit simulate -o truth
atomfit simulate -o truth -e Au --shape decahedron --size 5 --noise 0.1 --wedge 30
atomfit simulate -o truth --tilts 60 --counts 1000
atomfit simulate -o truth --image --shape octahedron --size 12 --zone 110 --dose 1e4
atomfit simulate -o truth --image -e Si --crystal 80 --zone 110 --dose 3e4
"""


@takes(options=SimulationOptions, series=SeriesOptions, image=ImageOptions)
def run(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Output directory.", rich_help_panel="Files"),
    ],
    options: SimulationOptions,
    series: SeriesOptions,
    image: ImageOptions,
    tilts: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Simulate a tilt series of so many images as well.",
            rich_help_panel="Tilt series",
        ),
    ] = None,
    columns: Annotated[
        bool,
        typer.Option(
            "--image",
            help="Simulate an image of atomic columns instead of a map.",
            rich_help_panel="Image: specimen",
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a particle's map with known truth: map.mrc, truth.csv, simulation.json.

    With --tilts N also a tilt series of the same particle: images.mrc, views.csv, angles.tlt (the tilts
    alone) and truth_views.csv (with drifts, errors of rotations and gains). With --image only an image of
    atomic columns: image.mrc, truth_columns.csv, simulation.json (and truth_frames.csv).
    """
    with refusals():
        known = (
            declared(SimulationOptions).keys(),
            declared(SeriesOptions).keys(),
            declared(ImageOptions).keys(),
        )
        of_map, of_series, of_image = known
        if columns:
            for other in (options, series):
                require_unset(
                    other,
                    declared(type(other)).keys() - of_image,
                    "this is not of an image, and nothing else is simulated",
                    "leave out --image",
                )
            if tilts is not None:
                raise InputError(
                    "an image of columns has no tilts", "leave out --image or --tilts", "--tilts"
                )
            _image(image, out, overwrite)
            return
        unless = "this is of an image, and none is simulated"
        require_unset(image, of_image - of_map - of_series, unless, "add --image")
        if tilts is None:
            # What both have is the map's as well.
            require_unset(
                series,
                of_series - of_map,
                "this is of a tilt series, and none is simulated",
                "add --tilts N",
            )
        _map(options, None if tilts is None else replace(series, tilts=read(tilts, int)), out, overwrite)


def _map(options: SimulationOptions, series: SeriesOptions | None, out: Path, overwrite: bool) -> None:
    from atomfit.io.manifest import SERIES, SIMULATION
    from atomfit.io.outputs import claimed

    with claimed(out, overwrite, SIMULATION if series is None else (*SIMULATION, *SERIES)):
        from atomfit.simulation import simulate, simulate_series
        from atomfit.simulation.files import write_simulation

        simulation = simulate(options)
        images = None if series is None else simulate_series(simulation, series)
        write_simulation(simulation, out, overwrite, images)
    shape = " x ".join(str(n) for n in simulation.map.grid.shape[::-1])
    say(f"{len(simulation.positions)} atoms in {shape} voxels: {out / 'map.mrc'}")
    if images is not None:
        count, rows, columns = images.images.shape
        say(f"{count} images of {columns} x {rows} pixels: {out / 'images.mrc'} ({out / 'views.csv'})")


def _image(options: ImageOptions, out: Path, overwrite: bool) -> None:
    from atomfit.io.manifest import IMAGE_SIMULATION
    from atomfit.io.outputs import claimed

    with claimed(out, overwrite, IMAGE_SIMULATION):
        from atomfit.simulation import simulate_image
        from atomfit.simulation.image_files import write_image_simulation

        image = simulate_image(options)
        write_image_simulation(image, out, overwrite)
    count, rows, across = image.frames.shape
    named = "an image" if count == 1 else f"{count} frames"
    file = out / f"image.{options.image_format}"
    say(f"{len(image.columns)} columns in {named} of {across} x {rows} pixels: {file}")
