"""atomfit: from an atomic-resolution 3D map of a nanoparticle to a jointly refined atomic model.

    >>> import atomfit
    >>> result = atomfit.build("particle.mrc", "Pt")
    >>> result.positions                       # (n, 3), Å, in the map's frame
    >>> result.write("particle_atoms")         # atoms.csv, atoms.cif, model.mrc, ...

Names are loaded when they are first used, so that importing the package (and `atomfit --help`) does not
wait for JAX.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Atoms": "structure.atoms",
    "AnisotropicDisplacements": "structure.atoms",
    "IsotropicDisplacements": "structure.atoms",
    "BuildOptions": "options.build",
    "BuildResult": "results.build",
    "DensityMap": "structure.grid",
    "Grid": "structure.grid",
    "InputError": "support.errors",
    "TiltOptions": "options.tilt",
    "TiltResult": "results.tilt",
    "Views": "projection.views",
    "build": "workflows.build",
    "check": "workflows.preparation",
    "compare": "workflows.compare",
    "read_map": "io.mrc",
    "simulate": "simulation",
    "tilt": "workflows.tilt",
    "write_map": "io.mrc",
}

__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from atomfit.io.mrc import read_map, write_map
    from atomfit.options.build import BuildOptions
    from atomfit.options.tilt import TiltOptions
    from atomfit.projection.views import Views
    from atomfit.results.build import BuildResult
    from atomfit.results.tilt import TiltResult
    from atomfit.simulation import simulate
    from atomfit.structure.atoms import AnisotropicDisplacements, Atoms, IsotropicDisplacements
    from atomfit.structure.grid import DensityMap, Grid
    from atomfit.support.errors import InputError
    from atomfit.workflows.build import build
    from atomfit.workflows.compare import compare
    from atomfit.workflows.preparation import check
    from atomfit.workflows.tilt import tilt

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
