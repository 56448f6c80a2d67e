"""A tilt series as it was read, ready to be fitted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from atomfit.io.image_stacks import ImageStack
from atomfit.projection.misreadings import AS_GIVEN, Reading
from atomfit.projection.views import TiltSeries
from atomfit.structure.elements import Element
from atomfit.support.errors import Doubt


@dataclass(frozen=True, eq=False)
class PreparedSeries:
    """A tilt series that is ready to be fitted.

    **Fields:**

    - `stack`: the images as they were read.
    - `views_file`: that the views are from; None if they were given as an object.
    - `series`: images and views.
    - `elements`, `element`: what its atoms are; what stands for all of them.
    - `notes`, `warnings`: what was understood, and what looks odd.
    - `seconds`: how long it took.
    - `centre_given`: whether a user or the views' file has named the point that the views turn about.
    - `insisted`: what spoke against a fit, and was insisted on.
    - `reading`: how the views were read.
    """

    stack: ImageStack
    views_file: Path | None
    series: TiltSeries
    elements: tuple[Element, ...]
    element: Element
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float
    centre_given: bool = True
    insisted: tuple[Doubt, ...] = ()
    reading: Reading = AS_GIVEN

    def held_out(self, every: int | None) -> Bool[np.ndarray, " v"]:
        """One of so many views, in the middle of each group: its neighbours on both sides are fitted."""
        held = np.zeros(len(self.series), bool)
        if every is not None:
            held[every // 2 :: every] = True
        return held
