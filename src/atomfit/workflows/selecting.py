"""From options to the atoms that are real: which stages selection goes through, and what each atom is."""

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Float

from atomfit.detection.detect import Detection, correlations_with_identical_atoms
from atomfit.detection.limits import LIMITS
from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit
from atomfit.optimisation.ended import Ended
from atomfit.options.build import BuildOptions
from atomfit.selection.completion import Selection, Stage, complete, without_faint
from atomfit.selection.evidence import likelihood_ratios
from atomfit.selection.judgement import judge
from atomfit.selection.species import Species, assign
from atomfit.structure.neighbours import find_neighbours, shell_distance
from atomfit.workflows.preparation import PreparedMap
from atomfit.workflows.refining import Progress, joint_fit, refine_jointly

log = logging.getLogger("atomfit")

#: Fits with form factors of each atom's element, at most.
_ROUNDS = 3


class _Interrupted(Exception):
    """A user stopped a fit in which atoms share one shape, which is no result."""


@dataclass(frozen=True, eq=False)
class _Fits:
    """Ways to fit atoms that begin at given places.

    **Fields:**

    - `ready`, `options`, `progress`: as for `select_atoms`.
    - `detection`: what the mean atom is known from.
    """

    ready: PreparedMap
    detection: Detection
    options: BuildOptions
    progress: Progress

    def at(self, positions: Float[np.ndarray, "n d"]) -> Detection:
        """The detection as if these had been detected (Å)."""
        if positions is self.detection.positions:
            return self.detection
        correlations = correlations_with_identical_atoms(
            self.ready.density, positions, self.detection.mean_atom, self.ready.element
        )
        return replace(self.detection, positions=positions, correlations=correlations)

    def own(self, positions: Float[np.ndarray, "n d"]) -> JointFit:
        """Each atom with a shape of its own, as the options ask."""
        found = self.at(positions)
        fit = refine_jointly(self.ready, found, self.options, self.progress)
        assert fit is not None
        return fit

    def alike(self, positions: Float[np.ndarray, "n d"], shape: MeanAtom) -> JointFit:
        """All atoms with one shape."""
        rigid = replace(self.options, prior="none", freeze=(*self.options.freeze, "displacements"))
        fit = self._with(replace(self.at(positions), mean_atom=shape), rigid)
        if fit.reason == Ended.INTERRUPTED:
            raise _Interrupted
        return fit

    def placed(self, positions: Float[np.ndarray, "n d"], shape: MeanAtom) -> JointFit:
        """Atoms placed by the width that noise disturbs least; then the shape of each at its place."""
        alike = self.alike(positions, shape)
        assert alike.inside is not None
        part = alike.inside.sharpest(shape.u, self.ready.density.grid.ndim) / shape.u
        narrow = replace(shape, matrix=part * shape.matrix, u=part * shape.u)
        places = self.alike(alike.positions, narrow)
        # An atom draws one of another width less than one of its own.
        weaker = (1 + part) / (2 * part)
        there = replace(self.options, freeze=(*self.options.freeze, "positions"))
        fit = self._with(self.at(places.positions), there)
        return replace(
            fit,
            uncertainty=fit.uncertainty.with_positions_of(places.uncertainty, weaker),
            at_bound=fit.at_bound | places.at_bound,
        )

    def _with(self, found: Detection, options: BuildOptions) -> JointFit:
        return joint_fit(self.ready, found, options, self.progress)


