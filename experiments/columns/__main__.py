"""Columns of images: places and cross-sections against the bound, detection, speed, and measured images."""

import argparse
from pathlib import Path

from experiments.columns import detection, positions, real, speed
from experiments.recording import markdown, record

HERE = Path(__file__).parent
PARTS = ("positions", "detection", "speed", "real")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PARTS", help=f"of {', '.join(PARTS)}; all but the last"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104], help="of specimens")
    parser.add_argument(
        "--particles", type=int, default=2, help="the first so many of the sizes of positions"
    )
    parser.add_argument(
        "--doses", type=float, nargs="+", default=list(positions.DOSES), help="of positions"
    )
    parser.add_argument("--specimens", type=int, default=4, help="the first so many of detection")
    parser.add_argument("--data", type=Path, help="the folder of measured images, for real")
    parser.add_argument(
        "--images", nargs="+", choices=real.IMAGES, default=list(real.IMAGES), help="of real"
    )
    parser.add_argument(
        "--references",
        action="store_true",
        help="positions and detection: only the fit from the truth, and the picker",
    )
    given = parser.parse_args()
    seeds = " ".join(map(str, given.seeds))
    command, only = "python -m experiments.columns", " --references" if given.references else ""
    for part in given.parts or PARTS[:-1]:
        match part:
            case "positions":
                doses = " ".join(f"{dose:g}" for dose in given.doses)
                said = f"{command} positions --particles {given.particles} --doses {doses} --seeds {seeds}"
                said += only
                names = list(positions.PARTICLES)[: given.particles]
                lines = positions.rows(names, given.doses, given.seeds, not given.references)
                record(HERE / "positions.md", said, markdown(positions.COLUMNS, list(lines)))
            case "detection":
                said = f"{command} detection --specimens {given.specimens} --seeds {seeds}{only}"
                names = list(detection.SPECIMENS)[: given.specimens]
                lines = detection.rows(names, given.seeds, not given.references)
                record(HERE / "detection.md", said, markdown(detection.HEADER, list(lines)))
            case "speed":
                record(HERE / "speed.md", f"{command} speed", markdown(speed.HEADER, list(speed.rows())))
            case "real":
                if given.data is None:
                    parser.error("real: give the folder of the images with --data")
                said = f"{command} real --data DIR --images {' '.join(given.images)}"
                lines = real.rows(given.data, given.images)
                record(HERE / "real.md", said, markdown(real.HEADER, list(lines)))
            case _:
                parser.error(f"{part} is no part; there are {', '.join(PARTS)}")


if __name__ == "__main__":
    main()
