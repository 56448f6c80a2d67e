"""Where noise is believed: the thresholds of measuring it, in one place.

A choice between ways to weigh a map's frequencies depends on them, and with it every standard
uncertainty. Parts are of a power or a variance; `experiments/thresholds` says what such limits move.
"""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class NoiseLimits:
    """Thresholds of measuring noise.

    **Fields:**

    - `white_ratio`: noise counts as white if its power, from the 5th to the 95th percentile of the atoms'
        band, varies less.
    - `smallest_wedge`: a wedge is one if it takes more than this part of the atoms' band.
    - `missing`: a direction without information has less than this part of the upper quartile of all.
    - `judged_power`: directions are judged by shells with more than this part of the power that atoms see.
    - `least_power`: noise is not believed to be below this part of its largest power.
    - `lost`, `lost_errors`: the slowest frequencies are lost if they have less than this part of the
        transfer of others, by so many standard errors.
    - `kept`: what has this part of the transfer of others is not lost.
    - `transfer_known`: shells whose transfer is known worse than this are not compared.
    - `outside_widths`: noise is measured farther than this from every atom, in widths of the mean atom.
    - `outside_voxels`, `outside_part`: so many voxels, and this part of the box, must be outside.
    - `plateau`: at most this part of them may have one and the same value.
    - `beside_widths`: a fit's residual is looked at so far from its atoms, in widths of the mean atom.
    - `louder`, `louder_matters`: if its median there is louder than outside by this factor, and more than
        this part of an atom's peak, the noise outside is not that inside (1 on simulated maps, 57 on the
        smoothed FePt reconstruction, which was in view).
    - `shared`: a map's variance outside its particle, in that of half its half-maps' difference, is at most
        this if they are of the same noise (0.97 to 1.03 in simulations).
    - `hole`: tilt angles have a hole where they are farther apart than this many usual steps.
    - `most_absorbed`: what a fit leaves is believed where the fit absorbs no more than this part of it.
    - `quiet`: frequencies with less than this part of the largest power are quiet.
    - `sharpest`: atoms are not looked for with Gaussians of less than this part of their variance.
    """

    white_ratio: float = 1.7
    smallest_wedge: float = 0.02
    missing: float = 0.1
    judged_power: float = 0.03
    least_power: float = 1e-3
    lost: float = 0.7
    lost_errors: float = 3.0
    kept: float = 0.9
    transfer_known: float = 0.07
    outside_widths: float = 5.0
    outside_voxels: int = 20_000
    outside_part: float = 0.15
    plateau: float = 0.2
    beside_widths: float = 2.0
    louder: float = 3.0
    louder_matters: float = 0.01
    shared: float = 1.25
    hole: float = 3.0
    most_absorbed: float = 0.7
    quiet: float = 0.01
    sharpest: float = 0.5


LIMITS = NoiseLimits()
