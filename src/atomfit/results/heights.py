"""What `heights` finds in an HRTEM image: columns, their heights, and what to think of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.column_heights.advice import ImagingAdvice
from atomfit.column_heights.following import FollowedHeights
from atomfit.column_heights.found import Heights
from atomfit.column_heights.gain import FoundGain
from atomfit.io.images import ImageFile
from atomfit.networks.looking import ImageSeen
from atomfit.optimisation.ended import Ended
from atomfit.options.heights import HeightsOptions
from atomfit.structure.crystals import Crystal, ZoneColumns
from atomfit.support.numerics import own_numerics
from atomfit.verdict.findings import Verdict

#: What a credible set holds.
HELD = 0.9


@dataclass(frozen=True, eq=False)
class HeightsResult:
    """Everything that `heights` found.

    **Fields:**

    - `source`: the image as it was read, its first pixel at zero.
    - `counts`: of its pixels, counted from no electrons.
    - `options`: what was asked for.
    - `crystal`, `zone_columns`: the crystal, and its columns along the zone axis.
    - `gain`: counts of an electron, and how that is known.
    - `seen`: what the network sees.
    - `found`: heights of columns, and how the image was made.
    - `by`: whether these are the "network"'s or the "likelihood"'s.
    - `network`: how the network was trained, as data.
    - `verdict`: what is to be thought of it, and why.
    - `warnings`: what a user should know before trusting the numbers, the verdict's findings among them.
    - `seconds`: wall time of each stage.
    - `writer`: what makes the files.
    - `advice`: how often heights can be told at each defocus, if that was asked.
    """

    source: ImageFile
    counts: Float[np.ndarray, "rows columns"]
    options: HeightsOptions
    crystal: Crystal
    zone_columns: ZoneColumns
    gain: FoundGain
    seen: ImageSeen
    found: Heights
    by: Literal["network", "likelihood"]
    network: dict[str, Any]
    verdict: Verdict
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    writer: Callable[["HeightsResult", Path, bool, bool], Path]
    advice: ImagingAdvice | None = None

    def __len__(self) -> int:
        """Number of columns, vacant ones among them."""
        return len(self.found)

    @property
    def positions(self) -> Float[np.ndarray, "n 2"]:
        """x, y from the centre of the first pixel (Å)."""
        return self.found.positions

    @property
    def heights(self) -> Int[np.ndarray, " n"]:
        """The likeliest numbers of atoms of the heaviest element; 0 of a vacant column."""
        return self.found.heights

    @property
    def probabilities(self) -> Float[np.ndarray, "n levels"]:
        """Of 0, 1, ... atoms."""
        return self.found.probabilities

    @property
    def sets(self) -> Bool[np.ndarray, "n levels"]:
        """The smallest sets of heights that hold 90 %."""
        return self.found.sets(HELD)

    @property
    def element(self) -> str:
        """The crystal's heaviest element, whose atoms are counted."""
        return self.crystal.heaviest

    @property
    def reason(self) -> Ended:
        """How the search has ended."""
        if self.found.interrupted:
            return Ended.INTERRUPTED
        return Ended.CONVERGED if self.found.settled else Ended.ITERATION_LIMIT

    @property
    def atoms(self) -> tuple[float, float]:
        """Atoms of all columns: mean and standard deviation, with what columns have in common."""
        return self.found.atoms

    @property
    def told(self) -> str:
        """How much was found, in words."""
        atoms, esd = self.atoms
        columns = "1 column" if len(self) == 1 else f"{len(self)} columns"
        return f"{columns}, {atoms:.1f} ± {esd:.1f} atoms of {self.element}"

    @property
    def model(self) -> Float[np.ndarray, "rows columns"] | None:
        """Counts that the model expects; None from a network alone."""
        return self.found.expected

    @own_numerics()
    def write(self, directory: str | Path, overwrite: bool = False, figures: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.
        - `figures`: whether figures for print are drawn as well, which needs matplotlib.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false, or if figures
        cannot be drawn.
        """
        return self.writer(self, Path(directory), overwrite, figures)


@dataclass(frozen=True, eq=False)
class HeightsSeries:
    """What `heights` found in each frame of a stack.

    **Fields:**

    - `typical`: the common columns over the mean of the frames, laid on the first.
    - `followed`: columns of each frame, and which of these they are.
    - `writer`: what makes the files.
    """

    typical: HeightsResult
    followed: FollowedHeights
    writer: Callable[["HeightsSeries", Path, bool, bool], Path]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.followed.frames)

    @property
    def reason(self) -> Ended:
        """How the search has ended, of all frames."""
        return self.typical.reason

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of it, and why."""
        return self.typical.verdict

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know before trusting the numbers."""
        return self.typical.warnings

    @property
    def told(self) -> str:
        """How much was found, in words."""
        atoms, element = self.followed.atoms[:, 0], self.typical.element
        counted = f"{atoms.min():.1f} to {atoms.max():.1f} atoms of {element}"
        return f"{len(self)} frames, {len(self.typical)} columns, {counted}"

    @own_numerics()
    def write(self, directory: str | Path, overwrite: bool = False, figures: bool = False) -> Path:
        """Write all files into a directory, which appears when they are complete.

        **Arguments:**

        - `directory`: where to; created if need be.
        - `overwrite`: whether files of an earlier result may be replaced.
        - `figures`: whether figures for print are drawn as well, which needs matplotlib.

        **Raises:** `InputError` if the directory holds something and `overwrite` is false, or if figures
        cannot be drawn.
        """
        return self.writer(self, Path(directory), overwrite, figures)
