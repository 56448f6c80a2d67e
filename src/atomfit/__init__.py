"""atomfit: from an atomic-resolution 3D map of a nanoparticle to a jointly refined atomic model.

    >>> import atomfit
    >>> result = atomfit.build("particle.mrc", "Pt")
    >>> result.positions                       # (n, 3), Å, in the map's frame
    >>> result.write("particle_atoms")         # atoms.csv, atoms.cif, model.mrc, ...

Names are loaded when they are first used, so that importing the package (and `atomfit --help`) does not
wait for JAX.
"""

import logging
from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.io.mrc import read_map as read_map
    from atomfit.io.mrc import write_map as write_map
    from atomfit.options.build import BuildOptions as BuildOptions
    from atomfit.options.columns import ColumnOptions as ColumnOptions
    from atomfit.options.heights import HeightsOptions as HeightsOptions
    from atomfit.options.tilt import TiltOptions as TiltOptions
    from atomfit.projection.views import Views as Views
    from atomfit.results.build import BuildResult as BuildResult
    from atomfit.results.columns import ColumnsResult as ColumnsResult
    from atomfit.results.compare import SeriesComparison as SeriesComparison
    from atomfit.results.followed import ModelSeries as ModelSeries
    from atomfit.results.heights import HeightsResult as HeightsResult
    from atomfit.results.heights import HeightsSeries as HeightsSeries
    from atomfit.results.tilt import TiltResult as TiltResult
    from atomfit.simulation.maps import Simulation as Simulation
    from atomfit.simulation.maps import simulate as simulate
    from atomfit.structure.atoms import (
        AnisotropicDisplacements as AnisotropicDisplacements,
    )
    from atomfit.structure.atoms import (
        Atoms as Atoms,
    )
    from atomfit.structure.atoms import (
        IsotropicDisplacements as IsotropicDisplacements,
    )
    from atomfit.structure.grid import DensityMap as DensityMap
    from atomfit.structure.grid import Grid as Grid
    from atomfit.support.errors import InputError as InputError
    from atomfit.support.release import __version__ as __version__
    from atomfit.workflows.build import build as build
    from atomfit.workflows.columns import columns as columns
    from atomfit.workflows.compare import compare as compare
    from atomfit.workflows.heights import heights as heights
    from atomfit.workflows.preparation import check as check
    from atomfit.workflows.series import series as series
    from atomfit.workflows.tilt import tilt as tilt
else:
    export(
        __name__,
        {
            "workflows.build": ["build"],
            "workflows.tilt": ["tilt"],
            "workflows.columns": ["columns"],
            "workflows.heights": ["heights"],
            "workflows.compare": ["compare"],
            "workflows.series": ["series"],
            "workflows.preparation": ["check"],
            "simulation.maps": ["simulate", "Simulation"],
            "io.mrc": ["read_map", "write_map"],
            "results.build": ["BuildResult"],
            "results.columns": ["ColumnsResult"],
            "results.heights": ["HeightsResult", "HeightsSeries"],
            "results.tilt": ["TiltResult"],
            "results.compare": ["SeriesComparison"],
            "results.followed": ["ModelSeries"],
            "options.build": ["BuildOptions"],
            "options.columns": ["ColumnOptions"],
            "options.heights": ["HeightsOptions"],
            "options.tilt": ["TiltOptions"],
            "projection.views": ["Views"],
            "structure.atoms": ["Atoms", "AnisotropicDisplacements", "IsotropicDisplacements"],
            "structure.grid": ["DensityMap", "Grid"],
            "support.errors": ["InputError"],
            "support.release": ["__version__"],
        },
    )

logging.getLogger(__name__).addHandler(logging.NullHandler())
