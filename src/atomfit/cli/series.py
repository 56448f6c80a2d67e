"""The command `atomfit series`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import takes
from atomfit.cli.jobs import FittingJob
from atomfit.cli.terminal import Overwrite, Quiet, Resume, Strict, end_with, say
from atomfit.options.movie import MovieOptions
from atomfit.options.series import SeriesOptions

EXAMPLES = """
atomfit series t0 t1 t2 t3 -o heating
atomfit series t0.mrc t1.mrc t2.mrc -e Pt --times 0,10,20 -o heating
atomfit series models/*.cif --times times.txt --fdr 0.01 -o reaction
atomfit series movie.tif -e Pt --pixel-size 0.12 --library cross_sections.csv -o movie
"""


@takes(options=SeriesOptions, movie=MovieOptions)
def run(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT [INPUT ...]",
            help="In the order of time, each a directory of atomfit build, an atoms.csv, a .cif, .pdb or "
            ".xyz, or a map; or a stack of frames (MRC, TIFF, .npy, a microscope's file), or images.",
        ),
    ],
    options: SeriesOptions,
    movie: MovieOptions,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Output directory.", rich_help_panel="Files"),
    ],
    overwrite: Overwrite = False,
    element: Annotated[
        list[str] | None,
        typer.Option(
            "--element",
            "-e",
            metavar="SYMBOL",
            help="Of the atoms of maps and frames (repeatable).",
            rich_help_panel="Series",
        ),
    ] = None,
    times: Annotated[
        str | None,
        typer.Option(
            "--times",
            metavar="FILE|t0,t1,...",
            help="Of the inputs, rising.  [default: 0,1,2,...]",
            rich_help_panel="Series",
        ),
    ] = None,
    resume: Resume = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Follow one particle through many models, maps or frames of a movie: what changes in time.

    Models may be turned and shifted against each other. Of each atom U, its isotropy, occupancy and place
    are tested for a trend beside what all atoms of a model share; so are atoms at the surface, and those
    that are lost and gained are told from those that were missed. Writes series.html (open it in a browser;
    it has a time slider), series.csv, trends.csv, events.csv, trajectory.xyz (for OVITO and ase),
    series.json and run.json into DIR. Maps are built first; if that is interrupted, DIR.checkpoint is left,
    from which --resume goes on. Of a movie, columns of the mean of all frames are fitted to each, followed
    and counted; there are columns.csv, frames.csv and averages.mrc instead of trends.csv.
    """
    from atomfit.io.manifest import followed_files
    from atomfit.workflows.compare import names_of
    from atomfit.workflows.series import series

    job = FittingJob(out, overwrite, resume, strict, quiet)
    with job.running(followed_files(names_of(inputs)), inputs):
        with job.fitting("reading ...") as tell:
            result = series(
                inputs,
                element=element,
                times=times,
                **vars(options),
                movie=movie,
                progress=tell,
                checkpoint=job.checkpoint,
                resume=resume,
            )
        result.write(out, job.replacing)
    for line in result.lines():
        say(line)
    say(f"report: {out / 'series.html'}")
    end_with(result.verdict, strict)
