"""The verdict on atoms that were found in a map: figures of the result, and what they say."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from atomfit.detection.denoise import denoise
from atomfit.detection.detect import Detection
from atomfit.detection.existence import Existence
from atomfit.detection.resolution import MapResolution
from atomfit.doubts.inspection import edge_level
from atomfit.doubts.limits import LIMITS as DOUBTS
from atomfit.doubts.noise import noise_doubts
from atomfit.doubts.shape import shape_doubts
from atomfit.fitting.held_out import HeldOut
from atomfit.fitting.joint import JointFit
from atomfit.fitting.limits import LIMITS as FITTING_LIMITS
from atomfit.gaussians.fitted import region_correlation
from atomfit.noise.transfer import without_slow_waves
from atomfit.selection.completion import Selection
from atomfit.selection.species import Species
from atomfit.structure.elements import Element, symbol_of, typical
from atomfit.structure.grid import DensityMap
from atomfit.structure.neighbours import shell_gap
from atomfit.structure.region import region_mask
from atomfit.support.errors import Doubt
from atomfit.verdict.common import (
    bond_ratio,
    bonds,
    clear,
    convergence,
    disorder,
    insisted,
    no_atoms,
    removal,
    taken_away,
    uncertain,
    undetermined,
    unsupported,
)
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.limits import LIMITS, level_above, part


@dataclass(frozen=True, eq=False)
class BuiltAtoms:
    """What a verdict on a map's atoms is made from.

    **Fields:**

    - `density`, `model`: the map, and what the model has there (map units).
    - `positions`, `errors`: of the atoms, and their standard uncertainties, NaN where unknown (Å).
    - `elements`: that were given.
    - `detection`, `resolution`: of the map.
    - `existence`: how much better atoms describe it than noise like it; None where that was not asked.
    - `insisted`: what spoke against a fit, and was insisted on.
    - `joint`, `selection`, `species`: of which the result is made, if there was a joint fit.
    - `masked`: whether a mask was put on the map.
    - `lost_below`: the spatial frequency (1/Å) below which the map has lost what its atoms have.
    - `held_out`: how well a fit describes what it has not seen; None where that was not asked.
    """

    density: DensityMap
    model: Float[np.ndarray, "..."]
    positions: Float[np.ndarray, "n d"]
    errors: Float[np.ndarray, "n d"]
    elements: tuple[Element, ...]
    detection: Detection
    resolution: MapResolution
    existence: Existence | None
    insisted: tuple[Doubt, ...]
    joint: JointFit | None
    selection: Selection | None
    species: Species | None
    masked: bool = False
    lost_below: float = 0.0
    held_out: HeldOut | None = None

    @property
    def told(self) -> tuple[Element, ...]:
        """The elements that atoms are told to be."""
        if self.species is None or not self.species.lacking:
            return self.elements
        return tuple(one for one in self.elements if one.number in self.species.numbers)

    @property
    def element(self) -> Element:
        """What stands for these."""
        return typical(self.told)


@dataclass(frozen=True)
class MapMeasures:
    """What a result of `build` is judged by; NaN where a figure is not known.

    **Fields:**

    - `atoms`: how many there are.
    - `resolution`: up to which wavelength the map shows more than noise (Å).
    - `correlation`: of model and map around the atoms.
    - `explained`: part of the map's variance there that the model explains.
    - `denoised_correlation`: the same correlation where both are seen through the mean atom.
    - `bond_ratio`: distance of neighbours in that of the bulk.
    - `shell_gap`: density of pairs between the first two shells, in that of the first.
    - `at_bound`, `narrower`: parts of the atoms with these flags.
    - `removed`: part of the fitted atoms that selection has taken away.
    - `unsupported`: part of the atoms that the map speaks against, and that were kept.
    - `position_esd`: median standard uncertainty of positions (Å).
    - `undetermined`: part of the atoms whose position has no standard uncertainty, where others' have.
    - `clear`: part of the atoms that stand out so far that no maximum of noise is expected to.
    - `cut`: part of the atoms that the edge of what was measured cuts through.
    """

    atoms: int
    resolution: float
    correlation: float = np.nan
    explained: float = np.nan
    denoised_correlation: float = np.nan
    bond_ratio: float = np.nan
    shell_gap: float = np.nan
    at_bound: float = np.nan
    narrower: float = np.nan
    removed: float = np.nan
    unsupported: float = np.nan
    position_esd: float = np.nan
    undetermined: float = np.nan
    clear: float = np.nan
    cut: float = np.nan


def measure_map(built: BuiltAtoms) -> MapMeasures:
    """The figures of a result."""
    density, positions, n = built.density, built.positions, len(built.positions)
    if not n:
        return MapMeasures(0, built.resolution.value)
    mean, model = built.detection.mean_atom, np.asarray(built.model, np.float32)
    if built.lost_below:
        shown, model = (
            without_slow_waves(x, density.grid, built.lost_below) for x in (density.values, model)
        )
        density = density.with_values(shown)
    region = density.measured(region_mask(density.grid, positions, mean.u**0.5))
    values = density.values[region].astype(np.float64)
    left = values - model[region]
    smooth = denoise(density.with_values(model), mean.gaussian)
    known = np.all(np.isfinite(built.errors), axis=1)
    fit, gone = built.joint, 0
    if built.selection is not None:
        gone = taken_away(built.selection)
    return MapMeasures(
        n,
        built.resolution.value,
        region_correlation(density, model, region),
        1 - float(left.var() / values.var()) if values.size and values.var() > 0 else np.nan,
        region_correlation(denoise(density, mean.gaussian), smooth.values, region),
        bond_ratio(positions, built.element),
        shell_gap(positions),
        np.nan if fit is None else float(np.mean(fit.at_bound)),
        np.nan if fit is None else float(np.mean(fit.narrower)),
        np.nan if fit is None else part(gone, n + gone),
        np.nan if built.selection is None else float(np.mean(~built.selection.judgement.kept)),
        float(np.median(built.errors[known])) if known.any() else np.nan,
        part(int(np.sum(~known)), n) if known.any() else np.nan,
        np.nan if built.selection is None else clear(built.selection),
        _part_cut(density, positions, mean.u),
    )


def _part_cut(density: DensityMap, positions: Float[np.ndarray, "n d"], u: float) -> float:
    """Part of the atoms not measured all around at half their height; NaN if all of the box was."""
    if density.counted is None:
        return np.nan
    grid = density.grid
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * grid.ndim), axis=-1).reshape(-1, grid.ndim)
    steps = steps[np.any(steps != 0, axis=1)]
    around = np.sqrt(2 * np.log(2) * u) * steps / np.linalg.norm(steps, axis=1, keepdims=True)
    voxels = np.clip(grid.nearest_voxels(positions[:, None] + around), 0, np.array(grid.shape) - 1)
    return float(np.mean(np.any(~density.counted[tuple(np.moveaxis(voxels, -1, 0))], axis=1)))


def judge_map(built: BuiltAtoms) -> Verdict:
    """What is to be thought of a result of `build`."""
    m = measure_map(built)
    figures = {name: float(value) for name, value in asdict(m).items()}
    findings = [*_shape(built), *_noise(built.existence)]
    findings += insisted(built.insisted, findings)
    if not m.atoms:
        return Verdict.of([no_atoms("map", "see atomfit check, and look at the map"), *findings], figures)
    size, option = "voxel size", "--voxel-size"
    if built.masked:
        # Atoms that it cuts through are moved to its middle.
        size, option = f"{size}, or the mask,", f"{option}, --mask-diameter"
    findings += [
        *bonds(m.bond_ratio, m.atoms, built.told, size, option),
        *disorder(m.shell_gap, m.position_esd, built.element),
        *_agreement(m),
        *_cut(m),
        *_elements(built),
        *uncertain(m.position_esd, built.element),
        *undetermined(m.undetermined, m.atoms),
        *removal(m.removed, m.atoms, m.clear),
        *unsupported(m.unsupported, m.atoms, "map"),
    ]
    if built.joint is not None:
        findings += [*_bounded(m), *convergence(built.joint.reason), *_unseen(built.held_out)]
    if built.selection is not None and not built.selection.settled:
        findings.append(
            Finding(
                "unsettled",
                "doubtful",
                f"the fit still asks for other atoms after {built.selection.rounds} changes",
                "see rejected.csv for those that it may lack",
            )
        )
    return Verdict.of(findings, figures)


def _cut(m: MapMeasures) -> list[Finding]:
    """Whether a mask or pad goes through the particle, beyond which there may be more of it."""
    level = level_above(m.cut, LIMITS.cut_doubtful, 1.0)
    if level == "good":
        return []
    return [
        Finding(
            "cut",
            level,
            f"the edge of what was measured (a mask or pad) cuts through {m.cut:.0%} of the atoms: there "
            "may be others beyond it",
            "use a wider mask, or the map without one",
        )
    ]


def _shape(built: BuiltAtoms) -> list[Finding]:
    """What was doubted before the fit, and insisted on."""
    density = built.density
    found = shape_doubts(
        built.detection.mean_atom, edge_level(density), built.resolution, density.grid, built.element
    )
    return [Finding(one.code, "bad", one.doubt.problem, one.doubt.remedy) for one in found]


def _noise(existence: Existence | None) -> list[Finding]:
    """Whether noise like the map would have as good atoms."""
    if existence is None or existence.deviations > DOUBTS.noise_clear:
        return []
    doubts = noise_doubts(existence)
    if doubts:
        return [Finding("noise", "bad", doubts[0].problem, doubts[0].remedy)]
    return [
        Finding(
            "noise",
            "doubtful",
            "atoms describe the map hardly better than noise of the same colour and outline (by "
            f"{existence.deviations:.1f} standard deviations)",
            "look at the planes of map, model and residual",
        )
    ]


def _agreement(m: MapMeasures) -> list[Finding]:
    level = level_above(-m.denoised_correlation, -LIMITS.correlation_doubtful, -LIMITS.correlation_bad)
    if level == "good":
        return []
    return [
        Finding(
            "correlation",
            level,
            f"around the atoms, model and denoised map correlate by {m.denoised_correlation:.2f} only; the "
            f"model explains {max(m.explained, 0.0):.0%} of the map there",
            "the map is mostly noise there, or does not consist of atoms: look at the planes of map, model "
            "and residual",
        )
    ]


def _elements(built: BuiltAtoms) -> list[Finding]:
    """Whether atoms are of as many kinds as elements were given."""
    species = built.species
    if species is None or not species.lacking:
        return []
    given = ", ".join(symbol_of(number) for number in species.given)
    told = " and ".join(symbol_of(int(number)) for number in np.unique(species.numbers))
    kinds = "one kind" if species.classes == 1 else f"{species.classes} kinds"
    return [
        Finding(
            "one-element" if species.classes == 1 else "fewer-elements",
            "doubtful",
            f"amplitudes of the atoms are of {kinds} only, though {given} were given; all are told as "
            f"{told}",
            "give the elements that there are; these ones cannot be told apart in this map",
        )
    ]


def _unseen(held: HeldOut | None) -> list[Finding]:
    """Whether the model describes what it has not seen far worse than what it has: the rest is noise."""
    if held is None or not held.ratio > 1 + LIMITS.held_out_errors * held.error:
        return []
    level = level_above(held.ratio, LIMITS.held_out_doubtful, LIMITS.held_out_bad)
    if level == "good":
        return []
    return [
        Finding(
            "held-out",
            level,
            f"the fit describes noise: on {held.kind} that it has not seen it leaves {held.ratio:.2g} "
            f"times as much, in squares, as on those it has; its numbers let expect {held.expected:.2g}",
            "give it fewer numbers (--displacements isotropic, --prior empirical) or fewer atoms (--fdr)",
        )
    ]


def _bounded(m: MapMeasures) -> list[Finding]:
    findings = []
    level = level_above(m.at_bound, LIMITS.at_bound_doubtful, LIMITS.at_bound_bad)
    if level != "good":
        findings.append(
            Finding(
                "at-bound",
                level,
                f"{m.at_bound:.0%} of the atoms went to the limit of their move or width (flag at_bound)",
                "the map does not determine them, or what is there has not the shape of atoms",
            )
        )
    if m.narrower * m.atoms > FITTING_LIMITS.narrower * m.atoms + 1:
        findings.append(
            Finding(
                "narrower",
                "doubtful",
                f"{m.narrower:.0%} of the atoms are narrower than the resolution and voxels allow (flag "
                "narrower)",
                "they have no displacement matrix; check the voxel size and --scattering",
            )
        )
    return findings
