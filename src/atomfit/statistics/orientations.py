"""How one model may lie on another: every orientation and shift worth a closer look.

Particles are nearly crystals, so many wrong orientations look nearly right, and a search that walks
downhill ends in one of them. So the search is global, in the two steps of molecular replacement.

**Rotation function** (Rossmann & Blow 1962). Vectors between the atoms of one model do not know where the
model lies, only how it is turned. Those shorter than three neighbour distances, blurred, are its
Patterson function. The first model's is kept as a grid, the second's as its maxima; these are turned into
thousands of orientations spread evenly over all rotations (super-Fibonacci spirals, Alexa 2022), and the
grid is summed at them. A crystal's symmetry gives many equal orientations, which the vectors cannot tell
apart; all are kept, and improved by laying the maxima of one function on the nearest of the other.

**Translation function.** For each orientation the correlation of the two sets of blurred atoms at all
shifts, by Fourier transforms; its highest maxima are kept. It needs no centre of mass, which a changed
surface moves.

What comes out is judged by the atoms that it lays on each other; see `statistics.registration`.

In a plane all this is the same with the angles of one turn, and images are distorted as well: what turns
the maxima of one function onto those of the other may then be any linear map (`statistics.plane_maps`).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import fft, ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

#: Lengths in nearest-neighbour distances: the longest vector, and the voxel and blur of the two functions.
_REACH, _PATTERSON_VOXEL, _PATTERSON_BLUR = 3.2, 0.12, 0.15
_VOXEL, _BLUR = 0.25, 0.2
#: Atoms, nearest the middle, whose vectors are taken: enough for a sharp function.
_ATOMS = 4000
_MAXIMA = 400
_ORIENTATIONS, _ANGLES = 60_000, 720
#: Orientations that are kept: how many, and how far apart (degrees).
_KEPT, _APART = 80, 10.0
#: With what part of the best score, before they are improved and after.
_ROUGH, _PART = 0.4, 0.7
#: Part of the height of the best shift, an atom, that is taken for what any shift of a lattice has: some
#: of the overlap counts still; and least overlap of two models, in the largest.
_PARTNERS, _OVERLAP = 0.9, 0.4
#: Shifts that are kept for each orientation.
_SHIFTS = 4

#: Which places a model shows.
Shown = Callable[[np.ndarray], np.ndarray]
#: The linear map that takes the second vectors onto the first with the least sum of weighted squares.
Laid = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def candidate_motions(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], spacing: float, laid: Laid
) -> list[tuple[Float[np.ndarray, "d d"], Float[np.ndarray, " d"]]]:
    """Linear maps, each with a shift, that may lay b on a, to be improved and judged.

    **Arguments:**

    - `a`, `b`: positions of two models (Å), in three dimensions or in two.
    - `spacing`: typical nearest-neighbour distance (Å).
    - `laid`: which linear maps there are.
    """
    return [
        (turn, shift)
        for turn in rotation_function(a, b, spacing, laid)
        for shift in translation_function(a, b @ turn.T, spacing)
    ]


def rotation_function(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], spacing: float, laid: Laid
) -> Float[np.ndarray, "k d d"]:
    """Rotations that turn the vectors of b onto those of a, best first."""
    d = a.shape[1]
    grid_a, grid_b = (_patterson(positions, spacing) for positions in (a, b))
    (maxima_a, _), (maxima_b, heights) = (_maxima(grid, spacing) for grid in (grid_a, grid_b))
    if not len(maxima_a) or not len(maxima_b):
        return np.eye(d)[None]
    turns = all_angles(_ANGLES) if d == 2 else evenly_spread(_ORIENTATIONS).as_matrix()
    scores = _scores(grid_a, turns, maxima_b, heights, spacing)
    best = np.argsort(-scores, kind="stable")
    kept = _apart(turns[best], scores[best], 2 * _KEPT, _ROUGH)
    improved = np.stack([_improved(turn, maxima_a, maxima_b, heights, spacing, laid) for turn in kept])
    scores = _scores(grid_a, improved, maxima_b, heights, spacing)
    order = np.argsort(-scores, kind="stable")
    return _apart(improved[order], scores[order], _KEPT, _PART)


def translation_function(
    a: Float[np.ndarray, "n d"],
    b: Float[np.ndarray, "m d"],
    spacing: float,
    features: tuple[Float[np.ndarray, "n f"], Float[np.ndarray, "m f"]] | None = None,
    most: int = _SHIFTS,
    shown: tuple[Shown, Shown] | None = None,
) -> Float[np.ndarray, "k d"]:
    """Shifts of b that lay most of its atoms on those of a (Å), best first.

    **Arguments:**

    - `a`, `b`: positions (Å).
    - `spacing`: typical nearest-neighbour distance (Å).
    - `features`: what atoms differ by besides, of mean square one: their products are added.
    - `most`: how many shifts.
    - `shown`: which places either model shows: what comes to lie beyond counts as half a pair.
    """
    voxel, near_a, near_b = _VOXEL * spacing, _together(a), _together(b)
    weights = [
        np.column_stack([np.ones(int(near.sum())), *(() if features is None else features[k][near].T)])
        for k, near in enumerate((near_a, near_b))
    ]
    a, b = a[near_a], b[near_b]
    middle_a, middle_b = a.mean(axis=0), b.mean(axis=0)
    # Shifts beyond half of the smaller model leave too little to compare, and may wrap around.
    size = np.maximum(np.ptp(a, axis=0), np.ptp(b, axis=0)) + 0.5 * np.minimum(
        np.ptp(a, axis=0), np.ptp(b, axis=0)
    )
    shape = [fft.next_fast_len(int(n), real=True) for n in np.ceil(size / voxel) + 4]
    waves = [fft.fftfreq(n) for n in shape[:-1]] + [fft.rfftfreq(shape[-1])]
    squares = sum(w**2 for w in np.meshgrid(*waves, indexing="ij", sparse=True))
    blur = np.exp(-4 * np.pi**2 * (_BLUR / _VOXEL) ** 2 * squares)
    spectra = [
        [fft.rfftn(_spread(x / voxel, shape, one)) for one in each.T]
        for x, each in zip((a - middle_a, b - middle_b), weights, strict=True)
    ]
    products = [one * other.conj() for one, other in zip(*spectra, strict=True)]
    values = fft.irfftn(sum(products) * blur, shape)
    if shown is not None:
        at = [fft.fftfreq(n, 1 / n) * voxel for n in shape]
        grid = np.stack(np.meshgrid(*at, indexing="ij"), axis=-1).reshape(-1, a.shape[1])
        seen = [
            fft.rfftn(shows(grid + middle).reshape(shape).astype(float))
            for shows, middle in zip(shown, (middle_a, middle_b), strict=True)
        ]
        # Atoms of either that the other shows, which each should have a partner.
        both = fft.irfftn(0.5 * (spectra[0][0] * seen[1].conj() + seen[0] * spectra[1][0].conj()), shape)
        places = fft.irfftn(products[0] * blur, shape)
        best = np.unravel_index(int(np.argmax(places)), places.shape)
        values = values - _PARTNERS * places[best] / max(float(both[best]), 1.0) * both
        values[both < _OVERLAP * both.max()] = values.min()
    peaks = np.argwhere(values == ndimage.maximum_filter(values, 3, mode="wrap"))
    peaks = peaks[np.argsort(-values[tuple(peaks.T)], kind="stable")[:most]]
    steps = np.where(peaks > np.array(shape) / 2, peaks - np.array(shape), peaks)
    return steps * voxel + middle_a - middle_b


def evenly_spread(n: int) -> Rotation:
    """n rotations, evenly spread over all (super-Fibonacci spirals, Alexa 2022)."""
    # The plastic ratio's relative that solves ψ⁴ = ψ + 4, and √2, as the paper has them.
    psi = 1.533751168755204288118041
    s = np.arange(n) + 0.5
    r, rest = np.sqrt(s / n), np.sqrt(1 - s / n)
    alpha, beta = 2 * np.pi * s / np.sqrt(2), 2 * np.pi * s / psi
    return Rotation.from_quat(
        np.stack([r * np.sin(alpha), r * np.cos(alpha), rest * np.sin(beta), rest * np.cos(beta)], axis=1)
    )


def all_angles(n: int) -> Float[np.ndarray, "n 2 2"]:
    """n rotations of a plane, evenly spread over a turn."""
    angles = 2 * np.pi * np.arange(n) / n
    c, s = np.cos(angles), np.sin(angles)
    return np.stack([c, -s, s, c], axis=1).reshape(n, 2, 2)


def turns_of(maps: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "n d d"]:
    """What linear maps have of orthogonal ones: the nearest each."""
    u, _, vt = np.linalg.svd(maps)
    return u @ vt


def _together(positions: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Atoms but for those far from all others, which would make any box too large."""
    distances = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    return np.asarray(distances <= 4 * np.median(distances))


