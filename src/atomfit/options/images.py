"""What a user may choose about a simulated image of columns, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal, no_type_check

from atomfit.options.build import ParticleShape
from atomfit.options.declared import Need, check, like, option, require_unset
from atomfit.options.simulation import SimulationOptions
from atomfit.support.errors import InputError

Contrast = Literal["bright", "dark"]
Order = Literal["none", "L1_0", "L1_2"]
ImageUnits = Literal["beam", "electrons"]
ImageFormat = Literal["mrc", "npy", "tif"]

#: Options of particles, which a crystal that fills the field has not.
_OF_PARTICLES = ("shape", "size", "particles")
#: Options of an alloy.
_OF_ALLOY = ("second", "order_parameter", "antiphase")
#: The level of the support unless it is given, as a part of the beam.
_LEVELS = {"bright": 0.02, "dark": 0.8}


@no_type_check
@dataclass(frozen=True)
class ImageOptions:
    """What image of atomic columns to simulate.

    **Fields:**

    - `element`, `shape`, `size`, `lattice`: of the particles, as of a map.
    - `jitter`: standard deviation of each column about its place, along x and along y (Å).
    - `second`, `order`: another element, and how the two are ordered on fcc sites: "L1_0" (layers along the
        cubic z axis), or "L1_2" (three of the first to one of the second).
    - `order_parameter`: long-range order, from 0 (at random) to 1.
    - `antiphase`: a boundary, edge-on, through the middle of each particle.
    - `zone`: cubic direction that the beam goes along, as "110" or "1,1,0".
    - `turn`: of the first particle in the plane (degrees); each at random by default.
    - `particles`: how many are in the field.
    - `crystal`: thickness of a crystal that fills the field instead (Å).
    - `single_atoms`: how many lie on the support, beside particles.
    - `pixel_size`, `image_size`: edge of a pixel (Å), and pixels along an edge, as many as it takes.
    - `file_origin`: coordinates of the centre of the first pixel, that the file has and the truth adds (Å).
    - `cross_section`: of one atom of Pt alone (fraction of the beam x Å²); others by Z^1.7.
    - `fading`: atoms above it after which an atom scatters 1/e of what it would alone.
    - `width`: standard deviation of a column (Å): one, or one for each element.
    - `contrast`: "bright" (annular dark field), or "dark" (annular bright field) columns.
    - `support`: level beneath the columns (fraction of the beam).
    - `support_slope`: by how much it changes across the field, as a part of it.
    - `support_roughness`, `support_length`: standard deviation, as a part of it, and length (Å) of a random
        smooth field that is added.
    - `dose`: electrons per Å² and frame, of which those that are counted err by Poisson's law; 0: no noise.
    - `read_noise`: standard deviation of the detector's noise (electrons per pixel).
    - `row_jitter`: standard deviation of the lines' offsets along x (pixels), new for each line.
    - `scan_drift`: of the specimen along x and y during a frame (Å).
    - `frames`: of one specimen, which goes on drifting.
    - `image_units`: "beam": fraction of it; "electrons": counts.
    - `image_format`: of the file.
    - `seed`: of everything random.
    """

    element: str = like(SimulationOptions, "element")
    shape: ParticleShape = like(SimulationOptions, "shape")
    size: int = like(SimulationOptions, "size")
    lattice: float | None = like(SimulationOptions, "lattice")
    jitter: float = like(SimulationOptions, "jitter")
    seed: int = like(SimulationOptions, "seed")
    second: str | None = option(None, "Image: specimen", "Second element of an alloy.", metavar="SYMBOL")
    order: Order = option("none", "Image: specimen", "How the two elements are ordered on fcc sites.")
    order_parameter: float = option(
        1.0,
        "Image: specimen",
        "Long-range order of the alloy.",
        metavar="S",
        need=Need("order parameter", "a number from 0 to 1", 0, 1),
    )
    antiphase: bool = option(False, "Image: specimen", "An antiphase boundary in each particle.")
    zone: str = option(
        "110",
        "Image: specimen",
        "Cubic direction along the beam.",
        metavar="HKL",
        need=Need("zone axis", "three whole numbers, as 110 or 1,-1,2"),
    )
    turn: float | None = option(
        None,
        "Image: specimen",
        "In the plane; at random by default.",
        metavar="DEGREES",
        need=Need("rotation", "degrees from -360 to 360", -360, 360),
    )
    particles: int = option(
        1,
        "Image: specimen",
        "Particles in the field.",
        metavar="N",
        need=Need("number of particles", "0 to 1000", 0, 1000),
    )
    crystal: float | None = option(
        None,
        "Image: specimen",
        "A crystal of such thickness fills the field.",
        metavar="ANGSTROM",
        need=Need("thickness", "Å from 1 to 2000", 1, 2000),
    )
    single_atoms: int = option(
        0,
        "Image: specimen",
        "Single atoms on the support.",
        metavar="N",
        need=Need("number of atoms", "0 to 100000", 0, 100_000),
    )
    pixel_size: float = option(
        0.125,
        "Image: specimen",
        "Of the images.",
        metavar="ANGSTROM",
        need=Need("pixel size", "Å from 0.01 to 10", 1e-2, 10),
    )
    image_size: int | None = option(
        None,
        "Image: specimen",
        "Edge of the images.",
        metavar="PIXELS",
        need=Need("number of pixels", "4 to 20000", 4, 20_000),
    )
    file_origin: tuple[float, float] = option(
        (0.0, 0.0),
        "Image: specimen",
        "Of the first pixel's centre, as X,Y.",
        metavar="ANGSTROM",
        need=Need("origin", "X,Y in Å", -1e6, 1e6),
    )
    cross_section: float = option(
        0.025,
        "Image: contrast",
        "Of one atom of Pt: fraction of the beam x Å².",
        metavar="AREA",
        need=Need("cross-section", "Å² from 1e-6 to 10", 1e-6, 10),
    )
    fading: float = option(
        80.0,
        "Image: contrast",
        "Atoms above it after which an atom scatters 1/e.",
        metavar="ATOMS",
        need=Need("number of atoms", "1 or more", 1, 1e12),
    )
    width: float | tuple[float, float] = option(
        0.48,
        "Image: contrast",
        "Of a column (sigma); or of those of each element, as A,B.",
        metavar="ANGSTROM",
        need=Need("width", "one, or two as A,B, in Å", 0.05, 10),
    )
    contrast: Contrast = option("bright", "Image: contrast", "Of the columns: dark field, or bright field.")
    support: float | None = option(
        None,
        "Image: contrast",
        "Beneath the columns; 0.02 of the beam, 0.8 if they are dark.",
        metavar="FRACTION",
        need=Need("support", "a fraction of the beam, as 0.02", 0, 1),
    )
    support_slope: float = option(
        0.3,
        "Image: contrast",
        "Its change across the field, as a part of it.",
        metavar="FRACTION",
        need=Need("slope", "a part from 0 to 1", 0, 1),
    )
    support_roughness: float = option(
        0.05,
        "Image: contrast",
        "Of it (sigma), as a part of it.",
        metavar="FRACTION",
        need=Need("roughness", "a part from 0 to 0.2", 0, 0.2),
    )
    support_length: float = option(
        12.0,
        "Image: contrast",
        "Over which it changes.",
        metavar="ANGSTROM",
        need=Need("length", "Å from 1 to 1000", 1, 1e3),
    )
    dose: float = option(
        1e4,
        "Image: noise",
        "Electrons per Å² and frame; 0 for no noise.",
        metavar="DOSE",
        need=Need("dose", "electrons per Å², as 1e4", 0, 1e12),
    )
    read_noise: float = option(
        0.0,
        "Image: noise",
        "Of the detector (sigma), in electrons.",
        metavar="ELECTRONS",
        need=Need("noise", "electrons from 0 to 1000000", 0, 1e6),
    )
    row_jitter: float = option(
        0.0,
        "Image: noise",
        "Offsets of the lines (sigma).",
        metavar="PIXELS",
        need=Need("jitter", "pixels from 0 to 10", 0, 10),
    )
    scan_drift: tuple[float, float] = option(
        (0.0, 0.0),
        "Image: noise",
        "During a frame, as X,Y.",
        metavar="ANGSTROM",
        need=Need("drift", "X,Y in Å", -100, 100),
    )
    frames: int = option(
        1,
        "Image: noise",
        "Of one specimen.",
        metavar="N",
        need=Need("number of frames", "1 to 100000", 1, 100_000),
    )
    image_units: ImageUnits = option("beam", "Image: noise", "Fractions of the beam, or counts.")
    image_format: ImageFormat = option("mrc", "Image: noise", "Of the file.")

    def __post_init__(self) -> None:
        check(self)
        _ = self.axis
        if self.order == "none":
            require_unset(self, _OF_ALLOY, "this is of an ordered alloy, and none is", "give --order L1_0")
        elif self.second is None:
            raise InputError(
                f"{self.order} has two elements, and one is given", "give the other one, as Co", "--second"
            )
        if self.crystal is not None:
            require_unset(
                self, _OF_PARTICLES, "a crystal fills the field, without particles", "leave out --crystal"
            )
        if self.crystal is not None or self.particles == 0:
            require_unset(self, ("antiphase",), "there is no particle", "give --particles 1")
        if self.dose == 0:
            require_unset(self, ("read_noise",), "without a dose there is no noise", "give --dose 1e4")
            if self.image_units == "electrons":
                raise InputError(
                    "without a dose there are no electrons", "give --dose 1e4", "--image-units"
                )

    @property
    def level(self) -> float:
        """Of the support (fraction of the beam)."""
        return _LEVELS[self.contrast] if self.support is None else self.support

    @property
    def axis(self) -> tuple[int, int, int]:
        """The zone axis.

        **Raises:** `InputError` if it is none.
        """
        return zone_axis(self.zone)


def zone_axis(zone: str) -> tuple[int, int, int]:
    """The indices that a zone axis is written with.

    **Arguments:**

    - `zone`: as "110" or "1,-1,2".

    **Raises:** `InputError` if it is none.
    """
    text = zone.strip("[]() ")
    try:
        found = tuple(int(part) for part in (text.split(",") if "," in text else text))
    except ValueError:
        found = ()
    if len(found) != 3 or not any(found):
        raise InputError(
            f"{zone!r} is no zone axis", "give three whole numbers, as 110 or 1,-1,2", "--zone"
        )
    return found
