"""Wrapped parts of a structure, and vectors of free numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import paramax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.inference import Parameters, bounded, fixed_where, frozen, positive, tied, with_wrapped
from atomfit.structure import Atoms, IsotropicDisplacements


def atoms(n: int = 4) -> Atoms:
    rng = np.random.default_rng(n)
    return Atoms(
        rng.normal(size=(n, 3)),
        displacements=IsotropicDisplacements.from_variances(np.full(n, 0.2)),
        amplitudes=1 + rng.random(n),
        numbers=np.full(n, 78),
    )


def changed(structure: Atoms, seed: int = 0) -> Atoms:
    """A structure with all of its free numbers changed."""
    parameters = Parameters.of(structure, ())
    rng = np.random.default_rng(seed)
    free = {
        name: rng.normal(size=np.shape(step)).astype(np.float32) for name, step in parameters.steps.items()
    }
    return parameters(free)[0]


# Each example has programs of its own.
@settings(deadline=None, max_examples=12)
@given(st.integers(1, 7), st.integers(0, 3))
def test_vectors_and_trees_are_each_others_inverse(n: int, seed: int) -> None:
    parameters = Parameters.of(atoms(n), (np.ones(seed, np.float32), None))
    vector = np.random.default_rng(seed).normal(size=parameters.size).astype(np.float32)
    np.testing.assert_array_equal(parameters.flat(parameters.unflat(vector)), vector)
    assert parameters.columns == (n, 5)
    assert parameters.size == 5 * n + seed


def test_each_atom_comes_with_its_own_numbers() -> None:
    """The solver's trust region is each atom's."""
    parameters = Parameters.of(atoms(), ())
    one = np.zeros(parameters.size, np.float32)
    one[5:10] = 1.0
    moved = parameters(parameters.unflat(jnp.asarray(one)))[0]
    far = ~np.isclose(np.asarray(moved.positions), parameters.start[0].positions).all(axis=1)
    np.testing.assert_array_equal(far, np.arange(4) == 1)


def test_what_is_frozen_stays() -> None:
    for where in (lambda a: a.amplitudes, lambda a: (a.amplitudes, a.positions)):
        new = changed(frozen(atoms(), where))
        # Older paramax leaves it at 64 bits.
        np.testing.assert_array_equal(np.float32(new.amplitudes), np.float32(atoms().amplitudes))
    assert Parameters.of(frozen(atoms()), ()).size == 0


def test_some_atoms_stay() -> None:
    fixed = np.array([True, False, False, True])
    old, new = (
        atoms(),
        changed(with_wrapped(atoms(), lambda a: a.positions, lambda x: fixed_where(x, fixed))),
    )
    same = np.isclose(new.positions, old.positions).all(axis=1)
    np.testing.assert_array_equal(same, fixed)


def test_groups_share_numbers() -> None:
    members = np.array([0, 1, 0, 1])
    structure = with_wrapped(atoms(), lambda a: a.amplitudes, lambda x: tied(x, members))
    start = paramax.unwrap(structure).amplitudes
    np.testing.assert_allclose(
        start[:2], [atoms().amplitudes[::2].mean(), atoms().amplitudes[1::2].mean()], rtol=1e-6
    )
    new = changed(structure).amplitudes
    assert new[0] == new[2] != new[1] == new[3]
    # As many groups as atoms are no numbers of the atoms' own.
    many = with_wrapped(atoms(), lambda a: a.amplitudes, lambda x: tied(x, np.array([3, 2, 1, 0])))
    assert Parameters.of(many, ()).columns == (4, 4)


def test_bounds_are_kept() -> None:
    low = with_wrapped(atoms(), lambda a: a.amplitudes, positive)
    between = with_wrapped(atoms(), lambda a: a.amplitudes, lambda x: bounded(x, 0.9, 2.1))
    for seed in range(20):
        assert np.all(np.asarray(changed(low, seed).amplitudes) > 0)
        assert np.all(np.abs(np.asarray(changed(between, seed).amplitudes) - 1.5) < 0.6)
    np.testing.assert_allclose(paramax.unwrap(between).amplitudes, atoms().amplitudes, rtol=1e-5)
    with pytest.raises(ValueError, match="must lie between 1 and 2"):
        bounded(np.array([1.0, 1.5]), 1.0, 2.0)


def test_wrappers_of_paramax_do() -> None:
    """Their functions are no leaves of what is compiled."""
    structure = with_wrapped(
        atoms(), lambda a: a.amplitudes, lambda x: paramax.Parameterize(jnp.exp, np.log(x))
    )
    parameters = Parameters.of(structure, ())
    assert all(eqx.is_array_like(leaf) for leaf in jax.tree.leaves(parameters))
    np.testing.assert_allclose(parameters(parameters.zeros())[0].amplitudes, atoms().amplitudes, rtol=1e-6)


def test_results_keep_digits_far_from_zero() -> None:
    """Float32 has none to spare at ten thousand ångström."""
    far = eqx.tree_at(lambda a: a.positions, atoms(), atoms().positions + 12_345.678_9)
    parameters = Parameters.of(far, ())
    moved = parameters.moved(parameters.zeros())[0]
    np.testing.assert_array_equal(moved.positions, far.positions)
