"""Two elements in a tilt series, each atom drawn as its element's electron form factor."""

from pathlib import Path

import equinox as eqx
import numpy as np
import pytest

from atomfit.gaussians.scatterers import FormFactors
from atomfit.io.models import read_model
from atomfit.io.views import write_views
from atomfit.noise.likelihood import StudentLoss
from atomfit.projection.images import Camera, series_of
from atomfit.projection.model import EachView, TiltModel, single
from atomfit.projection.probe import make_probe
from atomfit.structure.atoms import AnisotropicDisplacements, Atoms, IsotropicDisplacements
from atomfit.structure.scattering import form_factor
from atomfit.support.errors import InputError
from atomfit.tilt_series.refinement import refine_against, with_form_factors
from atomfit.workflows.tilt import tilt
from simulated_alloy import AMPLITUDES, BLUR, PIXEL, SHAPE, SYMBOLS, alloy

draw = eqx.filter_jit(series_of)


@pytest.mark.parametrize("kind", ["isotropic", "anisotropic"])
def test_images_are_those_of_form_factors(kind: str) -> None:
    """Drawn by another renderer, from the tables."""
    series, positions, numbers = alloy(noise=0.0, views=3)
    u = np.full(len(numbers), BLUR)
    shape = IsotropicDisplacements if kind == "isotropic" else AnisotropicDisplacements
    atoms = Atoms(positions, shape.from_variances(u), np.array([AMPLITUDES[z] for z in numbers]), numbers)
    views = EachView.as_given(3)._replace(backgrounds=np.full(3, 0.03))
    model = single(TiltModel(atoms, make_probe("direct", 9.0), views, FormFactors.of(numbers, BLUR)))
    camera = Camera.for_widths(PIXEL, SHAPE, 1.0, np.zeros(1), cutoff=6.0)
    images = np.asarray(draw(model, series.views.rotations, series.views.centres, camera))
    # So much, of an atom's peak, fewer Gaussians than the tables' may differ by.
    table = form_factor("Pt", 0.0)
    peak = AMPLITUDES[78] * float(np.sum(table.weights / (2 * np.pi * (table.variances + BLUR))))
    np.testing.assert_allclose(images, series.images, atol=0.01 * peak)


@pytest.fixture(scope="module")
def start() -> np.ndarray:
    positions = alloy(noise=0.0, views=1)[1]
    return positions + np.random.default_rng(5).normal(0, 0.1, positions.shape)


def rmsd(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.sum((a - b) ** 2, axis=1))))


def test_each_atom_scatters_as_its_own_element(start: np.ndarray, tmp_path: Path) -> None:
    series, positions, numbers = alloy()
    symbols = [SYMBOLS[z] for z in numbers.tolist()]
    write_views(tmp_path / "views.csv", series.views)
    rows = (f"{s},{x},{y},{z}" for s, (x, y, z) in zip(symbols, start, strict=True))
    (tmp_path / "start.csv").write_text("\n".join(["element,x,y,z", *rows]) + "\n")
    found = tilt(
        series.images,
        tmp_path / "views.csv",
        ["Pt", "Co"],
        pixel_size=PIXEL,
        start=tmp_path / "start.csv",
        scattering="form-factor",
        displacements="isotropic",
        anneal=False,
    )
    found.write(tmp_path / "out")
    model = read_model(tmp_path / "out", "refined")
    assert list(model.symbols) == symbols
    z = (model.positions - positions) / model.esds
    # Of 129 coordinates.
    assert 0.8 < float(np.sqrt(np.mean(z**2))) < 1.2
    u, amplitudes = model.numbers["u_iso"], np.asarray(found.fit.atoms.amplitudes)
    z = (u - BLUR) / found.uncertainty.u_iso
    assert 0.7 < float(np.sqrt(np.mean(z**2))) < 1.3
    for number, amplitude in AMPLITUDES.items():
        assert u[numbers == number].mean() == pytest.approx(BLUR, abs=0.003)
        assert amplitudes[numbers == number].mean() == pytest.approx(amplitude, rel=0.01)
    # One Gaussian an atom is not what is in these images.
    plain = refine_against(series, start, numbers, 2.77, anneal=False)
    assert rmsd(plain.positions, positions) > 2 * rmsd(model.positions, positions)


def test_noise_may_be_of_any_kind(start: np.ndarray) -> None:
    """What is drawn has nothing to do with what a difference costs."""
    series, positions, numbers = alloy()
    how = {"anneal": False, "scattering": "form-factor", "likelihood": StudentLoss()}
    spoilt = series.images.copy()
    spoilt[np.random.default_rng(9).random(spoilt.shape) < 0.01] += 3 * spoilt.max()
    given = type(series)(spoilt, series.counted, PIXEL, series.views, series.centre)
    fit = refine_against(given, start, numbers, 2.77, **how)
    assert rmsd(fit.positions, positions) < 0.015
    widths = np.trace(fit.atoms.matrices(), axis1=1, axis2=2) / 3
    np.testing.assert_allclose(widths, BLUR, atol=0.004)


@pytest.mark.parametrize(("u", "refused"), [(0.01, True), (0.3, False)])
def test_atoms_that_are_no_wider_are_refused(u: float, refused: bool) -> None:
    numbers = np.array([78, 27])
    atoms = Atoms(
        np.zeros((2, 3)), IsotropicDisplacements.from_variances(np.full(2, u)), np.ones(2), numbers
    )
    model = single(TiltModel(atoms, make_probe("direct", 9.0), EachView.as_given(3)))
    if refused:
        with pytest.raises(InputError, match="no wider than the electron form factor of Co"):
            with_form_factors(model, 2.77)
        return
    widened = with_form_factors(model, 2.77)
    # Each is about as wide as it was, with an element in it.
    assert 0.4 * u < float(np.median(widened.atoms.matrices()[:, 0, 0])) < 0.9 * u
