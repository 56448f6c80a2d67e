"""Models and maps of one particle at many times, from files: read one after the other, and followed.

Files are read when their turn comes, and forgotten, so that hundreds need no more memory than what is
followed of them. Maps are built first, with default options; only then is JAX imported. What can be refused
is refused before a map is built.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.files.followed import write_followed
from atomfit.io.models import read_model
from atomfit.options.series import SeriesOptions
from atomfit.results.followed import ModelSeries
from atomfit.statistics.comparison import Model
from atomfit.statistics.followed_models import follow_models
from atomfit.support.errors import InputError
from atomfit.workflows.compare import is_map, model_of_map, names_of

log = logging.getLogger("atomfit")


class _Files:
    """Models as they lie on disk, each read when it is asked for; maps are built once."""

    def __init__(
        self, paths: list[Path], element: str | Sequence[str] | None, tell: Callable[[str], None]
    ) -> None:
        self.paths, self.names = paths, names_of(paths)
        self.tables: dict[str, dict[str, np.ndarray]] = {}
        self._element, self._tell = element, tell
        self._built: dict[str, Model] = {}

    def require(self) -> None:
        """**Raises:** `InputError` if an input is not there or, where maps are built, is no model."""
        maps = [path for path in self.paths if is_map(path)]
        for path in self.paths:
            if not path.exists():
                raise InputError("there is no such file", "check the name and the path", path)
        if maps and not self._element:
            raise InputError(
                "this is a map, whose atoms are yet to be found", "add --element, as Pt", maps[0]
            )
        if maps:
            for k, path in enumerate(self.paths):
                if not is_map(path):
                    self.read(k)

    def read(self, k: int) -> Model:
        """The model at a place.

        **Raises:** `InputError` if it cannot be read, or built.
        """
        path, name = self.paths[k], self.names[k]
        if not is_map(path):
            return read_model(path, name)
        if name not in self._built:
            self._tell(f"building {name} ({k + 1} of {len(self.paths)})")
            self._built[name], self.tables[name] = model_of_map(path, name, self._element)
        return self._built[name]


def follow_files(
    paths: list[Path],
    times: Float[np.ndarray, " t"],
    element: str | Sequence[str] | None,
    options: SeriesOptions,
    progress: Callable[[str], None],
) -> ModelSeries:
    """Follow the atoms of models in files.

    **Arguments:**

    - `paths`: of the models and maps, in the order of time.
    - `times`: of these.
    - `element`: of the atoms of maps.
    - `options`: of the series.
    - `progress`: is told how far it has come.

    **Raises:** `InputError` for what cannot be used.
    """
    files = _Files(paths, element, progress)
    files.require()

    def tell(k: int, model: Model) -> None:
        progress(f"following atoms: {k + 1} of {len(paths)} models")
        log.info("%s: %d atoms", model.name, len(model))

    followed = follow_models(files.read, times, options.move, tell)
    found = ModelSeries(tuple(paths), followed, files.tables, element, options, write_followed)
    log.info(found.verdict.describe())
    return found
