"""Atoms refined against a tilt series, in stages.

Far from their places narrow atoms pull on nothing: an atom that does not overlap with its image is
stranded for good. So the first stages draw atoms wide, then less wide, and through no probe, which is
quickest; only then are widths free. The probe comes last, because its weights and the atoms' widths say
much the same: first its shape common to all depths (`profile`) with its change with depth as propagation
has it, then, if asked for, the whole table together with each atom's amplitude.

Form factors come in once Gaussians tell how wide atoms are: what is left of that without the element's own
shape widens them all. Through a probe they begin as atoms that hardly move.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from atomfit.gaussians.scatterers import FormFactors
from atomfit.projection.fit import TiltFit
from atomfit.projection.model import TiltModel, single
from atomfit.projection.probe import Probe, make_probe
from atomfit.projection.views import TiltSeries
from atomfit.structure.atoms import AnisotropicDisplacements, IsotropicDisplacements
from atomfit.structure.elements import symbol_of
from atomfit.structure.scattering import blur_to_width
from atomfit.support.errors import InputError
from atomfit.tilt_series.limits import LIMITS
from atomfit.tilt_series.result import result_of
from atomfit.tilt_series.settings import SeriesSettings
from atomfit.tilt_series.stages import ROUGH, WIDE, Run, Stage, log_widths

#: Standard deviations of the atoms in the first stages, in neighbour distances.
_WIDE = (WIDE, 0.16)
#: Displacement (Å²) of an atom through a probe, where the probe's shape is free.
_THROUGH_PROBE = 0.03
#: How often the colour of noise is measured, and the atoms refined with it.
_COLOURED = 2


def refine_against(
    series: TiltSeries,
    positions: Float[np.ndarray, "n 3"],
    numbers: Int[np.ndarray, " n"],
    neighbour_distance: float,
    settings: SeriesSettings | None = None,
    **changes: Any,
) -> TiltFit:
    """Refine atoms against images.

    **Arguments:**

    - `series`: the images.
    - `positions`, `numbers`: where the atoms are thought to be (Å), and their elements.
    - `neighbour_distance`: typical distance of neighbours (Å).
    - `settings`: how; `changes`, further keyword arguments, replace single fields of it.
    """
    wanted = replace(settings or SeriesSettings(), **changes)
    run = Run.of(series, positions, numbers, neighbour_distance, wanted)
    probe, amplitudes, displacements = wanted.probe, wanted.amplitudes, wanted.displacements
    free_views, anneal = wanted.free_views, wanted.anneal
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
    of_elements = wanted.scattering == "form-factor"
    if of_elements and probe == "direct":
        begin = partial(with_form_factors, distance=neighbour_distance)
        stages.append(Stage("form factors", every | {"log_widths"}, shared, begin=begin, adjusted=True))
    if probe == "direct" and amplitudes == "atom":
        stages.append(Stage("amplitudes", every | {"log_widths"}, own, adjusted=True))
    if probe != "direct":
        through = make_probe(
            probe, run.reach, wanted.voltage, wanted.convergence, wanted.defocus, wanted.spherical
        )
        begin = partial(_through, probe=through, of_elements=of_elements)
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
        if wanted.by_brightness and wanted.likelihood is None and "turns" not in free_views:
            stages[-1] = replace(settled, tolerance=ROUGH)
        stages.append(replace(settled, name="one Gaussian, adjusted", weighted=True, adjusted=True))
    if wanted.noise == "spectral" and wanted.likelihood is None:
        last = replace(stages[-1], name="frequencies by their noise", begin=_same, coloured=True)
        stages.extend([last] * _COLOURED)
    colour = None
    model = run.first(wide=anneal, drifting="shifts" in free_views)
    for stage in stages:
        colour = run.colour(model, stage)
        model, found = run.through(model, stage)
        if found.reason.early:
            break
        if "turns" in free_views and stage is settled:
            model, found = run.with_better_turns(model, stage, found)
        if stage is settled:
            # Before a probe may tell depths apart.
            model = run.in_gauge(model)
    return result_of(run, model, found, colour)


def _same(model: TiltModel) -> TiltModel:
    return model


def _with_width(model: TiltModel, width: float) -> TiltModel:
    """The same with all atoms of one width (Å)."""
    widths = np.full((len(model.atoms), 1), np.log(width), np.float32)
    return eqx.tree_at(lambda m: m.atoms.displacements, model, IsotropicDisplacements(widths))


def _through(model: TiltModel, probe: Probe, of_elements: bool) -> TiltModel:
    """The same seen through a probe whose shape is free."""
    model = eqx.tree_at(lambda m: m.probe, model, probe)
    if of_elements:
        model = _scattering(model, FormFactors.of(np.asarray(model.atoms.numbers), _THROUGH_PROBE))
    return _with_width(model, float(np.sqrt(_THROUGH_PROBE)))


def with_form_factors(model: TiltModel, distance: float) -> TiltModel:
    """The same with atoms that are as wide as they were, by their elements and by what widens all alike.

    **Arguments:**

    - `model`: of Gaussians.
    - `distance`: of neighbours (Å).

    **Raises:** `InputError` if an element's form factor is not known, or as wide as its atoms.
    """
    numbers = np.asarray(model.atoms.numbers)
    widths = np.exp(2 * np.asarray(log_widths(model), np.float64)[:, 0])
    left = np.zeros(len(numbers))
    for number in np.unique(numbers):
        which, symbol = numbers == number, symbol_of(int(number))
        u = float(np.median(widths[which]))
        blur = blur_to_width(symbol, u, 0.5 * distance)
        if blur is None or blur < LIMITS.sharpest * u:
            raise InputError(
                f"atoms in the images are no wider than the electron form factor of {symbol}, "
                "or there is none",
                "use --scattering gaussian",
                "--scattering",
            )
        left[which] = blur
    blur = float(np.median(left))
    return _with_width(_scattering(model, FormFactors.of(numbers, blur)), float(np.sqrt(blur)))


def _scattering(model: TiltModel, scattering: FormFactors) -> TiltModel:
    return eqx.tree_at(lambda m: m.scattering, model, single(scattering))


def _with_matrices(model: TiltModel) -> TiltModel:
    """The same with a displacement matrix for each atom."""
    u = np.exp(2 * np.asarray(log_widths(model), np.float64)[:, 0])
    matrices = single(AnisotropicDisplacements.from_variances(u))
    return eqx.tree_at(lambda m: m.atoms.displacements, model, matrices)
