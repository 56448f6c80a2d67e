"""What a user may choose about a fit to a tilt series, with the defaults. Imports nothing heavy."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from atomfit.errors import InputError
from atomfit.options import Likelihood

TiltAxis = Literal["x", "y"]
ProbeKind = Literal["direct", "fixed", "rigid", "adaptive"]
Amplitudes = Literal["auto", "element", "atom"]
TiltDisplacements = Literal["shared", "isotropic", "anisotropic"]
PartOfView = Literal["backgrounds", "gains", "shifts", "turns"]


@dataclass(frozen=True)
class TiltOptions:
    """Options of `tilt`.

    **Fields:**

    - `pixel_size`: replaces the images' (Å).
    - `mask_value`: pixels equal to it were not measured; it may be NaN.
    - `tilt_axis`: of the images, that tilt angles are about.
    - `convention`: axes that Euler angles are about, as "ZYZ".
    - `inverse_views`: the inverse of each rotation is meant, because angles turn the microscope.
    - `centre`: point of the specimen that the views turn about (Å).
    - `start`: file of the model to start from.
    - `map`: file of a map whose atoms are found first, and started from.
    - `surroundings`: file of atoms that are in the images and do not move.
    - `probe`: what a point looks like: "direct" (as part of the atom), "fixed" at all depths, "rigid" (as
        it propagates) or "adaptive" (refined).
    - `voltage`, `convergence`, `defocus`, `spherical`: of the microscope, for all but "direct" (kV, mrad,
        Å, Å).
    - `amplitudes`: one for each "element" or for each "atom"; "auto": each atom with an adaptive probe.
    - `displacements`: "shared" by an element's atoms, or one of each atom.
    - `refine`: what is refined of each view, beside the atoms.
    - `held_out`: every so many views one is left out of the fit, to judge it by.
    - `likelihood`: "gaussian"; "poisson" for counts; "robust" (Student's t) if a part of the images is what
        the model cannot describe.
    - `gain`: image units per count, for "poisson".
    - `known_positions`: standard deviation of a move from the start (Å), if anything is known of it.
    - `known_amplitudes`: relative standard deviation of amplitudes about their element's.
    - `anneal`: draw atoms wide at first, so that none is stranded.

    **Raises:** `InputError` if an option makes no sense.
    """

    pixel_size: float | None = None
    mask_value: float | None = None
    tilt_axis: TiltAxis = "y"
    convention: str | None = None
    inverse_views: bool = False
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    start: str | Path | None = None
    map: str | Path | None = None
    surroundings: str | Path | None = None
    probe: ProbeKind = "direct"
    voltage: float = 300.0
    convergence: float = 25.0
    defocus: float = 0.0
    spherical: float = 0.0
    amplitudes: Amplitudes = "auto"
    displacements: TiltDisplacements = "shared"
    refine: tuple[str, ...] = ("backgrounds", "gains")
    held_out: int | None = None
    likelihood: Likelihood = "gaussian"
    gain: float | None = None
    known_positions: float | None = None
    known_amplitudes: float | None = None
    anneal: bool = True

    def __post_init__(self) -> None:
        for field, kinds in (
            ("tilt_axis", TiltAxis),
            ("probe", ProbeKind),
            ("amplitudes", Amplitudes),
            ("displacements", TiltDisplacements),
            ("likelihood", Likelihood),
        ):
            if getattr(self, field) not in get_args(kinds):
                option = f"--{field.replace('_', '-')}"
                words = ", ".join(get_args(kinds))
                raise InputError(f"{getattr(self, field)!r} is none of its values", f"give {words}", option)
        for part in self.refine:
            if part not in get_args(PartOfView):
                words = ", ".join(get_args(PartOfView))
                raise InputError(f"{part!r} is no number of a view", f"give {words}", "--refine")
        _require("--voltage", self.voltage, 10, 3000, "voltage", "kV, as 300")
        _require("--convergence", self.convergence, 0.1, 200, "convergence angle", "mrad, as 25")
        _require("--defocus", self.defocus, -1e5, 1e5, "defocus", "Å along the beam")
        _require("--spherical", self.spherical, -1e9, 1e9, "spherical aberration", "Å, as 1e7 for 1 mm")
        _require("--gain", self.gain, 1e-12, 1e12, "gain", "image units per count")
        _require("--known-positions", self.known_positions, 1e-6, 10, "deviation of positions", "Å, as 0.1")
        _require("--known-amplitudes", self.known_amplitudes, 1e-6, 100, "deviation", "a part, as 0.1")
        if self.gain is not None and self.likelihood != "poisson":
            raise InputError(
                "only counts have a gain", "add --likelihood poisson, or leave it out", "--gain"
            )
        if self.held_out is not None and self.held_out < 2:
            raise InputError(
                f"every {self.held_out} views cannot be left out", "give 2 or more, as 5", "--held-out"
            )
        if not all(math.isfinite(x) for x in self.centre):
            raise InputError("the centre is no point", "give X,Y,Z in Å", "--centre")
        if self.start is not None and self.map is not None:
            raise InputError("both a model and a map are given to start from", "give one", "--start")
        if self.start is None and self.map is None:
            raise InputError(
                "there is nothing to start from (starts from images alone are not there yet)",
                "give a model (--start) or a reconstruction whose atoms are to be found (--map)",
                "--start",
            )


def _require(option: str, value: float | None, low: float, high: float, what: str, unit: str) -> None:
    # Not a number is not in range either.
    if value is not None and not low <= value <= high:
        raise InputError(f"{value:g} is no {what}", f"give {unit}", option)
