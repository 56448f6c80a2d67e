"""A map and images as one problem: what each says of the other's numbers, and what neither may see."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.gaussians.scatterers import FormFactors
from atomfit.gaussians.scattering_atoms import ScatteringAtoms
from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.parameters import Parameters
from atomfit.optimisation.ended import Ended
from atomfit.options.tilt import TiltOptions
from atomfit.projection.colour import Colour
from atomfit.projection.fit import TiltFit
from atomfit.projection.model import EachView
from atomfit.projection.probe import make_probe
from atomfit.projection.start import Start
from atomfit.results.build import BuildResult
from atomfit.results.series import PreparedSeries
from atomfit.structure.atoms import AnisotropicDisplacements, Atoms
from atomfit.support.errors import InputError
from atomfit.workflows import tilt_coupled
from atomfit.workflows.tilt_preparation import prepare_series
from simulated_alloy import BLUR, alloy

OPTIONS = TiltOptions(map="m.mrc", coupled=True)


@pytest.fixture(scope="module")
def case() -> tuple[PreparedSeries, TiltFit]:
    """A series, and a fit of it that has not seen the view of number 2."""
    series, positions, numbers = alloy(views=4)
    atoms = Atoms(
        positions, AnisotropicDisplacements.from_variances(np.full(43, BLUR)), np.ones(43), numbers
    )
    precisions = np.full(series.images.shape, 4.0, np.float32)
    precisions[2] = 0
    fit = TiltFit(
        atoms,
        make_probe("direct", 9.0),
        EachView.as_given(4),
        np.zeros(series.images.shape, np.float32),
        np.zeros(1),
        Ended.CONVERGED,
        np.zeros(4),
        np.zeros(4),
        np.arange(4) == 2,
        precisions,
        FormFactors.of(numbers, BLUR),
    )
    options = replace(OPTIONS, pixel_size=series.pixel)
    return replace(prepare_series(series.images, series.views, ["Pt", "Co"], options), series=series), fit


def noise_of(case: tuple[PreparedSeries, TiltFit], **changes: Any) -> Any:
    ready, fit = case
    return tilt_coupled._noise_of_images(ready, replace(fit, **changes), OPTIONS)


def test_views_that_are_held_out_do_not_count(case: tuple[PreparedSeries, TiltFit]) -> None:
    ready, fit = case
    seen = tilt_coupled._fitted_part(ready.series, fit)
    assert seen.counted.any(axis=(1, 2)).tolist() == [True, True, False, True]
    np.testing.assert_array_equal(seen.images, ready.series.images)
    robust = replace(OPTIONS, likelihood="robust")
    ready.series.images[2] += 100
    before = tilt_coupled._noise_of_images(ready, fit, robust)
    ready.series.images[2] -= 100
    after = tilt_coupled._noise_of_images(ready, fit, robust)
    assert float(before.loss.scale) == float(after.loss.scale)


def test_frequencies_count_by_the_colour_that_the_fit_found(case: tuple[PreparedSeries, TiltFit]) -> None:
    """In natural units: Parseval's sum of |F|² over power, halved."""
    ready, _ = case
    shape = ready.series.images.shape
    k = np.linspace(0, 2, 30)
    colour = Colour(k, 1 + k**2, np.ones(30), 1.0)
    noise = noise_of(case, colour=colour)
    assert isinstance(noise, SpectralNoise)
    left = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    zeros, ones = jnp.zeros(shape), jnp.ones(shape)
    found = float(noise.negative_log_likelihood(zeros, left, ones))
    frequencies = [np.fft.fftfreq(n, ready.series.pixel) for n in shape[1:]]
    power = 1 + np.interp(np.hypot(*np.meshgrid(*frequencies, indexing="ij")), k, k) ** 2
    # Precisions are 4; the third view is held out.
    squares = np.abs(np.fft.fft2(2 * left[[0, 1, 3]])) ** 2 / np.interp(power, 1 + k**2, 1 + k**2)
    assert found == pytest.approx(0.5 * squares.sum() / np.prod(shape[1:]), rel=1e-3)


def test_atoms_around_keep_all_that_is_theirs(case: tuple[PreparedSeries, TiltFit]) -> None:
    """Free are the numbers of those that move, and what each has for itself of these."""
    _, fit = case
    atoms = ScatteringAtoms.of(fit.atoms, fit.scattering)
    frozen = np.arange(43) >= 40
    start = Start(fit.positions, np.asarray(atoms.numbers), frozen, np.arange(1, 41))
    wanted = replace(OPTIONS, displacements="anisotropic", amplitudes="atom")
    wrapped = tilt_coupled._wrapped(atoms, start, wanted)
    free = Parameters.of(wrapped, ())
    # Places, U and an amplitude; nothing of form factors.
    assert free.length == 43 * 10
    ones = {name: np.ones(np.shape(step)) for name, step in free.steps.items()}
    structure, _ = free(ones)
    for part in ("positions", "amplitudes"):
        moved = np.asarray(getattr(structure, part)) != np.asarray(getattr(atoms, part), np.float32)
        assert moved.reshape(43, -1).any(axis=1).tolist() == (~frozen).tolist()
    widths = np.asarray(structure.atoms.displacements.log_widths)
    np.testing.assert_allclose(widths[frozen], atoms.displacements.log_widths[frozen], rtol=1e-6)


def test_a_map_of_none_of_the_atoms_is_told(case: tuple[PreparedSeries, TiltFit]) -> None:
    ready, fit = case
    start = Start(fit.positions, np.asarray(fit.atoms.numbers), np.zeros(43, bool), np.arange(1, 44))
    built = object.__new__(BuildResult)
    object.__setattr__(built, "joint", None)
    same, warnings = tilt_coupled.refine_coupled(
        ready, start, fit, built, np.full(43, -1), OPTIONS, lambda *_: None
    )
    assert same is fit
    assert "does not count" in warnings[0]


def test_a_map_and_one_number_are_refused() -> None:
    with pytest.raises(InputError, match="from one map, or by one number"):
        TiltOptions(map="m.mrc", coupled=True, known_positions=0.1)
    assert TiltOptions(map="m.mrc", coupled=True, noise="spectral", scattering="form-factor").coupled
