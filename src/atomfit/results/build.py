"""What `build` finds: every intermediate object, from the map as it was read to the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.detection.detect import Detection
from atomfit.detection.resolution import MapResolution
from atomfit.fitting.held_out import HeldOut
from atomfit.fitting.joint import JointFit
from atomfit.fitting.logfit import LogFit
from atomfit.io.checkpoint import Checkpoint
from atomfit.io.mrc import MapFile
from atomfit.optimisation.ended import Ended
from atomfit.options.build import BuildOptions
from atomfit.selection.completion import Discarded, Selection
from atomfit.selection.contour import Contour
from atomfit.selection.species import Species
from atomfit.statistics.per_atom import AtomStatistics
from atomfit.structure.elements import Element, symbol_of
from atomfit.structure.grid import DensityMap
from atomfit.support.numerics import own_numerics
from atomfit.verdict.findings import Verdict


@dataclass(frozen=True, eq=False)
class BuildResult:
    """Everything that `build` found.

    **Fields:**

    - `source`: the map as it was read, with notes on how.
    - `density`: the map that was fitted (inverted or masked, if that was asked for).
    - `element`, `elements`, `options`: what was asked for; what stands for all elements, and each of them.
    - `detection`: where atoms were found, and how; with those that selection has added, without those that
        it has removed.
    - `baseline`: the paper's per-atom fits, at the detected places.
    - `joint`: the joint fit; None if it was not asked for or there are no atoms.
    - `selection`: which atoms are real, as the joint fit has it; None if there is none.
    - `species`: which element each atom is, and how many the map supports; None without a joint fit.
    - `held_out`: how well a fit of these atoms describes what it has not seen; None if that was not asked.
    - `contour`: which voxels belong to which atom, and the level that shows them.
    - `statistics`: a number of each kind for each atom.
    - `resolution`: up to which wavelength the map shows more than noise.
    - `verdict`: what is to be thought of it, and why.
    - `warnings`: what a user should know before trusting the numbers, the verdict's findings among them.
    - `seconds`: wall time of each stage.
    - `writer`: what makes the files.
    - `checkpoint`: what goes when they are written.
    """

    source: MapFile
    density: DensityMap
    element: Element
    elements: tuple[Element, ...]
    options: BuildOptions
    detection: Detection
    baseline: LogFit
    joint: JointFit | None
    selection: Selection | None
    species: Species | None
    held_out: HeldOut | None
    contour: Contour
    statistics: AtomStatistics
    resolution: MapResolution
    verdict: Verdict
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    writer: Callable[["BuildResult", Path, bool, bool], Path]
    checkpoint: Checkpoint | None = None

    def __len__(self) -> int:
        """Number of atoms."""
        return len(self.statistics)

    @property
    def positions(self) -> Float[np.ndarray, "n d"]:
        """Positions of the atoms in the map's frame (Å)."""
        return self.statistics.fitted.positions

    @property
    def matrices(self) -> Float[np.ndarray, "n d d"]:
        """Displacement matrices (Å²); NaN where none could be fitted."""
        return self.statistics.fitted.matrices

    @property
    def symbols(self) -> np.ndarray:
        """Chemical symbol of each atom."""
        if self.species is None:
            return np.full(len(self), self.element.symbol, dtype=object)
        return np.array([symbol_of(int(number)) for number in self.species.numbers], dtype=object)

    @property
    def model(self) -> Float[np.ndarray, "..."]:
        """Density of the model on the map's grid (map units); of the baseline if there is no joint fit."""
        return model_of(self.density, self.joint, self.baseline)

    @property
    def discarded(self) -> Discarded:
        """Places that are no atoms, with the reasons."""
        if self.selection is None:
            return Discarded.of(self.detection.rejected)
        return self.selection.discarded

    @property
    def reason(self) -> str:
        """Why the fit ended; there is nothing to go on with where there is none, or it has converged."""
        if self.held_out is not None and self.held_out.reason == Ended.INTERRUPTED:
            return Ended.INTERRUPTED
        return Ended.CONVERGED if self.joint is None else self.joint.reason

    @own_numerics()
    def write(self, directory: str | Path, overwrite: bool = False, figures: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        The checkpoint of a fit that has ended is removed then.

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


def model_of(density: DensityMap, joint: JointFit | None, baseline: LogFit) -> Float[np.ndarray, "..."]:
    """Density of the joint fit on a map's grid (map units), or of the baseline if there is none."""
    if joint is not None:
        return joint.density(density.grid)
    return baseline.fitted.density(density.grid) + np.float32(baseline.level)
