"""Atoms along the beam become columns of an image: where each is, of how many atoms, how bright and wide.

A column's cross-section is the sum of its atoms'. Each scatters less the more atoms are above it, because
the beam fades on its way: as exp(-k / K) below k others, with K the option `fading`. For N alike atoms

    σ(N) = σ(1) (1 - exp(-N/K)) / (1 - exp(-1/K)),

which rises and is concave; K of 80 is near what multislice simulations of Pt [110] have to 25 atoms. What
an atom scatters alone goes with Z^1.7, as at high angles. Channelling proper is not in it.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from atomfit.options.images import ImageOptions
from atomfit.rendering import Gaussians
from atomfit.simulation.image_specimens import Specimen
from atomfit.structure.elements import element, symbol_of
from atomfit.support.errors import InputError

#: Atoms nearer to each other in projection are of one column (Å).
_TOGETHER = 0.1
_POWER, _REFERENCE = 1.7, 78


@dataclass(frozen=True, eq=False)
class ProjectedColumns:
    """Columns of an image.

    **Fields:**

    - `positions`: x, y (Å).
    - `elements`: "Pt", or "Pt5Co4" of a column of several.
    - `counts`: numbers of atoms.
    - `cross_sections`: integral of each (fraction of the beam x Å²); negative where columns are dark.
    - `widths`: standard deviations (Å).
    """

    positions: Float[np.ndarray, "n 2"]
    elements: np.ndarray
    counts: Int[np.ndarray, " n"]
    cross_sections: Float[np.ndarray, " n"]
    widths: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, which: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> "ProjectedColumns":
        """Columns at indices, or where a mask is true."""
        return ProjectedColumns(
            *(getattr(self, name)[which] for name in self.__dataclass_fields__),
        )

    def at(self, positions: Float[np.ndarray, "n 2"], stretch: float = 1.0) -> "ProjectedColumns":
        """The same elsewhere, their integrals multiplied."""
        return replace(self, positions=positions, cross_sections=self.cross_sections * stretch)

    def gaussians(self) -> Gaussians:
        """What a renderer draws."""
        return Gaussians(
            self.positions, self.widths[:, None, None] ** 2 * np.eye(2), np.abs(self.cross_sections)
        )


def projected_columns(
    atoms: Specimen,
    options: ImageOptions,
    rng: np.random.Generator,
    law: Float[np.ndarray, " k"] | None = None,
) -> ProjectedColumns:
    """The columns that atoms are in, from the top of the image down.

    **Arguments:**

    - `atoms`: where they are.
    - `options`: of cross-sections, widths and jitter.
    - `rng`: of the jitter.
    - `law`: cross-sections of columns of 1, 2, ... atoms, instead of what fades.

    **Raises:** `InputError` if a column has more atoms than the law, or several elements.
    """
    n, places = len(atoms.positions), atoms.positions[:, :2]
    pairs = cKDTree(places).query_pairs(_TOGETHER, output_type="ndarray") if n else np.zeros((0, 2), int)
    near = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, of = connected_components(near, directed=False)
    sizes = np.bincount(of, minlength=count)
    order = np.lexsort((-atoms.positions[:, 2], of))
    above = np.empty(n, int)
    above[order] = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    alone = options.cross_section * (atoms.numbers / _REFERENCE) ** _POWER
    scattered = alone * np.exp(-above / options.fading)
    total = np.bincount(of, scattered, count)
    areas = total if law is None else _by_law(law, sizes, options)
    variances = _widths(atoms.numbers, options) ** 2
    positions = np.stack([np.bincount(of, x, count) / np.maximum(sizes, 1) for x in places.T], axis=1)
    sign = -1.0 if options.contrast == "dark" else 1.0
    found = ProjectedColumns(
        positions + rng.normal(0, options.jitter, positions.shape),
        _formulas(of, count, atoms.numbers),
        sizes,
        sign * areas,
        np.sqrt(np.bincount(of, scattered * variances, count) / np.maximum(total, 1e-300)),
    )
    return found[np.lexsort((found.positions[:, 0], found.positions[:, 1]))]


def _by_law(
    law: Float[np.ndarray, " k"], sizes: Int[np.ndarray, " n"], options: ImageOptions
) -> Float[np.ndarray, " n"]:
    if options.second is not None:
        raise InputError(
            "cross-sections of an alloy's columns do not follow from counts", "give none", "law"
        )
    most = int(sizes.max(initial=1))
    if most > len(law):
        raise InputError(
            f"a column has {most} atoms, and cross-sections are known up to {len(law)}",
            "give a smaller particle",
            "law",
        )
    return np.asarray(law, np.float64)[sizes - 1]


def _widths(numbers: Int[np.ndarray, " n"], options: ImageOptions) -> Float[np.ndarray, " n"]:
    """Of columns of each atom's element (Å)."""
    first, second = np.broadcast_to(np.atleast_1d(options.width), 2)
    return np.where(numbers == element(options.element).number, first, second)


def _formulas(of: Int[np.ndarray, " n"], count: int, numbers: Int[np.ndarray, " n"]) -> np.ndarray:
    """Each column's element, or how many of each it has, the heaviest first."""
    kinds = np.unique(numbers)[::-1]
    parts = np.array([np.bincount(of[numbers == z], minlength=count) for z in kinds], int)
    symbols = [symbol_of(int(z)) for z in kinds]
    found = []
    for row in parts.reshape(len(kinds), count).T:
        there = [(s, k) for s, k in zip(symbols, row, strict=True) if k]
        found.append(
            there[0][0] if len(there) == 1 else "".join(f"{s}{k if k > 1 else ''}" for s, k in there)
        )
    return np.array(found, dtype=object)
