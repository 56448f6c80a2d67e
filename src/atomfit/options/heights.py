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

_CRYSTAL, _OPTICS = "Crystal", "Optics"


@no_type_check
@dataclass(frozen=True)
class HeightsOptions:
    """Options of `heights`.

    **Fields:**

    - `crystal`: CeO2, Pt, Au, or a CIF file.
    - `zone`: direction of the cell along the beam, as "110", "1,1,0" or (1, 1, 0).
    - `voltage`: kV.
    - `gain`: counts that an electron makes; found from the image if not given.
    - `pixel_size`: replaces the file's (Å).
    - `c3`, `c5`: spherical aberration (µm) and that of fifth order (mm), about which they are looked for.
    - `focal_spread`: standard deviation of the focus (nm), likewise.
    - `frame`: which image of a stack, counted from 0, or the "mean" of all; each of them if not given.
    - `network_only`: heights as the network sees them, without the likelihood of the image.
    - `weights`: file of another network than the one that comes with the package.
    - `advise`: also find at which defocus images of this dose would tell most.
    - `seed`: of everything random.
    """

    crystal: str | None = option(
        None,
        _CRYSTAL,
        "CeO2, Pt, Au, or a CIF file.",
        metavar="CRYSTAL",
        need=Need("crystal", "CeO2, Pt, Au or a CIF file"),
    )
    zone: str | tuple[int, int, int] | None = option(
        None,
        _CRYSTAL,
        "Its direction along the beam, as 1,1,0.",
        metavar="H,K,L",
        need=Need("zone axis", "three whole numbers, as 110 or 1,-1,2"),
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
    c3: float = option(
        -9.0,
        _OPTICS,
        "Spherical aberration, about which it is looked for.",
        metavar="UM",
        need=Need("aberration", "µm from -5000 to 5000", -5000, 5000),
    )
    c5: float = option(
        5.0,
        _OPTICS,
        "Of fifth order, likewise.",
        metavar="MM",
        need=Need("aberration", "mm from -1000 to 1000", -1000, 1000),
    )
    focal_spread: float = option(
        3.2,
        _OPTICS,
        "Sigma of the focus, likewise.",
        metavar="NM",
        need=Need("focal spread", "nm from 0.5 to 5", 0.5, 5),
    )
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
    advise: bool = option(
        False, "Method", "Also find at which defocus images of this dose would tell most (half a minute)."
    )
    seed: int = option(
        0,
        "Method",
        "Of everything random.",
        metavar="N",
        need=Need("seed", "a whole number from 0", 0, 2**31 - 2),
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
        if self.network_only and not self.advise:
            for name in ("c3", "c5", "focal_spread"):
                if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                    raise InputError(
                        "a network knows no such condition, only the likelihood of the image does",
                        "leave it out, or leave --network-only out",
                        f"--{name.replace('_', '-')}",
                    )

    @property
    def axis(self) -> tuple[int, int, int]:
        """The zone axis.

        **Raises:** `InputError` if it is none.
        """
        return zone_axis(str(self.zone))
