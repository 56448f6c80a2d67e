"""Which files a result consists of: those that a command will write, and those that one has written.

What a directory holds of an earlier result is known from that result itself: its record lists its files.
Nothing else is ever replaced or removed. Results older than the lists have the names that they always had.
"""

import json
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from atomfit.io.viewer import can_be_named

#: Files with the record of a result, of which each has one.
RECORDS = ("run.json", "compare.json", "simulation.json")
FIGURES = ("figures/*.png", "figures/*.pdf")

_MODEL = (
    *("report.html", "atoms.csv", "rejected.csv", "atoms.cif", "atoms_core.cif", "atoms.pdb", "atoms.xyz"),
    *("particle.json", "summary.json", "run.json"),
)
#: What `build` writes, and what it may.
BUILD = (*_MODEL, "depth.csv", "model.mrc", "residual.mrc", "labels.mrc", "binary.mrc", "view.cxc")
MAP_COPY = "map.mrc"
TILT = (*_MODEL, "model_images.mrc", "residual_images.mrc", "views_refined.csv", "views.svg", "probe.csv")
#: What `columns` writes.
COLUMNS = (
    "report.html",
    *("columns.csv", "rejected.csv", "columns.xyz", "columns_atomap.csv", "columns_statstem.csv"),
    *("counts.csv", "count_probabilities.csv"),
    *("model3d.csv", "model3d.cif", "model3d.xyz", "ensemble.xyz"),
    *("model.mrc", "residual.mrc", "background.mrc", "columns.svg"),
    *("particle.json", "summary.json", "run.json"),
)
#: What `heights` writes, and what it may.
HEIGHTS = (
    *("report.html", "heights.csv", "columns.csv", "frames.csv", "conditions.csv", "imaging.csv"),
    *(
        "particle.xyz",
        "particle.cif",
        "heights.svg",
        "model.mrc",
        "residual.mrc",
        "mean.mrc",
        "summary.json",
        "run.json",
    ),
)
#: What `series` writes, besides tables of maps that were built.
FOLLOWED = (
    *("series.html", "series.json", "series.csv", "trends.csv", "events.csv", "trajectory.xyz"),
    "run.json",
)
#: And of a movie.
MOVIE = ("columns.csv", "frames.csv", "averages.mrc")
SIMULATION = ("map.mrc", "truth.csv", "simulation.json")
#: And, with a tilt series.
SERIES = ("images.mrc", "views.csv", "angles.tlt", "truth_views.csv")
HRTEM_SIMULATION = ("image.*", "truth_columns.csv", "simulation.json")
IMAGE_SIMULATION = ("image.*", "truth_columns.csv", "truth_frames.csv", "simulation.json")
_COMPARISON = ("compare.csv", "compare.json", "compare.html", "a.xyz", "b.xyz", "series.csv")
#: And of two images.
_DIFFERENCE = ("difference.mrc", "difference_in_noise.mrc")
#: Names that results had before their records listed them.
_OF_OLD = {
    "run.json": (*BUILD, MAP_COPY, *TILT, *FIGURES),
    "compare.json": (*_COMPARISON, *FIGURES),
    "simulation.json": (*SIMULATION, *SERIES),
}


def build_files(source: Path, changed: bool, figures: bool) -> tuple[str, ...]:
    """What `build` may write.

    **Arguments:** see `is_copied`, and

    - `figures`: whether figures are drawn.
    """
    copy = (MAP_COPY,) if is_copied(source, changed) else ()
    return (*BUILD, *copy, *(FIGURES if figures else ()))


def columns_files(figures: bool) -> tuple[str, ...]:
    """What `columns` may write, with figures or without."""
    return (*COLUMNS, *(FIGURES if figures else ()))


def heights_files(figures: bool) -> tuple[str, ...]:
    """What `heights` may write, with figures or without."""
    return (*HEIGHTS, *(FIGURES if figures else ()))


def is_copied(source: Path | None, changed: bool) -> bool:
    """Whether a result holds a copy of its map, because viewers would see something else, or nothing.

    **Arguments:**

    - `source`: the map's file, if there is one.
    - `changed`: whether another map was fitted than the file has.
    """
    if source is None or changed or not can_be_named(source.absolute().as_posix()):
        return True
    return not source.name.lower().endswith((".mrc", ".map", ".mrc.gz", ".ccp4"))


def comparison_files(names: tuple[str, ...]) -> tuple[str, ...]:
    """What `compare` may write of models with these names."""
    tables = tuple(f"{name}_{kind}.csv" for name in names for kind in ("atoms", "columns"))
    if len(names) == 2:
        return (*_COMPARISON[:-1], *_DIFFERENCE, *tables)
    pairs = [*((names[0], name) for name in names[1:]), *pairwise(names[1:])]
    return (
        *("compare.json", "compare.html", "series.csv"),
        *tables,
        *(f"{name}.xyz" for name in names),
        *(f"compare_{a}_{b}.{ending}" for a, b in pairs for ending in ("csv", "html")),
    )


def followed_files(names: tuple[str, ...]) -> tuple[str, ...]:
    """What `series` may write of inputs with these names."""
    return (*FOLLOWED, *MOVIE, *(f"{name}_atoms.csv" for name in names))


def files_of_result(directory: Path) -> set[str]:
    """Files of earlier results in a directory, relative to it; none if it holds no result of ours."""
    found: set[str] = set()
    for name in RECORDS:
        path = directory / name
        try:
            record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and _is_ours(record):
            listed = record.get("files")
            if not isinstance(listed, list):
                listed = matching(directory, _OF_OLD[name])
            found |= {str(file) for file in listed if _is_within(str(file))} | {name}
    return {name for name in found if _is_file(directory, name)}


def matching(directory: Path, patterns: tuple[str, ...]) -> set[str]:
    """What is in a directory under such names, directories included."""
    places = [path for path in directory.glob("*") if path.name != "figures"]
    places += list((directory / "figures").glob("*"))
    names = {path.relative_to(directory).as_posix() for path in places}
    return {
        name for name in names if any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
    }


def _is_ours(record: dict[str, Any]) -> bool:
    run = record.get("run")
    told = [record, record.get("versions"), run.get("versions") if isinstance(run, dict) else None]
    return any(isinstance(of, dict) and "atomfit" in of for of in told)


def _is_within(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _is_file(directory: Path, name: str) -> bool:
    """Whether it is a file, or a link, of the directory itself: not of another one that a link leads to."""
    path = directory / name
    linked = any(parent.is_symlink() for parent in path.parents if directory in parent.parents)
    return not linked and (path.is_symlink() or path.is_file())
