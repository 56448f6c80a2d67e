"""Series of models that are none are told from those that are."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.simulation.followed import Planted, planted_models
from atomfit.simulation.particles import particle
from atomfit.statistics.chance import Chance
from atomfit.statistics.comparison import Model
from atomfit.statistics.followed_models import FollowedModels, follow_models
from atomfit.verdict.of_followed import judge_followed


@pytest.fixture(scope="module")
def models() -> tuple[Model, ...]:
    sites = particle("sphere", "Pt", 100, 5)
    return planted_models(sites, 5, 907, Planted(turned=False)).models


def followed(models: list[Model]) -> FollowedModels:
    return follow_models(models.__getitem__, np.arange(float(len(models))), move=False)


def test_models_of_one_particle_are_good(models: tuple[Model, ...]) -> None:
    verdict = judge_followed(follow_models(models.__getitem__, np.arange(5.0)))
    assert verdict.level == "good"
    assert verdict.measures["common_least"] == 1.0
    assert verdict.measures["observations_followed"] == 1.0


def test_a_model_that_is_another_particle_is_bad(models: tuple[Model, ...]) -> None:
    rng = np.random.default_rng(0)
    other = replace(models[2], name="other", positions=rng.uniform(-7, 7, models[2].positions.shape))
    verdict = judge_followed(followed([*models[:2], other, *models[3:]]))
    assert verdict.bad
    assert "chance" in verdict.codes
    assert "other" in verdict.findings[0].problem


def test_a_model_that_lacks_most_atoms_is_told(models: tuple[Model, ...]) -> None:
    few = models[1]
    keep = np.arange(len(few)) < 30
    part = replace(
        few,
        ids=few.ids[keep],
        symbols=few.symbols[:30],
        positions=few.positions[keep],
        esds=few.esds[keep],
        numbers={name: values[keep] for name, values in few.numbers.items()},
    )
    verdict = judge_followed(followed([models[0], part, *models[2:]]))
    assert verdict.codes == ("few-common",)
    assert verdict.level == "doubtful"


def test_a_model_of_another_size_is_told(models: tuple[Model, ...]) -> None:
    small = replace(models[1], positions=models[1].positions * 0.96)
    assert judge_followed(followed([models[0], small, *models[2:]])).codes == ("size",)


def test_elements_that_change_are_told(models: tuple[Model, ...]) -> None:
    other = [replace(model, symbols=("Au",) * len(model)) for model in models[:1]]
    assert judge_followed(followed([*other, *models[1:]])).codes == ("elements",)


def test_orientations_that_are_open_are_told(models: tuple[Model, ...]) -> None:
    found = followed(list(models))
    laid = (found.models[0], replace(found.models[1], equals=3), *found.models[2:])
    assert judge_followed(replace(found, models=laid)).codes == ("frame",)


def test_atoms_that_nothing_follows_are_told(models: tuple[Model, ...]) -> None:
    rng = np.random.default_rng(1)
    again = [*models, *models, *models]
    loose = [replace(model, positions=rng.uniform(-40, 40, model.positions.shape)) for model in again]
    found = followed(loose)
    # Whatever chance says of them.
    laid = tuple(replace(one, chance=Chance(0.0, -np.inf)) for one in found.models)
    assert "not-followed" in judge_followed(replace(found, models=laid)).codes
