"""What views have for themselves, and atoms less of for it: shifts, turns, gains and backgrounds.

In its own image a view's shift is a common move of all atoms, its turn another one, its gain a common
factor on their amplitudes. So what it shares with the atoms, and how well it is known itself, follow from
what the view tells of the atoms, I_k: with J_k what each of its numbers does to theirs,

    border C_k = I_k J_k,    corner V_k = J_kᵀ I_k J_k,

and a background, which is no atoms', shares with an amplitude the sum of the pixels' weights over its spot.
All views together leave of what is known of their numbers S = V - Cᵀ I⁻¹ C, and add to the atoms'
covariances I⁻¹C S⁻¹ CᵀI⁻¹ (the inverse of a matrix with a border). What all views and all atoms may do
together without a change of any image (`gauge`) has no part in S; it is fixed, and left out.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from atomfit.projection.fitted import FittedSeries

#: Numbers that a view may have, in this order.
COUNTS = {"turns": 3, "shifts": 2, "gains": 1, "backgrounds": 1}
#: Combinations of views' numbers of which atoms leave less than this part are those of the gauge.
_GAUGE = 1e-6


@dataclass(frozen=True, eq=False)
class ViewBorder:
    """What views' own numbers share with the atoms'.

    **Fields:**

    - `columns`: view and part (a name of `COUNTS`) of each number.
    - `border`: C, of all atoms' numbers.
    - `corner`: V; of blocks, one a view.
    """

    columns: tuple[tuple[int, str], ...]
    border: Float[np.ndarray, "m c"]
    corner: Float[np.ndarray, "c c"]

    @classmethod
    def joined(
        cls, views: "Collection[ViewBorder]", unit: float, turns: float | None = None
    ) -> "ViewBorder":
        """Those of all views, in a unit of information.

        `turns` is how well rotations were known before the images were seen (radians).
        """
        columns = tuple(column for view in views for column in view.columns)
        known = np.array([turns**-2.0 if turns and part == "turns" else 0.0 for _, part in columns])
        corner = sparse.block_diag([view.corner for view in views]).toarray() / unit
        return cls(
            columns, np.concatenate([view.border for view in views], axis=1) / unit, corner + np.diag(known)
        )

    def chosen(self, rows: Bool[np.ndarray, " m"]) -> "ViewBorder":
        """The same if only some of the atoms' numbers are free."""
        return ViewBorder(self.columns, self.border[rows], self.corner)

    def lifts(
        self, inverse: Float[np.ndarray, "m m"]
    ) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, " c"]]:
        """L, whose LLᵀ is what unknown views add to the atoms' covariances; variances of their numbers.

        `inverse` is the covariance of the atoms' numbers, were those of the views known.
        """
        scales = 1 / np.sqrt(np.maximum(np.diagonal(self.corner), 1e-300))
        reached = inverse @ self.border
        left = (self.corner - self.border.T @ reached) * np.outer(scales, scales)
        values, axes = np.linalg.eigh(0.5 * (left + left.T))
        kept = values > _GAUGE
        ways = scales[:, None] * axes[:, kept] / np.sqrt(values[kept])
        return reached @ ways, np.sum(ways**2, axis=1)

    def deviations(self, variances: Float[np.ndarray, " c"], views: int) -> dict[str, np.ndarray]:
        """Standard uncertainties by part, one row a view; NaN of views that were not fitted."""
        found: dict[str, np.ndarray] = {}
        for part, count in COUNTS.items():
            which = [i for i, (_, name) in enumerate(self.columns) if name == part]
            if which:
                found[part] = np.full((views, count), np.nan)
                of_view = [self.columns[i][0] for i in which[::count]]
                found[part][of_view] = np.sqrt(variances[which]).reshape(-1, count)
        return found


def border_of_view(
    fitted: FittedSeries,
    view: int,
    information: sparse.csr_matrix,
    spots: Float[np.ndarray, " n"],
    parts: Collection[str],
    flat: float = 1.0,
) -> ViewBorder:
    """Of one view.

    **Arguments:**

    - `fitted`, `view`: the series, and which one it is.
    - `information`: what the view tells of all atoms' numbers (place first, amplitude last).
    - `spots`: pixels' weights summed over each atom's spot.
    - `parts`: which of its numbers were refined.
    - `flat`: how much the frequency zero counts.
    """
    n = len(fitted.positions)
    q = information.shape[0] // n
    rotation, gain = fitted.series.views.rotations[view], fitted.gains[view]
    seen = (fitted.positions - fitted.series.centre) @ rotation.T
    changes: list[Float[np.ndarray, "n q"]] = []
    names: list[str] = []
    for part, count in COUNTS.items():
        if part not in parts or part == "backgrounds":
            continue
        for axis in range(count):
            change = np.zeros((n, q))
            if part == "turns":
                change[:, :3] = np.cross(np.eye(3)[axis], seen) @ rotation
            elif part == "shifts":
                change[:, :3] = rotation[axis]
            else:
                change[:, -1] = fitted.amplitudes / gain
            changes.append(change)
            names.append(part)
    moves = np.stack([change.ravel() for change in changes], axis=1) if changes else np.zeros((n * q, 0))
    border = information @ moves
    corner = moves.T @ border
    if "backgrounds" in parts:
        beneath = np.zeros((n, q))
        beneath[:, -1] = flat * gain * spots
        shared = moves.T @ beneath.ravel()
        border = np.concatenate([border, beneath.reshape(-1, 1)], axis=1)
        whole = np.full((1, 1), flat * float(fitted.precisions[view].sum(dtype=np.float64)))
        corner = np.block([[corner, shared[:, None]], [shared[None], whole]])
        names.append("backgrounds")
    return ViewBorder(tuple((view, name) for name in names), border, corner)
