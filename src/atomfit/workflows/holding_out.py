"""Whether a fit describes more than what it was shown: a map and its atoms in, how they do beside it out.

It costs one fit more, of the same atoms, and is said before.
"""

import logging
from functools import partial

import numpy as np

from atomfit.detection.detect import Detection
from atomfit.fitting.held_frequencies import judge_by_frequencies
from atomfit.fitting.held_out import HeldOut, judge_by_voxels
from atomfit.fitting.joint import JointFit
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.optimisation.ended import Ended
from atomfit.options.build import BuildOptions
from atomfit.workflows.preparation import PreparedMap
from atomfit.workflows.refining import Progress, settings_of

log = logging.getLogger("atomfit")


def judge_held_out(
    ready: PreparedMap,
    detection: Detection,
    joint: JointFit | None,
    options: BuildOptions,
    progress: Progress,
) -> HeldOut | None:
    """How well atoms foretell what a fit of them has not seen; None if that was not asked for.

    **Arguments:**

    - `ready`, `detection`, `joint`: the map, where its atoms began, and their fit.
    - `options`: what was asked for.
    - `progress`: of the further fit.
    """
    if options.held_out is None or joint is None or joint.reason == Ended.INTERRUPTED:
        return None
    numbers = np.asarray(joint.atoms.numbers)
    settings = settings_of(ready, detection, options, progress, numbers)
    noise, judge = settings.noise, judge_by_voxels
    if settings.likelihood is None and isinstance(noise, NoiseSpectrum) and not noise.white:
        judge = partial(judge_by_frequencies, noise=noise)
    what = "voxels" if judge is judge_by_voxels else "spatial frequencies"
    log.info("held out: one fit more, without %g %% of the %s of atoms", options.held_out, what)
    where = ready.density, detection.positions, detection.mean_atom, ready.element, settings
    found = judge(*where, part=options.held_out / 100)
    if found.reason == Ended.INTERRUPTED:
        return found
    log.info(
        "held out, %d of %d blocks of %s: the model leaves %.3f ± %.3f times as much there, in squares, as "
        "where it was fitted; noise alone would make that %.3f",
        found.blocks,
        found.around,
        found.kind,
        found.ratio,
        found.error,
        found.expected,
    )
    return found
