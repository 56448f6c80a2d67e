"""ase's effective-medium potential for a particle of one element, for all pairs at once.

ase's own calculator visits atom by atom in Python, and molecular dynamics of a few hundred atoms takes
minutes with it. This one takes its parameters, cutoffs and smoothing from ase and evaluates the same sums
(Jacobsen, Stoltze & Nørskov, Surf. Sci. 366 (1996)) over arrays of pairs; energies and forces are ase's to
rounding. It knows no cell and no stress. Pairs are looked for again when atoms have moved far enough for a
new one to have come within reach.
"""

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT, beta
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

#: How much farther than the potential reaches pairs are kept (Å).
_SKIN = 0.8


class PairwiseEMT(EMT):
    """Energies and forces of a free particle whose atoms are all alike."""

    implemented_properties = ("energy", "free_energy", "energies", "forces")

    def initialize(self, atoms: Any) -> None:
        """Parameters of the element, and no pairs yet."""
        super().initialize(atoms)
        if len(self.par["Z"]) != 1:
            raise NotImplementedError("atoms of one element only")
        self.of = {name: float(values[0]) for name, values in self.par.items()}
        self.listed_at = np.full((len(atoms), 3), np.inf)

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        Calculator.calculate(self, atoms, properties, system_changes)
        if "numbers" in system_changes:
            self.initialize(self.atoms)
        positions = self.atoms.positions
        i, j, d, r = self._pairs(positions)

        def at_atoms(values: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " n"]:
            return np.bincount(i, values, len(positions)) + np.bincount(j, values, len(positions))

        p, rest = self.of, beta * self.of["s0"]
        window, slope = self._calc_theta(r)
        density = np.exp(-p["eta2"] * (r - rest)) * window
        repulsion = np.exp(-p["kappa"] / beta * (r - rest)) * window
        # An atom on its own is in no medium; the logarithm must not see that.
        total = np.maximum(at_atoms(density), np.finfo(float).tiny)
        s = -np.log(total * p["inv12gamma1"]) / (beta * p["eta2"])
        cohesion = p["E0"] * np.exp(-p["lambda"] * s)
        embedding = 6 * p["V0"] * np.exp(-p["kappa"] * s)
        energies = (1 + p["lambda"] * s) * cohesion + embedding - p["E0"]
        energies += p["neghalfv0overgamma2"] * at_atoms(repulsion)
        by_density = (p["lambda"] ** 2 * s * cohesion + p["kappa"] * embedding) / (beta * p["eta2"] * total)

        by_distance = (by_density[i] + by_density[j]) * density * (slope - p["eta2"])
        by_distance += 2 * p["neghalfv0overgamma2"] * repulsion * (slope - p["kappa"] / beta)
        pulls = (by_distance / r)[:, None] * d
        forces = [np.bincount(i, f, len(positions)) - np.bincount(j, f, len(positions)) for f in pulls.T]
        self.results["energies"] = energies
        self.results["energy"] = self.results["free_energy"] = float(energies.sum())
        self.results["forces"] = np.stack(forces, axis=1)

    def _pairs(
        self, positions: Float[np.ndarray, "n 3"]
    ) -> tuple[
        Int[np.ndarray, " pairs"],
        Int[np.ndarray, " pairs"],
        Float[np.ndarray, "pairs 3"],
        Float[np.ndarray, " pairs"],
    ]:
        """Each pair within reach once: its atoms, the vector between them, and its length (Å)."""
        if np.sum((positions - self.listed_at) ** 2, axis=1).max(initial=0) > (_SKIN / 2) ** 2:
            self.listed = cKDTree(positions).query_pairs(self.rc_list + _SKIN, output_type="ndarray").T
            self.listed_at = positions.copy()
        i, j = self.listed
        vectors = positions[j] - positions[i]
        lengths = np.sqrt(np.einsum("pk,pk->p", vectors, vectors))
        near = lengths < self.rc_list
        return i[near], j[near], vectors[near], lengths[near]
