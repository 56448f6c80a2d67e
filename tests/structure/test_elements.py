import numpy as np
import pytest

from atomfit.structure.elements import element
from atomfit.structure.scattering import (
    GaussianMixture,
    fit_profile,
    fitted_variance,
    form_factor,
    matched_to_width,
)
from atomfit.support.errors import InputError
from atomfit.support.units import b_from_u, fwhm_from_u, u_from_b


@pytest.mark.parametrize(
    ("symbol", "distance"),
    [("Pt", 2.772), ("Ta", 2.866), ("Si", 2.351), ("Fe", 2.485), ("Co", 2.497), ("C", 1.546)],
)
def test_neighbour_distances_are_those_of_the_bulk(symbol: str, distance: float) -> None:
    assert element(symbol).neighbour_distance == pytest.approx(distance, abs=0.01)


def test_radius_of_platinum_is_the_published_one() -> None:
    assert element("pt").radius == pytest.approx(1.10, abs=0.01)


def test_every_element_has_a_plausible_distance() -> None:
    from ase.data import chemical_symbols

    for symbol in chemical_symbols[1:]:
        assert 0.5 < element(symbol).neighbour_distance < 6


@pytest.mark.parametrize("symbol", ["Zz", "", "X", "0", "119", "-1", "PtO", "plat"])
def test_unknown_elements_are_refused(symbol: str) -> None:
    with pytest.raises(InputError, match="unknown element"):
        element(symbol)


def test_conversions_between_u_and_b() -> None:
    assert b_from_u(1.0) == pytest.approx(78.957, abs=1e-3)
    assert u_from_b(b_from_u(0.123)) == pytest.approx(0.123)
    assert fwhm_from_u(1.0) == pytest.approx(2.3548, abs=1e-4)


def test_form_factor_is_the_tables_at_any_frequency() -> None:
    import gemmi

    s = np.linspace(0, 2.5, 7)
    table = gemmi.Element("Pt").c4322
    expected = np.array([table.calculate_sf(stol2=(x / 2) ** 2) for x in s])
    ours = form_factor("Pt", 0.0).transform(s**2) * sum(table.a)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_profile_is_the_transform_of_the_form_factor() -> None:
    mixture = GaussianMixture(np.array([0.3, 0.7]), np.array([0.2, 0.5]))
    r = np.linspace(0, 12, 40_001)
    integral = np.trapezoid(4 * np.pi * r**2 * mixture.profile(r), r)
    assert integral == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("u", [0.1, 0.2, 0.4])
def test_template_has_the_width_that_was_asked_for(u: float) -> None:
    template = matched_to_width("Pt", u, 1.4)
    assert len(template.weights) == 5
    assert fitted_variance(template, 1.4) == pytest.approx(u, rel=1e-3)


def test_template_narrower_than_the_form_factor_is_a_plain_gaussian() -> None:
    template = matched_to_width("Pt", 0.002, 1.4)
    assert template.variances.tolist() == [0.002]


def test_fit_of_a_profile_recovers_what_was_planted() -> None:
    r = np.linspace(0, 1.5, 30)
    values = 2.5 * np.exp(-0.5 * r**2 / 0.3) + 0.7
    height, variance, constant = fit_profile(r, values, np.ones_like(r))
    assert (height, variance, constant) == pytest.approx((2.5, 0.3, 0.7), rel=1e-3)