def _patterson(positions: Float[np.ndarray, "n d"], spacing: float) -> Float[np.ndarray, "..."]:
    """Blurred vectors between atoms, on a grid whose middle voxel is no vector at all."""
    voxel, half = _PATTERSON_VOXEL * spacing, int(np.ceil(_REACH / _PATTERSON_VOXEL)) + 2
    inward = np.argsort(np.linalg.norm(positions - positions.mean(axis=0), axis=1), kind="stable")
    kept = positions[inward[:_ATOMS]]
    pairs = cKDTree(kept).query_pairs(_REACH * spacing, output_type="ndarray")
    vectors = kept[pairs[:, 0]] - kept[pairs[:, 1]]
    steps = np.concatenate([vectors, -vectors]) / voxel
    shape = (2 * half + 1,) * positions.shape[1]
    counts = _counts(steps.round().astype(int) + half, shape)
    return ndimage.gaussian_filter(counts, _PATTERSON_BLUR / _PATTERSON_VOXEL)


def _spread(
    steps: Float[np.ndarray, "n d"], shape: list[int], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "..."]:
    """Weights on a grid that wraps around, each shared by the voxels around it."""
    below = np.floor(steps).astype(int)
    part, found = steps - below, np.zeros(shape)
    for corner in np.ndindex(*(2,) * steps.shape[1]):
        share = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1)
        found += _counts((below + corner) % shape, shape, share * weights)
    return found


