"""The command `atomfit simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from atomfit.arguments import lengths, numbers, triple
from atomfit.options import LongAxis, ParticleShape, Scattering
from atomfit.terminal import Overwrite, refusals, say
from atomfit.tilt_options import SimulatedProbe, TiltAxis


def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output directory.")],
    element: Annotated[str, typer.Option("--element", "-e", help="Chemical symbol.")] = "Pt",
    shape: Annotated[ParticleShape, typer.Option(help="fcc sphere, or a cluster.")] = "sphere",
    size: Annotated[
        int, typer.Option(help="Atoms of a sphere; atoms along an edge, or layers, of a cluster.")
    ] = 309,
    lattice: Annotated[
        float | None,
        typer.Option(metavar="ANGSTROM", help="fcc lattice constant, the element's by default."),
    ] = None,
    rotate: Annotated[
        str, typer.Option(help="none, random, or degrees about x, y, z as 10,20,30.")
    ] = "none",
    shift: Annotated[str, typer.Option(metavar="ANGSTROM", help="Of the particle, as X,Y,Z.")] = "0,0,0",
    voxel_size: Annotated[
        str, typer.Option(metavar="ANGSTROM", help="One edge, or three as X,Y,Z.")
    ] = "0.358",
    box: Annotated[
        str | None, typer.Option(metavar="VOXELS", help="One number, or three as X,Y,Z.")
    ] = None,
    u_core: Annotated[float, typer.Option(metavar="U", help="Displacement in the core.")] = 0.16,
    u_surface: Annotated[float, typer.Option(metavar="U", help="Displacement at the surface.")] = 0.32,
    surface_depth: Annotated[
        float, typer.Option(metavar="ANGSTROM", help="Depth over which it changes.")
    ] = 4.0,
    doi: Annotated[float, typer.Option(help="U_min / U_maj of every atom.")] = 1.0,
    long_axis: Annotated[LongAxis, typer.Option(help="Of the displacements.")] = "radial",
    jitter: Annotated[
        float, typer.Option(metavar="ANGSTROM", help="Of the atoms about their sites, per axis.")
    ] = 0.03,
    scattering: Annotated[
        Scattering, typer.Option(help="One Gaussian an atom, or its element's electron form factor.")
    ] = "gaussian",
    noise: Annotated[float, typer.Option(help="As a part of a core atom's peak.")] = 0.05,
    noise_correlation: Annotated[
        float, typer.Option(metavar="ANGSTROM", help="Width of the noise's blur; 0 for white noise.")
    ] = 0.0,
    wedge: Annotated[float, typer.Option(help="Missing wedge about z, in degrees.")] = 0.0,
    tilts: Annotated[
        int | None, typer.Option(metavar="N", help="Simulate a tilt series of so many images as well.")
    ] = None,
    tilt_range: Annotated[
        float, typer.Option(metavar="DEGREES", help="From the first tilt to the last; 180: all around.")
    ] = 180.0,
    tilt_axis: Annotated[TiltAxis, typer.Option(help="Of the images, right-handed.")] = "y",
    pixel_size: Annotated[float, typer.Option(metavar="ANGSTROM", help="Of the images.")] = 0.4,
    image_size: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Edge of the images, the particle's by default.")
    ] = None,
    probe: Annotated[
        SimulatedProbe, typer.Option(help="None, the same at all depths, or as it propagates.")
    ] = "direct",
    voltage: Annotated[float, typer.Option(metavar="KV", help="Of the probe.")] = 300.0,
    convergence: Annotated[float, typer.Option(metavar="MRAD", help="Semi-angle of the probe.")] = 25.0,
    defocus: Annotated[float, typer.Option(metavar="ANGSTROM", help="Of the probe.")] = 0.0,
    counts: Annotated[
        float | None,
        typer.Option(
            metavar="ELECTRONS",
            help="That an atom scatters, in all images together: Poisson noise instead of --noise.",
        ),
    ] = None,
    background: Annotated[
        float, typer.Option(help="Of the images, as a part of the peak of an atom's image.")
    ] = 0.02,
    drift: Annotated[
        float, typer.Option(metavar="ANGSTROM", help="Of the images, that views.csv does not tell (sigma).")
    ] = 0.0,
    turn_error: Annotated[
        float,
        typer.Option(metavar="DEGREES", help="Of the views about each axis, not told either (sigma)."),
    ] = 0.0,
    gain_spread: Annotated[float, typer.Option(help="Of the images' gains about 1 (sigma).")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a particle's map with known truth: map.mrc, truth.csv, simulation.json.

    With --tilts N also a tilt series of the same particle: images.mrc, views.csv, angles.tlt (the tilts
    alone) and truth_views.csv (with drifts, errors of rotations and gains).
    """
    from atomfit.io.manifest import SERIES, SIMULATION
    from atomfit.io.outputs import claimed

    with refusals(), claimed(out, overwrite, SIMULATION if tilts is None else (*SIMULATION, *SERIES)):
        from atomfit.simulation import SeriesOptions, SimulationOptions, simulate_series
        from atomfit.simulation import simulate as run
        from atomfit.simulation.files import write_simulation

        voxels = lengths(voxel_size)
        assert voxels is not None
        options = SimulationOptions(
            element=element,
            shape=shape,
            size=size,
            lattice=lattice,
            rotate=rotate,
            shift=triple(shift, "--shift"),
            voxel_size=voxels,
            box=None if box is None else tuple(int(n) for n in numbers(box, "--box")),
            u_core=u_core,
            u_surface=u_surface,
            surface_depth=surface_depth,
            doi=doi,
            long_axis=long_axis,
            jitter=jitter,
            scattering=scattering,
            noise=noise,
            noise_correlation=noise_correlation,
            wedge=wedge,
            seed=seed,
        )
        asked = (
            None
            if tilts is None
            else SeriesOptions(
                tilts=tilts,
                tilt_range=tilt_range,
                tilt_axis=tilt_axis,
                pixel_size=pixel_size,
                image_size=image_size,
                probe=probe,
                voltage=voltage,
                convergence=convergence,
                defocus=defocus,
                counts=counts,
                background=background,
                noise=noise,
                drift=drift,
                turn_error=turn_error,
                gain_spread=gain_spread,
                seed=seed,
            )
        )
        simulation = run(options)
        series = None if asked is None else simulate_series(simulation, asked)
        write_simulation(simulation, out, overwrite, series)
    shape_xyz = " x ".join(str(n) for n in simulation.map.grid.shape[::-1])
    say(f"{len(simulation.positions)} atoms in {shape_xyz} voxels: {out / 'map.mrc'}")
    if series is not None:
        count, rows, columns = series.images.shape
        say(f"{count} images of {columns} x {rows} pixels: {out / 'images.mrc'} ({out / 'views.csv'})")
