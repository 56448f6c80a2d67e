"""What a user may choose about a simulated HRTEM image, with the defaults. Imports nothing heavy.

Lengths of optics are in the units that microscopes show: nm, µm for C3, mm for C5.
"""

from dataclasses import dataclass
from typing import Literal, no_type_check

from atomfit.options.declared import Need, check, like, option
from atomfit.options.images import ImageFormat, ImageOptions, zone_axis
from atomfit.options.tilt import VOLTAGE
from atomfit.support.errors import InputError

Shape = Literal["flat", "saw-tooth", "stepped", "smooth"]

_SPECIMEN, _OPTICS, _DETECTOR = "HRTEM: specimen", "HRTEM: optics", "HRTEM: detector"
_PAIR_NM = "two numbers X,Y in nm, from -1000 to 1000"
_PART = Need("part", "a part of 1, as 0.05", 0, 1)


@no_type_check
@dataclass(frozen=True)
class HrtemOptions:
    """What HRTEM image to simulate.

    **Fields:**

    - `crystal`: CeO2, Pt, Au, or a CIF file.
    - `zone`, `turn`: direction of the cell along the beam, as "110", and rotation in the plane (degrees).
    - `outline`, `vacuum`: shape of the crystal's edge, and the part of the field beside it.
    - `profile`, `thickness`: how the thickness changes from that edge on, and from which to which (atoms of
        the heaviest element along the beam).
    - `entrance`: which part of what is missing to the full thickness is missing where the beam enters.
    - `vacant`, `missing`: parts of columns that are not there, and that lack one atom.
    - `displacement`: standard deviation of each column about its place, along x and along y (Å).
    - `b_factor`: B of all elements (Å²), the crystal's own by default.
    - `absorption`: imaginary part of the potential, as a part of the real one.
    - `mistilt`: of the zone axis against the beam, along x and y (mrad).
    - `carbon`: thickness of amorphous carbon, which the beam passes first (Å).
    - `pixel_size`, `image_size`: edge of a pixel (Å), and pixels along an edge.
    - `voltage`: kV.
    - `defocus`: C1 (nm); positive is overfocus, from the lower surface of the specimen.
    - `a1`, `b2`, `a2`: twofold astigmatism, coma, threefold astigmatism (nm): real and imaginary part.
    - `c3`, `c5`: spherical aberration (µm), and of fifth order (mm).
    - `focal_spread`: standard deviation of the focus (nm).
    - `convergence`: standard deviation of the beam's direction (mrad).
    - `dose`: electrons per Å² and frame; 0: no noise, and as if it were 1.
    - `gain`: counts that an electron makes.
    - `background`: electrons in every pixel that are not of the image.
    - `blur`: standard deviation of an isotropic image spread (Å).
    - `mtf`, `noise_mtf`: transfer of the detector for signal and for noise, at the Nyquist frequency.
    - `frames`: of one specimen, each with noise of its own.
    - `image_format`: of the file.
    - `seed`: of everything random.
    """

    crystal: str = option(
        "CeO2",
        _SPECIMEN,
        "CeO2, Pt, Au, or a CIF file.",
        metavar="CRYSTAL",
        need=Need("crystal", "CeO2, Pt, Au or a CIF file"),
    )
    zone: str = like(ImageOptions, "zone")
    turn: float | None = like(ImageOptions, "turn")
    outline: Shape = option("smooth", _SPECIMEN, "Shape of the crystal's edge.")
    vacuum: float = option(
        0.3,
        _SPECIMEN,
        "Beside the crystal; 0: none.",
        metavar="FRACTION",
        need=Need("part", "0 to 0.9", 0, 0.9),
    )
    profile: Shape = option("smooth", _SPECIMEN, "How its thickness changes.")
    thickness: tuple[int, int] = option(
        (3, 10),
        _SPECIMEN,
        "Least and greatest, as A,B: atoms of the heaviest element.",
        metavar="ATOMS",
        need=Need("thickness", "two whole numbers A,B from 0 to 200, A at most B", 0, 200),
    )
    entrance: float = option(
        0.5,
        _SPECIMEN,
        "Part of what is missing that the beam would meet first.",
        metavar="FRACTION",
        need=_PART,
    )
    vacant: float = option(0.0, _SPECIMEN, "Columns that are not there.", metavar="FRACTION", need=_PART)
    missing: float = option(0.0, _SPECIMEN, "Columns that lack one atom.", metavar="FRACTION", need=_PART)
    displacement: float = option(
        0.05,
        _SPECIMEN,
        "Of each column about its place, per axis (sigma).",
        metavar="ANGSTROM",
        need=Need("displacement", "Å from 0 to 1", 0, 1),
    )
    b_factor: float | None = option(
        None,
        _SPECIMEN,
        "B of all elements, the crystal's own by default.",
        metavar="B",
        need=Need("displacement factor", "Å² from 0 to 20", 0, 20),
    )
    absorption: float = option(
        0.0,
        _SPECIMEN,
        "Imaginary part of the potential.",
        metavar="FRACTION",
        need=Need("absorption", "a part from 0 to 0.5", 0, 0.5),
    )
    mistilt: tuple[float, float] = option(
        (0.0, 0.0),
        _SPECIMEN,
        "Of the zone axis, as X,Y.",
        metavar="MRAD",
        need=Need("mistilt", "X,Y in mrad, from -100 to 100", -100, 100),
    )
    carbon: float = option(
        0.0,
        _SPECIMEN,
        "Amorphous support of such thickness.",
        metavar="ANGSTROM",
        need=Need("thickness", "Å from 0 to 500", 0, 500),
    )
    pixel_size: float = option(
        0.2,
        _SPECIMEN,
        "Of the images.",
        metavar="ANGSTROM",
        need=Need("pixel size", "Å from 0.02 to 1", 0.02, 1),
    )
    image_size: int = option(
        128,
        _SPECIMEN,
        "Edge of the images.",
        metavar="PIXELS",
        need=Need("number of pixels", "16 to 2048", 16, 2048),
    )
    voltage: float = option(300.0, _OPTICS, "Of acceleration.", metavar="KV", need=VOLTAGE)
    defocus: float = option(
        5.0,
        _OPTICS,
        "C1; positive is overfocus.",
        metavar="NM",
        need=Need("defocus", "nm from -1000 to 1000", -1000, 1000),
    )
    a1: tuple[float, float] = option(
        (0.0, 0.0), _OPTICS, "Astigmatism.", metavar="NM", need=Need("astigmatism", _PAIR_NM, -1000, 1000)
    )
    b2: tuple[float, float] = option(
        (0.0, 0.0), _OPTICS, "Coma.", metavar="NM", need=Need("coma", _PAIR_NM, -1000, 1000)
    )
    a2: tuple[float, float] = option(
        (0.0, 0.0),
        _OPTICS,
        "Threefold astigmatism.",
        metavar="NM",
        need=Need("astigmatism", _PAIR_NM, -1000, 1000),
    )
    c3: float = option(
        -9.0,
        _OPTICS,
        "Spherical aberration.",
        metavar="UM",
        need=Need("aberration", "µm from -5000 to 5000", -5000, 5000),
    )
    c5: float = option(
        5.0,
        _OPTICS,
        "Of fifth order.",
        metavar="MM",
        need=Need("aberration", "mm from -1000 to 1000", -1000, 1000),
    )
    focal_spread: float = option(
        3.0,
        _OPTICS,
        "Sigma of the focus.",
        metavar="NM",
        need=Need("focal spread", "nm from 0 to 20", 0, 20),
    )
    convergence: float = option(
        0.1,
        _OPTICS,
        "Sigma of the beam's direction.",
        metavar="MRAD",
        need=Need("convergence", "mrad from 0 to 2", 0, 2),
    )
    dose: float = option(
        1e3,
        _DETECTOR,
        "Electrons per Å² and frame; 0 for no noise.",
        metavar="DOSE",
        need=Need("dose", "electrons per Å², as 1e3", 0, 1e7),
    )
    gain: float = option(
        1.0,
        _DETECTOR,
        "Counts of an electron.",
        metavar="COUNTS",
        need=Need("gain", "counts from 1e-6 to 1e6", 1e-6, 1e6),
    )
    background: float = option(
        0.0,
        _DETECTOR,
        "In every pixel.",
        metavar="ELECTRONS",
        need=Need("background", "electrons from 0 to 1e6", 0, 1e6),
    )
    blur: float = option(
        0.0,
        _DETECTOR,
        "Isotropic image spread (sigma).",
        metavar="ANGSTROM",
        need=Need("blur", "Å from 0 to 5", 0, 5),
    )
    mtf: float = option(
        1.0,
        _DETECTOR,
        "Transfer of the signal, at the Nyquist frequency.",
        metavar="FRACTION",
        need=Need("transfer", "a part from 0.01 to 1", 0.01, 1),
    )
    noise_mtf: float = option(
        1.0,
        _DETECTOR,
        "Transfer of the noise, likewise.",
        metavar="FRACTION",
        need=Need("transfer", "a part from 0.01 to 1", 0.01, 1),
    )
    frames: int = like(ImageOptions, "frames")
    image_format: ImageFormat = like(ImageOptions, "image_format")
    seed: int = like(ImageOptions, "seed")

    def __post_init__(self) -> None:
        check(self)
        _ = self.axis
        low, high = self.thickness
        if low > high or high == 0:
            raise InputError(
                f"{low},{high} is no thickness", "give the least and the greatest, as 3,10", "--thickness"
            )

    @property
    def axis(self) -> tuple[int, int, int]:
        """The zone axis.

        **Raises:** `InputError` if it is none.
        """
        return zone_axis(self.zone)
