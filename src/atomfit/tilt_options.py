"""What a user may choose about a fit to a tilt series, with the defaults. Imports nothing heavy."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from atomfit.errors import InputError
from atomfit.options import Likelihood

TiltAxis = Literal["x", "y"]
ProbeKind = Literal["direct", "fixed", "rigid", "adaptive"]
#: Those that are not refined.
SimulatedProbe = Literal["direct", "fixed", "rigid"]
Amplitudes = Literal["auto", "element", "atom"]
TiltDisplacements = Literal["shared", "isotropic", "anisotropic"]
TiltSelection = Literal["auto", "fit", "off"]
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
    - `centre`: point of the specimen that the views turn about (Å), in the model's frame; by default what
        the views' file says, or what agrees best with the images (`tilt_centre`).
    - `start`: file of the model to start from; without it and `map` atoms are found in the images.
    - `map`: file of a map whose atoms are found first, and started from.
    - `coupled`: the map counts as well as the images, by the standard uncertainties of its positions; it
        must not be a reconstruction from the same images, which would count twice.
    - `surroundings`: file of atoms that are in the images and do not move.
    - `probe`: what a point looks like: "direct" (as part of the atom), "fixed" at all depths, "rigid" (as
        it propagates) or "adaptive" (refined).
    - `voltage`, `convergence`, `defocus`, `spherical`: of the microscope, for all but "direct" (kV, mrad,
        Å, Å).
    - `amplitudes`: one for each "element" or for each "atom"; "auto": each atom with an adaptive probe.
    - `displacements`: "shared" by an element's atoms, or one of each atom.
    - `refine`: what is refined of each view, beside the atoms.
    - `held_out`: every so many views one is left out of the fit, to judge it by.
    - `likelihood`: "gaussian", of noise that may grow with brightness; "poisson" for counts; "robust"
        (Student's t) if a part of the images is what the model cannot describe.
    - `gain`: image units per count, for "poisson".
    - `known_positions`: standard deviation of a move from the start (Å), if anything is known of it.
    - `known_amplitudes`: relative standard deviation of amplitudes about their element's.
    - `known_turns`: standard deviation of the views' rotations about each axis (degrees).
    - `selection`: "fit" adds atoms that what is left of the images shows and removes those that noise could
        have made, until nothing changes; "off" judges them only; "auto": "off" for a model to start from.
    - `fdr`: part of the atoms that may be false; by default what is likelier an atom than noise is taken.
    - `anneal`: draw atoms wide at first, so that none is stranded.

    **Raises:** `InputError` if an option makes no sense.
    """

    pixel_size: float | None = None
    mask_value: float | None = None
    tilt_axis: TiltAxis = "y"
    convention: str | None = None
    inverse_views: bool = False
    centre: tuple[float, float, float] | None = None
    start: str | Path | None = None
    map: str | Path | None = None
    coupled: bool = False
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
    known_turns: float | None = None
    selection: TiltSelection = "auto"
    fdr: float | None = None
    anneal: bool = True

    def __post_init__(self) -> None:
        for field, kinds in (
            ("tilt_axis", TiltAxis),
            ("probe", ProbeKind),
            ("amplitudes", Amplitudes),
            ("displacements", TiltDisplacements),
            ("likelihood", Likelihood),
            ("selection", TiltSelection),
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
        _require("--known-turns", self.known_turns, 1e-4, 45, "deviation of rotations", "degrees, as 2")
        if self.known_turns is not None and "turns" not in self.refine:
            raise InputError("rotations are not refined", "add --refine turns", "--known-turns")
        if self.gain is not None and self.likelihood != "poisson":
            raise InputError(
                "only counts have a gain", "add --likelihood poisson, or leave it out", "--gain"
            )
        if self.known_amplitudes is not None and not self.own_amplitudes:
            raise InputError(
                "an element's one amplitude is not held by others",
                "add --amplitudes atom",
                "--known-amplitudes",
            )
        if self.held_out is not None and self.held_out < 2:
            raise InputError(
                f"every {self.held_out} views cannot be left out", "give 2 or more, as 5", "--held-out"
            )
        if self.centre is not None and not all(math.isfinite(x) for x in self.centre):
            raise InputError("the centre is no point", "give X,Y,Z in Å", "--centre")
        if self.start is not None and self.map is not None:
            raise InputError("both a model and a map are given to start from", "give one", "--start")
        if self.coupled and (self.map is None or self.known_positions is not None):
            raise InputError(
                "positions are known from one map, or by one number",
                "give --map with --coupled, and no --known-positions",
                "--coupled",
            )
        _require("--fdr", self.fdr, 1e-6, 0.5, "false-discovery rate", "a part of the atoms, as 0.01")

    @property
    def own_amplitudes(self) -> bool:
        """Whether each atom has an amplitude of its own."""
        return self.amplitudes == "atom" or (self.amplitudes == "auto" and self.probe == "adaptive")


def _require(option: str, value: float | None, low: float, high: float, what: str, unit: str) -> None:
    # Not a number is not in range either.
    if value is not None and not low <= value <= high:
        raise InputError(f"{value:g} is no {what}", f"give {unit}", option)
