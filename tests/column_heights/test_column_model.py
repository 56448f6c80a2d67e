"""The model of an image's columns, beside the simulator that made the image."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from atomfit.column_heights.expansion import expected
from atomfit.column_heights.model import occupancies
from column_heights.planted import planted


@pytest.mark.parametrize(
    ("of", "optics", "off"),
    [
        ("CeO2", {}, 0.01),
        ("CeO2", {"mistilt": (4.0, -3.0), "a1": (1.0, -0.5), "b2": (10.0, -20.0), "a2": (5.0, 15.0)}, 0.01),
        # Slices hold two planes of atoms, which are not the same two.
        ("Pt", {}, 0.04),
    ],
)
def test_its_image_is_the_simulators(of: str, optics: dict[str, Any], off: float) -> None:
    it = planted(of, defocus=5.0, dose=0, seed=3, turn=20.0, **optics)
    conditions = it.truth.conditions
    for name, (x, y) in optics.items():
        conditions = conditions.changed(f"{name}_x", x).changed(f"{name}_y", y)
    conditions = replace(conditions, dose=np.asarray(1.0, np.float32))
    image = it.problem.model.field.shown(
        expected(it.problem.model, replace(it.truth, conditions=conditions))
    )
    # Near the edges atoms are lacking that are beyond what is modelled.
    inner = (slice(12, -12),) * 2
    apart = (image - it.made.expected)[inner]
    assert np.sqrt(np.mean(apart**2)) < off * it.made.expected[inner].std()
    # By a plane at most, the focus is told from where the specimen ends.
    there = it.problem.sites.heavy & (it.truth.heights > 0)
    below = it.problem.model.below(float((it.truth.starts + it.truth.heights)[there].max()))
    exact = 10 * (it.made.options.defocus - float(conditions["defocus"]))
    assert abs(below - exact) < it.problem.model.spacing


def test_parts_of_atoms_are_shared_by_the_ends_of_a_column() -> None:
    starts, heights = np.array([0.0, 1.0, 0.5, 3.0, 0.0, 4.0]), np.array([2.0, 3.0, 2.0, 0.0, 1.5, 3.0])
    np.testing.assert_allclose(
        occupancies(starts, heights, 5),
        [
            [1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0],
            [0.5, 1, 0.5, 0, 0],
            [0, 0, 0, 0, 0],
            [1, 0.5, 0, 0, 0],
            # What would begin too low begins higher.
            [0, 0, 1, 1, 1],
        ],
    )


def test_atoms_of_a_column_are_a_repeat_apart_and_all_are_there() -> None:
    it = planted(defocus=5.0, dose=0, seed=3, turn=20.0)
    model, zone = it.problem.model, it.made.specimen.repeat
    for column in (int(it.problem.heavy[0]), int(it.problem.light[0])):
        own = np.flatnonzero(model.of == column)
        order = own[np.argsort(model.depths[own])]
        assert model.unit[order].tolist() == list(range(model.units))
        np.testing.assert_allclose(np.diff(model.depths[order]), zone, atol=1e-3)
    assert model.units == it.problem.most + 2
