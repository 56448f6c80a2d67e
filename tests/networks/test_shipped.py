"""The network that comes with the package."""

import numpy as np
import pytest

from atomfit.networks import load_weights, look, shipped_weights
from atomfit.simulation import simulate_hrtem


def test_it_is_small_and_tells_how_it_was_trained() -> None:
    path = shipped_weights("CeO2", "110")
    assert path.stat().st_size <= 2_000_000
    recipe = load_weights(path).recipe
    assert {"command", "patches", "hours", "seeds", "versions", "held_out_shapes"} <= recipe.keys()
    assert (recipe["crystal"], recipe["zone"], recipe["pixel_size"]) == ("CeO2", "110", 0.2)


def test_it_finds_most_columns_of_a_specimen_it_has_not_seen() -> None:
    made = simulate_hrtem(crystal="CeO2", dose=3e3, defocus=6.0, gain=2.5, image_size=160, seed=77)
    seen = look(load_weights(shipped_weights("CeO2", "110")), made.frames[0], 0.2, gain=2.5)
    cerium = (made.columns.elements == "Ce") & (made.columns.heights > 0)
    inner = np.all((made.columns.positions > 1) & (made.columns.positions < 31), axis=1)
    places, heights = made.columns.positions[cerium & inner], made.columns.heights[cerium & inner]
    apart = np.linalg.norm(places[:, None] - seen.columns.positions, axis=2)
    assert np.mean(apart.min(axis=1) < 0.8) > 0.8
    # Far better than chance, which is at a fifth within one atom of so many levels.
    near = np.abs(seen.columns.heights[apart.argmin(axis=1)] - heights) <= 1
    assert near.mean() > 0.5
    assert seen.dose == pytest.approx(3e3, rel=0.1)
