"""Order of alloys whose columns are known: its part, its variants, its boundaries, antisites, none."""

import numpy as np
import pytest

from atomfit.statistics.plane_domains import find_domains
from atomfit.statistics.plane_order import PlaneOrder, measure_order
from atomfit.statistics.plane_potts import coupling_of, sample
from atomfit.statistics.plane_variants import Superstructure
from atomfit.support.errors import InputError


def alloy(
    seed: int, dose: float, regions: np.ndarray, corners: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns of a ball of a PtCo-like alloy: positions, cross-sections, errors, states (0 is disorder).

    **Arguments:**

    - `regions`: the state left and right of the middle and in the upper part.
    - `corners`: one of four columns is the heavy element's, and not every second row.
    """
    rng = np.random.default_rng(seed)
    steps = np.stack(np.meshgrid(*[np.arange(-13, 14)] * 2), axis=-1).reshape(-1, 2)
    places, radius = 1.9 * steps, 20.0
    far = np.linalg.norm(places, axis=1)
    steps, places, far = steps[far < radius], places[far < radius], far[far < radius]
    states = np.where(places[:, 1] > 6, regions[2], regions[(places[:, 0] > 0).astype(int)])
    atoms = np.maximum(np.rint(2 * np.sqrt(radius**2 - far**2) / 3.8), 1).astype(int)
    heavy = steps[:, 0] % 2 == states - 1
    mean, rich = 0.5, 0.97
    if corners:
        heavy, mean = heavy & (steps[:, 1] % 2 == 0), 0.25
    part = np.where(states == 0, mean, np.where(heavy, rich, 1 - rich))
    count = rng.binomial(atoms, part)
    truth = 0.022 * (count + 0.165 * (atoms - count))
    errors = np.sqrt((truth + 0.1) / dose)
    values = truth + rng.normal(0, errors)
    order = rng.permutation(np.flatnonzero(values > 3 * errors))
    cosine, sine = np.cos(seed), np.sin(seed)
    turned = places @ np.array([[cosine, -sine], [sine, cosine]]) + rng.normal(0, 0.03, places.shape)
    return turned[order], values[order], errors[order], states[order]


def judged(
    seed: int, dose: float, regions: list[int], structure: Superstructure = "L1_0"
) -> tuple[PlaneOrder, np.ndarray, np.ndarray]:
    """Order of such an alloy, the planted states of its columns, and all positions."""
    x, values, errors, states = alloy(seed, dose, np.array(regions), structure == "L1_2")
    (order,) = measure_order(x, find_domains(x), values, errors, structure)
    assert order is not None
    return order, states[order.columns], x


def classed(order: PlaneOrder, states: np.ndarray) -> float:
    """Part of the columns that have the right state; a found variant is the one that most of it is."""
    right = np.sum((order.states == 0) & (states == 0))
    for variant in np.unique(order.states[order.states > 0]):
        right += np.bincount(states[order.states == variant], minlength=3)[1:].max()
    return float(right / len(states))


@pytest.mark.parametrize(("dose", "least"), [(5e3, 0.93), (5e4, 0.97)])
@pytest.mark.parametrize("structure", ["L1_0", "L1_2"])
def test_ordered_part_variants_and_boundaries(dose: float, least: float, structure: Superstructure) -> None:
    """Two variants side by side below a disordered part."""
    order, states, x = judged(3, dose, [1, 2, 0], structure)
    assert classed(order, states) > least
    assert order.fraction == pytest.approx(np.mean(states > 0), abs=0.03)
    assert 0 < order.fraction_esd < 0.03
    assert len(set(order.domains[order.domains >= 0].tolist())) >= 2
    # The boundary is where it was planted, the two sides differ by a translation.
    turn = np.array([[np.cos(3), np.sin(3)], [-np.sin(3), np.cos(3)]])
    middle = (x[order.boundaries].mean(axis=1) @ turn)[:, 0]
    assert np.mean(np.abs(middle) < 2.5) > 0.8
    assert np.mean(order.antiphase) > 0.8


@pytest.mark.parametrize("regions", [[0, 0, 0], [1, 1, 1]])
def test_order_or_disorder_throughout(regions: list[int]) -> None:
    """Nothing is called ordered in a disordered alloy, and nothing disordered in an ordered one."""
    for seed in range(3):
        order, _, _ = judged(seed, 5e3, regions)
        assert order.fraction == pytest.approx(float(regions[0]), abs=0.02)


def test_probabilities_do_not_depend_on_unit_or_order_of_columns() -> None:
    """Cross-sections a thousand times as large, columns in another order: the same but for chance."""
    x, values, errors, _ = alloy(1, 5e3, np.array([1, 2, 0]))
    (first,) = measure_order(x, find_domains(x), values, errors, "L1_0")
    change = np.random.default_rng(0).permutation(len(x))
    (then,) = measure_order(
        x[change], find_domains(x[change]), 1e3 * values[change], 1e3 * errors[change], "L1_0", seed=5
    )
    assert first is not None
    assert then is not None
    disorder = np.full((2, len(x)), np.nan)
    disorder[0, first.columns] = first.probabilities[:, 0]
    disorder[1, change[then.columns]] = then.probabilities[:, 0]
    assert np.nanmean(np.abs(disorder[0] - disorder[1])) < 0.01


def test_antisites() -> None:
    """A column of the light element where the heavy one should be is told."""
    x, values, errors, _ = alloy(2, 5e4, np.array([1, 1, 1]))
    (order,) = measure_order(x, find_domains(x), values, errors, "L1_0")
    assert order is not None
    middle = np.flatnonzero(np.linalg.norm(x[order.columns], axis=1) < 8)
    heavy = middle[order.contrasts[middle] > 0.4][:3]
    values[order.columns[heavy]] *= 0.3 / 1.7
    (order,) = measure_order(x, find_domains(x), values, errors, "L1_0")
    assert order is not None
    assert np.all(order.antisite[heavy] > 0.9)
    assert np.sum(order.antisite[middle] > 0.5) == 3


def test_what_cannot_be_judged() -> None:
    """Too few columns, values that are not finite, errors that are none."""
    x, values, errors, _ = alloy(0, 5e3, np.array([1, 2, 0]))
    values[:5] = np.nan
    (order,) = measure_order(x, find_domains(x), values, errors, "B2")
    assert order is not None
    assert not set(range(5)) & set(order.columns.tolist())
    lonely = int(np.linalg.norm(x, axis=1).argmin())
    values[(np.linalg.norm(x - x[lonely], axis=1) < 9) & (np.arange(len(x)) != lonely)] = np.nan
    (order,) = measure_order(x, find_domains(x), values, errors, "B2")
    assert order is not None
    # Nothing is beside it: all states are as likely as they are alone.
    p = order.probabilities[order.columns == lonely][0]
    assert np.ptp(p[p > 0]) < 0.02
    assert measure_order(x, find_domains(x), np.full(len(x), np.nan), errors, "B2") == (None,)
    with pytest.raises(InputError, match="errors of cross-sections are positive"):
        measure_order(x, find_domains(x), values, -errors, "B2")


def test_sampling_of_a_chain() -> None:
    """Marginals of four columns in a row are those of all their 16 states; the coupling is found again."""
    logs = np.random.default_rng(0).normal(size=(4, 2))
    table = np.array([[1, -1], [0, 2], [1, 3], [2, -1]])
    rng = np.random.default_rng(1)
    found = sample(logs, table, np.arange(4) % 2, 0.7, np.zeros(4, int), 6_000, rng)
    states = np.array(np.meshgrid(*[[0, 1]] * 4, indexing="ij")).reshape(4, -1)
    energy = logs[np.arange(4)[:, None], states].sum(axis=0)
    energy += 0.7 * np.sum(states[1:] == states[:-1], axis=0)
    p = np.exp(energy) / np.exp(energy).sum()
    np.testing.assert_allclose(found.marginals[:, 1], (states * p).sum(axis=1), atol=0.02)
    ring = np.stack([(np.arange(4000) - 1) % 4000, (np.arange(4000) + 1) % 4000], axis=1)
    start = rng.integers(0, 3, 4000)
    drawn = sample(np.zeros((4000, 3)), ring, np.arange(4000) % 2, 0.8, start, 200, rng)
    assert coupling_of(drawn.states, ring, np.ones(3, bool)) == pytest.approx(0.8, abs=0.11)
