"""The command line: `atomfit build`, `check`, `simulate`, `tilt` and `compare`.

Thin on purpose: it turns words into the options of the Python functions, shows progress, and turns an
`InputError` into one sentence and exit code 2. Everything heavy is imported when a command runs, so that
`--help` is instant.
"""

from pathlib import Path
from typing import Annotated

import typer

from atomfit import process
from atomfit.arguments import correlation_rule, lengths
from atomfit.cli_compare import compare
from atomfit.cli_simulate import simulate
from atomfit.cli_tilt import tilt
from atomfit.errors import InputError
from atomfit.figures import require_matplotlib
from atomfit.options import (
    Axis,
    Background,
    BuildOptions,
    Displacements,
    FitMethod,
    Likelihood,
    Noise,
    Optimizer,
    Prior,
    Scattering,
    Selection,
    Split,
    Voxels,
)
from atomfit.terminal import (
    Elements,
    Figures,
    Insist,
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

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="From an atomic-resolution 3D map of a nanoparticle to a jointly refined atomic model.",
)

_Map = Annotated[Path, typer.Argument(metavar="MAP", help="MRC, gzipped MRC, or .npy.")]
_VoxelSize = Annotated[
    str | None,
    typer.Option(metavar="ANGSTROM", help="Replaces the header's: one edge, or three as X,Y,Z."),
]


