"""The paper redone on particles of known truth: its Table 1 and Figs. 2 to 6, three times side by side."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.recording import record
from experiments.single_pt import tables
from experiments.single_pt.figures import draw_all
from experiments.single_pt.particles import FRAMES, NOISE, SIZES, TEMPERATURE, make_case
from experiments.single_pt.procedures import Study, study
from experiments.single_pt.ratios import ratios

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=len(SIZES), help="the first so many of the eight")
    parser.add_argument("--seed", type=int, default=0, help="of shapes, motion and noise")
    given = parser.parse_args()
    studies = []
    for number in range(given.particles):
        begin = time.perf_counter()
        studies.append(study(make_case(number, given.seed)))
        print(f"{studies[-1].case.name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        write(studies, given.seed)


def write(studies: Sequence[Study], seed: int) -> None:
    """The table and the figures of the particles so far: an interrupted run leaves those that it has."""
    intro = (
        f"{FRAMES} frames of EMT dynamics at {TEMPERATURE:g} K, seed {seed}; noise of "
        f"{100 * NOISE:g} % of the highest voxel in either half map. An atom is at the surface if it has "
        "fewer than twelve neighbours."
    )
    parts = (tables.overview, ratios, tables.depths, tables.halves, tables.atoms)
    texts = [text for part in parts for text in part(studies)]
    command = f"python -m experiments.single_pt --particles {len(studies)} --seed {seed}"
    record(HERE / "table.md", command, intro, *texts)
    draw_all(studies, HERE)


if __name__ == "__main__":
    main()
