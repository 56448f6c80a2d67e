"""What a user may choose about a fit, with the defaults and their reasons. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from atomfit.errors import InputError

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
        electron "form-factor".
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
    - `freeze`: parts that keep the values they were found with; the resolution is then zero.
    - `optimizer`: Gauss-Newton, L-BFGS, or Adam.
    - `max_iterations`: the most iterations of the joint fit.
    - `insist`: go on, with warnings, where a map is wrong as a rule (dark atoms, atoms at half their
        distance, a value that stands for what was not measured, ...).
    """

    voxel_size: float | tuple[float, ...] | None = None
    invert: bool = False
    mask_diameter: float | None = None
    neighbour_distance: float | None = None
    split: Split = "each"
    min_correlation: float | str = "auto"
    min_cn: int = 3
    cn_cutoff: float | None = None
    fit: FitMethod = "joint"
    displacements: Displacements = "anisotropic"
    scattering: Scattering = "gaussian"
    u_mean: float | None = None
    voxels: Voxels = "point"
    background: Background = "constant"
    noise: Noise = "auto"
    prior: Prior = "auto"
    selection: Selection = "fit"
    fdr: float | None = None
    half_maps: tuple[str | Path, str | Path] | None = None
    tilts: str | Path | None = None
    tilt_axis: Axis = "y"
    beam: Axis = "z"
    likelihood: Likelihood = "gaussian"
    gain: float | None = None
    freeze: tuple[str, ...] = ()
    optimizer: Optimizer = "newton"
    max_iterations: int = 300
    insist: bool = False

    def __post_init__(self) -> None:
        rule = self.min_correlation
        if not (rule in ("auto", "paper", "off") or _is_number(rule, -1.0, 1.0)):
            raise InputError(
                f"{rule!r} is no validation correlation",
                "give a number between -1 and 1, or auto, paper or off",
                "--min-correlation",
            )
        for part in self.freeze:
            if part not in get_args(Part):
                raise InputError(
                    f"{part!r} is no part of the model", f"give {', '.join(get_args(Part))}", "--freeze"
                )
        if self.min_cn < 0:
            raise InputError(f"{self.min_cn} is no coordination number", "give 0 or more", "--min-cn")
        if self.cn_cutoff is not None and not _is_number(self.cn_cutoff, 0.1, 100.0):
            raise InputError(
                f"{self.cn_cutoff} is no distance between atoms",
                "give it in Å (Pt: 3.35)",
                "--cn-cutoff",
            )
        if self.u_mean is not None and not _is_number(self.u_mean, 1e-6, 10.0):
            raise InputError(
                f"{self.u_mean} is no mean displacement", "give it in Å² (Pt: 0.004)", "--u-mean"
            )
        if self.u_mean is not None and self.scattering == "gaussian":
            raise InputError(
                "a Gaussian holds the atom's own width besides its displacement",
                "add --scattering form-factor, or leave it out",
                "--u-mean",
            )
        if self.fdr is not None and not _is_number(self.fdr, 1e-9, 0.5):
            raise InputError(
                f"{self.fdr} is no rate of false discoveries", "give a part of the atoms, as 0.01", "--fdr"
            )
        if self.fdr is not None and self.selection == "paper":
            raise InputError(
                "the paper's selection knows no rate of false discoveries",
                "leave out --fdr or --selection paper",
                "--fdr",
            )
        self._require_one_noise()
        if self.max_iterations < 1:
            raise InputError(
                f"{self.max_iterations} iterations are none",
                "give 1 or more",
                "--max-iterations",
            )

    def _require_one_noise(self) -> None:
        """What is said of the noise must not contradict itself."""
        if self.likelihood != "gaussian":
            if self.scattering != "gaussian":
                raise InputError(
                    f"the {self.likelihood} likelihood knows atoms of one Gaussian only",
                    "leave out --scattering or --likelihood",
                    "--likelihood",
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
        if self.gain is not None:
            if self.likelihood != "poisson":
                raise InputError(
                    "only counts have a gain", "add --likelihood poisson, or leave it out", "--gain"
                )
            if not _is_number(self.gain, 1e-12, 1e12):
                raise InputError(f"{self.gain} is no gain", "give the map units per count", "--gain")


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and low <= value <= high
