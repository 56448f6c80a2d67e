"""Models of a tilt series with other atoms, and which atoms are to be others.

A model and two lists of atoms in, a model out; places, amplitudes or a residual in, choices out. These are
the steps of a search (`tilt_search`), each of which knows nothing of the others.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from atomfit.projection.model import TiltModel
from atomfit.projection.start import Start
from atomfit.selection.scores import Scores, between_voxels
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.tilt_series.stages import log_widths

#: Directions along which an atom may be two.
_DIRECTIONS = 100


def with_width(model: TiltModel, width: float) -> TiltModel:
    """A model whose atoms are all round and so wide (Å)."""
    widths = np.full((len(model.atoms), 1), np.log(width), np.float32)
    return eqx.tree_at(lambda m: m.atoms.displacements, model, IsotropicDisplacements(widths))


def with_atoms(
    model: TiltModel, before: Start, after: Start, amplitude: float | Float[np.ndarray, " a"]
) -> TiltModel:
    """A model with other atoms, of which those that it had keep their amplitudes.

    **Arguments:**

    - `model`: of the atoms of `before`.
    - `after`: the atoms that it is to have.
    - `amplitude`: of those that are new, in the model's unit.
    """
    row = after.rows_in(before)
    old = np.asarray(model.atoms.amplitudes, np.float64)
    amplitudes = old[row]
    amplitudes[row < 0] = amplitude
    centre = np.asarray(before.positions[0] - np.asarray(model.atoms.positions, np.float64)[0])
    widths = np.full((len(row), 1), float(np.asarray(log_widths(model))[0, 0]), np.float32)
    atoms = Atoms(
        (after.positions - centre).astype(np.float32),
        displacements=IsotropicDisplacements(widths),
        amplitudes=amplitudes.astype(np.float32),
        numbers=after.numbers,
    )
    return eqx.tree_at(lambda m: m.atoms, model, atoms)


def weaker_of_two(
    positions: Float[np.ndarray, "n 3"], amplitudes: Float[np.ndarray, " n"], close: float
) -> Bool[np.ndarray, " n"]:
    """Atoms that are nearer to a stronger one than two atoms are (Å)."""
    weaker = np.zeros(len(positions), bool)
    near = cKDTree(positions).query_ball_point(positions, close)
    for i in np.argsort(-amplitudes, kind="stable"):
        if not weaker[i] and amplitudes[i] > 0:
            weaker[[j for j in near[i] if j != i and amplitudes[j] <= amplitudes[i]]] = True
    return weaker


def longest(scores: Scores, middles: Float[np.ndarray, "t 3"], reach: float) -> Float[np.ndarray, "t 3"]:
    """Directions along which the residual is highest to both sides: those of the two that an atom is."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(_DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sides = [middles[:, None] + sign * reach * directions for sign in (-1, 1)]
    heights = sum(between_voxels(scores.field, side.reshape(-1, 3)) for side in sides)
    return directions[np.asarray(heights).reshape(len(middles), _DIRECTIONS).argmax(axis=1)]
