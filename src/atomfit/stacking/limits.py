"""Where a model from one projection says yes or no: its thresholds, in one place."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class StackingLimits:
    """Thresholds of models from one projection.

    **Fields:**

    - `scale`: a found lattice is the zone's if its lengths are off by no larger a part, as pixel sizes are.
    - `shear`: and if its longest stretch over its shortest is no more off from one, as scans distort.
    - `scale_told`: lengths that are off by a larger part are told.
    - `columns`: fewer on the lattice say nothing of a particle.
    - `on_lattice`: the largest domain holds so large a part of all atoms, or there is no one lattice.
    - `left_out`: a larger part of the atoms outside of the model makes it doubtful.
    - `sure`: counts that are more probable are sure.
    - `unsure`: the number of all atoms is hardly known if its standard deviation is a larger part of it.
    - `overruled`: the potential is trusted too much if it changes a larger part of the sure counts.
    - `mixed`: chains agree if R-hat (Gelman & Rubin) of heights and of the energy is less.
    - `unmixed`: and if no larger a part of the atoms is in columns whose R-hat is more.
    - `independent`: independent samples that means rest on, at least.
    - `coldest`, `warmest`: between these is a temperature that counts say (K). Below about a third of their
        melting point atoms hardly move on surfaces, and no shape is in equilibrium.
    - `strange`: counts that look hotter are not what the potential makes of this lattice (K).
    - `listed`: sites that are less probably occupied are not listed.
    """

    scale: float = 0.06
    shear: float = 0.06
    scale_told: float = 0.03
    columns: int = 7
    on_lattice: float = 0.8
    left_out: float = 0.05
    sure: float = 0.95
    unsure: float = 0.1
    overruled: float = 0.05
    mixed: float = 1.2
    unmixed: float = 0.05
    independent: float = 50.0
    coldest: float = 600.0
    warmest: float = 4000.0
    strange: float = 2500.0
    listed: float = 0.01


LIMITS = StackingLimits()
