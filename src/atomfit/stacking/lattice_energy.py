"""Energy of atoms on the sites of a lattice: which sites are filled in, electronvolts out.

On a lattice a potential of embedded atoms is arithmetic. An atom lends its neighbours a share of density
that depends on which shell they are in, and the energy is

    E = Σ_i F(Σ_s n_is ρ_s) + Σ_pairs φ_s,

with n_is the number of i's neighbours in shell s. What one atom changes is looked up. The effective-medium
potential has this form, and on its sites the energy is its own, but for the small shares of far shells,
which near ones take over. The lattice is the potential's own, unstrained: what atoms gain by moving off
their sites is left out, which makes differences between surfaces somewhat too large.

Of any other calculator the same form is taken: a function of the first shell's coordination number, and
pairs of the second and third, fitted to the calculator's energies of small particles of random shape
(least squares). Their root mean square difference is told.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from atomfit.stacking.zones import Stacking
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.support.errors import InputError

#: Shares below this part of a neighbour's are left out: those of the third shell, but for Al. Differences
#: of energy by a move are then off by 3 (Pt) to 28 meV (Ni). Points of the table of F.
_LEAST_SHARE, _TABLE = 5e-3, 8192
#: Particles that a calculator's energies are fitted to, and their atoms.
_PARTICLES, _ATOMS = 40, (20, 150)
#: How far shells of such a fit reach, in distances of nearest neighbours, and what weighs functions down.
_FITTED_REACH, _RIDGE = 1.8, 1e-6


@dataclass(frozen=True, eq=False)
class LatticeEnergy:
    """Of sites h a + k b + l c.

    **Fields:**

    - `steps`: to the v sites that share with one, (h, k, l).
    - `first`: which of these are nearest neighbours (in bcc the next ones as well).
    - `densities`: what each lends.
    - `pairs`: energy of the pair with each (eV).
    - `table`: F of densities from 0 (eV), at even steps.
    - `step`: between them.
    - `scale`: lengths of the potential's lattice beside those of the sites.
    - `error`: by how much a fitted energy is off, an atom (eV; root mean square); 0 if it is exact.
    """

    steps: Int[np.ndarray, "v 3"]
    first: np.ndarray
    densities: Float[np.ndarray, " v"]
    pairs: Float[np.ndarray, " v"]
    table: Float[np.ndarray, " t"]
    step: float
    scale: float
    error: float = 0.0

    def embedding(self, density: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """F, from the table (eV)."""
        at = np.clip(density / self.step, 0, len(self.table) - 1)
        return np.interp(at, np.arange(len(self.table)), self.table)

    def energy(self, sites: Int[np.ndarray, "n 3"]) -> float:
        """Of atoms on sites (eV), counted one by one: a slow reference.

        **Arguments:**

        - `sites`: (h, k, l) of each.
        """
        there = {tuple(site) for site in sites.tolist()}
        near = sites[:, None] + self.steps
        filled = np.array([[tuple(one) in there for one in each] for each in near.tolist()])
        filled = filled.reshape(len(sites), len(self.steps))
        return float(np.sum(self.embedding(filled @ self.densities)) + 0.5 * np.sum(filled @ self.pairs))


def energy_of_medium(
    stacking: Stacking, medium: EffectiveMedium, least: float = _LEAST_SHARE
) -> LatticeEnergy:
    """Of the effective-medium potential, on its own lattice.

    **Arguments:**

    - `stacking`: whose sites are filled.
    - `medium`: the potential.
    - `least`: shares that are a smaller part of a neighbour's are left out.
    """
    scale = medium.neighbour_distance / _nearest(stacking)
    steps, lengths = _sharing(stacking, medium.reach / scale)
    densities = np.asarray(medium.density(scale * lengths), np.float64)
    repulsions = np.asarray(medium.repulsion(scale * lengths), np.float64)
    kept = densities > least * densities.max()
    # What is left out of the bulk is made up for by what is not.
    densities = densities[kept] * densities.sum() / densities[kept].sum()
    repulsions = repulsions[kept] * repulsions.sum() / repulsions[kept].sum()
    steps, lengths = steps[kept], lengths[kept]
    step = 1.02 * float(densities.sum()) / (_TABLE - 1)
    table = np.asarray(medium.embedding(step * np.arange(_TABLE)), np.float64)
    return LatticeEnergy(steps, first_shell(stacking, lengths), densities, repulsions, table, step, scale)


def energy_of_calculator(stacking: Stacking, symbol: str, calculator: Any, seed: int = 0) -> LatticeEnergy:
    """Of any calculator, fitted to its energies of small particles; see the head of this module.

    **Arguments:**

    - `stacking`: whose sites are filled.
    - `symbol`: the element.
    - `calculator`: ase's, of free particles.
    - `seed`: of the particles.

    **Raises:** `InputError` if the calculator gives no energy of such particles.
    """
    steps, lengths = _sharing(stacking, _FITTED_REACH * _nearest(stacking))
    first = first_shell(stacking, lengths)
    further, shell = np.unique(np.round(lengths[~first], 6), return_inverse=True)
    bulk, rng = int(first.sum()), np.random.default_rng(seed)
    design, energies = [], []
    for _ in range(_PARTICLES):
        positions = _random_particle(stacking, int(rng.integers(*_ATOMS)), rng)
        energies.append(_calculated(symbol, positions, calculator))
        design.append(_numbers(positions, lengths[first].max() * 1.02, bulk, further))
    numbers = np.array(design)
    fitted, rest = _ridge(numbers, np.array(energies))
    own = fitted[: bulk + 1]
    pairs = np.zeros(len(steps))
    pairs[~first] = fitted[bulk + 1 :][shell]
    # A whole coordination number is a point of the table.
    error = float(np.sqrt(np.mean((rest / numbers[:, : bulk + 1].sum(axis=1)) ** 2)))
    return LatticeEnergy(steps, first, first.astype(float), pairs, own, 1.0, 1.0, error)


def first_shell(stacking: Stacking, lengths: Float[np.ndarray, " v"]) -> np.ndarray:
    """Which lengths are those of neighbours as coordination numbers count them (Å)."""
    reach = {"fcc": 1.2, "bcc": 1.28}[stacking.structure]
    return np.asarray(lengths < reach * _nearest(stacking))


def _nearest(stacking: Stacking) -> float:
    return _sharing(stacking, 1.05 * stacking.constant)[1].min()


def _sharing(stacking: Stacking, reach: float) -> tuple[Int[np.ndarray, "v 3"], Float[np.ndarray, " v"]]:
    """Steps to all sites nearer than a reach (Å), and their lengths."""
    far = np.ceil(reach * np.linalg.norm(np.linalg.inv(stacking.vectors), axis=0)).astype(int)
    steps = np.array(list(product(*(range(-int(n), int(n) + 1) for n in far))))
    lengths = np.linalg.norm(steps @ stacking.vectors, axis=1)
    near = (lengths < reach) & (lengths > 1e-6)
    return steps[near], lengths[near]


def _random_particle(stacking: Stacking, atoms: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Sites nearest to a random point, in an ellipsoid of random axes, with a rough surface."""
    sites, _ = _sharing(stacking, stacking.constant * (1.2 * atoms ** (1 / 3) + 2))
    sites = np.concatenate([np.zeros((1, 3), int), sites])
    places = sites @ stacking.vectors
    axes = rng.normal(size=(3, 3)) + 2 * np.eye(3)
    far = np.linalg.norm((places - rng.normal(size=3)) @ axes, axis=1)
    far += rng.uniform(0, 0.3) * stacking.constant * rng.normal(size=len(far))
    return places[np.argsort(far)[:atoms]]


