"""The main job, top to bottom: a map and its element in, refined atoms and their statistics out.

    prepare -> detect -> joint fit <-> selection -> baseline -> statistics -> (files)

`build` is what the command `atomfit build` runs; it writes nothing. Its result holds every
intermediate object, and `result.write(directory)` makes the files.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.declared import options_from
from atomfit.detection.detect import Detection, detect
from atomfit.detection.kept import arrays_of, detection_of
from atomfit.detection.resolution import MapResolution
from atomfit.elements import Element, dimmest, symbol_of
from atomfit.fitting.joint import JointFit
from atomfit.fitting.journal import current, fingerprint
from atomfit.fitting.logfit import RADIUS_PER_DISTANCE, LogFit, fit_logarithms
from atomfit.grid import DensityMap
from atomfit.inspection import edge_level
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.mrc import MapFile
from atomfit.neighbours import nearest_distances
from atomfit.numerics import own_numerics
from atomfit.options import BuildOptions
from atomfit.preparation import PreparedMap, Source, prepare
from atomfit.refining import Progress, louder_inside, refine_jointly, slow_and_lost
from atomfit.selecting import assign_species, select_atoms
from atomfit.selection.completion import Discarded, Selection
from atomfit.selection.contour import Contour, contour
from atomfit.selection.species import Species
from atomfit.statistics.per_atom import AtomStatistics, measure_atoms
from atomfit.timing import Stopwatch
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_map import BuiltAtoms, judge_map

log = logging.getLogger("atomfit")

_QUIET_OUTSIDE = (
    "the noise outside the particle is not that inside (the map may have been smoothed or regularised "
    "there): uncertainties are those of what the fit leaves"
)


@dataclass(frozen=True, eq=False)
class BuildResult:
    """Everything that `build` found.

    **Fields:**

    - `source`: the map as it was read, with notes on how.
    - `density`: the map that was fitted (inverted or masked, if that was asked for).
    - `element`, `elements`, `options`: what was asked for; what stands for all elements, and each of them.
    - `detection`: where atoms were found, and how; with those that selection has added, without those that
        it has removed.
    - `baseline`: the paper's per-atom fits, at the detected places.
    - `joint`: the joint fit; None if it was not asked for or there are no atoms.
    - `selection`: which atoms are real, as the joint fit has it; None if there is none.
    - `species`: which element each atom is, and how many the map supports; None without a joint fit.
    - `contour`: which voxels belong to which atom, and the level that shows them.
    - `statistics`: a number of each kind for each atom.
    - `resolution`: up to which wavelength the map shows more than noise.
    - `verdict`: what is to be thought of it, and why.
    - `warnings`: what a user should know before trusting the numbers, the verdict's findings among them.
    - `seconds`: wall time of each stage.
    - `checkpoint`: what goes when the files are written.
    """

    source: MapFile
    density: DensityMap
    element: Element
    elements: tuple[Element, ...]
    options: BuildOptions
    detection: Detection
    baseline: LogFit
    joint: JointFit | None
    selection: Selection | None
    species: Species | None
    contour: Contour
    statistics: AtomStatistics
    resolution: MapResolution
    verdict: Verdict
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    checkpoint: Checkpoint | None = None

    def __len__(self) -> int:
        """Number of atoms."""
        return len(self.statistics)

    @property
    def positions(self) -> Float[np.ndarray, "n d"]:
        """Positions of the atoms in the map's frame (Å)."""
        return self.statistics.fitted.positions

    @property
    def matrices(self) -> Float[np.ndarray, "n d d"]:
        """Displacement matrices (Å²); NaN where none could be fitted."""
        return self.statistics.fitted.matrices

    @property
    def symbols(self) -> np.ndarray:
        """Chemical symbol of each atom."""
        if self.species is None:
            return np.full(len(self), self.element.symbol, dtype=object)
        return np.array([symbol_of(int(number)) for number in self.species.numbers], dtype=object)

    @property
    def model(self) -> Float[np.ndarray, "..."]:
        """Density of the model on the map's grid (map units); of the baseline if there is no joint fit."""
        return _model(self.density, self.joint, self.baseline)

    @property
    def discarded(self) -> Discarded:
        """Places that are no atoms, with the reasons."""
        if self.selection is None:
            return Discarded.of(self.detection.rejected)
        return self.selection.discarded

    @property
    def reason(self) -> str:
        """Why the fit ended; there is nothing to go on with where there is none, or it has converged."""
        return "converged" if self.joint is None else self.joint.reason

    @own_numerics()
    def write(self, directory: str | Path, overwrite: bool = False, figures: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        The checkpoint of a fit that has ended is removed then.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.
        - `figures`: whether figures for print are drawn as well, which needs matplotlib.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false, or if figures
            cannot be drawn.
        """
        from atomfit.io.results import write_results

        written = write_results(self, Path(directory), overwrite, figures)
        if self.checkpoint is not None and self.reason == "converged":
            self.checkpoint.remove()
        return written


def build(
    source: Source | PreparedMap,
    element: str | Sequence[str],
    options: BuildOptions | None = None,
    *,
    progress: Progress = lambda iteration, value: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **changes: Any,
) -> BuildResult:
    """Find and jointly refine the atoms of a map.

    **Arguments:**

    - `source`: a file (MRC, gzipped MRC, .npy), a `DensityMap`, an array in [z, y, x] order together
        with `voxel_size`, or a map that was prepared with the same options.
    - `element`: chemical symbol, or several, of which each atom gets one.
    - `options`: a `BuildOptions`; further keyword arguments replace single fields of it.
    - `progress`: called with the iterations done and the objective of the joint fit.
    - `checkpoint`: a file that keeps the atoms and their fits until the result is written.
    - `resume`: go on from what an interrupted run left in it.

    **Raises:** `InputError` if the map, an option or the checkpoint cannot be used.
    """
    options = options_from(BuildOptions, options, changes, "build")
    ready = source if isinstance(source, PreparedMap) else prepare(source, element, options)
    kept = Checkpoint(checkpoint, lambda: _job(ready, options), resume)
    with own_numerics(), kept.running():
        return replace(_built(ready, options, progress), checkpoint=kept)


def _job(ready: PreparedMap, options: BuildOptions) -> Job:
    grid = ready.density.grid
    values = (ready.density.values, np.array(grid.shape), grid.spacing, grid.origin)
    return Job.of(
        "build",
        [[one.symbol, one.neighbour_distance] for one in ready.elements],
        options,
        {"map": values, "half_maps": options.half_maps, "tilts": options.tilts},
        of_the_way=("optimizer", "max_iterations", "insist"),
    )


def _built(ready: PreparedMap, options: BuildOptions, progress: Progress) -> BuildResult:
    kind, density, warnings = ready.element, ready.density, [*ready.warnings]
    for note in ready.source.notes:
        log.info(note)
    clock = Stopwatch({"read and prepare": ready.seconds})
    with clock("detect"):
        detection = _detect(ready, options)
    _describe(detection)
    chosen = options
    with clock("joint fit"):
        joint = refine_jointly(ready, detection, options, progress)
        if joint is not None and louder_inside(ready, detection, joint, options):
            warnings.append(_QUIET_OUTSIDE)
            chosen = replace(options, noise="residual")
            joint = refine_jointly(ready, detection, chosen, progress)
        lost = 0.0 if joint is None else slow_and_lost(ready, joint, chosen)
        if lost:
            warnings.append(
                f"slow changes, over more than {1 / lost:.2g} Å, were taken off this map (a high-pass or "
                "band-pass filter, which leaves dark rings around atoms): they do not count"
            )
            ready = replace(ready, lost_below=lost)
            joint = refine_jointly(ready, detection, chosen, progress)
    with clock("selection"):
        detection, joint, selection = select_atoms(ready, detection, joint, chosen, progress)
        species = assign_species(ready, joint, options)
    with clock("baseline"):
        baseline = _baseline(density, detection, kind)
    with clock("voxels"):
        voxels = contour(density, baseline.fitted if joint is None else joint.fitted)
    with clock("statistics"):
        statistics = measure_atoms(
            density, detection, baseline, joint, kind, voxels.labels, options.cn_cutoff
        )
    log.info(statistics.geometry.describe())
    with clock("verdict"):
        verdict = judge_map(
            BuiltAtoms(
                density,
                _model(density, joint, baseline),
                statistics.fitted.positions,
                statistics.uncertainties.positions,
                ready.elements,
                detection,
                ready.resolution,
                ready.existence,
                ready.insisted,
                joint,
                selection,
                species,
                options.mask_diameter is not None,
                ready.lost_below,
            )
        )
    warnings += [*_warnings(joint, options), *verdict.beside(warnings)]
    for warning in warnings:
        log.warning(warning)
    log.info(verdict.describe())
    return BuildResult(
        ready.source,
        density,
        kind,
        ready.elements,
        options,
        detection,
        baseline,
        joint,
        selection,
        species,
        voxels,
        statistics,
        ready.resolution,
        verdict,
        tuple(warnings),
        clock.seconds,
    )


def _detect(ready: PreparedMap, options: BuildOptions) -> Detection:
    return current().computed(
        "detection",
        fingerprint([ready.density.values]),
        lambda: _detected(ready, options),
        arrays_of,
        lambda arrays: detection_of(arrays, ready.density, ready.element),
    )


def _detected(ready: PreparedMap, options: BuildOptions) -> Detection:
    return detect(
        ready.density,
        ready.element,
        split=options.split,
        min_correlation=options.min_correlation,
        min_coordination=options.min_cn,
        cutoff=options.cn_cutoff,
        # The paper's threshold knows one kind of atoms; what is too faint is the selection's to find out.
        faintest=dimmest(ready.elements) if options.selection == "fit" else 1.0,
    )


def _describe(detection: Detection) -> None:
    mean = detection.mean_atom
    if detection.search is None or not len(detection):
        log.info("no atom found: nothing stands out from the noise")
    else:
        log.info(
            "%d atoms found, %d discarded (threshold of %d tried: %.4g, correlation %.3f; "
            "the mean atom's width is %.2f Å)",
            len(detection),
            len(detection.rejected.reasons),
            len(detection.search.trials),
            detection.search.best.threshold,
            detection.search.best.correlation,
            mean.u**0.5,
        )


def _baseline(density: DensityMap, detection: Detection, element: Element) -> LogFit:
    distances = nearest_distances(detection.positions)
    distance = float(np.median(distances)) if len(distances) > 1 else element.neighbour_distance
    radius = RADIUS_PER_DISTANCE * distance
    return fit_logarithms(density, detection.positions, radius, edge_level(density))


def _model(density: DensityMap, joint: JointFit | None, baseline: LogFit) -> Float[np.ndarray, "..."]:
    if joint is not None:
        return joint.density(density.grid)
    return baseline.fitted.density(density.grid) + np.float32(baseline.level)


def _warnings(joint: JointFit | None, options: BuildOptions) -> list[str]:
    """What a user should know of the numbers, and that says nothing against the atoms."""
    warnings: list[str] = []
    if joint is None:
        return warnings
    bounded = int(joint.at_bound.sum())
    if bounded:
        warnings.append(
            f"{bounded} atoms went to the limit of their move or width (flag at_bound): the map does not "
            "determine them"
        )
    if options.gain is None or 0.5 < joint.chi_square < 2:
        return warnings
    return [
        *warnings,
        f"what the model leaves is {joint.chi_square:.2g} times the variance of counts with a gain "
        f"of {options.gain:g}: uncertainties are those of another gain, or of another model",
    ]
