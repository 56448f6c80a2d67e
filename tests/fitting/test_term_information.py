"""What terms say of atoms: against a dense Hessian, and against the errors that are really made."""

import logging

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.detection.detect import detect
from atomfit.fitting.joint import fit_jointly
from atomfit.fitting.pose import pose
from atomfit.fitting.term_information import term_blocks
from atomfit.gaussians.bounded import BoundedAtoms, Bounds
from atomfit.gaussians.information import closed, free_directions
from atomfit.gaussians.neighbours import neighbour_table
from atomfit.gaussians.scatterers import OneGaussian
from atomfit.inference.parameters import on_host
from atomfit.simulation import simulate
from atomfit.structure.atoms import (
    AnisotropicDisplacements,
    Atoms,
    IsotropicDisplacements,
    elements_of_matrices,
)
from atomfit.structure.elements import element

N, PADDED = 27, 32


def some_atoms(rng: np.random.Generator, isotropic: bool = False) -> BoundedAtoms:
    """A block of 3 x 3 x 3 atoms and padding, in float32."""
    sites = 2.8 * np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = np.concatenate([sites, np.tile(sites[:1], (PADDED - N, 1))])
    positions += 0.1 * rng.normal(size=positions.shape)
    root = 0.5 * np.eye(3) + 0.05 * rng.normal(size=(PADDED, 3, 3))
    shape = (
        IsotropicDisplacements.from_variances(rng.uniform(0.2, 0.3, PADDED))
        if isotropic
        else AnisotropicDisplacements.from_matrices(root @ np.swapaxes(root, 1, 2))
    )
    amplitudes = np.where(np.arange(PADDED) < N, rng.uniform(1, 2, PADDED), 0.0)
    atoms = Atoms(positions, shape, amplitudes, np.full(PADDED, 78))
    atoms = jax.tree.map(lambda x: np.asarray(x, np.float32) if x.dtype.kind == "f" else x, atoms)
    return on_host(BoundedAtoms.of(atoms, OneGaussian(), Bounds(0.6, 0.8)))


class Bonds(eqx.Module):
    """Springs whose strength depends on amplitudes, and shapes that resemble those of neighbours."""

    pairs: np.ndarray

    def of(self, x: jax.Array, u: jax.Array, a: jax.Array) -> jax.Array:
        i, j = self.pairs.T
        springs = (jnp.linalg.norm(x[i] - x[j], axis=1) - 2.5) ** 2 * a[i] * a[j]
        return 0.5 * jnp.sum(springs) + 3 * jnp.sum((u[i] - u[j]) ** 2) + jnp.sum(jnp.log(u[:N, :3]))

    def __call__(self, model: BoundedAtoms) -> jax.Array:
        atoms = model.atoms
        u = elements_of_matrices(jnp.asarray(atoms.matrices()))
        return self.of(jnp.asarray(atoms.positions), u, jnp.asarray(atoms.amplitudes))


def table_of(model: BoundedAtoms) -> np.ndarray:
    return closed(neighbour_table(np.asarray(model.atoms.positions[:N], float), 0.25, N)[:, :19])


@pytest.mark.parametrize("frozen", [(), ("displacements",)])
def test_blocks_against_a_dense_hessian(frozen: tuple[str, ...], rng: np.random.Generator) -> None:
    model = some_atoms(rng)
    neighbours = table_of(model)
    pairs = np.array([(i, j) for i in range(N) for j in neighbours[i, :5] if j != i])
    bonds, basis = Bonds(pairs), free_directions(3, False, frozen)
    blocks = term_blocks((bonds,), model, neighbours, basis)
    atoms = model.atoms
    numbers = (atoms.positions, elements_of_matrices(atoms.matrices()), atoms.amplitudes[:, None])
    natural = np.concatenate([np.asarray(x)[:N] for x in numbers], axis=1)
    dense = jax.jit(jax.hessian(lambda z: bonds.of(z[:, :3], z[:, 3:9], z[:, 9])))(natural)
    dense = np.asarray(dense, np.float64).transpose(0, 2, 1, 3)
    ours = np.zeros_like(dense)
    listed = (neighbours != np.arange(N)[:, None]) | (np.arange(neighbours.shape[1]) == 0)
    rows, slots = np.nonzero(listed)
    ours[rows, neighbours[rows, slots]] = blocks[rows, slots]
    free = basis @ basis.T
    np.testing.assert_allclose(ours, free @ dense @ free, atol=2e-3 * np.abs(dense).max())
    assert not np.any(blocks[~listed])


def test_isotropic_atoms_have_one_width(rng: np.random.Generator) -> None:
    model = some_atoms(rng, isotropic=True)
    basis = free_directions(3, True, ())

    def of_widths(model: BoundedAtoms) -> jax.Array:
        return jnp.sum(jnp.asarray(model.atoms.matrices())[:N, 0, 0] ** 2)

    blocks = term_blocks((of_widths,), model, table_of(model), basis)
    freely = basis.T @ blocks[:, 0] @ basis
    np.testing.assert_allclose(freely, np.tile(np.diag([0, 0, 0, 2.0, 0]), (N, 1, 1)), atol=1e-4)


def test_what_goes_beyond_neighbours_or_is_no_number_is_told(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    model, basis = some_atoms(rng), free_directions(3, False, ())
    caplog.set_level(logging.WARNING, logger="atomfit")
    term_blocks((lambda m: jnp.sum(m.atoms.positions[:N, 0]) ** 2,), model, table_of(model), basis)
    assert "no neighbours" in caplog.text
    caplog.clear()
    nothing = term_blocks(
        (lambda m: jnp.sum(jnp.abs(m.atoms.amplitudes * 0) ** 1.5),), model, table_of(model), basis
    )
    assert "no number" in caplog.text
    assert not nothing.any()


class Tethers(eqx.Module):
    """Where atoms are expected, by so much."""

    places: np.ndarray
    strength: float

    def __call__(self, model: BoundedAtoms) -> jax.Array:
        away = jnp.asarray(model.atoms.positions)[: len(self.places)] - self.places
        return 0.5 * self.strength * jnp.sum(away**2)


def test_errors_are_those_that_terms_leave() -> None:
    """Atoms known beforehand to 0.02 Å in a map that tells them to 0.03 Å."""
    noise, spread, pt = 0.1, 0.02, element("Pt")
    case = simulate(size=60, noise=noise, rotate="random", seed=2)
    mean = detect(case.map, pt).mean_atom
    expected = case.positions + np.random.default_rng(5).normal(0, spread, case.positions.shape)
    origin = pose(case.map, expected, mean, pt).region.grid.origin
    # In the objective's unit, squared typical peaks.
    strength = (noise / mean.height) ** 2 / spread**2
    tethers = Tethers((expected - origin).astype(np.float32), strength)
    fit = fit_jointly(case.map, expected, mean, pt, terms=(tethers,))
    esd = fit.uncertainty.deviations[:, :3]
    z = (fit.positions - case.positions) / esd
    assert z.std() == pytest.approx(1, abs=0.12)
    assert np.all(esd < spread)
