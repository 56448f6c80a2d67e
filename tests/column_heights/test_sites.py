"""Sites of a crystal from columns of which some are missing, false or displaced."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.column_heights.sites import Sites, find_sites
from atomfit.options.hrtem import HrtemOptions
from atomfit.simulation.hrtem_specimens import HrtemSpecimen, hrtem_specimen
from atomfit.structure.crystals import crystal, zone_columns
from atomfit.support.errors import InputError
from atomfit.waves import Field

SIZE, PIXEL = 120, 0.2
EDGE = SIZE * PIXEL


def specimen_of(of: str, turn: float, seed: int) -> HrtemSpecimen:
    options = HrtemOptions(crystal=of, turn=turn, image_size=SIZE, vacuum=0.2, displacement=0.05, seed=seed)
    return hrtem_specimen(options, Field.suited((SIZE, SIZE), PIXEL), np.random.default_rng(seed))


def sites_of(of: str, columns: np.ndarray) -> Sites:
    made = crystal(of)
    low, high = np.full(2, -0.5 * PIXEL), np.full(2, EDGE - 0.5 * PIXEL)
    return find_sites(columns, zone_columns(made, (1, 1, 0)), made.heaviest, low - 2, high + 2)


def seen_in(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a bad network sees: a tenth is missing, a twentieth is far off, and as many are none."""
    kept = places[rng.random(len(places)) > 0.1]
    seen = kept + rng.normal(0, 0.1, kept.shape)
    off = rng.choice(len(seen), max(len(seen) // 20, 1), replace=False)
    seen[off] += rng.uniform(-0.8, 0.8, (len(off), 2))
    return np.concatenate([seen, rng.uniform(0, EDGE, (max(len(kept) // 20, 1), 2))])


@given(
    of=st.sampled_from(["CeO2", "Pt"]),
    turn=st.floats(0, 180),
    origin=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    strain=st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)),
    seed=st.integers(0, 999),
)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_every_site_is_where_it_was_planted(
    of: str,
    turn: float,
    origin: tuple[float, float],
    strain: tuple[float, float, float],
    seed: int,
) -> None:
    specimen, rng = specimen_of(of, turn, seed), np.random.default_rng(seed)
    columns = specimen.columns
    grown = np.eye(2) + np.array([[strain[0], strain[2]], [strain[2], strain[1]]])

    def moved(flat: np.ndarray) -> np.ndarray:
        return (flat - EDGE / 2) @ grown + EDGE / 2 + origin

    places, heavy = moved(columns.positions), columns.elements == specimen.crystal.heaviest
    sites = sites_of(of, seen_in(places[heavy & (columns.heights > 0)], rng))
    # Within the image and where the crystal is; what has moved out of the image is not asked.
    asked = (columns.heights > 0) & np.all((places > 0) & (places < EDGE), axis=1)
    away = np.linalg.norm(places[asked][:, None] - sites.places, axis=2)
    nearest = away.argmin(axis=1)
    assert away.min(axis=1).max() < 0.45
    assert np.sqrt(np.mean(away.min(axis=1) ** 2)) < 0.15
    assert len(set(nearest.tolist())) == asked.sum()
    assert np.array_equal(sites.heavy[nearest], heavy[asked])
    # All planes are whole repeats apart, from one column to another.
    repeat, unmoved = specimen.repeat, columns.positions[asked]
    parts = []
    for place, site, name in zip(unmoved, nearest, columns.elements[asked], strict=True):
        own = (specimen.symbols == name) & (np.hypot(*(specimen.positions[:, :2] - place).T) < 0.6)
        parts.append((specimen.positions[own, 2].min() - sites.levels[site]) / repeat)
    turned = np.exp(2j * np.pi * np.array(parts))
    assert np.abs(np.angle(turned / turned[0])).max() < 0.1


def test_every_column_that_was_seen_is_at_its_site() -> None:
    specimen = specimen_of("CeO2", 30.0, 1)
    columns = specimen.columns
    places = columns.positions[(columns.elements == "Ce") & (columns.heights > 0)]
    sites = sites_of("CeO2", np.concatenate([places, [[1.0, 1.0]]]))
    at = np.flatnonzero(sites.seen >= 0)
    assert sorted(sites.seen[at][sites.seen[at] < len(places)].tolist()) == list(range(len(places)))
    off = np.linalg.norm(sites.places[at] - np.concatenate([places, [[1.0, 1.0]]])[sites.seen[at]], axis=1)
    assert off.max() < 1.0
    assert np.median(off) < 0.1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("of", ["CeO2", "Pt"])
def test_points_at_random_have_no_lattice(of: str, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, EDGE, (50, 2))
    with pytest.raises(InputError, match="no lattice of this crystal along this zone axis"):
        sites_of(of, points)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("planted", "asked"), [("Pt", "CeO2"), ("CeO2", "Pt"), ("CeO2", "Au")])
def test_columns_of_another_crystal_are_refused(planted: str, asked: str, seed: int) -> None:
    columns = specimen_of(planted, 20.0 + 7 * seed, seed).columns
    heavy = (columns.elements == crystal(planted).heaviest) & (columns.heights > 0)
    with pytest.raises(InputError, match="check --crystal, --zone and --pixel-size"):
        sites_of(asked, columns.positions[heavy])


def test_few_columns_are_refused() -> None:
    columns = specimen_of("CeO2", 20.0, 2).columns
    heavy = np.flatnonzero((columns.elements == "Ce") & (columns.heights > 0))
    with pytest.raises(InputError, match="3 columns are seen, too few for a lattice"):
        sites_of("CeO2", columns.positions[heavy[:3]])
