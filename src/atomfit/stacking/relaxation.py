"""Atoms off their sites: a potential and the measured places of columns in, positions out.

What is minimised is minus the logarithm of a probability,

    E(r) / kT + ½ Σ_c (A m_c + t - x_c)ᵀ C_c⁻¹ (A m_c + t - x_c) + ½ Σ (A - 1)² / δ²,

with m_c the mean x and y of the atoms of column c, x_c and C_c the place that was measured for it and its
covariance. A and t lay the particle into the image: pixel sizes are off by a few per cent, and scans
distort, so that A is known to be near 1 only. z is the potential's alone. Each sample is a particle of its
own and is relaxed by itself, from its sites (L-BFGS).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from atomfit.structure.effective_medium import EffectiveMedium

Forces = Callable[[Float[np.ndarray, "n 3"]], tuple[float, Float[np.ndarray, "n 3"]]]

#: What A is known to (standard deviation), and how sure a column's place is at most (Å).
_DISTORTION, _SUREST = 0.02, 0.005
#: Pairs are kept that are farther apart by this (Å); atoms that fill up arrays lie this far apart (Å).
_SKIN, _FAR = 1.0, 1e3
#: Steps at most, and the part of what is minimised that a step changes in the end: energies have 32 bits.
_ITERATIONS, _ENDED = 150, 1e-6


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A particle.

    **Fields:**

    - `positions`: in the image's frame and lengths; z along the beam (Å).
    - `energy`: of the atoms (eV).
    - `stretch`: A.
    - `moved`: root mean square distance from the sites, laid on them (Å).
    - `misfit`: χ² of the columns' places, a column and axis.
    """

    positions: Float[np.ndarray, "n 3"]
    energy: float
    stretch: Float[np.ndarray, "2 2"]
    moved: float
    misfit: float


class MediumForces:
    """Energy and forces of the effective-medium potential, for particles of up to some size.

    One program serves all of them: arrays are filled up with atoms that are far from everything.
    """

    def __init__(self, medium: EffectiveMedium, atoms: int) -> None:
        self.medium, self.atoms, self.pairs = medium, atoms + 2, 0
        self.listed = np.zeros((0, 2), int)
        self.listed_at: np.ndarray | None = None

    def __call__(self, positions: Float[np.ndarray, "n 3"]) -> tuple[float, Float[np.ndarray, "n 3"]]:
        """Energy (eV) and forces (eV/Å) of a free particle."""
        n = len(positions)
        whole = np.zeros((self.atoms, 3), np.float32)
        whole[:n] = positions
        whole[n:, 0] = _FAR * np.arange(1, self.atoms - n + 1)
        old = self.listed_at
        if old is None or old.shape != positions.shape or np.abs(positions - old).max() > 0.4 * _SKIN:
            near = cKDTree(positions).query_pairs(self.medium.reach + _SKIN, output_type="ndarray")
            self.pairs = max(self.pairs, 1 << int(np.ceil(np.log2(max(len(near), 1)))))
            # The last two atoms are never of the particle.
            self.listed = np.full((self.pairs, 2), [self.atoms - 2, self.atoms - 1])
            self.listed[: len(near)] = near
            self.listed_at = positions.copy()
        energy, slope = _medium_energy(self.medium, jnp.asarray(whole), jnp.asarray(self.listed), n)
        return float(energy), -np.asarray(slope, np.float64)[:n]


@eqx.filter_jit
def _medium_energy(
    medium: EffectiveMedium, positions: Float[Array, "n 3"], pairs: Int[Array, "p 2"], number: int
) -> tuple[Float[Array, ""], Float[Array, "n 3"]]:
    def total(x: Float[Array, "n 3"]) -> Float[Array, ""]:
        return jnp.sum(jnp.where(jnp.arange(len(x)) < number, medium.energies(x, pairs), 0.0))

    return jax.value_and_grad(total)(positions)


class CalculatorForces:
    """Energy and forces of any of ase's calculators."""

    def __init__(self, symbol: str, calculator: Any) -> None:
        self.symbol, self.calculator = symbol, calculator

    def __call__(self, positions: Float[np.ndarray, "n 3"]) -> tuple[float, Float[np.ndarray, "n 3"]]:
        """Energy (eV) and forces (eV/Å) of a free particle."""
        from ase import Atoms

        atoms = Atoms([self.symbol] * len(positions), positions)
        atoms.calc = self.calculator
        return float(atoms.get_potential_energy()), np.asarray(atoms.get_forces(), np.float64)


def relax(
    sites: Float[np.ndarray, "n 3"],
    columns: Int[np.ndarray, " n"],
    places: Float[np.ndarray, "c 2"],
    covariances: Float[np.ndarray, "c 2 2"],
    forces: Forces,
    thermal: float,
) -> Relaxed:
    """Let atoms off their sites.

    **Arguments:**

    - `sites`: of the atoms, on the potential's lattice, turned as the image is (Å).
    - `columns`: which column each is in; every one has some.
    - `places`, `covariances`: of the columns as they were measured (Å, Å²).
    - `forces`: energy and forces of atoms.
    - `thermal`: kT (eV).
    """
    n, number = len(sites), np.bincount(columns, minlength=len(places))
    inverse = np.linalg.inv(covariances + _SUREST**2 * np.eye(2))

    def means(x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "c 2"]:
        return np.stack([np.bincount(columns, x[:, k], len(places)) / number for k in (0, 1)], axis=1)

    middles = means(sites)
    shift = places.mean(axis=0) - middles.mean(axis=0)

    def unlikely(numbers: Float[np.ndarray, " q"]) -> tuple[float, Float[np.ndarray, " q"]]:
        x = numbers[: 3 * n].reshape(n, 3)
        stretch, t = np.eye(2) + 0.1 * numbers[3 * n : 3 * n + 4].reshape(2, 2), numbers[3 * n + 4 :]
        energy, pull = forces(x)
        middle = means(x)
        off = middle @ stretch.T + t + shift - places
        weighted = np.einsum("cij,cj->ci", inverse, off)
        slope = -pull / thermal
        slope[:, :2] += ((weighted @ stretch) / number[:, None])[columns]
        apart = stretch - np.eye(2)
        value = energy / thermal + 0.5 * np.sum(off * weighted) + 0.5 * np.sum(apart**2) / _DISTORTION**2
        by_stretch = 0.1 * (weighted.T @ middle + apart / _DISTORTION**2)
        return float(value), np.concatenate([slope.ravel(), by_stretch.ravel(), weighted.sum(axis=0)])

    begin = np.concatenate([sites.ravel(), np.zeros(6)])
    options = {"maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS, "ftol": _ENDED}
    found = minimize(unlikely, begin, jac=True, method="L-BFGS-B", options=options).x
    x = found[: 3 * n].reshape(n, 3)
    stretch, t = np.eye(2) + 0.1 * found[3 * n : 3 * n + 4].reshape(2, 2), found[3 * n + 4 :] + shift
    off = means(x) @ stretch.T + t - places
    positions = np.column_stack([x[:, :2] @ stretch.T + t, x[:, 2] * np.sqrt(abs(np.linalg.det(stretch)))])
    apart = (x - x.mean(axis=0)) - (sites - sites.mean(axis=0))
    return Relaxed(
        positions,
        forces(x)[0],
        stretch,
        float(np.sqrt(np.mean(np.sum(apart**2, axis=1)))),
        float(np.einsum("ci,cij,cj->", off, inverse, off) / (2 * len(places))),
    )
