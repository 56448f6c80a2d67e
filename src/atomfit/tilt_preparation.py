"""From files to a tilt series and atoms that can be fitted: read, judged, and told in words.

Whatever can be refused is refused here, in seconds and without JAX: images and views that do not belong
together, elements that the model does not have, atoms that no image shows. What was understood of the views
is said, and whether the model to start from agrees with them.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.spatial import cKDTree

from atomfit.elements import Element, elements_of, typical
from atomfit.errors import InputError
from atomfit.io.image_stacks import ImageStack, read_images, stack_of
from atomfit.io.models import read_model
from atomfit.io.views import ViewsFile, read_views
from atomfit.preparation import prepare
from atomfit.projection.agreement import Agreement, agreement, seen_at
from atomfit.projection.views import TiltSeries, Views
from atomfit.report.views import describe_views
from atomfit.statistics.comparison import Model
from atomfit.tilt_options import TiltOptions

log = logging.getLogger("atomfit")

Images = str | Path | Shaped[np.ndarray, "..."]

#: Atoms of the surroundings nearer than this to one of the start are taken to be it (neighbour distances).
_SAME = 0.5
#: How far outside of an image an atom still shows (Å).
_MARGIN = 3.0
#: Bytes of memory of a fit: of the program, of each pixel of all views, and of each atom (measured).
_BYTES_AT_LEAST, _BYTES_PER_PIXEL, _BYTES_PER_ATOM = 500e6, 40, 20e3
#: Most pixels around an atom that a fit draws, and what it draws in a second on one core (measured).
_WINDOW, _DRAWN_PER_SECOND = 17**2, 1.2e7
#: Images that a fit draws of each view.
_DRAWINGS = 1500


@dataclass(frozen=True, eq=False)
class Start:
    """Atoms to start from.

    **Fields:**

    - `positions`: in the specimen's frame (Å).
    - `numbers`: atomic numbers.
    - `frozen`: those that are drawn and do not move; they come last.
    - `ids`: of those that move, as in the file they are from.
    """

    positions: Float[np.ndarray, "n 3"]
    numbers: Int[np.ndarray, " n"]
    frozen: Bool[np.ndarray, " n"]
    ids: Int[np.ndarray, " m"]


@dataclass(frozen=True, eq=False)
class PreparedSeries:
    """A tilt series that is ready to be fitted.

    **Fields:**

    - `stack`: the images as they were read.
    - `views_file`: that the views are from; None if they were given as an object.
    - `series`: images and views.
    - `elements`, `element`: what its atoms are; what stands for all of them.
    - `notes`, `warnings`: what was understood, and what looks odd.
    """

    stack: ImageStack
    views_file: Path | None
    series: TiltSeries
    elements: tuple[Element, ...]
    element: Element
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def held_out(self, every: int | None) -> Bool[np.ndarray, " v"]:
        """One of so many views, in the middle of each group: its neighbours on both sides are fitted."""
        held = np.zeros(len(self.series), bool)
        if every is not None:
            held[every // 2 :: every] = True
        return held


def prepare_series(
    images: Images, views: str | Path | Views, element: str | Sequence[str], options: TiltOptions
) -> PreparedSeries:
    """Read images and views and judge them.

    **Arguments:**

    - `images`: a file, or an array [view, row, column].
    - `views`: a file, or views.
    - `element`: chemical symbol, or several.
    - `options`: of which those of images and views matter here.

    **Raises:** `InputError` if they cannot be fitted.
    """
    elements = elements_of(element)
    if isinstance(images, np.ndarray):
        stack = stack_of(images, options.pixel_size, options.mask_value)
    else:
        stack = read_images(images, options.pixel_size, options.mask_value)
    if isinstance(views, Views):
        found = ViewsFile(views, ["views: given as an object"], [])
    else:
        shape = stack.images.shape[1], stack.images.shape[2]
        found = read_views(views, shape, options.tilt_axis, options.convention, options.inverse_views)
    series = TiltSeries(
        stack.images, stack.counted, stack.pixel, found.views, np.array(options.centre, np.float64)
    )
    if options.held_out is not None and options.held_out > len(series):
        raise InputError(
            f"one of {options.held_out} views cannot be left out of {len(series)}",
            "give a smaller number",
            "--held-out",
        )
    negative = int(np.sum(stack.images[stack.counted] < 0))
    if options.likelihood == "poisson" and negative:
        raise InputError(
            f"{negative} pixels are below zero, which no counts are",
            "give counts (times a gain), or --likelihood gaussian",
            stack.path,
        )
    notes = (*stack.notes, *found.notes, describe_views(series))
    return PreparedSeries(
        stack,
        None if isinstance(views, Views) else Path(views),
        series,
        elements,
        typical(elements),
        notes,
        (*stack.warnings, *found.warnings),
    )


def start_from_file(path: str | Path, ready: PreparedSeries, options: TiltOptions) -> Start:
    """Atoms of a model's file.

    **Raises:** `InputError` if it is no model of these elements.
    """
    model = read_model(Path(path), "start")
    return with_surroundings(model.positions, numbers_of(model, path, ready), model.ids, ready, options)


def require_start(ready: PreparedSeries, options: TiltOptions) -> None:
    """Find out before JAX is imported whether there is something to start from.

    **Raises:** `InputError` if the start, the map or the surroundings cannot be read.
    """
    if options.start is not None:
        start_from_file(options.start, ready, options)
    if options.map is not None:
        prepare(options.map, [one.symbol for one in ready.elements])


def with_surroundings(
    positions: Float[np.ndarray, "n 3"],
    numbers: Int[np.ndarray, " n"],
    ids: Int[np.ndarray, " n"],
    ready: PreparedSeries,
    options: TiltOptions,
) -> Start:
    """Atoms to start from, and those around them that do not move.

    Atoms of the surroundings that are at the place of one to start from, or in no image, are left out.

    **Raises:** `InputError` if atoms are in no image.
    """
    series = ready.series
    outside = ~shown(positions, series, _MARGIN)
    if outside.any():
        raise InputError(
            f"{int(outside.sum())} of {len(positions)} atoms are in no image",
            "give the point that the views turn about with --centre, in Å, or leave these atoms out",
            options.start or options.map,
        )
    if options.surroundings is None:
        return Start(positions, numbers, np.zeros(len(positions), bool), ids)
    around = read_model(Path(options.surroundings), "surroundings")
    apart = cKDTree(positions).query(around.positions)[0] > _SAME * ready.element.neighbour_distance
    kept = apart & shown(around.positions, series, _MARGIN)
    log.info(
        "surroundings: %d of %d atoms (%d are those of the start, %d in no image)",
        int(kept.sum()),
        len(around),
        int(np.sum(~apart)),
        int(np.sum(apart & ~kept)),
    )
    return Start(
        np.concatenate([positions, around.positions[kept]]),
        np.concatenate([numbers, numbers_of(around, options.surroundings, ready)[kept]]),
        np.arange(len(positions) + int(kept.sum())) >= len(positions),
        ids,
    )


def numbers_of(model: Model, path: str | Path, ready: PreparedSeries) -> Int[np.ndarray, " n"]:
    """Atomic numbers of a model's atoms.

    **Raises:** `InputError` if one is of an element that was not given.
    """
    known = {one.symbol: one.number for one in ready.elements}
    if len(known) == 1:
        # A model that does not know its elements.
        known["X"] = ready.element.number
    symbols = [symbol.capitalize() for symbol in model.symbols]
    for i, symbol in enumerate(symbols):
        if symbol not in known:
            raise InputError(
                f"atom {model.ids[i]} is {symbol}, not {' or '.join(one.symbol for one in ready.elements)}",
                "give all elements of the model with --element",
                path,
            )
    return np.array([known[symbol] for symbol in symbols])


def shown(positions: Float[np.ndarray, "n 3"], series: TiltSeries, margin: float) -> Bool[np.ndarray, " n"]:
    """Atoms that at least one image shows, or would if it reached farther by a margin (Å)."""
    edge = margin / series.pixel
    size = np.array(series.shape[::-1]) - 1
    seen = np.zeros(len(positions), bool)
    for rotation, centre in zip(series.views.rotations, series.views.centres, strict=True):
        places = seen_at(positions - series.centre, rotation, centre, series.pixel)
        seen |= np.all((places >= -edge) & (places <= size + edge), axis=1)
    return seen


def judged(start: Start, ready: PreparedSeries) -> tuple[Agreement, list[str]]:
    """Whether images and start agree, and what to warn of."""
    found = agreement(ready.series, start.positions, ready.element.neighbour_distance)
    log.info("the start and the images correlate by %.3f (identical round atoms)", found.correlation)
    if found.better is None:
        return found, []
    words, correlation = found.better
    return found, [
        f"the start agrees with the images by a correlation of {found.correlation:.2f} only, and would by "
        f"{correlation:.2f} with {words}"
    ]


def require_memory(start: Start, ready: PreparedSeries) -> float:
    """Memory (bytes) that a fit will need; it is told, and about how long it takes.

    **Raises:** `InputError` if the machine has less.
    """
    atoms, views = len(start.positions), len(ready.series)
    needed = _BYTES_AT_LEAST + _BYTES_PER_PIXEL * ready.series.images.size + _BYTES_PER_ATOM * atoms
    minutes = atoms * views * _WINDOW * _DRAWINGS / _DRAWN_PER_SECOND / 60 / 100
    log.info(
        "%d atoms in %d views: about %.1f GB of memory and, on a processor, %s",
        atoms,
        views,
        needed / 1e9,
        "a minute or less" if minutes < 1 else f"{minutes:.0f} minutes",
    )
    try:
        present = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return needed
    if needed > present:
        raise InputError(
            f"fitting {views} images needs about {needed / 1e9:.1f} GB of memory, and this machine has "
            f"{present / 1e9:.1f} GB",
            "crop or bin the images",
            ready.stack.path,
        )
    return needed
