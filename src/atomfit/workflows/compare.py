"""`atomfit.compare`: models of one particle from files, compared, and the results as files.

Two models are compared with each other. Of a series each is compared with the first, which shows what has
become of the particle, and with the one before, which shows when. Maps are built first, with default
options; only then is JAX imported.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.files.compare import write_series
from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.models import ending_of, model_of_columns, read_model
from atomfit.optimisation.ended import Ended
from atomfit.options.compare import CompareOptions
from atomfit.options.declared import options_from
from atomfit.results.compare import ImageComparison, SeriesComparison
from atomfit.statistics.comparison import Comparison, Model
from atomfit.statistics.comparison import compare as compare_two
from atomfit.statistics.own_findings import OwnFinding
from atomfit.support.errors import INSIST, InputError
from atomfit.support.text import name_of_file
from atomfit.verdict.comparison_words import registered, warnings
from atomfit.workflows.compare_columns import compare_images, is_image, of_images

log = logging.getLogger("atomfit")
MAP_ENDINGS = (".mrc", ".map", ".ccp4", ".rec", ".npy")


def compare(
    inputs: Sequence[str | Path],
    *,
    element: str | Sequence[str] | None = None,
    options: CompareOptions | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **changes: Any,
) -> SeriesComparison | ImageComparison:
    """Compare two models of one particle, or a series, or the columns of two images of it.

    **Arguments:**

    - `inputs`: directories of `atomfit build`, tables, structure files or maps; or two directories of
        `atomfit columns`, their tables, or images.
    - `element`: of the atoms, if there are maps or images among them.
    - `options`: a `CompareOptions`; `changes`, further keyword arguments, replace single fields of it.
    - `checkpoint`: a file that keeps the fits of maps until the result is written.
    - `resume`: go on from what an interrupted run left in it.

    **Raises:** `InputError` for what cannot be used.
    """
    options = options_from(CompareOptions, options, changes, "compare")
    alone = isinstance(inputs, str | os.PathLike) or not isinstance(inputs, Iterable)
    given = [inputs] if alone else [*inputs]
    wrong = [one for one in given if not isinstance(one, str | os.PathLike)]
    if wrong:
        raise InputError(
            f"a {type(wrong[0]).__name__} is no model that can be compared",
            "give files, or directories of results",
            "atomfit compare",
        )
    if len(given) < 2:
        raise InputError(f"{len(given)} model cannot be compared", "give two or more", "atomfit compare")
    paths = [Path(one) for one in given if isinstance(one, str | os.PathLike)]
    flat = of_images(paths)
    maps = tuple(path for path in paths if (is_image(path) if flat else is_map(path)))
    if options.mirror and not flat:
        raise InputError("models are never turned over", "leave it out", "--mirror")
    if element is not None and not maps:
        raise InputError(
            f"no {'image is among these tables' if flat else 'map is among these models'}, whose atoms an "
            "element would be of",
            "leave it out",
            "--element",
        )
    if options.library is not None and not (flat and maps):
        raise InputError(
            "no image is among these, whose atoms a library would count", "leave it out", "--library"
        )
    kept = Checkpoint(checkpoint, lambda: Job.of("compare", element, None, {"maps": maps}), resume)
    with kept.running():
        if flat:
            return replace(compare_images(paths, names_of(paths), element, options), checkpoint=kept)
        return replace(_compared(paths, element, options), checkpoint=kept)


def _compared(
    paths: list[Path], element: str | Sequence[str] | None, options: CompareOptions
) -> SeriesComparison:
    names = names_of(paths)
    tables: dict[str, dict[str, np.ndarray]] = {}
    # A model that cannot be read is told before a map is built.
    read = {
        name: read_model(path, name) for path, name in zip(paths, names, strict=True) if not is_map(path)
    }
    for path, name in zip(paths, names, strict=True):
        if name not in read:
            read[name], tables[name] = model_of_map(path, name, element)
    models = [read[name] for name in names]

    def two(i: int, j: int) -> Comparison:
        try:
            found = compare_two(
                models[i],
                models[j],
                distance=options.distance,
                fdr=options.fdr,
                calibrate=options.calibrate,
                move=options.move,
            )
        except InputError as error:
            raise error.at(f"{paths[i]} and {paths[j]}") from None
        _say(found)
        return found

    last = len(models) - 1
    with_first = [two(0, k) for k in range(1, last + 1)]
    with_last = [with_first[0], *(two(k - 1, k) for k in range(2, last + 1))]
    found = SeriesComparison(
        tuple(paths),
        tuple(models),
        (*with_first, *with_last[1:]),
        tuple(with_last),
        tables,
        element,
        options.distance,
        options.fdr,
        options.calibrate,
        options.move,
        write_series,
    )
    log.info(found.verdict.describe())
    return found


def names_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """What each input is called: its own name, or that of its directory; numbered if there are two."""
    names: list[str] = []
    for path in paths:
        whole = path.absolute()
        if os.path.isdir(path):
            name = whole.name
        elif whole.name in ("atoms.csv", "columns.csv"):
            name = whole.parent.name
        else:
            name = Path(whole.name.removesuffix(".gz").removesuffix(".bz2")).stem
        # Files are named by it.
        name = name_of_file(name) or "model"
        count = sum(other == name or other.startswith(f"{name}_no") for other in names)
        names.append(f"{name}_no{count + 1}" if count else name)
    return tuple(names)


def is_map(path: Path) -> bool:
    """Whether an input is a map, by its name."""
    ending = ending_of(path)
    # What is packed and says no more of itself is a map, as it is to the other commands.
    return not os.path.isdir(path) and (ending in MAP_ENDINGS or (not ending and path.suffix != ""))


def model_of_map(
    path: Path, name: str, element: str | Sequence[str] | None
) -> tuple[Model, dict[str, np.ndarray]]:
    """A model of a map, built with default options, and the columns of its `atoms.csv`.

    **Raises:** `InputError` if it cannot be built.
    """
    if not element:
        raise InputError("this is a map, whose atoms are yet to be found", "add --element, as Pt", path)
    from atomfit.files.columns import table
    from atomfit.workflows.build import build

    try:
        built = build(path, element)
    except InputError as error:
        # Here are no options of builds.
        other = "if it is right, build it (atomfit build --insist), and compare the result"
        raise InputError(error.problem, error.remedy.replace(INSIST, other), error.where) from None
    if built.reason == Ended.INTERRUPTED:
        raise KeyboardInterrupt
    columns = table(built)
    if not len(columns["x"]):
        raise InputError("no atom was found in this map", "see atomfit check", path)
    own = tuple(OwnFinding(one.level, one.problem) for one in built.verdict.findings)
    return replace(model_of_columns(name, columns), own_findings=own), columns


def _say(c: Comparison) -> None:
    log.info("%s on %s: %s", c.b.name, c.a.name, registered(c))
    for warning in warnings(c):
        log.warning("%s and %s: %s", c.a.name, c.b.name, warning)
