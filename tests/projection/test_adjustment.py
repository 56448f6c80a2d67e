"""What atoms share is not drawn along by what their positions take of the noise."""

from typing import Any

import equinox as eqx
import numpy as np
import pytest

from atomfit.gaussians.scatterers import FormFactors, OneGaussian
from atomfit.noise.likelihood import PoissonLoss
from atomfit.projection.adjustment import adjustment
from atomfit.projection.images import Camera, series_of
from atomfit.projection.model import EachView, TiltModel, single
from atomfit.projection.probe import Probe, make_probe
from atomfit.projection.views import TiltSeries, Views
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.tilt_series.refinement import refine_against

SHAPE = (64, 64)
VIEWS = Views.from_tilts(np.arange(6) * 30.0, "y", SHAPE)
draw = eqx.filter_jit(series_of)


def _model(
    probe: Probe, u: float, gain: float = 1.0, amplitude: float = 2.0, of_element: bool = False
) -> TiltModel:
    atoms = Atoms(
        np.array([[0.1, -0.2, 0.3]]),
        IsotropicDisplacements.from_variances(np.full(1, u)),
        np.array([amplitude]),
        np.array([14]),
    )
    n = len(VIEWS)
    views = EachView(np.zeros((n, 3)), np.zeros((n, 2)), np.full(n, gain), np.zeros(n))
    at_rest = FormFactors.of(np.array([14]), 0.1, accuracy=0) if of_element else OneGaussian()
    return single(TiltModel(atoms, probe, views, at_rest))


def _by_drawing(model: TiltModel) -> float:
    """A quarter of the sum of log h over coordinates, from differences of whole images."""
    camera = Camera.for_widths(0.2, SHAPE, 1.0, np.asarray(model.probe.variances, np.float64))

    def images(position: np.ndarray) -> np.ndarray:
        moved = eqx.tree_at(lambda m: m.atoms.positions, model, position.astype(np.float32))
        return np.asarray(draw(moved, VIEWS.rotations, VIEWS.centres, camera), np.float64)

    at, step = np.asarray(model.atoms.positions, np.float64), 0.02
    slopes = [(images(at + move) - images(at - move)) / (2 * step) for move in step * np.eye(3)]
    return 0.25 * float(np.sum(np.log([np.sum(slope**2) for slope in slopes])))


@pytest.mark.parametrize("kind", ["direct", "fixed", "rigid"])
def test_how_much_noise_moves_an_atom_is_that_of_its_images(kind: Any) -> None:
    one = np.ones(1)
    first = _model(make_probe(kind, 8.0, convergence=30.0), 0.2)
    sharper = _model(make_probe(kind, 8.0, convergence=30.0), 0.08, gain=0.5, amplitude=3.0)
    by_formula, by_drawing = (
        float(of(sharper)) - float(of(first))
        for of in (lambda m: adjustment(m, one, VIEWS.rotations), _by_drawing)
    )
    assert by_formula == pytest.approx(by_drawing, abs=0.02)
    # Brightness that moves from amplitudes to gains changes no image.
    same = adjustment(_model(first.probe, 0.2, gain=2.0, amplitude=1.0), one, VIEWS.rotations)
    assert float(same) == pytest.approx(float(adjustment(first, one, VIEWS.rotations)), abs=1e-4)
    assert float(adjustment(first, np.zeros(1), VIEWS.rotations)) == 0


@pytest.mark.parametrize("kind", ["direct", "fixed"])
def test_so_it_is_of_an_atom_that_is_its_form_factor(kind: Any) -> None:
    first, sharper = (
        _model(make_probe(kind, 8.0, convergence=30.0), u, of_element=True) for u in (0.2, 0.08)
    )
    by_formula, by_drawing = (
        float(of(sharper)) - float(of(first))
        for of in (lambda m: adjustment(m, np.ones(1), VIEWS.rotations), _by_drawing)
    )
    assert by_formula == pytest.approx(by_drawing, abs=0.02)


@pytest.mark.slow
def test_a_free_shape_stays_that_of_the_atoms_where_each_is_badly_known() -> None:
    """Without what is adjusted for, the shape ends as a spike, and error bars are half of the errors."""
    rng = np.random.default_rng(5)
    cells = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3) - 1.5
    truth = 2.7 * cells + rng.normal(0, 0.15, (64, 3))
    pixel, views = 0.35, Views.from_tilts(np.arange(20) * 9.0, "y", (48, 48))
    axis = np.arange(48)
    images = np.full((20, 48, 48), 0.03)
    for image, rotation, centre in zip(images, views.rotations, views.centres, strict=True):
        seen = truth @ rotation[:2].T / pixel + centre
        for width, share in ((0.5, 0.7), (1.0, 0.3)):
            tables = [np.exp(-0.5 * ((axis - seen[:, [k]]) * pixel / width) ** 2) for k in (1, 0)]
            image += 0.7 * share / (2 * np.pi * width**2) * tables[0].T @ tables[1]
    counts = rng.poisson(images).astype(np.float32)
    series = TiltSeries(counts, np.ones(counts.shape, bool), pixel, views, np.zeros(3))
    fit = refine_against(
        series,
        truth,
        np.full(64, 14),
        2.35,
        probe="fixed",
        anneal=False,
        likelihood=PoissonLoss(1.0),
    )
    profile = np.asarray(fit.probe.table[0]) + np.asarray(fit.probe.profile)
    assert np.abs(profile).max() < profile.sum()
    off = np.asarray(fit.atoms.positions) - truth
    assert np.sqrt(np.mean(np.sum((off - off.mean(axis=0)) ** 2, axis=1))) < 0.35
