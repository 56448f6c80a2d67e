"""How long a simulated image of 2,048² pixels takes, from its file to the result: first run and second."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from atomfit.simulation import simulate_image
from atomfit.simulation.image_files import write_image_simulation
from experiments.columns.found import in_file

HEADER = ("columns", "pixels", "run", "seconds", "columns/s")
#: Of the images; the second fills 2,048² pixels with particles.
IMAGES: tuple[dict[str, object], ...] = (
    {"size": 1500, "dose": 1e4},
    {"size": 4000, "particles": 9, "dose": 1e4, "pixel_size": 0.125, "image_size": 2048},
)


def rows() -> Iterator[tuple[str, ...]]:
    """Lines of the table."""
    for changes in IMAGES:
        image = simulate_image(**changes, seed=9)
        with TemporaryDirectory() as directory:
            path = write_image_simulation(image, Path(directory) / "image") / "image.mrc"
            for run in ("first", "second"):
                begin = time.perf_counter()
                found = in_file(path, element="Pt")
                seconds = time.perf_counter() - begin
                n, edge = len(found.positions), image.grid.shape[0]
                yield (str(n), f"{edge}²", run, f"{seconds:.1f}", f"{n / seconds:.0f}")
