"""A small tilt series of two elements whose atoms are what electrons see of them: their form factors."""

import numpy as np

from atomfit.projection.views import TiltSeries, Views
from atomfit.rendering import Gaussians
from atomfit.simulation.series import projected
from atomfit.structure.scattering import form_factor
from simulated_series import PIXEL, particle

SHAPE = (46, 44)
#: What widens every atom, form factors apart (Å²); integral of the images of atoms of each element.
BLUR = 0.08
AMPLITUDES = {78: 2.0, 27: 1.2}
SYMBOLS = {78: "Pt", 27: "Co"}


def alloy(noise: float = 0.02, seed: int = 0, views: int = 12) -> tuple[TiltSeries, np.ndarray, np.ndarray]:
    """Images, places of the atoms (Å) and atomic numbers; noise as a part of a Pt atom's peak."""
    rng = np.random.default_rng(seed)
    positions = particle() + np.random.default_rng(1).normal(0, 0.04, (43, 3))
    numbers = np.random.default_rng(2).choice([78, 27], 43)
    directions = Views.from_tilts(np.linspace(-70, 70, views), "y", SHAPE)
    tables = {number: form_factor(symbol, 0.0) for number, symbol in SYMBOLS.items()}
    terms = [(tables[z].weights * AMPLITUDES[z], tables[z].variances + BLUR) for z in numbers.tolist()]
    weights, variances = (np.concatenate([one[k] for one in terms]) for k in (0, 1))
    centres = np.repeat(positions, len(terms[0][0]), axis=0)
    atoms = Gaussians(centres, variances[:, None, None] * np.eye(3), weights)
    images = 0.03 + np.stack(list(projected(atoms, directions, np.zeros(3), SHAPE, PIXEL)))
    table = tables[78]
    peak = AMPLITUDES[78] * float(np.sum(table.weights / (2 * np.pi * (table.variances + BLUR))))
    images += noise * peak * rng.normal(size=images.shape)
    counted = np.ones(images.shape, bool)
    return (
        TiltSeries(images.astype(np.float32), counted, PIXEL, directions, np.zeros(3)),
        positions,
        numbers,
    )
