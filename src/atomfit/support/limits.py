"""Thresholds of a stage, other than they are for a while.

Each stage has its thresholds in a module `limits`, as a frozen dataclass and one instance of it, `LIMITS`,
which code reads whenever it asks: so a table can say what each of them moves (`experiments/thresholds`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def changed(limits: Any, **values: Any) -> Iterator[None]:
    """Other values of some thresholds until the block ends, for experiments: all threads see them.

    **Arguments:**

    - `limits`: the `LIMITS` of a stage.
    - `values`: of its fields, by name.

    **Raises:** `AttributeError` if there is no such threshold.
    """
    before = {name: getattr(limits, name) for name in values}
    try:
        for name, value in values.items():
            object.__setattr__(limits, name, value)
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(limits, name, value)
