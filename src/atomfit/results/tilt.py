"""What `tilt` finds: the series as it was read, atoms and views as refined, and the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.io.checkpoint import Checkpoint
from atomfit.optimisation.ended import Ended
from atomfit.options.tilt import TiltOptions
from atomfit.projection.fit import TiltFit
from atomfit.projection.half_sets import HalfSets
from atomfit.projection.information import ImageUncertainty
from atomfit.projection.misreadings import Agreement
from atomfit.projection.model import refined_views
from atomfit.projection.start import Start
from atomfit.projection.views import Views
from atomfit.results.series import PreparedSeries
from atomfit.selection.completion import Selection
from atomfit.statistics.geometry import Geometry
from atomfit.structure.atoms import AnisotropicDisplacements, Atoms
from atomfit.structure.elements import symbol_of
from atomfit.structure.neighbours import Neighbours
from atomfit.support.numerics import own_numerics
from atomfit.verdict.findings import Verdict


@dataclass(frozen=True, eq=False)
class TiltResult:
    """Everything that `tilt` found.

    **Fields:**

    - `prepared`: images and views as they were read, and how.
    - `start`: atoms that the fit began with, and those around them.
    - `options`: what was asked for.
    - `agreement`: of start and images.
    - `fit`: of all atoms, the surroundings included; they come last.
    - `halves`: what halves of the views say, if rotations of these were refined.
    - `selection`: which atoms are real, as the images have it.
    - `uncertainty`: of all atoms' positions and amplitudes.
    - `neighbours`: of the atoms that were refined, those around them counted.
    - `geometry`: what the positions of the atoms that were refined say.
    - `verdict`: what is to be thought of it, and why.
    - `warnings`: what a user should know before trusting the numbers, the verdict's findings among them.
    - `seconds`: wall time of each stage.
    - `writer`: what makes the files.
    - `checkpoint`: what goes when they are written.
    """

    prepared: PreparedSeries
    start: Start
    options: TiltOptions
    agreement: Agreement
    fit: TiltFit
    halves: HalfSets | None
    selection: Selection
    uncertainty: ImageUncertainty
    neighbours: Neighbours
    geometry: Geometry
    verdict: Verdict
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    writer: Callable[["TiltResult", Path, bool], Path]
    checkpoint: Checkpoint | None = None

    def __len__(self) -> int:
        """Number of atoms that were refined."""
        return len(self.start.ids)

    @property
    def atoms(self) -> Atoms:
        """The atoms that were refined, without those around them."""
        return self.fit.atoms[~self.start.frozen]

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Their positions in the specimen's frame (Å)."""
        return np.asarray(self.atoms.positions)

    @property
    def matrices(self) -> Float[np.ndarray, "n 3 3"]:
        """Their displacement matrices (Å²)."""
        return np.asarray(self.atoms.matrices(), np.float64)

    @property
    def position_errors(self) -> Float[np.ndarray, "n 3"]:
        """Standard uncertainties of their positions (Å)."""
        return self.uncertainty.positions[~self.start.frozen]

    @property
    def amplitude_errors(self) -> Float[np.ndarray, " n"]:
        """Standard uncertainties of their amplitudes (image units x Å²); NaN where elements share one."""
        own = self.options.own_amplitudes
        return np.where(own, self.uncertainty.amplitudes[~self.start.frozen], np.nan)

    @property
    def u_iso_errors(self) -> Float[np.ndarray, " n"]:
        """Standard uncertainties of a third of the trace of U (Å²); NaN where atoms share a width."""
        return self.uncertainty.u_iso[~self.start.frozen]

    @property
    def anisotropic(self) -> bool:
        """Whether the atoms have shapes of their own."""
        return isinstance(self.fit.atoms.displacements, AnisotropicDisplacements)

    @property
    def widths_refined(self) -> bool:
        """Whether displacements are results: behind a probe of free shape, widths shared by all are not."""
        return self.options.probe == "direct" or self.options.displacements != "shared"

    @property
    def symbols(self) -> np.ndarray:
        """Chemical symbol of each of them."""
        return np.array([symbol_of(int(number)) for number in self.atoms.numbers], dtype=object)

    @property
    def views(self) -> Views:
        """The views with what was refined of them: rotations, and centres moved by the shifts."""
        series = self.prepared.series
        return refined_views(series.views, self.fit.views, series.pixel)

    @property
    def residual(self) -> Float[np.ndarray, "v rows columns"]:
        """Images less the model's; zero where nothing was measured."""
        series = self.prepared.series
        return np.where(series.counted, series.images - self.fit.images, 0).astype(np.float32)

    @own_numerics()
    def write(self, directory: str | Path, overwrite: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        The checkpoint of a fit that was not interrupted is removed then.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false.
        """
        written = self.writer(self, Path(directory), overwrite)
        if self.checkpoint is not None and self.fit.reason != Ended.INTERRUPTED:
            self.checkpoint.remove()
        return written
