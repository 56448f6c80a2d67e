"""Models of one particle at many times with known changes: what trends and events are measured by.

Each model has places, displacements and amplitudes with errors of known size, is turned and shifted, and
lists its atoms in an order of its own. All atoms of a model share an offset of U and a scale of amplitudes,
as maps of another resolution do. Planted are a rise of U of some atoms over the series, atoms that go and
come, misses, and error bars that are wrong.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from atomfit.statistics.comparison import Model
from atomfit.structure.neighbours import find_neighbours


@dataclass(frozen=True)
class Planted:
    """What happens in a series.

    **Fields:**

    - `rise`: by which part U of atoms at the surface rises over the series.
    - `lost`, `gained`: parts of the atoms that go, or come, at a time of their own.
    - `missed`: part of the atoms that each model lacks.
    - `error`: standard deviation of a position along an axis (Å).
    - `error_u`: of U, in U; that of amplitudes, in amplitudes, is the same.
    - `factor`: by which errors are larger than error bars say.
    - `unlike`: logarithmic deviation of that factor from atom to atom.
    - `offset`: deviation of U that all atoms of a model share, in U.
    - `common`: rise of U over the series that all atoms share, in the mean U.
    - `warmed`: by which part of its own U of each atom rises over the series.
    - `turned`: whether models are turned and shifted.
    """

    rise: float = 0.0
    lost: float = 0.0
    gained: float = 0.0
    missed: float = 0.0
    error: float = 0.05
    error_u: float = 0.1
    factor: float = 1.0
    unlike: float = 0.0
    offset: float = 0.1
    common: float = 0.0
    warmed: float = 0.0
    turned: bool = True


@dataclass(frozen=True, eq=False)
class FollowedTruth:
    """A series of models and its truth.

    **Fields:**

    - `models`: one a time.
    - `origin`: of each model's atoms, which atom of the particle each is.
    - `surface`: atoms of the particle at its surface.
    - `there`: which atom is there when.
    """

    models: tuple[Model, ...]
    origin: tuple[Int[np.ndarray, " _"], ...]
    surface: Bool[np.ndarray, " n"]
    there: Bool[np.ndarray, "t n"]


def planted_models(
    positions: Float[np.ndarray, "n 3"], times: int, seed: int, planted: Planted = Planted()
) -> FollowedTruth:
    """See a particle many times.

    **Arguments:**

    - `positions`: where its atoms are (Å).
    - `times`: how often it is seen.
    - `seed`: of everything random.
    - `planted`: what happens to it.
    """
    rng = np.random.default_rng(seed)
    n = len(positions)
    surface = find_neighbours(positions).coordination_numbers < 10
    there = np.ones((times, n), bool)
    order = rng.permutation(n)
    gone, come = order[: round(planted.lost * n)], order[n - round(planted.gained * n) :]
    for index in gone:
        there[rng.integers(1, times) :, index] = False
    for index in come:
        there[: rng.integers(1, times), index] = False
    u = 0.05 * np.exp(rng.normal(0, 0.1, n)) * np.where(surface, 1.5, 1.0)
    factor = planted.factor * np.exp(planted.unlike * rng.normal(size=n))
    models, origins = [], []
    for k in range(times):
        part = k / max(times - 1, 1)
        now = u * (1 + planted.warmed * part) * np.where(surface, 1 + planted.rise * part, 1.0)
        now = now + planted.common * part * float(u.mean())
        seen = np.flatnonzero(there[k] & (rng.random(n) >= planted.missed))
        seen = rng.permutation(seen)
        m = len(seen)
        places = positions[seen] + planted.error * factor[seen, None] * rng.normal(size=(m, 3))
        if planted.turned:
            places = places @ Rotation.random(rng=rng).as_matrix().T + rng.normal(0, 5, 3)
        error = planted.error_u * u[seen]
        shared = planted.offset * float(u.mean()) * rng.normal()
        values = now[seen] + shared + factor[seen] * error * rng.normal(size=m)
        scale = float(np.exp(0.1 * rng.normal()))
        amplitudes = scale * (1 + planted.error_u * factor[seen] * rng.normal(size=m))
        numbers = {
            "u_iso": values,
            "u_iso_esd": error,
            "amplitude": amplitudes,
            "amplitude_esd": np.full(m, scale * planted.error_u),
        }
        ids, errors = np.arange(1, m + 1), np.full((m, 3), planted.error)
        models.append(Model(f"model{k}", ids, ("Pt",) * m, places, errors, numbers))
        origins.append(seen)
    return FollowedTruth(tuple(models), tuple(origins), surface, there)