def _calculated(symbol: str, positions: Float[np.ndarray, "n 3"], calculator: Any) -> float:
    from ase import Atoms

    atoms = Atoms([symbol] * len(positions), positions)
    atoms.calc = calculator
    try:
        energy = float(atoms.get_potential_energy())
    # Calculators fail in ways of their own.
    except Exception as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"the calculator gives no energy of {symbol} ({told})", "give another", "calculator"
        ) from None
    if not np.isfinite(energy):
        raise InputError("the calculator's energy is no number", "give another", "calculator")
    return energy


def _numbers(
    positions: Float[np.ndarray, "n 3"], near: float, bulk: int, further: Float[np.ndarray, " s"]
) -> Float[np.ndarray, " q"]:
    """How many atoms have 0 to so many neighbours, and how many pairs are in each further shell."""
    tree = cKDTree(positions)
    pairs = tree.query_pairs(float(further.max(initial=near)) + 0.1, output_type="ndarray")
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    own = np.bincount(pairs[lengths < near].ravel(), minlength=len(positions))
    shells = [np.sum(np.abs(lengths - one) < 0.02 * one) for one in further]
    return np.concatenate([np.bincount(own, minlength=bulk + 1), shells]).astype(float)


def _ridge(
    design: Float[np.ndarray, "m q"], energies: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " m"]]:
    """Least squares, an atom's energy being smooth in its coordination; and what is left."""
    q = design.shape[1]
    # An atom's energy is much like that of one with a neighbour more: second differences are small.
    bent = np.zeros((q, q))
    last = q - 1
    for k in range(1, last):
        bent[k, k - 1 : k + 2] = 1, -2, 1
    normal = design.T @ design
    weight = _RIDGE * np.trace(normal) / q
    fitted = np.linalg.lstsq(normal + weight * (bent.T @ bent + 1e-6 * np.eye(q)), design.T @ energies)[0]
    return fitted, energies - design @ fitted
