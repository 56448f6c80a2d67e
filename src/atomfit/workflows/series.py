"""`atomfit.series`: one particle at many times, and what of it changes, from files.

What inputs are decides what is done: models and maps are followed atom by atom
(`workflows.model_series`); a stack of images, or several images, are a movie.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from atomfit.io.checkpoint import Checkpoint, Job
from atomfit.io.image_columns import holds_columns
from atomfit.io.microscope_files import is_of_a_microscope
from atomfit.io.times import read_times
from atomfit.options.movie import MovieOptions
from atomfit.options.series import SeriesOptions
from atomfit.results.followed import ModelSeries
from atomfit.results.movie import MovieResult
from atomfit.support.errors import InputError
from atomfit.workflows.compare import is_map
from atomfit.workflows.compare_columns import is_image
from atomfit.workflows.model_series import follow_files

_WHERE = "atomfit series"


def series(
    inputs: Sequence[str | Path],
    *,
    element: str | Sequence[str] | None = None,
    times: str | Path | Sequence[float] | None = None,
    fdr: float = 0.05,
    move: bool = True,
    movie: MovieOptions | None = None,
    progress: Callable[[str], None] = lambda words: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> ModelSeries | MovieResult:
    """Follow one particle through many times, and test what changes.

    That is the atoms of models or maps, or the columns of a movie's frames.

    **Arguments:**

    - `inputs`: directories of `atomfit build`, tables, structure files or maps, in the order of time; or a
        file with a stack of frames, or images.
    - `element`: of the atoms, if there are maps or frames.
    - `times`: one for each input, rising: numbers, words with commas, or a file; 0, 1, 2, ... if not given.
    - `fdr`: rate of false ones among the atoms said to change, or events.
    - `movie`: what else is asked of a movie.
    - `move`: whether models are laid on each other; their frames are one if not.
    - `progress`: is told how far it has come.
    - `checkpoint`: a file that keeps the fits of maps until the result is written.
    - `resume`: go on from what an interrupted run left in it.

    **Raises:** `InputError` for what cannot be used.
    """
    options = SeriesOptions(fdr, move)
    paths = _paths(inputs)
    if _is_movie(paths):
        return _movie(paths, element, times, options, movie, progress, checkpoint, resume)
    if movie is not None and movie != MovieOptions():
        different = [name for name, value in vars(movie).items() if value != getattr(MovieOptions, name)]
        raise InputError(
            "this is for frames of a movie, and these are models or maps",
            "leave it out",
            f"--{different[0].replace('_', '-')}",
        )
    if len(paths) < 2:
        raise InputError("one model is no series", "give two or more, in the order of time", _WHERE)
    known = read_times(times, len(paths))
    maps = tuple(path for path in paths if is_map(path))
    if element is not None and not maps:
        raise InputError(
            "no map is among these models, whose atoms an element would be of", "leave it out", "--element"
        )
    kept = Checkpoint(checkpoint, lambda: Job.of("series", element, None, {"maps": maps}), resume)
    with kept.running():
        return replace(follow_files(paths, known, element, options, progress), checkpoint=kept)


def _movie(
    paths: list[Path],
    element: str | Sequence[str] | None,
    times: str | Path | Sequence[float] | None,
    options: SeriesOptions,
    movie: MovieOptions | None,
    progress: Callable[[str], None],
    checkpoint: str | Path | None,
    resume: bool,
) -> MovieResult:
    if not options.move:
        raise InputError("frames are always laid on each other", "leave it out", "--no-register")
    if any((path.is_dir() and holds_columns(path)) or path.suffix.lower() == ".csv" for path in paths):
        raise InputError(
            "columns of images are not followed by themselves: frames are fitted together",
            "give the images, or a stack of them",
            _WHERE,
        )
    # Imports JAX, which models do without.
    from atomfit.workflows.movie import movie as follow

    return follow(
        paths,
        element,
        replace(movie or MovieOptions(), fdr=options.fdr),
        times=times,
        progress=progress,
        checkpoint=checkpoint,
        resume=resume,
    )


def _paths(inputs: Sequence[str | Path]) -> list[Path]:
    alone = isinstance(inputs, str | os.PathLike) or not isinstance(inputs, Iterable)
    given = [inputs] if alone else [*inputs]
    wrong = [one for one in given if not isinstance(one, str | os.PathLike)]
    if wrong:
        raise InputError(
            f"a {type(wrong[0]).__name__} is no model of a series",
            "give files, or directories of results",
            _WHERE,
        )
    if not given:
        raise InputError("there is no input", "give two models or more, in the order of time", _WHERE)
    return [Path(one) for one in given if isinstance(one, str | os.PathLike)]


def _is_movie(paths: list[Path]) -> bool:
    """Whether inputs are images, or one stack of them.

    **Raises:** `InputError` if some are and others are not.
    """
    flat = [is_image(path) or holds_columns(path) for path in paths]
    if len(paths) == 1:
        return flat[0] or is_map(paths[0]) or is_of_a_microscope(paths[0])
    if any(flat) and not all(flat):
        here, there = paths[flat.index(True)], paths[flat.index(False)]
        raise InputError(
            f"{here} is an image, in two dimensions, and {there} is not", "give inputs of one kind", _WHERE
        )
    return all(flat)
