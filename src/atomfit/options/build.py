"""What a user may choose about a fit, with the defaults and their reasons. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, no_type_check

from atomfit.options.declared import Need, check, option, require_unset
from atomfit.support.errors import InputError

FitMethod = Literal["joint", "log"]
Displacements = Literal["anisotropic", "isotropic"]
Background = Literal["none", "constant", "linear"]
Noise = Literal["auto", "white", "residual"]
Prior = Literal["auto", "empirical", "none"]
Selection = Literal["fit", "paper"]
Scattering = Literal["gaussian", "form-factor"]
Voxels = Literal["point", "integrated"]
Optimizer = Literal["newton", "lbfgs", "adam"]
Split = Literal["each", "after", "off"]
Part = Literal["positions", "displacements", "amplitudes", "background", "resolution"]
ParticleShape = Literal["sphere", "octahedron", "cuboctahedron", "decahedron", "icosahedron"]
LongAxis = Literal["radial", "x", "y", "z"]
Axis = Literal["x", "y", "z"]
Likelihood = Literal["gaussian", "poisson", "robust"]
CorrelationRule = Literal["auto", "paper", "off"]

#: What options of several commands need.
FILE = Need("name of a file", "its path")
VOXEL_SIZE = Need("voxel size", "one edge, or three as X,Y,Z, in Å", 1e-6, 1e3)


#: What only the joint fit has.
_OF_JOINT_FIT = (
    *("displacements", "scattering", "u_mean", "voxels", "background", "prior", "fdr"),
    *("noise", "likelihood", "gain", "freeze", "optimizer", "max_iterations", "held_out"),
)


@no_type_check
@dataclass(frozen=True)
class BuildOptions:
    """Options of `build`.

    **Fields:**

    - `voxel_size`: replaces the header's: one edge, or three along x, y, z (Å).
    - `invert`: atoms are dark; turn the contrast.
    - `mask_diameter`: ignore what lies outside a sphere about the box's middle (Å).
    - `neighbour_distance`: replaces the element's bulk nearest-neighbour distance (Å).
    - `split`: divide merged components at "each" threshold, "after" the best is found (as the paper
        has it), or never ("off").
    - `min_correlation`: least validation correlation: a number, "auto", "paper" or "off".
    - `min_cn`: least coordination number of a detected atom; 0 turns the test off.
    - `cn_cutoff`: distance within which atoms are neighbours (Å); from the atoms by default.
    - `fit`: refine all atoms jointly, or stop at the paper's per-atom log-fits.
    - `displacements`: a matrix an atom, or one number.
    - `scattering`: one "gaussian" an atom, which holds its width at rest, or its element's tabulated
        electron "form-factor" (of several elements, that of the one which each atom turns out to be).
    - `u_mean`: mean displacement of the atoms (Å²) if it is known, by which the resolution is told from
        displacements.
    - `voxels`: a voxel holds the density at its centre ("point"), or "integrated" over its volume.
    - `background`: what lies beneath the atoms.
    - `noise`: "auto" measures its spectrum outside the particle and weighs spatial frequencies by it, or
        takes uncertainties from what the fit leaves if it cannot be measured there, or is clearly less
        there than inside; "residual" does so at once; "white" weighs all alike.
    - `half_maps`: files of the map's two half-maps; noise is measured in their difference then.
    - `tilts`: file of the tilt angles that the map was reconstructed from: frequencies that these did not
        measure do not count.
    - `tilt_axis`, `beam`: axis of the map that the specimen was turned about, and along which the beam went
        at tilt 0.
    - `likelihood`: "gaussian"; "poisson" for maps of counts; "robust" (Student's t) if a part of the map is
        what the model cannot describe.
    - `gain`: map units per count, for "poisson"; from what the fit leaves if not given.
    - `prior`: "empirical" draws displacements towards those of the other atoms, as far as the map supports
        it; "none" is plain maximum likelihood; "auto" draws them where the map alone leaves them uncertain.
    - `selection`: "paper" fits the atoms that were detected; "fit" adds atoms that the joint fit's residual
        has and removes those that noise could have made, until nothing changes.
    - `fdr`: part of the atoms that may be false, for "fit"; by default what is likelier an atom than noise
        is one.
    - `held_out`: so many per cent of the map around atoms (blocks of voxels, or of frequencies where these
        have weights) are left out of one fit more, to judge the model by.
    - `freeze`: parts that keep the values they were found with; the resolution is then zero.
    - `optimizer`: Gauss-Newton, L-BFGS, or Adam.
    - `max_iterations`: the most iterations of the joint fit.
    - `insist`: go on, with warnings, where a map is wrong as a rule (dark atoms, atoms at half their
        distance, a value that stands for what was not measured, ...).
    """

    voxel_size: float | tuple[float, float, float] | None = option(
        None,
        "Map",
        "Replaces the header's: one edge, or three as X,Y,Z.",
        metavar="ANGSTROM",
        need=VOXEL_SIZE,
    )
    invert: bool = option(False, "Map", "Atoms are dark in this map.")
    mask_diameter: float | None = option(
        None,
        "Map",
        "Ignore what lies outside a sphere.",
        metavar="ANGSTROM",
        need=Need("diameter", "it in Å", 1e-3, 1e6),
    )
    neighbour_distance: float | None = option(
        None,
        "Detection",
        "Replaces the element's bulk nearest-neighbour distance.",
        metavar="ANGSTROM",
        need=Need("distance between atoms", "it in Å (Pt: 2.77)", 0.5, 10),
    )
    split: Split = option(
        "each", "Detection", "Divide merged atoms at each threshold, after the best, or off."
    )
    min_correlation: float | CorrelationRule = option(
        "auto",
        "Detection",
        "Least validation correlation: a number, auto, paper or off.",
        metavar="NUMBER",
        need=Need("validation correlation", "a number between -1 and 1, or auto, paper or off", -1, 1),
    )
    min_cn: int = option(
        3,
        "Detection",
        "Least coordination number at detection; 0 turns it off.",
        metavar="N",
        need=Need("coordination number", "0 or more", 0, 100),
    )
    cn_cutoff: float | None = option(
        None,
        "Detection",
        "Atoms closer than this are neighbours.",
        metavar="ANGSTROM",
        need=Need("distance between atoms", "it in Å (Pt: 3.35)", 0.1, 100),
    )
    fit: FitMethod = option("joint", "Model", "Refine all atoms jointly, or only the paper's log-fits.")
    displacements: Displacements = option("anisotropic", "Model", "A matrix an atom, or one number.")
    scattering: Scattering = option(
        "gaussian", "Model", "One Gaussian an atom, or its element's electron form factor."
    )
    u_mean: float | None = option(
        None,
        "Model",
        "Mean displacement, to tell it from the resolution (form-factor).",
        metavar="U",
        need=Need("mean displacement", "it in Å² (Pt: 0.004)", 1e-6, 10),
    )
    voxels: Voxels = option("point", "Model", "Density at the middle of a voxel, or integrated over it.")
    background: Background = option("constant", "Model", "What lies beneath the atoms.")
    noise: Noise = option("auto", "Noise", "Measured outside the particle, white, or what the fit leaves.")
    prior: Prior = option(
        "auto",
        "Model",
        "Draw displacements to those of the other atoms; auto: where they are uncertain.",
    )
    selection: Selection = option(
        "fit",
        "Selection",
        "Atoms are added and removed as the fit asks, or left as detected.",
    )
    fdr: float | None = option(
        None,
        "Selection",
        "Part of the atoms that may be false; by default each is likelier real.",
        metavar="RATE",
        need=Need("rate of false discoveries", "a part of the atoms, as 0.01", 1e-9, 0.5),
    )
    half_maps: tuple[str | Path, str | Path] | None = option(
        None,
        "Noise",
        "Two half-maps, in whose difference noise is measured instead.",
        metavar="A B",
        need=Need("pair of half-maps", "two files"),
    )
    tilts: str | Path | None = option(
        None,
        "Noise",
        "Tilt angles (.tlt): the missing wedge is theirs.",
        metavar="FILE",
        need=FILE,
    )
    tilt_axis: Axis = option("y", "Noise", "That the specimen was turned about.")
    beam: Axis = option("z", "Noise", "Along which the beam went at tilt 0.")
    likelihood: Likelihood = option(
        "gaussian", "Noise", "poisson for counts; robust if other things are in the map."
    )
    gain: float | None = option(
        None,
        "Noise",
        "Map units per count, for poisson.",
        metavar="NUMBER",
        need=Need("gain", "the map units per count", 1e-12, 1e12),
    )
    held_out: float | None = option(
        None,
        "Map",
        "Leave a part of the map around atoms out of one fit more, to judge it by.",
        metavar="PERCENT",
        need=Need("part of the map in per cent", "0.1 to 50, as 5", 0.1, 50),
    )
    freeze: tuple[Part, ...] = option(
        (),
        "Model",
        "Keep positions, displacements, amplitudes, background or resolution (repeatable).",
        metavar="PART",
        need=Need("part of the model", ", ".join(get_args(Part))),
    )
    optimizer: Optimizer = option("newton", "Computation", "Of the joint fit.")
    max_iterations: int = option(
        300,
        "Computation",
        "Of the joint fit.",
        metavar="N",
        need=Need("number of iterations", "1 or more", 1, 1_000_000),
    )
    insist: bool = option(False, "Map", "Go on, with warnings, where the input is wrong as a rule.")

    def __post_init__(self) -> None:
        check(self)
        if self.u_mean is not None and self.scattering == "gaussian":
            raise InputError(
                "a Gaussian holds the atom's own width besides its displacement",
                "add --scattering form-factor, or leave it out",
                "--u-mean",
            )
        if "resolution" in self.freeze:
            self._require_a_resolution()
        if self.prior == "empirical" and "displacements" in self.freeze:
            raise InputError(
                "displacements that are kept are drawn to nothing",
                "leave out --prior or --freeze displacements",
                "--prior",
            )
        if self.tilts is None:
            require_unset(
                self, ("tilt_axis", "beam"), "no tilt angles are given that this could be of", "add --tilts"
            )
        if self.fit == "log":
            require_unset(self, _OF_JOINT_FIT, "the log-fits know nothing of this", "add --fit joint")
        if self.fdr is not None and self.selection == "paper":
            raise InputError(
                "the paper's selection knows no rate of false discoveries",
                "leave out --fdr or --selection paper",
                "--fdr",
            )
        self._require_one_noise()

    def _require_a_resolution(self) -> None:
        """Only what is told from displacements can be kept from it."""
        if self.scattering == "gaussian":
            raise InputError(
                "a Gaussian holds the map's resolution besides the atom's displacement",
                "add --scattering form-factor, or leave it out",
                "--freeze",
            )
        if self.u_mean is not None:
            raise InputError(
                "a mean displacement tells the resolution, which is to be kept at zero",
                "leave out --u-mean or --freeze resolution",
                "--u-mean",
            )

    def _require_one_noise(self) -> None:
        """What is said of the noise must not contradict itself."""
        if self.likelihood != "gaussian":
            if self.noise == "residual" or (self.noise == "white" and self.likelihood == "poisson"):
                raise InputError(
                    f"the {self.likelihood} likelihood knows of itself how voxels err",
                    "leave out --noise or --likelihood",
                    "--noise",
                )
            for given, option in ((self.half_maps, "--half-maps"), (self.tilts, "--tilts")):
                if given is not None:
                    raise InputError(
                        f"the {self.likelihood} likelihood weighs voxels, not spatial frequencies",
                        f"leave out {option} or --likelihood",
                        option,
                    )
        if self.noise != "auto" and self.half_maps is not None:
            raise InputError(
                f"noise cannot be both {self.noise} and measured",
                "leave out --half-maps or --noise",
                "--half-maps",
            )
        if self.gain is not None and self.likelihood != "poisson":
            raise InputError(
                "only counts have a gain", "add --likelihood poisson, or leave it out", "--gain"
            )
