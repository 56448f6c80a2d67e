"""The main job, top to bottom: a map and its element in, refined atoms and their statistics out.

    prepare -> detect -> joint fit <-> selection -> baseline -> statistics -> (files)

`build` is what the command `atomfit build` runs; it writes nothing. Its result holds every
intermediate object, and `result.write(directory)` makes the files.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from atomfit.detection.detect import Detection, detect
from atomfit.elements import Element, symbol_of
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.fitting.likelihood import AbstractLoss, PoissonLoss, StudentLoss
from atomfit.fitting.logfit import RADIUS_PER_DISTANCE, LogFit, fit_logarithms
from atomfit.fitting.newton import GaussNewton
from atomfit.fitting.noise import NoiseSpectrum
from atomfit.fitting.noise_sources import measure_noise, spectrum_of_half_maps, spectrum_of_tilts
from atomfit.fitting.refinement import FitState
from atomfit.fitting.resolution import NARROWER
from atomfit.fitting.solvers import AbstractSolver
from atomfit.grid import DensityMap
from atomfit.io.checkpoint import Checkpoint
from atomfit.io.mrc import MapFile
from atomfit.neighbours import find_neighbours, nearest_distances
from atomfit.options import BuildOptions
from atomfit.preparation import PreparedMap, Source, edge_level, prepare
from atomfit.selection.completion import Discarded, Selection, Stage, complete, without_faint
from atomfit.selection.contour import Contour, contour
from atomfit.selection.judgement import judge
from atomfit.selection.species import Species, assign
from atomfit.statistics.per_atom import AtomStatistics, measure_atoms
from atomfit.timing import Stopwatch

log = logging.getLogger("atomfit")

Progress = Callable[[int, float], None]

Noise = NoiseSpectrum | Literal["residual"] | None


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
    - `warnings`: what a user should know before trusting the numbers.
    - `seconds`: wall time of each stage.
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
    warnings: tuple[str, ...]
    seconds: dict[str, float]

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
    def discarded(self) -> Discarded:
        """Places that are no atoms, with the reasons."""
        if self.selection is None:
            return Discarded.of(self.detection.rejected)
        return self.selection.discarded

    def write(self, directory: str | Path, overwrite: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false.
        """
        from atomfit.io.results import write_results

        return write_results(self, Path(directory), overwrite)


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
    - `checkpoint`: a file that keeps the atoms and their fit until it has converged.
    - `resume`: go on from what an interrupted run left in it.

    **Raises:** `InputError` if the map, an option or the checkpoint cannot be used.
    """
    options = replace(options or BuildOptions(), **changes)
    ready = source if isinstance(source, PreparedMap) else prepare(source, element, options)
    kind, density, warnings = ready.element, ready.density, [*ready.warnings]
    for note in ready.source.notes:
        log.info(note)
    clock = Stopwatch({"read and prepare": ready.seconds})
    kept = Checkpoint(None if checkpoint is None else Path(checkpoint), density, kind, options)
    before = kept.load() if resume else None
    with clock("detect"):
        detection = _detect(density, kind, options) if before is None else before.detection
    _describe(detection)
    with clock("joint fit"):
        state = None if before is None else before.state
        joint = _fit(ready, detection, options, progress, kept, state)
    with clock("selection"):
        detection, joint, selection = _select(ready, detection, joint, options, progress, kept)
        species = _species(ready, joint, options)
    with clock("baseline"):
        baseline = _baseline(density, detection, kind)
    with clock("voxels"):
        voxels = contour(density, baseline.fitted if joint is None else joint.fitted)
    with clock("statistics"):
        statistics = measure_atoms(
            density, detection, baseline, joint, kind, voxels.labels, options.cn_cutoff
        )
    log.info(statistics.geometry.describe())
    warnings += _warnings(detection, joint, selection, options)
    for warning in warnings:
        log.warning(warning)
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
        tuple(warnings),
        clock.seconds,
    )


def _detect(density: DensityMap, element: Element, options: BuildOptions) -> Detection:
    return detect(
        density,
        element,
        split=options.split,
        min_correlation=options.min_correlation,
        min_coordination=options.min_cn,
        cutoff=options.cn_cutoff,
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


def _fit(
    ready: PreparedMap,
    detection: Detection,
    options: BuildOptions,
    progress: Progress,
    checkpoint: Checkpoint,
    state: FitState | None,
) -> JointFit | None:
    if options.fit == "log" or not len(detection):
        return None
    with checkpoint.kept(detection, state):
        fit = _fit_jointly(ready, detection, options, progress, checkpoint.keep, state)
    checkpoint.end(fit.state, fit.reason == "converged")
    log.info("joint fit: %s after %d iterations", fit.reason, len(fit.history))
    if fit.resolution is not None:
        log.info(fit.resolution.describe())
    return fit


def _select(
    ready: PreparedMap,
    detection: Detection,
    joint: JointFit | None,
    options: BuildOptions,
    progress: Progress,
    checkpoint: Checkpoint,
) -> tuple[Detection, JointFit | None, Selection | None]:
    """The atoms that are real, their fit, and what was decided."""
    if joint is None:
        return detection, None, None

    judgement = partial(
        judge,
        ready.density,
        element=ready.element,
        rate=options.fdr,
        kinds=len(ready.elements),
        min_coordination=options.min_cn,
        cutoff=options.cn_cutoff,
    )

    def refit(changed: Detection) -> JointFit:
        fit = _fit(ready, changed, options, progress, checkpoint, None)
        assert fit is not None
        return fit

    completed = partial(complete, ready.density, element=ready.element)
    if options.selection != "fit" or joint.reason != "converged":
        return completed(detection, joint, stages=[Stage(judgement, refit, rounds=0)])
    if joint.prior is None or options.scattering != "gaussian":
        return completed(detection, joint, stages=[Stage(judgement, refit)])
    shared = detection.mean_atom
    if joint.inside is None:
        shape = joint.prior.matrix(ready.density.grid.ndim)
        shared = replace(shared, matrix=shape, u=float(np.trace(shape)) / len(shape))
    rigid = replace(options, prior="none", freeze=(*options.freeze, "displacements"))

    def sharing(changed: Detection) -> JointFit:
        atoms = replace(changed, mean_atom=shared)
        return _fit_jointly(ready, atoms, rigid, progress, lambda state: None, None)

    if joint.inside is None:
        stages = [Stage(judgement, sharing), Stage(judgement, refit)]
        return completed(detection, joint, stages=stages)
    generous = Stage(partial(judgement, generous=True), sharing)
    most = completed(detection, sharing(detection), stages=[generous])
    return without_faint(ready.density, *most[:2], ready.element, most[2], Stage(judgement, refit))


def _species(ready: PreparedMap, joint: JointFit | None, options: BuildOptions) -> Species | None:
    """Which element each atom is."""
    if joint is None:
        return None
    fitted = joint.fitted
    neighbours = find_neighbours(fitted.positions, options.cn_cutoff, ready.element.neighbour_distance)
    species = assign(
        fitted.amplitudes, fitted.u_iso, neighbours.coordination_numbers.astype(float), ready.elements
    )
    log.info(species.describe())
    return species


def _fit_jointly(
    ready: PreparedMap,
    detection: Detection,
    options: BuildOptions,
    progress: Progress,
    keep: Callable[[FitState], None],
    state: FitState | None,
) -> JointFit:
    return fit_jointly(
        ready.density,
        detection.positions,
        detection.mean_atom,
        ready.element,
        displacements=options.displacements,
        scattering=options.scattering,
        u_mean=options.u_mean,
        voxels=options.voxels,
        background=options.background,
        frozen=options.freeze,
        solver=_solver(options),
        noise=_noise(ready, detection, options),
        likelihood=_likelihood(options),
        prior=options.prior,
        max_iterations=options.max_iterations,
        start=state,
        progress=progress,
        keep=keep,
    )


def _solver(options: BuildOptions) -> AbstractSolver:
    if options.optimizer == "newton":
        return GaussNewton()
    from atomfit.fitting.first_order import LBFGS, Adam

    return LBFGS() if options.optimizer == "lbfgs" else Adam()


def _noise(ready: PreparedMap, detection: Detection, options: BuildOptions) -> Noise:
    """What is known of the noise, from the best source that there is."""
    if options.likelihood == "poisson":
        log.info("noise: that of counts")
        return None
    u, noise = detection.mean_atom.u, None
    if ready.half_maps is not None:
        noise = spectrum_of_half_maps(*ready.half_maps, u, ready.tilts)
    elif options.noise == "auto":
        noise = measure_noise(ready.density, detection.occupied(ready.element), u, ready.tilts)
    if noise is None and ready.tilts is not None:
        noise = spectrum_of_tilts(ready.tilts, ready.density.grid, u)
    if noise is not None:
        log.info(noise.describe())
    elif options.noise == "auto":
        log.info(
            "noise: cannot be measured outside the particle; frequencies count alike, and uncertainties "
            "are those of what the fit leaves"
        )
        return "residual"
    if noise is not None and not noise.white and options.likelihood != "gaussian":
        log.info("the %s likelihood takes neighbouring voxels to be independent", options.likelihood)
    return noise


def _likelihood(options: BuildOptions) -> AbstractLoss | None:
    match options.likelihood:
        case "poisson":
            return PoissonLoss(options.gain)
        case "robust":
            return StudentLoss()
        case _:
            return None


def _warnings(
    detection: Detection, joint: JointFit | None, selection: Selection | None, options: BuildOptions
) -> list[str]:
    warnings = []
    if selection is not None and not selection.settled:
        warnings.append(
            f"the fit still asks for other atoms after {selection.rounds} changes: see rejected.csv for "
            "those that it may lack"
        )
    if detection.search is None or not len(detection):
        warnings.append("no atom found")
    if joint is not None:
        bounded = int(joint.at_bound.sum())
        if bounded:
            warnings.append(
                f"{bounded} atoms went to the limit of their move or width (flag at_bound): the map "
                "does not determine them"
            )
        narrower = int(joint.narrower.sum())
        if narrower > NARROWER * len(detection) + 1:
            warnings.append(
                f"{narrower} atoms are narrower than the resolution and voxels allow (flag narrower): they "
                "have no displacement matrix"
            )
        if options.gain is not None and not 0.5 < joint.chi_square < 2:
            warnings.append(
                f"what the model leaves is {joint.chi_square:.2g} times the variance of counts with a gain "
                f"of {options.gain:g}: uncertainties are those of another gain, or of another model"
            )
        if joint.reason != "converged":
            warnings.append(f"the joint fit did not converge: {joint.reason}")
    return warnings
