"""Matching against a dense assignment of everything with everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from atomfit.structure.matching import match


@settings(deadline=None, max_examples=50)
@given(n=st.integers(0, 40), m=st.integers(0, 40), box=st.floats(1, 10), seed=st.integers(0, 1000))
def test_pairs_are_those_of_a_dense_assignment(n: int, m: int, box: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, known = rng.uniform(0, box, (n, 3)), rng.uniform(0, box, (m, 3))
    pairs = match(found, known)
    distances = cdist(found, known)
    rows, columns = linear_sum_assignment(np.where(distances <= 1, distances, 1e3))
    best = distances[rows, columns]
    best = best[best <= 1]
    assert len(pairs.distances) == len(best)
    assert pairs.distances.sum() == pytest.approx(best.sum())
    assert len(set(pairs.found)) == len(pairs.found)
    assert len(set(pairs.known)) == len(pairs.known)
    assert (pairs.missing, pairs.false) == (m - len(best), n - len(best))


def test_an_atom_cannot_be_found_twice() -> None:
    pairs = match(np.array([[0.1, 0, 0], [-0.2, 0, 0], [5, 0, 0]]), np.zeros((1, 3)))
    assert (pairs.missing, pairs.false, len(pairs.distances)) == (0, 2, 1)
    assert pairs.rmsd == pytest.approx(0.1)
    assert (pairs.precision, pairs.recall, pairs.f1) == pytest.approx((1 / 3, 1, 0.5))


def test_nothing_found_is_no_error() -> None:
    pairs = match(np.zeros((0, 3)), np.zeros((2, 3)))
    assert (pairs.missing, pairs.false, pairs.f1) == (2, 0, 0)
    assert np.isnan(pairs.rmsd)
