"""How time and memory grow with the number of atoms: the joint fit alone, and `build` stage by stage.

Each size is a process of its own, so that its memory is its own. It builds a map from a file twice, and the
second time, when all code is compiled, counts. This module, run as a program, is that process.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from experiments.benchmarks.timing import seconds
from experiments.recording import markdown

SIZES = (500, 2_000, 8_000, 32_000)
LARGEST = 200_000
#: Stages that the exponents are given for.
STAGES = ("read and prepare", "detect", "baseline", "joint fit", "statistics", "write")


def texts(largest: bool = False) -> tuple[str, ...]:
    """The part's table and what to know of it."""
    sizes = (*SIZES, LARGEST) if largest else SIZES
    runs = [measured(n) for n in sizes]
    stages = (f"{stage}, s" for stage in STAGES)
    header = ("atoms", "voxels", "`fit_jointly`, s", "iterations", *stages, "memory, GB")
    rows = [
        (
            f"{n:,}",
            run["voxels"],
            f"{run['fit']:.2f}",
            run["iterations"],
            *(f"{run['seconds'][stage]:.2f}" for stage in STAGES),
            f"{run['memory']:.2f}",
        )
        for n, run in zip(sizes, runs, strict=True)
    ]
    exponents = [exponent(sizes, [run["seconds"][stage] for run in runs]) for stage in STAGES]
    of_fit = exponent(sizes, [run["fit"] for run in runs])
    rows.append(("exponent", "", f"{of_fit:.2f}", "", *(f"{e:.2f}" for e in exponents), ""))
    rows.append(("goal", "", "≤ 1.1", "", *[""] * len(STAGES), "≤ 6 at 200,000"))
    intro = (
        "Pt spheres, noise 5 % of a peak; compiled code; `joint fit` is a fit and the measurement of the "
        "noise. Exponents are slopes of a straight line through logarithms of time and atoms. Memory is "
        "the process's largest, with the first build, which compiles, and the fit by itself."
    )
    return intro, markdown(header, rows)


def measured(n: int) -> dict:
    """What a process that builds a particle of n atoms says of itself, and its memory (GB)."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "experiments.benchmarks.growth", folder]
        subprocess.run([*program, str(n)], check=True, stderr=subprocess.DEVNULL)
        process = subprocess.Popen(program, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"the build of {n} atoms failed")
        unit = 1 if sys.platform == "darwin" else 1024
        report = json.loads(Path(folder, "report.json").read_text())
    return report | {"memory": usage.ru_maxrss * unit / 1e9}


def exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """Of a power law."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def prepare(folder: Path, n: int) -> None:
    """Write the map of a particle."""
    from atomfit.io.mrc import write_map
    from atomfit.simulation import simulate

    write_map(folder / "map.mrc", simulate(size=n, noise=0.05, seed=0).map)


def build_twice(folder: Path) -> None:
    """Build, and say how long the second time took, and a fit of the atoms found."""
    from atomfit import build
    from atomfit.fitting.joint import fit_jointly

    def write() -> None:
        result.write(folder / "result", overwrite=True)

    for _ in range(2):
        result = build(folder / "map.mrc", "Pt")
        writing = seconds(write)
    found = result.detection
    fit = seconds(lambda: fit_jointly(result.density, found.positions, found.mean_atom, result.element))
    report = {
        "voxels": " x ".join(str(edge) for edge in result.density.values.shape),
        "fit": fit,
        "iterations": len(result.joint.history) - 1,
        "seconds": result.seconds | {"write": writing},
    }
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        prepare(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        build_twice(Path(sys.argv[1]))
