"""A truth that is not drawn by hand: molecular dynamics of a metal particle, averaged over time.

A reconstruction shows the time-average of a particle. Here the particle moves under ase's
effective-medium potential (EMT: Ag, Al, Au, Cu, Ni, Pd, Pt) in a Langevin thermostat; each frame is laid
back by the rotation that fits best, because a free particle drifts and turns; the map is the mean of the
frames' densities and the true U of an atom is the covariance of its places. Motion is anisotropic and
anharmonic at the surface, as in reality. It takes seconds to minutes: it is for experiments and tests.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from atomfit.rendering import Gaussians, render_map
from atomfit.structure.grid import DensityMap, Grid


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Frames of a particle's motion, without its drift and rotation.

    **Fields:**

    - `frames`: positions at times spaced evenly (Å), about the mean centroid.
    """

    frames: Float[np.ndarray, "t n 3"]

    @property
    def positions(self) -> Float[np.ndarray, "n 3"]:
        """Mean positions (Å)."""
        return self.frames.mean(axis=0)

    @property
    def matrices(self) -> Float[np.ndarray, "n 3 3"]:
        """Displacement matrices (Å²): covariance of each atom's places."""
        offset = self.frames - self.positions
        return np.einsum("tni,tnj->nij", offset, offset) / (len(self.frames) - 1)

    def density(self, grid: Grid, u: float, centre: Float[np.ndarray, "3"]) -> DensityMap:
        """Time-averaged density of atoms that are Gaussians of variance `u` (Å²) at rest.

        **Arguments:**

        - `grid`: where.
        - `u`: variance of a resting atom (the reconstruction's resolution included).
        - `centre`: where the particle's centroid lies (Å).
        """
        total = np.zeros(grid.shape, np.float64)
        n = self.frames.shape[1]
        shape = np.broadcast_to(u * np.eye(3), (n, 3, 3))
        weights = np.full(n, (2 * np.pi * u) ** 1.5)
        for frame in self.frames:
            total += render_map(Gaussians(frame + centre, shape, weights), grid)
        return DensityMap((total / len(self.frames)).astype(np.float32), grid)


def molecular_dynamics(
    symbol: str,
    positions: Float[np.ndarray, "n 3"],
    *,
    temperature: float = 300.0,
    frames: int = 200,
    steps_per_frame: int = 10,
    warm_up: int = 500,
    time_step: float = 5.0,
    seed: int = 0,
) -> Trajectory:
    """Move a free particle under the EMT potential.

    **Arguments:**

    - `symbol`: an element that EMT knows.
    - `positions`: where the atoms start (Å).
    - `temperature`: of the thermostat (K).
    - `frames`, `steps_per_frame`, `warm_up`: steps that are kept, lie between kept ones, and go before.
    - `time_step`: in fs.
    - `seed`: of velocities and thermostat.
    """
    from ase import Atoms, units
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import Stationary, ZeroRotation

    from atomfit.simulation.effective_medium import PairwiseEMT

    rng = np.random.default_rng(seed)
    atoms = Atoms([symbol] * len(positions), positions)
    atoms.calc = PairwiseEMT()
    spread = np.sqrt(atoms.get_masses() * units.kB * temperature)
    atoms.set_momenta(spread[:, None] * rng.standard_normal(positions.shape))
    Stationary(atoms)
    ZeroRotation(atoms)
    motion = Langevin(
        atoms,
        time_step * units.fs,
        temperature_K=temperature,
        friction=0.01 / units.fs,
        fixcm=False,
        rng=rng,
    )
    motion.run(warm_up)
    kept = []
    for _ in range(frames):
        motion.run(steps_per_frame)
        kept.append(atoms.get_positions())
    return Trajectory(_laid_together(np.array(kept)))


def _laid_together(frames: Float[np.ndarray, "t n 3"]) -> Float[np.ndarray, "t n 3"]:
    """Frames without drift and rotation: each is fitted to the mean, twice."""
    frames = frames - frames.mean(axis=1, keepdims=True)
    target = frames[0]
    for _ in range(2):
        turned = []
        for frame in frames:
            rotation, _ = Rotation.align_vectors(target, frame)
            turned.append(rotation.apply(frame))
        frames = np.array(turned)
        target = frames.mean(axis=0)
    return frames
