"""Where columns are along zone axes, against sites of a crystal that is turned and projected."""

from itertools import product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomfit.stacking.zones import Stacking, stacking_of, zone_lattice
from atomfit.statistics.plane_cells import reduced
from atomfit.structure.elements import element
from atomfit.support.errors import InputError

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
ZONES = [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (0, -1, 2), (1, 2, 3)]


def crystal(symbol: str, zone: tuple[int, int, int], turn: float) -> np.ndarray:
    """Sites of a crystal whose zone axis is z, turned about it (Å)."""
    basis, edge = (FCC, 2**0.5) if symbol == "Pt" else (BCC, 2 / 3**0.5)
    a = element(symbol).neighbour_distance * edge
    cells = np.array(list(product(range(-5, 6), repeat=3)))
    sites = (cells[:, None] + basis).reshape(-1, 3) * a
    align, _ = Rotation.align_vectors([[0.0, 0.0, 1.0]], [np.array(zone, float)])
    return (Rotation.from_euler("z", turn) * align).apply(sites)


def found(symbol: str, zone: tuple[int, int, int], distortion: np.ndarray | None = None) -> Stacking:
    """The stacking of the lattice that its own columns have."""
    seen = crystal(symbol, zone, 0.7)[:, :2]
    near = np.unique(np.round(seen[np.linalg.norm(seen, axis=1) < 6], 6), axis=0)
    near = near[np.argsort(np.linalg.norm(near, axis=1))]
    first = near[1]
    second = next(v for v in near[2:] if abs(first[0] * v[1] - first[1] * v[0]) > 1e-3)
    distortion = np.eye(2) if distortion is None else distortion
    return stacking_of(symbol, zone, reduced(distortion @ np.column_stack([first, second])))


@pytest.mark.parametrize("symbol", ["Pt", "W"])
@pytest.mark.parametrize("zone", ZONES)
def test_every_site_of_the_crystal_is_one_of_the_stacking(symbol: str, zone: tuple[int, int, int]) -> None:
    stacking = found(symbol, zone)
    sites = crystal(symbol, zone, 0.7)
    sites = sites[np.linalg.norm(sites, axis=1) < 8]

    def whole(turned: np.ndarray) -> float:
        numbers = turned @ np.linalg.inv(stacking.vectors)
        return float(np.abs(numbers - np.rint(numbers)).max())

    # As it is, or its mirror image along the beam.
    assert min(whole(sites), whole(sites * [1, 1, -1])) < 1e-4
    assert abs(np.linalg.det(stacking.vectors)) == pytest.approx(
        stacking.constant**3 / (4 if symbol == "Pt" else 2), rel=1e-6
    )
    np.testing.assert_allclose(stacking.scale, 1, atol=1e-4)


def test_along_110_neighbouring_rows_are_half_a_period_higher() -> None:
    stacking = found("Pt", (1, 1, 0))
    assert stacking.mirrored
    assert not stacking.ambiguous
    np.testing.assert_allclose(np.abs(stacking.heights), 0.5, atol=1e-9)
    assert stacking.period == pytest.approx(element("Pt").neighbour_distance)
    assert not found("Pt", (1, 1, 1)).mirrored


def test_pixel_sizes_and_scans_may_be_off() -> None:
    distortion = np.array([[1.04, 0.015], [0.0, 1.02]])
    stacking = found("Pt", (1, 1, 0), distortion)
    assert stacking.scale == pytest.approx(np.sqrt(np.linalg.det(distortion)), rel=1e-6)
    np.testing.assert_allclose(np.abs(stacking.heights), 0.5, atol=1e-9)


@pytest.mark.parametrize("zone", ZONES)
def test_another_zone_is_refused(zone: tuple[int, int, int]) -> None:
    cell, _ = zone_lattice("fcc", 3.92, zone)
    basis = reduced(cell[:2, :2].T)
    for other in ZONES:
        if other != zone:
            with pytest.raises(InputError, match="is not that of fcc Pt along"):
                stacking_of("Pt", other, basis)


def test_other_structures_and_far_zones_are_refused() -> None:
    with pytest.raises(InputError, match="columns of hcp are not stacked"):
        stacking_of("Co", (0, 0, 1), np.eye(2))
    with pytest.raises(InputError, match="too near each other"):
        zone_lattice("fcc", 3.92, (101, 103, 107))
