"""What `imaging_advice` says of each defocus beside what the oracle says of the images called defocus."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from atomfit.column_heights import imaging_advice
from experiments.heights.limits import told
from experiments.heights.measuring import Measured
from experiments.heights.scenes import DOSES, GROUPS
from experiments.recording import markdown, record

#: Doses at which focuses differ; edges of bins (nm).
_DOSES, _EDGES = DOSES[:3], tuple(range(-10, 11, 2))


def write(of: Measured, path: Path, group: str) -> None:
    """Record advice and oracle.

    **Arguments:**

    - `of`, `group`: where the oracle's is, and which seeds.
    - `path`: of the record.
    """
    advice, oracle = imaging_advice(of.crystal, (1, 1, 0), _DOSES), told(of, "defocus", group, "known")
    if oracle is None:
        raise SystemExit("the oracle was not asked: run `limits --set defocus` first")
    there, lines, ranks = oracle.truth > 0, [], []
    focuses = np.unique(oracle.defocus[there])
    which = np.digitize(focuses, _EDGES) - 1
    both = []
    for k in range(len(_DOSES)):
        right = (oracle.p[k].argmax(axis=2) == oracle.truth).mean(axis=0)
        seen = np.array([right[there & (oracle.defocus == one)].mean() for one in focuses])
        said = np.interp(focuses, advice.defocus, advice.exact[k])
        bins = [[each[which == b].mean() for b in np.unique(which)] for each in (seen, said)]
        both.append(np.array(bins))
        ranks.append([f"{_DOSES[k]:g}", *(f"{spearmanr(*pair)[0]:.2f}" for pair in (bins, (seen, said)))])
    for place, b in enumerate(np.unique(which)):
        low, high = list(pairwise(_EDGES))[b]
        numbers = (f"{one[0, place]:.3f} / {one[1, place]:.3f}" for one in both)
        lines.append([f"{low} to {high}", np.sum(which == b), *numbers])
    doses = [f"{dose:g} e/Å²" for dose in _DOSES]
    every = [
        [f"{c1:g}", *(f"{one:.3f}" for one in advice.exact[:, k])] for k, c1 in enumerate(advice.defocus)
    ]
    record(
        path,
        f"python -m experiments.heights advice --crystal {of.crystal} --group {group}",
        "Exact: the oracle's of images with their own specimens and optics (seeds "
        f"{group}, from {GROUPS[group]}), and the advice's of one wedge:",
        markdown(("C1 (nm)", "images", *doses), lines),
        "Rank correlations of the two, of these bins and of single images:",
        markdown(("e/Å²", "bins", "images"), ranks),
        "The advice: "
        + ", ".join(f"{c1:g} nm at {d:g} e/Å²" for d, c1 in zip(_DOSES, advice.best(), strict=True)),
        markdown(("C1 (nm)", *doses), every),
    )
