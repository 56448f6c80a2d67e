"""What is on disk of a method in, a record of its tables out."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.heights import cells
from experiments.heights.judge import Compared
from experiments.heights.measuring import Measured
from experiments.heights.scenes import ERRORS, GROUPS, SETS, scene
from experiments.recording import markdown, record

LOST_HEADER = (
    *("set", "e/Å²", "images", "columns", "exact of bar", "exact", "lost", "the limit loses", "limit"),
    *("exact/limit of bar", "exact/limit", "90 % sets"),
)
#: Edges of bins of defocus (nm).
FOCUS = (-10, -8, -6, -4, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10)
Images = dict[tuple[str, float], list[int]]


def on_disk(of: Measured, method: str, group: str) -> Images:
    """Seeds of all sets and doses that a method was measured with.

    **Arguments:**

    - `of`, `method`: where, and what.
    - `group`: of seeds.
    """
    first, found = GROUPS[group], {}
    for path in sorted((of.folder / method).glob("*/[0-9]*.npz")):
        seed, dose = path.stem.split("-", 1)
        if first <= int(seed) < first + 1_000_000:
            found.setdefault((path.parent.name, float(dose)), []).append(int(seed))
    return {key: sorted(found[key]) for key in sorted(found, key=lambda k: (SETS.index(k[0]), k[1]))}


def joined(of: Measured, method: str, name: str, dose: float, seeds: Sequence[int]) -> Compared:
    """Some images of a set.

    **Arguments:**

    - `of`, `method`: where, and what.
    - `name`, `dose`, `seeds`: of the images.
    """
    return Compared.joined(
        [of.compared(scene(of.crystal, name, seed), dose, method, None, False) for seed in seeds]
    )


def lost(of: Measured, method: str, images: Images) -> list[list[str]]:
    """What planted errors cost: images with and without them, of the same specimens, in pairs.

    **Arguments:**

    - `of`, `method`, `images`: as of `on_disk`.
    """
    rows = []
    for (name, dose), seeds in images.items():
        both = sorted(set(seeds) & set(images.get(("bar", dose), [])))
        if name not in (*ERRORS, "four", "all") or not both:
            continue
        bar, here = (joined(of, method, one, dose, both) for one in ("bar", name))
        rates = [np.mean((c.found == c.truth)[c.truth > 0]) for c in (bar, here)]
        known = np.all(bar.limit >= 0) and np.all(here.limit >= 0)
        limits = [np.mean((c.limit == c.truth)[c.truth > 0]) for c in (bar, here)]
        rows.append(
            [
                *(name, f"{dose:g}", f"{len(both)}", f"{np.sum(here.truth > 0)}"),
                *(f"{rates[0]:.3f}", f"{rates[1]:.3f}", f"{100 * (rates[0] - rates[1]):.1f}"),
                f"{100 * (limits[0] - limits[1]):.1f}" if known else "-",
                *(cells.CELLS["limit"](here), cells.CELLS["exact/limit"](bar)),
                *(cells.CELLS[each](here) for each in ("exact/limit", "90 % sets")),
            ]
        )
    return rows


def by_defocus(of: Measured, method: str, images: Images) -> list[list[str]]:
    """Images of the set called defocus, by their defocus.

    **Arguments:**

    - `of`, `method`, `images`: as of `on_disk`.
    """
    rows = []
    for (name, dose), seeds in images.items():
        if name == "defocus":
            true = [scene(of.crystal, name, seed).options.defocus for seed in seeds]
            for low, high in pairwise(FOCUS):
                near = [seed for seed, c1 in zip(seeds, true, strict=True) if low <= c1 < high]
                if near:
                    here = joined(of, method, name, dose, near)
                    rows.append(cells.row(f"{low} to {high} nm", dose, here))
    return rows


def write(of: Measured, path: Path, method: str, group: str) -> None:
    """Record the tables of all that is on disk.

    **Arguments:**

    - `of`, `method`, `group`: as of `on_disk`.
    - `path`: of the record.
    """
    images = on_disk(of, method, group)
    every = [(name, dose, joined(of, method, name, dose, seeds)) for (name, dose), seeds in images.items()]
    record(
        path,
        f"python -m experiments.heights tables --crystal {of.crystal} --method {method} --group {group}",
        f"Method: {method}; seeds: {group}, from {GROUPS[group]}. Where two numbers are, the second is the "
        "oracle's of the same columns and electrons.",
        markdown(cells.HEADER, [cells.row(*one) for one in every]),
        "Planted errors, each beside the images of bar of the same specimens; lost are points of 100:",
        markdown(LOST_HEADER, lost(of, method, images)),
        "The set called defocus, by C1:",
        markdown(cells.HEADER, by_defocus(of, method, images)),
        "Exact, by height:",
        markdown(cells.HEIGHTS_HEADER, [cells.heights_row(*one) for one in every]),
        "Conditions: root mean square of errors (in units of the options), and of errors over esds:",
        markdown(cells.CONDITIONS_HEADER, [cells.conditions_row(*one) for one in every]),
    )
