"""Where a fit begins: mean atoms at the places that were found, as high as the map is there."""

from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.limits import LIMITS
from atomfit.fitting.settings import MapSettings
from atomfit.gaussians.scatterers import AbstractScattering
from atomfit.observation.background import AbstractBackground, background_of
from atomfit.rendering import bucket
from atomfit.structure.atoms import (
    AbstractDisplacements,
    AnisotropicDisplacements,
    Atoms,
    IsotropicDisplacements,
)
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.region import Region
from atomfit.structure.scattering import blur_to_width
from atomfit.support.errors import InputError

Tree = TypeVar("Tree")


def starting_model(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    blur: float,
    numbers: Int[np.ndarray, " n"],
    scatterers: AbstractScattering,
    region: Region,
    settings: MapSettings,
) -> tuple[Atoms, AbstractBackground]:
    """Mean atoms at the given places, as high as the map is there, and what lies beneath.

    They are padded to the next bucket.

    **Arguments:** those of `pose`, and

    - `blur`: what widens the mean atom (Å²), its `scatterers` apart.
    """
    n, d = positions.shape
    which = filled(np.arange(n))
    size = len(which)
    below = background_of(settings.background, mean_atom.background, d)
    places = density.grid.nearest_voxels(positions)
    beneath = np.broadcast_to(below.on(density.grid, region.grid), density.grid.shape)
    height = density.at(places) - beneath[tuple(places.T)]
    relative = np.clip(height / mean_atom.height, 0.1, None)
    relative = np.where(np.arange(size) < n, relative[which], 0.0)
    shape: AbstractDisplacements
    if settings.displacements == "isotropic":
        shape = IsotropicDisplacements.from_variances(np.full(size, blur))
    else:
        matrix = mean_atom.matrix * (blur / mean_atom.u)
        shape = AnisotropicDisplacements.from_matrices(np.tile(matrix, (size, 1, 1)))
    weights, matrices = scatterers.terms(shape.matrices(d))
    peaks = np.sum(weights / np.sqrt(np.linalg.det(2 * np.pi * matrices)), axis=1)
    atoms = Atoms(
        positions[which] - region.grid.origin,
        displacements=shape,
        amplitudes=relative / peaks,
        numbers=numbers[which],
    )
    # Numpy until it is traced: every jax operation outside a jitted function is compiled on its own.
    return cast((atoms, below.times(1 / mean_atom.height)), np.float32)


def blur_of(mean_atom: MeanAtom, element: Element) -> float:
    """What widens the mean atom (Å²), its element's form factor apart."""
    blur = blur_to_width(element.symbol, mean_atom.u, 0.5 * element.neighbour_distance)
    if blur is None or blur < LIMITS.sharpest * mean_atom.u:
        raise InputError(
            f"the map's atoms are no wider than the electron form factor of {element.symbol}, "
            "or there is none",
            "use --scattering gaussian",
            "--scattering",
        )
    return blur


def blur_around(mean_atom: MeanAtom, scatterers: AbstractScattering) -> float:
    """What widens the mean atom (Å²) around given densities at rest, by the curvature of its peak."""
    d = len(mean_atom.matrix)
    weights, terms = scatterers.terms(np.zeros((1, d, d)))
    rest = np.trace(np.asarray(terms)[0], axis1=1, axis2=2) / d

    def too_wide(blur: float) -> float:
        peaks = np.asarray(weights)[0] * (blur + rest) ** (-d / 2)
        return float(np.sum(peaks)) - mean_atom.u * float(np.sum(peaks / (blur + rest)))

    least = LIMITS.sharpest * mean_atom.u
    if not too_wide(least) < 0 <= too_wide(mean_atom.u):
        raise InputError(
            "the map's atoms are no wider than the scattering that was given makes them at rest",
            "use scattering='gaussian', or scatterers of less width",
            "scattering",
        )
    return float(brentq(too_wide, least, mean_atom.u))


def filled(x: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Filled up to the next bucket, by the first of them."""
    return np.concatenate([x, np.repeat(x[:1], bucket(len(x)) - len(x))])


def cast(tree: Tree, kind: type) -> Tree:
    """Floating-point leaves as numpy arrays of one kind."""
    return jax.tree.map(lambda x: np.asarray(x, kind if x.dtype.kind == "f" else None), tree)
