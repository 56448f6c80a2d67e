"""Columns of two images from files, compared: what `atomfit compare` does with results in two dimensions.

Inputs are results of `atomfit columns`, their tables, or images, whose columns are found first with default
options; only then is JAX imported.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atomfit.files.compare_columns import write_two_images
from atomfit.io.image_columns import KINDS, holds_columns, image_columns_of, read_image_columns
from atomfit.io.models import ending_of, read_model
from atomfit.io.mrc import is_numpy
from atomfit.io.source_images import source_image
from atomfit.io.text import read_text, table_rows
from atomfit.optimisation.ended import Ended
from atomfit.options.compare import CompareOptions
from atomfit.results.compare import ImageComparison
from atomfit.statistics.column_changes import ColumnComparison, compare_columns
from atomfit.statistics.image_columns_seen import ImageColumns
from atomfit.statistics.image_difference import ImageDifference, difference_of_images
from atomfit.statistics.registration import typical_spacing
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import INSIST, InputError
from atomfit.verdict.of_column_comparison import laid, warnings_of_columns

log = logging.getLogger("atomfit")
#: Width of columns of which none is known, in distances of neighbours.
_WIDTH = 0.2
_PICTURES = (".tif", ".tiff", ".png", ".dm3", ".dm4", ".emd", ".ser")
_MRC = (".mrc", ".map", ".ccp4", ".rec")
#: Of those of `columns` that are here, too.
_OPTIONS = {"--library", "--library-error", "--element"}
#: Where the header of an MRC file has the number of its sections.
_SECTIONS = slice(8, 12)


def of_images(paths: Sequence[Path]) -> bool:
    """Whether inputs are of images.

    **Raises:** `InputError` if some are and others are not, or if they are more than two.
    """
    flat = [holds_columns(path) or is_image(path) for path in paths]
    if not any(flat):
        return False
    if not all(flat):
        here, there = paths[flat.index(True)], paths[flat.index(False)]
        _readable(there)
        raise InputError(
            f"{here} is of an image, in two dimensions, and {there} is a model in three",
            "give two of one kind",
            "atomfit compare",
        )
    if len(paths) > 2:
        raise InputError(
            f"{len(paths)} images cannot be compared at once", "give two of them", "atomfit compare"
        )
    return True


def _readable(path: Path) -> None:
    """Refuse what is no model either by what is wrong with it.

    **Raises:** `InputError` if it cannot be read.
    """
    if ending_of(path) in _MRC or ending_of(path) == ".npy":
        if not path.exists():
            raise InputError("there is no such file", "give an image, or its columns", path)
        return
    if ending_of(path) == ".csv" and path.is_file():
        # Of a table that has no z the columns of an image are lacking.
        titles = {title.lower() for title in table_rows(path, read_text(path, KINDS), KINDS)[0]}
        if "z" not in titles:
            read_image_columns(path, path.name)
    read_model(path, path.name)


def is_image(path: Path) -> bool:
    """Whether a file is an image: its kind, or that it has one section."""
    ending = ending_of(path)
    if ending in _PICTURES:
        return True
    if not path.is_file():
        return False
    try:
        if is_numpy(path):
            return np.load(path, mmap_mode="r").ndim == 2
        if ending in _MRC and path.name.lower().endswith(ending):
            with open(path, "rb") as file:
                sections = file.read(12)[_SECTIONS]
            return sections in (b"\x01\x00\x00\x00", b"\x00\x00\x00\x01")
    except (OSError, ValueError):
        # What cannot be read is refused where it is read.
        pass
    return False


def compare_images(
    paths: list[Path],
    names: tuple[str, ...],
    element: str | Sequence[str] | None,
    options: CompareOptions,
) -> ImageComparison:
    """Compare the columns of two images.

    **Arguments:**

    - `paths`, `names`: of both.
    - `element`: of the atoms of those that are images.
    - `options`: of the comparison.

    **Raises:** `InputError` for what cannot be used.
    """
    tables: dict[str, dict[str, np.ndarray]] = {}
    images: dict[str, tuple[DensityMap | None, str]] = {}
    # A table that cannot be read is told before columns are looked for.
    read = {
        name: read_image_columns(path, name)
        for path, name in zip(paths, names, strict=True)
        if holds_columns(path)
    }
    for path, name in zip(paths, names, strict=True):
        if name in read:
            images[name] = source_image(path)
        else:
            read[name], tables[name], image = _found(path, name, element, options)
            images[name] = image, ""
    a, b = (read[name] for name in names)
    try:
        c = compare_columns(
            a,
            b,
            distance=options.distance,
            fdr=options.fdr,
            calibrate=options.calibrate,
            move=options.move,
            mirror=options.mirror,
        )
    except InputError as error:
        raise error.at(f"{paths[0]} and {paths[1]}") from None
    log.info("%s on %s: %s", c.b.name, c.a.name, laid(c))
    for warning in warnings_of_columns(c):
        log.warning("%s and %s: %s", c.a.name, c.b.name, warning)
    difference = _difference(c, images)
    found = ImageComparison(tuple(paths), c, tables, element, options, write_two_images, *difference)
    log.info(found.verdict.describe())
    return found


def _difference(
    c: ColumnComparison, images: dict[str, tuple[DensityMap | None, str]]
) -> tuple[ImageDifference | None, str]:
    """The images' difference, or why it is not known."""
    (a, b), why = [image for image, _ in images.values()], [told for _, told in images.values() if told]
    if a is None or b is None:
        return None, "; ".join(why)
    widths = c.a.widths[c.a.widths > 0]
    width = float(np.median(widths)) if len(widths) else _WIDTH * typical_spacing(c.a.positions)
    found = difference_of_images(a, b, c.registration.motion, c.paired.brightness.value, width)
    return found, "" if found is not None else "the images share hardly a pixel"


def _found(
    path: Path, name: str, element: str | Sequence[str] | None, options: CompareOptions
) -> tuple[ImageColumns, dict[str, np.ndarray], DensityMap]:
    """Columns of an image, their table, and the image."""
    from atomfit.files.image_columns import columns_table, particle, summary
    from atomfit.io.json_files import plain
    from atomfit.workflows.columns import columns

    try:
        result = columns(path, element, library=options.library, library_error=options.library_error)
    except InputError as error:
        # Here are few options of images.
        other = "find its columns (atomfit columns), and compare the result"
        unknown = set(re.findall("--[a-z-]+", error.remedy)) - _OPTIONS
        remedy = other if unknown or INSIST in error.remedy else error.remedy
        raise InputError(error.problem, remedy, error.where) from None
    if result.reason == Ended.INTERRUPTED:
        raise KeyboardInterrupt
    if not len(result):
        raise InputError("no column was found in this image", "see atomfit columns", path)
    table, counts = columns_table(result), result.counts
    of_counts = None
    if counts is not None:
        values = np.full((len(result), counts.probabilities.shape[1]), np.nan)
        values[result.statistics.counted] = counts.probabilities
        # In image units, as cross-sections are.
        of_counts = values, np.asarray(counts.law, np.float64)
    records = plain(summary(result)), plain(particle(result, table))
    return image_columns_of(name, table, of_counts, *records), table, result.source.image
