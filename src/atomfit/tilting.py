"""Atoms against a tilt series, top to bottom: images, views and atoms to start from in, refined atoms out.

    prepare -> (build) -> agreement -> refine_against -> what to warn of -> (files)

`tilt` is what the command `atomfit tilt` runs; it writes nothing. `result.write(directory)` does.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from atomfit.atoms import AnisotropicDisplacements, Atoms
from atomfit.elements import symbol_of
from atomfit.errors import InputError
from atomfit.fitting.likelihood import AbstractLoss, PoissonLoss, StudentLoss
from atomfit.io.models import Model
from atomfit.neighbours import Neighbours, find_neighbours
from atomfit.projection.agreement import Agreement
from atomfit.projection.refinement import TiltFit, refine_against
from atomfit.projection.verdict import view_warnings
from atomfit.projection.views import Views
from atomfit.tilt_options import TiltOptions
from atomfit.tilt_preparation import Images, PreparedSeries, prepare_series
from atomfit.tilt_starts import (
    Start,
    judged,
    numbers_of,
    require_memory,
    start_from_file,
    with_surroundings,
)
from atomfit.timing import Stopwatch

log = logging.getLogger("atomfit")

Progress = Callable[[str, int, float], None]


@dataclass(frozen=True, eq=False)
class TiltResult:
    """Everything that `tilt` found.

    **Fields:**

    - `prepared`: images and views as they were read, and how.
    - `start`: atoms that the fit began with, and those around them.
    - `options`: what was asked for.
    - `agreement`: of start and images.
    - `fit`: of all atoms, the surroundings included; they come last.
    - `neighbours`: of the atoms that were refined, those around them counted.
    - `warnings`: what a user should know before trusting the numbers.
    - `seconds`: wall time of each stage.
    """

    prepared: PreparedSeries
    start: Start
    options: TiltOptions
    agreement: Agreement
    fit: TiltFit
    neighbours: Neighbours
    warnings: tuple[str, ...]
    seconds: dict[str, float]

    def __len__(self) -> int:
        """Number of atoms that were refined."""
        return len(self.start.ids)

    @property
    def atoms(self) -> Atoms:
        """The atoms that were refined, without those around them."""
        return self.fit.atoms[~self.start.frozen]

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Their positions in the specimen's frame (Å)."""
        return np.asarray(self.atoms.positions)

    @property
    def matrices(self) -> Float[np.ndarray, "n 3 3"]:
        """Their displacement matrices (Å²)."""
        return np.asarray(self.atoms.matrices(), np.float64)

    @property
    def anisotropic(self) -> bool:
        """Whether the atoms have shapes of their own."""
        return isinstance(self.fit.atoms.displacements, AnisotropicDisplacements)

    @property
    def symbols(self) -> np.ndarray:
        """Chemical symbol of each of them."""
        return np.array([symbol_of(int(number)) for number in self.atoms.numbers], dtype=object)

    @property
    def views(self) -> Views:
        """The views with what was refined of them: rotations, and centres moved by the shifts."""
        nominal, each = self.prepared.series.views, self.fit.views
        turns = Rotation.from_rotvec(np.asarray(each.turns)).as_matrix()
        return Views(
            turns @ nominal.rotations,
            nominal.centres + np.asarray(each.shifts) / self.prepared.series.pixel,
        )

    @property
    def residual(self) -> Float[np.ndarray, "v rows columns"]:
        """Images less the model's; zero where nothing was measured."""
        series = self.prepared.series
        return np.where(series.counted, series.images - self.fit.images, 0).astype(np.float32)

    def write(self, directory: str | Path, overwrite: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false.
        """
        from atomfit.io.tilt_results import write_tilt_results

        return write_tilt_results(self, Path(directory), overwrite)


def tilt(
    images: Images | PreparedSeries,
    views: str | Path | Views | None,
    element: str | Sequence[str],
    options: TiltOptions | None = None,
    *,
    progress: Progress = lambda stage, iteration, value: None,
    **changes: Any,
) -> TiltResult:
    """Refine atoms jointly against a tilt series.

    **Arguments:**

    - `images`: a file (MRC stack, gzipped or not, .npy), an array [view, row, column] together with
        `pixel_size`, or a series that was prepared with the same options.
    - `views`: from where: a file, or `Views`; None with a prepared series.
    - `element`: chemical symbol, or several.
    - `options`: a `TiltOptions`; further keyword arguments replace single fields of it.
    - `progress`: called with the stage, the iterations done and the objective.

    **Raises:** `InputError` if images, views, the start or an option cannot be used.
    """
    if options is None:
        options = TiltOptions(**changes)
    elif changes:
        options = replace(options, **changes)
    if isinstance(images, PreparedSeries):
        ready = images
    elif views is None:
        raise InputError("there are no views", "say from where the images were taken", "--views")
    else:
        ready = prepare_series(images, views, element, options)
    clock = Stopwatch({"read and prepare": ready.seconds})
    for note in ready.notes:
        log.info(note)
    with clock("start"):
        start = _start(ready, options, progress)
        for note in start.notes:
            log.info(note)
        found, warnings = judged(start, ready)
        warnings = [*ready.warnings, *warnings]
        require_memory(start, ready)
    # Told before the fit, because they may be reasons not to wait for it.
    for warning in warnings:
        log.warning(warning)
    with clock("fit"):
        fit = _refine(ready, start, options, progress)
    moving = ~start.frozen
    neighbours = _of_moving(
        find_neighbours(np.asarray(fit.atoms.positions), typical=ready.element.neighbour_distance), moving
    )
    later = view_warnings(fit.correlations, fit.held_out)
    if fit.reason != "converged":
        later.append(f"the fit did not converge: {fit.reason}")
    for warning in later:
        log.warning(warning)
    _describe(fit, start, len(moving) - len(start.ids))
    return TiltResult(ready, start, options, found, fit, neighbours, (*warnings, *later), clock.seconds)


def _start(ready: PreparedSeries, options: TiltOptions, progress: Progress) -> Start:
    if options.start is not None:
        return start_from_file(options.start, ready, options)
    assert options.map is not None
    from atomfit.pipeline import build

    symbols = [one.symbol for one in ready.elements]
    log.info("atoms are found in %s", options.map)
    built = build(options.map, symbols, progress=lambda i, value: progress("build", i, value))
    if not len(built):
        raise InputError("no atom was found in this map", "see atomfit check", options.map)
    ids = np.arange(1, len(built) + 1)
    esds = np.full((len(built), 3), np.nan)
    model = Model("map", ids, tuple(built.symbols), built.positions, esds, numbers={})
    return with_surroundings(model.positions, numbers_of(model, options.map, ready), ids, ready, options)


def _refine(ready: PreparedSeries, start: Start, options: TiltOptions, progress: Progress) -> TiltFit:
    losses: dict[str, AbstractLoss | None] = {
        "gaussian": None,
        "poisson": PoissonLoss(options.gain),
        "robust": StudentLoss(),
    }
    return refine_against(
        ready.series,
        start.positions,
        start.numbers,
        ready.element.neighbour_distance,
        probe=options.probe,
        voltage=options.voltage,
        convergence=options.convergence,
        defocus=options.defocus,
        spherical=options.spherical,
        amplitudes=options.amplitudes,
        displacements=options.displacements,
        free_views=options.refine,
        anneal=options.anneal,
        frozen=start.frozen if start.frozen.any() else None,
        likelihood=losses[options.likelihood],
        held_out=ready.held_out(options.held_out),
        known_positions=options.known_positions,
        known_amplitudes=options.known_amplitudes,
        progress=progress,
    )


def _of_moving(neighbours: Neighbours, moving: Bool[np.ndarray, " n"]) -> Neighbours:
    return Neighbours(
        neighbours.coordination_numbers[moving],
        neighbours.nearest[moving],
        neighbours.nearest_distances[moving],
        neighbours.mean_distances[moving],
        neighbours.cutoff,
    )


def _describe(fit: TiltFit, start: Start, around: int) -> None:
    moves = np.linalg.norm((np.asarray(fit.atoms.positions) - start.positions)[~start.frozen], axis=1)
    fitted = ~fit.held_out
    held = (
        f", {np.mean(fit.correlations[fit.held_out]):.4f} on the {int(fit.held_out.sum())} held out"
        if fit.held_out.any()
        else ""
    )
    log.info(
        "%d atoms%s moved by %.3f Å (rms); images and model correlate by %.4f%s",
        len(moves),
        f" among {around} that did not" if around else "",
        float(np.sqrt(np.mean(moves**2))),
        float(np.mean(fit.correlations[fitted])),
        held,
    )
