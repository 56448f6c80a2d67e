"""A method, a set and doses in, what it finds in each image out, on disk.

All that was found is kept (`local/heights/CRYSTAL/measured`), an image a file, so that a run may be stopped
and goes on, and tables are made again without a run (`tables`). The truth of scenes, and what the oracle
says of them, are kept beside.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.column_heights.found import Condition, Heights
from experiments.heights import cells
from experiments.heights.judge import Compared, Truth, compared
from experiments.heights.made import Made
from experiments.heights.oracle import counts, oracle
from experiments.heights.scenes import DOSES, Scene, scene
from experiments.heights.solvers import Solve, solver
from experiments.heights.specimens import PIXEL
from experiments.keeping import kept

#: Draws of noise that an oracle sees; the first of them is what methods see.
DRAWS = 8


class Measured:
    """What is on disk of a crystal.

    **Arguments:**

    - `folder`: where.
    - `crystal`: CeO2, Pt, Au or a CIF file.
    """

    def __init__(self, folder: Path, crystal: str) -> None:
        self.folder, self.crystal = folder / "measured", crystal

    def seen(self, what: Scene) -> tuple[Truth, Float[np.ndarray, "rows columns"]]:
        """A scene's columns, and its image without noise (in parts of the dose).

        **Arguments:**

        - `what`: the scene.
        """

        def make() -> dict[str, np.ndarray]:
            made = Made(what)
            columns = made.columns
            return {
                "positions": columns.positions,
                "heights": columns.heights,
                "missing": columns.missing,
                "surface": made.surface,
                "shape": np.array(made.expected.shape),
                "expected": made.expected,
            }

        found = kept(self.folder / "scenes" / what.name / f"{what.seed}.npz", make)
        return Truth(*(found[each.name] for each in fields(Truth))), found["expected"]

    def limit(
        self, what: Scene, starts: str = "known", make: bool = True
    ) -> Float[np.ndarray, "doses draws n levels"] | None:
        """What the oracle says, at `DOSES`; None if it is not there and is not to be made.

        **Arguments:**

        - `what`: the scene.
        - `starts`: whether columns' beginnings are known.
        - `make`: whether to ask it.
        """
        path = self.folder / f"oracle-{starts}" / what.name / f"{what.seed}.npz"
        if not make and not path.is_file():
            return None
        return kept(path, lambda: {"p": oracle(Made(what), DOSES, DRAWS, starts)})["p"]

    def found(
        self, what: Scene, dose: float, method: str, solve: Solve | None
    ) -> dict[str, np.ndarray] | None:
        """What a method finds in an image; None if it is not there and there is nothing to solve it.

        **Arguments:**

        - `what`, `dose`: the image.
        - `method`, `solve`: what it is called, and does.
        """
        path = self.folder / method / what.name / f"{what.seed}-{dose:g}.npz"
        if solve is None and not path.is_file():
            return None

        def run() -> dict[str, np.ndarray]:
            _, expected = self.seen(what)
            image = counts(expected, what.seed, dose, what.options.noise_mtf)
            begin = time.perf_counter()
            heights = solve(image, PIXEL, 1.0)
            return as_arrays(heights) | {"seconds": np.array(time.perf_counter() - begin)}

        return kept(path, run)

    def compared(
        self, what: Scene, dose: float, method: str, solve: Solve | None, ask: bool
    ) -> Compared | None:
        """An image of a method beside the truth.

        **Arguments:**

        - `what`, `dose`, `method`, `solve`: as above.
        - `ask`: whether to ask the oracle where it was not asked yet.
        """
        found = self.found(what, dose, method, solve)
        if found is None:
            return None
        truth, _ = self.seen(what)
        limit = self.limit(what, make=ask) if dose in DOSES else None
        told = None if limit is None else limit[DOSES.index(dose), 0]
        return compared(as_heights(found), truth, what.conditions, told, float(found["seconds"]))


def measure(
    of: Measured, name: str, doses: Sequence[float], method: str, seeds: range, ask: bool = True
) -> list[list[str]]:
    """Rows of a table of a set, a dose each.

    **Arguments:**

    - `of`: where it is kept.
    - `name`, `doses`, `seeds`: of the images.
    - `method`: network, likelihood.
    - `ask`: whether to ask the oracle where it was not asked yet.
    """
    solve, parts = solver(method, of.crystal), {dose: [] for dose in doses}
    for seed in seeds:
        for dose in doses:
            one = of.compared(scene(of.crystal, name, seed), dose, method, solve, ask)
            parts[dose].append(one)
            print(
                f"{name} {seed} {dose:g}: {cells.CELLS['exact'](one)} in {one.seconds[0]:.1f} s", flush=True
            )
    return [cells.row(name, dose, Compared.joined(parts[dose])) for dose in doses]


def as_arrays(found: Heights) -> dict[str, np.ndarray]:
    """What is kept of what was found; no image.

    **Arguments:**

    - `found`: heights.
    """
    plain = {each.name: getattr(found, each.name) for each in fields(Heights)}
    del plain["expected"]
    said = [[getattr(one, each.name) for each in fields(Condition)] for one in plain.pop("conditions")]
    # A network alone has no levels.
    return {name: np.asarray(value) for name, value in plain.items() if value is not None} | {
        "conditions": np.array(json.dumps(said))
    }


def as_heights(arrays: dict[str, np.ndarray]) -> Heights:
    """The contrary.

    **Arguments:**

    - `arrays`: what is kept.
    """
    of = {each.name: arrays[each.name] for each in fields(Heights) if each.name in arrays}
    of["conditions"] = tuple(Condition(*each) for each in json.loads(str(of["conditions"])))
    return Heights(**{name: v.item() if getattr(v, "ndim", 1) == 0 else v for name, v in of.items()})
