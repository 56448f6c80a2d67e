"""The command `atomfit tilt`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit import process
from atomfit.arguments import number, triple
from atomfit.options import Likelihood
from atomfit.terminal import (
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
from atomfit.tilt_options import (
    Amplitudes,
    ProbeKind,
    TiltAxis,
    TiltDisplacements,
    TiltOptions,
    TiltSelection,
)


def tilt(
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
        ),
    ],
    element: Elements,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output directory.")],
    start: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Atoms to start from: a result, .csv, .cif, .pdb or .xyz."),
    ] = None,
    map: Annotated[
        Path | None,
        typer.Option(metavar="MAP", help="A reconstruction whose atoms are found first (atomfit build)."),
    ] = None,
    coupled: Annotated[
        bool, typer.Option("--coupled", help="The map counts too, by its positions' uncertainties.")
    ] = False,
    surroundings: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Further atoms that are in the images and do not move."),
    ] = None,
    overwrite: Overwrite = False,
    probe: Annotated[
        ProbeKind,
        typer.Option(help="Part of the atom, the same at all depths, as it propagates, or refined."),
    ] = "direct",
    voltage: Annotated[float, typer.Option(metavar="KV", help="Acceleration voltage.")] = 300.0,
    convergence: Annotated[float, typer.Option(metavar="MRAD", help="Semi-angle of the probe.")] = 25.0,
    defocus: Annotated[
        float, typer.Option(metavar="ANGSTROM", help="Depth of the focus from the specimen's centre.")
    ] = 0.0,
    spherical: Annotated[
        float, typer.Option(metavar="ANGSTROM", help="Third-order spherical aberration.")
    ] = 0.0,
    amplitudes: Annotated[
        Amplitudes, typer.Option(help="One an element or an atom; auto: an atom with adaptive.")
    ] = "auto",
    displacements: Annotated[
        TiltDisplacements, typer.Option(help="Shared by an element, or each atom's own.")
    ] = "shared",
    refine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Of each view: backgrounds, gains, shifts, turns (repeatable).  [default: the first two]",
        ),
    ] = None,
    held_out: Annotated[
        int | None, typer.Option(metavar="N", help="Leave every Nth view out of the fit, to judge it by.")
    ] = None,
    likelihood: Annotated[
        Likelihood,
        typer.Option(
            help="gaussian: noise may grow with brightness; poisson for counts; robust: other things."
        ),
    ] = "gaussian",
    gain: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Image units per count, for poisson.")
    ] = None,
    known_positions: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="How far atoms may be from the start (sigma).")
    ] = None,
    known_amplitudes: Annotated[
        float | None,
        typer.Option(metavar="FRACTION", help="How much amplitudes of an element may differ (sigma)."),
    ] = None,
    known_turns: Annotated[
        float | None,
        typer.Option(metavar="DEGREES", help="How far rotations may be off, for turns (sigma)."),
    ] = None,
    selection: Annotated[
        TiltSelection,
        typer.Option(help="Add missing atoms and remove false ones; auto: unless --start is given."),
    ] = "auto",
    fdr: Annotated[
        float | None, typer.Option(metavar="RATE", help="Part of the atoms that may be false.")
    ] = None,
    mask_value: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Pixels equal to it were not measured (0, nan).")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Replaces the header's.")
    ] = None,
    centre: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,Z", help="Point that the views turn about, in Å.  [default: found, and told]"
        ),
    ] = None,
    tilt_axis: Annotated[
        TiltAxis, typer.Option(help="Of the images, that tilt angles are about (right-handed).")
    ] = "y",
    convention: Annotated[
        str | None,
        typer.Option(metavar="AXES", help="Of Euler angles: ZYZ (turning axes), zyz (fixed axes), ..."),
    ] = None,
    inverse_views: Annotated[
        bool, typer.Option("--inverse-views", help="Angles turn the microscope, not the specimen.")
    ] = False,
    anneal: Annotated[
        bool, typer.Option("--anneal/--no-anneal", help="Draw atoms wide at first, so that none is lost.")
    ] = True,
    resume: Resume = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Refine atoms jointly against the images of a tilt series.

    Atoms are found in the images if neither a model (--start) nor a map (--map) is given. Writes
    report.html (open it in a browser), atoms.csv, rejected.csv, particle.json, atoms.cif, atoms.pdb,
    atoms.xyz, model_images.mrc, residual_images.mrc, views_refined.csv, views.svg (atoms over the first,
    middle and last image: look at it), probe.csv, summary.json and run.json into DIR. A fit that is
    interrupted leaves DIR.checkpoint; --resume goes on from it.
    """
    from atomfit.io.manifest import TILT
    from atomfit.io.outputs import checkpoint_beside, claimed, require_checkpoint

    checkpoint = checkpoint_beside(out)
    inputs = (images, views, start, map, surroundings)
    with refusals(checkpoint), claimed(out, overwrite or resume, TILT, inputs):
        process.one_thread_for_small_matrices()
        options = TiltOptions(
            pixel_size=pixel_size,
            mask_value=None if mask_value is None else number(mask_value, "--mask-value"),
            tilt_axis=tilt_axis,
            convention=convention,
            inverse_views=inverse_views,
            centre=None if centre is None else triple(centre, "--centre"),
            start=start,
            map=map,
            coupled=coupled,
            surroundings=surroundings,
            probe=probe,
            voltage=voltage,
            convergence=convergence,
            defocus=defocus,
            spherical=spherical,
            amplitudes=amplitudes,
            displacements=displacements,
            refine=tuple(refine) if refine else ("backgrounds", "gains"),
            held_out=held_out,
            likelihood=likelihood,
            gain=gain,
            known_positions=known_positions,
            known_amplitudes=known_amplitudes,
            known_turns=known_turns,
            selection=selection,
            fdr=fdr,
            anneal=anneal,
        )
        if resume:
            require_checkpoint(checkpoint)
        show_log(quiet)
        from atomfit.tilt_preparation import prepare_series
        from atomfit.tilt_starts import require_start

        prepared = prepare_series(images, views, element, options)
        require_start(prepared, options)
        from atomfit import compiled, tilting

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
    if result.fit.reason == "interrupted":
        raise typer.Exit(130)
    end_with(result.verdict, strict)
