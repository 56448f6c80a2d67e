"""R-hat and numbers of independent samples of chains whose answers are known."""

import numpy as np

from atomfit.stacking.mixing import independent_samples, measure_mixing, r_hat


def test_chains_of_one_distribution_agree_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    alike = rng.normal(size=(4, 400, 1))
    assert abs(r_hat(alike)[0] - 1) < 0.02
    apart = alike + np.array([0, 0, 2, 2])[:, None, None]
    # Two groups whose means differ by two: the whole variance is 1 + 1 (with the pooled estimate's factor).
    assert abs(r_hat(apart)[0] - np.sqrt(1 + 8 / 7)) < 0.1
    still = np.ones((2, 10, 2))
    still[1, :, 1] = 2
    np.testing.assert_array_equal(r_hat(still), [1, np.inf])


def test_independent_samples_of_an_autoregression() -> None:
    rng, memory = np.random.default_rng(1), 0.8
    values = np.zeros(40_000)
    for i in range(1, len(values)):
        values[i] = memory * values[i - 1] + rng.normal()
    wanted = len(values) * (1 - memory) / (1 + memory)
    assert abs(independent_samples(values) / wanted - 1) < 0.1


def test_other_laws_are_no_fault() -> None:
    rng = np.random.default_rng(2)
    middles = rng.normal(size=(4, 200, 3))
    trace = rng.normal(size=(4, 400))
    trace[2:] += 50
    found = measure_mixing(middles, np.ones(3), trace, np.array([0, 0, 1, 1]), 0.5, 0.1)
    assert found.good
    assert not measure_mixing(middles, np.ones(3), trace, np.array([0, 1, 0, 1]), 0.5, 0.1).good
