"""Elements from brightness and width: planted classes are found, and no class is invented."""

import gemmi
import numpy as np
import pytest

from atomfit import build
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.selection.species import assign
from atomfit.simulation.particles import particle
from atomfit.structure.elements import element, elements_of, typical
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from atomfit.support.errors import InputError

FE, PT, AU = (element(symbol) for symbol in ("Fe", "Pt", "Au"))


def planted(
    ratio: float, part: float, seed: int, n: int = 400, scatter: float = 0.12
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bright ones, amplitudes, U, coordination numbers; brightness falls at the surface, follows U."""
    rng = np.random.default_rng(seed)
    bright = rng.random(n) < part
    coordination = rng.choice([6.0, 9.0, 12.0], n)
    widths = rng.normal(0, 0.2, n)
    logs = np.where(bright, np.log(ratio), 0) - 0.4 * (1 - coordination / 12) + 0.8 * widths
    return bright, np.exp(logs + rng.normal(0, scatter, n)), 0.3 * np.exp(widths), coordination


@pytest.mark.parametrize("part", [0.08, 0.3, 0.5, 0.8])
def test_two_elements_are_told_apart(part: float) -> None:
    bright, amplitudes, u, coordination = planted(2.0, part, 0)
    species = assign(amplitudes, u, coordination, [PT, FE])
    assert np.mean((species.numbers == PT.number) == bright) > 0.985
    assert species.supported == 2


@pytest.mark.slow
def test_probabilities_are_honest() -> None:
    wrong, expected = 0, 0.0
    for seed in range(20):
        bright, amplitudes, u, coordination = planted(1.5, 0.4, seed, scatter=0.15)
        species = assign(amplitudes, u, coordination, [FE, PT])
        wrong += int(np.sum((species.numbers == PT.number) != bright))
        expected += float(np.sum(1 - species.probabilities))
    assert wrong == pytest.approx(expected, rel=0.3)


def test_one_element_is_not_taken_for_two() -> None:
    for seed in range(5):
        _, amplitudes, u, coordination = planted(1.0, 0.5, seed)
        species = assign(amplitudes, u, coordination, [PT])
        assert species.supported == 1
        assert set(species.numbers) == {PT.number}
        assert np.all(species.probabilities == 1)


def test_one_class_is_one_element_whatever_was_given() -> None:
    for seed, bond, symbol in ((0, 2.75, PT), (1, 2.62, FE), (2, np.nan, PT)):
        _, amplitudes, u, coordination = planted(1.0, 0.5, seed, n=150)
        species = assign(amplitudes, u, coordination, [FE, PT], bond)
        assert set(species.numbers) == {symbol.number}
        assert np.all(np.isnan(species.probabilities))
        assert species.lacking
        assert "1 of 2" in species.describe()


def test_two_classes_are_the_two_elements_of_three_that_fit() -> None:
    bright, amplitudes, u, coordination = planted(3.0, 0.4, 1)
    species = assign(amplitudes, u, coordination, [FE, PT, AU])
    assert set(species.numbers[bright]) < {PT.number, AU.number}
    assert np.mean((species.numbers == FE.number) == ~bright) > 0.985
    assert species.lacking


def test_an_alloy_that_was_called_an_element_is_noticed() -> None:
    _, amplitudes, u, coordination = planted(2.5, 0.4, 3)
    species = assign(amplitudes, u, coordination, [PT])
    assert species.supported == 2
    assert "alloy" in species.describe()


@pytest.mark.parametrize("n", [0, 1, 3, 12])
def test_few_atoms_and_unknown_ones_get_an_element(n: int) -> None:
    amplitudes = np.concatenate([np.linspace(1, 2, n), [np.nan]])
    u = np.full(n + 1, 0.2)
    species = assign(amplitudes, u, np.full(n + 1, 12.0), [AU, FE])
    assert len(species.numbers) == n + 1
    assert set(species.numbers) <= {FE.number, AU.number}


def test_elements_are_given_once() -> None:
    assert [one.symbol for one in elements_of(["Fe", "pt"])] == ["Pt", "Fe"]
    between = typical([FE, PT]).neighbour_distance
    assert FE.neighbour_distance < between < PT.neighbour_distance
    with pytest.raises(InputError, match="twice"):
        elements_of(["Pt", "pt"])
    with pytest.raises(InputError, match="no element"):
        elements_of([])


def test_an_alloy_is_built(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(5)
    sites = particle("sphere", "Pt", 79, 0, 3.9)
    grid = Grid((64, 64, 64), np.full(3, 0.36), np.zeros(3))
    light = rng.random(len(sites)) < 0.5
    u = np.full(len(sites), 0.22)
    truth = FittedAtoms(
        sites + grid.centre,
        np.where(light, 0.5, 1.0) * (2 * np.pi * u) ** 1.5,
        u,
        u[:, None, None] * np.eye(3),
    )
    values = truth.density(grid) + rng.normal(0, 0.03, grid.shape)
    result = build(DensityMap(values.astype(np.float32), grid), ["Fe", "Pt"])
    pairs = match(result.positions, truth.positions)
    assert (pairs.missing, pairs.false) == (0, 0)
    assert np.all((result.symbols == "Fe")[pairs.found] == light[pairs.known])
    result.write(tmp_path / "out")
    assert ",Fe," in (tmp_path / "out" / "atoms.csv").read_text()
    structure = gemmi.read_structure(str(tmp_path / "out" / "atoms.cif"))
    symbols = {cra.atom.element.name for cra in structure[0].all()}
    assert symbols == {"Fe", "Pt"}
