"""Views that are not what they were taken for: turned, or drifted. How much of it does the fit find?"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from atomfit.projection.fit import TiltFit
from atomfit.projection.half_sets import compare_half_sets
from atomfit.projection.views import TiltSeries, Views
from atomfit.simulation.particles import particle
from atomfit.structure.elements import element
from atomfit.tilt_series.refinement import refine_against
from experiments.local_orbital_tomography.__main__ import read_series
from experiments.recording import markdown, record

PT = element("Pt")
PIXEL, SHAPE, WIDTH = 0.4, (72, 72), 0.2
#: Starts are off by this along each axis (Å).
OFF = 0.2
#: Errors of rotations about each axis (degrees), and drifts along each axis of an image (Å).
TURNED, DRIFTED = 3.0, 0.4
#: What is refined of the views.
BARE, TURNING = ("backgrounds",), ("backgrounds", "turns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="directory with tilt_pt389_25mrad, for drifts of its views"
    )
    parser.add_argument("--seeds", type=int, default=3, help="of drifts")
    given = parser.parse_args()
    command = "python -m experiments.local_orbital_tomography.errors_of_views --data DATA"
    names = ["SNR", "rotations off, °", "after the fit, °", "times less", "RMSD, pm", "true rotations, pm"]
    halves = "halves apart: refined / as given, pm"
    texts = [
        "192 atoms, 150 views in all directions, one rotation's error of 3° about each axis, or none.",
        markdown([*names, "ratio", halves, "seconds"], list(orientations())),
    ]
    if given.data is not None:
        names = ["seed", "without drift, pm", "with drift, pm", "ratio", "drifts off, pm", "seconds"]
        texts += [
            f"`tilt_pt389_25mrad`, every third view, drifts of {DRIFTED:g} Å planted.",
            markdown(names, list(drifts(given.data, given.seeds))),
        ]
    record(Path(__file__).parent / "errors_of_views.md", command, *texts)


def orientations() -> Iterator[tuple[str, ...]]:
    """A row for each ratio of signal to noise (variances, of the whole image), with errors and without."""
    rng = np.random.default_rng(0)
    atoms = particle("sphere", "Pt", 192, 0)
    atoms = atoms - atoms.mean(axis=0) + rng.normal(0, 0.05, atoms.shape)
    true = Rotation.random(150, rng=rng).as_matrix()
    wrong = Rotation.from_rotvec(np.radians(rng.normal(0, TURNED, (150, 3)))).as_matrix() @ true
    clean = images_of(atoms, true)
    start = atoms + rng.normal(0, OFF, atoms.shape)
    for ratio in (1.0, 0.2):
        noise = rng.normal(0, clean.std() / np.sqrt(ratio), clean.shape)
        best = refined(series_of(clean + noise, true), start, BARE)
        least = 100 * in_place(best.positions, atoms)
        for given in (wrong, true):
            begin = time.perf_counter()
            series = series_of(clean + noise, given)
            fit = refined(series, start, TURNING)
            seconds = time.perf_counter() - begin
            found = Rotation.from_rotvec(fit.views.turns).as_matrix() @ given
            before, after = spread(given, true), spread(found, true)
            off = 100 * in_place(fit.positions, atoms)
            halves = compare_half_sets(
                series, np.ones(150, bool), partial(half, start=fit.positions), False
            )
            assert halves is not None
            less = f"{before / after:.1f}" if before > 0.01 else ""
            row = (
                f"{ratio:g}",
                f"{before:.2f}",
                f"{after:.2f}",
                less,
                f"{off:.2f}",
                f"{least:.2f}",
                f"{off / least:.2f}",
            )
            yield (*row, f"{100 * halves.refined:.1f} / {100 * halves.nominal:.1f}", f"{seconds:.0f}")
            print(*row, halves, f"{seconds:.0f}", sep=" | ", flush=True)
            jax.clear_caches()


def images_of(atoms: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Projections of round atoms, pixel by pixel."""
    rows, columns = (PIXEL * (np.arange(n) - (n - 1) / 2) for n in SHAPE)
    images = []
    for rotation in rotations:
        u, v = (atoms @ rotation.T)[:, :2].T
        across, down = (
            np.exp(-((x[:, None] - y) ** 2) / (2 * WIDTH)) for x, y in ((columns, u), (rows, v))
        )
        images.append(down @ across.T)
    return np.array(images)


def series_of(images: np.ndarray, rotations: np.ndarray) -> TiltSeries:
    """Images of given rotations."""
    middle = (np.array(SHAPE[::-1]) - 1) / 2
    views = Views(rotations, np.tile(middle, (len(rotations), 1)))
    return TiltSeries(images.astype(np.float32), np.ones(images.shape, bool), PIXEL, views, np.zeros(3))


def refined(
    series: TiltSeries, start: np.ndarray, free: tuple[str, ...] = BARE, anneal: bool = True
) -> TiltFit:
    """Atoms fitted to images."""
    numbers = np.full(len(start), PT.number)
    return refine_against(series, start, numbers, PT.neighbour_distance, free_views=free, anneal=anneal)


def half(series: TiltSeries, turning: bool, start: np.ndarray) -> np.ndarray:
    """Atoms fitted to half of the images."""
    return refined(series, start, TURNING if turning else BARE, anneal=False).positions


def spread(rotations: np.ndarray, true: np.ndarray) -> float:
    """Root mean square angle between rotations, but for what all have in common (degrees)."""
    between = Rotation.from_matrix(np.swapaxes(rotations, 1, 2) @ true)
    return float(np.degrees(np.sqrt(np.mean((between * between.mean().inv()).magnitude() ** 2))))


def in_place(positions: np.ndarray, true: np.ndarray) -> float:
    """Root mean square distance after the best rotation and shift (Å)."""
    a, b = positions - positions.mean(axis=0), true - true.mean(axis=0)
    turn, _ = Rotation.align_vectors(b, a)
    return float(np.sqrt(np.mean(np.sum((turn.apply(a) - b) ** 2, axis=1))))


def drifts(data: Path, seeds: int) -> Iterator[tuple[str, ...]]:
    """A row for each set of drifts, planted in a multislice series by moving the centres of its views."""
    folder = data / "tilt_pt389_25mrad"
    series = read_series(folder)
    series = series[::3]
    lines = (folder / "atoms_truth.xyz").read_text().splitlines()[2:]
    true = np.array([line.split()[1:4] for line in lines], float)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        start = true + rng.normal(0, OFF, true.shape)
        shifts = rng.normal(0, DRIFTED, (len(series), 2))
        moved = replace(series.views, centres=series.views.centres + shifts / series.pixel)
        begin = time.perf_counter()
        drifting = replace(series, views=moved)
        results = (refined(series, start), refined(drifting, start, ("backgrounds", "shifts")))
        seconds = time.perf_counter() - begin
        least, off = (100 * in_place(fit.positions, true) for fit in results)
        left = np.asarray(results[1].views.shifts) + shifts
        # A shift of all atoms is no drift.
        across = moved.rotations[:, :2]
        common = np.linalg.lstsq(across.reshape(-1, 3), left.ravel(), rcond=None)[0]
        wrong = np.sqrt(np.mean((left - across @ common) ** 2))
        row = (str(seed), f"{least:.2f}", f"{off:.2f}", f"{off / least:.2f}")
        yield (*row, f"{100 * wrong:.2f}", f"{seconds:.0f}")
        print(*row, sep=" | ", flush=True)
        jax.clear_caches()


if __name__ == "__main__":
    main()
