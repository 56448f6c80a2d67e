"""Whole processes, as a user starts them: `atomfit build` on 309 atoms, and `atomfit --help`.

The first `build` finds an empty compilation cache, the second the one that the first left.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.recording import markdown

RUNS = 5
ATOMFIT = Path(sys.executable).with_name("atomfit")
HEADER = ("run", "wall, s", "memory, MB", "stages, s")


def texts() -> tuple[str, ...]:
    """The part's table and what to know of it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        run("simulate", "--out", f"{folder}/particle", "--box", "120", "--seed", "0")
        cold, warm = [], []
        for _ in range(RUNS):
            subprocess.run(["rm", "-rf", f"{folder}/atomfit"], check=True)
            cold.append(timed_build(folder))
            warm.append(timed_build(folder))
        rows = [
            row("build, nothing compiled before (goal ≤ 10 s)", cold),
            row("build again (goal ≤ 4 s)", warm),
            row("`--help`", [(*run("--help"), {}) for _ in range(RUNS)]),
        ]
    intro = f"A Pt sphere of 309 atoms in 120³ voxels, noise 5 % of a peak. Median of {RUNS} runs."
    return intro, markdown(HEADER, rows)


def timed_build(folder: str) -> tuple[float, float, dict[str, float]]:
    """Wall time (s), memory (MB) and stages (s) of one process."""
    out = f"{folder}/result"
    wall, memory = run("build", f"{folder}/particle/map.mrc", "-e", "Pt", "-o", out, "--overwrite")
    return wall, memory, json.loads(Path(out, "run.json").read_text())["seconds"]


def run(*words: str) -> tuple[float, float]:
    """Wall time (s) and memory (MB) of one process."""
    begin = time.perf_counter()
    process = subprocess.Popen([ATOMFIT, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    words_of_error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(words_of_error.decode())
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return time.perf_counter() - begin, kilobytes / 1000


def row(name: str, runs: list[tuple[float, float, dict[str, float]]]) -> tuple[str, str, str, str]:
    """Medians of several runs."""
    middle = sorted(runs, key=lambda r: r[0])[len(runs) // 2]
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in middle[2].items())
    return name, f"{middle[0]:.2f}", f"{middle[1]:.0f}", stages
