"""Atoms of the measured tantalum film, found in its volume and refined against its images."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np

from atomfit.io.mrc import read_map
from atomfit.options.tilt import TiltOptions
from atomfit.results.tilt import TiltResult
from atomfit.structure.grid import Grid
from atomfit.structure.matching import Match
from atomfit.workflows.build import build
from atomfit.workflows.tilt import tilt
from experiments.recording import markdown, record
from experiments.tantalum_film.__main__ import inner_match, published

#: Every so many views one is held out.
HELD_OUT = 5
#: How far atoms may be from their start (Å), and amplitudes from each other.
MOVES, AMPLITUDES = 0.1, 0.2
#: Atoms that stay where they are (Å).
STILL = 1e-4
HEADER = (
    "part",
    "atoms",
    "found, false, F1",
    "RMSD, pm",
    "median, pm",
    "correlation: fitted views",
    "held out",
    "seconds",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory with film_final.xyz and a folder for each part")
    parser.add_argument("--parts", nargs="*", default=["sub24", "sub27"], help="folders of them")
    parser.add_argument("--known-positions", type=float, default=MOVES, help="Å")
    parser.add_argument("--selection", default="off", help="fit: let the images add and remove atoms, too")
    given = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    for part in given.parts:
        film = given.data / "film_final.xyz"
        for row in measure(given.data / part, film, given.known_positions, given.selection):
            rows.append(row)
            print(*row, sep=" | ", flush=True)
    record(
        Path(__file__).parent / "images.md",
        f"python -m experiments.tantalum_film.images DATA --parts {' '.join(given.parts)} "
        f"--known-positions {given.known_positions:g} --selection {given.selection}",
        markdown(HEADER, rows),
    )


def measure(folder: Path, film: Path, moves: float, selection: str) -> Iterator[tuple[object, ...]]:
    """A row for each set of atoms: published ones as they are, found in the volume, refined."""
    grid = read_map(folder / "volume.mrc").map.grid
    known = published(folder / "atoms_final.xyz")
    own = build(folder / "volume.mrc", "Ta").positions
    held: dict[str, object] = {"held_out": HELD_OUT}
    with TemporaryDirectory() as directory:
        around = write(Path(directory) / "around.xyz", outside(published(film), grid))
        start = write(Path(directory) / "own.xyz", own)
        # Atoms of the film that are in the part are what is to be found.
        held["surroundings"] = around
        still = held | {"known_positions": STILL, "selection": "off", "anneal": False}
        free = still | {"known_positions": moves, "selection": selection}
        strengths = {"amplitudes": "atom", "known_amplitudes": AMPLITUDES}
        for name, atoms, options in (
            ("published final, widths refined", folder / "atoms_final.xyz", still),
            ("the same, amplitudes of atoms, too", folder / "atoms_final.xyz", still | strengths),
            ("published traced, widths refined", folder / "atoms_traced.xyz", still),
            ("found in the volume, widths refined", start, still),
            ("the same, refined", start, free),
            ("the same, amplitudes of atoms, too", start, free | strengths),
        ):
            begin = time.perf_counter()
            result = tilt(
                folder / "images.mrc",
                folder / "views.csv",
                "Ta",
                TiltOptions(start=atoms, centre=centre_of(folder), **options),  # type: ignore[arg-type]
            )
            seconds = time.perf_counter() - begin
            matched = inner_match(result.positions, known, grid)
            yield (f"{folder.name}, {name}", *cells(result, matched), f"{seconds:.0f}")
            jax.clear_caches()


def cells(result: TiltResult, matched: Match) -> tuple[object, ...]:
    """How well atoms agree with the published ones, and with images."""
    held = result.fit.held_out
    return (
        len(result),
        f"{len(matched.distances)}, {matched.false}, {matched.f1:.3f}",
        f"{100 * matched.rmsd:.1f}",
        f"{100 * np.median(matched.distances):.1f}",
        f"{result.fit.correlations[~held].mean():.4f}",
        f"{result.fit.correlations[held].mean():.4f}",
    )


def outside(positions: np.ndarray, grid: Grid) -> np.ndarray:
    """Atoms that are not in a box."""
    last = grid.origin + grid.spacing * (np.array(grid.shape[::-1]) - 1)
    return positions[~np.all((positions >= grid.origin) & (positions <= last), axis=1)]


def centre_of(folder: Path) -> tuple[float, float, float]:
    """Point that the views turn about (Å)."""
    x, y, z = (float(word) for word in (folder / "centre.txt").read_text().split())
    return x, y, z


def write(path: Path, positions: np.ndarray) -> Path:
    """Tantalum atoms as an XYZ file."""
    lines = [f"Ta {x:.5f} {y:.5f} {z:.5f}" for x, y, z in positions]
    path.write_text("\n".join([str(len(lines)), "", *lines]) + "\n")
    return path


if __name__ == "__main__":
    main()
