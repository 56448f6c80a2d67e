"""Movies with planted truth, and a twin of StatSTEM's series: what of them `atomfit series` finds.

A movie is that of `simulation.movies`: columns that wander, gain and lose atoms, on a stage that drifts
and turns. The twin has the positions that StatSTEM found in the first frame of its series, counts of the
nearest cross-sections of its library, and Poisson noise of its dose; beside it are counts of each frame by
itself, of the nearest cross-section, which is what the published two steps begin with.
"""

import csv
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from atomfit.fitting.column_fit import columns_of, drawn
from atomfit.io.cross_sections import read_cross_sections
from atomfit.results.movie import MovieResult
from atomfit.simulation.movies import MovieOptions, MovieTruth, simulate_movie
from atomfit.structure.grid import Grid
from atomfit.workflows.movie import movie
from experiments.recording import markdown

#: The engine was made on seeds 1, 2 and 5.
SEED = 70_000
_STAGE = {"drift": 0.05, "jumps": 0.1, "turn": 0.2, "stretch": 0.001}
_SMALL = {"frames": 30, "size": 192, "pixel": 0.2, "columns": 80, **_STAGE}
CASES = {
    "30 frames, 2e3, changes": MovieOptions(
        dose=2e3, gain=0.004, loss=0.004, vacant=4, wander=0.04, **_SMALL
    ),
    "half the dose": MovieOptions(dose=1e3, gain=0.004, loss=0.004, vacant=4, wander=0.04, **_SMALL),
    "a quarter": MovieOptions(dose=5e2, gain=0.004, loss=0.004, vacant=4, wander=0.04, **_SMALL),
    "nothing happens": MovieOptions(dose=2e3, **_SMALL),
    "beam flickers by 5 %": MovieOptions(dose=2e3, wander=0.04, flicker=0.05, **_SMALL),
}
LONG = MovieOptions(
    frames=500, size=512, pixel=0.1, columns=150, dose=2e3, gain=0.001, loss=0.001, vacant=6, wander=0.05,
    drift=0.01, jumps=0.05, turn=0.1, stretch=0.001,
)  # fmt: skip


def movies() -> Iterator[str]:
    """Planted movies."""
    yield _table([_row(name, SEED + k, options) for k, (name, options) in enumerate(CASES.items())])


def long_movie() -> Iterator[str]:
    """A movie as long as the goal."""
    yield _table([_row("500 frames of 512², 150 columns", SEED + 100, LONG)])


def _table(rows: list[tuple[object, ...]]) -> str:
    head = (
        *(
            "case",
            "columns found",
            "false",
            "position: rms (Å)",
            "z",
            "one frame (Å)",
            "counts exact",
            "as expected",
        ),
        *("changes planted", "called", "right", "atoms, error ± esd", "s", "peak GB"),
    )
    return markdown(head, rows)


