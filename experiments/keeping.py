"""A file and what makes its arrays in, the arrays out: what is costly is made once."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np


def kept(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of a file, which is made, all of it or nothing, if it is not there.

    **Arguments:**

    - `path`: of the file.
    - `make`: what makes them.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        new, found = path.with_name(f".{path.name}.{os.getpid()}"), make()
        with new.open("wb") as file:
            np.savez_compressed(file, **found)
        os.replace(new, path)
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
