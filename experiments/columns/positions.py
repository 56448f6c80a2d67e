"""Places and cross-sections of simulated particles against the Cramér-Rao bound, over doses and sizes."""

import sys
import time
from collections.abc import Iterator, Sequence

from atomfit.simulation import simulate_image
from experiments.columns.bound import Reference, reference
from experiments.columns.found import Found, in_image
from experiments.columns.scores import HEADER, Errors

#: What is simulated, by name: about 200, 800 and 2,000 columns of Pt [110].
PARTICLES = {
    "sphere of 1,500 atoms": {"size": 1500},
    "sphere of 13,000 atoms": {"size": 13_000, "pixel_size": 0.16},
    "11 spheres of 1,500 atoms": {"size": 1500, "particles": 11, "pixel_size": 0.2},
}
DOSES = (3e2, 1e3, 3e3, 1e4, 1e5)
COLUMNS = ("columns", "dose (e/Å²)", "program", "which", *HEADER)


def rows(
    names: Sequence[str], doses: Sequence[float], seeds: Sequence[int], program: bool
) -> Iterator[tuple[str, ...]]:
    """Lines of the table: each particle at each dose, all columns and those at the surface.

    **Arguments:**

    - `names`, `doses`, `seeds`: which particles; of each larger one half as many seeds.
    - `program`: whether `atomfit` is run, or only the fit from the truth.
    """
    for half, name in enumerate(names):
        for dose in doses:
            programs: dict[str, list[Errors]] = {"atomfit": []} if program else {}
            programs["from the truth"] = []
            number = 0
            for seed in seeds[: max(len(seeds) >> half, 1)]:
                begin = time.perf_counter()
                image = simulate_image(**PARTICLES[name], dose=dose, seed=seed)
                known, number = image.columns, len(image.columns)
                bound = reference(image)
                for by, errors in programs.items():
                    found = as_found(bound) if by == "from the truth" else in_image(image, element="Pt")
                    errors.append(Errors.of(found, known.positions, known.cross_sections, bound))
                print(f"{name}, {dose:g}, {seed}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)
            for by, errors in programs.items():
                joined = Errors.joined(errors)
                for surface in (False, True):
                    which = "surface" if surface else "all"
                    yield (str(number), f"{dose:g}", by, which, *joined.row(surface))


def as_found(fit: Reference) -> Found:
    """The fit from the truth, with the bound as its error bars."""
    return Found(fit.positions, fit.position_bounds, fit.integrals, fit.integral_bounds)
