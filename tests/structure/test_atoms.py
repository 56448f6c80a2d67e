import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.structure.atoms import AnisotropicDisplacements, Atoms, IsotropicDisplacements


def matrices(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    root = rng.normal(size=(n, d, d))
    return root @ np.swapaxes(root, 1, 2) + 0.05 * np.eye(d)


@pytest.mark.parametrize("d", [2, 3])
def test_matrices_survive_the_round_trip(rng: np.random.Generator, d: int) -> None:
    u = matrices(rng, 20, d)
    restored = AnisotropicDisplacements.from_matrices(u).matrices(d)
    assert restored.dtype == np.float64
    np.testing.assert_allclose(restored, u, rtol=1e-10)


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=6, max_size=6))
def test_any_numbers_make_a_positive_definite_matrix(numbers: list[float]) -> None:
    values = np.array(numbers) / 10
    displacements = AnisotropicDisplacements(values[None, :3], values[None, 3:])
    assert np.linalg.eigvalsh(displacements.matrices(3)).min() > 0


def test_isotropic_matrices_are_multiples_of_one() -> None:
    displacements = IsotropicDisplacements.from_variances(np.array([0.2, 0.5]))
    np.testing.assert_allclose(displacements.matrices(3), np.array([0.2, 0.5])[:, None, None] * np.eye(3))


def test_traced_and_host_matrices_agree(rng: np.random.Generator) -> None:
    host = AnisotropicDisplacements.from_matrices(matrices(rng, 5, 3))
    device = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), host)
    np.testing.assert_allclose(jax.jit(lambda x: x.matrices(3))(device), host.matrices(3), rtol=1e-4)


def test_atoms_are_selected_and_shifted(rng: np.random.Generator) -> None:
    u = matrices(rng, 6, 3)
    atoms = Atoms(
        rng.normal(size=(6, 3)),
        AnisotropicDisplacements.from_matrices(u),
        np.ones(6),
        np.full(6, 78),
    )
    some = atoms[np.array([1, 4])]
    assert len(some) == 2
    np.testing.assert_allclose(some.matrices(), u[[1, 4]])
    np.testing.assert_allclose(
        atoms.shifted(np.array([1.0, 2.0, 3.0])).positions, atoms.positions + [1, 2, 3]
    )
