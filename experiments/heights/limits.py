"""What the oracle says of scenes, asked and kept; tables of how often heights can be told at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from atomfit.networks.columns_seen import credible_sets
from experiments.heights.measuring import DRAWS, Measured
from experiments.heights.scenes import DOSES, GROUPS, SETS, scene
from experiments.heights.scoring import calibration_error
from experiments.heights.specimens import MOST
from experiments.heights.tables import FOCUS
from experiments.recording import markdown, record


@dataclass(frozen=True, eq=False)
class Told:
    """Columns that an oracle was asked of, vacant ones too.

    **Fields:**

    - `p`: probabilities, by dose and draw.
    - `truth`, `missing`, `surface`: of the columns.
    - `defocus`: of their image (nm).
    """

    p: np.ndarray
    truth: np.ndarray
    missing: np.ndarray
    surface: np.ndarray
    defocus: np.ndarray

    def exact(self, which: np.ndarray) -> list[str]:
        """Rates at all doses, of some columns."""
        if not which.any():
            return ["-"] * len(self.p)
        right = self.p[:, :, which].argmax(axis=3) == self.truth[which]
        return [f"{one:.3f}" for one in right.mean(axis=(1, 2))]


def ask(of: Measured, names: Sequence[str], seeds: range, unknown: int = 0) -> None:
    """Ask the oracle, where it was not asked before.

    **Arguments:**

    - `of`: where it is kept.
    - `names`, `seeds`: of the scenes.
    - `unknown`: of how many of them it is asked without their columns' beginnings, too.
    """
    for name in names:
        for place, seed in enumerate(seeds):
            of.seen(scene(of.crystal, name, seed))
            of.limit(scene(of.crystal, name, seed))
            if place < unknown:
                of.limit(scene(of.crystal, name, seed), "unknown")
            print(f"oracle: {name} {seed}", flush=True)


def told(of: Measured, name: str, group: str, starts: str) -> Told | None:
    """What is on disk of a set; None if nothing is.

    **Arguments:**

    - `of`, `name`, `group`: where, which set, and which seeds.
    - `starts`: whether columns' beginnings are known.
    """
    first, parts = GROUPS[group], []
    for path in sorted((of.folder / f"oracle-{starts}" / name).glob("*.npz")):
        if not first <= int(path.stem) < first + 1_000_000:
            continue
        what = scene(of.crystal, name, int(path.stem))
        truth, _ = of.seen(what)
        p, inside = of.limit(what, starts), truth.within(truth.positions)
        focus = np.full(int(inside.sum()), what.options.defocus)
        parts.append(
            (p[:, :, inside], *(x[inside] for x in (truth.heights, truth.missing, truth.surface)), focus)
        )
    if not parts:
        return None
    p, *rest = zip(*parts, strict=True)
    return Told(np.concatenate(p, axis=2), *(np.concatenate(each) for each in rest))


def rows(name: str, t: Told) -> list[list[str]]:
    """Lines of a set, a dose each.

    **Arguments:**

    - `name`, `t`: of the set, and what the oracle told.
    """
    there, lines = t.truth > 0, []
    for k, dose in enumerate(DOSES):
        p = t.p[k][:, there].reshape(-1, t.p.shape[-1])
        true = np.tile(t.truth[there], t.p.shape[1])
        sets, right = credible_sets(p, 0.9), p.argmax(axis=1) == true
        near = np.abs(p.argmax(axis=1) - true) <= 1
        of = (there & t.surface, t.truth == 0, there & (t.missing > 0))
        lines.append(
            [
                name,
                f"{dose:g}",
                f"{there.sum()}",
                f"{right.mean():.3f}",
                f"{near.mean():.3f}",
                f"{calibration_error(p.max(axis=1), right):.3f}",
                f"{100 * sets[np.arange(len(true)), true].mean():.1f} %",
                f"{100 * np.sum(p * sets, axis=1).mean():.1f} %",
                f"{sets.sum(axis=1).mean():.2f}",
                *(t.exact(which)[k] for which in of),
            ]
        )
    return lines


HEADER = (
    *("set", "e/Å²", "columns", "exact", "±1", "ECE", "90 % sets", "say", "size"),
    *("surface", "vacant", "one atom less"),
)


def write(of: Measured, path: Path, group: str) -> None:
    """Record what is on disk.

    **Arguments:**

    - `of`, `group`: where, and which seeds.
    - `path`: of the record.
    """
    parts = {"known": [], "unknown": [], "pairs": []}
    for name in SETS:
        for starts in ("known", "unknown"):
            if (t := told(of, name, group, starts)) is not None:
                parts[starts] += rows(name, t)
    doses = [f"{dose:g} e/Å²" for dose in DOSES]
    text = [
        f"One column unknown, all else known; {DRAWS} draws of noise of each image, seeds {group} (from "
        f"{GROUPS[group]}). Columns' beginnings are known:",
        markdown(HEADER, parts["known"]),
    ]
    if parts["unknown"]:
        text += ["Beginnings are not known:", markdown(HEADER, parts["unknown"])]
    if (bar := told(of, "bar", group, "known")) is not None:
        lines = [[h, (bar.truth == h).sum(), *bar.exact(bar.truth == h)] for h in range(1, MOST + 1)]
        text += ["*bar*, exact by height:", markdown(("atoms", "columns", *doses), lines)]
    if (far := told(of, "defocus", group, "known")) is not None:
        lines = []
        for low, high in pairwise(FOCUS):
            which = (far.truth > 0) & (far.defocus >= low) & (far.defocus < high)
            lines.append([f"{low} to {high}", which.sum(), *far.exact(which)])
        text += ["*defocus*, exact by defocus (nm):", markdown(("C1", "columns", *doses), lines)]
    record(
        path,
        f"python -m experiments.heights limits --crystal {of.crystal} --group {group} --set ...",
        *text,
    )
