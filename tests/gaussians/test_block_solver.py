"""Systems of all atoms: those that are solved are solved, and the others are said not to be."""

import logging

import numpy as np
import pytest
from scipy.linalg import sqrtm

from atomfit.gaussians import block_solver
from atomfit.gaussians.block_solver import solve
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.gaussians.information import Information
from atomfit.gaussians.uncertainty import uncertainty


def chain(own: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms in a row: blocks, neighbours and the whole matrix. `beside` is each block with the next."""
    n, p, _ = own.shape
    at = np.arange(n)
    neighbours = np.stack([at, np.where(at > 0, at - 1, at), np.where(at < n - 1, at + 1, at)], axis=1)
    blocks = np.zeros((n, 3, p, p))
    blocks[:, 0], blocks[1:, 1], blocks[:-1, 2] = own, np.swapaxes(beside, 1, 2), beside
    whole = np.zeros((n, p, n, p))
    whole[at, :, at] = own
    whole[at[:-1], :, at[1:]] = beside
    whole[at[1:], :, at[:-1]] = np.swapaxes(beside, 1, 2)
    return blocks, neighbours, whole.reshape(n * p, n * p)


def springs(n: int, held: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a chain of springs that hardly anything holds: conjugate gradients need as many steps as links."""
    links = np.full((n, 1, 1), 1.0)
    links[[0, -1]] = 0.5
    return chain(links + held, np.full((n - 1, 1, 1), -0.5))


def uneven(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms whose own numbers are hard to tell from each other, and little of others'."""
    turns = np.linalg.qr(rng.normal(size=(n, 4, 4)))[0]
    sizes = 10 ** rng.uniform(-6, 0, (n, 1, 4))
    own = (turns * sizes) @ np.swapaxes(turns, 1, 2)
    roots = np.array([sqrtm(one).real for one in own])
    return chain(own, 0.2 * roots[:-1] @ roots[1:])


@pytest.mark.parametrize("factorised", [True, False])
@pytest.mark.parametrize("kind", ["springs", "uneven"])
def test_what_takes_long_is_solved(
    kind: str, factorised: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not factorised:
        monkeypatch.setattr(block_solver, "_FACTORISED", 0)
    blocks, neighbours, whole = springs(1000, 1e-6) if kind == "springs" else uneven(rng, 300)
    right = rng.normal(size=(*blocks.shape[:1], blocks.shape[2], 2))
    expected = np.linalg.solve(whole, right.reshape(len(whole), 2))
    found = solve(blocks, neighbours, right).reshape(len(whole), 2)
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)
    left = np.linalg.norm(whole @ found - right.reshape(len(whole), 2), axis=0)
    assert np.all(left < 1.1e-3 * np.linalg.norm(right.reshape(len(whole), 2), axis=0))


def test_atoms_that_nothing_is_known_of_do_not_count(rng: np.random.Generator) -> None:
    blocks, neighbours, whole = springs(1000, 1e-6)
    blocks[[10, 11]], blocks[9, 2], blocks[12, 1] = 0.0, 0.0, 0.0
    right = rng.normal(size=(1000, 1, 1))
    right[[10, 11]] = 0.0
    whole[[10, 11]], whole[:, [10, 11]] = 0.0, 0.0
    whole[[10, 11], [10, 11]] = 1.0
    found = solve(blocks, neighbours, right).ravel()
    np.testing.assert_allclose(found, np.linalg.solve(whole, right.ravel()), rtol=1e-3, atol=1e-3)
    assert np.all(found[[10, 11]] == 0)


@pytest.mark.parametrize("factorised", [True, False])
def test_what_has_no_solution_is_nan(factorised: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free springs move as one: nothing answers a pull on all of them. Another pull is answered."""
    if not factorised:
        monkeypatch.setattr(block_solver, "_FACTORISED", 0)
    blocks, neighbours, whole = springs(40, 0.0)
    right = np.ones((40, 1, 2))
    right[:, 0, 1] = np.sin(np.arange(40.0))
    right[:, 0, 1] -= right[:, 0, 1].mean()
    found = solve(blocks, neighbours, right)
    assert np.all(np.isnan(found[..., 0]))
    np.testing.assert_allclose(whole @ found[:, 0, 1], right[:, 0, 1], atol=1e-3)


def test_who_asks_for_what_is_not_found_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One number of a background of two: as if it were known, and no bias is taken off."""
    positions = 2.0 * np.stack(np.meshgrid(*[np.arange(2.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    atoms = FittedAtoms(positions, np.ones(8), np.full(8, 0.4), np.tile(0.4 * np.eye(3), (8, 1, 1)))
    shared = np.zeros((8, 10, 2))
    shared[:, -1] = 1.0, 0.3
    border = shared, np.array([[1e6, 0.0], [0.0, 1e6]])
    kept = uncertainty(atoms, 0.01, 0.05, border=(shared[..., :1], border[1][:1, :1]))
    assert np.any(kept.bias != 0)
    assert not caplog.records
    solved = Information.solve

    def half(known: Information, right: np.ndarray) -> np.ndarray:
        found = solved(known, right)
        found[..., -1] = np.nan
        return found

    monkeypatch.setattr(Information, "solve", half)
    with caplog.at_level(logging.WARNING):
        found = uncertainty(atoms, 0.01, 0.05, border=border)
    np.testing.assert_allclose(found.covariances, kept.covariances)
    assert np.all(found.bias == 0)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "1 of the background's 2 numbers" in told[0]
    assert "not taken off" in told[1]
