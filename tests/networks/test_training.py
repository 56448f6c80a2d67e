"""Where training begins."""

from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from atomfit.networks import load_weights, shipped_weights
from experiments.heights.shipping import recipe
from experiments.heights.training import first_state, load_state


def leaves(tree: object) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def test_training_begins_with_what_another_material_taught(tmp_path: Path) -> None:
    path = shipped_weights("CeO2", "110")
    state = load_state(tmp_path / "none.npz", 3, path)
    wanted = leaves(load_weights(path).network)
    for found in (leaves(state.network), leaves(state.mean)):
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
    anew = leaves(first_state(3).network)
    assert not all(np.array_equal(one, other) for one, other in zip(anew, wanted, strict=True))
    assert str(recipe("Pt", 3, state, path.name)["command"]).endswith("--seed 3 --start ceo2_110.npz")
    assert "--start" not in str(recipe("Pt", 3, state)["command"])
