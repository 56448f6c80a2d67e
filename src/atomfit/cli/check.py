"""The command `atomfit check`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import read
from atomfit.cli.terminal import refusals, say
from atomfit.support.errors import InputError

EXAMPLES = """
atomfit check particle.mrc
atomfit check particle.npy -e Pt --voxel-size 0.358
"""


def run(
    map: Annotated[Path, typer.Argument(metavar="MAP", help="MRC, gzipped MRC, or .npy.")],
    element: Annotated[
        str | None,
        typer.Option("--element", "-e", metavar="SYMBOL", help="Chemical symbol of the atoms."),
    ] = None,
    voxel_size: Annotated[
        str | None,
        typer.Option(metavar="ANGSTROM", help="Replaces the header's: one edge, or three as X,Y,Z."),
    ] = None,
    half_maps: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Two half-maps, which tell the resolution best."),
    ] = None,
) -> None:
    """Tell what is in a map and whether it can be used."""
    with refusals():
        from atomfit.report.check import describe
        from atomfit.workflows import preparation

        edges = read(voxel_size, float | tuple[float, float, float])
        file, inspection = preparation.check(map, element, edges, half_maps)
        say(describe(file, inspection))
        for doubt in inspection.doubts:
            raise InputError(doubt.problem, doubt.remedy, map)
