"""Twin planes: where two grains meet that mirror each other.

In fcc and diamond the grains of a twin differ by a turn of 60° about a ⟨111⟩ axis, which is the normal of
the plane between them (Σ3). Two grains that touch and differ by that, to within a tolerance that leaves
room for the strain of a decahedron or an icosahedron, share a twin plane.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from atomfit.statistics.bonds import Bonds
from atomfit.statistics.grains import Grains
from atomfit.statistics.limits import LIMITS

#: Structures that have these twins.
_CUBIC = ("fcc", "diamond")


@dataclass(frozen=True, eq=False)
class TwinPlane:
    """Between two grains.

    **Fields:**

    - `grains`: their numbers.
    - `normal`: of the plane.
    - `angle`: by which the grains differ (degrees; 60 without strain).
    """

    grains: tuple[int, int]
    normal: Float[np.ndarray, " 3"]
    angle: float


def find_twins(bonds: Bonds, grains: Grains) -> tuple[TwinPlane, ...]:
    """All twin planes between the grains of a particle; none for structures that have other twins.

    **Arguments:**

    - `bonds`: who is whose neighbour.
    - `grains`: of the same atoms.
    """
    crystal = grains.crystal
    if crystal is None or crystal.name not in _CUBIC or len(grains.grains) < 2:
        return ()
    begin, end = grains.membership[bonds.begin], grains.membership[bonds.end]
    crossing = (begin >= 0) & (end > begin)
    pairs, counts = np.unique(np.stack([begin, end])[:, crossing], axis=1, return_counts=True)
    turns = [polar(grain.map)[0] for grain in grains.grains]
    twin = Rotation.from_rotvec(np.radians(60) * np.array([1, 1, 1]) / 3**0.5).as_matrix()
    found = []
    for (first, second), count in zip(pairs.T, counts, strict=True):
        between = turns[first].T @ turns[second]
        # A twin, up to the symmetry of each grain.
        settings = crystal.rotations[:, None] @ between @ crystal.rotations
        away = np.arccos(np.clip((np.einsum("abij,ij->ab", settings, twin) - 1) / 2, -1, 1))
        a, b = np.unravel_index(int(np.argmin(away)), away.shape)
        if count >= LIMITS.twin_bonds and np.degrees(away[a, b]) < LIMITS.twin_tolerance:
            turn = Rotation.from_matrix(settings[a, b]).as_rotvec()
            # The axis is in the setting's frame; the first grain's is turned from it.
            axis = turns[first] @ crystal.rotations[a].T @ (turn / np.linalg.norm(turn))
            found.append(
                TwinPlane((int(first), int(second)), axis, float(np.degrees(np.linalg.norm(turn))))
            )
    return tuple(found)
