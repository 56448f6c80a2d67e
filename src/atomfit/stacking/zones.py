"""A crystal seen along a zone axis: the plane lattice of its columns, and how high their sites are.

Along a lattice direction every site of a cubic lattice with one atom in its primitive cell (fcc, bcc) lies
in a column whose sites follow each other at one period. Columns form a plane lattice. A step along its
vectors a and b raises sites by parts z_a and z_b of the period: [110] of fcc has 0 and ½. So the site l of
the column (h, k) is at the height

    z = (l + h z_a + k z_b) p.

The lattice found in an image is compared with all bases of the zone's. It is the zone's if one of them is
turned onto it without a stretch or shear that pixel sizes and scans do not have; z_a and z_b are then that
basis's. Bases that fit alike are symmetries of the plane lattice, and put sites at the same heights, or at
their mirror image along the beam, which no projection tells from it.
"""

from dataclasses import dataclass
from itertools import product
from math import gcd

import numpy as np
from jaxtyping import Float, Int

from atomfit.stacking.limits import LIMITS
from atomfit.structure.elements import bulk_structure, element
from atomfit.support.errors import InputError

#: Rows span the primitive cell, in edges of the cube.
_PRIMITIVE = {
    "fcc": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "bcc": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
}
#: Edges of the cube, in distances of nearest neighbours.
_EDGES = {"fcc": 2**0.5, "bcc": 2 / 3**0.5}
#: Coefficients of lattice vectors that a cell is looked for among, and of bases of the plane lattice.
_VECTORS, _BASES = 5, 3
#: Bases fit alike whose misfits differ by less.
_ALIKE = 0.02


@dataclass(frozen=True, eq=False)
class Stacking:
    """Sites of columns on a found plane lattice.

    **Fields:**

    - `zone`: indices of the beam's direction.
    - `structure`: fcc or bcc.
    - `constant`: edge of the cube (Å).
    - `period`: from site to site of a column (Å).
    - `vectors`: rows a, b, c of a primitive cell (Å; z along the beam): a and b are above the found plane
        lattice's, in its frame but for scale and shear; c is the period.
    - `heights`: of a and b, in periods, from -½ to ½.
    - `stretch`: from the zone's plane lattice to the image's.
    - `ambiguous`: whether bases fit alike that put sites at other heights than each other's mirror images.
    """

    zone: tuple[int, int, int]
    structure: str
    constant: float
    period: float
    vectors: Float[np.ndarray, "3 3"]
    heights: Float[np.ndarray, "2"]
    stretch: Float[np.ndarray, "2 2"]
    ambiguous: bool

    @property
    def scale(self) -> float:
        """Lengths in the image beside those of the bulk."""
        return float(np.sqrt(abs(np.linalg.det(self.stretch))))

    @property
    def shear(self) -> float:
        """Longest over shortest stretch, less 1."""
        most, least = np.linalg.svd(self.stretch, compute_uv=False)
        return float(most / least - 1)

    @property
    def mirrored(self) -> bool:
        """Whether the lattice is its own mirror image along the beam."""
        twice = 2 * self.heights
        return bool(np.allclose(twice, np.rint(twice), atol=1e-6))


def zone_lattice(
    structure: str, constant: float, zone: tuple[int, int, int]
) -> tuple[Float[np.ndarray, "3 3"], float]:
    """A primitive cell whose last vector is along the beam, and the period there (Å).

    **Arguments:**

    - `structure`: fcc or bcc.
    - `constant`: edge of the cube (Å).
    - `zone`: indices of a direction.

    **Returns:** rows a, b, c, with z along the beam and a and b the shortest in projection.

    **Raises:** `InputError` for other structures, and for directions along which columns are too near.
    """
    if structure not in _PRIMITIVE:
        raise InputError(
            f"columns of {structure} are not stacked: sites of fcc and bcc are known",
            "leave out --model3d",
            "--model3d",
        )
    primitive = _PRIMITIVE[structure]
    along = np.rint(np.array(zone) @ np.linalg.inv(primitive)).astype(int)
    along //= gcd(*along.tolist())
    beam = along @ primitive
    frame = _frame(beam)
    steps = np.array(list(product(range(-_VECTORS, _VECTORS + 1), repeat=3)))
    seen = steps @ primitive @ frame.T
    lengths = np.linalg.norm(seen[:, :2], axis=1)
    order = np.argsort(np.round(lengths, 9), kind="stable")
    order = order[lengths[order] > 1e-6]
    first = steps[order[0]]
    dets = steps[order] @ np.cross(along, first)
    spanning = np.flatnonzero(np.abs(dets) == 1)
    if not len(spanning):
        raise InputError(
            f"columns along {list(zone)} lie too near each other to be seen",
            "give a zone axis of lower indices",
            "--zone",
        )
    second = steps[order[spanning[0]]]
    cell = np.stack([first, second, along]) @ primitive @ frame.T * constant
    return cell, float(np.linalg.norm(beam) * constant)


