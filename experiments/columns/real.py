"""Measured images and simulated ones of others, against the numbers that other programs are published with.

There is no truth: spacings of one sublattice scatter by errors of places and by those of the scan, columns
of frames of one particle by errors of places, and counts are set beside those of the program of the data.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import mrcfile
import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree
from skimage.io import imread

from atomfit.structure.matching import match
from experiments.columns.found import Found, in_file

IMAGES = ("si110", "statstem_series", "ptir")
HEADER = ("image", "what", "atomfit", "published")
#: Of Si [110]: 58.0 pixels are the lattice constant (Å), along x; rows along y have drifted to 356 pm.
SILICON, DOWN = 5.431, 3.56
PIXEL = SILICON / 58.0
#: Spacings that far from the lattice's vector (pixels) are of others.
NEAR = 6.0
#: Columns that near to an edge are cut, or their partner is (Å).
_EDGE = 2.0
#: Pixels of the other images (Å).
_PTIR, _SERIES = 0.1211, 0.125


def rows(data: Path, images: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Lines of the table, of some images of the folder that holds them."""
    for name in images:
        match name:
            case "si110":
                yield from silicon(data / name / "image.png", row_jitter=False)
                yield from silicon(data / name / "image.png", row_jitter=True)
            case "statstem_series":
                yield from series(data / name)
            case _:
                yield from platinum(data / name)


def silicon(path: Path, row_jitter: bool) -> Iterator[tuple[str, ...]]:
    """Scatter of spacings between columns of one sublattice."""
    extent = PIXEL * (np.array(imread(path).shape[1::-1]) - 1)
    found = in_file(path, element="Si", pixel_size=PIXEL, row_jitter=row_jitter)
    whole = found.positions[np.all((found.positions > _EDGE) & (found.positions < extent - _EDGE), axis=1)]
    x, nx = spacing(whole, np.array([SILICON, 0.0]), 0, NEAR * PIXEL)
    y, ny = spacing(whole, np.array([0.0, DOWN]), 1, NEAR * PIXEL)
    name = "si110, row jitter" if row_jitter else "si110"
    yield (name, "columns", str(len(found.positions)), "about 760 spacings")
    told = "7.14 / 6.78 network, 7.57 / 8.25 Gaussians, 5.43 / 6.70 joint fit"
    yield (name, f"SD of {nx} / {ny} spacings along x / y (pm)", f"{x:.2f} / {y:.2f}", told)


def spacing(
    positions: Float[np.ndarray, "n 2"], vector: Float[np.ndarray, "2"], axis: int, within: float
) -> tuple[float, int]:
    """Standard deviation (pm) along an axis of what lies between columns a vector apart; their number."""
    away, partner = cKDTree(positions).query(positions + vector, distance_upper_bound=within)
    near = np.isfinite(away)
    apart = positions[partner[near]] - positions[near]
    return 100 * float(apart[:, axis].std(ddof=1)), int(near.sum())


def series(folder: Path) -> Iterator[tuple[str, ...]]:
    """Scatter of columns between frames, and in error bars; those of the data's program beside them."""
    frames = range(5)
    found = [in_file(folder / "frames.mrc", element="Pt", pixel_size=_SERIES, frame=k) for k in frames]
    theirs = numbers(folder / "columns_statstem.csv")
    first = theirs[theirs[:, 0] == 0, 1:3]
    # Their positions count pixels from one.
    scatter, z, seen = between(found, first - _SERIES)
    yield ("statstem_series", "columns seen in all frames, of 117", str(seen), "117")
    yield ("statstem_series", "scatter between frames, x / y (pm)", scatter, "5.0-5.7 StatSTEM, 6.5 Atomap")
    yield ("statstem_series", "SD of z between frames, places / cross-sections", z, "")


def between(found: list[Found], columns: Float[np.ndarray, "n 2"]) -> tuple[str, str, int]:
    """Scatter of columns about their means (pm), in error bars, and how many all frames have."""
    indices = np.full((len(found), len(columns)), -1)
    for k, each in enumerate(found):
        pairs = match(each.positions, columns, 0.5)
        indices[k, pairs.known] = pairs.found
    whole = np.all(indices >= 0, axis=0)
    chosen = [(each, row[whole]) for each, row in zip(found, indices, strict=True)]
    places, place_esd, integrals, integral_esd = (
        np.stack([getattr(each, name)[row] for each, row in chosen])
        for name in ("positions", "position_esd", "integrals", "integral_esd")
    )
    free = np.sqrt(len(found) / (len(found) - 1))
    off = free * (places - places.mean(axis=0))
    wrong = free * (integrals - integrals.mean(axis=0))
    x, y = 100 * np.sqrt(np.mean(off**2, axis=(0, 1)))
    z = [np.sqrt(np.mean((a / b) ** 2)) for a, b in ((off, place_esd), (wrong, integral_esd))]
    return f"{x:.2f} / {y:.2f}", f"{z[0]:.3f} / {z[1]:.3f}", int(whole.sum())


def platinum(folder: Path) -> Iterator[tuple[str, ...]]:
    """Columns and nearest counts of a library beside those of the data's program."""
    found = in_file(folder / "image.mrc", element="Pt", pixel_size=_PTIR)
    theirs = numbers(folder / "columns_statstem.csv")[:, :2]
    with mrcfile.open(folder / "image.mrc", permissive=True) as file:
        origin = np.array([file.header.origin.x, file.header.origin.y], float)
    pairs = match(found.positions - origin, theirs - _PTIR, 0.5)
    library = numbers(folder / "library_scs.csv")[:, -1]
    counts = 1 + np.abs(found.integrals[:, None] - library).argmin(axis=1)
    n, both = len(found.positions), len(pairs.found)
    yield ("ptir", "columns; of the program's 140", f"{n}; {both}", "140")
    yield (
        "ptir",
        "sum of nearest counts, of all / of its columns",
        f"{counts.sum()} / {counts[pairs.found].sum()}",
        "793",
    )


def numbers(path: Path) -> Float[np.ndarray, "rows columns"]:
    """A table of numbers beneath a line of names."""
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
