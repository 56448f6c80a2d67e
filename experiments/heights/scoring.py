"""What a network finds in images of held-out shapes: exact heights, missed and false ones, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from atomfit.networks import ColumnsSeen, TrainedNetwork, credible_sets, fitted_calibration, look
from atomfit.networks.residual_unet import ResidualUNet
from experiments.heights.pool import load, noisy, save
from experiments.heights.specimens import PIXEL, SCORED, Imaged, Kind, imaged
from experiments.heights.validation import Validation

DOSES = (100.0, 300.0, 1e3, 3e3, 1e4)
SPECIMENS, IMAGES = 12, 3
#: Columns nearer to the image's edge are not scored; farther from one that is found, not found (Å).
EDGE, NEAR = 1.0, 0.8
HEADER = (
    "images",
    "e/Å²",
    "columns",
    "exact",
    "±1",
    "missed",
    "false",
    "ECE",
    "90 % sets",
    "size",
    "RMSD (Å)",
    "defocus: rms (nm)",
    "z",
)


@dataclass(frozen=True, eq=False)
class Scored:
    """Columns of some images.

    **Fields:**

    - `truth`: heights of true columns.
    - `found`: heights that are told; -1 where a column is missed.
    - `held`: probability of that height; 0 if missed.
    - `in_set`, `size`: of sets that hold 90 %; of columns that are found.
    - `errors`: of places (Å), likewise.
    - `false`: columns that are none.
    - `defocus`: errors (nm) and errors over spreads, of images.
    """

    truth: Int[np.ndarray, " n"]
    found: Int[np.ndarray, " n"]
    held: Float[np.ndarray, " n"]
    in_set: np.ndarray
    size: np.ndarray
    errors: Float[np.ndarray, " k"]
    false: int
    defocus: Float[np.ndarray, "images 2"]


def row(kind: Kind, dose: float, s: Scored) -> list[object]:
    """A line of the table, of all columns of images of a dose.

    **Arguments:**

    - `kind`, `dose`: of the images.
    - `s`: what is found in them.
    """
    seen = s.found >= 0
    right = s.found == s.truth
    near = np.abs(s.found - s.truth)[seen] <= 1
    return [
        kind,
        f"{dose:g}",
        len(s.truth),
        f"{right.mean():.3f}",
        f"{near.sum() / len(s.truth):.3f}",
        f"{100 * (1 - seen.mean()):.1f} %",
        f"{100 * s.false / len(s.truth):.1f} %",
        f"{calibration_error(s.held[seen], right[seen]):.3f}",
        f"{100 * s.in_set.mean():.1f} %",
        f"{s.size.mean():.2f}",
        f"{np.sqrt(np.mean(s.errors**2)):.3f}",
        f"{np.sqrt(np.mean(s.defocus[:, 0] ** 2)):.2f}",
        f"{np.sqrt(np.mean(s.defocus[:, 1] ** 2)):.2f}",
    ]


def by_height(dose: float, s: Scored, most: int) -> list[object]:
    """How many of the columns of each height are exact.

    **Arguments:**

    - `dose`, `s`: as above.
    - `most`: the greatest height.
    """
    line: list[object] = [f"{dose:g}"]
    for height in range(1, most + 1):
        of = s.truth == height
        line.append(f"{(s.found[of] == height).mean():.2f} ({of.sum()})" if of.any() else "none")
    return line


def specimens(folder: Path, crystal: str, kind: Kind) -> list[Imaged]:
    """Those that are scored, made when they are first asked for.

    **Arguments:**

    - `folder`: where they are kept.
    - `crystal`: CeO2, Pt, Au or a CIF file.
    - `kind`: of images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(SCORED, SCORED + SPECIMENS):
        path = folder / f"{kind}-{seed}.npz"
        if not path.is_file():
            save(path, imaged(crystal, seed, kind, IMAGES))
        found.append(load(path))
    return found


def scored(trained: TrainedNetwork, of: Sequence[Imaged], dose: float) -> Scored:
    """Look at all images of some specimens.

    **Arguments:**

    - `trained`: the network.
    - `of`: specimens.
    - `dose`: electrons per Å².
    """
    parts = []
    for k, specimen in enumerate(of):
        for image in range(len(specimen.images)):
            rng = np.random.default_rng([SCORED, k, image, int(dose)])
            mean = dose * PIXEL**2 * specimen.images[image].astype(np.float32)
            seen = look(trained, noisy(mean, float(specimen.conditions[image, 3]), rng), PIXEL)
            error = seen.defocus - float(specimen.conditions[image, 0])
            defocus = np.array([[error, error / seen.defocus_spread]])
            parts.append(_compared(seen.columns, specimen, defocus))
    return Scored(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("truth", "found", "held")),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("in_set", "size", "errors")),
        sum(p.false for p in parts),
        np.concatenate([p.defocus for p in parts]),
    )


def _compared(seen: ColumnsSeen, specimen: Imaged, defocus: Float[np.ndarray, "1 2"]) -> Scored:
    size = PIXEL * (np.array(specimen.images.shape[1:])[::-1] - 1)

    def within(places: np.ndarray, edge: float) -> np.ndarray:
        return np.all((places >= edge) & (places <= size - edge), axis=1)

    there = specimen.heights > 0
    places, truth = specimen.positions[there], specimen.heights[there]
    distances = cdist(places, seen.positions)
    pairs = np.stack(linear_sum_assignment(np.where(distances < NEAR, distances, 1e3)), axis=1)
    pairs = pairs[distances[pairs[:, 0], pairs[:, 1]] < NEAR]
    taken = np.isin(np.arange(len(seen)), pairs[:, 1])
    counted = within(places, EDGE)
    found, held = np.full(len(places), -1), np.zeros(len(places))
    found[pairs[:, 0]] = seen.heights[pairs[:, 1]]
    held[pairs[:, 0]] = seen.probabilities[pairs[:, 1]].max(axis=1)
    pairs = pairs[counted[pairs[:, 0]]]
    sets = credible_sets(seen.probabilities[pairs[:, 1]], 0.9)
    return Scored(
        truth[counted],
        found[counted],
        held[counted],
        sets[np.arange(len(pairs)), truth[pairs[:, 0]]],
        sets.sum(axis=1),
        distances[pairs[:, 0], pairs[:, 1]],
        int(np.sum(~taken & within(seen.positions, EDGE))),
        defocus,
    )


def calibration_error(held: Float[np.ndarray, " n"], right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error, in bins of equal width.

    **Arguments:**

    - `held`: probabilities of what is told.
    - `right`: whether it is true.
    - `bins`: how many.
    """
    which = np.minimum((held * bins).astype(int), bins - 1)
    gaps = [abs(held[which == k].sum() - right[which == k].sum()) for k in range(bins)]
    return float(sum(gaps) / max(len(held), 1))


def calibrated(
    network: ResidualUNet, folder: Path, crystal: str, recipe: dict[str, object]
) -> TrainedNetwork:
    """A network whose temperature validation has chosen.

    **Arguments:**

    - `network`: with its weights.
    - `folder`, `crystal`: of validation.
    - `recipe`: that it was trained by.
    """
    validation = Validation(folder, crystal)
    logits, heights, doses = [], [], []
    for dose in DOSES:
        said, truth = validation.at_columns(network, dose)
        logits.append(said[truth > 0])
        heights.append(truth[truth > 0])
        doses.append(np.full(int((truth > 0).sum()), dose))
    found = fitted_calibration(np.concatenate(logits), np.concatenate(heights), np.concatenate(doses))
    return TrainedNetwork(network, found, recipe)
