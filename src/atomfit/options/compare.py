"""What a user may choose about a comparison, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import no_type_check

from atomfit.options.columns import ColumnOptions
from atomfit.options.declared import Need, check, like, option, require_unset

#: Largest distance of a common pair in the published program (Å).
PAPER_DISTANCE = 1.76


@no_type_check
@dataclass(frozen=True)
class CompareOptions:
    """Options of `compare`.

    **Fields:**

    - `distance`: largest distance of a common pair (Å).
    - `fdr`: rate of false ones among the atoms called moved.
    - `calibrate`: whether error bars are multiplied by their scale before atoms are called moved.
    - `move`: whether models are laid on each other; their frames are one if not.
    - `mirror`: whether an image may be turned over to lie on another.
    - `library`: file of mean cross-sections of columns of 1, 2, 3, ... atoms, of inputs that are images.
    - `library_error`: what the library's scale may be off by.
    """

    distance: float = option(
        PAPER_DISTANCE,
        "Comparison",
        "Atoms farther apart than this are different.",
        metavar="ANGSTROM",
        need=Need("distance", "Å above 0, as 1.76", 1e-6, 1e3),
    )
    fdr: float = option(
        0.05,
        "Comparison",
        "Part of the atoms called moved (of images: columns called changed) that may not be.",
        metavar="RATE",
        need=Need("rate", "a number between 0 and 1, as 0.05", 1e-12, 1 - 1e-12),
    )
    calibrate: bool = option(
        False, "Comparison", "Multiply error bars by the factor they are too small by."
    )
    move: bool = option(True, "Comparison", "Lay B on A, or leave the frames as they are.", flag="register")
    mirror: bool = option(False, "Comparison", "Of images: B may be turned over to lie on A.")
    library: str | Path | None = like(ColumnOptions, "library")
    library_error: float = like(ColumnOptions, "library_error")

    def __post_init__(self) -> None:
        check(self)
        if self.library is None:
            require_unset(self, ("library_error",), "there is no library", "give --library")
