"""What a user may choose about a movie, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import no_type_check

from atomfit.options.build import FILE
from atomfit.options.columns import PIXEL_SIZE, ColumnContrast, CountRule
from atomfit.options.declared import Need, check, option, require_unset


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

    pixel_size: float | None = option(
        None,
        "Movies",
        "Replaces the file's.",
        metavar="ANGSTROM",
        need=PIXEL_SIZE,
    )
    contrast: ColumnContrast = option("auto", "Movies", "Whether columns are bright or dark.")
    fdr: float = option(
        0.05,
        "Movies",
        "Part of the events called that may be false.",
        metavar="RATE",
        need=Need("rate", "a number between 0 and 1, as 0.05", 1e-12, 1 - 1e-12),
    )
    counts: CountRule = option(
        "auto", "Movies", "Whether atoms are counted where columns are of one element."
    )
    library: str | Path | None = option(
        None,
        "Movies",
        "Mean cross-sections of columns of 1, 2, 3, ... atoms (CSV: count, cross_section).",
        metavar="FILE",
        need=FILE,
    )
    library_error: float = option(
        0.02,
        "Movies",
        "What the library's scale may be off by.",
        metavar="FRACTION",
        need=Need("error of a scale", "a part of it, as 0.03", 1e-4, 1),
    )
    insist: bool = option(False, "Movies", "Go on, with warnings, where frames are wrong as a rule.")

    def __post_init__(self) -> None:
        check(self)
        if self.counts == "off":
            require_unset(
                self, ("library", "library_error"), "nothing is counted with --counts off", "leave that out"
            )
        if self.library is None:
            require_unset(self, ("library_error",), "there is no library", "give --library")
