"""The command `atomfit tilt`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import takes
from atomfit.cli.jobs import FittingJob
from atomfit.cli.terminal import Elements, Overwrite, Quiet, Resume, Strict
from atomfit.options.tilt import TiltOptions

EXAMPLES = """
atomfit tilt images.mrc --views angles.tlt -e Pt -o particle
atomfit tilt images.mrc --views angles.tlt -e Pt -o particle --map reconstruction.mrc
atomfit tilt images.npy --views euler.csv -e Pt -o particle --start atoms.xyz --pixel-size 0.4
"""


@takes(options=TiltOptions)
def run(
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="MRC or TIFF stack, .npy [view, v, u], or dm4, emd, ... (rosettasciio).",
        ),
    ],
    views: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A table (.csv) with r11 to r33 or with Euler angles, or tilt angles (.tlt, .rawtlt).",
            rich_help_panel="Files",
        ),
    ],
    element: Elements,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Output directory.", rich_help_panel="Files"),
    ],
    options: TiltOptions,
    overwrite: Overwrite = False,
    resume: Resume = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Refine atoms jointly against the images of a tilt series.

    Atoms are found in the images if neither a model (--start) nor a map (--map) is given. Writes
    report.html (open it in a browser), atoms.csv, rejected.csv, particle.json, atoms.cif, atoms.pdb,
    atoms.xyz, atoms_core.cif, model_images.mrc, residual_images.mrc, views_refined.csv, views.svg (atoms
    over the first, middle and last image: look at it), probe.csv, summary.json and run.json into DIR. A fit
    that is interrupted leaves DIR.checkpoint; --resume goes on from it.
    """
    from atomfit.io.manifest import TILT

    job = FittingJob(out, overwrite, resume, strict, quiet)
    with job.running(TILT, (images, views, options.start, options.map, options.surroundings)):
        from atomfit.workflows.tilt_preparation import prepare_series
        from atomfit.workflows.tilt_starts import require_start

        prepared = prepare_series(images, views, element, options)
        require_start(prepared, options)
        from atomfit.workflows import tilt as tilting

        with job.fitting("reading ...") as tell:
            result = tilting.tilt(
                prepared,
                None,
                element,
                options,
                progress=lambda stage, iteration, value: tell(
                    f"{stage}: iteration {iteration}, misfit {value:.6g}"
                ),
                checkpoint=job.checkpoint,
                resume=resume,
            )
        result.write(out, job.replacing)
    job.end(f"{len(result)} atoms", "atoms.csv", result.fit.reason, result.verdict)
