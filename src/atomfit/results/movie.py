"""What `series` finds in a movie: every intermediate object, from the frames to the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.io.checkpoint import Checkpoint
from atomfit.io.movies import Movie
from atomfit.options.movie import MovieOptions
from atomfit.results.columns import ColumnsResult
from atomfit.statistics.column_events import KINDS, ColumnEvent
from atomfit.statistics.column_tracks import Tracks
from atomfit.statistics.count_history import CountHistory
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.statistics.running_average import AverageWindow
from atomfit.structure.elements import Element
from atomfit.verdict.findings import Verdict


@dataclass(frozen=True, eq=False)
class FramesSeen:
    """How the frames lie, and what they are like.

    **Fields:**

    - `lays`: each takes positions of its frame to the reference's.
    - `lay_esds`: standard uncertainties of the frame's shift (x, y; Å), rotation (radians), magnification
        and distortion (two components), among the frames; NaN where they are not told.
    - `used`: frames that show the specimen; of the others nothing is known.
    - `brightness`, `levels`: beside the reference's; levels in image units.
    - `misfits`: mean square of what is left of each frame, in noise's variance.
    - `flicker`: standard deviation of the brightness, beyond noise.
    """

    lays: tuple[PlaneMap, ...]
    lay_esds: Float[np.ndarray, "t 6"]
    used: Bool[np.ndarray, " t"]
    brightness: Float[np.ndarray, " t"]
    levels: Float[np.ndarray, " t"]
    misfits: Float[np.ndarray, " t"]
    flicker: float


@dataclass(frozen=True, eq=False)
class MovieResult:
    """Columns of a movie, followed.

    **Fields:**

    - `source`: the movie, with notes on how it was read.
    - `elements`, `options`: what was asked for.
    - `times`: of the frames, in any unit; their numbers from 0 if nothing is known.
    - `reference`: columns of the mean of all frames.
    - `frames`: how they lie.
    - `passing`: which of the columns were found in a part of the frames only.
    - `sites`: that positions are counted from (Å, in the frame of the mean).
    - `tracks`: where columns are at each time, given all frames.
    - `cross_sections`, `cross_section_esds`: of each frame alone (image units x Å²).
    - `history`: atoms of columns; None if they were not counted, and `uncounted` says why.
    - `events`: what happened.
    - `window`: how many frames may be averaged.
    - `verdict`, `warnings`: what is to be thought of it.
    - `seconds`: wall time of each stage.
    - `writer`: what makes the files.
    - `checkpoint`: what goes when they are written.
    """

    source: Movie
    elements: tuple[Element, ...]
    options: MovieOptions
    times: Float[np.ndarray, " t"]
    reference: ColumnsResult
    frames: FramesSeen
    passing: Bool[np.ndarray, " n"]
    sites: Float[np.ndarray, "n 2"]
    tracks: Tracks
    cross_sections: Float[np.ndarray, "t n"]
    cross_section_esds: Float[np.ndarray, "t n"]
    history: CountHistory
    uncounted: str
    events: tuple[ColumnEvent, ...]
    window: AverageWindow
    verdict: Verdict
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    writer: Callable[["MovieResult", Path, bool], Path]
    checkpoint: Checkpoint | None = None

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.sites)

    @property
    def symbol(self) -> str:
        """Chemical symbol of the columns; X where it is not known, or one of several."""
        return self.elements[0].symbol if len(self.elements) == 1 else "X"

    @property
    def happened(self) -> dict[str, int]:
        """How many events of each kind are called."""
        return {kind: sum(one.called and one.kind == kind for one in self.events) for kind in KINDS}

    def lines(self) -> list[str]:
        """What was found, in sentences without their ends."""
        used = self.frames.used
        told = [
            f"{int(used.sum())} of {len(used)} frames, {len(self)} columns, {int(self.passing.sum())} of "
            "them for a while only"
        ]
        if not self.uncounted:
            totals, esds = self.history.totals
            told.append(
                f"atoms: {totals[0]:.1f} ± {esds[0]:.1f} in the first frame, "
                f"{totals[-1]:.1f} ± {esds[-1]:.1f} in the last"
            )
        told.append("events: " + ", ".join(f"{number} {kind}" for kind, number in self.happened.items()))
        return told

    @property
    def positions(self) -> Float[np.ndarray, "t n 2"]:
        """Of columns at each time, in the frame of the mean (Å)."""
        return self.sites + self.tracks.offsets

    @property
    def present(self) -> Float[np.ndarray, "t n"]:
        """Probability that there is a column."""
        return self.history.present

    @property
    def counts(self) -> Int[np.ndarray, "t n"] | None:
        """The likeliest numbers of atoms; None if they were not counted."""
        return None if self.uncounted else self.history.most_likely

    def write(self, directory: str | Path, overwrite: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false.
        """
        written = self.writer(self, Path(directory), overwrite)
        if self.checkpoint is not None:
            self.checkpoint.remove()
        return written
