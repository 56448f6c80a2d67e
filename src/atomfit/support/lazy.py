"""Names that a package exports, each loaded when it is first used.

`import atomfit.structure` costs nothing, and `atomfit --help` does not wait for JAX: a package knows in
which of its modules a name is at home, and imports that module when somebody asks for the name, as PEP 562
has it.

A function may be called as its module is: `fitting.pose` holds `pose`. The import system sets a module in
its package as soon as anything imports it, and `from atomfit.fitting import pose` would be one or the
other, depending on what ran before. What a package exports stands before its modules; these are found by
`from atomfit.fitting.pose import ...`, as ever.

Type checkers and editors do not see a table. They read the imports that stand beside it for them alone; a
test compares the two.
"""

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any


class _Package(ModuleType):
    """A package whose exported names are at home in its modules."""

    __all__: list[str]
    _homes: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        # `_homes` itself is asked for while the package is being made.
        home = self.__dict__.get("_homes", {}).get(name)
        if home is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{self.__name__}.{home}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        # This is how the import system tells a package of a module.
        if not (isinstance(value, ModuleType) and name in self.__dict__.get("_homes", {})):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})


def export(package: str, names: Mapping[str, Sequence[str]]) -> None:
    """Let a package export names, and load each when it is first used.

    **Arguments:**

    - `package`: its `__name__`; it is being imported.
    - `names`: of each of its modules (dotted, from the package on), in the order of `__all__`.
    """
    module = sys.modules[package]
    homes = {name: home for home, held in names.items() for name in held}
    module.__class__ = _Package
    module.__dict__.update(_homes=homes, __all__=list(homes))
