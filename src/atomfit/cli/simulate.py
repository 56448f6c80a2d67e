"""The command `atomfit simulate`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from atomfit.cli.fields import Unused, read, takes
from atomfit.cli.terminal import Overwrite, refusals, say
from atomfit.options.hrtem import HrtemOptions
from atomfit.options.images import ImageOptions
from atomfit.options.simulation import SeriesOptions, SimulationOptions
from atomfit.support.errors import InputError

EXAMPLES = """
atomfit simulate -o truth
atomfit simulate -o truth -e Au --shape decahedron --size 5 --noise 0.1 --wedge 30
atomfit simulate -o truth --tilts 60 --counts 1000
atomfit simulate -o truth --image --shape octahedron --size 12 --zone 110 --dose 1e4
atomfit simulate -o truth --image -e Si --crystal 80 --zone 110 --dose 3e4
atomfit simulate -o truth --hrtem --crystal CeO2 --zone 110 --defocus 5 --dose 1e3
"""


_KINDS = ("options", "series", "image", "hrtem")


def _unused(given: Mapping[str, Any]) -> Unused:
    """Which options have no effect, and why."""
    if given["columns"] and given["wave"]:
        raise InputError("an image is one or the other", "give --image or --hrtem", "--hrtem")
    for flag, kind, what in (("columns", "image", "image"), ("wave", "hrtem", "HRTEM image")):
        if given[flag]:
            told = f"this is not of an {what}, and nothing else is simulated", f"leave out --{kind}"
            return {one: told for one in _KINDS if one != kind}
    idle = {} if given["tilts"] is not None else {"series": _OF_SERIES}
    return idle | {"image": _OF_IMAGE, "hrtem": _OF_HRTEM}


_OF_SERIES = "this is of a tilt series, and none is simulated", "add --tilts N"
_OF_IMAGE = "this is of an image, and none is simulated", "add --image"
_OF_HRTEM = "this is of an HRTEM image, and none is simulated", "add --hrtem"


@takes(_unused, options=SimulationOptions, series=SeriesOptions, image=ImageOptions, hrtem=HrtemOptions)
def run(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Output directory.", rich_help_panel="Files"),
    ],
    options: SimulationOptions,
    series: SeriesOptions,
    image: ImageOptions,
    hrtem: HrtemOptions,
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
    wave: Annotated[
        bool,
        typer.Option(
            "--hrtem",
            help="Simulate a high-resolution TEM image of a crystal instead of a map.",
            rich_help_panel="HRTEM: specimen",
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a particle's map with known truth: map.mrc, truth.csv, simulation.json.

    With --tilts N also a tilt series of the same particle: images.mrc, views.csv, angles.tlt (the tilts
    alone) and truth_views.csv (with drifts, errors of rotations and gains). With --image only an image of
    atomic columns: image.mrc, truth_columns.csv, simulation.json (and truth_frames.csv). With --hrtem only
    an HRTEM image of a crystal, in raw counts: image.mrc, truth_columns.csv, simulation.json.
    """
    with refusals():
        if tilts is not None and (columns or wave):
            flag = "--image" if columns else "--hrtem"
            raise InputError("an image of columns has no tilts", f"leave out {flag} or --tilts", "--tilts")
        if columns:
            _image(image, out, overwrite)
        elif wave:
            _hrtem(hrtem, out, overwrite)
        else:
            chosen = None if tilts is None else replace(series, tilts=read(tilts, int))
            _map(options, chosen, out, overwrite)


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


def _hrtem(options: HrtemOptions, out: Path, overwrite: bool) -> None:
    from atomfit.io.manifest import HRTEM_SIMULATION
    from atomfit.io.outputs import claimed

    with claimed(out, overwrite, HRTEM_SIMULATION):
        from atomfit.simulation import simulate_hrtem
        from atomfit.simulation.hrtem_files import write_hrtem

        found = simulate_hrtem(options)
        write_hrtem(found, out, overwrite)
    count, rows, across = found.frames.shape
    named = "an image" if count == 1 else f"{count} frames"
    file = out / f"image.{options.image_format}"
    say(f"{len(found.columns)} columns in {named} of {across} x {rows} pixels: {file}")
