"""Linear maps that may lay one image's columns on another's: positions and brightness in, candidates out.

The search of `statistics.orientations` finds how the lattices lie, from vectors of three neighbour
distances. That is not enough for an image of a hundred and more columns across, whose border is off by a
column if lengths err by a per cent, nor for a lattice that fills both images, which lies on itself as well
a cell further. So two things are added in a plane.

**From the middle outwards.** Each orientation is laid on with the columns around the middle of the second
image, fitted to those of the first that are near, and fitted again with the columns of twice the distance,
until the map is right to the border. Which cell it is does not matter in that.

**Marks.** Columns differ: by the logarithm of their brightness, and by where they lie between their
neighbours, which tells a border, a hole beside a column and displacements. Both are put into units of their
spread, and the translation function adds the correlation of marks to that of places. At the right shift it
is the number of columns times the part of the marks that is no noise, at a wrong one about the root of
their number.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.statistics.likeliest import Marks, near_pairs
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.orientations import Laid, Shown, rotation_function, translation_function
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.structure.neighbours import CUTOFF_PER_DISTANCE

#: Columns around the middle that a map begins with lie so near it, in neighbour distances.
_BEGIN = 10.0
#: About so many columns are enough for a map.
_PATCH = 2000
#: Marks beyond this, in their spread, count no more.
_MOST = 6.0
#: Shifts that are kept for each orientation.
_SHIFTS = 24
#: Of a normal distribution half lies within so many standard deviations.
_HALF = 0.6744897501960817

#: The map of pairs, of the kind of another one.
Superposed = Callable[[np.ndarray, np.ndarray, PlaneMap], PlaneMap]


def plane_candidates(
    a: Float[np.ndarray, "n 2"],
    b: Float[np.ndarray, "m 2"],
    spacing: float,
    known: tuple[Marks | None, tuple[Shown, Shown] | None],
    over: Float[np.ndarray, "2 2"],
    how: tuple[Laid, Superposed],
) -> list[PlaneMap]:
    """Maps that may lay b on a, to be improved and judged.

    **Arguments:**

    - `a`, `b`: positions of columns (Å).
    - `spacing`: typical nearest-neighbour distance (Å).
    - `known`: logarithms of their brightness, NaN where not known; and which places either image shows.
    - `over`: what is done to the second image first: nothing, or to turn it over.
    - `how`: the linear map of vectors, and the map of pairs.
    """
    (laid, superposed), (marks, shown) = how, known
    bright = [_in_spreads(one) for one in (marks or (np.full(len(a), np.nan), np.full(len(b), np.nan)))]
    places = [
        _between_neighbours(x, spacing, None if shown is None else shown[k]) for k, x in enumerate((a, b))
    ]
    found = []
    for turn in rotation_function(a, b @ over, spacing, laid):
        matrix = turn @ over
        motion = _grown(a, b, PlaneMap(matrix, np.zeros(2)), spacing, superposed)
        features = [
            np.column_stack([bright[0], places[0]]),
            np.column_stack([bright[1], places[1] @ motion.matrix.T]),
        ]
        laid_b, fields = b @ motion.matrix.T, None
        if shown is not None:
            fields = (shown[0], _turned(shown[1], motion.matrix))
        shifts = translation_function(a, laid_b, spacing, (features[0], features[1]), _SHIFTS, fields)
        if shown is not None:
            # Where nothing tells steps of the lattice apart the largest overlap is to be among them.
            shifts = np.concatenate([shifts, translation_function(a, laid_b, spacing)])
        found += [PlaneMap(motion.matrix, shift) for shift in shifts]
    return found


def _turned(shows: Shown, matrix: Float[np.ndarray, "2 2"]) -> Shown:
    back = np.linalg.inv(matrix).T
    return lambda places: shows(places @ back)


def _grown(
    a: Float[np.ndarray, "n 2"],
    b: Float[np.ndarray, "m 2"],
    motion: PlaneMap,
    spacing: float,
    superposed: Superposed,
) -> PlaneMap:
    """The map, right to the border for some cell; as it was if the middle is enough."""
    apart = np.linalg.norm(b - np.median(b, axis=0), axis=1)
    radius, farthest = _BEGIN * spacing, float(apart.max())
    if farthest < 2 * radius:
        return motion
    tolerance, patch = LIMITS.near * spacing, b[apart < radius]
    if len(patch) < 3:
        return motion
    shift = translation_function(a, patch @ motion.matrix.T, spacing)[:1]
    if not len(shift):
        return motion
    grown = PlaneMap(motion.matrix, shift[0])
    while True:
        patch = b[apart <= radius]
        patch = patch[:: 1 + len(patch) // _PATCH]
        for _ in range(3):
            i, j, _ = near_pairs(a, grown(patch), tolerance)
            # Where the patch has no lattice in common with the first image it says nothing.
            if len(i) < max(3, 0.3 * len(patch)):
                return grown if radius > _BEGIN * spacing else motion
            grown = superposed(a[i], patch[j], grown)
        if radius >= farthest:
            return grown
        radius *= 2


def _in_spreads(marks: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Marks less their median, in their spread; zero where they are not known or all alike."""
    known = np.isfinite(marks)
    if not known.any():
        return np.zeros(len(marks))
    off = np.where(known, marks - np.median(marks[known]), 0.0)
    spread = float(np.std(off[known]))
    return np.clip(off / spread, -_MOST, _MOST) if spread > 1e-9 else np.zeros(len(marks))


def _between_neighbours(
    positions: Float[np.ndarray, "n 2"], spacing: float, shows: Shown | None
) -> Float[np.ndarray, "n 2"]:
    """Where each column lies beside the mean of its neighbours, in the spread of most columns."""
    n = len(positions)
    pairs = cKDTree(positions).query_pairs(CUTOFF_PER_DISTANCE * spacing, output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    neighbours = np.maximum(np.bincount(i, minlength=n), 1)
    off = np.zeros((n, 2))
    np.add.at(off, i, positions[j] - positions[i])
    off /= neighbours[:, None]
    if shows is not None:
        # Neighbours beyond the image are not known.
        steps = CUTOFF_PER_DISTANCE * spacing * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        off[~np.all([shows(positions + step) for step in steps], axis=0)] = 0.0
    spread = float(np.median(np.abs(off))) / _HALF
    sizes = np.linalg.norm(off, axis=1)
    if not spread > 0:
        # A lattice without errors: what is off at all is off alike.
        return off / max(float(sizes.max()), 1e-9)
    return off / spread * np.minimum(1.0, _MOST * spread / np.maximum(sizes, 1e-12))[:, None] / 2**0.5
