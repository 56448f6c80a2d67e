"""What a user may choose about a simulation, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, no_type_check

from atomfit.options.build import VOXEL_SIZE, LongAxis, ParticleShape, Scattering
from atomfit.options.declared import Need, check, option, require_unset
from atomfit.options.tilt import (
    CONVERGENCE,
    DEFOCUS,
    MICROSCOPE,
    NO_PROBE,
    VOLTAGE,
    SimulatedProbe,
    TiltAxis,
)

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

_SEED = Need("seed", "a whole number from 0", 0, 2**31 - 2)
_DISPLACEMENT = Need("displacement", "Å² from 0.0001 to 10", 1e-4, 10)


@no_type_check
@dataclass(frozen=True)
class SimulationOptions:
    """What to simulate.

    **Fields:**

    - `element`: chemical symbol.
    - `shape`, `size`: see `particle`; `lattice` is the fcc lattice constant (Å), the element's by default.
    - `rotate`: "none", "random", or angles "a,b,c" about x, y, z (degrees).
    - `shift`: of the particle from the middle of the box (Å).
    - `voxel_size`: one edge, or three along x, y, z (Å).
    - `box`: voxels along each axis, one number or three; large enough by default.
    - `u_core`, `u_surface`: isotropic displacement in the core and at the surface (Å²), linear over the
        outermost `surface_depth` (Å).
    - `doi`: U_min / U_maj of every atom, longest along `long_axis`; U_iso is not changed by it.
    - `jitter`: standard deviation of each coordinate about its site (Å).
    - `scattering`: one "gaussian" an atom, or its element's tabulated electron "form-factor", blurred by
        the displacements.
    - `noise`: standard deviation, as a part of a core atom's peak.
    - `noise_correlation`: width of the noise's blur (Å); 0 for white noise.
    - `wedge`: opening of the missing wedge about z (degrees); 0 for none.
    - `seed`: of everything random.
    """

    element: str = option("Pt", "Particle", "Chemical symbol.", metavar="SYMBOL", letter="e")
    shape: ParticleShape = option("sphere", "Particle", "fcc sphere, or a cluster.")
    size: int = option(
        309,
        "Particle",
        "Atoms of a sphere; atoms along an edge, or layers, of a cluster.",
        metavar="N",
        need=Need("number of atoms or layers", "1 or more", 1, 10_000_000),
    )
    lattice: float | None = option(
        None,
        "Particle",
        "fcc lattice constant, the element's by default.",
        metavar="ANGSTROM",
        need=Need("lattice constant", "it in Å, as 3.92", 0.5, 100),
    )
    rotate: str = option(
        "none",
        "Particle",
        "none, random, or degrees about x, y, z as 10,20,30.",
        metavar="ANGLES",
        need=Need("rotation", "none, random, or degrees about x, y, z as 10,20,30"),
    )
    shift: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0),
        "Particle",
        "Of the particle, as X,Y,Z.",
        metavar="ANGSTROM",
        need=Need("shift", "X,Y,Z in Å", -1e6, 1e6),
    )
    jitter: float = option(
        0.03,
        "Particle",
        "Of the atoms about their sites, per axis.",
        metavar="ANGSTROM",
        need=Need("standard deviation of positions", "Å from 0 to 10", 0, 10),
    )
    u_core: float = option(
        0.16,
        "Displacements",
        "Displacement in the core.",
        metavar="U",
        need=_DISPLACEMENT,
    )
    u_surface: float = option(
        0.32,
        "Displacements",
        "Displacement at the surface.",
        metavar="U",
        need=_DISPLACEMENT,
    )
    surface_depth: float = option(
        4.0,
        "Displacements",
        "Depth over which it changes.",
        metavar="ANGSTROM",
        need=Need("depth", "Å from 0.001 to 1000", 1e-3, 1e3),
    )
    doi: float = option(
        1.0,
        "Displacements",
        "U_min / U_maj of every atom.",
        metavar="RATIO",
        need=Need("degree of isotropy", "a number from 0.001 to 1", 1e-3, 1),
    )
    long_axis: LongAxis = option("radial", "Displacements", "Of the displacements.")
    voxel_size: float | tuple[float, float, float] = option(
        0.358,
        "Map",
        "One edge, or three as X,Y,Z.",
        metavar="ANGSTROM",
        need=VOXEL_SIZE,
    )
    box: int | tuple[int, int, int] | None = option(
        None,
        "Map",
        "One number, or three as X,Y,Z.",
        metavar="VOXELS",
        need=Need("number of voxels", "one, or three as X,Y,Z", 1, 100_000),
    )
    scattering: Scattering = option(
        "gaussian",
        "Displacements",
        "One Gaussian an atom, or its element's electron form factor.",
    )
    noise: float = option(
        0.05,
        "Map",
        "As a part of a core atom's peak.",
        metavar="FRACTION",
        need=Need("noise", "a part of a core atom's peak, as 0.05", 0, 1e6),
    )
    noise_correlation: float = option(
        0.0,
        "Map",
        "Width of the noise's blur; 0 for white noise.",
        metavar="ANGSTROM",
        need=Need("width of a blur", "Å from 0 to 1000", 0, 1e3),
    )
    wedge: float = option(
        0.0,
        "Map",
        "Missing wedge about z, in degrees.",
        metavar="DEGREES",
        need=Need("missing wedge", "degrees from 0 to 179", 0, 179),
    )
    seed: int = option(
        0,
        "Map",
        "Of everything random.",
        metavar="N",
        need=_SEED,
    )

    def __post_init__(self) -> None:
        check(self)


@no_type_check
@dataclass(frozen=True)
class SeriesOptions:
    """What series to simulate.

    **Fields:**

    - `tilts`: number of images.
    - `tilt_range`: from the first angle to the last (degrees), about zero. At 180 the last is left out: it
        is the first one's mirror image.
    - `tilt_axis`: of the images, that the specimen is turned about.
    - `pixel_size`: edge of a pixel (Å).
    - `image_size`: pixels along an edge; large enough by default.
    - `probe`: "direct" (none), "fixed" at all depths, or "rigid" (as it propagates), as of `tilt`.
    - `voltage`, `convergence`, `defocus`: of the probe (kV, mrad, Å).
    - `counts`: electrons that one atom scatters into the detector in all images together, with Poisson
        noise; without it images are line integrals of the map's density with Gaussian noise.
    - `background`: beneath the atoms, as a part of the peak of a core atom's image.
    - `noise`: standard deviation of Gaussian noise, as a part of the same.
    - `drift`: standard deviation of the images' shifts along rows and columns (Å).
    - `turn_error`: standard deviation of the rotations' errors about each axis (degrees).
    - `gain_spread`: standard deviation of the images' gains about one.
    - `seed`: of everything random.
    """

    tilts: int = option(
        60,
        "Tilt series",
        "Simulate a tilt series of so many images as well.",
        metavar="N",
        need=Need("number of images", "2 to 10000", 2, 10_000),
    )
    tilt_range: float = option(
        180.0,
        "Tilt series",
        "From the first tilt to the last; 180: all around.",
        metavar="DEGREES",
        need=Need("range of tilts", "degrees up to 180", 1e-3, 180),
    )
    tilt_axis: TiltAxis = option("y", "Tilt series", "Of the images, right-handed.")
    pixel_size: float = option(
        0.4,
        "Tilt series",
        "Of the images.",
        metavar="ANGSTROM",
        need=Need("pixel size", "Å from 0.01 to 10", 1e-2, 10),
    )
    image_size: int | None = option(
        None,
        "Tilt series",
        "Edge of the images, the particle's by default.",
        metavar="PIXELS",
        need=Need("number of pixels", "4 to 20000", 4, 20_000),
    )
    probe: SimulatedProbe = option(
        "direct", "Tilt series", "None, the same at all depths, or as it propagates."
    )
    voltage: float = option(300.0, "Tilt series", "Of the probe.", metavar="KV", need=VOLTAGE)
    convergence: float = option(
        25.0, "Tilt series", "Semi-angle of the probe.", metavar="MRAD", need=CONVERGENCE
    )
    defocus: float = option(0.0, "Tilt series", "Of the probe.", metavar="ANGSTROM", need=DEFOCUS)
    counts: float | None = option(
        None,
        "Tilt series",
        "That an atom scatters, in all images together: Poisson noise instead of --noise.",
        metavar="ELECTRONS",
        need=Need("number of electrons", "those of one atom, as 1000", 1e-3, 1e9),
    )
    background: float = option(
        0.02,
        "Tilt series",
        "Of the images, as a part of the peak of an atom's image.",
        metavar="FRACTION",
        need=Need("background", "a part of the peak of an atom's image, as 0.02", 0, 1e6),
    )
    noise: float = option(
        0.05,
        "Tilt series",
        "As a part of the peak of a core atom's image.",
        metavar="FRACTION",
        need=Need("noise", "a part of a core atom's peak, as 0.05", 0, 1e6),
    )
    drift: float = option(
        0.0,
        "Tilt series",
        "Of the images, that views.csv does not tell (sigma).",
        metavar="ANGSTROM",
        need=Need("drift", "Å from 0 to 100", 0, 100),
    )
    turn_error: float = option(
        0.0,
        "Tilt series",
        "Of the views about each axis, not told either (sigma).",
        metavar="DEGREES",
        need=Need("error of rotations", "degrees from 0 to 45", 0, 45),
    )
    gain_spread: float = option(
        0.0,
        "Tilt series",
        "Of the images' gains about 1 (sigma).",
        metavar="FRACTION",
        need=Need("spread of gains", "a part of 1, as 0.1", 0, 1),
    )
    seed: int = option(0, "Tilt series", "Of everything random.", metavar="N", need=_SEED)

    def __post_init__(self) -> None:
        check(self)
        if self.probe == "direct":
            require_unset(self, MICROSCOPE, NO_PROBE, "give --probe fixed or rigid")

    @property
    def angles(self) -> "Float[np.ndarray, ' v']":
        """Nominal tilt angles (degrees)."""
        import numpy

        half = self.tilt_range / 2
        return numpy.linspace(-half, half, self.tilts, endpoint=self.tilt_range < 180)
