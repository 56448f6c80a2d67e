"""What `columns` finds in an image: every intermediate object, from the file to the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from atomfit.detection.column_scale import ColumnScale
from atomfit.fitting.column_fit import FittedColumns
from atomfit.fitting.column_information import ColumnUncertainty
from atomfit.io.checkpoint import Checkpoint
from atomfit.io.images import ImageFile
from atomfit.optimisation.ended import Ended
from atomfit.options.columns import ColumnOptions
from atomfit.selection.column_judgement import ColumnRounds
from atomfit.stacking.model import Model3D
from atomfit.statistics.counting import Counts
from atomfit.statistics.image_columns import ColumnStatistics
from atomfit.statistics.plane_lattice import PlaneLattice
from atomfit.statistics.plane_order import PlaneOrder
from atomfit.statistics.plane_strain import PlaneStrain
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.support.numerics import own_numerics
from atomfit.verdict.findings import Verdict


@dataclass(frozen=True, eq=False)
class Units:
    """How an image was turned into one that is fitted: (values - level) * scale are its bright columns.

    **Fields:**

    - `level`: that is subtracted (image units).
    - `scale`: by which what is left is multiplied; negative where columns are dark.
    """

    level: float
    scale: float


@dataclass(frozen=True, eq=False)
class ColumnsResult:
    """Everything that `columns` found.

    **Fields:**

    - `source`: the image as it was read, with notes on how.
    - `elements`, `options`: what was asked for.
    - `scale`: what columns look like, as detection found it.
    - `units`: of the image that was fitted.
    - `fitted_image`: that image: a part of the source's, of larger pixels where columns are many wide.
    - `selection`: which columns there are, the fit, its standard uncertainties, in units of the fit.
    - `statistics`: counts of atoms, lattices, strain, order, defects and facets.
    - `verdict`: what is to be thought of it, and why.
    - `warnings`: what a user should know before trusting the numbers, the verdict's findings among them.
    - `seconds`: wall time of each stage.
    - `writer`: what makes the files.
    - `checkpoint`: what goes when they are written.
    - `model3d`: in three dimensions; None unless it was asked for and could be made.
    """

    source: ImageFile
    elements: tuple[Element, ...]
    options: ColumnOptions
    scale: ColumnScale
    units: Units
    fitted_image: DensityMap
    selection: ColumnRounds
    statistics: ColumnStatistics
    verdict: Verdict
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    writer: Callable[["ColumnsResult", Path, bool, bool], Path]
    checkpoint: Checkpoint | None = None
    model3d: Model3D | None = None

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.fitted)

    @property
    def fitted(self) -> FittedColumns:
        """The fit, in its own units."""
        return self.selection.fitted

    @property
    def uncertainty(self) -> ColumnUncertainty:
        """Standard uncertainties, in the fit's own units."""
        return self.selection.uncertainty

    @property
    def positions(self) -> Float[np.ndarray, "n 2"]:
        """Positions in the image's frame (Å; x along rows)."""
        return np.asarray(self.fitted.columns.positions, np.float64)

    @property
    def covariances(self) -> Float[np.ndarray, "n 2 2"]:
        """Of the positions (Å²), all else marginalised."""
        return self.uncertainty.positions

    @property
    def cross_sections(self) -> Float[np.ndarray, " n"]:
        """Integrals of the columns (image units x Å²); negative where columns are dark."""
        return np.asarray(self.fitted.columns.amplitudes, np.float64) / self.units.scale

    @property
    def cross_section_esds(self) -> Float[np.ndarray, " n"]:
        """Their standard uncertainties."""
        return self.uncertainty.amplitudes / abs(self.units.scale)

    @property
    def spreads(self) -> Float[np.ndarray, "n 2 2"]:
        """Variance matrices of the columns (Å²)."""
        return self.fitted.spreads

    @property
    def widths(self) -> Float[np.ndarray, " n"]:
        """Standard deviations of the columns (Å): geometric means of both axes."""
        return np.linalg.det(self.spreads) ** 0.25

    @property
    def symbols(self) -> list[str]:
        """Chemical symbol of each column; X where it is not known, or one of several."""
        known = self.elements[0].symbol if len(self.elements) == 1 else "X"
        return [known] * len(self)

    @property
    def counts(self) -> Counts | None:
        """Atoms of the columns that were counted (`statistics` tells which); None if none was."""
        return self.statistics.counts

    @property
    def lattices(self) -> tuple[PlaneLattice, ...]:
        """Of the domains, the largest first; none if the columns have no lattice."""
        return self.statistics.domains.lattices

    @property
    def strain(self) -> PlaneStrain:
        """Displacements, strain and rotation of each column; NaN without a lattice."""
        return self.statistics.strain

    @property
    def order(self) -> tuple[PlaneOrder | None, ...]:
        """Of each domain, if an ordered phase was named; None where it could not be judged."""
        return self.statistics.order

    @property
    def counted(self) -> Bool[np.ndarray, "rows columns"]:
        """Pixels of the source that were fitted."""
        return self._whole(self.fitted.counted.astype(np.float64), 0.0) > 0.5

    @property
    def background(self) -> Float[np.ndarray, "rows columns"]:
        """What lies beneath the columns, on the source's pixels (image units)."""
        grid, fitted = self.source.image.grid, self.fitted_image.grid
        found = self.fitted.background.on(grid, fitted)
        inside = self._whole(np.ones(fitted.shape), 0.0) > 0.5
        return np.where(inside, found, 0.0) / self.units.scale + self.units.level

    @property
    def model(self) -> Float[np.ndarray, "rows columns"]:
        """Columns and background on the source's pixels (image units)."""
        columns = self.fitted.drawn(self.source.image.grid)
        return self.background + columns / self.units.scale

    @property
    def reason(self) -> str:
        """Why the last fit ended."""
        return self.fitted.reason if len(self) else Ended.CONVERGED

    def _whole(
        self, values: Float[np.ndarray, "r c"], elsewhere: float
    ) -> Float[np.ndarray, "rows columns"]:
        """What is known on the fitted pixels, on those of the source; nearest ones."""
        grid, fitted = self.source.image.grid, self.fitted_image.grid
        axes = []
        for k in range(2):
            places = grid.origin[1 - k] + grid.spacing[1 - k] * np.arange(grid.shape[k])
            index = (places - fitted.origin[1 - k]) / fitted.spacing[1 - k]
            axes.append(np.rint(index).astype(int))
        inside = [(i >= 0) & (i < n) for i, n in zip(axes, fitted.shape, strict=True)]
        clipped = [np.clip(i, 0, n - 1) for i, n in zip(axes, fitted.shape, strict=True)]
        both = inside[0][:, None] & inside[1][None]
        return np.where(both, values[np.ix_(*clipped)], elsewhere)

    @own_numerics()
    def write(self, directory: str | Path, overwrite: bool = False, figures: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        The checkpoint of a job that has ended is removed then.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.
        - `figures`: whether figures for print are drawn as well, which needs matplotlib.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false, or if figures
        cannot be drawn.
        """
        written = self.writer(self, Path(directory), overwrite, figures)
        if self.checkpoint is not None and self.reason == Ended.CONVERGED:
            self.checkpoint.remove()
        return written
