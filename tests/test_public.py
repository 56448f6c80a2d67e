"""What users may rely on: it is there, costs nothing until it is used, and says what it is.

Public is what a package names in its `__all__`. The reference (`make docs`) tells of nothing else.
"""

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import atomfit

INSIDE = sorted(path.parent.name for path in Path(atomfit.__path__[0]).glob("*/__init__.py"))
PACKAGES = ("atomfit", *(f"atomfit.{name}" for name in INSIDE))
#: Those that export something.
PUBLIC = [name for name in PACKAGES if hasattr(importlib.import_module(name), "__all__")]
#: A list of arguments may be another's.
REFERS = re.compile(r"\*\*Arguments:\*\* (those of `\w+`|as above)")


def exported() -> dict[str, Any]:
    """Public objects, each by the last of its names."""
    found = {}
    for package in PUBLIC:
        module = importlib.import_module(package)
        found |= {id(value): (f"{package}.{name}", value) for name, value in members(module)}
    return dict(found.values())


def members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in module.__all__:
        if name != "__version__":
            yield name, getattr(module, name)


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """Public functions and properties that a class defines itself."""
    for name, value in vars(kind).items():
        held = inspect.unwrap(getattr(value, "__func__", value))
        if not name.startswith("_") and (inspect.isfunction(held) or isinstance(held, property)):
            yield name, getattr(kind, name)


def everything() -> Iterator[tuple[str, Any]]:
    """Public objects, and the public methods of those that are classes."""
    for name, value in exported().items():
        yield name, value
        if inspect.isclass(value):
            yield from ((f"{name}.{inner}", method) for inner, method in methods(value))


def arguments(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize("package", PUBLIC)
def test_a_package_exports_what_type_checkers_see(package: str) -> None:
    """The table that programs use, and the imports that stand beside it."""
    module = importlib.import_module(package)
    tree = ast.parse(inspect.getsource(module))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for name in node.names:
            assert name.asname == name.name, f"{name.name} is not exported: import it as {name.name}"
            seen[name.name] = node.module
    assert sorted(seen) == sorted(module.__all__)
    for name, home in seen.items():
        assert getattr(module, name) is getattr(importlib.import_module(str(home)), name)
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_a_name_is_not_its_module() -> None:
    """Whatever was imported before."""
    for order in ("pose, fit_jointly", "fit_jointly, pose"):
        program = f"from atomfit.fitting import {order}\nimport atomfit.fitting.pose\n"
        program += "from atomfit.fitting import pose\nassert pose.__name__ == 'pose' and callable(pose)"
        subprocess.run([sys.executable, "-c", program], check=True)


def test_packages_cost_nothing() -> None:
    """Neither JAX nor numpy is imported before something is used."""
    program = (
        f"import sys, {', '.join(PUBLIC)}\nprint(sorted({{'jax', 'numpy', 'scipy'}} & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert told.strip() == "[]"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_it_holds_and_imports(package: str) -> None:
    told = inspect.getdoc(importlib.import_module(package)) or ""
    assert package == "atomfit" or "imports" in told, package


def test_what_is_public_says_what_it_is() -> None:
    """In a sentence of its own, on the first lines."""
    for name, value in everything():
        told = inspect.getdoc(value) or ""
        first = told.split("\n\n")[0]
        assert re.match(r"[^*#>-].*[.:?]$", first, re.DOTALL), f"{name}: {first!r}"


def test_arguments_are_told_of() -> None:
    """All those of a function; of a method if it has a list of them, and if there are more than two."""
    for name, value in everything():
        if inspect.isclass(value) or isinstance(value, property):
            continue
        told = inspect.getdoc(value) or ""
        listed = told.partition("**Arguments:**")[2].split("\n**")[0]
        method = value.__qualname__ != value.__name__
        if REFERS.search(told) or (method and not listed and len(arguments(value)) < 3):
            continue
        missing = [one for one in arguments(value) if f"`{one}`" not in listed]
        assert not missing, f"{name} does not tell of {missing}"


def test_fields_are_told_of() -> None:
    """Here, or where they are inherited from."""
    for name, value in exported().items():
        if inspect.isclass(value) and dataclasses.is_dataclass(value):
            told = " ".join(base.__doc__ or "" for base in value.__mro__)
            missing = [one.name for one in dataclasses.fields(value) if f"`{one.name}`" not in told]
            assert not [one for one in missing if not one.startswith("_")], f"{name}: {missing}"


def test_examples_run() -> None:
    """Those of single objects; blocks of README and docs, in which they work together, run elsewhere."""
    results = [
        doctest.DocTestRunner().run(example)
        for name, value in everything()
        for example in doctest.DocTestFinder(recurse=False).find(value, name)
    ]
    assert not sum(result.failed for result in results)
    assert sum(result.attempted for result in results) > 8
