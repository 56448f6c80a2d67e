"""Gauges: what images do not tell apart, and which of the possible answers is given.

A shift of all views that a shift of the atoms would undo belongs to the atoms; so does a rotation that all
views have in common. Gains are one on average, of the views that are fitted, and the amplitudes hold the
rest. What the numbers of all views have in common therefore means nothing: after a fit it is moved to where
it belongs, and the images stay as they are.

A probe of free weights can be brighter where amplitudes are less: its integral is one on average of all
depths, and amplitudes are integrals of images.

Shifts are along the axes of the views as they are turned. They move atoms along the beam as well, which a
probe that changes with depth tells apart: seen through such a one, they have nothing in common that is the
atoms', and stay.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from atomfit.projection.model import TiltModel, single
from atomfit.structure.atoms import AnisotropicDisplacements


def in_gauge(
    model: TiltModel,
    rotations: Float[np.ndarray, "v 3 3"],
    placed: bool,
    fitted: Bool[np.ndarray, " v"],
) -> TiltModel:
    """The same images with what views have in common in the atoms.

    **Arguments:**

    - `model`: after a fit.
    - `rotations`: of the views, without the model's turns.
    - `placed`: whether something holds the atoms where they are: then views keep shifts and turns.
    - `fitted`: views that say what they have in common; the others were held out.
    """
    if not placed:
        model = _without_common_turn(model, rotations, fitted)
        if len(model.probe.table) == 1:
            turns = Rotation.from_rotvec(np.asarray(model.views.turns, np.float64)).as_matrix()
            model = _without_common_shift(model, turns @ rotations, fitted)
    gains = np.asarray(model.views.gains, np.float64)
    mean, integral = float(np.mean(gains[fitted])), _integral(model)
    return eqx.tree_at(
        lambda m: (m.views.gains, m.probe.table, m.probe.profile, m.atoms.amplitudes),
        model,
        (
            (gains / mean).astype(np.float32),
            np.asarray(model.probe.table) / np.float32(integral),
            np.asarray(model.probe.profile) / np.float32(integral),
            np.asarray(model.atoms.amplitudes) * np.float32(mean * integral),
        ),
    )


def _integral(model: TiltModel) -> float:
    """Of the probe, on average of all depths; one if it is none."""
    weights = np.asarray(model.probe.table, np.float64) + np.asarray(model.probe.profile, np.float64)
    integral = float(weights.sum(axis=1).mean())
    return integral if np.isfinite(integral) and integral > 0 else 1.0


def _without_common_shift(
    model: TiltModel, frames: Float[np.ndarray, "v 3 3"], fitted: Bool[np.ndarray, " v"]
) -> TiltModel:
    """The same images from atoms that have moved as the views have, as far as one move explains it.

    `frames` are the views' rotations with the model's turns.
    """
    shifts, across = np.asarray(model.views.shifts, np.float64), frames[:, :2]
    common = np.linalg.lstsq(across[fitted].reshape(-1, 3), shifts[fitted].ravel(), rcond=None)[0]
    return eqx.tree_at(
        lambda m: (m.views.shifts, m.atoms.positions),
        model,
        (
            (shifts - across @ common).astype(np.float32),
            np.asarray(model.atoms.positions) + common.astype(np.float32),
        ),
    )


def _without_common_turn(
    model: TiltModel, rotations: Float[np.ndarray, "v 3 3"], fitted: Bool[np.ndarray, " v"]
) -> TiltModel:
    """The same images from atoms that have turned as the views have, on average.

    With T = exp(t) R for each view and a common rotation Q, T x = (T Qᵀ) (Q x).
    """
    turns = np.asarray(model.views.turns, np.float64)
    if not np.any(turns):
        return model
    turned = np.einsum("vkm,vk->vm", rotations[fitted], turns[fitted])
    common = Rotation.from_rotvec(np.mean(turned, axis=0))
    frames = Rotation.from_rotvec(turns).as_matrix() @ rotations @ common.as_matrix().T
    left = Rotation.from_matrix(frames @ np.swapaxes(rotations, 1, 2)).as_rotvec().astype(np.float32)
    atoms = model.atoms
    positions = common.apply(np.asarray(atoms.positions, np.float64)).astype(np.float32)
    displacements = atoms.displacements
    if isinstance(displacements, AnisotropicDisplacements):
        matrices = common.as_matrix() @ np.asarray(atoms.matrices(), np.float64) @ common.as_matrix().T
        displacements = single(AnisotropicDisplacements.from_matrices(matrices))
    return eqx.tree_at(
        lambda m: (m.views.turns, m.atoms.positions, m.atoms.displacements),
        model,
        (left, positions, displacements),
    )
