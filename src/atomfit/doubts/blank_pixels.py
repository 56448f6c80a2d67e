"""Lines and borders of an image that have one value: an image in, what was not measured out.

A detector that misses a line writes it as one number; a frame that was moved or turned has one number
around it. Such pixels look like a measurement of great precision. That a row, or a region at the border,
has one value throughout is no accident of noise, but it may be real: of sparse counts most are zero, and
so is the vacuum of a simulation. What is real goes over into what lies beside it: pixels next to it still
have its value, or are near it, and farther ones are farther from it. What was not measured ends abruptly:
hardly a pixel beside it has its value, and those are as far from it as any within half an Å. Both are
asked. Beside a line, which may lie in a dark row of a lattice, those on the next line do as well if they
have noise, which shows in differences of neighbours: the foot of Gaussians has a tenth of what is one
pixel farther in where it begins within one pixel.

A region at the border is what squares of one value cover, whatever its outline. Its edge was mixed with
what lies beside it, where the image was moved or turned by interpolation: one pixel more is left out.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import find_objects, label

from atomfit.doubts.limits import LIMITS

#: Edge of the squares that cover a region, and its tips; values of the border that are looked at, at most.
_SQUARE, _TIP, _VALUES = 4, 2, 4
#: Farther on is so far (Å; pixels at least).
_FARTHER, _LEAST = 0.5, 3
#: Pixels beside a region that are needed.
_FEWEST = 20
#: Part of the pixels beside it that there are at the farthest at least.
_DEEP = 0.5
#: Variance of differences of neighbours beyond a slope, in that of slopes; one of noise.
_NOISY = 0.33


def blank_border(
    image: Float[np.ndarray, "rows columns"], counted: Bool[np.ndarray, "rows columns"], pixel: float
) -> Bool[np.ndarray, "rows columns"]:
    """Pixels of regions at the border that have one value and were not measured.

    **Arguments:**

    - `image`: any unit.
    - `counted`: pixels that were measured, as far as is known.
    - `pixel`: its edge (Å).
    """
    found = np.zeros(image.shape, bool)
    for value in _values_of_border(image, counted):
        alike = (image == value) & counted
        regions, count = label(_covered(alike, _SQUARE))
        sides = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
        blank = _blank(image, counted, regions, count, pixel, False) & np.isin(np.arange(count), sides - 1)
        if blank.any():
            # Squares do not reach into a tip.
            pieces, _ = label(_covered(alike, _TIP))
            within = np.unique(pieces[np.append(False, blank)[regions]])
            found |= _grown(np.isin(pieces, within)) & counted
    return found


def blank_lines(
    image: Float[np.ndarray, "rows columns"], counted: Bool[np.ndarray, "rows columns"], pixel: float
) -> Bool[np.ndarray, "rows columns"]:
    """Pixels of whole rows and columns that have one value and were not measured.

    **Arguments:** those of `blank_border`.
    """
    found = _blank_rows(image, counted, pixel)
    return found | _blank_rows(image.T, counted.T, pixel).T


def _values_of_border(image: np.ndarray, counted: np.ndarray) -> list[float]:
    """Values of which there are squares along the border, the commonest first."""
    found: dict[float, int] = {}
    for side, there in zip(_sides(image), _sides(counted), strict=True):
        same = np.all(side[1:_SQUARE] == side[0], axis=0) & np.all(there[:_SQUARE], axis=0)
        run = same[1:] & same[:-1] & (side[0][1:] == side[0][:-1])
        values, counts = np.unique(side[0][1:][run], return_counts=True)
        for value, n in zip(values.tolist(), counts.tolist(), strict=True):
            found[value] = found.get(value, 0) + n
    return sorted((value for value, n in found.items() if n >= _SQUARE - 1), key=lambda v: -found[v])[
        :_VALUES
    ]


def _sides(image: np.ndarray) -> list[np.ndarray]:
    return [image[:_SQUARE], image[::-1][:_SQUARE], image.T[:_SQUARE], image.T[::-1][:_SQUARE]]


def _covered(alike: np.ndarray, edge: int) -> np.ndarray:
    """What squares of pixels that are alike cover."""
    rows, columns = (n - edge + 1 for n in alike.shape)
    down = np.logical_and.reduce([alike[k : k + rows] for k in range(edge)])
    corners = np.logical_and.reduce([down[:, k : k + columns] for k in range(edge)])
    across = np.zeros((rows, alike.shape[1]), bool)
    for k in range(edge):
        across[:, k : k + columns] |= corners
    covered = np.zeros(alike.shape, bool)
    for k in range(edge):
        covered[k : k + rows] |= across
    return covered


def _blank_rows(image: np.ndarray, counted: np.ndarray, pixel: float) -> np.ndarray:
    low = np.where(counted, image, np.inf).min(axis=1)
    one = low == np.where(counted, image, -np.inf).max(axis=1)
    one &= counted.sum(axis=1) >= max(LIMITS.blank_line * image.shape[1], _FEWEST)
    if not one.any() or one.all():
        return np.zeros(image.shape, bool)
    # Lines of another value begin another region.
    begins = one & ~(np.append(False, one[:-1]) & (low == np.append(np.nan, low[:-1])))
    names = np.where(one, np.cumsum(begins), 0)
    regions = np.broadcast_to(names[:, None], image.shape)
    blank = _blank(image, counted & ~one[:, None], regions, int(names.max()), pixel, True)
    return np.append(False, blank)[names][:, None] & counted


def _blank(
    image: np.ndarray, counted: np.ndarray, regions: np.ndarray, count: int, pixel: float, line: bool
) -> Bool[np.ndarray, " count"]:
    """Which regions of one value end abruptly."""
    far = max(round(_FARTHER / pixel), _LEAST)
    found = np.zeros(count, bool)
    for k, place in enumerate(find_objects(regions, count)):
        window = tuple(slice(max(one.start - far - 2, 0), one.stop + far + 2) for one in place)
        region = regions[window] == k + 1
        value = image[place][regions[place] == k + 1][0]
        found[k] = _ends_abruptly(image[window] - value, counted[window] & ~region, region, far, line)
    return found


def _ends_abruptly(off: np.ndarray, counted: np.ndarray, region: np.ndarray, far: int, line: bool) -> bool:
    """Whether what lies beside a region has nothing of its value."""
    # What may be mixed with a region of any outline is not asked.
    layers, grown = list[np.ndarray](), region if line else _grown(region)
    for _ in range(far + 1):
        wider = _grown(grown)
        layers.append(wider & ~grown & counted)
        grown = wider
    beside = off[layers[0]]
    # Columns that stand alone in a vacuum have no layers so deep.
    if int(layers[-1].sum()) < max(_FEWEST, _DEEP * len(beside)):
        return False
    if not np.mean(beside != 0) > LIMITS.blank_differ:
        return False
    level, *levels = (float(np.mean(np.abs(off[one]))) for one in layers)
    if level > LIMITS.blank_as_far * max(levels):
        return True
    return line and level > LIMITS.blank_foot * levels[0] and _is_noise(off, layers[1])


def _is_noise(image: np.ndarray, places: np.ndarray) -> bool:
    """Whether neighbours differ as much beyond a slope as they do at all."""
    places = places[1:-1, 1:-1]
    bend = image[1:-1, :-2] - 2 * image[1:-1, 1:-1] + image[1:-1, 2:]
    bend_down = image[:-2, 1:-1] - 2 * image[1:-1, 1:-1] + image[2:, 1:-1]
    slope, slope_down = image[1:-1, 1:-1] - image[1:-1, :-2], image[1:-1, 1:-1] - image[:-2, 1:-1]
    bends, slopes = (
        sum(float(np.sum(np.square(one[places], dtype=np.float64))) for one in both)
        for both in ((bend, bend_down), (slope, slope_down))
    )
    return bends / 3 > _NOISY * slopes


def _grown(region: np.ndarray) -> np.ndarray:
    """With all pixels beside it."""
    grown = region.copy()
    grown[1:] |= region[:-1]
    grown[:-1] |= region[1:]
    wide = grown.copy()
    wide[:, 1:] |= grown[:, :-1]
    wide[:, :-1] |= grown[:, 1:]
    return wide
