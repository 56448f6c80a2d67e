"""Atoms of the measured tantalum film against the published model."""

import argparse
import time
from pathlib import Path

import numpy as np

from atomfit.io.mrc import read_map
from atomfit.structure.grid import Grid
from atomfit.structure.matching import Match, match
from atomfit.workflows.build import build
from experiments.recording import markdown, record

MARGIN_VOXELS = 6
#: Pairs farther apart are not errors of position, but other atoms (Å).
NEAR = 0.8
HEADER = (
    "volume",
    "published atoms",
    "found, false, F1",
    "same at detection",
    "RMSD to final / traced, pm",
    "median, pm",
    "over its error bar: x, y, z",
    "authors' traced: F1, RMSD, pm",
    "at bound",
    "seconds",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory with a folder for each part of the film")
    data = parser.parse_args().data
    folders = sorted(path.parent for path in data.glob("*/volume.mrc"))
    if not folders:
        parser.error(f"{data} holds no folder with a volume.mrc")
    rows = []
    for folder in folders:
        rows.append(measure(folder))
        print(*rows[-1], sep=" | ", flush=True)
    record(
        Path(__file__).parent / "table.md",
        "python -m experiments.tantalum_film DATA",
        markdown(HEADER, rows),
    )


def measure(folder: Path) -> tuple[object, ...]:
    """One row of the table."""
    grid = read_map(folder / "volume.mrc").map.grid
    final, traced = (published(folder / f"atoms_{kind}.xyz") for kind in ("final", "traced"))
    begin = time.perf_counter()
    result = build(folder / "volume.mrc", "Ta")
    seconds = time.perf_counter() - begin
    fitted = inner_match(result.positions, final, grid)
    detected = inner_match(result.detection.positions, final, grid)
    theirs = inner_match(traced, final, grid)
    assert result.joint is not None
    off = result.positions[fitted.found] - final[fitted.known]
    bars = result.joint.uncertainty.deviations[fitted.found, :3]
    near = fitted.distances < NEAR
    over = np.sqrt(np.nanmean((off / bars)[near] ** 2, axis=0))
    return (
        folder.name,
        len(fitted.distances) + fitted.missing,
        f"{len(fitted.distances)}, {fitted.false}, {fitted.f1:.3f}",
        f"{len(detected.distances)}, {detected.false}, {detected.f1:.3f}",
        f"{100 * fitted.rmsd:.1f} / {100 * inner_match(result.positions, traced, grid).rmsd:.1f}",
        f"{100 * np.median(fitted.distances):.1f}",
        ", ".join(f"{x:.2f}" for x in over),
        f"{theirs.f1:.3f}, {100 * theirs.rmsd:.1f}",
        int(result.joint.at_bound.sum()),
        f"{seconds:.0f}",
    )


def published(path: Path) -> np.ndarray:
    """Positions of an XYZ file (Å)."""
    return np.array([line.split()[1:4] for line in path.read_text().splitlines()[2:]], float)


def inner_match(found: np.ndarray, known: np.ndarray, grid: Grid) -> Match:
    """Pairs of all atoms; missing and false ones count away from the faces only."""
    pairs = match(found, known)
    inner = is_inner(known, grid)
    missing = np.setdiff1d(np.flatnonzero(inner), pairs.known)
    false = np.setdiff1d(np.flatnonzero(is_inner(found, grid)), pairs.found)
    kept = inner[pairs.known]
    return Match(pairs.found[kept], pairs.known[kept], pairs.distances[kept], len(missing), len(false))


def is_inner(positions: np.ndarray, grid: Grid) -> np.ndarray:
    """Whether atoms are at least six voxels from every face."""
    voxel = (positions - grid.origin) / grid.spacing
    last = np.array(grid.shape[::-1]) - 1
    return np.all((voxel >= MARGIN_VOXELS) & (voxel <= last - MARGIN_VOXELS), axis=1)


if __name__ == "__main__":
    main()
