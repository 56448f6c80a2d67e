"""Atoms that a fit to a tilt series begins with, and whether they and the images belong together.

Atoms come from a model, or from a map; around them there may be others that the images show and that do not
move, as those of a film around the part that was cut out of it. All must be in the images, and be of the
elements that were given. Then they are compared with the images, before time is spent on a fit.
"""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from atomfit.doubts.noise import disagreeing_views
from atomfit.doubts.order import order_doubts
from atomfit.doubts.starts import require_distances, start_doubts, why_outside
from atomfit.doubts.visible import (
    require_atoms_in_views,
    require_centres_in_images,
    shown,
    shown_in_views,
)
from atomfit.io.models import read_model
from atomfit.options.build import BuildOptions
from atomfit.options.tilt import ProbeKind, TiltOptions
from atomfit.projection.misreadings import Agreement
from atomfit.projection.start import Start
from atomfit.results.series import PreparedSeries
from atomfit.selection.search_limits import LIMITS
from atomfit.statistics.comparison import Model
from atomfit.structure.elements import UNKNOWN
from atomfit.support.errors import Doubt, InputError, settle
from atomfit.support.memory import require_memory
from atomfit.workflows.preparation import prepare
from atomfit.workflows.tilt_centre import centred, points_of_result
from atomfit.workflows.tilt_preparation import BYTES_AT_LEAST, BYTES_PER_PIXEL

log = logging.getLogger("atomfit")

#: How far outside of an image an atom still shows (Å).
_MARGIN = 3.0
#: Bytes of memory for each atom, beside those of the program and of the images: of a fit, and of a search,
#: whose programs add up (measured; of 20,000 atoms 4.1 GB).
_BYTES_PER_ATOM, _BYTES_SEARCHED = 20e3, 150e3
#: Seconds on a processor's core: to compile, and for each atom in each view, directly and through a probe
#: (measured).
_COMPILING, _DIRECT, _THROUGH_PROBE = 30.0, 7e-4, 3e-3
#: The same of a search besides (`experiments/many_atoms`).
_COMPILING_SEARCH, _SEARCH = 30.0, 2.4e-3


def start_from_file(path: str | Path, ready: PreparedSeries, options: TiltOptions) -> Start:
    """Atoms of a model's file.

    **Raises:** `InputError` if it is no model of these elements.
    """
    model = read_model(Path(path), "start")
    try:
        require_distances(model.positions, ready.element)
    except InputError as error:
        raise error.at(path) from None
    return with_surroundings(model.positions, numbers_of(model, path, ready), model.ids, ready, options)


def centred_on_start(ready: PreparedSeries, path: str | Path) -> PreparedSeries:
    """The series with the point that its views turn about, found by a model if nobody has named it.

    **Raises:** `InputError` if it is no model.
    """
    if ready.centre_given:
        return ready
    return centred(ready, read_model(Path(path), "start").positions, points_of_result(path))


def start_from_images(ready: PreparedSeries, options: TiltOptions) -> Start:
    """Atoms where a quick reconstruction is bright.

    Those at the place of one of the surroundings are left out.

    **Raises:** `InputError` if nothing is bright, and the user does not insist.
    """
    from atomfit.projection.reconstruction import places_of_atoms

    require_centres_in_images(ready.series)
    positions = places_of_atoms(ready.series, ready.element.neighbour_distance)
    if options.surroundings is not None and len(positions):
        around = read_model(Path(options.surroundings), "surroundings").positions
        near = (
            cKDTree(around).query(positions)[0]
            < LIMITS.surroundings_same * ready.element.neighbour_distance
        )
        positions = positions[~near]
    if not len(positions):
        doubt = Doubt(
            "a reconstruction from these images shows no atom",
            "check the views, or give atoms to start from (--start)",
        )
        try:
            settle([doubt], options.insist)
        except InputError as error:
            raise error.at(ready.stack.path or "images") from None
        return Start(np.zeros((0, 3)), np.zeros(0, int), np.zeros(0, bool), np.zeros(0, int))
    log.info("start: %d bright maxima of a filtered back-projection", len(positions))
    numbers = np.full(len(positions), ready.element.number)
    return with_surroundings(positions, numbers, np.arange(1, len(positions) + 1), ready, options)


def require_start(ready: PreparedSeries, options: TiltOptions) -> None:
    """Find out before JAX is imported whether there is something to start from.

    **Raises:** `InputError` if the start, the map or the surroundings cannot be read, or if the start has
        nothing to do with the images.
    """
    require_surroundings(ready, options)
    if options.start is not None:
        ready = centred_on_start(ready, options.start)
        judged(start_from_file(options.start, ready, options), ready, options, told=False)
    if options.start is None and options.map is None:
        require_centres_in_images(ready.series)
    if options.map is not None:
        symbols = [one.symbol for one in ready.elements]
        grid = prepare(options.map, symbols, BuildOptions(insist=options.insist)).density.grid
        # The origin may be the centre, and so may any point of the box.
        farthest = np.maximum(np.abs(grid.origin), np.abs(grid.origin + grid.extent))
        lengths = (farthest, grid.extent, ready.series.centre)
        require_centres_in_images(ready.series, sum(float(np.linalg.norm(one)) for one in lengths))


def require_surroundings(ready: PreparedSeries, options: TiltOptions) -> None:
    """**Raises:** `InputError` if atoms around cannot be read, or are of an element that was not given."""
    if options.surroundings is not None:
        path = options.surroundings
        numbers_of(read_model(Path(path), "surroundings"), path, ready)