def stacking_of(symbol: str, zone: tuple[int, int, int], basis: Float[np.ndarray, "2 2"]) -> Stacking:
    """Heights of the sites of columns on a plane lattice that was found in an image.

    **Arguments:**

    - `symbol`: the columns' element.
    - `zone`: indices of the beam's direction.
    - `basis`: a and b of the found lattice as columns (Å).

    **Raises:** `InputError` if that is not the plane lattice of the zone, or its structure is none of ours.
    """
    structure = str(bulk_structure(symbol))
    constant = element(symbol).neighbour_distance * _EDGES.get(structure, 1.0)
    cell, period = zone_lattice(structure, constant, zone)
    fits = [_fit(cell, period, basis, np.array(one).reshape(2, 2)) for one in _unimodular()]
    misfits = np.array([fit[0] for fit in fits])
    best = int(np.argmin(np.round(misfits, 6)))
    _, vectors, stretch = fits[best]
    heights = vectors[:2, 2] / period
    others = [fits[k][1][:2, 2] / period for k in np.flatnonzero(misfits < misfits[best] + _ALIKE)]
    alike = [
        min(np.abs(d - np.rint(d)).max() for d in (other - heights, other + heights)) < 1e-6
        for other in others
    ]
    indices = (int(zone[0]), int(zone[1]), int(zone[2]))
    found = Stacking(indices, structure, constant, period, vectors, heights, stretch, not all(alike))
    if abs(np.log(found.scale)) > LIMITS.scale or found.shear > LIMITS.shear:
        raise InputError(
            f"the columns' lattice (a {_length(basis[:, 0])}, b {_length(basis[:, 1])}, "
            f"γ {_angle(basis):.1f}°) is not that of {structure} {symbol} along {list(zone)} "
            f"(a {_length(cell[0, :2])}, b {_length(cell[1, :2])}, γ {_angle(cell[:2, :2].T):.1f}°)",
            "give another zone axis, or the right pixel size",
            "--zone",
        )
    return found


def _fit(
    cell: Float[np.ndarray, "3 3"],
    period: float,
    basis: Float[np.ndarray, "2 2"],
    change: Int[np.ndarray, "2 2"],
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, "2 2"]]:
    """Misfit, cell and stretch of one basis of the zone's lattice, laid on the found one."""
    rows = change @ cell[:2]
    ideal = rows[:, :2].T
    stretch = basis @ np.linalg.inv(ideal)
    u, s, vh = np.linalg.svd(stretch)
    turn = u @ vh
    # A mirror image in the plane is the crystal seen from below.
    rising = rows[:, 2] / period * np.sign(np.linalg.det(turn))
    rising -= np.rint(rising - 1e-9)
    vectors = np.zeros((3, 3))
    vectors[:2, :2], vectors[:2, 2], vectors[2, 2] = (turn @ ideal).T, rising * period, period
    # Of alike ones that are not mirrored the first.
    return float(np.abs(np.log(s)).max()), vectors, stretch @ turn.T


def _unimodular() -> list[tuple[int, ...]]:
    numbers = range(-_BASES, _BASES + 1)
    found = [m for m in product(numbers, repeat=4) if abs(m[0] * m[3] - m[1] * m[2]) == 1]
    return sorted(found, key=lambda m: (m[0] * m[3] - m[1] * m[2] < 0, sum(map(abs, m))))


def _frame(beam: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Rows of a right-handed frame whose last is along the beam."""
    last = beam / np.linalg.norm(beam)
    other = np.eye(3)[int(np.argmin(np.abs(last)))]
    first = other - (other @ last) * last
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(last, first), last])


def _length(vector: Float[np.ndarray, "2"]) -> str:
    return f"{np.linalg.norm(vector):.2f} Å"


def _angle(basis: Float[np.ndarray, "2 2"]) -> float:
    a, b = basis.T
    return float(np.degrees(np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))))
