"""Our multislice against abTEM's: exit wave, tilted beam, and images with every aberration.

`experiments/heights/abtem_reference.py` has made the file; it was given the same form factors, and acts at
the upper surface of each slice where ours acts in its middle. What remains is 0.8 % of the wave's contrast:
our phases are limited to 2/3 of the frequencies before they are exponentiated, abTEM's only afterwards, and
it corrects each atom for points of the grid, by k/sin k. Done so, ours are the same to 1e-6.
"""

from pathlib import Path
from typing import Any

import gemmi
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from atomfit.waves import (
    Aberrations,
    Beam,
    CoherentSum,
    Field,
    SlicedAtoms,
    exit_wave,
    multislice,
    potentials,
    slice_atoms,
    wavelength,
)
from atomfit.waves.electrons import relativistic_mass
from atomfit.waves.multislice import propagator

REFERENCE = dict(np.load(Path(__file__).with_name("abtem_ceo2.npz")))
EDGE, THICKNESS = int(REFERENCE["edge"]), float(REFERENCE["thickness"])
KEPT = (len(REFERENCE["spectrum_exit"]) - 1) // 2
FIELD = Field((EDGE // 2, EDGE // 2), 2 * float(REFERENCE["spacing"]))


def ours(voltage: float = 300.0, tilt: tuple[float, float] = (0, 0), below: float = 0.5) -> np.ndarray:
    """The spectrum of the exit wave, propagated by a part of a slice."""
    places = REFERENCE["positions"]
    atoms = SlicedAtoms(
        places[:, :2].astype(np.float32),
        np.ones(len(places), np.float32),
        np.array([0.3, 0.6], np.float32),
        0.0,
        slice_atoms(places[:, 2], REFERENCE["symbols"], THICKNESS, 6),
    )
    beam = Beam(voltage, np.array(tilt, np.float32))
    return np.asarray(exit_wave(atoms, FIELD, beam) * propagator(FIELD.wave, beam, below * THICKNESS))


def kept(spectrum: np.ndarray) -> np.ndarray:
    keep = np.r_[0 : KEPT + 1, EDGE - KEPT : EDGE]
    return spectrum[np.ix_(keep, keep)]


def rms(spectrum: np.ndarray) -> float:
    """Of what a spectrum is of."""
    return float(np.sqrt(np.sum(np.abs(spectrum) ** 2)) / EDGE**2)


def contrast(spectrum: np.ndarray) -> float:
    without = spectrum.copy()
    without[0, 0] = 0
    return rms(without)


def angled(size: float, angle: float) -> np.ndarray:
    return np.array([size * np.cos(angle), size * np.sin(angle)], np.float32)


@pytest.mark.parametrize(
    ("symbol", "a", "b"),
    [
        ("Ce", (0.8551, 2.3915, 4.5772, 5.0278, 4.5118), (0.2805, 2.12, 10.1808, 42.0633, 130.9893)),
        ("O", (0.0974, 0.2921, 0.691, 0.699, 0.2039), (0.2067, 1.3815, 4.6943, 12.7105, 32.4726)),
    ],
)
def test_form_factors_are_those_that_abtem_was_given(
    symbol: str, a: tuple[float, ...], b: tuple[float, ...]
) -> None:
    table = gemmi.Element(symbol).c4322
    np.testing.assert_allclose([table.a, table.b], [a, b])


def test_exit_wave() -> None:
    reference = REFERENCE["spectrum_exit"]
    assert contrast(reference) > 0.2
    assert rms(kept(ours()) - reference) < 0.0025
    # What would be seen of half a slice, of another voltage, of the other sign of the phase.
    assert rms(kept(ours(below=0.0)) - reference) > 0.02
    assert rms(kept(ours(voltage=290.0)) - reference) > 0.0035
    assert rms(np.conj(kept(ours())) - reference) > 0.2


def test_a_tilted_beam() -> None:
    reference, tilt = REFERENCE["spectrum_tilted"], 1e-3 * REFERENCE["tilt"]
    assert rms(kept(ours(tilt=tuple(tilt))) - reference) < 0.0025
    for other in (-tilt, tilt[::-1], 0 * tilt):
        assert rms(kept(ours(tilt=tuple(other))) - reference) > 0.05


@pytest.mark.parametrize("image", [0, 1])
def test_images_with_aberrations(image: int) -> None:
    """Krivanek's C21 is the conjugate of 3 B2; the others are A1, A2, C3 and C5 by another name."""
    reference = REFERENCE[f"spectrum_image_{image}"]
    lens = Aberrations(
        float(REFERENCE["defoci"][image]),
        angled(30.0, 2 * 0.4),
        angled(300.0, -1.1),
        angled(700.0, 3 * -0.3),
        -9e4,
        5e7,
    )
    coherent = CoherentSum(focuses=1)
    seen = coherent.intensity(jnp.asarray(ours()), FIELD.wave, lens, Beam(300.0).wavelength)
    assert contrast(reference) > 0.24
    assert rms(kept(np.fft.fft2(np.asarray(seen))) - reference) < 0.0035


class AsAbtem(potentials.PhasePlan):
    """Phases of all frequencies, by sums over atoms, with abTEM's factor for points."""

    def phase(
        self, positions: tuple[Any, ...], weights: tuple[Any, ...], b_factors: Any
    ) -> Float[Array, "rows columns"]:
        k = np.fft.fftfreq(EDGE, FIELD.wave.spacing).astype(np.float32)
        squared = k[:, None] ** 2 + k**2
        points = np.sqrt(squared) * FIELD.wave.spacing
        strength = (
            wavelength(300.0) * relativistic_mass(300.0) / FIELD.wave.spacing**2 / np.sinc(points / np.pi)
        )
        total: Any = 0
        for element, symbol in enumerate(("Ce", "O")):
            x, y = positions[element][:, 0], positions[element][:, 1]
            along_x = weights[element][:, None] * jnp.exp(-2j * np.pi * x[:, None] * k)
            atoms = jnp.matmul(jnp.exp(-2j * np.pi * k[:, None] * y), along_x, precision="highest")
            factor = (strength * potentials.electron_form_factor(symbol, squared)).astype(np.float32)
            total = total + factor * jnp.exp(-0.25 * b_factors[element] * squared) * atoms
        return jnp.real(jnp.fft.ifft2(total))


def test_it_is_the_same_where_phases_are_as_abtem_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multislice, "PhasePlan", AsAbtem)
    assert rms(kept(ours()) - REFERENCE["spectrum_exit"]) < 3e-6
    tilt = tuple(1e-3 * REFERENCE["tilt"])
    assert rms(kept(ours(tilt=tilt)) - REFERENCE["spectrum_tilted"]) < 3e-5
