"""What a user may choose about the columns of an image, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, no_type_check

from atomfit.options.build import FILE
from atomfit.options.declared import Need, check, option, require_unset
from atomfit.support.errors import InputError

ColumnWidths = Literal["shared", "own", "elliptical"]
ColumnProfile = Literal["auto", "gaussian"]
ColumnContrast = Literal["auto", "bright", "dark"]
FrameRule = Literal["mean"]
ColumnSelection = Literal["auto", "fit", "off"]
CountRule = Literal["auto", "off"]
StrainReference = Literal["fitted", "bulk"]
OrderedPhase = Literal["L1_0", "L1_2", "B2"]

#: Options of what is told of columns when they have been fitted.
STATISTICS = (
    *("counts", "library", "library_error", "neighbours", "order", "reference"),
    *("model3d", "zone", "temperature"),
)

PIXEL_SIZE = Need("pixel size", "its edge in Å, as 0.1", 1e-6, 1e3)


@no_type_check
@dataclass(frozen=True)
class ColumnOptions:
    """Options of `columns`.

    **Fields:**

    - `pixel_size`: replaces the file's (Å).
    - `frame`: which image of a stack, counted from 0, or the "mean" of all.
    - `contrast`: whether columns are "bright" or "dark"; "auto" finds it out.
    - `widths`: all columns have one width ("shared"), each its "own", or each a matrix ("elliptical").
    - `profile`: "auto": columns have wings, and grow with their integrals, where the image shows it;
        "gaussian": they are Gaussians, and of one width if they share it.
    - `row_jitter`: whether lines of the scan may be offset along themselves, by numbers with a prior.
    - `start`: file of columns to begin with: a result, a table (.csv), or Atomap's .hdf5.
    - `selection`: "fit" adds columns that what is left of the image shows and removes those that noise
        could have made, until nothing changes; "off" refines the columns of the start and judges them only;
        "auto": "off" for a start.
    - `fdr`: part of the columns that may be false.
    - `background`: from knot to knot of the smooth background (Å); found from the image if not given.
    - `counts`: whether atoms are counted where columns are of one element ("auto"), or not ("off").
    - `library`: a table of mean cross-sections of columns of 1, 2, 3, ... atoms.
    - `library_error`: by how much its scale may be off (standard deviation, as a part of it).
    - `neighbours`: whether counts know that thickness changes slowly.
    - `order`: the ordered phase that an alloy of two elements may have.
    - `reference`: strain is counted from the lattice "fitted" to all columns, or to inner ones ("bulk").
    - `model3d`: whether columns are stacked to a model in three dimensions, with a potential.
    - `zone`: indices of the crystal's direction along the beam, of such a model.
    - `temperature`: at which the potential weighs particles (K); None if counts are to tell.
    - `max_iterations`: the most iterations of a joint fit.
    - `insist`: go on, with warnings, where an image is wrong as a rule.
    """

    pixel_size: float | None = option(
        None, "Image", "Replaces the file's.", metavar="ANGSTROM", need=PIXEL_SIZE
    )
    frame: int | FrameRule | None = option(
        None,
        "Image",
        "Which image of a stack: its number, from 0, or mean.",
        metavar="N",
        need=Need("frame", "a number from 0, or mean", 0, 1_000_000),
    )
    contrast: ColumnContrast = option("auto", "Image", "Whether columns are bright or dark.")
    widths: ColumnWidths = option(
        "shared", "Model", "One width for all columns, one each, or a matrix each."
    )
    profile: ColumnProfile = option(
        "auto", "Model", "Whether columns may have wings, and grow with their intensity."
    )
    row_jitter: bool = option(False, "Model", "Lines of the scan may be offset along themselves.")
    background: float | None = option(
        None,
        "Model",
        "From knot to knot of the smooth background; by default found from the image.",
        metavar="ANGSTROM",
        need=Need("step of the background", "it in Å, as 8", 2, 1000),
    )
    start: str | Path | None = option(
        None,
        "Selection",
        "Columns to begin with: a result, .csv, or Atomap's .hdf5.",
        metavar="FILE",
        need=FILE,
    )
    selection: ColumnSelection = option(
        "auto", "Selection", "Add missing columns and remove false ones; auto: unless --start is given."
    )
    fdr: float = option(
        0.01,
        "Selection",
        "Part of the columns that may be false.",
        metavar="RATE",
        need=Need("rate of false discoveries", "a part of the columns, as 0.01", 1e-9, 0.5),
    )
    counts: CountRule = option(
        "auto", "Counts", "Whether atoms are counted where columns are of one element."
    )
    library: str | Path | None = option(
        None,
        "Counts",
        "Mean cross-sections of columns of 1, 2, 3, ... atoms (CSV: count, cross_section).",
        metavar="FILE",
        need=FILE,
    )
    library_error: float = option(
        0.02,
        "Counts",
        "What the library's scale may be off by.",
        metavar="FRACTION",
        need=Need("error of a scale", "a part of it, as 0.03", 1e-4, 1),
    )
    neighbours: bool = option(True, "Counts", "Whether counts know that thickness changes slowly.")
    order: OrderedPhase | None = option(
        None, "Crystal", "Ordered phase that an alloy of two elements may have."
    )
    reference: StrainReference = option(
        "fitted", "Crystal", "Count strain from the lattice of all columns, or of the inner ones."
    )
    model3d: bool = option(
        False, "Three dimensions", "Stack the columns to a model in three dimensions (with --zone)."
    )
    zone: tuple[int, int, int] | None = option(
        None,
        "Three dimensions",
        "The crystal's direction along the beam, as 1,1,0.",
        metavar="H,K,L",
        need=Need("zone axis", "three whole numbers, as 1,1,0 or 1,-1,2", -20, 20),
    )
    temperature: float | None = option(
        None,
        "Three dimensions",
        "At which the potential weighs particles, if counts are not to tell.",
        metavar="KELVIN",
        need=Need("temperature", "it in K, as 600", 10, 5000),
    )
    max_iterations: int = option(
        60,
        "Computation",
        "Of each joint fit.",
        metavar="N",
        need=Need("number of iterations", "1 or more", 1, 1_000_000),
    )
    insist: bool = option(False, "Image", "Go on, with warnings, where the image is wrong as a rule.")

    def __post_init__(self) -> None:
        check(self)
        if isinstance(self.frame, bool):
            raise InputError("a frame has a number", "give it, from 0, or mean", "--frame")
        if self.selection == "off" and self.start is None:
            raise InputError(
                "without selection there are only the columns of a start",
                "give --start, or leave it out",
                "--selection",
            )
        if self.counts == "off":
            names = ("library", "library_error", "neighbours")
            require_unset(self, names, "nothing is counted with --counts off", "leave that out")
        self._check_model()
        if self.library is None:
            require_unset(self, ("library_error",), "there is no library", "give --library")

    def _check_model(self) -> None:
        if not self.model3d:
            require_unset(self, ("zone", "temperature"), "this is of a model", "give --model3d")
            return
        if self.zone is None:
            raise InputError(
                "how columns are stacked follows from the zone axis", "give it (--zone 1,1,0)", "--model3d"
            )
        if not any(self.zone):
            raise InputError("0,0,0 is no direction", "give a zone axis, as 1,1,0", "--zone")
        if self.counts == "off":
            raise InputError("a model needs counts of atoms", "leave out --counts off", "--model3d")
        if self.contrast == "dark":
            raise InputError(
                "a model needs counts of atoms, and dark columns are not counted",
                "leave out --model3d",
                "--model3d",
            )

    @property
    def selecting(self) -> bool:
        """Whether columns come and go."""
        return self.selection == "fit" or (self.selection == "auto" and self.start is None)
