"""Simulated films and glasses, reconstructed as the field does: what is found, and what is invented."""

import argparse
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("make", "measure", "tables", "realism")


def main() -> None:
    from experiments.film.scenes import GROUPS, KINDS, scene

    parser = argparse.ArgumentParser("python -m experiments.film", description=__doc__)
    parser.add_argument("part", choices=PARTS, help="make: maps only; tables: of all that is on disk")
    parser.add_argument("--kind", default=",".join(KINDS), help="one or more, with commas; all by default")
    parser.add_argument("--group", choices=tuple(GROUPS), default="choose", help="of seeds")
    parser.add_argument("--seeds", type=int, default=2, help="how many of each kind")
    parser.add_argument("--seed-offset", type=int, default=0, help="from the group's first seed")
    parser.add_argument("--data", type=Path, help="realism: the measured film's directory")
    given = parser.parse_args()
    kinds = given.kind.split(",")
    if wrong := sorted(set(kinds) - set(KINDS)):
        parser.error(f"there is no kind called {', '.join(wrong)}: it is one of {', '.join(KINDS)}")
    first = GROUPS[given.group] + given.seed_offset
    scenes = [scene(kind, seed) for seed in range(first, first + given.seeds) for kind in kinds]
    match given.part:
        case "make":
            from experiments.film.made import sub_area
            from experiments.film.measuring import FOLDER

            for one in scenes:
                area = sub_area(one, FOLDER)
                print(
                    f"{one.kind} {one.seed}: {area.map.grid.shape}, {len(area.positions)} atoms", flush=True
                )
        case "measure":
            from experiments.film.measuring import measured
            from experiments.film.tables import HEADER, row

            for one in scenes:
                cells = row(one.kind, one.seed, measured(one))
                told = (
                    "kind",
                    "seed",
                    "F1: build",
                    "picker, raw / smoothed map",
                    "false",
                    "missing",
                    "seconds",
                )
                print(
                    " | ".join(f"{h} {c}" for h, c in zip(HEADER, cells, strict=True) if h in told),
                    flush=True,
                )
        case "tables":
            from experiments.film import tables

            tables.write(given.group, HERE / f"{given.group}.md")
        case "realism":
            from experiments.film import comparing

            comparing.write(scenes, given.data, HERE / "realism.md")


if __name__ == "__main__":
    main()
