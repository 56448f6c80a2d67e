"""The command `atomfit build`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.cli.fields import takes
from atomfit.cli.jobs import FittingJob
from atomfit.cli.terminal import Elements, Figures, Overwrite, Quiet, Resume, Strict
from atomfit.options.build import BuildOptions

EXAMPLES = """
atomfit build particle.mrc -e Pt
atomfit build particle.mrc -e Fe -e Pt -o particle --figures
atomfit build particle.npy -e Pt --voxel-size 0.358 --tilts particle.tlt
"""


@takes(options=BuildOptions)
def run(
    map: Annotated[Path, typer.Argument(metavar="MAP", help="MRC, gzipped MRC, or .npy.")],
    element: Elements,
    options: BuildOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Output directory.  [default: MAP_atomfit]",
            rich_help_panel="Files",
        ),
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    figures: Figures = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Find the atoms of a map and refine them jointly.

    Writes report.html (open it in a browser), atoms.csv, rejected.csv, depth.csv, atoms.cif, atoms.pdb,
    atoms.xyz, atoms_core.cif, model.mrc, residual.mrc, labels.mrc, binary.mrc, view.cxc, particle.json,
    summary.json and run.json into DIR. A fit that is interrupted leaves DIR.checkpoint; --resume goes on
    from it.
    """
    from atomfit.io.manifest import build_files

    directory = out if out is not None else Path(f"{_stem(map)}_atomfit")
    job = FittingJob(directory, overwrite, resume, strict, quiet, figures)
    changed = options.voxel_size is not None or options.invert or options.mask_diameter is not None
    inputs = (map, options.tilts, *(options.half_maps or ()))
    with job.running(build_files(map, changed, figures), inputs):
        from atomfit.workflows.preparation import prepare

        prepared = prepare(map, element, options)
        from atomfit.workflows import build as pipeline

        with job.fitting("reading and detecting ...") as tell:
            result = pipeline.build(
                prepared,
                element,
                options,
                progress=lambda iteration, value: tell(
                    f"joint fit: iteration {iteration}, misfit {value:.6g} (Ctrl-C keeps the best so far)"
                ),
                checkpoint=job.checkpoint,
                resume=resume,
            )
        result.write(directory, job.replacing, figures)
    job.end(f"{len(result)} atoms", "atoms.csv", result.reason, result.verdict)


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".gz", ".mrc", ".map", ".ccp4", ".npy"):
        name = name.removesuffix(ending)
    return name or "map"
