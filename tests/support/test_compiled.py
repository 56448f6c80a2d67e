"""Programs that outlive the process: the same result without tracing, whatever became of the file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from atomfit.support.compiled import kept

PROGRAM = """
import json, sys
from pathlib import Path
import equinox as eqx, jax.numpy as jnp, numpy as np
from atomfit.support import compiled
from atomfit.observation.background import ConstantBackground

traced = []
free = frozenset(["positions", "amplitudes", "gains", "shifts"])

@compiled.kept
def doubled(background, name, numbers, free):
    traced.append(name)
    return {"level": background.level + jnp.sum(numbers), "name": name}

compiled.keep_in(Path(sys.argv[1]) if sys.argv[1] else None)
words = sys.argv[2:]
results = []
for word in words:
    found = doubled(ConstantBackground(jnp.float32(2)), word, np.arange(3, dtype=np.float32), free)
    results.append([float(found["level"]), found["name"]])
if "function" in words:
    found = doubled(ConstantBackground(jnp.float32(1)), lambda: 0, jnp.ones(2), free)
    results.append(float(found["level"]))
print(json.dumps({"traced": [t for t in traced if isinstance(t, str)], "results": results}))
"""


def run(directory: Path | str, *words: str, **environment: str) -> dict:
    """What a process of one device traced, and what it found."""
    environment = os.environ | {"XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": ""} | environment
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), *words],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_a_program_is_traced_once(tmp_path: Path) -> None:
    """Also where sets come in another order."""
    first = run(tmp_path, "a", "a", "b", PYTHONHASHSEED="1")
    assert first["traced"] == ["a", "b"]
    assert first["results"] == [[5.0, "a"], [5.0, "a"], [5.0, "b"]]
    again = run(tmp_path, "a", "b", PYTHONHASHSEED="2")
    assert again == {"traced": [], "results": [[5.0, "a"], [5.0, "b"]]}
    assert len(list(tmp_path.iterdir())) == 2


SOLVES = """
import sys
from pathlib import Path
import jax.numpy as jnp, numpy as np
from atomfit.support import compiled

@compiled.kept
def solved(matrix, vector):
    return jnp.linalg.solve(matrix, vector)

compiled.keep_in(Path(sys.argv[1]))
found = solved(np.array([[2, 1], [0, 4]], np.float32), np.array([4, 8], np.float32))
assert np.allclose(found, [1, 2]), found
"""


def test_a_kept_program_solves_equations(tmp_path: Path) -> None:
    """In a process that has traced none that does."""
    environment = os.environ | {"XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": ""}
    for _ in range(2):
        command = [sys.executable, "-c", SOLVES, str(tmp_path)]
        process = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert process.returncode == 0, process.stderr
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"no pickle"])
def test_a_broken_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    run(tmp_path, "a")
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert run(tmp_path, "a")["traced"] == ["a"]
    assert run(tmp_path, "a")["traced"] == []


def test_what_cannot_be_kept_is_compiled_as_usual(tmp_path: Path) -> None:
    assert run(tmp_path, "function")["results"][-1] == 3.0
    assert run("", "a", "a")["traced"] == ["a"]
    nowhere = tmp_path / "nowhere"
    assert run(nowhere, "a")["results"] == [[5.0, "a"]]
    assert not nowhere.exists()


def test_what_jax_has_read_from_its_own_cache_is_no_danger(tmp_path: Path) -> None:
    """Such a program cannot be kept whole."""
    caching = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        for _ in range(2):
            assert run(tmp_path / name, "a", **caching)["results"] == [[5.0, "a"]]


def test_programs_are_part_of_others() -> None:
    """XLA's options are for a whole program only, and JAX refuses them of a part."""

    @kept
    def squared(x: jax.Array) -> jax.Array:
        return x * x

    three = jnp.float32(3)
    assert squared(three) == jax.jit(squared)(three) == 9
    assert jax.grad(squared)(three) == jax.jit(jax.grad(lambda x: squared(x)))(three) == 6
    assert jax.vmap(squared)(jnp.arange(3.0)).tolist() == [0, 1, 4]
    assert jax.lax.scan(lambda x, _: (squared(x), None), three, None, length=2)[0] == 81
    # Of a constant, within another.
    assert jax.jit(lambda x: x + squared(jnp.float32(2)))(three) == 7
    assert jax.jit(lambda x: x + squared(2.0))(three) == 7  # type: ignore[arg-type]
