"""What a user may choose about heights of columns, with the defaults. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import no_type_check

from atomfit.options.build import FILE
from atomfit.options.columns import ColumnOptions, FrameRule
from atomfit.options.declared import Need, check, like, option
from atomfit.options.images import zone_axis
from atomfit.options.tilt import VOLTAGE
from atomfit.support.errors import InputError

_CRYSTAL = "Crystal"


@no_type_check
@dataclass(frozen=True)
class HeightsOptions:
    """Options of `heights`.

    **Fields:**

    - `crystal`: CeO2, Pt, Au, or a CIF file.
    - `zone`: direction of the cell along the beam, as "110" or "1,1,0".
    - `voltage`: kV.
    - `gain`: counts that an electron makes; found from the image if not given.
    - `pixel_size`: replaces the file's (Å).
    - `frame`: which image of a stack, counted from 0, or the "mean" of all; each of them if not given.
    - `network_only`: heights as the network sees them, without the likelihood of the image.
    - `weights`: file of another network than the one that comes with the package.
    """

    crystal: str | None = option(
        None,
        _CRYSTAL,
        "CeO2, Pt, Au, or a CIF file.",
        metavar="CRYSTAL",
        need=Need("crystal", "CeO2, Pt, Au or a CIF file"),
    )
    zone: str | None = option(
        None,
        _CRYSTAL,
        "Its direction along the beam, as 1,1,0.",
        metavar="H,K,L",
        need=Need("zone axis", "three whole numbers, as 1,1,0"),
    )
    voltage: float = option(300.0, "Image", "Of acceleration.", metavar="KV", need=VOLTAGE)
    gain: float | None = option(
        None,
        "Image",
        "Counts of an electron; by default found from the image.",
        metavar="COUNTS",
        need=Need("gain", "counts of an electron, from 1e-6 to 1e6", 1e-6, 1e6),
    )
    pixel_size: float | None = like(ColumnOptions, "pixel_size")
    frame: int | FrameRule | None = option(
        None,
        "Image",
        "Which image of a stack: its number, from 0, or mean; by default each of them.",
        metavar="N",
        need=Need("frame", "a number from 0, or mean", 0, 1_000_000),
    )
    network_only: bool = option(
        False, "Method", "Heights as the network sees them, without the likelihood of the image."
    )
    weights: str | Path | None = option(
        None,
        "Method",
        "Of another network than the one that comes with the package (.npz).",
        metavar="FILE",
        need=FILE,
    )

    def __post_init__(self) -> None:
        check(self)
        if isinstance(self.frame, bool):
            raise InputError("a frame has a number", "give it, from 0, or mean", "--frame")
        if self.crystal is None:
            raise InputError("heights are those of a known crystal", "name it, as CeO2", "--crystal")
        if self.zone is None:
            raise InputError("columns follow from the zone axis", "give it, as 1,1,0", "--zone")
        _ = self.axis

    @property
    def axis(self) -> tuple[int, int, int]:
        """The zone axis.

        **Raises:** `InputError` if it is none.
        """
        return zone_axis(str(self.zone))
