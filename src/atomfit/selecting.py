"""From options to the atoms that are real: which stages selection goes through, and what each atom is."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np

from atomfit.detection.detect import Detection, correlations_with_identical_atoms
from atomfit.detection.mean_atom import CLOSEST
from atomfit.fitting.joint import JointFit
from atomfit.io.checkpoint import Checkpoint
from atomfit.neighbours import find_neighbours
from atomfit.options import BuildOptions
from atomfit.preparation import PreparedMap
from atomfit.refining import Progress, joint_fit, refine_jointly
from atomfit.selection.completion import Selection, Stage, complete, without_faint
from atomfit.selection.evidence import likelihood_ratios
from atomfit.selection.judgement import judge
from atomfit.selection.species import Species, assign

log = logging.getLogger("atomfit")


class _Interrupted(Exception):
    """A user stopped a fit in which atoms share one shape, which is nothing to go on from."""


def select_atoms(
    ready: PreparedMap,
    detection: Detection,
    joint: JointFit | None,
    options: BuildOptions,
    progress: Progress,
    checkpoint: Checkpoint,
) -> tuple[Detection, JointFit | None, Selection | None]:
    """The atoms that are real, their fit, and what was decided.

    **Arguments:**

    - `ready`, `detection`, `joint`: the map, the atoms detected, and their fit.
    - `options`: what was asked for.
    - `progress`, `checkpoint`: of further fits.
    """
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

    def at(positions: np.ndarray) -> Detection:
        if positions is detection.positions:
            return detection
        correlations = correlations_with_identical_atoms(
            ready.density, positions, detection.mean_atom, ready.element
        )
        return replace(detection, positions=positions, correlations=correlations)

    def refit(positions: np.ndarray) -> JointFit:
        fit = refine_jointly(ready, at(positions), options, progress, checkpoint, None)
        assert fit is not None
        return fit

    def completed(fit: JointFit, stages: list[Stage[JointFit]]) -> tuple[np.ndarray, JointFit, Selection]:
        apart = CLOSEST * ready.element.neighbour_distance
        return complete(detection.positions, fit, apart, stages, detection.rejected)

    def result(
        positions: np.ndarray, fit: JointFit, selection: Selection
    ) -> tuple[Detection, JointFit, Selection]:
        return at(positions), fit, selection

    # Shapes that a map does not determine may wander without end; those of one shape for all do not.
    unknown = joint.prior is not None or joint.reason == "iteration limit"
    if options.selection != "fit" or joint.reason == "interrupted":
        return result(*completed(joint, [Stage(judgement, refit, rounds=0)]))
    if not unknown or options.scattering != "gaussian":
        return result(*completed(joint, [Stage(judgement, refit)]))
    shared = detection.mean_atom
    if joint.inside is None and joint.prior is not None:
        shape = joint.prior.matrix(ready.density.grid.ndim)
        # On an uneven background the mean of the displacements may be none.
        if np.linalg.eigvalsh(shape)[0] > 0:
            shared = replace(shared, matrix=shape, u=float(np.trace(shape)) / len(shape))
    rigid = replace(options, prior="none", freeze=(*options.freeze, "displacements"))

    def sharing(positions: np.ndarray, part: float = 1.0) -> JointFit:
        """All atoms with one shape, or with one of a part of its variance."""
        shape = replace(shared, matrix=part * shared.matrix, u=part * shared.u)
        atoms = replace(at(positions), mean_atom=shape)
        fit = joint_fit(ready, atoms, rigid, progress, lambda state: None, None)
        if fit.reason == "interrupted":
            raise _Interrupted
        return fit

    def placed(positions: np.ndarray) -> JointFit:
        """Atoms placed by the shape that noise disturbs least; then the shape of each at its place."""
        alike = sharing(positions)
        assert alike.inside is not None
        part = alike.inside.sharpest(shared.u, ready.density.grid.ndim) / shared.u
        places = sharing(alike.positions, part)
        # An atom draws one of another width less than one of its own.
        weaker = (1 + part) / (2 * part)
        there = replace(options, freeze=(*options.freeze, "positions"))
        fit = joint_fit(ready, at(places.positions), there, progress, lambda state: None, None)
        return replace(
            fit,
            uncertainty=fit.uncertainty.with_positions_of(places.uncertainty, weaker),
            at_bound=fit.at_bound | places.at_bound,
        )

    try:
        if joint.inside is None:
            return result(*completed(joint, [Stage(judgement, sharing), Stage(judgement, refit)]))
        generous = Stage(partial(judgement, generous=True), sharing)
        most = completed(sharing(detection.positions), [generous])
        # Narrow atoms leave the flanks of bright neighbours, which would draw faint ones.
        last = placed if len(ready.elements) == 1 else refit
        return result(*without_faint(*most, Stage(judgement, last), _evidence))
    except _Interrupted:
        log.warning("interrupted while atoms were selected: these are the atoms as they were detected")
        stopped = replace(joint, reason="interrupted")
        return result(*completed(stopped, [Stage(judgement, refit, rounds=0)]))


def _evidence(fit: JointFit) -> np.ndarray:
    return likelihood_ratios(fit.fitted.amplitudes, fit.uncertainty)


def assign_species(ready: PreparedMap, joint: JointFit | None, options: BuildOptions) -> Species | None:
    """Which element each atom is; None without a joint fit."""
    if joint is None:
        return None
    fitted = joint.fitted
    neighbours = find_neighbours(fitted.positions, options.cn_cutoff, ready.element.neighbour_distance)
    species = assign(
        fitted.amplitudes, fitted.u_iso, neighbours.coordination_numbers.astype(float), ready.elements
    )
    log.info(species.describe())
    return species
