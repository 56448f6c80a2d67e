"""Columns as the shipped network sees them, in the image's own frame; and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

from atomfit.column_heights import network_for, network_heights, seen_by_network
from atomfit.column_heights.by_network import zone_name
from atomfit.networks import shipped_weights
from atomfit.results.heights import HeightsResult
from atomfit.simulation import simulate_hrtem
from atomfit.simulation.hrtem import SimulatedHrtem
from atomfit.support.errors import InputError


def distances(truth: SimulatedHrtem, positions: np.ndarray) -> np.ndarray:
    """From each cerium column well within the image to the nearest that was found (Å)."""
    columns, field = truth.columns, truth.frames.shape[1] * truth.options.pixel_size
    inner = np.all((columns.positions > 2) & (columns.positions < field - 2), axis=1)
    places = columns.positions[inner & (columns.elements == "Ce") & (columns.heights > 0)]
    assert len(places) > 8
    return np.linalg.norm(places[:, None] - positions, axis=2).min(axis=1)


def test_columns_are_found_where_they_are(specimen: SimulatedHrtem, result: HeightsResult) -> None:
    assert np.mean(distances(specimen, result.positions) < 0.3) > 0.9
    assert result.found.dose == pytest.approx(1e4, rel=0.1)
    assert [one.name for one in result.found.conditions] == ["defocus"]


@pytest.mark.parametrize("pixel", [0.13, 0.25])
def test_other_pixels_are_resampled(pixel: float) -> None:
    size = round(19 / pixel)
    made = simulate_hrtem(
        crystal="CeO2", dose=1e4, defocus=6.0, image_size=size, pixel_size=pixel, gain=3.0, seed=5
    )
    counts = made.frames[0].astype(np.float64)
    seen = seen_by_network(network_for("CeO2", (1, 1, 0), 300.0), counts, pixel, 3.0)
    found = network_heights(seen, 3.0)
    assert np.mean(distances(made, found.positions) < 0.3) > 0.9
    assert found.dose == pytest.approx(counts.mean() / 3 / pixel**2, rel=1e-6)


@pytest.mark.parametrize("pixel", [0.01, 0.029, 0.33])
def test_pixels_beyond_reason_are_refused(pixel: float, specimen: SimulatedHrtem) -> None:
    trained = network_for("CeO2", (1, 1, 0), 300.0)
    with pytest.raises(InputError, match=r"--pixel-size: columns cannot be read from pixels of .* Å"):
        seen_by_network(trained, specimen.frames[0], pixel, 1.0)


@pytest.mark.parametrize(
    ("crystal", "zone", "voltage", "words"),
    [
        ("CeO2", (1, 0, 0), 300.0, r"no network for CeO2 along \[100\]"),
        ("TiO2.cif", (1, 1, 0), 300.0, "no network for the crystal of TiO2.cif"),
        ("CeO2", (1, 1, 0), 80.0, "no network for 80 kV"),
    ],
)
def test_what_no_network_knows_is_refused(
    crystal: str, zone: tuple[int, int, int], voltage: float, words: str
) -> None:
    with pytest.raises(InputError, match=words) as told:
        network_for(crystal, zone, voltage)
    assert "--weights" in str(told.value)


def test_a_network_of_ones_own_must_know_the_crystal(tmp_path: Path) -> None:
    path = shipped_weights("CeO2", "110")
    assert network_for("ceo2", (-1, 0, 1), 301.0, path).recipe["zone"] == "110"
    with pytest.raises(InputError, match=r"this network has learned CeO2 along \[110\]"):
        network_for("Au", (1, 1, 0), 300.0, path)
    with pytest.raises(InputError, match="no such file"):
        network_for("CeO2", (1, 1, 0), 300.0, tmp_path / "none.npz")


def test_alike_directions_have_one_name() -> None:
    alike = {zone_name(zone) for zone in [(1, 1, 0), (0, -1, 1), (2, 0, -2)]}
    assert (alike, zone_name((1, -2, 1)), zone_name((0, 0, -3))) == ({"110"}, "211", "100")
