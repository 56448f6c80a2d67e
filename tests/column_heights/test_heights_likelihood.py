"""The whole likelihood: heights that a network is wrong about, as an image of many electrons has them."""

import numpy as np
import pytest

from atomfit.column_heights import likelihood_heights
from column_heights.planted import PIXEL, planted


@pytest.mark.slow
@pytest.mark.parametrize("off", [1, -1])
def test_many_electrons_tell_every_height_whatever_a_network_says(off: int) -> None:
    it = planted(off=off, defocus=5.0, dose=1e4, seed=3, turn=20.0, displacement=0.03)
    rounds: list[int] = []
    found = likelihood_heights(
        np.array(it.made.frames[0], np.float64),
        PIXEL,
        seen=it.seen,
        progress=lambda number, value: rounds.append(number),
    )
    heavy = it.problem.heavy[it.inner]
    truth = it.truth.heights[heavy]
    # Sites where the crystal ends may be no columns at all.
    truth, places = truth[truth > 0], it.truth.places[heavy][truth > 0]
    away = np.linalg.norm(places[:, None] - found.positions, axis=2)
    at = away.argmin(axis=1)
    assert away.min(axis=1).max() < 0.1
    assert found.heights[at].tolist() == truth.tolist()
    # A third of them was wrong.
    said = it.seen.columns
    told = np.linalg.norm(places[:, None] - said.positions, axis=2).argmin(axis=1)
    assert np.mean(said.probabilities[told].argmax(axis=1) != truth) > 0.2
    assert rounds == list(range(1, len(rounds) + 1))
    assert found.settled
    assert found.misfit < 1.1
    assert found.on_lattice.all()
    conditions = {one.name: one for one in found.conditions}
    assert conditions["defocus"].value == pytest.approx(5.0, abs=0.5)
    assert found.expected is not None
    left = (found.expected - it.made.expected)[8:-8, 8:-8]
    assert left.std() < 0.15 * it.made.expected[8:-8, 8:-8].std()