def select_atoms(
    ready: PreparedMap,
    detection: Detection,
    joint: JointFit | None,
    options: BuildOptions,
    progress: Progress,
) -> tuple[Detection, JointFit | None, Selection | None]:
    """The atoms that are real, their fit, and what was decided.

    **Arguments:**

    - `ready`, `detection`, `joint`: the map, the atoms detected, and their fit.
    - `options`: what was asked for.
    - `progress`: of further fits.
    """
    if joint is None:
        return detection, None, None
    fits = _Fits(ready, detection, options, progress)
    judgement = partial(
        judge,
        ready.density,
        element=ready.element,
        rate=options.fdr,
        kinds=len(ready.elements),
        min_coordination=options.min_cn,
        cutoff=options.cn_cutoff,
    )
    own = Stage(judgement, fits.own)
    judged_only = replace(own, rounds=0)

    def completed(fit: JointFit, *stages: Stage[JointFit]) -> tuple[np.ndarray, JointFit, Selection]:
        apart = LIMITS.closest * ready.element.neighbour_distance
        return complete(detection.positions, fit, apart, stages, detection.rejected)

    # Shapes that a map does not determine may wander without end; those of one shape for all do not.
    unknown = joint.prior is not None or joint.reason == Ended.ITERATION_LIMIT
    if options.selection != "fit" or joint.reason == Ended.INTERRUPTED:
        found = completed(joint, judged_only)
    elif not unknown or options.scattering != "gaussian":
        found = completed(joint, own)
    else:
        shape = _shared_shape(detection.mean_atom, joint)
        sharing = partial(fits.alike, shape=shape)
        try:
            if joint.inside is None:
                found = completed(joint, Stage(judgement, sharing), own)
            else:
                generous = Stage(partial(judgement, generous=True), sharing)
                most = completed(sharing(detection.positions), generous)
                # Narrow atoms leave the flanks of bright neighbours, which would draw faint ones.
                last = partial(fits.placed, shape=shape) if len(ready.elements) == 1 else fits.own
                found = without_faint(*most, Stage(judgement, last), _evidence)
        except _Interrupted:
            log.warning("interrupted while atoms were selected: these are the atoms as they were detected")
            found = completed(replace(joint, reason=Ended.INTERRUPTED), judged_only)
    positions, fit, selection = found
    return fits.at(positions), fit, selection


def _shared_shape(mean_atom: MeanAtom, joint: JointFit) -> MeanAtom:
    """The shape that all atoms may share: what they are drawn to, where noise says how far."""
    if joint.inside is not None or joint.prior is None:
        return mean_atom
    matrix = joint.prior.matrix(joint.atoms.ndim)
    return replace(mean_atom, matrix=matrix, u=float(np.trace(matrix)) / len(matrix))


def _evidence(fit: JointFit) -> Float[np.ndarray, " n"]:
    return likelihood_ratios(fit.fitted.amplitudes, fit.uncertainty)


def assign_species(ready: PreparedMap, joint: JointFit | None, options: BuildOptions) -> Species | None:
    """Which element each atom is; None without a joint fit."""
    if joint is None:
        return None
    fitted = joint.fitted
    neighbours = find_neighbours(fitted.positions, options.cn_cutoff, ready.element.neighbour_distance)
    species = assign(
        fitted.amplitudes,
        fitted.u_iso,
        neighbours.coordination_numbers.astype(float),
        ready.elements,
        shell_distance(fitted.positions),
    )
    log.info(species.describe())
    return species


def refine_by_element(
    ready: PreparedMap,
    detection: Detection,
    joint: JointFit | None,
    species: Species | None,
    options: BuildOptions,
    progress: Progress,
) -> tuple[JointFit | None, Species | None]:
    """The same atoms with the form factor of each one's own element, and which elements these are then.

    Where atoms are looked for, the heaviest element stands for all. With form factors of their own some are
    of another width, which may tell that they are of another element: both follow each other, a few times.

    **Arguments:**

    - `ready`, `detection`, `joint`, `species`: the map, where its atoms began, their fit and elements.
    - `options`, `progress`: as of `select_atoms`.
    """
    for _ in range(_ROUNDS if options.scattering == "form-factor" else 0):
        if joint is None or species is None or joint.reason.early:
            break
        if np.array_equal(np.asarray(joint.atoms.numbers), species.numbers):
            break
        log.info("joint fit with the form factor of each atom's own element")
        joint = joint_fit(ready, detection, options, progress, species.numbers)
        if joint.resolution is not None:
            log.info(joint.resolution.describe())
        species = assign_species(ready, joint, options)
    return joint, species
