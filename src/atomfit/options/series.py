"""What a user may choose about a series, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from typing import no_type_check

from atomfit.options.declared import Need, check, option


@no_type_check
@dataclass(frozen=True)
class SeriesOptions:
    """Options of `series`.

    **Fields:**

    - `fdr`: rate of false ones among the atoms said to have a trend.
    - `move`: whether models are laid on each other; their frames are one if not.
    """

    fdr: float = option(
        0.05,
        "Series",
        "Part of the atoms said to change (of a movie: events called) that may not.",
        metavar="RATE",
        need=Need("rate", "a number between 0 and 1, as 0.05", 1e-12, 1 - 1e-12),
    )
    move: bool = option(
        True, "Series", "Lay models on each other, or leave the frames as they are.", flag="register"
    )

    def __post_init__(self) -> None:
        check(self)
