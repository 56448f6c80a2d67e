"""Waves against analytic propagation, conservation, the weak-phase limit and finite differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from atomfit.waves import Aberrations, Beam, CoherentSum, Field, SlicedAtoms, exit_wave, with_room
from atomfit.waves.field import resampled
from atomfit.waves.multislice import propagator
from atomfit.waves.potentials import PhasePlan
from waves.specimens import FIELD, columns

BEAM = Beam(300.0)


def changed(atoms: SlicedAtoms, **fields: object) -> SlicedAtoms:
    for name, value in fields.items():
        atoms = eqx.tree_at(lambda one, name=name: getattr(one, name), atoms, value)
    return atoms


def test_free_propagation_is_fresnel_s() -> None:
    """A Gaussian wave spreads as it does in closed form."""
    grid, width, distance = Field((96, 96), 0.2).wave, 0.8, 150.0
    x = 0.1 * np.arange(192) - 9.6
    r2 = x[:, None] ** 2 + x**2
    spectrum = np.fft.fft2(np.exp(-0.5 * r2 / width**2))
    found = np.fft.ifft2(spectrum * np.asarray(propagator(grid, BEAM, distance)))
    q = width**2 + 1j * BEAM.wavelength * distance / (2 * np.pi)
    np.testing.assert_allclose(found, width**2 / q * np.exp(-0.5 * r2 / q), atol=2e-4)


def test_vacuum_leaves_the_beam_as_it_is() -> None:
    empty = changed(columns(), occupancies=np.zeros(16, np.float32))
    wave = np.fft.ifft2(np.asarray(exit_wave(empty, FIELD, BEAM)))
    np.testing.assert_allclose(wave, 1.0, atol=1e-5)


@pytest.mark.parametrize(("absorption", "low", "high"), [(0.0, 0.9995, 1.0005), (0.1, 0.95, 0.985)])
def test_intensity_is_conserved_without_absorption(absorption: float, low: float, high: float) -> None:
    atoms = columns(6, b=1.5, absorption=absorption)
    wave = np.fft.ifft2(np.asarray(exit_wave(atoms, FIELD, BEAM)))
    assert low < np.mean(np.abs(wave) ** 2) < high


def test_slices_may_be_halved() -> None:
    """They act in their middle, so that focus stays where it is; one that does not differs by far more."""
    from atomfit.waves import slice_atoms

    atoms = columns(6, "Pt")
    heights = np.repeat(3.8 * (np.arange(6) + 0.5), 4) - 0.95
    symbols = np.tile(["Pt", "Pt", "Pt", "O"], 6)
    # A quarter of a slice higher up, in the middle of the upper half.
    thin = changed(atoms, slices=slice_atoms(heights, symbols, 1.9, 12))
    lower = propagator(FIELD.wave, BEAM, -0.95)
    thick, halved = (np.asarray(exit_wave(one, FIELD, BEAM)) for one in (atoms, thin))
    size = FIELD.wave.shape[0] * FIELD.wave.shape[1]
    apart = np.linalg.norm(halved * np.asarray(lower) - thick) / size
    assert apart < 1e-4 < 1e-2 < np.linalg.norm(halved - thick) / size


@pytest.mark.parametrize("c1", [60.0, -80.0])
def test_a_weak_phase_object_has_its_transfer_function(c1: float) -> None:
    """1 + 2 F⁻¹[φ sin χ], for a phase of a thousandth."""
    weak = np.full(4, 1e-3, np.float32)
    atoms = changed(columns(1), occupancies=weak)
    lens = Aberrations(c1, a1=np.array([20, -30], np.float32), c3=-9e4, c5=5e7)
    grid = FIELD.wave
    image = CoherentSum(focuses=1).intensity(exit_wave(atoms, FIELD, BEAM), grid, lens, BEAM.wavelength)
    plan = PhasePlan(FIELD, atoms.slices.elements, 300.0)
    places = tuple(np.asarray(atoms.positions)[n[0]] for n in atoms.slices.atoms)
    phase = plan.phase(places, tuple(1e-3 * p[0] for p in atoms.slices.present), atoms.b_factors)
    ky, kx = (np.broadcast_to(k, grid.shape) for k in grid.frequencies())
    # The exit wave is behind half a slice.
    chi = np.asarray(lens.phase(kx, ky, BEAM.wavelength)) + np.pi * BEAM.wavelength * 1.9 * (kx**2 + ky**2)
    expected = 2 * np.fft.ifft2(np.fft.fft2(np.asarray(phase)) * np.sin(chi)).real
    np.testing.assert_allclose(np.asarray(image) - 1, expected, atol=0.02 * np.abs(expected).max())


def test_a_tilted_beam_is_a_tilted_crystal() -> None:
    """Atoms moved in proportion to their height, and the image back: the same but for one shift."""
    theta = np.array([4e-3, -3e-3], np.float32)
    atoms, depth = columns(6), 3.8 * (np.arange(6) + 0.5)
    tilted = exit_wave(atoms, FIELD, Beam(300.0, theta))
    sheared = np.asarray(atoms.positions) + np.repeat((22.8 - depth)[:, None] * theta, 4, axis=0)
    moved = exit_wave(changed(atoms, positions=sheared.astype(np.float32)), FIELD, BEAM)
    size = FIELD.wave.shape[0] * FIELD.wave.shape[1]
    apart = np.linalg.norm(np.asarray(tilted - moved)) / size
    straight = np.linalg.norm(np.asarray(tilted - exit_wave(atoms, FIELD, BEAM))) / size
    assert apart < 2e-3 < 0.03 < straight


@pytest.mark.parametrize("wanted", ["positions", "occupancies", "b_factors", "absorption", "c1", "tilt"])
def test_gradients_are_those_of_finite_differences(wanted: str) -> None:
    """Of a random weighting of an image's pixels."""
    atoms = columns(3, absorption=0.05)
    weights = np.random.default_rng(0).normal(size=FIELD.wave.shape).astype(np.float32)

    def value(numbers: jax.Array) -> jax.Array:
        here, lens, beam = atoms, Aberrations(30.0, c3=-9e4), BEAM
        if wanted == "c1":
            lens = Aberrations(numbers, c3=-9e4)
        elif wanted == "tilt":
            beam = Beam(300.0, numbers)
        else:
            here = changed(atoms, **{wanted: numbers})
        spectrum = exit_wave(here, FIELD, beam)
        seen = CoherentSum(20.0, focuses=7).intensity(spectrum, FIELD.wave, lens, beam.wavelength)
        return jnp.sum(seen * weights)

    start = {"c1": np.float32(30.0), "tilt": np.array([2e-3, 1e-3], np.float32)}
    at = jnp.asarray(start[wanted] if wanted in start else getattr(atoms, wanted), jnp.float32)
    direction = np.random.default_rng(1).normal(size=at.shape).astype(np.float32)
    step = {"c1": 1.0, "tilt": 3e-4, "positions": 3e-3}.get(wanted, 1e-2)
    slope = float(jnp.sum(jax.grad(value)(at) * direction))
    with_step = [float(jax.jit(value)(at + sign * step * direction)) for sign in (1, -1)]
    assert slope == pytest.approx((with_step[0] - with_step[1]) / (2 * step), rel=0.02)


@pytest.mark.parametrize("shape", [(40, 36), (64, 60), (31, 27)])
def test_a_cropped_spectrum_is_of_the_same_function(shape: tuple[int, int]) -> None:
    rows, columns_ = 48, 45

    def wave(n: int, m: int) -> np.ndarray:
        y, x = np.arange(n)[:, None] / n, np.arange(m)[None] / m
        return np.exp(2j * np.pi * (3 * y - 2 * x)) + 0.5 * np.exp(-2j * np.pi * 7 * y) + 2

    spectrum = jnp.fft.fft2(jnp.asarray(wave(rows, columns_), jnp.complex64))
    found = np.fft.ifft2(np.asarray(resampled(spectrum, shape)))
    np.testing.assert_allclose(found, wave(*shape), atol=1e-4)


def test_room_for_more_atoms_changes_nothing() -> None:
    atoms = columns(5)
    roomy = with_room(atoms)
    assert len(roomy.positions) == 32 > len(atoms.positions)
    assert {table.shape for table in roomy.slices.atoms} == {(5, 32)}
    found, expected = (np.asarray(exit_wave(one, FIELD, BEAM)) for one in (roomy, atoms))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.abs(expected).max() > 1000
