"""Phases of slices against sums of Gaussians in real space, and slices against loops."""

import numpy as np
import pytest

from atomfit.support.errors import InputError
from atomfit.waves import (
    Field,
    clear_of,
    electron_form_factor,
    interaction_constant,
    projected_potential,
    slice_atoms,
    slice_thickness,
    wavelength,
)
from atomfit.waves.potentials import PhasePlan


@pytest.mark.parametrize("element", ["O", "Ce", "Pt"])
@pytest.mark.parametrize("shape", [(80, 80), (90, 75)])
def test_the_phase_of_one_atom_is_a_sum_of_gaussians(element: str, shape: tuple[int, int]) -> None:
    """At a B of 4 Å², of which the band limit cuts nothing off; periodic images are added."""
    field, b = Field(shape, 0.2, margin=3), 4.0
    at = np.array([[7.313, 8.071]], np.float32)
    plan = PhasePlan(field, (element,), 300.0)
    found = plan.phase((at,), (np.ones(1, np.float32),), np.array([b], np.float32))
    rows, columns = field.wave.shape
    y, x = 0.1 * np.arange(rows) - 0.6, 0.1 * np.arange(columns) - 0.6
    expected = np.zeros(field.wave.shape)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            off_x, off_y = x - at[0, 0] + i * 0.1 * columns, y - at[0, 1] + j * 0.1 * rows
            expected += projected_potential(element, b, np.hypot(off_x[None], off_y[:, None]))
    expected *= interaction_constant(300.0)
    np.testing.assert_allclose(np.asarray(found), expected, atol=3e-4 * expected.max())


def test_the_potential_is_the_integral_of_the_form_factor() -> None:
    """Along k at two dimensions, by a Hankel transform."""
    from scipy.special import j0

    k = np.linspace(0, 8, 40_001)
    f = electron_form_factor("Au", k**2, 0.5)
    for r in (0.0, 0.3, 1.0):
        expected = 47.8780 * np.trapezoid(f * j0(2 * np.pi * k * r) * 2 * np.pi * k, k)
        assert projected_potential("Au", 0.5, np.array([r]))[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("voltage", "expected_wavelength", "expected_interaction"),
    # Kirkland 2010, table of appendix; rad per kV Å.
    [(80, 0.04176, 1.0087), (100, 0.03701, 0.9244), (200, 0.02508, 0.7288), (300, 0.01969, 0.6526)],
)
def test_constants(voltage: float, expected_wavelength: float, expected_interaction: float) -> None:
    assert wavelength(voltage) == pytest.approx(expected_wavelength, rel=3e-4)
    assert 1e3 * interaction_constant(voltage) == pytest.approx(expected_interaction, rel=3e-4)


@pytest.mark.parametrize("most", [None, 9])
def test_every_atom_is_in_its_slice_once(most: int | None) -> None:
    rng = np.random.default_rng(5)
    z, symbols = rng.uniform(-1, 30, 40), rng.choice(["Ce", "O"], 40)
    found = slice_atoms(z, symbols, 4.0, 7, most)
    assert found.elements == ("Ce", "O")
    for k, element in enumerate(found.elements):
        for s in range(7):
            here = {int(n) for n, p in zip(found.atoms[k][s], found.present[k][s], strict=True) if p}
            low, high = (-np.inf if s == 0 else 4.0 * s), (np.inf if s == 6 else 4.0 * (s + 1))
            assert here == {i for i in range(40) if symbols[i] == element and low <= z[i] < high}
            assert len(here) == found.present[k][s].sum()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1"):
        slice_atoms(np.zeros(3), np.array(["O"] * 3), 4.0, 1, 1)
    with pytest.raises(InputError, match="no electron form factor"):
        electron_form_factor("Es", np.zeros(1))


@pytest.mark.parametrize(("shape", "pixel"), [((128, 128), 0.2), ((1999, 997), 0.05), ((127, 97), 0.125)])
def test_a_field_has_room_and_fine_points(shape: tuple[int, int], pixel: float) -> None:
    field = Field.suited(shape, pixel)
    assert 6 <= field.margin * pixel <= 6 + 0.15 * max(shape) * pixel
    assert field.wave.spacing <= 0.1
    assert field.wave.shape[0] * field.wave.spacing == pytest.approx((shape[0] + 2 * field.margin) * pixel)


def test_no_atom_is_where_slices_end() -> None:
    heights = np.array([0.0, 1.9, 3.8, 5.7, 0.3])
    moved = (heights + clear_of(heights, 3.8)) % 3.8
    # Of 0, 0.3 and 1.9 the last gap is the widest: its middle is where slices end.
    np.testing.assert_allclose(np.sort(moved), [0.95, 0.95, 1.25, 2.85, 2.85], atol=2e-3)
    assert slice_thickness(3.826) == 3.826
    assert slice_thickness(9.372) == pytest.approx(3.124)
