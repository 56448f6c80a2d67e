"""How a tilt series is to be fitted: what a program may choose, apart from what `tilt` asks its users."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from atomfit.inference.priors import Prior
from atomfit.noise.likelihood import AbstractLoss
from atomfit.optimisation.solvers import AbstractSolver
from atomfit.options.build import Scattering
from atomfit.options.tilt import Amplitudes, ProbeKind, TiltDisplacements, TiltNoise

Progress = Callable[[str, int, float], None]


@dataclass(frozen=True, eq=False)
class SeriesSettings:
    """How a tilt series is to be fitted.

    **Fields:**

    - `probe`, `voltage`, `convergence`, `defocus`, `spherical`: see `make_probe`.
    - `amplitudes`: one each "element", or each "atom"; "auto": each atom with an adaptive probe.
    - `displacements`: "shared" by an element's atoms, "isotropic" or "anisotropic" for each atom.
    - `scattering`: what atoms are at rest: "gaussian" leaves that to their displacements, "form-factor"
        takes it from each one's element.
    - `free_views`: what is refined of each view: backgrounds, gains, shifts, turns.
    - `anneal`: whether atoms are drawn wide at first; not needed where they are in their places.
    - `frozen`: atoms that keep their positions, and whatever else each atom has for itself.
    - `likelihood`: of a pixel; Gaussian noise if None.
    - `by_brightness`: whether Gaussian noise may grow with brightness (`noise.brightness`).
    - `noise`: "residual": frequencies count alike; "spectral": by the power of Gaussian noise, as what the
        fit leaves has it.
    - `held_out`: views that the fit may not see.
    - `known_positions`: standard deviation of a move from where atoms are expected (Å); None if nothing is
        known.
    - `expected`: where that is (Å); where they start if None.
    - `known_amplitudes`: relative standard deviation of amplitudes about the element's.
    - `known_turns`: standard deviation of the views' rotations about each axis (degrees).
    - `terms`: what else good atoms keep to: functions of them, in the frame and units of the images, each
        minus the logarithm of a probability; of no weight where a common motion of all atoms is settled.
    - `solver`: of all stages; Gauss-Newton if None.
    - `max_iterations`: the most iterations of a stage; if None, as many as the solver looks 40 times at.
    - `progress`: called with the stage, iterations done and the objective.
    """

    probe: ProbeKind = "direct"
    voltage: float = 300.0
    convergence: float = 25.0
    defocus: float = 0.0
    spherical: float = 0.0
    amplitudes: Amplitudes = "auto"
    displacements: TiltDisplacements = "shared"
    scattering: Scattering = "gaussian"
    free_views: Collection[str] = ("backgrounds",)
    anneal: bool = True
    frozen: Bool[np.ndarray, " n"] | None = None
    likelihood: AbstractLoss | None = None
    by_brightness: bool = True
    noise: TiltNoise = "residual"
    held_out: Bool[np.ndarray, " v"] | None = None
    known_positions: float | Float[np.ndarray, "n 3"] | None = None
    expected: Float[np.ndarray, "n 3"] | None = None
    known_amplitudes: float | None = None
    known_turns: float | None = None
    terms: tuple[Prior, ...] = ()
    solver: AbstractSolver | None = None
    max_iterations: int | None = None
    progress: Progress = field(default_factory=lambda: _silent)


def _silent(stage: str, iteration: int, value: float) -> None:
    """Nobody is told."""
