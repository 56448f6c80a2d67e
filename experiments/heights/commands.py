"""Measure what finds heights, and what the oracle knows of the same electrons."""

import argparse
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("measure", "limits", "tables", "advice")
LOCAL = HERE.parents[1] / "local" / "heights"


def main() -> None:
    from experiments.heights.scenes import DOSES, GROUPS, SETS
    from experiments.heights.solvers import METHODS

    parser = argparse.ArgumentParser("python -m experiments.heights", description=__doc__)
    parser.add_argument("part", choices=PARTS, help="tables: of all that is on disk")
    parser.add_argument("--crystal", default="CeO2", help="CeO2, Pt, Au or a CIF file; seen along [110]")
    parser.add_argument("--set", default="bar", help=f"one or more of {', '.join(SETS)}, with commas")
    parser.add_argument("--doses", default=",".join(f"{dose:g}" for dose in DOSES), help="e/Å²")
    parser.add_argument("--method", choices=METHODS, default="network")
    parser.add_argument("--group", choices=tuple(GROUPS), default="choose", help="of seeds")
    parser.add_argument("--images", type=int, default=8, help="of each set")
    parser.add_argument("--seed-offset", type=int, default=0, help="from the group's first seed")
    parser.add_argument("--no-oracle", action="store_true", help="measure: do not ask it")
    parser.add_argument("--unknown-starts", type=int, default=0, help="limits: images of that, too")
    given = parser.parse_args()
    names = given.set.split(",")
    if wrong := sorted(set(names) - set(SETS)):
        parser.error(f"there is no set called {', '.join(wrong)}: it is one of {', '.join(SETS)}")
    first = GROUPS[given.group] + given.seed_offset
    seeds = range(first, first + given.images)
    from experiments.heights.measuring import Measured

    stem = Path(given.crystal).stem
    of = Measured(LOCAL / stem, given.crystal)
    suffix = "" if stem == "CeO2" else f"_{stem.lower()}"
    match given.part:
        case "measure":
            from experiments.heights.cells import HEADER
            from experiments.heights.measuring import measure
            from experiments.recording import markdown

            doses = [float(dose) for dose in given.doses.split(",")]
            asked = not given.no_oracle
            rows = [row for name in names for row in measure(of, name, doses, given.method, seeds, asked)]
            print(markdown(HEADER, rows))
        case "limits":
            from experiments.heights.limits import ask, write

            ask(of, names, seeds, given.unknown_starts)
            write(of, HERE / f"limits{suffix}.md", given.group)
        case "tables":
            from experiments.heights import tables

            tables.write(of, HERE / f"measured_{given.method}{suffix}.md", given.method, given.group)
        case "advice":
            from experiments.heights import advising

            advising.write(of, HERE / f"advice{suffix}.md", given.group)
