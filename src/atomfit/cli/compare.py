"""The command `atomfit compare`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import takes
from atomfit.cli.jobs import FittingJob
from atomfit.cli.terminal import Figures, Overwrite, Quiet, Resume, Strict, end_with, say
from atomfit.options.compare import CompareOptions
from atomfit.support import process

EXAMPLES = """
atomfit compare before after
atomfit compare before/atoms.csv after.cif --calibrate --figures
atomfit compare t0.mrc t1.mrc t2.mrc -e Pt -o series
atomfit compare fresh_columns used_columns --fdr 0.01 -o reaction
atomfit compare fresh.tif used.tif -e Pt --library cross_sections.csv
"""


@takes(options=CompareOptions)
def run(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B [C ...]",
            help="Each a directory of atomfit build, an atoms.csv, a .cif, .pdb or .xyz, or a map; "
            "or two results of atomfit columns, their columns.csv, or images.",
        ),
    ],
    options: CompareOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Output directory.  [default: A_vs_B_compare]",
            rich_help_panel="Files",
        ),
    ] = None,
    overwrite: Overwrite = False,
    element: Annotated[
        list[str] | None,
        typer.Option(
            "--element",
            "-e",
            metavar="SYMBOL",
            help="Of the atoms of maps and images (repeatable).",
            rich_help_panel="Comparison",
        ),
    ] = None,
    figures: Figures = False,
    resume: Resume = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Compare two models of one particle, or a series of them: what moved, was lost, was gained.

    So are the columns of two images, whose counts of atoms are compared, too. Models and images may be
    turned and shifted against each other. Writes compare.html (open it in a browser), compare.csv,
    compare.json, a.xyz and b.xyz into DIR; of a series a table and a page for each pair of models, their
    atoms in the frame of A, and series.csv, in which each atom is followed. Maps are built first (columns
    of images are found first); if that is interrupted, DIR.checkpoint is left, from which --resume goes on.
    """
    process.one_thread_for_small_matrices()
    from atomfit.io.manifest import FIGURES, comparison_files
    from atomfit.workflows.compare import compare, names_of

    names = names_of(models)
    directory = out if out is not None else Path("_vs_".join(names) + "_compare")
    job = FittingJob(directory, overwrite, resume, strict, quiet, figures)
    with job.running((*comparison_files(names), *(FIGURES if figures else ())), models):
        result = compare(models, element=element, options=options, checkpoint=job.checkpoint, resume=resume)
        result.write(directory, job.replacing, figures)
    for line in result.lines():
        say(line)
    say(f"{directory / 'compare.html'}")
    end_with(result.verdict, strict)
