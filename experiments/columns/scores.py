"""Found columns against true ones: errors in bounds and in error bars; and a picker with an oracle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_laplace, maximum_filter
from scipy.spatial import cKDTree

from atomfit.structure.matching import match
from experiments.columns.bound import Reference
from experiments.columns.found import Found

#: A column is found within this distance (Å); errors are of columns whose bound is less than this part of
#: it, as those of others would be cut off.
WITHIN, SHARP = 0.5, 0.25
#: Widths of the picker's filter, in those of the columns.
_FILTERS = (0.7, 1.0, 1.4, 2.0)


@dataclass(frozen=True, eq=False)
class Errors:
    """Of the columns that were found and are sharp, in some images: in bounds and in error bars.

    **Fields:**

    - `position`, `position_bound`: errors along x and y, and least standard deviations (Å).
    - `position_z`: errors in error bars.
    - `integral`, `integral_true`, `integral_z`: errors of cross-sections, these, and errors in error bars.
    - `surface`: whether a column has fewer neighbours than others.
    - `found`, `known`: how many were found and how many there are, of all and of those at the surface.
    - `false`: how many more were found.
    - `total_bound`: of each image, the bound of the sum of all cross-sections, as a part of it.
    """

    position: Float[np.ndarray, "n 2"]
    position_bound: Float[np.ndarray, "n 2"]
    position_z: Float[np.ndarray, "n 2"]
    integral: Float[np.ndarray, " n"]
    integral_true: Float[np.ndarray, " n"]
    integral_z: Float[np.ndarray, " n"]
    surface: Bool[np.ndarray, " n"]
    found: tuple[int, int]
    known: tuple[int, int]
    false: int
    total_bound: Float[np.ndarray, " images"]

    @classmethod
    def of(
        cls,
        found: Found,
        positions: Float[np.ndarray, "n 2"],
        integrals: Float[np.ndarray, " n"],
        bound: Reference,
    ) -> "Errors":
        """Of one image."""
        outside = at_surface(positions)
        pairs = match(found.positions, positions, WITHIN)
        sharp = bound.position_bounds.max(axis=1)[pairs.known] < SHARP * WITHIN
        i, j = pairs.found[sharp], pairs.known[sharp]
        off, wrong = found.positions[i] - positions[j], found.integrals[i] - integrals[j]
        return cls(
            off,
            bound.position_bounds[j],
            off / found.position_esd[i],
            wrong,
            integrals[j],
            wrong / found.integral_esd[i],
            outside[j],
            (len(pairs.known), int(outside[pairs.known].sum())),
            (len(positions), int(outside.sum())),
            pairs.false,
            np.array([bound.total_bound]),
        )

    @classmethod
    def joined(cls, several: "Sequence[Errors]") -> "Errors":
        """Of several images together."""
        counts = {
            name: tuple(np.sum([getattr(each, name) for each in several], axis=0).tolist())
            for name in ("found", "known")
        }
        names = cls.__dataclass_fields__.keys() - {*counts, "false"}
        joined = {name: np.concatenate([getattr(each, name) for each in several]) for name in names}
        return cls(**joined, **counts, false=sum(each.false for each in several))

    def row(self, surface: bool) -> tuple[str, ...]:
        """Of a table, of all columns or of those at the surface."""
        which = self.surface if surface else np.ones(len(self.surface), bool)
        off, bound = self.position[which], self.position_bound[which]
        bias = self.integral[which].sum() / self.integral_true[which].sum()
        noise = np.sqrt(np.sum(self.total_bound**2)) / len(self.total_bound)
        return (
            f"{self.found[surface]} of {self.known[surface]}",
            "" if surface else f"{self.false}",
            f"{which.sum()}",
            f"{100 * np.sqrt(np.mean(off**2)):.2f}",
            f"{100 * np.sqrt(np.mean(bound**2)):.2f}",
            f"{np.sqrt(np.mean((off / bound) ** 2)):.3f}",
            f"{_spread(self.position_z[which]):.3f}",
            f"{100 * bias:+.2f}" + ("" if surface else f" ± {100 * noise:.2f}"),
            f"{_spread(self.integral_z[which]):.3f}",
        )


HEADER = (
    "found",
    "false",
    "sharp",
    "RMSD (pm)",
    "bound (pm)",
    "over bound",
    "z of places",
    "bias (%)",
    "z of integrals",
)


def _spread(z: Float[np.ndarray, "..."]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(z**2)))


def at_surface(positions: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """Columns with fewer neighbours than those within, of one kind of lattice or of lone ones."""
    tree = cKDTree(positions)
    nearest = tree.query(positions, k=2)[0][:, 1]
    near = np.array([len(x) - 1 for x in tree.query_ball_point(positions, 1.35 * np.median(nearest))])
    return near < np.bincount(near).argmax()


@dataclass(frozen=True)
class Picked:
    """F1 and recall of one way to find columns."""

    f1: float
    recall: float


def scored(found: Float[np.ndarray, "n 2"], known: Float[np.ndarray, "m 2"]) -> Picked:
    """Of found columns."""
    pairs = match(found, known, WITHIN)
    return Picked(pairs.f1, pairs.recall)


def oracle(
    image: Float[np.ndarray, "rows columns"],
    pixel: float,
    width: float,
    known: Float[np.ndarray, "m 2"],
) -> Picked:
    """Maxima of the Laplacian of a Gaussian, with the width and the threshold that make the best of them.

    **Arguments:**

    - `image`: bright columns.
    - `pixel`: its edge (Å).
    - `width`: of a column (Å).
    - `known`: true columns, from the first pixel's centre (Å).
    """
    best = Picked(0.0, 0.0)
    for factor in _FILTERS:
        response = -gaussian_laplace(image.astype(float), factor * width / pixel, mode="nearest")
        peak = (response == maximum_filter(response, 3)) & (response > 0)
        rows, columns = np.nonzero(peak)
        order = np.argsort(-response[rows, columns], kind="stable")[: 4 * len(known)]
        places = pixel * np.stack([columns, rows], axis=1)[order]
        # The brightest take what is nearest to them: as good as the best assignment where none compete.
        distances, nearest = cKDTree(known).query(places)
        hit = np.zeros(len(places), bool)
        hit[np.unique(np.where(distances <= WITHIN, nearest, -1), return_index=True)[1]] = True
        hit &= distances <= WITHIN
        right, taken = np.cumsum(hit), np.arange(1, len(places) + 1)
        f1 = 2 * right / (taken + len(known))
        k = int(np.argmax(f1)) if len(f1) else 0
        if len(f1) and f1[k] > best.f1:
            best = scored(places[: k + 1], known)
    return best
