"""The command `atomfit tilt`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import takes
from atomfit.cli.terminal import (
    Elements,
    Overwrite,
    Quiet,
    Resume,
    Strict,
    end_with,
    refusals,
    say,
    show_log,
    spinner,
    to_go_on,
)
from atomfit.optimisation.ended import Ended
from atomfit.options.tilt import TiltOptions
from atomfit.support import process

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
    from atomfit.io.outputs import checkpoint_beside, claimed, require_checkpoint

    checkpoint = checkpoint_beside(out)
    inputs = (images, views, options.start, options.map, options.surroundings)
    with refusals(checkpoint), claimed(out, overwrite or resume, TILT, inputs):
        process.one_thread_for_small_matrices()
        if resume:
            require_checkpoint(checkpoint)
        show_log(quiet)
        from atomfit.workflows.tilt_preparation import prepare_series
        from atomfit.workflows.tilt_starts import require_start

        prepared = prepare_series(images, views, element, options)
        require_start(prepared, options)
        from atomfit.support import compiled
        from atomfit.workflows import tilt as tilting

        compiled.keep_in(process.programs_directory())
        with spinner(quiet, "reading ...") as tell:
            result = tilting.tilt(
                prepared,
                None,
                element,
                options,
                progress=lambda stage, iteration, value: tell(
                    f"{stage}: iteration {iteration}, misfit {value:.6g}"
                ),
                checkpoint=checkpoint,
                resume=resume,
            )
        result.write(out, overwrite or resume)
    say(f"{len(result)} atoms: {out / 'atoms.csv'}")
    say(f"report: {out / 'report.html'}")
    if checkpoint.exists():
        say(f"the fit has not ended; {to_go_on()}", err=True)
    if result.fit.reason == Ended.INTERRUPTED:
        raise typer.Exit(130)
    end_with(result.verdict, strict)