@app.command()
def build(
    map: _Map,
    element: Elements,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Output directory.  [default: MAP_atomfit]"),
    ] = None,
    overwrite: Overwrite = False,
    voxel_size: _VoxelSize = None,
    invert: Annotated[bool, typer.Option("--invert", help="Atoms are dark in this map.")] = False,
    mask_diameter: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Ignore what lies outside a sphere.")
    ] = None,
    neighbour_distance: Annotated[
        float | None,
        typer.Option(metavar="ANGSTROM", help="Replaces the element's bulk nearest-neighbour distance."),
    ] = None,
    split: Annotated[
        Split, typer.Option(help="Divide merged atoms at each threshold, after the best, or off.")
    ] = "each",
    min_correlation: Annotated[
        str,
        typer.Option(help="Least validation correlation: a number, auto, paper or off."),
    ] = "auto",
    min_cn: Annotated[
        int, typer.Option(help="Least coordination number at detection; 0 turns it off.")
    ] = 3,
    cn_cutoff: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Atoms closer than this are neighbours.")
    ] = None,
    fit: Annotated[
        FitMethod, typer.Option(help="Refine all atoms jointly, or only the paper's log-fits.")
    ] = "joint",
    displacements: Annotated[Displacements, typer.Option(help="A matrix an atom, or one number.")] = (
        "anisotropic"
    ),
    scattering: Annotated[
        Scattering, typer.Option(help="One Gaussian an atom, or its element's electron form factor.")
    ] = "gaussian",
    u_mean: Annotated[
        float | None,
        typer.Option(metavar="U", help="Mean displacement, to tell it from the resolution (form-factor)."),
    ] = None,
    voxels: Annotated[
        Voxels, typer.Option(help="Density at the middle of a voxel, or integrated over it.")
    ] = "point",
    background: Annotated[Background, typer.Option(help="What lies beneath the atoms.")] = "constant",
    noise: Annotated[
        Noise, typer.Option(help="Measured outside the particle, white, or what the fit leaves.")
    ] = "auto",
    prior: Annotated[
        Prior,
        typer.Option(
            help="Draw displacements to those of the other atoms; auto: where they are uncertain."
        ),
    ] = "auto",
    selection: Annotated[
        Selection, typer.Option(help="Atoms are added and removed as the fit asks, or left as detected.")
    ] = "fit",
    fdr: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Part of the atoms that may be false; by default each is likelier real.",
        ),
    ] = None,
    half_maps: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Two half-maps, in whose difference noise is measured instead."),
    ] = None,
    tilts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tilt angles (.tlt): the missing wedge is theirs.")
    ] = None,
    tilt_axis: Annotated[Axis, typer.Option(help="That the specimen was turned about.")] = "y",
    beam: Annotated[Axis, typer.Option(help="Along which the beam went at tilt 0.")] = "z",
    likelihood: Annotated[
        Likelihood, typer.Option(help="poisson for counts; robust if other things are in the map.")
    ] = "gaussian",
    gain: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Map units per count, for poisson.")
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Keep positions, displacements, amplitudes, background or resolution (repeatable).",
        ),
    ] = None,
    optimizer: Annotated[Optimizer, typer.Option(help="Of the joint fit.")] = "newton",
    max_iterations: Annotated[int, typer.Option(help="Of the joint fit.")] = 300,
    resume: Resume = False,
    figures: Figures = False,
    strict: Strict = False,
    insist: Insist = False,
    quiet: Quiet = False,
) -> None:
    """Find the atoms of a map and refine them jointly.

    Writes report.html (open it in a browser), atoms.csv, rejected.csv, depth.csv, atoms.cif, atoms.pdb,
    atoms.xyz, model.mrc, residual.mrc, labels.mrc, binary.mrc, view.cxc, particle.json, summary.json and
    run.json into DIR. A fit that is interrupted leaves DIR.checkpoint; --resume goes on from it.
    """
    from atomfit.io.manifest import build_files
    from atomfit.io.outputs import checkpoint_beside, claimed, require_checkpoint

    directory = out if out is not None else Path(f"{_stem(map)}_atomfit")
    checkpoint = checkpoint_beside(directory)
    changed = voxel_size is not None or invert or mask_diameter is not None
    names, inputs = build_files(map, changed, figures), (map, tilts, *(half_maps or ()))
    with refusals(checkpoint), claimed(directory, overwrite or resume, names, inputs):
        process.one_thread_for_small_matrices()
        options = BuildOptions(
            voxel_size=lengths(voxel_size),
            invert=invert,
            mask_diameter=mask_diameter,
            neighbour_distance=neighbour_distance,
            split=split,
            min_correlation=correlation_rule(min_correlation),
            min_cn=min_cn,
            cn_cutoff=cn_cutoff,
            fit=fit,
            displacements=displacements,
            scattering=scattering,
            u_mean=u_mean,
            voxels=voxels,
            background=background,
            noise=noise,
            prior=prior,
            selection=selection,
            fdr=fdr,
            half_maps=half_maps,
            tilts=tilts,
            tilt_axis=tilt_axis,
            beam=beam,
            likelihood=likelihood,
            gain=gain,
            freeze=tuple(freeze or ()),
            optimizer=optimizer,
            max_iterations=max_iterations,
            insist=insist,
        )
        if figures:
            require_matplotlib()
        if resume:
            require_checkpoint(checkpoint)
        show_log(quiet)
        from atomfit.preparation import prepare

        prepared = prepare(map, element, options)
        from atomfit import compiled, pipeline

        compiled.keep_in(process.programs_directory())
        with spinner(quiet, "reading and detecting ...") as tell:
            result = pipeline.build(
                prepared,
                element,
                options,
                progress=lambda iteration, value: tell(
                    f"joint fit: iteration {iteration}, misfit {value:.6g} (Ctrl-C keeps the best so far)"
                ),
                checkpoint=checkpoint,
                resume=resume,
            )
        result.write(directory, overwrite or resume, figures)
    say(f"{len(result)} atoms: {directory / 'atoms.csv'}")
    say(f"report: {directory / 'report.html'}")
    if checkpoint.exists():
        say(f"the fit has not ended; {to_go_on()}", err=True)
    if result.reason == "interrupted":
        raise typer.Exit(130)
    end_with(result.verdict, strict)


@app.command()
def check(
    map: _Map,
    element: Annotated[
        str | None, typer.Option("--element", "-e", help="Chemical symbol of the atoms.")
    ] = None,
    voxel_size: _VoxelSize = None,
) -> None:
    """Tell what is in a map and whether it can be used."""
    with refusals():
        from atomfit import preparation
        from atomfit.report.check import describe

        file, inspection = preparation.check(map, element, lengths(voxel_size))
        say(describe(file, inspection))
        for doubt in inspection.doubts:
            raise InputError(doubt.problem, doubt.remedy, map)


app.command()(simulate)
app.command()(tilt)
app.command()(compare)


def _version(show: bool | None) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"atomfit {version('atomfit')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = None,
) -> None:
    pass


def main() -> None:
    """Entry point of the command `atomfit`."""
    process.collect_garbage_rarely()
    try:
        # Commands refuse for themselves; this is for what goes wrong before they begin.
        with refusals():
            app()
    except SystemExit as end:
        process.leave(end.code)
    except typer.Exit as end:
        process.leave(end.exit_code)


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".gz", ".mrc", ".map", ".ccp4", ".npy"):
        name = name.removesuffix(ending)
    return name or "map"


if __name__ == "__main__":
    main()
