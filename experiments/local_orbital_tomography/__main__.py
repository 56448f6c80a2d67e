"""Atoms refined against multislice images, through probes of more and less detail."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from atomfit.io.image_stacks import read_images
from atomfit.io.models import read_model
from atomfit.io.views import read_views
from atomfit.options.tilt import ProbeKind
from atomfit.projection.views import TiltSeries
from atomfit.structure.elements import element
from atomfit.tilt_series.refinement import refine_against
from experiments.recording import markdown, record

KINDS: tuple[ProbeKind, ...] = ("direct", "fixed", "rigid", "adaptive")
#: Root of the starts' mean square error, along each axis (Å).
OFF = 0.4
#: Atoms farther than this from their place are lost (Å).
LOST = 0.5
PT = element("Pt")


@dataclass(frozen=True)
class Case:
    """A simulated tilt series: its folder, and the probe's semi-angle (mrad)."""

    folder: str
    convergence: float


CASES = (
    Case("tilt_pt389_25mrad", 25.0),
    Case("tilt_pt389_40mrad", 40.0),
    Case("tilt_pt2110_25mrad", 25.0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    folders = ", ".join(case.folder for case in CASES)
    parser.add_argument("data", type=Path, help=f"directory with the series {folders}")
    parser.add_argument("--cases", nargs="*", help="some of the series; all by default")
    parser.add_argument("--kinds", nargs="*", default=KINDS, help="of " + ", ".join(KINDS))
    parser.add_argument("--seeds", type=int, default=3, help="random starts of each")
    given = parser.parse_args()
    rows = []
    names = ["series", "probe", "RMSD, pm", "bias, pm", "lost", "correlation", "R, %", "seconds"]
    made = f"--kinds {' '.join(given.kinds)} --seeds {given.seeds}"
    if given.cases:
        made += f" --cases {' '.join(given.cases)}"
    for case in (c for c in CASES if not given.cases or c.folder in given.cases):
        for row in study(case, given.data, given.kinds, given.seeds):
            rows.append(row)
            # After each row, because the next one takes a while.
            record(
                Path(__file__).parent / "table.md",
                f"python -m experiments.local_orbital_tomography DATA {made}",
                f"Starts {OFF:g} Å off along each axis; each number for {given.seeds} starts.",
                markdown(names, rows),
            )


def study(case: Case, data: Path, kinds: list[ProbeKind], seeds: int) -> Iterator[list[str]]:
    """A row for each kind of probe."""
    truth = read_model(data / case.folder / "atoms_truth.xyz", "truth").positions
    series = read_series(data / case.folder)
    for kind in kinds:
        results = []
        for seed in range(seeds):
            start = truth + np.random.default_rng(seed).normal(size=truth.shape) * OFF
            begin = time.perf_counter()
            fit = refine_against(
                series,
                start,
                np.full(len(truth), PT.number),
                PT.neighbour_distance,
                probe=kind,
                convergence=case.convergence,
            )
            seconds = time.perf_counter() - begin
            off = np.asarray(fit.atoms.positions) - truth
            apart = np.linalg.norm(off, axis=1)
            results.append(
                (
                    100 * np.sqrt(np.mean(apart**2)),
                    100 * np.linalg.norm(off.mean(axis=0)),
                    np.sum(apart > LOST),
                    fit.correlations.mean(),
                    100 * fit.r_factors.mean(),
                    seconds,
                )
            )
            jax.clear_caches()
        columns = zip(zip(*results, strict=True), _FORMATS, strict=True)
        yield [case.folder, kind, *(_joined(numbers, form) for numbers, form in columns)]


_FORMATS = (".2f", ".2f", ".0f", ".4f", ".1f", ".0f")


def read_series(folder: Path) -> TiltSeries:
    """Images and views of a folder; pixels of zero were not simulated."""
    stack = read_images(folder / "images.mrc", mask_value=0.0)
    views = read_views(folder / "views.csv", stack.images.shape[1:])
    return TiltSeries(stack.images, stack.counted, stack.pixel, views.views, np.zeros(3))


def _joined(numbers: tuple[float, ...], form: str) -> str:
    return " / ".join(format(number, form) for number in numbers)


if __name__ == "__main__":
    main()
