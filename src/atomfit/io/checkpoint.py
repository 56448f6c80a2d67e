"""What an interrupted fit needs to go on, in one file beside the output.

Two things of a run are expensive: where the atoms are, and how far the fit has come. Both are kept, from
the moment the fit begins, at most every half minute, and whenever it is interrupted. Everything else (the
baseline, the noise, the windows) follows from them in seconds and is computed again.

A checkpoint belongs to one map and one set of options, and is refused for any other, or the result would be
of neither. Only how the minimum is looked for may change: it is the same minimum. The file is written
under another name and moved into place, so that it is never half written; a disk that fills up costs the
checkpoint, not the fit.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.detection.detect import Detection, denoised_for
from atomfit.detection.mean_atom import MeanAtom
from atomfit.detection.threshold import ThresholdSearch, ThresholdTrial
from atomfit.detection.validation import Rejected
from atomfit.elements import Element
from atomfit.errors import InputError
from atomfit.fitting.parameters import Free
from atomfit.fitting.refinement import FitState
from atomfit.grid import DensityMap
from atomfit.io.outputs import require_checkpoint
from atomfit.options import BuildOptions

log = logging.getLogger("atomfit")

#: Least time between two writings (s).
EVERY = 30.0
#: Options that may change when a fit goes on.
_OF_THE_WAY = ("optimizer", "max_iterations")
_FREE = "free."


@dataclass(frozen=True, eq=False)
class Interrupted:
    """What a checkpoint holds.

    **Fields:**

    - `detection`: the atoms that were found.
    - `state`: how far their fit has come; None if it had only begun.
    """

    detection: Detection
    state: FitState | None


class Checkpoint:
    """The checkpoint of one map and one set of options.

    **Arguments:**

    - `path`: the file; without it nothing is kept.
    - `density`, `element`, `options`: what it belongs to.
    """

    def __init__(
        self, path: Path | None, density: DensityMap, element: Element, options: BuildOptions
    ) -> None:
        self._path, self._density, self._element = path, density, element
        self._options = _comparable(element, options)
        self._content: dict[str, Any] = {}
        self._written = -np.inf

    def load(self) -> Interrupted:
        """What was kept.

        **Raises:** `InputError` if there is no checkpoint, if it is damaged, or if it belongs to something
        else.
        """
        if self._path is None:
            raise InputError("there is no checkpoint to resume from", "name its file", "checkpoint")
        require_checkpoint(self._path)
        try:
            with open(self._path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                content = {name: stored[name] for name in stored.files}
            about = json.loads(str(content.pop("about")))
            options, digest = about["options"], about["map"]
            interrupted = Interrupted(
                _detection(content, about, self._density, self._element), _state(content)
            )
        except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile, zlib.error):
            raise InputError(
                "the checkpoint is damaged", "delete it and start without --resume", self._path
            ) from None
        for name in sorted(options.keys() | self._options.keys()):
            before, now = (of.get(name) for of in (options, self._options))
            if before != now:
                raise InputError(
                    f"the checkpoint was made with {name} {before}, not {now}",
                    "give what it was made with, or start without --resume",
                    self._path,
                )
        if digest != _digest(self._density):
            raise InputError(
                "the checkpoint was made of another map",
                "give the map that it was made of, or start without --resume",
                self._path,
            )
        return interrupted

    @contextlib.contextmanager
    def kept(self, detection: Detection, state: FitState | None) -> Iterator[None]:
        """A block in which the atoms, and what `keep` is told, outlive whatever ends it early."""
        if self._path is None:
            yield
            return
        about = {"options": self._options, "map": _digest(self._density), **_numbers(detection)}
        self._content = {"about": json.dumps(about), **_arrays(detection)}
        self._update(state)
        self._write()
        try:
            yield
        except BaseException:
            self._write()
            raise

    def keep(self, state: FitState) -> None:
        """Note how far a fit has come; written if that was not done for a while."""
        self._update(state)
        if time.monotonic() - self._written > EVERY:
            self._write()

    def end(self, state: FitState, converged: bool) -> None:
        """Leave what can still be gone on with, or nothing."""
        if self._path is None:
            return
        if converged:
            with contextlib.suppress(OSError):
                self._path.unlink()
        else:
            self._update(state)
            self._write()

    def _update(self, state: FitState | None) -> None:
        if state is not None:
            self._content |= {f"{_FREE}{name}": number for name, number in state.free.items()}
            self._content["history"] = state.history

    def _write(self) -> None:
        if self._path is None:
            return
        self._written = time.monotonic()
        part = self._path.with_name(f".{self._path.name}-{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(part, "wb") as file:
                arrays: Any = {name: np.asarray(x) for name, x in self._content.items()}
                np.savez(file, **arrays)
            os.replace(part, self._path)
        except OSError as error:
            log.warning("%s: the checkpoint cannot be written (%s)", self._path, error.strerror)
            with contextlib.suppress(OSError):
                part.unlink()


def _comparable(element: Element, options: BuildOptions) -> dict[str, Any]:
    chosen = {name: value for name, value in asdict(options).items() if name not in _OF_THE_WAY}
    told = {
        "version": version("atomfit"),
        "element": element.symbol,
        "element_distance": element.neighbour_distance,
        **chosen,
    }
    return json.loads(json.dumps(told, default=str))


def _digest(density: DensityMap) -> str:
    """Of a map's values and of where they are."""
    digest = hashlib.sha256(np.ascontiguousarray(density.values).tobytes())
    for part in (density.grid.shape, density.grid.spacing, density.grid.origin):
        digest.update(np.asarray(part, np.float64).tobytes())
    return digest.hexdigest()


def _numbers(detection: Detection) -> dict[str, Any]:
    mean, search = detection.mean_atom, detection.search
    return {
        "mean_atom": [mean.height, mean.u, mean.background, mean.count],
        "floor": detection.floor,
        "best": None if search is None else search.trials.index(search.best),
        "trials": [] if search is None else [asdict(trial) for trial in search.trials],
        "reasons": detection.rejected.reasons,
    }


def _arrays(detection: Detection) -> dict[str, np.ndarray]:
    return {
        "positions": detection.positions,
        "correlations": detection.correlations,
        "matrix": detection.mean_atom.matrix,
        "rejected": detection.rejected.positions,
    }


def _detection(
    content: dict[str, np.ndarray], about: dict[str, Any], density: DensityMap, element: Element
) -> Detection:
    height, u, background, count = about["mean_atom"]
    mean = MeanAtom(height, u, background, content["matrix"], count)
    trials = tuple(ThresholdTrial(**trial) for trial in about["trials"])
    return Detection(
        content["positions"],
        content["correlations"],
        mean,
        denoised_for(density, mean, element),
        None if about["best"] is None else ThresholdSearch(trials[about["best"]], trials),
        about["floor"],
        Rejected(content["rejected"], tuple(about["reasons"])),
    )


def _state(content: dict[str, np.ndarray]) -> FitState | None:
    if "history" not in content:
        return None
    free: Free = {name.removeprefix(_FREE): x for name, x in content.items() if name.startswith(_FREE)}
    return FitState(free, content["history"])
