"""Planted defects and facets of columns, and geometric phase analysis of images of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plane_lattices import DUMBBELL, HEXAGONAL, ONE, PLATINUM, SILICON, SQUARE, alike, disc, turn

from atomfit.statistics.plane_defects import (
    burgers_vector,
    find_boundaries,
    find_dislocations,
    find_vacancies,
)
from atomfit.statistics.plane_domains import find_domains
from atomfit.statistics.plane_gpa import gpa
from atomfit.statistics.plane_outline import find_facets
from atomfit.support.errors import InputError


@pytest.mark.parametrize(("basis", "offsets"), [(HEXAGONAL, ONE), (SILICON, DUMBBELL)])
def test_vacancies(basis: np.ndarray, offsets: np.ndarray) -> None:
    """Columns taken out inside are found, with error bars; none at the surface, none in a whole lattice."""
    rng = np.random.default_rng(0)
    places = disc(basis, offsets) @ turn(7).T
    taken = np.argsort(np.linalg.norm(places - [3, 2], axis=1), kind="stable")[[0, 9, 20]]
    left = np.delete(places, taken, axis=0)
    left = left + rng.normal(0, 0.04, left.shape)
    found = find_vacancies(left, alike(len(left), 0.04), find_domains(left))
    assert len(found) == 3
    for vacancy in found:
        away = vacancy.position - places[taken]
        nearest = away[np.linalg.norm(away, axis=1).argmin()]
        assert np.all(np.abs(nearest) < 5 * np.sqrt(np.diag(vacancy.covariance)) + 0.02)
    assert find_vacancies(places, None, find_domains(places)) == ()
    assert find_dislocations(left, find_domains(left)) == ()


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_burgers_vector(noise: float) -> None:
    """Of an edge dislocation in isotropic elasticity (Hirth & Lothe 1982), to 1 %; others close."""
    places, nu = disc(SQUARE, radius=28), 0.3
    x, y = (places - [0.3, 0.7]).T
    r2 = x**2 + y**2
    u = np.arctan2(y, x) + x * y / (2 * (1 - nu) * r2)
    v = -((1 - 2 * nu) / (4 * (1 - nu)) * np.log(r2) + (x**2 - y**2) / (4 * (1 - nu) * r2))
    moved = (places + np.stack([u, v], axis=1) / np.pi) @ turn(31).T
    moved = moved + np.random.default_rng(0).normal(0, noise, moved.shape)
    domains = find_domains(moved)
    (core,) = find_dislocations(moved, domains)
    wanted = turn(31) @ [2.0, 0.0]
    assert np.linalg.norm(core.burgers - wanted) < 0.02
    assert np.linalg.norm(core.position - turn(31) @ [0.3, 0.7]) < 2
    assert np.linalg.norm(burgers_vector(moved, domains, np.zeros(2), 12.0).burgers - wanted) < 0.02
    assert burgers_vector(moved, domains, np.array([12.0, -10.0]), 7.0).steps == (0, 0)
    mirrored = moved * np.array([1.0, -1.0])
    (other,) = find_dislocations(mirrored, find_domains(mirrored))
    # The way round is the other one in a mirror.
    assert np.linalg.norm(other.burgers + wanted * [1, -1]) < 0.02


@pytest.mark.parametrize("kind", ["twin", "fault", "grains"])
def test_boundaries(kind: str) -> None:
    """A mirrored, a shifted and a turned half are called so, with the row, the shift and the angle."""
    along = PLATINUM[:, 0] / np.linalg.norm(PLATINUM[:, 0])
    across = np.array([-along[1], along[0]])
    places = disc(PLATINUM, radius=16)
    above, below = places[places @ across > -1e-6], places[places @ across < -1e-6]
    if kind == "twin":
        inside = above[above @ across > 1e-6]
        below = inside - 2 * np.outer(inside @ across, across)
    elif kind == "fault":
        below = below + PLATINUM[:, 0] / 3
    else:
        turned = places @ turn(14).T
        below = turned[turned @ across < -1.0]
    x = np.concatenate([above, below]) @ turn(33).T
    x = x + np.random.default_rng(2).normal(0, 0.04, x.shape)
    domains = find_domains(x)
    (boundary,) = find_boundaries(x, domains)
    assert boundary.kind == kind
    first = domains.lattices[boundary.domains[0]].basis
    if kind == "twin":
        row = first @ boundary.row
        assert abs(row @ turn(33) @ across) < 0.05 * np.linalg.norm(row)
    elif kind == "fault":
        assert boundary.shift is not None
        assert np.linalg.norm(first @ boundary.shift) == pytest.approx(2.4 / 3, abs=0.06)
    else:
        assert abs(boundary.angle) == pytest.approx(14, abs=0.7)
    assert find_boundaries(places, find_domains(places)) == ()


def test_facets_and_their_relaxation() -> None:
    """A hexagon has six facets; an outward move of its shell is found, errors being right."""
    steps = np.array([(h, k) for h in range(-6, 7) for k in range(-6, 7) if abs(h - k) <= 6])
    places = steps @ HEXAGONAL.T
    normals = np.array([[np.cos(a), np.sin(a)] for a in np.radians(30 + 60 * np.arange(6))])
    heights = places @ normals.T
    outer = heights > heights.max() - 1e-6
    # A corner has two facets, and is moved so that both have moved out.
    moved = places + np.where(outer.sum(axis=1) > 1, 0.06 / np.cos(np.radians(30)) / 1.7320508, 0.06)[
        :, None
    ] * (outer @ normals)
    z = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        x = (moved + rng.normal(0, 0.04, moved.shape)) @ turn(9).T
        facets = find_facets(x, alike(len(x), 0.04), find_domains(x, alike(len(x), 0.04)))
        assert len(facets) == 6
        for facet in facets:
            assert len(facet.columns) == 7
            assert facet.indices is not None
            z.append((facet.relaxations - [0.06, 0, 0, 0]) / facet.errors)
    mean_square = np.mean(np.square(z), axis=0)
    assert np.sqrt(mean_square[0]) == pytest.approx(1, abs=0.12)
    assert np.all(np.sqrt(mean_square) < 1.25)


def test_facets_of_a_crystal_without_noise() -> None:
    """Nothing has relaxed; a domain too small for inner columns has facets all the same."""
    for radius in (5.0, 12.0):
        x = disc(PLATINUM, radius=radius)
        for facet in find_facets(x, None, find_domains(x)):
            assert np.abs(facet.relaxations).max(initial=0) < 1e-9


def image_of(places: np.ndarray, size: int, pixel_size: float) -> np.ndarray:
    """Gaussians of all columns, on pixels of a square."""
    axis = pixel_size * np.arange(size)
    gx, gy = (np.exp(-((axis - places[:, i, None]) ** 2) / (2 * 0.45**2)) for i in (0, 1))
    return gy.T @ gx


@settings(max_examples=5, deadline=None)
@given(st.floats(0, 90))
def test_phases_of_a_perfect_lattice(angle: float) -> None:
    """No strain, in any orientation, with reflections that are half a per cent off."""
    places = (disc(SQUARE, radius=40) @ turn(angle).T) + 19
    vectors = 1.005 * np.linalg.inv(turn(angle) @ SQUARE)
    found = gpa(image_of(places, 192, 0.2), 0.2, vectors[0], vectors[1])
    assert np.nanpercentile(np.abs(found.tensors), 99) < 1e-4
    assert np.mean(np.isfinite(found.rotations)) > 0.2


def test_phases_of_a_step_and_of_a_turn() -> None:
    """2 % of strain and a turn by half a degree, counted from the other half of the image."""
    places = disc(SQUARE, radius=52) + [38, 19]
    x, y = (0.2 * np.arange(n) for n in (380, 190))
    right, left = (x > 48) & (x < 68), (x > 8) & (x < 28)
    reference = np.broadcast_to(left, (190, 380))
    for change in (np.diag([1.02, 1.0]), turn(0.5)):
        moved = np.where(places[:, :1] > 38, (places - [38, 19]) @ change.T + [38, 19], places)
        axes = [np.exp(-((a - moved[:, i, None]) ** 2) / (2 * 0.45**2)) for i, a in enumerate((x, y))]
        found = gpa(axes[1].T @ axes[0], 0.2, np.array([0.5, 0]), np.array([0, 0.5]), reference)
        strain = np.nanmean(found.tensors[:, :, right], axis=(1, 2))
        assert np.abs(strain - [change[0, 0] - 1 if change[0, 1] == 0 else 0, 0, 0]).max() < 2e-4
        turned = np.degrees(np.arctan2(change[1, 0], change[0, 0]))
        assert np.nanmean(found.rotations[:, right]) == pytest.approx(turned, abs=0.01)


def test_refused_phases() -> None:
    """One sentence for reflections that are none, images too small and values that are not finite."""
    image = image_of(disc(SQUARE, radius=40) + 19, 192, 0.2)
    g = np.array([0.5, 0.0]), np.array([0.0, 0.5])
    bad = image.copy()
    bad[3, 3] = np.nan
    for what, pixels, vectors in (
        ("not finite", bad, g),
        ("parallel", image, (g[0], g[0])),
        ("finer than two pixels", image, (8 * g[0], g[1])),
        ("smaller than the kernel", image[:20, :20], g),
        ("not where", image, (1.18 * g[0], g[1])),
    ):
        with pytest.raises(InputError, match=what):
            gpa(pixels, 0.2, *vectors)
    with pytest.raises(InputError, match="no amplitude"):
        gpa(image, 0.2, *g, np.zeros(image.shape, bool))
