"""How time and memory grow with the number of atoms: the joint fit by itself, and `build` stage by stage.

Each figure is of a process of its own, so that its memory is its own. It does its work twice, and the
second time, when all code is compiled, counts. This module, run as a program, is that process.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.benchmarks.timing import seconds
from experiments.recording import markdown

SIZES = (500, 2_000, 8_000, 32_000)
LARGEST = 200_000
#: Stages of `build`.
STAGES = ("read and prepare", "detect", "baseline", "joint fit", "statistics", "write")
#: Standard deviation of each coordinate of the start of a fit (Å).
OFF = 0.05


def texts(largest: bool = False) -> tuple[str, ...]:
    """The part's tables and what to know of them."""
    sizes = (*SIZES, LARGEST)
    fits = [measured("fit", n) for n in sizes]
    rows = [
        (
            f"{n:,}",
            run["voxels"],
            f"{run['noise']:.2f}",
            f"{run['fit']:.2f}",
            run["iterations"],
            f"{run['memory']:.2f}",
        )
        for n, run in zip(sizes, fits, strict=True)
    ]
    rows.append(("exponent", "", "", f"{exponent(sizes, [run['fit'] for run in fits]):.2f}", "", ""))
    rows.append(("goal", "", "", "≤ 1.1", "", "≤ 6 at 200,000"))
    of_fits = markdown(
        ("atoms", "voxels", "noise measured, s", "`fit_jointly`, s", "iterations", "memory, GB"), rows
    )
    sizes = sizes if largest else SIZES
    builds = [measured("build", n) for n in sizes]
    rows = [
        (f"{n:,}", *(f"{run['seconds'][stage]:.2f}" for stage in STAGES), f"{run['memory']:.2f}")
        for n, run in zip(sizes, builds, strict=True)
    ]
    exponents = [exponent(sizes, [run["seconds"][stage] for run in builds]) for stage in STAGES]
    rows.append(("exponent", *(f"{e:.2f}" for e in exponents), ""))
    return (
        "Pt spheres, noise 5 %; compiled code. Exponents are slopes of a straight line through "
        "logarithms of time and atoms. Memory is the largest.",
        f"**Joint fits** from {1e2 * OFF * 3**0.5:.0f} pm off, the map read and the mean atom measured in "
        "the same process.",
        of_fits,
        "**`build`**, stage by stage; `joint fit` is a fit and the measurement of the noise.",
        markdown(("atoms", *(f"{stage}, s" for stage in STAGES), "memory, GB"), rows),
    )


def measured(what: str, n: int) -> dict:
    """What a process that fits or builds a particle of n atoms says of itself, and its memory (GB)."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "experiments.benchmarks.growth", folder]
        subprocess.run([*program, "prepare", str(n)], check=True, stderr=subprocess.DEVNULL)
        process = subprocess.Popen([*program, what], stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"the {what} of {n} atoms failed")
        unit = 1 if sys.platform == "darwin" else 1024
        report = json.loads(Path(folder, "report.json").read_text())
    print(what, n, report, f"{usage.ru_maxrss * unit / 1e9:.2f} GB", file=sys.stderr, flush=True)
    return report | {"memory": usage.ru_maxrss * unit / 1e9}


def exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """Of a power law."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def prepare(folder: Path, n: str) -> None:
    """Write the map of a particle, and where its atoms are."""
    from atomfit.io.mrc import write_map
    from atomfit.simulation import simulate

    simulation = simulate(size=int(n), noise=0.05, seed=0)
    write_map(folder / "map.mrc", simulation.map)
    np.save(folder / "positions.npy", simulation.positions)


def fit(folder: Path) -> None:
    """Fit all atoms from near their true places, twice."""
    from atomfit.detection.mean_atom import measure_mean_atom
    from atomfit.fitting.joint import fit_jointly
    from atomfit.io.mrc import read_map
    from atomfit.noise.sources import measure_noise
    from atomfit.structure.elements import element

    platinum, density = element("Pt"), read_map(folder / "map.mrc").map
    positions = np.load(folder / "positions.npy")
    positions = positions + np.random.default_rng(1).normal(0, OFF, positions.shape)
    mean_atom = measure_mean_atom(density, platinum)
    begin = time.perf_counter()
    noise = measure_noise(density, positions, mean_atom.u)
    report = {"voxels": " x ".join(map(str, density.values.shape)), "noise": time.perf_counter() - begin}
    found = None
    for _ in range(2):
        # What the first has found is not part of the second's memory.
        del found
        begin = time.perf_counter()
        found = fit_jointly(density, positions, mean_atom, platinum, noise=noise)
        report |= {"fit": time.perf_counter() - begin, "iterations": len(found.history) - 1}
    (folder / "report.json").write_text(json.dumps(report))


def build(folder: Path) -> None:
    """Build twice, and say how long the second time took."""
    import atomfit

    def write() -> None:
        result.write(folder / "result", overwrite=True)

    for _ in range(2):
        result = atomfit.build(folder / "map.mrc", "Pt")
        writing = seconds(write)
    report = {"seconds": result.seconds | {"write": writing}}
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {"prepare": prepare, "fit": fit, "build": build}
    programs[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])
