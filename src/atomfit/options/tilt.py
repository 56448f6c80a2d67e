"""What a user may choose about a fit to a tilt series, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args, no_type_check

from atomfit.options.build import FILE, Likelihood, Optimizer, Scattering
from atomfit.options.declared import Need, check, option, require_unset
from atomfit.support.errors import InputError

TiltAxis = Literal["x", "y"]
ProbeKind = Literal["direct", "fixed", "rigid", "adaptive"]
#: Those that are not refined.
SimulatedProbe = Literal["direct", "fixed", "rigid"]
Amplitudes = Literal["auto", "element", "atom"]
TiltDisplacements = Literal["auto", "shared", "isotropic", "anisotropic"]
TiltSelection = Literal["auto", "fit", "off"]
TiltNoise = Literal["residual", "spectral"]
PartOfView = Literal["backgrounds", "gains", "shifts", "turns"]

VOLTAGE = Need("voltage", "kV, as 300", 10, 3000)
CONVERGENCE = Need("convergence angle", "mrad, as 25", 0.1, 200)
#: What only a probe has, and what is said where there is none.
MICROSCOPE = ("voltage", "convergence", "defocus", "spherical")
NO_PROBE = "with --probe direct the probe is part of the atom, and none is reckoned with"
DEFOCUS = Need("defocus", "Å along the beam", -1e5, 1e5)


def require_axes(convention: str, names: str = "the angles") -> None:
    """**Raises:** `InputError` if a convention of Euler angles (their `names`) names no axes."""
    one_kind = set(convention) <= set("XYZ") or set(convention) <= set("xyz")
    repeated = any(a == b for a, b in pairwise(convention))
    if len(convention) != 3 or not one_kind or repeated:
        raise InputError(
            f"{convention!r} names no axes",
            f"give three axes as ZYZ (turning with the specimen) or zyz (fixed), for {names}",
            "--convention",
        )


@no_type_check
@dataclass(frozen=True)
class TiltOptions:
    """Options of `tilt`.

    **Fields:**

    - `pixel_size`: replaces the images' (Å).
    - `mask_value`: pixels equal to it were not measured; it may be NaN.
    - `tilt_axis`: of the images, that tilt angles are about; y by default.
    - `convention`: axes that Euler angles are about, as "ZYZ".
    - `inverse_views`: the inverse of each rotation is meant, because angles turn the microscope.
    - `centre`: point of the specimen that the views turn about (Å), in the model's frame; by default what
        the views' file says, or what agrees best with the images (`tilt_centre`).
    - `start`: file of the model to start from; without it and `map` atoms are found in the images.
    - `map`: file of a map whose atoms are found first, and started from.
    - `coupled`: the map counts as well as the images, as another observation of the same positions; it must
        not be a reconstruction from the same images, which would count twice.
    - `surroundings`: file of atoms that are in the images and do not move.
    - `probe`: what a point looks like: "direct" (as part of the atom), "fixed" at all depths, "rigid" (as
        it propagates) or "adaptive" (refined).
    - `voltage`, `convergence`, `defocus`, `spherical`: of the microscope, for all but "direct" (kV, mrad,
        Å, Å).
    - `amplitudes`: one for each "element" or for each "atom"; "auto": each atom with an adaptive probe.
    - `displacements`: "shared" by an element's atoms, or one of each atom; "auto": one number each where
        the images say that they differ, and atoms are seen without a modelled probe.
    - `scattering`: one "gaussian" an atom, which holds its width at rest, or its element's tabulated
        electron "form-factor".
    - `refine`: what is refined of each view, beside the atoms.
    - `held_out`: every so many views one is left out of the fit, to judge it by.
    - `likelihood`: "gaussian", of noise that may grow with brightness; "poisson" for counts; "robust"
        (Student's t) if a part of the images is what the model cannot describe.
    - `gain`: image units per count, for "poisson".
    - `noise`: "residual" counts all spatial frequencies alike, and takes from what the fit leaves how much
        less certain its colour makes atoms; "spectral" weighs frequencies by it in the fit as well.
    - `known_positions`: standard deviation of a move from the start (Å), if anything is known of it.
    - `known_amplitudes`: relative standard deviation of amplitudes about their element's.
    - `known_turns`: standard deviation of the views' rotations about each axis (degrees).
    - `selection`: "fit" adds atoms that what is left of the images shows and removes those that noise could
        have made, until nothing changes; "off" judges them only; "auto": "off" for a model to start from.
    - `fdr`: part of the atoms that may be false; by default what is likelier an atom than noise is taken.
    - `anneal`: draw atoms wide at first, so that none is stranded.
    - `optimizer`: Gauss-Newton, L-BFGS, or Adam.
    - `max_iterations`: the most iterations of a stage of the fit; by default 40 of Gauss-Newton, 320 of the
        others.
    - `insist`: go on, with warnings, where images, views or start are wrong as a rule (views from one
        direction, dark atoms, a start that agrees only if something else was meant, ...).

    **Raises:** `InputError` if an option makes no sense.
    """

    pixel_size: float | None = option(
        None,
        "Images and views",
        "Replaces the header's.",
        metavar="ANGSTROM",
        need=Need("pixel size", "the edge of a pixel in Å, as 0.4", 1e-6, 1e3),
    )
    mask_value: float | None = option(
        None,
        "Images and views",
        "Pixels equal to it were not measured (0, nan).",
        metavar="VALUE",
        need=Need("number", "0 or nan", finite=False),
    )
    tilt_axis: TiltAxis | None = option(
        None, "Images and views", "Of the images, that tilt angles are about (right-handed); y by default."
    )
    convention: str | None = option(
        None,
        "Images and views",
        "Of Euler angles: ZYZ (turning axes), zyz (fixed axes), ...",
        metavar="AXES",
        need=Need("order of axes", "three letters, as ZYZ"),
    )
    inverse_views: bool = option(False, "Images and views", "Angles turn the microscope, not the specimen.")
    centre: tuple[float, float, float] | None = option(
        None,
        "Images and views",
        "Point that the views turn about, in Å; found, and told, by default.",
        metavar="X,Y,Z",
        need=Need("point", "X,Y,Z in Å", -1e9, 1e9),
    )
    held_out: int | None = option(
        None,
        "Images and views",
        "Leave every Nth view out of the fit, to judge it by.",
        metavar="N",
        need=Need("interval at which views can be left out", "2 or more, as 5", 2, 1_000_000),
    )
    start: str | Path | None = option(
        None,
        "Start",
        "Atoms to start from: a result, .csv, .cif, .pdb or .xyz.",
        metavar="MODEL",
        need=FILE,
    )
    map: str | Path | None = option(
        None,
        "Start",
        "A reconstruction whose atoms are found first (atomfit build).",
        metavar="MAP",
        need=FILE,
    )
    coupled: bool = option(False, "Start", "The map counts too: the same atoms are fitted to both.")
    surroundings: str | Path | None = option(
        None,
        "Start",
        "Further atoms that are in the images and do not move.",
        metavar="MODEL",
        need=FILE,
    )
    probe: ProbeKind = option(
        "direct",
        "Probe",
        "Part of the atom, the same at all depths, as it propagates, or refined.",
    )
    voltage: float = option(
        300.0,
        "Probe",
        "Acceleration voltage.",
        metavar="KV",
        need=VOLTAGE,
    )
    convergence: float = option(
        25.0,
        "Probe",
        "Semi-angle of the probe.",
        metavar="MRAD",
        need=CONVERGENCE,
    )
    defocus: float = option(
        0.0,
        "Probe",
        "Depth of the focus from the specimen's centre.",
        metavar="ANGSTROM",
        need=DEFOCUS,
    )
    spherical: float = option(
        0.0,
        "Probe",
        "Third-order spherical aberration.",
        metavar="ANGSTROM",
        need=Need("spherical aberration", "Å, as 1e7 for 1 mm", -1e9, 1e9),
    )
    amplitudes: Amplitudes = option(
        "auto", "Model", "One an element or an atom; auto: an atom with adaptive."
    )
    displacements: TiltDisplacements = option(
        "auto", "Model", "Shared by an element, or each atom's own; auto: isotropic if the images say so."
    )
    scattering: Scattering = option(
        "gaussian", "Model", "One Gaussian an atom, or its element's electron form factor."
    )
    refine: tuple[PartOfView, ...] = option(
        ("backgrounds", "gains"),
        "Model",
        "Of each view: backgrounds, gains, shifts, turns (repeatable).",
        metavar="PART",
        need=Need("number of a view", ", ".join(get_args(PartOfView))),
    )
    known_positions: float | None = option(
        None,
        "Model",
        "How far atoms may be from the start (sigma).",
        metavar="ANGSTROM",
        need=Need("deviation of positions", "Å, as 0.1", 1e-6, 10),
    )
    known_amplitudes: float | None = option(
        None,
        "Model",
        "How much amplitudes of an element may differ (sigma).",
        metavar="FRACTION",
        need=Need("deviation", "a part, as 0.1", 1e-6, 100),
    )
    known_turns: float | None = option(
        None,
        "Model",
        "How far rotations may be off, for turns (sigma).",
        metavar="DEGREES",
        need=Need("deviation of rotations", "degrees, as 2", 1e-4, 45),
    )
    likelihood: Likelihood = option(
        "gaussian",
        "Noise",
        "gaussian: noise may grow with brightness; poisson for counts; robust: other things.",
    )
    noise: TiltNoise = option(
        "residual",
        "Noise",
        "Its colour counts in error bars; spectral: in the fit too, frequency by frequency.",
    )
    gain: float | None = option(
        None,
        "Noise",
        "Image units per count, for poisson.",
        metavar="NUMBER",
        need=Need("gain", "image units per count", 1e-12, 1e12),
    )
    selection: TiltSelection = option(
        "auto",
        "Selection",
        "Add missing atoms and remove false ones; auto: unless --start is given.",
    )
    fdr: float | None = option(
        None,
        "Selection",
        "Part of the atoms that may be false.",
        metavar="RATE",
        need=Need("false-discovery rate", "a part of the atoms, as 0.01", 1e-6, 0.5),
    )
    anneal: bool = option(True, "Computation", "Draw atoms wide at first, so that none is lost.")
    optimizer: Optimizer = option("newton", "Computation", "Of the joint fit.")
    max_iterations: int | None = option(
        None,
        "Computation",
        "Of each stage of the fit; by default 40 of newton, 320 of the others.",
        metavar="N",
        need=Need("number of iterations", "1 or more", 1, 1_000_000),
    )
    insist: bool = option(
        False, "Images and views", "Go on, with warnings, where the input is wrong as a rule."
    )

    def __post_init__(self) -> None:
        check(self)
        if self.convention is not None:
            require_axes(self.convention)
        if self.probe == "direct":
            require_unset(self, MICROSCOPE, NO_PROBE, "give --probe fixed, rigid or adaptive")
        if self.known_turns is not None and "turns" not in self.refine:
            raise InputError("rotations are not refined", "add --refine turns", "--known-turns")
        if self.gain is not None and self.likelihood != "poisson":
            raise InputError(
                "only counts have a gain", "add --likelihood poisson, or leave it out", "--gain"
            )
        if self.noise == "spectral" and self.likelihood != "gaussian":
            raise InputError(
                f"the {self.likelihood} likelihood weighs pixels, not spatial frequencies",
                "leave out --noise or --likelihood",
                "--noise",
            )
        if self.known_amplitudes is not None and not self.own_amplitudes:
            raise InputError(
                "an element's one amplitude is not held by others",
                "add --amplitudes atom",
                "--known-amplitudes",
            )
        if self.start is not None and self.map is not None:
            raise InputError("both a model and a map are given to start from", "give one", "--start")
        if self.coupled and self.map is None:
            raise InputError(
                "positions count as a map tells them, and there is no map",
                "give --map, or leave it out",
                "--coupled",
            )
        if self.known_positions is not None and self.start is None and self.map is None:
            raise InputError(
                "there are no atoms whose positions are known",
                "give --start or --map, or leave it out",
                "--known-positions",
            )
        if self.coupled and self.known_positions is not None:
            raise InputError(
                "positions are known from one map, or by one number",
                "give --map with --coupled, and no --known-positions",
                "--coupled",
            )

    @property
    def own_amplitudes(self) -> bool:
        """Whether each atom has an amplitude of its own."""
        return self.amplitudes == "atom" or (self.amplitudes == "auto" and self.probe == "adaptive")
