"""Columns that a network sees in, the crystal's sites that they stand on out.

The crystal along its zone axis is known, so only a turn, an origin and a slight strain are to be found.
The turn is that at which the columns' structure factors are largest, the origin follows from their
phases, and both are refined with the strain by assigning columns to sites and least squares, over and
over. Then every site has a place, also one where no column was seen, and a light column between heavy
ones.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from scipy.spatial import cKDTree

from atomfit.structure.crystals import ZoneColumns
from atomfit.support.errors import InputError

#: Spatial frequencies of structure factors that are looked at, at most (1/Å).
_FINEST = 0.6
#: Of the distance of two heavy columns, how far one may be from its site.
_OFF = 0.3
#: Squares, in parts of that and on average, of twenty points at random or of columns of another crystal:
#: 0.42 to 0.7. Where three of eight columns are false, it is 0.4.
_STRANGE = 0.42
#: Columns that a lattice is fitted to, at least, and strain.
FEWEST, _FOR_STRAIN = 4, 10
#: Over which lattices bend (Å).
_BEND = 6.0


@dataclass(frozen=True, eq=False)
class Sites:
    """Columns that a crystal may have, of all its elements.

    **Fields:**

    - `places`: x, y (Å).
    - `kinds`: which column of the crystal's cell.
    - `levels`: heights of that column's first atom along the beam (Å), within a repeat.
    - `heavy`: columns of the heaviest element.
    - `seen`: number of the column that was seen there; -1 for none.
    """

    places: Float[np.ndarray, "n 2"]
    kinds: Int[np.ndarray, " n"]
    levels: Float[np.ndarray, " n"]
    heavy: Bool[np.ndarray, " n"]
    seen: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.places)


def find_sites(
    columns: Float[np.ndarray, "k 2"],
    zone: ZoneColumns,
    heaviest: str,
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
) -> Sites:
    """The crystal's sites in a rectangle.

    **Arguments:**

    - `columns`: x, y of columns of the heaviest element (Å), a few of which may be none.
    - `zone`: the crystal along the beam.
    - `heaviest`: symbol of that element.
    - `low`, `high`: corners of the rectangle (Å).

    **Raises:** `InputError` if there are too few columns, or they have no such lattice.
    """
    which = zone.symbols == heaviest
    cell, places = zone.lattice[:, :2], zone.places
    if len(columns) < FEWEST:
        raise InputError(
            f"{len(columns)} columns are seen, too few for a lattice",
            "give an image with more of the crystal",
        )
    turned = _turned(columns, cell, places[which])
    matrix, origin = _fitted(columns, turned, cell, places[which])
    corners = np.array([[x, y] for x in (low[0], high[0]) for y in (low[1], high[1])])
    parts = (corners - origin) @ np.linalg.inv(cell @ matrix)
    first, last = np.floor(parts.min(0)).astype(int) - 1, np.ceil(parts.max(0)).astype(int) + 1
    steps = np.stack(
        np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True)), indexing="ij"),
        axis=-1,
    ).reshape(-1, 2)
    flat = (places[None] + (steps @ cell)[:, None]).reshape(-1, 2) @ matrix + origin
    kinds = np.tile(np.arange(len(places)), len(steps))
    base = np.array([zone.heights[zone.of == k].min() for k in range(len(places))])
    levels = (base[None] + (steps @ zone.lattice[:, 2])[:, None] + 1e-4).ravel() % zone.repeat
    inside = np.all((flat >= low) & (flat <= high), axis=1)
    flat, kinds, levels = flat[inside], kinds[inside], levels[inside]
    heavy = which[kinds]
    seen = _assigned(columns, flat, heavy)
    return Sites(flat + _bent(columns, flat, seen), kinds, levels, heavy, seen)


def _turned(
    columns: Float[np.ndarray, "k 2"], cell: Float[np.ndarray, "2 2"], places: Float[np.ndarray, "h 2"]
) -> list[tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"]]]:
    """Turns and origins that fit best, as matrices that rows are multiplied by."""
    steps = np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)), axis=-1).reshape(-1, 2)
    waves = steps @ np.linalg.inv(cell).T
    length = np.linalg.norm(waves, axis=1)
    waves = waves[(length > 1e-6) & (length < _FINEST)]
    factors = np.exp(2j * np.pi * places @ waves.T).sum(axis=0)
    extent = max(float(np.ptp(columns, axis=0).max()), 10.0)
    angles = np.arange(0, np.pi, 0.2 / (_FINEST * extent))
    scores = np.array([np.sum(np.abs(factors * _sums(columns, _turn(a), waves)) ** 2) for a in angles])
    found = []
    for _ in range(3):
        best = int(scores.argmax())
        near = np.abs((angles - angles[best] + np.pi / 2) % np.pi - np.pi / 2) < np.radians(4)
        scores[near] = -np.inf
        fine = angles[best] + np.linspace(-1, 1, 21) * (angles[1] - angles[0])
        sharp = [np.sum(np.abs(factors * _sums(columns, _turn(a), waves)) ** 2) for a in fine]
        for half in (0.0, np.pi):
            turn = _turn(fine[int(np.argmax(sharp))] + half)
            found.append((turn, _origin(columns, turn, cell, waves, factors)))
    return found


def _turn(angle: float) -> Float[np.ndarray, "2 2"]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])


def _sums(
    columns: Float[np.ndarray, "k 2"], turn: Float[np.ndarray, "2 2"], waves: Float[np.ndarray, "g 2"]
) -> Complex[np.ndarray, " g"]:
    return np.exp(2j * np.pi * (columns @ turn.T) @ waves.T).sum(axis=0)


def _origin(
    columns: Float[np.ndarray, "k 2"],
    turn: Float[np.ndarray, "2 2"],
    cell: Float[np.ndarray, "2 2"],
    waves: Float[np.ndarray, "g 2"],
    factors: Complex[np.ndarray, " g"],
) -> Float[np.ndarray, " 2"]:
    steps = np.linspace(0, 1, 32, endpoint=False)
    tried = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) @ cell
    sums = np.conj(factors) * _sums(columns, turn, waves)
    return tried[int(np.argmax(np.real(np.exp(-2j * np.pi * tried @ waves.T) @ sums)))] @ turn


def _fitted(
    columns: Float[np.ndarray, "k 2"],
    starts: list[tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"]]],
    cell: Float[np.ndarray, "2 2"],
    places: Float[np.ndarray, "h 2"],
) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"]]:
    """The turn with strain, and the origin, that most columns agree with."""
    near = _spacing(cell, places)
    best: tuple[float, Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"]] | None = None
    for matrix, origin in starts:
        turn = matrix
        for tolerance in (0.45, 0.4, 0.35, 0.3, 0.3, 0.3):
            ideal, off = _nearest(columns, matrix, origin, cell, places)
            inside = np.linalg.norm(off, axis=1) < tolerance * near
            if inside.sum() < FEWEST:
                break
            matrix, origin = _least_squares(ideal[inside], columns[inside], turn)
        off = np.linalg.norm(_nearest(columns, matrix, origin, cell, places)[1], axis=1)
        # Truncated squares: an outlier counts as much as one at the limit.
        cost = float(np.minimum(off / (_OFF * near), 1).dot(np.minimum(off / (_OFF * near), 1)))
        if best is None or cost < best[0] - 1e-9:
            best = cost, matrix, origin
    assert best is not None
    if best[0] > _STRANGE * len(columns):
        raise InputError(
            "the columns that are seen have no lattice of this crystal along this zone axis",
            "check --crystal, --zone and --pixel-size",
        )
    return best[1], best[2]


def _spacing(cell: Float[np.ndarray, "2 2"], places: Float[np.ndarray, "h 2"]) -> float:
    """Distance of neighbouring heavy columns (Å)."""
    steps = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), axis=-1).reshape(-1, 2)
    every = (places[None] + (steps @ cell)[:, None]).reshape(-1, 2)
    apart = np.linalg.norm(every - places[0], axis=1)
    return float(apart[apart > 0.1].min())


def _nearest(
    columns: Float[np.ndarray, "k 2"],
    matrix: Float[np.ndarray, "2 2"],
    origin: Float[np.ndarray, " 2"],
    cell: Float[np.ndarray, "2 2"],
    places: Float[np.ndarray, "h 2"],
) -> tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, "k 2"]]:
    """Of each column the site of the ideal crystal, and how far it is from it (Å)."""
    back = (columns - origin) @ np.linalg.inv(matrix)
    parts = (back[:, None] - places[None]) @ np.linalg.inv(cell)
    around = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2)
    steps = np.rint(parts)[:, :, None] + around
    ideal = (places[None, :, None] + steps @ cell).reshape(len(columns), -1, 2)
    off = ideal @ matrix + origin - columns[:, None]
    best = np.linalg.norm(off, axis=2).argmin(axis=1)
    rows = np.arange(len(columns))
    return ideal[rows, best], -off[rows, best]


def _least_squares(
    ideal: Float[np.ndarray, "k 2"], seen: Float[np.ndarray, "k 2"], turn: Float[np.ndarray, "2 2"]
) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"]]:
    x, y = ideal - ideal.mean(0), seen - seen.mean(0)
    if len(ideal) >= _FOR_STRAIN:
        # A strain of 2 % is likely beforehand, of places that are known to 0.2 Å.
        ridge = (0.2 / 0.02) ** 2 * np.eye(2)
        matrix = np.linalg.solve(x.T @ x + ridge, x.T @ y + ridge @ turn)
    else:
        u, _, v = np.linalg.svd(x.T @ y)
        matrix = u @ np.diag([1.0, float(np.sign(np.linalg.det(u @ v)))]) @ v
    return matrix, seen.mean(0) - ideal.mean(0) @ matrix


def _assigned(
    columns: Float[np.ndarray, "k 2"], places: Float[np.ndarray, "n 2"], heavy: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Which column is at each site: the nearest, if it is near; -1 for none."""
    at = np.flatnonzero(heavy)
    found = np.full(len(places), -1)
    if not len(at):
        return found
    tree = cKDTree(places[at])
    spacing = np.median(tree.query(places[at], k=2)[0][:, 1]) if len(at) > 1 else 3.0
    off, of = tree.query(columns)
    for k in np.argsort(-off):
        if off[k] < _OFF * spacing:
            found[at[of[k]]] = k
    return found


def _bent(
    columns: Float[np.ndarray, "k 2"], places: Float[np.ndarray, "n 2"], seen: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n 2"]:
    """By how much sites are displaced as those around them are (Å)."""
    at = np.flatnonzero(seen >= 0)
    off = columns[seen[at]] - places[at]
    weights = np.exp(-0.5 * (np.linalg.norm(places[:, None] - places[at][None], axis=2) / _BEND) ** 2)
    return weights @ off / (weights.sum(axis=1, keepdims=True) + 2.0)
