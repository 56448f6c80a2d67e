"""The command `atomfit heights`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import takes
from atomfit.cli.jobs import FittingJob
from atomfit.cli.terminal import Figures, Overwrite, Quiet, Strict
from atomfit.options.heights import HeightsOptions

EXAMPLES = """
atomfit heights particle.mrc --crystal CeO2 --zone 1,1,0
atomfit heights particle.dm4 --crystal CeO2 --zone 1,1,0 --gain 42 -o heights
atomfit heights movie.mrc --crystal CeO2 --zone 1,1,0 --frame mean --pixel-size 0.18
atomfit heights movie.mrc --crystal CeO2 --zone 1,1,0 --network-only
"""


@takes(options=HeightsOptions)
def run(
    image: Annotated[
        Path,
        typer.Argument(metavar="IMAGE", help="Raw counts: MRC, TIFF, PNG, .npy, or a microscope's file."),
    ],
    options: HeightsOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Output directory.  [default: IMAGE_heights]",
            rich_help_panel="Files",
        ),
    ] = None,
    overwrite: Overwrite = False,
    figures: Figures = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Find how many atoms each column of a crystal has in an HRTEM image.

    Writes report.html (open it in a browser), heights.csv (probabilities of every height), conditions.csv,
    heights.svg, summary.json and run.json into DIR, and if the image was modelled model.mrc, residual.mrc
    and its atoms (particle.xyz, particle.cif). Of a stack every frame is looked at, unless --frame says
    which: then DIR has frames.csv too.
    """
    from atomfit.io.manifest import heights_files

    directory = out if out is not None else Path(f"{image.stem or 'image'}_heights")
    job = FittingJob(directory, overwrite, False, strict, quiet, figures)
    with job.running(heights_files(figures), (image, options.weights)):
        from atomfit.workflows import heights as pipeline

        with job.fitting("reading ...") as tell:
            result = pipeline.heights(image, options, progress=tell)
        result.write(directory, job.replacing, figures)
    job.end(result.told, "heights.csv", result.reason, result.verdict)
