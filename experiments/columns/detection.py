"""Which columns are found, from a dose at which all are to one at which half are lost, beside a picker."""

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from atomfit.simulation import simulate_image
from experiments.columns.found import in_image
from experiments.columns.scores import Picked, oracle, scored

#: What is simulated, by name, and the doses of its ladder (e/Å²).
SPECIMENS: dict[str, tuple[dict[str, object], tuple[float, ...]]] = {
    "Pt sphere, 178 columns": ({"size": 1500}, (1e4, 3e3, 1e3, 3e2, 1e2, 50, 30, 15)),
    "two small Pt, 20 single atoms": (
        {"size": 150, "particles": 2, "single_atoms": 20},
        (1e5, 3e4, 1e4, 3e3, 1e3, 500, 300),
    ),
    "Si [110] dumbbells": (
        {"element": "Si", "crystal": 100.0, "width": 0.4, "image_size": 200},
        (1e5, 3e4, 1e4, 3e3, 1e3, 300),
    ),
    "PtCo L1_0": (
        {"second": "Co", "order": "L1_0", "size": 1000},
        (3e4, 1e4, 3e3, 1e3, 300, 100),
    ),
}
HEADER = ("specimen", "dose (e/Å²)", "columns", "F1", "F1 of the picker", "recall", "recall of the picker")


def rows(names: Sequence[str], seeds: Sequence[int], program: bool) -> Iterator[tuple[str, ...]]:
    """Lines of the table: each specimen at each dose, means over seeds; `program` or the picker alone."""
    for name in names:
        changes, ladder = SPECIMENS[name]
        for dose in ladder:
            ours: list[Picked] = []
            best: list[Picked] = []
            number = 0
            for seed in seeds:
                image = simulate_image(**changes, dose=dose, seed=seed)
                known, options = image.columns.positions, image.options
                number += len(known)
                if program:
                    ours.append(scored(in_image(image, element=options.element).positions, known))
                width = float(np.median(image.columns.widths))
                best.append(oracle(image.frames[0], options.pixel_size, width, known))
            print(f"{name}, {dose:g}", file=sys.stderr, flush=True)
            f1, recall = (
                [
                    f"{np.mean([getattr(one, what) for one in each]):.3f}" if each else ""
                    for each in (ours, best)
                ]
                for what in ("f1", "recall")
            )
            yield (name, f"{dose:g}", str(number), *f1, *recall)
