"""The command `atomfit columns`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import takes
from atomfit.cli.jobs import FittingJob
from atomfit.cli.terminal import Figures, Overwrite, Quiet, Resume, Strict
from atomfit.options.columns import ColumnOptions

EXAMPLES = """
atomfit columns particle.mrc -e Pt
atomfit columns particle.mrc -e Pt --library cross_sections.csv --library-error 0.05
atomfit columns particle.dm4 -e Pt -e Co --order L1_0 -o particle
atomfit columns particle.mrc -e Pt --start atomap.hdf5
atomfit columns movie.tif --frame mean --pixel-size 0.12
atomfit columns particle.mrc -e Pt --model3d --zone 1,1,0
"""


@takes(options=ColumnOptions)
def run(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="MRC, TIFF, PNG, .npy, or a microscope's file.")
    ],
    options: ColumnOptions,
    element: Annotated[
        list[str] | None,
        typer.Option(
            "--element",
            "-e",
            metavar="SYMBOL",
            help="Chemical symbol of the atoms (repeatable), if it is known.",
            rich_help_panel="Files",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Output directory.  [default: IMAGE_columns]",
            rich_help_panel="Files",
        ),
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    figures: Figures = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Find the atomic columns of an image and refine them jointly.

    Writes report.html (open it in a browser), columns.csv, counts.csv, count_probabilities.csv,
    rejected.csv, columns.xyz, columns_atomap.csv, columns_statstem.csv, model.mrc, residual.mrc,
    background.mrc, columns.svg, particle.json, summary.json and run.json into DIR; with --model3d also
    model3d.csv, model3d.cif, model3d.xyz and ensemble.xyz. A job that is
    interrupted leaves DIR.checkpoint; --resume goes on from it.
    """
    from atomfit.io.manifest import columns_files

    directory = out if out is not None else Path(f"{image.stem or 'image'}_columns")
    job = FittingJob(directory, overwrite, resume, strict, quiet, figures)
    with job.running(columns_files(figures), (image, options.library, options.start)):
        from atomfit.io.images import read_image
        from atomfit.structure.elements import elements_of

        elements_of(element or "Pt", None)
        read = read_image(image, options.pixel_size, options.frame)
        from atomfit.workflows import columns as pipeline

        pipeline.room_to_fit(read.image.grid.size)
        with job.fitting("looking for columns ...") as tell:
            result = pipeline.columns(
                read,
                tuple(element or ()),
                options,
                progress=lambda iteration, value: tell(
                    f"joint fit: iteration {iteration}, misfit {value:.6g} (Ctrl-C keeps the best so far)"
                ),
                checkpoint=job.checkpoint,
                resume=resume,
            )
        result.write(directory, job.replacing, figures)
    job.end(f"{len(result)} columns", "columns.csv", result.reason, result.verdict)
