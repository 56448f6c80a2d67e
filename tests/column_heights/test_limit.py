"""The limit: many columns in one image against one column at a time, and rates against the exact ones."""

import numpy as np
import pytest
from scipy.stats import poisson

from atomfit.column_heights.limit import Hypotheses, coloured, contrasts_of, posteriors

PIXEL, SHAPE, LEVELS = 0.25, (56, 100), 4
PLACES = np.array([[4.0, 5.0], [7.5, 6.5], [16.5, 6.0], [19.0, 8.5]])
HEIGHTS = np.array([1, 3, 0, 2])


def hypotheses() -> Hypotheses:
    """Columns of three planes, of which the first few are there."""
    steps = np.tril(np.ones((LEVELS, LEVELS - 1), bool), -1)
    members = np.arange(len(PLACES) * (LEVELS - 1)).reshape(len(PLACES), -1)
    heights = np.tile(np.arange(LEVELS), (len(PLACES), 1))
    occupancies = steps[HEIGHTS].astype(np.float32).ravel()
    return Hypotheses(PLACES, occupancies, members, np.tile(steps, (len(PLACES), 1, 1)), heights)


def see(occupancies: np.ndarray) -> np.ndarray:
    """Discs that are not proportional to heights, and of which neighbours change each other's."""
    y, x = (PIXEL * np.arange(n) for n in SHAPE)
    wave = np.ones(SHAPE, complex)
    for place, own in zip(PLACES, occupancies.reshape(len(PLACES), -1), strict=True):
        r2 = (x[None] - place[0]) ** 2 + (y[:, None] - place[1]) ** 2
        wave = wave * np.exp((0.5j - 0.1) * own.sum() * np.exp(-r2 / 1.5))
    return np.abs(wave + 0.3)[None] ** 2


def slowly(electrons: np.ndarray, scale: float) -> np.ndarray:
    """One column at a time, all pixels, logarithms of Poisson's law."""
    of, found = hypotheses(), np.zeros((len(PLACES), LEVELS))
    for c in range(len(PLACES)):
        for k in range(LEVELS):
            occupancies = of.occupancies.copy()
            occupancies[of.members[c]] = of.present[c, k]
            found[c, k] = poisson.logpmf(electrons, scale * see(occupancies)[0]).sum()
    found = np.exp(found - found.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dose", [3.0, 30.0, 300.0])
def test_columns_that_are_changed_together_are_told_as_one_at_a_time(dose: float) -> None:
    scale = dose * PIXEL**2
    mean = scale * see(hypotheses().occupancies)[0]
    electrons = np.random.default_rng(int(dose)).poisson(mean, (3, *SHAPE))
    told = posteriors(contrasts_of(hypotheses(), see, PIXEL), electrons.astype(np.float32), scale)
    for draw in range(3):
        np.testing.assert_allclose(told[draw], slowly(electrons[draw], scale), atol=2e-4)


def test_one_image_changes_many_columns() -> None:
    asked = []

    def counted(occupancies: np.ndarray) -> np.ndarray:
        asked.append(occupancies)
        return see(occupancies)

    contrasts_of(hypotheses(), counted, PIXEL)
    # Two colours of four heights, and the truth.
    assert len(asked) == 9
    assert np.array_equal(coloured(PLACES, 8.0), [0, 1, 0, 1])
    assert np.array_equal(coloured(PLACES, 30.0), np.arange(4))


def test_hypotheses_of_one_height_are_weighed_alike_and_told_probabilities_are_true() -> None:
    base = hypotheses()
    # Another beginning of each height, whose image is the same: nothing changes. The last has none.
    twice = Hypotheses(
        base.places,
        base.occupancies,
        base.members,
        np.concatenate([base.present, base.present[:, :3]], axis=1),
        np.concatenate([base.heights, [[0, 1, -1]] * len(PLACES)], axis=1),
    )
    scale = 10 * PIXEL**2
    mean = scale * see(base.occupancies)[0]
    electrons = np.random.default_rng(4).poisson(mean, (4, *SHAPE)).astype(np.float32)
    once = posteriors(contrasts_of(base, see, PIXEL), electrons, scale)
    again = posteriors(contrasts_of(twice, see, PIXEL), electrons, scale)
    np.testing.assert_allclose(again, once, atol=1e-9)
    np.testing.assert_allclose(once.sum(axis=2), 1, atol=1e-9)


def test_colours_are_few_and_apart() -> None:
    places = np.random.default_rng(0).uniform(0, 30, (60, 2))
    colours = coloured(places, 6.0)
    for colour in range(colours.max() + 1):
        group = places[colours == colour]
        away = np.linalg.norm(group[:, None] - group[None], axis=2)
        assert away[~np.eye(len(group), dtype=bool)].min(initial=np.inf) >= 6.0
    assert colours.min() == 0
    assert colours.max() < 20
