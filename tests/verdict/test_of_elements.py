"""What numbers and brightness of atoms in a series say of their elements."""

import numpy as np
import pytest

from atomfit.projection.fitted import FittedSeries
from atomfit.projection.views import TiltSeries
from atomfit.rendering import Gaussians
from atomfit.selection.image_scores import scores_of_images
from atomfit.simulation.series import projected
from atomfit.structure.elements import element
from atomfit.structure.scattering import GaussianMixture
from atomfit.verdict.of_elements import bright_for_light, lacking_elements, of_another_element
from simulated_series import PIXEL, SHAPE, U, planted

PT, FE = element("Pt"), element("Fe")


def test_an_element_that_no_atom_is_is_named() -> None:
    [found] = lacking_elements((PT, FE), np.array([78, 78]))
    assert (found.code, found.level) == ("fewer-elements", "doubtful")
    assert "Fe" in found.problem
    assert not lacking_elements((PT, FE), np.array([78, 26]))


def test_light_atoms_are_not_brighter_than_heavy_ones() -> None:
    both, numbers = (PT, FE), np.array([78, 78, 26, 26])
    assert not bright_for_light(both, numbers, np.array([10.0, 9.0, 3.5, 3.6]))
    assert not bright_for_light(both, np.full(4, 26), np.arange(1.0, 5.0))
    [found] = bright_for_light(both, numbers, np.array([3.5, 3.6, 9.0, 10.0]))
    assert (found.code, found.level) == ("elements", "bad")
    assert "atoms of Fe are 2.68 times as bright as those of Pt" in found.problem


@pytest.mark.parametrize(("exchanged", "level"), [(1, "doubtful"), (6, "doubtful"), (20, "bad")])
def test_atoms_of_the_wrong_element_are_named(exchanged: int, level: str) -> None:
    """From images that were made of the right ones, and a fit of the wrong ones."""
    rng = np.random.default_rng(exchanged)
    made = planted()
    is_iron = rng.permutation(43) < 20
    wrong = np.arange(43) < exchanged
    said = is_iron ^ wrong

    def drawn(iron: np.ndarray, light: float) -> np.ndarray:
        amplitudes = np.where(iron, light, 2.0)
        atoms = Gaussians(made.positions, np.tile(U * np.eye(3), (43, 1, 1)), amplitudes)
        return np.stack(list(projected(atoms, made.views, np.zeros(3), SHAPE, PIXEL)))

    images = drawn(is_iron, 0.7) + rng.normal(0, 0.3, (12, *SHAPE))
    everywhere = np.ones(images.shape, bool)
    fitted = FittedSeries(
        TiltSeries(images, everywhere, PIXEL, made.views, np.zeros(3)),
        (images - drawn(said, 0.9)).astype(np.float32),
        np.full(images.shape, 0.3**-2, np.float32),
        np.ones(12),
        made.positions,
        np.where(said, 0.9, 2.0),
        GaussianMixture(np.ones(1), np.array([U])),
    )
    scores = scores_of_images(fitted, 2.77)
    brightness = fitted.amplitudes * scores.atoms / scores.whole
    numbers, ids = np.where(said, 26, 78), np.arange(101, 144)
    [found] = of_another_element((PT, FE), numbers, brightness, ids)
    assert (found.code, found.level) == ("elements", level)
    assert f"{exchanged} of 43 atoms" in found.problem
    label, other = ("Fe", "Pt") if said[0] else ("Pt", "Fe")
    assert f"atom 101 ({label}, as bright as {other})" in found.problem
    # Nor is anything said of atoms that are what they are said to be, or of which nobody can tell.
    assert not of_another_element((PT, FE), np.where(is_iron, 26, 78), brightness, ids)
    assert not of_another_element((PT, element("Au")), numbers, brightness.mean() + 0 * brightness, ids)
