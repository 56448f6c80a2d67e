"""Spreads of numbers that single atoms hardly tell."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, PyTree

from atomfit.inference import AbstractNoise, AbstractObservation, Problem, WhiteNoise, frozen
from atomfit.inference.empirical_bayes import with_empirical_spread
from atomfit.structure import AnharmonicAtoms, AnisotropicDisplacements, Atoms
from atomfit.structure.canvas import AbstractStructure, Leaf

ATOMS, NOISE = 160, 0.01


class Direct(AbstractObservation):
    """Measures third cumulants themselves."""

    data: Float[Leaf, "n 10"]
    counted: Leaf
    noise: AbstractNoise
    nuisance: PyTree = None

    def predict(self, structure: AbstractStructure, nuisance: PyTree) -> Float[Array, "n 10"]:
        return jnp.asarray(structure.third)  # type: ignore[attr-defined]


def test_planted_spreads_are_found(rng: np.random.Generator) -> None:
    groups = np.arange(ATOMS) % 2
    planted = np.array([0.03, 0.008])
    true = planted[groups, None] * rng.standard_normal((ATOMS, 10))
    data = (true + NOISE * rng.standard_normal(true.shape)).astype(np.float32)
    atoms = AnharmonicAtoms.of(
        Atoms(
            rng.uniform(0, 20, (ATOMS, 3)),
            displacements=AnisotropicDisplacements.from_variances(np.full(ATOMS, 0.2)),
            amplitudes=np.ones(ATOMS),
            numbers=np.full(ATOMS, 78),
        )
    )
    others = frozen(atoms, lambda s: (s.positions, s.displacements, s.fourth, s.amplitudes))
    problem = Problem(others, (Direct(data, np.ones(data.shape, np.float32), WhiteNoise(NOISE)),))

    found = with_empirical_spread(problem, lambda s: s.third, groups, 0.1, rounds=8)

    assert np.sqrt(np.mean(found.spreads**2, axis=1)) == pytest.approx(planted, rel=0.15)
    z = (found.fit.structure.third - true) / found.known.of_atoms(lambda s: s.third).esd
    for group in (0, 1):
        assert np.sqrt(np.mean(z[groups == group] ** 2)) == pytest.approx(1, abs=0.1)
