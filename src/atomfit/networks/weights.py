"""Weights of a network in a file, and how they came about in another: read without executing anything.

`NAME.npz` holds arrays of 16-bit floats, each under the name of its place in the network, and is read with
`allow_pickle=False`. `NAME.json` beside it has the file's SHA-256, how large the network is, how its
probabilities are to be scaled (`columns_seen`), and the recipe that it was trained by. A file that is not
what its recipe says is refused, before an array of it is used.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from atomfit.networks.columns_seen import Calibration
from atomfit.networks.residual_unet import Architecture, ResidualUNet
from atomfit.support.errors import InputError

#: Of a file of weights, at most (bytes).
MOST_BYTES = 50_000_000
_REMEDY = "take the pair of files that belong together, or train anew"


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network and what is known of it.

    **Fields:**

    - `network`: with its weights.
    - `calibration`: of its probabilities.
    - `recipe`: how it was trained and on what, as data.
    """

    network: ResidualUNet
    calibration: Calibration
    recipe: dict[str, Any]


def save_weights(path: Path, trained: TrainedNetwork) -> None:
    """Write weights, and their recipe beside them.

    **Arguments:**

    - `path`: of the weights; ends in .npz.
    - `trained`: what to write.
    """
    held = {name: np.asarray(leaf, np.float16) for name, leaf in named_weights(trained.network).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **held)  # type: ignore[arg-type]
    told = {
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "architecture": asdict(trained.network.architecture),
        "calibration": asdict(trained.calibration),
        "recipe": trained.recipe,
    }
    path.write_bytes(buffer.getvalue())
    path.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def load_weights(path: Path) -> TrainedNetwork:
    """Read weights.

    **Arguments:**

    - `path`: of the weights; the recipe is beside it.

    **Raises:** `InputError` if a file cannot be read, or is not what the recipe says.
    """
    data, told = _read(path)
    if hashlib.sha256(data).hexdigest() != told["sha256"]:
        raise InputError("these are not the weights that the recipe beside them tells of", _REMEDY, path)
    try:
        sizes = told["architecture"]
        architecture = Architecture(tuple(sizes["widths"]), tuple(sizes["blocks"]), int(sizes["most"]))
        calibration = Calibration(**{name: float(x) for name, x in told["calibration"].items()})
        recipe = dict(told["recipe"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"this is no recipe of weights ({error})", _REMEDY, _beside(path)) from None
    # Made abstractly: no weights are drawn to be thrown away.
    empty = eqx.filter_eval_shape(lambda: ResidualUNet(architecture, jax.random.key(0)))
    arrays = _arrays(data, path)
    wanted = named_weights(empty)
    for name in sorted(arrays.keys() ^ wanted.keys()):
        problem = "is no weight of this network" if name in arrays else "is missing"
        raise InputError(f"{name} {problem}", _REMEDY, path)
    for name, leaf in wanted.items():
        found = arrays[name]
        if found.shape != leaf.shape or found.dtype != np.float16 or not np.isfinite(found).all():
            raise InputError(
                f"{name} is {found.dtype} of shape {found.shape} or not finite; wanted: {leaf.shape}",
                _REMEDY,
                path,
            )
    filled = [jnp.asarray(arrays[name], jnp.float32) for name in wanted]
    structure = jax.tree.structure(eqx.filter(empty, _is_weight))
    weights = jax.tree.unflatten(structure, filled)
    return TrainedNetwork(
        eqx.combine(weights, eqx.filter(empty, _is_weight, inverse=True)), calibration, recipe
    )


def shipped_weights(crystal: str, zone: str) -> Path:
    """The weights that come with the package.

    **Arguments:**

    - `crystal`, `zone`: as "CeO2" and "110".

    **Raises:** `InputError` if there are none.
    """
    here = Path(__file__).parent
    path = here / f"{crystal.lower()}_{zone}.npz"
    if not path.is_file():
        have = ", ".join(sorted(each.stem for each in here.glob("*.npz"))) or "none"
        raise InputError(
            f"no network for {crystal} along [{zone}] comes with atomfit (there is: {have})",
            "train one (experiments/heights), and give its weights",
        )
    return path


def named_weights(network: ResidualUNet) -> dict[str, Any]:
    """All weights of a network, by the names of their places in it.

    **Arguments:**

    - `network`: the network, or its shapes.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(network, _is_weight))
    return {jax.tree_util.keystr(where).strip("."): leaf for where, leaf in leaves}


def _is_weight(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Weights and recipe, as they are in their files."""
    for each in (path, _beside(path)):
        if not each.is_file():
            raise InputError("there is no such file", _REMEDY, each)
        if each.stat().st_size > MOST_BYTES:
            raise InputError("this is too large for weights", _REMEDY, each)
    try:
        told = json.loads(_beside(path).read_text(encoding="utf-8"))
        if not isinstance(told["sha256"], str):
            raise TypeError("sha256")
    except (ValueError, KeyError, TypeError):
        raise InputError("this is no recipe of weights", _REMEDY, _beside(path)) from None
    return path.read_bytes(), told


def _arrays(data: bytes, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file; nothing in it is executed."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, AttributeError, TypeError):
        raise InputError("these are no weights that can be read", _REMEDY, path) from None
