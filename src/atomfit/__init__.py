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
    "Atoms": "atoms",
    "AnisotropicDisplacements": "atoms",
    "IsotropicDisplacements": "atoms",
    "BuildOptions": "options",
    "BuildResult": "pipeline",
    "DensityMap": "grid",
    "Grid": "grid",
    "InputError": "errors",
    "TiltOptions": "tilt_options",
    "TiltResult": "tilting",
    "Views": "projection.views",
    "build": "pipeline",
    "check": "preparation",
    "compare": "comparing",
    "read_map": "io.mrc",
    "simulate": "simulation",
    "tilt": "tilting",
    "write_map": "io.mrc",
}

__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from atomfit.atoms import AnisotropicDisplacements, Atoms, IsotropicDisplacements
    from atomfit.comparing import compare
    from atomfit.errors import InputError
    from atomfit.grid import DensityMap, Grid
    from atomfit.io.mrc import read_map, write_map
    from atomfit.options import BuildOptions
    from atomfit.pipeline import BuildResult, build
    from atomfit.preparation import check
    from atomfit.projection.views import Views
    from atomfit.simulation import simulate
    from atomfit.tilt_options import TiltOptions
    from atomfit.tilting import TiltResult, tilt

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
