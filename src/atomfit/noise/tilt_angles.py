"""A tilt series' geometry: which spatial frequencies of its reconstruction were measured.

A projection measures one plane of the object's transform: through its origin, at right angles to the
beam. Turning the specimen turns the plane about the tilt axis, so that a series of tilts fills two
opposite sectors, and what lies between the last tilt on one side and the first on the other is the missing
wedge. Whether a frequency k was measured is a matter of one angle alone,

    φ(k) = atan2(k · beam, k · (axis x beam)),  modulo 180 degrees,

the tilt whose plane it lies in, for a specimen that is turned right-handedly about the axis.

A measured plane stands for the angles half a step to either side. Between neighbouring tilts nothing is
missing: reconstruction interpolates there, and for the step that a particle of ordinary size is measured
with the planes overlap up to an atom's frequencies (Crowther, DeRosier & Klug 1970). Only where several
steps in a row were left out, as at the wedge, is there a hole.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.noise.limits import LIMITS
from atomfit.options.build import Axis
from atomfit.support.errors import InputError

_FEWEST = 3


@dataclass(frozen=True, eq=False)
class TiltAngles:
    """Angles at which a specimen was seen.

    **Fields:**

    - `angles`: degrees, from -90 to 90; at least three, not all the same.
    - `axis`: of the map, about which the specimen was turned (right-handedly, by the angle).
    - `beam`: of the map, along which the beam went at tilt 0.

    **Raises:** `InputError` if the angles are none, or axis and beam are the same.
    """

    angles: Float[np.ndarray, " n"]
    axis: Axis = "y"
    beam: Axis = "z"

    def __post_init__(self) -> None:
        angles = self.angles
        if len(angles) < _FEWEST:
            raise InputError(
                f"{len(angles)} angles are no tilt series", "give the angle of every view", "--tilts"
            )
        # Not a number is not in range either.
        wrong = angles[~(np.abs(angles) <= 90)]
        if len(wrong):
            raise InputError(f"{wrong[0]:g} is no tilt angle", "give degrees between -90 and 90", "--tilts")
        if np.ptp(angles) == 0:
            raise InputError(
                f"all {len(angles)} angles are {angles[0]:g}", "give the angle of every view", "--tilts"
            )
        if self.axis == self.beam:
            raise InputError(
                f"the beam cannot go along the tilt axis, {self.axis}",
                "give the axis that the specimen was turned about, and another one for the beam",
                "--beam",
            )

    @property
    def holes(self) -> list[tuple[float, float]]:
        """Angles (degrees) between which nothing was measured; the second may lie beyond 90."""
        angles = np.unique(np.mod(self.angles, 180.0))
        steps = np.diff(angles, append=angles[0] + 180)
        # Of most views; views that were taken twice are no step apart.
        step = float(np.quantile(steps, 0.75, method="lower"))
        wide = steps > LIMITS.hole * step
        return [
            (float(a + step / 2), float(a + width - step / 2))
            for a, width in zip(angles[wide], steps[wide], strict=True)
        ]

    def missing(
        self, frequencies: list[Float[np.ndarray, "..."]], margin: float = 0.0
    ) -> Bool[np.ndarray, "z y x"]:
        """Which spatial frequencies were not measured.

        **Arguments:**

        - `frequencies`: along z, y and x, to be broadcast (1/Å).
        - `margin`: frequencies this near to a hole's edge (1/Å) are counted among those that are missing.
        """
        k = dict(zip("zyx", frequencies, strict=True))
        # axis x beam: the remaining axis, or its opposite.
        third = ({"x", "y", "z"} - {self.axis, self.beam}).pop()
        sign = 1 if (self.axis + self.beam) in "xyzxy" else -1
        angle = np.degrees(np.arctan2(k[self.beam], sign * k[third]))
        length = np.hypot(k[self.beam], k[third])
        missing = np.zeros(np.broadcast_shapes(*(x.shape for x in frequencies)), bool)
        for begin, end in self.holes:
            beyond = np.mod(angle - begin, 180.0)
            # The axis itself is in every view.
            missing |= (beyond > 0) & (beyond < end - begin) & (length > 0)
            for edge in (begin, end):
                missing |= length * np.abs(np.sin(np.radians(angle - edge))) < margin
        return missing
