"""The page of parts of one's own, followed as a reader would, and what it must come to."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from test_documentation import follow

PAGE = Path(__file__).parents[2] / "docs" / "extend.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return follow(PAGE)


def test_the_first_problem_is_solved(page: dict[str, Any]) -> None:
    fit, truth = page["fit"], page["case"].positions
    z = (fit.structure.positions - truth) / fit.uncertainty.positions
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.5
    assert page["select"](fit).kept.all()
    true = np.linalg.norm(truth[0] - truth[1])
    assert abs(page["bond"].value[0] - true) < 5 * page["bond"].esd[0]


def test_own_noise_and_prior_are_used(page: dict[str, Any]) -> None:
    """Bonds are nearer to the length that is expected than without."""

    def spread(fit: Any) -> float:
        a, b = (fit.structure.positions[page["pairs"][:, k]] for k in (0, 1))
        return float(np.sqrt(np.mean((np.linalg.norm(a - b, axis=1) - 2.77) ** 2)))

    assert spread(page["own"]) < 0.95 * spread(page["fit"])
    assert np.all(page["own"].uncertainty.positions < 1.5 * page["fit"].uncertainty.positions)


def test_own_densities_are_drawn_and_free(page: dict[str, Any]) -> None:
    image = page["image"]
    names = set(image.parametrisation.steps)
    assert {"[0].hop", "[0].variances", "[0].positions"} <= names
    assert np.all(image.parametrisation.steps["[0].hop"][0] > 0)


def test_own_observation_knows_its_defocus(page: dict[str, Any]) -> None:
    focus = page["focus"]
    assert abs(focus.nuisances[0] - 250) < 5 * focus.uncertainty.nuisances[0]
    assert 0 < focus.uncertainty.nuisances[0] < 1


def test_own_loop_ends_where_ours_does(page: dict[str, Any]) -> None:
    ours, theirs = page["fit"], page["by_hand"]
    np.testing.assert_allclose(theirs.structure.positions, ours.structure.positions, atol=1e-3)
    np.testing.assert_allclose(theirs.uncertainty.positions, ours.uncertainty.positions, rtol=0.02)
