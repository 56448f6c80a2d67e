"""Files of weights: what is written is read, and what is not right is refused."""

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.networks import (
    Architecture,
    Calibration,
    ResidualUNet,
    TrainedNetwork,
    load_weights,
    save_weights,
    shipped_weights,
)
from atomfit.networks.weights import named_weights
from atomfit.support.errors import InputError

SMALL = Architecture((4, 4, 4), (1, 1, 1), 3)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "small.npz"
    network = ResidualUNet(SMALL, jax.random.key(5))
    save_weights(path, TrainedNetwork(network, Calibration(1.5, -0.1), {"crystal": "CeO2", "hours": 2}))
    return path


def rewritten(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change arrays, with a hash that is right."""
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    change(held)
    np.savez(path, **held)
    rehash(path)


def rehash(path: Path) -> None:
    recipe = path.with_suffix(".json")
    told = json.loads(recipe.read_text())
    recipe.write_text(json.dumps(told | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))


def test_what_is_written_is_read(saved: Path) -> None:
    found = load_weights(saved)
    assert found.calibration == Calibration(1.5, -0.1)
    assert found.recipe == {"crystal": "CeO2", "hours": 2}
    assert found.network.architecture == SMALL
    written = named_weights(ResidualUNet(SMALL, jax.random.key(5)))
    read = named_weights(found.network)
    assert list(read) == list(written)
    for name, leaf in written.items():
        np.testing.assert_array_equal(read[name], np.asarray(leaf).astype(np.float16))
        assert read[name].dtype == np.float32


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])
    rehash(path)


def pickled(path: Path) -> None:
    def change(held: dict[str, np.ndarray]) -> None:
        held["entry.bias"] = np.array([print], object)

    rewritten(path, change)


def another_shape(path: Path) -> None:
    rewritten(path, lambda held: held.update({"entry.bias": np.zeros(5, np.float16)}))


def not_finite(path: Path) -> None:
    rewritten(path, lambda held: held.update({"entry.bias": np.full(4, np.nan, np.float16)}))


def of_64_bits(path: Path) -> None:
    rewritten(path, lambda held: held.update({"entry.bias": np.zeros(4)}))


def one_less(path: Path) -> None:
    rewritten(path, lambda held: held.__delitem__("entry.bias"))


def one_more(path: Path) -> None:
    rewritten(path, lambda held: held.update({"more": np.zeros(4, np.float16)}))


def other_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def no_weights(path: Path) -> None:
    path.unlink()


def no_recipe(path: Path) -> None:
    path.with_suffix(".json").unlink()


def broken_recipe(path: Path) -> None:
    path.with_suffix(".json").write_text('{"sha256": 3')


def empty_recipe(path: Path) -> None:
    recipe = path.with_suffix(".json")
    recipe.write_text(json.dumps({"sha256": json.loads(recipe.read_text())["sha256"]}))


def a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"entry.bias": 1}))
    rehash(path)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (cut, "no weights that can be read"),
        (pickled, "no weights that can be read"),
        (a_pickle, "no weights that can be read"),
        (another_shape, "entry.bias is float16 of shape"),
        (not_finite, "not finite"),
        (of_64_bits, "entry.bias is float64"),
        (one_less, "entry.bias is missing"),
        (one_more, "more is no weight of this network"),
        (other_bytes, "not the weights that the recipe"),
        (no_weights, "no such file"),
        (no_recipe, "no such file"),
        (broken_recipe, "no recipe of weights"),
        (empty_recipe, "no recipe of weights"),
    ],
)
def test_what_is_not_right_is_refused(saved: Path, harm: Callable[[Path], None], told: str) -> None:
    harm(saved)
    with pytest.raises(InputError, match=told) as refused:
        load_weights(saved)
    assert "train anew" in refused.value.remedy


def test_a_network_that_does_not_come_with_the_package_is_refused() -> None:
    with pytest.raises(InputError, match=r"no network for Xx along \[321\]"):
        shipped_weights("Xx", "321")


def test_16_bits_change_little(saved: Path) -> None:
    """What is lost is the last third of digits."""
    network = ResidualUNet(SMALL, jax.random.key(5))
    image, known = jnp.ones((16, 16)).at[4:9, 4:9].set(2), jnp.zeros(7)
    one, other = (np.asarray(n(image, known).presence) for n in (network, load_weights(saved).network))
    assert 0 < np.abs(one - other).max() < 1e-2 * np.ptp(one)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(saved: Path) -> None:
    with saved.open("r+b") as file:
        file.truncate(10**8)
    with pytest.raises(InputError, match="too large"):
        load_weights(saved)