def _counts(
    voxels: Int[np.ndarray, "n d"],
    shape: tuple[int, ...] | list[int],
    weights: Float[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "..."]:
    flat = np.ravel_multi_index(tuple(voxels.T), tuple(shape))
    return np.bincount(flat, weights, minlength=int(np.prod(shape))).reshape(shape).astype(float)


def _maxima(
    grid: Float[np.ndarray, "..."], spacing: float
) -> tuple[Float[np.ndarray, "p d"], Float[np.ndarray, " p"]]:
    """Vectors at the highest maxima (Å), and their heights."""
    half = grid.shape[0] // 2
    peaks = np.argwhere((grid == ndimage.maximum_filter(grid, 3)) & (grid > 0))
    peaks = peaks[np.linalg.norm(peaks - half, axis=1) <= _REACH / _PATTERSON_VOXEL]
    peaks = peaks[np.argsort(-grid[tuple(peaks.T)], kind="stable")[:_MAXIMA]]
    heights = grid[tuple(peaks.T)]
    # Between voxels by the centre of mass about each maximum.
    offsets = np.stack(np.meshgrid(*[[-1, 0, 1]] * grid.ndim, indexing="ij"), axis=-1)
    offsets = offsets.reshape(-1, grid.ndim)
    around = grid[tuple(np.moveaxis(peaks[:, None] + offsets, -1, 0))]
    finer = peaks + np.einsum("pk,kd->pd", around, offsets) / around.sum(axis=1)[:, None]
    return (finer - half) * _PATTERSON_VOXEL * spacing, heights


def _scores(
    grid: Float[np.ndarray, "..."],
    turns: Float[np.ndarray, "r d d"],
    vectors: Float[np.ndarray, "p d"],
    heights: Float[np.ndarray, " p"],
    spacing: float,
) -> Float[np.ndarray, " r"]:
    """The grid summed at turned vectors."""
    # The function is the same at opposite vectors: one of each pair will do.
    one = vectors @ np.array([1.0, 1e-3, 1e-6])[: grid.ndim] > 0
    steps = vectors[one] / (_PATTERSON_VOXEL * spacing)
    half, n = grid.shape[0] // 2, grid.shape[0]
    scores = np.empty(len(turns))
    for first in range(0, len(turns), 2000):
        turned = np.rint(np.einsum("rij,pj->irp", turns[first : first + 2000], steps)).astype(int) + half
        place = turned[0]
        for along in turned[1:]:
            place = place * n + along
        scores[first : first + 2000] = grid.ravel()[place] @ heights[one]
    return scores


def _apart(
    turns: Float[np.ndarray, "r d d"], scores: Float[np.ndarray, " r"], most: int, part: float
) -> Float[np.ndarray, "k d d"]:
    """The best maps, none of them turning as a better one does."""
    d = turns.shape[1]
    flat = turns_of(turns).reshape(len(turns), d * d)
    # The trace of a rotation is 1 + 2 cos in space, and 2 cos in a plane.
    least = d - 2 + 2 * np.cos(np.radians(_APART))
    kept: list[int] = []
    for i in np.flatnonzero(scores >= part * scores.max(initial=0)):
        if len(kept) == most:
            break
        if not kept or (flat[kept] @ flat[i]).max() < least:
            kept.append(int(i))
    return turns[kept]


def _improved(
    turn: Float[np.ndarray, "d d"],
    a: Float[np.ndarray, "p d"],
    b: Float[np.ndarray, "q d"],
    heights: Float[np.ndarray, " q"],
    spacing: float,
    laid: Laid,
) -> Float[np.ndarray, "d d"]:
    """The map that lays maxima of one function best on the nearest ones of the other."""
    tree = cKDTree(a)
    for _ in range(5):
        distances, nearest = tree.query(b @ turn.T, distance_upper_bound=0.35 * spacing)
        near = np.isfinite(distances)
        if near.sum() < 3:
            break
        turn = laid(a[nearest[near]], b[near], heights[near])
    return turn
