"""Atoms followed through a series of models.

Each model is compared with the one before, and an atom goes on in the next model as the atom that it is
paired with there, common or displaced. An atom that is lost ends; one that is gained begins, as it does
if it comes back: two positions with nothing in between are not known to be one atom.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from atomfit.statistics.comparison import Comparison


def follow(steps: Sequence[Comparison]) -> Int[np.ndarray, "atoms models"]:
    """Index of each atom in every model; -1 where it is not.

    **Arguments:**

    - `steps`: each model compared with the one before, in order.
    """
    tracks: list[list[int]] = [[i] for i in range(len(steps[0].a))]
    for k, step in enumerate(steps, start=1):
        pair = step.first >= 0
        following = dict(zip(step.first[pair].tolist(), step.second[pair].tolist(), strict=True))
        for track in tracks:
            track.append(following.get(track[-1], -1))
        gained = step.second[~pair].tolist()
        tracks.extend([-1] * k + [j] for j in gained)
    return np.array(tracks, int).reshape(-1, len(steps) + 1)
