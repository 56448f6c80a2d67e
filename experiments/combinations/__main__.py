"""Are standard uncertainties right for every noise, prior, displacement and observation together?"""

import argparse
import sys
import time
from pathlib import Path

import jax
import numpy as np

from experiments.combinations.cases import (
    DISPLACEMENTS,
    NOISES,
    OBSERVATIONS,
    PRIORS,
    QUANTITIES,
    Case,
    runs,
)
from experiments.recording import markdown, record

HERE = Path(__file__).parent


def cases() -> list[Case]:
    """All noises with all observations and displacements, and priors with one of each noise."""
    plain = [Case(n, o, d) for o in OBSERVATIONS for n in NOISES for d in DISPLACEMENTS]
    known = [Case(n, o, "isotropic", p) for o in ("map", "series") for n in NOISES for p in PRIORS[1:]]
    return plain + known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="series of noise for each case")
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--only", default="", help="cases whose names hold this")
    given = parser.parse_args()
    rows = []
    for case in cases():
        if given.only not in case.name:
            continue
        begin = time.perf_counter()
        found = runs(case, range(given.first, given.first + given.seeds))
        scatter = [f"{np.sqrt(np.nanmean(z**2)):.3f}" for z in found.values()]
        off = [f"{np.nanmean(z):+.2f}" for z in found.values()]
        count = [str(np.count_nonzero(np.isfinite(z))) for z in found.values()]
        rows.append(
            (case.observation, case.noise, case.displacements, case.prior, *scatter, *off, "/".join(count))
        )
        print(f"{rows[-1]} {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        jax.clear_caches()
        write(rows, given.seeds, given.first)


def write(rows: list[tuple[str, ...]], seeds: int, first: int) -> None:
    """The table of the cases so far."""
    names = [f"z of {name}" for name in QUANTITIES] + [f"mean z of {name}" for name in QUANTITIES]
    header = ("observation", "noise", "displacements", "prior", *names, "numbers")
    outside = [row for row in rows if any(not 0.95 <= float(z) <= 1.05 for z in row[4:7])]
    intro = (
        f"Errors in their standard uncertainties (root of the mean square, and mean), {seeds} seeds from "
        f"{first}. Of {len(rows)} cases {len(rows) - len(outside)} have all three within 0.95 to 1.05."
    )
    record(HERE / "table.md", "python -m experiments.combinations", intro, markdown(header, rows))


if __name__ == "__main__":
    main()
