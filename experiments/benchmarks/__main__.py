"""Time and memory, part by part: `python -m experiments.benchmarks [PART ...] [--largest]`."""

import argparse
from pathlib import Path

from experiments.benchmarks import fits, growth, processes, renderers
from experiments.recording import record

#: Each part's module makes the texts of its own table, `<part>.md`.
PARTS = {"renderers": renderers, "fits": fits, "growth": growth, "processes": processes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is given")
    parser.add_argument("--largest", action="store_true", help="growth up to 200,000 atoms (half an hour)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in arguments.parts or PARTS:
        options = {"largest": True} if name == "growth" and arguments.largest else {}
        command = f"python -m experiments.benchmarks {name}{' --largest' if options else ''}"
        record(Path(__file__).with_name(f"{name}.md"), command, *PARTS[name].texts(**options))


if __name__ == "__main__":
    main()
