"""What a user may choose about a movie, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import no_type_check

from atomfit.options.columns import ColumnContrast, ColumnOptions, CountRule
from atomfit.options.declared import check, like, require_unset
from atomfit.options.series import SeriesOptions


@no_type_check
@dataclass(frozen=True)
class MovieOptions:
    """Options of `series` where frames are images.

    **Fields:**

    - `pixel_size`: replaces the file's (Å).
    - `contrast`: whether columns are "bright" or "dark"; "auto" finds it out.
    - `fdr`: part of the events called that may be false.
    - `counts`: whether atoms are counted where columns are of one element.
    - `library`: file of mean cross-sections of columns of 1, 2, 3, ... atoms.
    - `library_error`: what the library's scale may be off by.
    - `insist`: go on, with warnings, where frames are wrong as a rule.
    """

    pixel_size: float | None = like(ColumnOptions, "pixel_size")
    contrast: ColumnContrast = like(ColumnOptions, "contrast")
    fdr: float = like(SeriesOptions, "fdr")
    counts: CountRule = like(ColumnOptions, "counts")
    library: str | Path | None = like(ColumnOptions, "library")
    library_error: float = like(ColumnOptions, "library_error")
    insist: bool = like(ColumnOptions, "insist")

    def __post_init__(self) -> None:
        check(self)
        if self.counts == "off":
            require_unset(
                self, ("library", "library_error"), "nothing is counted with --counts off", "leave that out"
            )
        if self.library is None:
            require_unset(self, ("library_error",), "there is no library", "give --library")
