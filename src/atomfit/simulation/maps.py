"""A particle's map with known truth, to try programs on.

The default is the case that the published program was measured on: 309 atoms of Pt, displacements that
rise from the core to the surface, a little positional disorder, white noise given as a part of a core
atom's peak. Every random choice comes from the seed.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.io.mrc import checked_voxel_size
from atomfit.options.declared import options_from
from atomfit.options.simulation import SimulationOptions
from atomfit.rendering import Gaussians, render_map
from atomfit.simulation.disturbances import noise, without_wedge
from atomfit.simulation.particles import orientation, particle, rotated
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.scattering import GaussianMixture, form_factor, is_tabulated
from atomfit.support.errors import InputError
from atomfit.support.numerics import own_numerics

_CUTOFF = 6.0
_MARGIN = 9.0


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulated map and its truth.

    **Fields:**

    - `map`: with noise and wedge; a core atom's peak is 1.
    - `symbol`: of the atoms.
    - `positions`: in the map's frame (Å).
    - `matrices`: displacement matrices (Å²).
    - `amplitudes`: integrals of the atoms' densities (map units x Å³).
    - `options`: that made it.
    """

    map: DensityMap
    symbol: str
    positions: Float[np.ndarray, "n 3"]
    matrices: Float[np.ndarray, "n 3 3"]
    amplitudes: Float[np.ndarray, " n"]
    options: SimulationOptions

    def scatterers(self) -> Gaussians:
        """The atoms as Gaussians, several an atom where its form factor is a sum of them."""
        return _scatterers(self.positions, self.matrices, self.amplitudes, _shape_at_rest(self.options))

    def scatterers_of_one(self) -> Gaussians:
        """A core atom alone, at the origin."""
        matrix = self.options.u_core * np.eye(3)[None]
        return _scatterers(np.zeros((1, 3)), matrix, self.amplitudes[:1], _shape_at_rest(self.options))


@own_numerics()
def simulate(options: SimulationOptions | None = None, **changes: object) -> Simulation:
    """Simulate a particle's map.

    **Arguments:**

    - `options`: what to simulate; `changes`, keyword arguments, replace single fields of it.

    **Raises:** `InputError` if an option makes no sense or the particle does not fit into the box.
    """
    options = options_from(SimulationOptions, options, changes, "simulate")
    kind = element(options.element)
    rng = np.random.default_rng(options.seed)
    sites = particle(options.shape, kind.symbol, options.size, options.seed, options.lattice)
    sites = rotated(sites, orientation(options.rotate, options.seed))
    matrices = _displacements(sites, options)
    grid = _grid(sites, options)
    positions = sites + rng.normal(0, options.jitter, sites.shape) + grid.centre + options.shift
    if not np.all(grid.contains(positions)):
        raise InputError("the particle does not fit into the box", "give a larger one, or none", "--box")
    at_rest = _shape_at_rest(options)
    core = GaussianMixture(at_rest.weights, at_rest.variances + options.u_core)
    amplitudes = np.full(len(sites), 1 / float(core.profile(np.zeros(1))[0]))
    drawn = _scatterers(positions, matrices, amplitudes, at_rest)
    values = render_map(drawn, grid, _CUTOFF).astype(np.float64)
    if options.noise > 0:
        values += noise(grid, options.noise, options.noise_correlation, options.seed + 1)
    if options.wedge > 0:
        values = without_wedge(values, grid, options.wedge)
    density = DensityMap(values.astype(np.float32), grid)
    return Simulation(density, kind.symbol, positions, matrices, amplitudes, options)


def _shape_at_rest(options: SimulationOptions) -> GaussianMixture:
    """An atom that does not move: a point, or its element's form factor."""
    if options.scattering == "gaussian":
        return GaussianMixture(np.ones(1), np.zeros(1))
    symbol = element(options.element).symbol
    if not is_tabulated(symbol):
        raise InputError(f"no form factor of {symbol} is known", "give another element", "--scattering")
    return form_factor(symbol, 0.0)


def _scatterers(
    positions: Float[np.ndarray, "n 3"],
    matrices: Float[np.ndarray, "n 3 3"],
    amplitudes: Float[np.ndarray, " n"],
    at_rest: GaussianMixture,
) -> Gaussians:
    """A Gaussian for each atom and each term of its shape at rest."""
    terms = len(at_rest.weights)
    return Gaussians(
        np.repeat(positions, terms, axis=0),
        (matrices[:, None] + at_rest.variances[:, None, None] * np.eye(3)).reshape(-1, 3, 3),
        (amplitudes[:, None] * at_rest.weights).ravel(),
    )


def _displacements(
    sites: Float[np.ndarray, "n 3"], options: SimulationOptions
) -> Float[np.ndarray, "n 3 3"]:
    """Displacement matrices: isotropic part by depth, one axis longer than the other two."""
    radius = np.linalg.norm(sites, axis=1)
    depth = np.clip((radius.max() - radius) / options.surface_depth, 0, 1)
    u_iso = options.u_surface + (options.u_core - options.u_surface) * depth
    if options.long_axis == "radial":
        # An atom at the very centre has no outward direction; any will do.
        outward = np.where(radius[:, None] > 1e-6, sites, [1.0, 0.0, 0.0])
        axis = outward / np.linalg.norm(outward, axis=1, keepdims=True)
    else:
        axis = np.tile(np.eye(3)["xyz".index(options.long_axis)], (len(sites), 1))
    longest = 3 / (1 + 2 * options.doi)
    along = axis[:, :, None] * axis[:, None, :]
    shape = longest * (options.doi * np.eye(3) + (1 - options.doi) * along)
    return u_iso[:, None, None] * shape


def _grid(sites: Float[np.ndarray, "n 3"], options: SimulationOptions) -> Grid:
    spacing = np.array(checked_voxel_size(options.voxel_size))
    if options.box is None:
        reach = np.abs(sites + options.shift).max(axis=0) + _MARGIN
        shape_xyz = 2 * np.ceil(reach / spacing).astype(int)
    else:
        shape_xyz = np.broadcast_to(np.atleast_1d(options.box), (3,)).astype(int)
    if np.any(shape_xyz < 4) or np.prod(shape_xyz.astype(float)) > 2**32:
        listed = " x ".join(str(n) for n in shape_xyz)
        if options.box is not None:
            raise InputError(f"a box of {listed} voxels cannot be made", "give another", "--box")
        edges = " x ".join(f"{edge:g}" for edge in np.unique(spacing))
        raise InputError(
            f"with voxels of {edges} Å the particle needs a box of {listed} voxels, which cannot be made",
            "give another voxel size",
            "--voxel-size",
        )
    return Grid(tuple(int(n) for n in shape_xyz[::-1]), spacing, np.zeros(3))
