"""What is on disk in, recorded tables out: found and false atoms, error bars, and realism."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from experiments.film.measuring import FOLDER, file_of
from experiments.film.scenes import GROUP_SIZE, GROUPS, KINDS, scene
from experiments.film.scoring import Scored, scored, z
from experiments.recording import markdown, record

HEADER = (
    *("kind", "seed", "true", "F1: build", "picker, raw / smoothed map", "build less best picker"),
    *("found", "missing", "false", "false: said, found", "RMSD, pm", "z along x, y, z"),
    *("cut / typical score", "elements right", "seconds"),
)
BEST_HEADER = (
    *("kind", "sub-areas", "F1: build", "best picker", "better in", "mean gain"),
    *("precision, recall: build", "the same of the raw picker", "picker's threshold / median height"),
    *("false: said, found", "RMSD, pm", "z along x, y, z"),
)
OWN_HEADER = (
    *("kind", "F1: as it is", "with the best cut of its own scores", "that cut / median", "best picker"),
)
PART_HEADER = ("kind", "score / typical", "atoms", "false among them")
PART_EDGES = (0.0, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, np.inf)
Q_HEADER = ("kind", "q-value", "atoms", "false among them")
Q_EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)


def on_disk(group: str, folder: Path = FOLDER) -> dict[str, list[int]]:
    """Seeds of each kind that were measured.

    **Arguments:**

    - `group`: of seeds.
    - `folder`: where all is kept.
    """
    first = GROUPS[group]
    found = {}
    for kind in KINDS:
        seeds = sorted(int(path.stem) for path in (folder / kind / "found").glob("[0-9]*.npz"))
        if mine := [seed for seed in seeds if first <= seed < first + GROUP_SIZE]:
            found[kind] = mine
    return found


def row(kind: str, seed: int, one: Scored) -> tuple[str, ...]:
    """A row of the table of all sub-areas; seeds are counted from the group's first."""
    known = len(one.pairs.distances)
    return (
        *(kind, f"{seed}", f"{known + one.pairs.missing}", f"{one.pairs.f1:.3f}"),
        f"{one.picker.pairs.f1:.3f} / {one.smooth_picker.pairs.f1:.3f}",
        f"{one.pairs.f1 - one.rival:+.3f}",
        *(f"{known}", f"{one.pairs.missing}", f"{one.pairs.false}"),
        f"{100 * one.said:.1f} %, {100 * one.rate:.1f} %",
        f"{100 * one.pairs.rmsd:.1f}",
        ", ".join(f"{one.z(axis):.2f}" for axis in range(3)),
        f"{one.cut / one.typical:.2f}{'' if one.known else ' (noise not known)'}",
        "" if len(KINDS[kind].symbols) == 1 else f"{100 * one.elements:.1f} %",
        f"{one.seconds:.0f}",
    )


def summary(kind: str, every: Sequence[Scored]) -> tuple[str, ...]:
    """A row of the table of kinds."""
    gains = np.array([one.pairs.f1 - one.rival for one in every])
    off = np.concatenate([one.pairs.distances for one in every])

    def mean(values: Sequence[float]) -> str:
        return f"{np.mean(values):.3f}"

    return (
        *(kind, f"{len(every)}", mean([one.pairs.f1 for one in every]), mean([one.rival for one in every])),
        *(f"{np.sum(gains > 0)}", f"{gains.mean():+.3f}"),
        *(
            f"{mean([p.precision for p in pairs])}, {mean([p.recall for p in pairs])}"
            for pairs in ([o.pairs for o in every], [o.picker.pairs for o in every])
        ),
        mean([one.picker.part for one in every]),
        f"{100 * np.mean([o.said for o in every]):.1f} %, {100 * np.mean([o.rate for o in every]):.1f} %",
        f"{100 * np.sqrt(np.mean(off**2)):.1f}",
        ", ".join(f"{z(every, axis):.2f}" for axis in range(3)),
    )


def of_own(kind: str, every: Sequence[Scored]) -> tuple[str, ...]:
    """What the scores would allow whoever knew where to cut them."""
    numbers = [(one.pairs.f1, one.own.pairs.f1, one.own.part, one.rival) for one in every]
    return (kind, *(f"{x:.3f}" for x in np.mean(numbers, axis=0)))


def by_q(kind: str, every: Sequence[Scored]) -> list[tuple[str, ...]]:
    """How many atoms of each range of q-values are false."""
    return _by(kind, np.concatenate([one.q_values for one in every]), every, Q_EDGES)


def by_score(kind: str, every: Sequence[Scored]) -> list[tuple[str, ...]]:
    """How many atoms of each range of scores are false."""
    return _by(kind, np.concatenate([one.parts for one in every]), every, PART_EDGES)


def _by(
    kind: str, values: np.ndarray, every: Sequence[Scored], edges: tuple[float, ...]
) -> list[tuple[str, ...]]:
    right = np.concatenate([one.right for one in every])
    rows = []
    for low, high in pairwise(edges):
        these = (values >= low) & (values <= high if high == edges[-1] else values < high)
        if these.any():
            false = int(np.sum(~right[these]))
            rows.append(
                (
                    kind,
                    f"{low:g} to {high:g}",
                    f"{these.sum()}",
                    f"{false} ({100 * false / these.sum():.1f} %)",
                )
            )
    return rows


def write(group: str, path: Path, folder: Path = FOLDER) -> None:
    """Record the tables of all that is on disk of a group.

    **Arguments:**

    - `group`: of seeds.
    - `path`: of the record.
    - `folder`: where all is kept.
    """
    every = {
        kind: [(seed, _read(kind, seed, folder)) for seed in seeds]
        for kind, seeds in on_disk(group, folder).items()
    }
    first = GROUPS[group]
    rows = [row(kind, seed - first, one) for kind, ones in every.items() for seed, one in ones]
    scores = {kind: [one for _, one in ones] for kind, ones in every.items()}
    rates = [line for kind, ones in scores.items() for line in by_q(kind, ones)]
    parts = [line for kind, ones in scores.items() for line in by_score(kind, ones)]
    sums = [summary(kind, ones) for kind, ones in scores.items()]
    record(
        path,
        f"python -m experiments.film tables --group {group}",
        f"Seeds: {group}. Means of the sub-areas of a kind:",
        markdown(BEST_HEADER, sums),
        f"Every sub-area; seeds are counted from {first}:",
        markdown(HEADER, rows),
        "Atoms and what was discarded, ranked by score, cut where F1 is largest:",
        markdown(OWN_HEADER, [of_own(kind, ones) for kind, ones in scores.items()]),
        "False atoms by their score in that of the median atom:",
        markdown(PART_HEADER, parts),
        "False atoms by the q-value that the result gives them:",
        markdown(Q_HEADER, rates),
    )


def _read(kind: str, seed: int, folder: Path) -> Scored:
    with np.load(file_of(scene(kind, seed), folder), allow_pickle=False) as file:
        return scored({name: file[name] for name in file.files})
