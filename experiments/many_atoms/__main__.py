"""Atoms found from counts alone, from 200 to 20,000 of them: how many, how many too many, how far off.

    python -m experiments.many_atoms [--atoms 200 1000] [--seeds 11] [--dose 1.0] [--noise 0]

A ball of disturbed diamond (bonds 2.35 Å ± 0.35 Å) is seen from 60 directions about one axis, in Poisson
counts, about 800 an atom at dose 1. Each row is added to `table.md` as soon as it is known.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from atomfit.projection.views import Views
from atomfit.structure.matching import match
from atomfit.support.errors import InputError
from atomfit.workflows.tilt import tilt

PIXEL, BACKGROUND, EACH = 0.347, 0.02, 1.6
#: Standard deviations (Å) and shares of an atom's image.
PROFILE = ((0.55, 0.7), (1.1, 0.3))
#: An atom is found within this distance (Å).
WITHIN = 1.0
HEADER = (
    "| atoms | seed | dose | found | missed | spurious | RMSD (pm) | by error bars (pm) | ratio "
    "| z, robust z | F1 of an oracle's maxima | F1 | verdict | minutes |\n" + "|---" * 14 + "|\n"
)


def glass(atoms: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """A ball of disturbed diamond (Å), turned at random."""
    radius = (atoms * 5.43**3 / 8 * 0.75 / np.pi) ** (1 / 3)
    reach = int(radius / 5.43) + 2
    base = np.array(
        [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]
    )
    cells = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3), axis=-1).reshape(-1, 1, 3)
    sites = (cells + base / 4).reshape(-1, 3) * 5.43 @ Rotation.random(random_state=rng).as_matrix().T
    nearest = sites[np.argsort(np.linalg.norm(sites, axis=1), kind="stable")[:atoms]]
    return nearest + rng.normal(0, 0.25, nearest.shape)


def series(
    positions: Float[np.ndarray, "n 3"], dose: float, rng: np.random.Generator, half: float | None = None
) -> tuple[np.ndarray, Views]:
    """Counts of 60 views, and the views."""
    reach = half or float(np.linalg.norm(positions, axis=1).max()) + 6
    size = int(2 * reach / PIXEL) // 2 * 2
    views = Views.from_tilts(np.arange(60) * 3.0, "y", (size, size))
    images = np.full((60, size, size), BACKGROUND)
    axis = np.arange(size)
    for image, rotation, centre in zip(images, views.rotations, views.centres, strict=True):
        seen = positions @ rotation[:2].T / PIXEL + centre
        for width, share in PROFILE:
            tables = [np.exp(-0.5 * ((axis - seen[:, [k]]) * PIXEL / width) ** 2) for k in (1, 0)]
            image += EACH * dose * share / (2 * np.pi * width**2) * tables[0].T @ tables[1]
    return rng.poisson(images).astype(np.float32), views


def row(atoms: int, seed: int, dose: float) -> str:
    """One line of the table."""
    rng = np.random.default_rng(seed)
    truth = glass(atoms, rng)
    images, views = series(truth, dose, rng)
    begin = time.perf_counter()
    result = tilt(images, views, "Si", pixel_size=PIXEL, likelihood="poisson", probe="fixed")
    minutes = (time.perf_counter() - begin) / 60
    pairs = match(result.positions, truth, WITHIN)
    off = result.positions[pairs.found] - truth[pairs.known]
    off -= off.mean(axis=0)
    errors = result.position_errors[pairs.found]
    rmsd, expected = (float(np.sqrt(np.mean(np.sum(x**2, axis=1)))) for x in (off, errors))
    z = off / errors
    right = len(pairs.found)
    return (
        f"| {atoms} | {seed} | {dose:g} | {right} | {atoms - right} | {len(result) - right} "
        f"| {100 * rmsd:.1f} | {100 * expected:.1f} | {rmsd / expected:.2f} "
        f"| {z.std():.2f}, {1.4826 * np.median(np.abs(z)):.2f} | "
        f"{oracle(images, views, truth):.3f} | {2 * right / (atoms + len(result)):.3f} | "
        f"{result.verdict.level} | {minutes:.1f} |\n"
    )


def oracle(images: np.ndarray, views: Views, truth: Float[np.ndarray, "n 3"]) -> float:
    """F1 of the maxima of a filtered back-projection above the threshold that is best for it."""
    from atomfit.detection.limits import LIMITS
    from atomfit.detection.peaks import local_maxima
    from atomfit.projection.reconstruction import reconstruct
    from atomfit.projection.views import TiltSeries
    from atomfit.structure.elements import element

    distance = element("Si").neighbour_distance
    counts = TiltSeries(images, np.ones(images.shape, bool), PIXEL, views, np.zeros(3))
    density = reconstruct(counts, 0.17 * distance, 0.15 * distance)
    voxels = local_maxima(density, 0.0, LIMITS.closest * distance)
    heights = density.at(voxels)
    places = density.grid.positions_of(voxels)[np.argsort(-heights)]
    best = 0.0
    for count in np.linspace(0.5, 1.6, 23):
        some = places[: int(count * len(truth))]
        near = cKDTree(some).query(truth)
        right = len(np.unique(near[1][near[0] < WITHIN]))
        best = max(best, 2 * right / (len(truth) + len(some)))
    return best


def counts(rng: np.random.Generator, shape: tuple[int, int, int], level: float) -> np.ndarray:
    """Counts of nothing."""
    return rng.poisson(level, shape).astype(np.float32)


def counts_of_a_ball(rng: np.random.Generator, shape: tuple[int, int, int], level: float) -> np.ndarray:
    """Counts of a ball without atoms in it."""
    axis = np.linspace(-1, 1, shape[1])
    thickness = np.sqrt(np.maximum(0.5 - axis[:, None] ** 2 - axis**2, 0))
    return rng.poisson(np.broadcast_to(level * (0.1 + 3 * thickness), shape)).astype(np.float32)


def blurred(rng: np.random.Generator, shape: tuple[int, int, int], level: float) -> np.ndarray:
    """Counts of nothing that neighbouring pixels share."""
    return gaussian_filter(counts(rng, shape, level), (0, 1.0, 1.0))


def lines(rng: np.random.Generator, shape: tuple[int, int, int], level: float) -> np.ndarray:
    """Counts of nothing, with an intensity that differs from line to line of a scan."""
    brightness = level * np.exp(rng.normal(0, 0.2, (shape[0], shape[1], 1)))
    return rng.poisson(np.broadcast_to(brightness, shape)).astype(np.float32)


KINDS = (counts, counts_of_a_ball, blurred, lines)


def noise(seed: int) -> str:
    """One line of the table of noise: nothing, in images of different kinds, sizes and doses."""
    rng = np.random.default_rng(seed)
    size, views_count = int(rng.integers(40, 100)), int(rng.integers(16, 60))
    level, pixel = float(np.exp(rng.uniform(np.log(0.2), np.log(20)))), float(rng.uniform(0.15, 0.5))
    views = Views.from_tilts(np.arange(views_count) * 180.0 / views_count, "y", (size, size))
    kind = KINDS[seed % len(KINDS)]
    images = kind(rng, (views_count, size, size), level)
    likelihood = "gaussian" if kind is blurred else "poisson"
    try:
        result = tilt(images, views, "Si", pixel_size=pixel, likelihood=likelihood, probe="fixed")
        told = f"{len(result)} | {result.verdict.level}"
    except InputError as error:
        told = f"0 | refused: {str(error).split(';')[0]}"
    what = kind.__name__.replace("_", " ")
    return f"| {seed} | {what} | {views_count} x {size} x {size} | {pixel:.2f} | {level:.2f} | {told} |\n"


def record(name: str, header: str, line: str) -> None:
    """Add a line to a table beside this file."""
    path = Path(__file__).with_name(name)
    if not path.exists():
        path.write_text(header, encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
    print(line, end="", flush=True)


def main() -> None:
    """What was asked for, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, nargs="*", default=[])
    parser.add_argument("--seeds", type=int, nargs="*", default=[11])
    parser.add_argument("--dose", type=float, default=1.0)
    parser.add_argument("--noise", type=int, default=0, help="how many series of noise")
    options = parser.parse_args()
    for seed in options.seeds:
        for atoms in options.atoms:
            record("table.md", HEADER, row(atoms, seed, options.dose))
    header = "| seed | kind | images | pixel (Å) | counts | atoms | verdict |\n" + "|---" * 7 + "|\n"
    for seed in range(120, 120 + options.noise):
        record("noise.md", header, noise(seed))


if __name__ == "__main__":
    main()
