"""Gaussian and anharmonic atoms fitted to the maps of particles that move, against the true covariances."""

import argparse
import sys
import time
from pathlib import Path

from experiments.anharmonic.fits import Compared, compare
from experiments.anharmonic.tables import tables
from experiments.recording import record
from experiments.single_pt.particles import SIZES, make_case

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=len(SIZES), help="the first so many of the eight")
    parser.add_argument("--seed", type=int, default=0, help="of shapes, motion and noise")
    parser.add_argument("--rounds", type=int, default=3, help="fits in which spreads are found")
    given = parser.parse_args()
    compared: list[Compared] = []
    for number in range(given.particles):
        begin = time.perf_counter()
        compared.append(compare(make_case(number, given.seed), given.rounds))
        print(f"{compared[-1].name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        command = f"python -m experiments.anharmonic --particles {len(compared)} --seed {given.seed}"
        record(HERE / "table.md", f"{command} --rounds {given.rounds}", *tables(compared, given.seed))


if __name__ == "__main__":
    main()
