"""What `series` finds of models: their atoms, followed in time."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atomfit.io.checkpoint import Checkpoint
from atomfit.options.series import SeriesOptions
from atomfit.statistics.followed_models import FollowedModels
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_followed import judge_followed


@dataclass(frozen=True, eq=False)
class ModelSeries:
    """Models of one particle, followed in time.

    **Fields:**

    - `inputs`: as they were given.
    - `followed`: atoms, what became of them, and trends.
    - `tables`: of models that were built from maps, the columns of their `atoms.csv` by name.
    - `element`, `options`: what was asked for.
    - `writer`: what makes the files.
    - `checkpoint`: what goes when they are written.
    """

    inputs: tuple[Path, ...]
    followed: FollowedModels
    tables: dict[str, dict[str, np.ndarray]]
    element: str | Sequence[str] | None
    options: SeriesOptions
    writer: Callable[["ModelSeries", Path, bool], Path]
    checkpoint: Checkpoint | None = None

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of it: are these models of one particle?"""
        return judge_followed(self.followed)

    @property
    def events(self) -> dict[str, int]:
        """How often what happened, of what is likelier than not."""
        return dict(Counter(one.kind for one in self.followed.tracked.events if not one.probability < 0.5))

    def lines(self) -> list[str]:
        """What was found, in sentences without their ends."""
        tracked, events = self.followed.tracked, self.events
        told = [
            f"{len(tracked.frames)} models, {int(self.followed.often.sum())} atoms followed through half "
            f"of them or more: {events.get('lost', 0)} lost, {events.get('gained', 0)} gained, "
            f"{events.get('moved', 0)} moved to another site"
        ]
        for name, trends in self.followed.trends.items():
            groups = "; ".join(
                f"{group}: z {line.z:+.1f}" if np.isfinite(line.z) else f"{group}: not known"
                for group, line in trends.groups.items()
            )
            told.append(
                f"{name}: {int(np.sum(trends.q < self.options.fdr))} atoms with a trend"
                f"{f' ({groups})' if groups else ''}"
            )
        return told

    def write(self, directory: str | Path, overwrite: bool = False) -> Path:
        """Write every file.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false.
        """
        written = self.writer(self, Path(directory), overwrite)
        if self.checkpoint is not None:
            self.checkpoint.remove()
        return written