def _row(name: str, seed: int, options: MovieOptions) -> tuple[object, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.npy"
        truth = simulate_movie(path, seed, options)
        begun = time.perf_counter()
        result = movie(path, "Pt", pixel_size=options.pixel)
        result.write(Path(folder) / "out")
        seconds = time.perf_counter() - begun
    which, found = matched(result, truth)
    errors, deviates, alone = positions(result, truth, which, found)
    counts = truth.counts[:, which[found]]
    exact, sure = np.nan, np.nan
    total = "-"
    if result.counts is not None:
        exact = float(np.mean(result.counts[:, found] == counts))
        sure = float(result.history.probabilities[:, found].max(axis=2).mean())
        totals, esds = result.history.totals
        total = f"{np.mean(totals - truth.counts.sum(axis=1)):+.1f} ± {np.mean(esds):.1f}"
    planted, called, right = events(result, truth, which, found)
    there = int(np.sum(truth.counts.max(axis=0) > 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    return (
        name,
        f"{int(found.sum())} of {there}",
        int((~found).sum()),
        f"{errors:.4f}",
        f"{deviates:.2f}",
        f"{alone:.4f}",
        f"{100 * exact:.1f} %",
        f"{100 * sure:.1f} %",
        *(planted, called, right),
        total,
        f"{seconds:.0f}",
        f"{peak:.2f}",
    )


def matched(result: MovieResult, truth: MovieTruth) -> tuple[np.ndarray, np.ndarray]:
    """Which planted column each found one is, and whether it is one."""
    k = len(truth.motions) // 2
    motion, lay = truth.motions[k], result.frames.lays[k]
    in_frame = (truth.positions.mean(axis=0) - motion.translation) @ np.linalg.inv(motion.matrix).T
    distance, which = cKDTree(lay(in_frame)).query(result.sites)
    return which, distance < 0.6


def positions(
    result: MovieResult, truth: MovieTruth, which: np.ndarray, found: np.ndarray
) -> tuple[float, float, float]:
    """Errors in each frame's own coordinates: rms (Å), in their uncertainties; and of one frame alone."""
    always = found & (truth.counts[:, which] > 0).all(axis=0)
    errors, deviates = [], []
    for k, (lay, motion) in enumerate(zip(result.frames.lays, truth.motions, strict=True)):
        seen = (result.positions[k] - lay.translation) @ np.linalg.inv(lay.matrix).T
        was = (truth.positions[k, which] - motion.translation) @ np.linalg.inv(motion.matrix).T
        errors.append((seen - was)[always])
        deviates.append(((seen - was) / result.tracks.esds[k])[always])
    sizes = np.where(
        truth.counts[:, which[always]] > 0, truth.library[truth.counts[:, which[always]] - 1], np.nan
    )
    # A lone column's bound in one frame is its width times the part by which its size errs.
    esds = result.cross_section_esds[:, always]
    alone = float(np.sqrt(np.mean((0.45 * esds / sizes) ** 2)))
    return float(np.sqrt(np.mean(np.square(errors)))), float(np.std(deviates)), alone


def events(
    result: MovieResult, truth: MovieTruth, which: np.ndarray, found: np.ndarray
) -> tuple[int, int, int]:
    """Changes of one atom that were planted, that are called, and of these those that happened."""
    planted = [(int(k) + 1, int(i)) for k, i in np.argwhere(np.diff(truth.counts, axis=0) != 0)]
    left, right = list(planted), 0
    called = [one for one in result.events if one.called]
    for one in called:
        if not found[one.column]:
            continue
        mine = int(which[one.column])
        for k, i in left:
            sign = np.sign(truth.counts[k, i] - truth.counts[k - 1, i])
            if i == mine and sign == np.sign(one.atoms) and one.earliest - 2 <= k <= one.latest + 2:
                left.remove((k, i))
                right += 1
                break
    return len(planted), len(called), right


def twin(data: Path) -> Iterator[str]:
    """StatSTEM's series with known counts.

    **Arguments:**

    - `data`: the folder with `columns_statstem.csv` and `library_scs.csv`.
    """
    with open(data / "columns_statstem.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["frame"] == "0"]
    places = np.array([(float(row["x_A"]), float(row["y_A"])) for row in rows])
    sizes = np.array([float(row["scs_A2"]) for row in rows])
    library = read_cross_sections(data / "library_scs.csv", 0.02, "Pt").cross_sections
    counts = 1 + np.argmin(np.abs(sizes[:, None] - library), axis=1)
    grid, dose = Grid((361, 361), np.full(2, 0.125), np.zeros(2)), 1e3 * 0.125**2
    image = drawn(grid, columns_of(places, library[counts - 1], 0.47))
    lines = []
    for seed in range(SEED + 200, SEED + 203):
        rng = np.random.default_rng(seed)
        frames = (rng.poisson(np.maximum(image, 0) * dose, (5, *image.shape)) / dose).astype(np.float32)
        for error in (0.02, 0.001):
            result = movie(
                frames, "Pt", pixel_size=0.125, library=data / "library_scs.csv", library_error=error
            )
            distance, which = cKDTree(places).query(result.sites)
            found = distance < 0.6
            assert result.counts is not None
            exact = np.mean(result.counts[:, found] == counts[which[found]])
            own = 1 + np.argmin(np.abs(result.cross_sections[:, found, None] - library), axis=2)
            naive = np.mean(own == counts[which[found]])
            changed = np.mean(np.any(np.diff(own, axis=0) != 0, axis=0))
            called = sum(one.called for one in result.events)
            sure = result.history.probabilities[:, found].max(axis=2).mean()
            lines.append(
                (seed, error, f"{int(found.sum())} of {len(places)}", int((~found).sum()),
                 f"{100 * exact:.1f} %", f"{100 * sure:.1f} %", f"{100 * naive:.1f} %",
                 f"{100 * changed:.0f} %", called)
            )  # fmt: skip
    head = (
        *("seed", "library's scale known to", "columns", "false", "counts exact", "as expected"),
        *("frame by frame, nearest", "columns that so change", "events called (none is)"),
    )
    yield markdown(head, lines)