def with_surroundings(
    positions: Float[np.ndarray, "n 3"],
    numbers: Int[np.ndarray, " n"],
    ids: Int[np.ndarray, " n"],
    ready: PreparedSeries,
    options: TiltOptions,
    errors: Float[np.ndarray, "n 3"] | None = None,
) -> Start:
    """Atoms to start from, and those around them that do not move.

    Atoms of the surroundings that are at the place of one to start from, or in no image, are left out.

    **Raises:** `InputError` if atoms are in no image.
    """
    series, known = ready.series, None
    if options.known_positions is not None:
        known = np.full(positions.shape, options.known_positions)
    elif errors is not None:
        known = errors
    in_views = shown_in_views(positions, series, _MARGIN)
    outside = ~in_views.any(axis=0)
    if outside.any():
        raise InputError(
            f"{int(outside.sum())} of {len(positions)} atoms are in no image",
            why_outside(series, positions, ready.element.neighbour_distance),
            options.start or options.map,
        )
    require_atoms_in_views(in_views, series)
    if options.surroundings is None:
        return Start(positions, numbers, np.zeros(len(positions), bool), ids, known)
    around = read_model(Path(options.surroundings), "surroundings")
    apart = (
        cKDTree(positions).query(around.positions)[0]
        > LIMITS.surroundings_same * ready.element.neighbour_distance
    )
    if not apart.any():
        raise InputError(
            f"all {len(around)} atoms of the surroundings are those of the start",
            "give those around them, or leave --surroundings out",
            "--surroundings",
        )
    kept = apart & shown(around.positions, series, _MARGIN)
    note = (
        f"surroundings: {int(kept.sum())} of {len(around)} atoms ({int(np.sum(~apart))} are those of the "
        f"start, {int(np.sum(apart & ~kept))} in no image)"
    )
    return Start(
        np.concatenate([positions, around.positions[kept]]),
        np.concatenate([numbers, numbers_of(around, options.surroundings, ready)[kept]]),
        np.arange(len(positions) + int(kept.sum())) >= len(positions),
        ids,
        None if known is None else np.concatenate([known, np.full((int(kept.sum()), 3), np.inf)]),
        (note,),
    )


def numbers_of(model: Model, path: str | Path, ready: PreparedSeries) -> Int[np.ndarray, " n"]:
    """Atomic numbers of a model's atoms.

    **Raises:** `InputError` if one is of an element that was not given, or of none where there are several.
    """
    known = {one.symbol: one.number for one in ready.elements}
    if len(known) == 1:
        # A model that does not know its elements.
        known[UNKNOWN] = ready.element.number
    for i, symbol in enumerate(model.symbols):
        if symbol in known:
            continue
        given = " or ".join(one.symbol for one in ready.elements)
        if symbol == UNKNOWN:
            raise InputError(
                f"the file does not say whether atom {model.ids[i]} is {given}",
                "name the element of each atom in it (a table: in a column 'element')",
                path,
            )
        raise InputError(
            f"atom {model.ids[i]} is {symbol}, not {given}",
            f"give all elements of the file with --element ({symbol} too), or leave such atoms out of it",
            path,
        )
    return np.array([known[symbol] for symbol in model.symbols])


def judged(
    start: Start, ready: PreparedSeries, options: TiltOptions, told: bool = True
) -> tuple[Agreement, list[str], tuple[Doubt, ...]]:
    """Whether images and start agree, what to warn of, and what a user has insisted on.

    **Arguments:**

    - `start`, `ready`: atoms and images.
    - `options`: what was asked for.
    - `told`: whether the log says how well they agree.

    **Raises:** `InputError`, if the user does not insist: if a model to start from agrees with the images
        only if something else was meant, if images are in another order than their views, or if there is no
        model and the images do not agree on atoms.
    """
    if not len(start.positions):
        return Agreement(float("nan"), None, reading=ready.reading), [], ()
    distance = ready.element.neighbour_distance
    found, doubts, warnings = start_doubts(ready.series, start.positions, distance, ready.reading)
    if told:
        log.info("the start and the images correlate by %.3f (identical round atoms)", found.correlation)
    given = options.start or options.map
    if given is None:
        # Places that the images show agree with them, whatever was meant.
        warnings = [*warnings, *settle(doubts, insist=True)]
        # It needs JAX.
        from atomfit.projection.existence import existence_in_images

        doubts = disagreeing_views(existence_in_images(ready.series, distance))
    if found.misread is None:
        doubts = [*order_doubts(ready.series, start.positions, distance), *doubts]
    try:
        warnings = [*warnings, *settle(doubts, options.insist)]
        return found, warnings, tuple(doubts) if options.insist else ()
    except InputError as error:
        raise error.at(given or ready.stack.path or "images") from None


def require_room(start: Start, ready: PreparedSeries, probe: ProbeKind, searching: bool) -> None:
    """Find out whether the machine has the memory for a fit; it is told, and about how long it takes.

    **Arguments:**

    - `start`, `ready`: atoms and images.
    - `probe`: through which they are seen.
    - `searching`: whether atoms are added and removed.

    **Raises:** `InputError` if it has not.
    """
    atoms, views = len(start.positions), len(ready.series)
    of_atom = _BYTES_SEARCHED if searching else _BYTES_PER_ATOM
    needed = BYTES_AT_LEAST + BYTES_PER_PIXEL * ready.series.images.size + of_atom * atoms
    each = _DIRECT if probe == "direct" else _THROUGH_PROBE
    compiling = _COMPILING
    if searching:
        each, compiling = each + _SEARCH, compiling + _COMPILING_SEARCH
    minutes = (compiling + each * atoms * views) / 60
    log.info(
        "%d atoms in %d views: about %.1f GB of memory and, on one core, %s",
        atoms,
        views,
        needed / 1e9,
        "a minute" if minutes < 1.5 else f"{minutes:.0f} minutes",
    )
    require_memory(needed, f"fitting {views} images", "crop or bin the images", ready.stack.path)
