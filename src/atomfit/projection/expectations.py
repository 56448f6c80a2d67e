"""Do the images bear out what was known beforehand? A fit and its restraints in, a chi-square for each
out.

A restraint that is far too tight holds atoms where they are not, and then nothing of the atoms shows it:
they have hardly moved, and are certain. What the fit leaves of the images still pulls at them, by

    g = Σ_v gain_v A ∇(w_v r_v * spot)(x_v),

r being what is left, w the inverse variance of pixels and * correlation. Without the restraint the atom
would be by H⁻¹g farther from where it was expected than the d that it is now, H being what the images
tell. Were what is known right, with standard deviation σ, that distance would scatter with the covariance
H⁻¹ + σ², so that

    χ² = δᵀ (H⁻¹ + σ²)⁻¹ δ,    δ = d + H⁻¹ g,

is a chi-square of as many degrees as numbers are known (of an innovation, as in Kalman's filter). Unlike
the move d in units of σ it does not fade as σ goes to zero. H is that of an atom whose neighbours are
known. Colour of the noise makes g and H count less, as it does for uncertainties.

Of rotations, which are refined more seldom, it is the refined turn in units of σ.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.stats import chi2

from atomfit.projection.fitted import FittedSeries
from atomfit.projection.information import information_alone
from atomfit.projection.limits import LIMITS


@dataclass(frozen=True, eq=False)
class Expectation:
    """What was known of one kind of numbers, and what the images say of it.

    **Fields:**

    - `kind`: "positions", "amplitudes" or "rotations".
    - `squares`: chi-square of each atom or view of which something was known.
    - `degrees`: how many numbers each of them is.
    """

    kind: str
    squares: Float[np.ndarray, " m"]
    degrees: int

    @property
    def ratio(self) -> float:
        """Chi-square in what it should be; NaN of nothing."""
        return float(np.mean(self.squares)) / self.degrees if len(self.squares) else float("nan")

    @property
    def against(self) -> float:
        """Part of the atoms or views that contradict it by themselves, however many were looked at."""
        if not len(self.squares):
            return 0.0
        return float(
            np.mean(self.squares > chi2.isf(LIMITS.called_wrong / len(self.squares), self.degrees))
        )

    @property
    def contradicted(self) -> bool:
        """Whether one of them does, or all together."""
        total, degrees = float(np.sum(self.squares)), self.degrees * len(self.squares)
        return self.against > 0 or (degrees > 0 and total > float(chi2.isf(LIMITS.called_wrong, degrees)))


def of_atoms(
    fitted: FittedSeries,
    excess: float,
    moves: Float[np.ndarray, "n 3"],
    positions: Float[np.ndarray, "n 3"] | None,
    numbers: Int[np.ndarray, " n"],
    amplitudes: float | None,
) -> list[Expectation]:
    """What images say of what was known of atoms.

    **Arguments:**

    - `fitted`: the images and their fit.
    - `excess`: by how much the colour of what is left makes variances larger than white noise would.
    - `moves`: of the atoms, from where they were expected (Å).
    - `positions`: standard deviations of where atoms were expected (Å; infinite for none).
    - `numbers`: atomic numbers.
    - `amplitudes`: relative standard deviation of amplitudes about their element's.
    """
    if positions is None and amplitudes is None:
        return []
    pull = _pull(fitted) / excess
    told = information_alone(fitted) / excess
    found = []
    if positions is not None:
        some = np.all(np.isfinite(positions), axis=1)
        squares = _squares(moves[some], pull[some, :3], told[some, :3, :3], positions[some])
        found.append(Expectation("positions", squares, 3))
    if amplitudes is not None:
        members = np.unique(numbers, return_inverse=True)[1]
        means = np.bincount(members, fitted.amplitudes) / np.bincount(members)
        off = (fitted.amplitudes - means[members])[:, None]
        squares = _squares(off, pull[:, 3:], told[:, 3:, 3:], np.abs(amplitudes * means)[members, None])
        found.append(Expectation("amplitudes", squares, 1))
    return found


def of_rotations(turns: Float[np.ndarray, "v 3"], deviation: float | None) -> list[Expectation]:
    """The same of rotations.

    **Arguments:**

    - `turns`: of the views that were fitted, about each axis (degrees).
    - `deviation`: that they were known to have.
    """
    if deviation is None:
        return []
    return [Expectation("rotations", np.sum((turns / deviation) ** 2, axis=1), 3)]


def _squares(
    moves: Float[np.ndarray, "m k"],
    pull: Float[np.ndarray, "m k"],
    told: Float[np.ndarray, "m k k"],
    deviations: Float[np.ndarray, "m k"],
) -> Float[np.ndarray, " m"]:
    """Chi-square of each; where images tell nothing they say nothing against what was known."""
    seen = np.linalg.eigvalsh(told)[:, 0] > 1e-9 * np.trace(told, axis1=1, axis2=2)
    scatter = np.linalg.inv(np.where(seen[:, None, None], told, np.eye(told.shape[1])))
    off = moves + np.einsum("mij,mj->mi", scatter, pull)
    scatter += deviations[:, :, None] ** 2 * np.eye(told.shape[1])
    return np.where(seen, np.einsum("mi,mij,mj->m", off, np.linalg.inv(scatter), off), 0.0)


def _pull(fitted: FittedSeries) -> Float[np.ndarray, "n 4"]:
    """What is left of the images at atoms' places and amplitudes: derivatives of the log-likelihood."""
    series, spot = fitted.series, fitted.spot
    total = np.zeros((len(fitted.positions), 4))
    for k, gain in enumerate(fitted.gains):
        rotation = series.views.rotations[k, :2]
        left = (fitted.precisions[k] * fitted.residual[k]).astype(np.float64)
        u, v = ((fitted.positions - series.centre) @ rotation.T / series.pixel + series.views.centres[k]).T

        def at_atoms(order: tuple[int, int]) -> Float[np.ndarray, " n"]:
            parts = zip(spot.weights, np.sqrt(spot.variances) / series.pixel, strict=True)
            smooth = sum(a * gaussian_filter(left, s, order, mode="constant") for a, s in parts)  # noqa: B023
            return np.asarray(map_coordinates(smooth, [v, u], mode="constant"))  # noqa: B023

        along = np.stack([at_atoms((0, 1)), at_atoms((1, 0))], axis=1) / series.pixel
        moved = fitted.amplitudes[:, None] * (along @ rotation)
        total += gain / series.pixel**2 * np.column_stack([moved, at_atoms((0, 0))])
    return total
