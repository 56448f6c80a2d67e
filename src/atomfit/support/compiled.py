"""Compiled programs that outlive the process.

JAX keeps on disk what XLA has compiled, but to know what to look for it traces the Python code anew in
every process, and for a few hundred atoms that takes longer than the fit. `kept` keeps the whole program: a
function of it is jitted as `equinox.filter_jit` does, and if a directory was named (`keep_in`), as the
command line does, the executable is stored there under a key of all that it depends on: the arguments'
structure, shapes and static parts, the source of this package, versions, device and processor.

A compiled program is machine code: to read one is to run what its writer wrote, in whatever format it is
stored. So they are kept in a directory that only this user can write to, and read if they are this user's
own (`private`); they are pickles, which is how JAX stores an executable with what its arguments look like.

A program that cannot be kept or read back is compiled as usual; nothing but time depends on it.
"""

import hashlib
import io
import os
import pickle
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from atomfit.support.private import read_private

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Programs that are kept, the latest used first.
_MOST = 64
_directory: Path | None = None


def keep_in(directory: Path | None) -> None:
    """From now on, keep programs in a directory; None to keep none.

    Only for processes in which no code but this package's is compiled: a change of any other would not be
    noticed.
    """
    global _directory
    _directory = directory


class kept(Generic[_P, _R]):
    """A jitted function whose compiled programs are kept."""

    def __init__(self, function: Callable[_P, _R]) -> None:
        self._function = function
        self._traced = eqx.filter_jit(function)
        self._programs: dict[str, Callable[[Any], Any]] = {}
        self.__doc__ = function.__doc__

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if _within_another(args, kwargs):
            return self._traced(*args, **kwargs)
        if _directory is None or kwargs or jax.device_count() > 1:
            return self._jitted(*args, **kwargs)
        arrays, static = eqx.partition(args, _is_array)
        leaves = jax.tree.leaves(arrays)
        try:
            key = self._key(leaves, static)
        except (pickle.PicklingError, AttributeError, TypeError, RecursionError):
            return self._jitted(*args, **kwargs)
        if key in self._programs:
            return self._programs[key](leaves)
        path = _directory / f"{self._function.__name__.strip('_')}-{key}"
        read = _read(path)
        if read is not None:
            try:
                result = read(leaves)
                self._programs[key] = read
                return result
            # What was kept of a program that JAX itself had read from its cache lacks parts of it.
            except jax.errors.JaxRuntimeError:
                pass
        self._programs[key] = self._compiled(path, arrays, static)
        return self._programs[key](leaves)

    @cached_property
    def _jitted(self) -> Callable[_P, _R]:
        jitted = eqx.filter_jit(self._function, compiler_options=_options())  # type: ignore[call-overload]
        return cast(Callable[_P, _R], jitted)

    def _key(self, leaves: list[Any], static: Any) -> str:
        shapes = [(x.shape, str(x.dtype), bool(getattr(x, "weak_type", False))) for x in leaves]
        about = io.BytesIO()
        pickler = _Canonical(about)
        # Equal things are to have equal pickles, whether or not they are one thing.
        pickler.fast = True
        pickler.dump((self._function.__qualname__, shapes, static))
        return hashlib.sha256(_surroundings() + about.getvalue()).hexdigest()[:32]

    def _compiled(self, path: Path, arrays: Any, static: Any) -> Callable[[Any], Any]:
        """A program from its source, kept for the next time."""
        leaves, structure = jax.tree.flatten(arrays)
        shape_of_result: list[Any] = []

        def flat(leaves: list[Any]) -> list[Any]:
            given = eqx.combine(jax.tree.unflatten(structure, leaves), static)
            result = self._function(*given)  # type: ignore[call-arg]
            numbers, rest = eqx.partition(result, _is_array)
            found, of_result = jax.tree.flatten(numbers)
            shape_of_result[:] = [jax.tree.unflatten(of_result, range(len(found))), rest]
            return found

        program = jax.jit(flat, compiler_options=_options()).lower(leaves).compile()
        _write(path, program, tuple(shape_of_result))
        return _of_leaves(program, *shape_of_result)


class _Canonical(pickle.Pickler):
    """Equal things have equal pickles in all processes, which have their sets in different orders."""

    def persistent_id(self, obj: Any) -> Any:
        return ("set", sorted(map(repr, obj))) if isinstance(obj, set | frozenset) else None


def _within_another(*arguments: Any) -> bool:
    """Whether a program is part of another one, or of a derivative: then it may have no options."""
    leaves = [*jax.tree.leaves(arguments), jnp.zeros(())]
    return any(isinstance(x, jax.core.Tracer) for x in leaves)


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray | np.generic)


def _of_leaves(program: Callable[..., Any], places: Any, rest: Any) -> Callable[[Any], Any]:
    """A program that returns its result in its own structure, of which `places` has the leaves' numbers."""

    def run(leaves: list[Any]) -> Any:
        found = program(leaves)
        return eqx.combine(jax.tree.map(lambda i: found[i], places), rest)

    return run


@cache
def _options() -> dict[str, bool]:
    """Loops by XLA's older emitters, where there are any: compiled in half the time, and as quick."""
    older = tuple(int(part) for part in jax.__version__.split(".")[:2]) < (0, 11)
    return {"xla_cpu_use_fusion_emitters": False} if older and jax.default_backend() == "cpu" else {}


@cache
def _set_up_linear_algebra() -> None:
    """What programs that factorise matrices call is set up where one is traced; unset, they would crash."""
    jax.jit(jnp.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), jnp.float32))


def _read(path: Path) -> Callable[[Any], Any] | None:
    from jax.experimental.serialize_executable import deserialize_and_load

    try:
        content = read_private(path)
        if content is None:
            return None
        _set_up_linear_algebra()
        program, places, rest = pickle.loads(content)
        loaded = deserialize_and_load(*program)
        os.utime(path)
    # Whatever is wrong with a file that may be of any age: it is made anew.
    except Exception:
        return None
    return _of_leaves(loaded, places, rest)


def _write(path: Path, program: Any, shape_of_result: tuple[Any, Any]) -> None:
    from jax.experimental.serialize_executable import serialize

    try:
        content = pickle.dumps((serialize(program), *shape_of_result))
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
        programs = sorted(path.parent.iterdir(), key=lambda other: other.stat().st_mtime)
        for old in programs[:-_MOST]:
            old.unlink(missing_ok=True)
    # Not every backend can, and the disk may be full: the program itself is there.
    except Exception:
        return


@cache
def _surroundings() -> bytes:
    """All that a program depends on, its arguments apart."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    device = jax.devices()[0]
    about = [
        sys.version,
        *(module.__version__ for module in (jax, eqx, np)),
        platform.platform(),
        _processor(),
        device.platform,
        device.device_kind,
        device.client.platform_version,
        os.environ.get("XLA_FLAGS", ""),
        [getattr(jax.config, name) for name in ("jax_enable_x64", "jax_default_matmul_precision")],
    ]
    digest.update(repr(about).encode())
    return digest.digest()


def _processor() -> str:
    """What the processor can do: a home directory may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
