"""From options to a joint fit: which solver, which likelihood, and where the noise is known from.

The fit itself knows no options (`fitting.joint`); here it is told what a user asked for, and described when
it has ended.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Int

from atomfit.detection.detect import Detection
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.fitting.settings import MapSettings
from atomfit.noise.likelihood import AbstractLoss, PoissonLoss, StudentLoss
from atomfit.noise.sources import (
    louder_than_halves,
    measure_noise,
    quiet_outside,
    spectrum_of_half_maps,
    spectrum_of_tilts,
    without_slow,
)
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.noise.transfer import lost_below
from atomfit.optimisation.ended import Ended
from atomfit.optimisation.solvers import AbstractSolver
from atomfit.options.build import BuildOptions, Optimizer
from atomfit.workflows.preparation import PreparedMap

log = logging.getLogger("atomfit")

Progress = Callable[[int, float], None]
Noise = NoiseSpectrum | Literal["residual"] | None


def refine_jointly(
    ready: PreparedMap,
    detection: Detection,
    options: BuildOptions,
    progress: Progress,
) -> JointFit | None:
    """The joint fit; None if none was asked for, or there are no atoms.

    **Arguments:**

    - `ready`, `detection`: the map, and its atoms.
    - `options`: what was asked for.
    - `progress`: called with the iterations done and the objective.
    """
    if options.fit == "log" or not len(detection):
        return None
    fit = joint_fit(ready, detection, options, progress)
    log.info("joint fit: %s after %d iterations", fit.reason, len(fit.history))
    if fit.resolution is not None:
        log.info(fit.resolution.describe())
    return fit


def joint_fit(
    ready: PreparedMap,
    detection: Detection,
    options: BuildOptions,
    progress: Progress,
    numbers: Int[np.ndarray, " n"] | None = None,
) -> JointFit:
    """A joint fit with given options, of atoms whose elements are known or not."""
    settings = settings_of(ready, detection, options, progress, numbers)
    return fit_jointly(ready.density, detection.positions, detection.mean_atom, ready.element, settings)


def settings_of(
    ready: PreparedMap,
    detection: Detection,
    options: BuildOptions,
    progress: Progress,
    numbers: Int[np.ndarray, " n"] | None = None,
) -> MapSettings:
    """How a map is to be fitted.

    **Arguments:** those of `refine_jointly`, and

    - `numbers`: atomic numbers; the heaviest element stands for all if not given.
    """
    return MapSettings(
        numbers=numbers,
        displacements=options.displacements,
        scattering=options.scattering,
        u_mean=options.u_mean,
        voxels=options.voxels,
        background=options.background,
        frozen=options.freeze,
        solver=solver_of(options.optimizer),
        noise=_noise(ready, detection, options),
        likelihood=_likelihood(options),
        prior=options.prior,
        max_iterations=options.max_iterations,
        progress=progress,
    )


def louder_inside(ready: PreparedMap, detection: Detection, fit: JointFit, options: BuildOptions) -> bool:
    """Whether a fit leaves much more inside the particle than the noise that was measured outside."""
    measured = ready.half_maps is None and options.noise == "auto" and np.isfinite(fit.chi_square)
    if not measured or options.likelihood != "gaussian" or fit.reason != Ended.CONVERGED:
        return False
    occupied, u = detection.occupied(ready.element), detection.mean_atom.u
    model = fit.density(ready.density.grid)
    times = quiet_outside(ready.density, model, fit.fitted.positions, occupied, u)
    if times is None:
        return False
    log.info("noise: the fit leaves %.1f times what is outside the particle", times)
    return True


def without_unlike_halves(ready: PreparedMap, detection: Detection) -> tuple[PreparedMap, list[str]]:
    """A map without half-maps that say less of its noise than it shows itself, and a warning of that."""
    if ready.half_maps is None:
        return ready, []
    occupied = detection.occupied(ready.element)
    times = louder_than_halves(ready.density, ready.half_maps, occupied, detection.mean_atom.u)
    if times is None:
        return ready, []
    warning = (
        f"outside the particle this map has {times:.2g} times the variance that its half-maps' difference "
        "says: they share noise, or are of other data or another scale; noise is that outside, not theirs"
    )
    return replace(ready, half_maps=None), [warning]


def slow_and_lost(ready: PreparedMap, fit: JointFit, options: BuildOptions) -> float:
    """Below which frequency (1/Å) a map lacks what its atoms have, if a fit can do without; else zero."""
    if options.likelihood != "gaussian" or options.noise != "auto" or fit.reason != Ended.CONVERGED:
        return 0.0
    known = None if fit.spectrum is None else fit.spectrum.on(ready.density.grid.shape) > 0
    return lost_below(ready.density, fit.density(ready.density.grid), known)


def solver_of(optimizer: Optimizer) -> AbstractSolver | None:
    """A solver by its name; None for a fit's own Gauss-Newton."""
    if optimizer == "newton":
        return None
    from atomfit.optimisation.first_order import LBFGS, Adam

    return LBFGS() if optimizer == "lbfgs" else Adam()


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
    if ready.lost_below and options.noise == "auto":
        noise = without_slow(noise, ready.lost_below, ready.density.grid, u)
    if noise is not None:
        log.info(noise.describe())
    elif options.noise != "white":
        unknown = "cannot be measured outside the particle; " if options.noise == "auto" else ""
        log.info(
            "noise: %sfrequencies count alike, and uncertainties are those of what the fit leaves", unknown
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
