"""Three dimensions from one projection: columns of atoms stacked on a lattice, sampled with a potential.

`model_of_columns` makes the particles that explain the columns of an image; `stacking_of` says how high
their sites are. It imports `atomfit.statistics` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.stacking.board import Board as Board
    from atomfit.stacking.ensemble import Shells as Shells
    from atomfit.stacking.ensemble import Sites as Sites
    from atomfit.stacking.lattice_energy import LatticeEnergy as LatticeEnergy
    from atomfit.stacking.lattice_energy import energy_of_calculator as energy_of_calculator
    from atomfit.stacking.lattice_energy import energy_of_medium as energy_of_medium
    from atomfit.stacking.mixing import Mixing as Mixing
    from atomfit.stacking.model import Asked as Asked
    from atomfit.stacking.model import Model3D as Model3D
    from atomfit.stacking.modelling import model_of_columns as model_of_columns
    from atomfit.stacking.relaxation import Relaxed as Relaxed
    from atomfit.stacking.sampling import Drawn as Drawn
    from atomfit.stacking.sampling import Effort as Effort
    from atomfit.stacking.zones import Stacking as Stacking
    from atomfit.stacking.zones import stacking_of as stacking_of
else:
    export(
        __name__,
        {
            "model": ["Asked", "Model3D"],
            "modelling": ["model_of_columns"],
            "zones": ["Stacking", "stacking_of"],
            "lattice_energy": ["LatticeEnergy", "energy_of_medium", "energy_of_calculator"],
            "sampling": ["Drawn", "Effort"],
            "ensemble": ["Sites", "Shells"],
            "mixing": ["Mixing"],
            "relaxation": ["Relaxed"],
            "board": ["Board"],
        },
    )
