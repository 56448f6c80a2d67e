"""What `compare` finds: models of one particle, or two images of it, and how they differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from atomfit.io.checkpoint import Checkpoint
from atomfit.options.compare import CompareOptions
from atomfit.statistics.column_changes import COLUMN_STATUSES, ColumnComparison
from atomfit.statistics.comparison import Comparison, Model
from atomfit.statistics.image_difference import ImageDifference
from atomfit.statistics.series import follow
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_column_comparison import judge_column_comparison
from atomfit.verdict.of_comparison import judge_series


@dataclass(frozen=True, eq=False)
class SeriesComparison:
    """Models of one particle, compared.

    **Fields:**

    - `inputs`, `models`: as they were given.
    - `comparisons`: of two models one; of a series each with the first, then each with the one before.
    - `steps`: those of `comparisons` that compare a model with the one before.
    - `tables`: of models that were built from maps, the columns of their `atoms.csv` by name.
    - `element`, `distance`, `fdr`, `calibrated`, `moved`: the options.
    - `writer`: what makes the files.
    - `checkpoint`: what goes when they are written.
    """

    inputs: tuple[Path, ...]
    models: tuple[Model, ...]
    comparisons: tuple[Comparison, ...]
    steps: tuple[Comparison, ...]
    tables: dict[str, dict[str, np.ndarray]]
    element: str | Sequence[str] | None
    distance: float
    fdr: float
    calibrated: bool
    moved: bool
    writer: Callable[["SeriesComparison", Path, bool, bool], Path]
    checkpoint: Checkpoint | None = None

    @property
    def tracks(self) -> Int[np.ndarray, "atoms models"]:
        """Index of each atom in every model; -1 where it is not."""
        return follow(self.steps)

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of it: are these models of one particle?"""
        return judge_series(self.comparisons)

    def lines(self) -> list[str]:
        """What was found, in sentences without their ends."""
        told = []
        for c in self.comparisons:
            common = c.count("common")
            part = 100 * common / len(c.a)
            moved = f"{int(c.moved.sum())} moved significantly" if c.tested else "not tested for moves"
            told.append(
                f"{c.a.name} and {c.b.name}: {common} of {len(c.a)} atoms common ({part:.1f} %), "
                f"{c.count('displaced')} displaced, {c.count('lost')} lost, {c.count('gained')} gained, "
                f"{moved}"
            )
        return told

    def write(self, directory: str | Path, overwrite: bool = False, figures: bool = False) -> Path:
        """Write every file.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.
        - `figures`: whether figures for print are drawn as well, which needs matplotlib.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false, or if figures
            cannot be drawn.
        """
        written = self.writer(self, Path(directory), overwrite, figures)
        if self.checkpoint is not None:
            self.checkpoint.remove()
        return written


@dataclass(frozen=True, eq=False)
class ImageComparison:
    """The columns of two images of one particle, compared.

    **Fields:**

    - `inputs`: as they were given.
    - `comparison`: what became of each column.
    - `tables`: of inputs that were images, the columns of their `columns.csv` by name.
    - `element`, `options`: what was asked for.
    - `writer`: what makes the files.
    - `difference`, `no_difference`: of the images after they were aligned, or why it is not known.
    - `checkpoint`: what goes when they are written.
    """

    inputs: tuple[Path, ...]
    comparison: ColumnComparison
    tables: dict[str, dict[str, np.ndarray]]
    element: str | Sequence[str] | None
    options: CompareOptions
    writer: Callable[["ImageComparison", Path, bool, bool], Path]
    difference: ImageDifference | None = None
    no_difference: str = ""
    checkpoint: Checkpoint | None = None

    @property
    def comparisons(self) -> tuple[ColumnComparison, ...]:
        """The one comparison, as `SeriesComparison` has several."""
        return (self.comparison,)

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of it: are these images of one particle?"""
        return judge_column_comparison(self.comparison)

    def lines(self) -> list[str]:
        """What was found, in sentences without their ends."""
        c = self.comparison
        counts = ", ".join(f"{c.count(kind)} {kind}" for kind in COLUMN_STATUSES)
        return [f"{c.a.name} and {c.b.name}, {len(c)} columns: {counts}"]

    def write(self, directory: str | Path, overwrite: bool = False, figures: bool = False) -> Path:
        """Write every file.

        **Arguments:** as of `SeriesComparison.write`.

        **Raises:** as `SeriesComparison.write` does.
        """
        written = self.writer(self, Path(directory), overwrite, figures)
        if self.checkpoint is not None:
            self.checkpoint.remove()
        return written
