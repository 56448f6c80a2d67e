"""Atoms refined against a tilt series, in stages.

Far from their places narrow atoms pull on nothing: an atom that does not overlap with its image is
stranded for good. So the first stages draw atoms wide, then less wide, and through no probe, which is
quickest; only then are widths free. The probe comes last, because its weights and the atoms' widths say
much the same: first its shape common to all depths (`profile`) with its change with depth as propagation
has it, then, if asked for, the whole table together with each atom's amplitude.
"""

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.noise.likelihood import AbstractLoss
from atomfit.options.tilt import Amplitudes, ProbeKind, TiltDisplacements
from atomfit.projection.fit import TiltFit
from atomfit.projection.model import TiltModel, single
from atomfit.projection.probe import Probe, make_probe
from atomfit.projection.views import TiltSeries
from atomfit.series.result import result_of
from atomfit.series.stages import ROUGH, WIDE, Progress, Run, Stage, log_widths
from atomfit.structure.atoms import AnisotropicDisplacements, IsotropicDisplacements

#: Standard deviations of the atoms in the first stages, in neighbour distances.
_WIDE = (WIDE, 0.16)
#: Displacement (Å²) of an atom through a probe, where the probe's shape is free.
_THROUGH_PROBE = 0.03


def refine_against(
    series: TiltSeries,
    positions: Float[np.ndarray, "n 3"],
    numbers: Int[np.ndarray, " n"],
    neighbour_distance: float,
    *,
    probe: ProbeKind = "direct",
    voltage: float = 300.0,
    convergence: float = 25.0,
    defocus: float = 0.0,
    spherical: float = 0.0,
    amplitudes: Amplitudes = "auto",
    displacements: TiltDisplacements = "shared",
    free_views: Collection[str] = ("backgrounds",),
    anneal: bool = True,
    frozen: Bool[np.ndarray, " n"] | None = None,
    likelihood: AbstractLoss | None = None,
    by_brightness: bool = True,
    held_out: Bool[np.ndarray, " v"] | None = None,
    known_positions: float | Float[np.ndarray, "n 3"] | None = None,
    expected: Float[np.ndarray, "n 3"] | None = None,
    known_amplitudes: float | None = None,
    known_turns: float | None = None,
    progress: Progress = lambda stage, iteration, value: None,
) -> TiltFit:
    """Refine atoms against images.

    **Arguments:**

    - `series`: the images.
    - `positions`, `numbers`: where the atoms are thought to be (Å), and their elements.
    - `neighbour_distance`: typical distance of neighbours (Å).
    - `probe`, `voltage`, `convergence`, `defocus`, `spherical`: see `make_probe`.
    - `amplitudes`: one each "element", or each "atom"; "auto": each atom with an adaptive probe.
    - `displacements`: "shared" by an element's atoms, "isotropic" or "anisotropic" for each atom.
    - `free_views`: what is refined of each view: backgrounds, gains, shifts, turns.
    - `anneal`: whether atoms are drawn wide at first; not needed where they are in their places.
    - `frozen`: atoms that keep their positions, and whatever else each atom has for itself.
    - `likelihood`: of a pixel; Gaussian noise if None.
    - `by_brightness`: whether Gaussian noise may grow with brightness (`noise.brightness`).
    - `held_out`: views that the fit may not see.
    - `known_positions`: standard deviation of a move from where atoms are expected (Å); None if nothing is
        known.
    - `expected`: where that is (Å); where they start if None.
    - `known_amplitudes`: relative standard deviation of amplitudes about the element's.
    - `known_turns`: standard deviation of the views' rotations about each axis (degrees).
    - `progress`: called with the stage, iterations done and the objective.
    """
    run = Run(
        series,
        np.zeros(len(series), bool) if held_out is None else held_out,
        positions - series.centre,
        (positions if expected is None else expected) - series.centre,
        numbers,
        neighbour_distance,
        frozen,
        likelihood,
        by_brightness,
        (known_positions, known_amplitudes, known_turns),
        progress,
    )
    every = frozenset({"positions", "strengths", *free_views})
    shared = frozenset({"positions"})
    own = shared | {"strengths"} if amplitudes == "atom" else shared
    stages = []
    if anneal:
        for width in _WIDE:
            wide = partial(_with_width, width=width * neighbour_distance)
            stages.append(Stage("wide atoms", every, shared, ROUGH, False, wide))
    settled = Stage("one Gaussian an atom", every | {"log_widths"}, shared, weighted=False)
    stages.append(settled)
    if probe == "direct" and amplitudes == "atom":
        stages.append(Stage("amplitudes", every | {"log_widths"}, own, adjusted=True))
    if probe != "direct":
        through = make_probe(probe, run.reach, voltage, convergence, defocus, spherical)
        begin = partial(_through, probe=through)
        stages.append(Stage(f"{probe} probe", every | {"profile"}, own, begin=begin, adjusted=True))
    if probe == "adaptive":
        each = shared if amplitudes == "element" else shared | {"strengths"}
        stages.append(Stage("free probe", every | {"probe"}, each, adjusted=True))
    if displacements == "isotropic":
        stages.append(Stage("displacements", every | {"log_widths"}, own | {"log_widths"}, adjusted=True))
    if displacements == "anisotropic":
        shape = frozenset({"log_widths", "shears"})
        stages.append(
            Stage("displacements", every | shape, own | shape, begin=_with_matrices, adjusted=True)
        )
    if stages[-1] is settled:
        # What a fit leaves tells how pixels count, and what positions have taken of the noise. A rough one
        # is enough, but rotations are searched with what it ends with.
        if by_brightness and likelihood is None and "turns" not in free_views:
            stages[-1] = replace(settled, tolerance=ROUGH)
        stages.append(replace(settled, name="one Gaussian, adjusted", weighted=True, adjusted=True))
    model = run.first(wide=anneal, drifting="shifts" in free_views)
    for stage in stages:
        model, found = run.through(model, stage)
        if found.reason.early:
            break
        if "turns" in free_views and stage is settled:
            model, found = run.with_better_turns(model, stage, found)
        if stage is settled:
            # Before a probe may tell depths apart.
            model = run.in_gauge(model)
    return result_of(run, model, found)


def _with_width(model: TiltModel, width: float) -> TiltModel:
    """The same with all atoms of one width (Å)."""
    widths = np.full((len(model.atoms), 1), np.log(width), np.float32)
    return eqx.tree_at(lambda m: m.atoms.displacements, model, IsotropicDisplacements(widths))


def _through(model: TiltModel, probe: Probe) -> TiltModel:
    """The same seen through a probe whose shape is free."""
    model = eqx.tree_at(lambda m: m.probe, model, probe)
    return _with_width(model, float(np.sqrt(_THROUGH_PROBE)))


def _with_matrices(model: TiltModel) -> TiltModel:
    """The same with a displacement matrix for each atom."""
    u = np.exp(2 * np.asarray(log_widths(model), np.float64)[:, 0])
    matrices = single(AnisotropicDisplacements.from_variances(u))
    return eqx.tree_at(lambda m: m.atoms.displacements, model, matrices)
