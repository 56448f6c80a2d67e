"""Lattices, domains and strain of columns of images whose sites are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomfit.statistics.plane_domains import PlaneDomains, find_domains
from atomfit.statistics.plane_strain import measure_plane_strain
from atomfit.support.errors import InputError

SQUARE = np.diag([2.0, 2.0])
HEXAGONAL = np.array([[2.5, -1.25], [0, 2.5 * 0.75**0.5]])
PLATINUM = np.array([[2.775, -2.775], [3.924, 3.924]]) / 2
SILICON = np.array([[5.43, -5.43], [3.84, 3.84]]) / 2
DUMBBELL = np.array([[0, 0], [0.25, -0.25]])
OBLIQUE = np.array([[3.0, 0.8], [0, 3.6]])
ONE = np.zeros((1, 2))


def disc(basis: np.ndarray, offsets: np.ndarray = ONE, radius: float = 14.0) -> np.ndarray:
    """Columns of a crystal around a site."""
    most = int(4 * radius / np.linalg.norm(basis, axis=0).min())
    steps = np.stack(np.meshgrid(*[np.arange(-most, most)] * 2), axis=-1).reshape(-1, 2)
    places = np.concatenate([steps + offset for offset in offsets]) @ basis.T
    return places[np.linalg.norm(places, axis=1) < radius]


def turn(degrees: float) -> np.ndarray:
    """A rotation of the plane."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


def alike(n: int, error: float) -> np.ndarray:
    """Covariances of n positions with this error."""
    return np.broadcast_to(error**2 * np.eye(2), (n, 2, 2)).copy()


def sizes(domains: PlaneDomains) -> list[int]:
    """Columns of each domain."""
    return [len(lattice) for lattice in domains.lattices]


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["square", "hexagonal", "centred rectangular", "oblique", "dumbbells"]),
    st.floats(0, 360),
    st.booleans(),
    st.integers(0, 1000),
)
def test_lattices_in_any_orientation(name: str, angle: float, mirrored: bool, seed: int) -> None:
    """All columns of a disc, turned, mirrored, shifted, in any order, have sites of the planted lattice."""
    basis = {
        "square": SQUARE,
        "hexagonal": HEXAGONAL,
        "centred rectangular": PLATINUM,
        "oblique": OBLIQUE,
        "dumbbells": SILICON,
    }[name]
    offsets = DUMBBELL if name == "dumbbells" else ONE
    rng = np.random.default_rng(seed)
    places = rng.permutation(disc(basis, offsets))
    moved = places @ turn(angle).T * np.array([1.0, -1.0 if mirrored else 1.0]) + rng.uniform(-500, 500, 2)
    domains = find_domains(moved + rng.normal(0, 0.03, moved.shape), alike(len(moved), 0.03))
    (lattice,) = domains.lattices
    assert len(lattice) == len(places)
    assert len(lattice.origins) == len(offsets)
    assert lattice.bravais == ("centred rectangular" if name == "dumbbells" else name)
    assert abs(np.linalg.det(lattice.basis)) == pytest.approx(abs(np.linalg.det(basis)), rel=0.005)
    assert lattice.scatter == pytest.approx(1, abs=0.4)
    # Planted sites and found ones differ by a change of cell.
    fitted = lattice.ideal()
    assert np.abs(fitted - moved[lattice.columns]).max() < 0.03
    assert np.array_equal(domains.sites[lattice.columns], lattice.sites)


def test_errors_of_cells_and_strain() -> None:
    """Of 200 noisy images: everything scatters as its error bar says, surface columns apart."""
    places = disc(PLATINUM, radius=11) @ turn(20).T
    surface = np.linalg.norm(places, axis=1) > 8.8
    cells, inside, outside, moved = [], [], [], []
    truth = np.array([*np.linalg.norm(PLATINUM, axis=0), 109.46])
    for seed in range(100):
        rng = np.random.default_rng(seed)
        root = rng.uniform(0.02, 0.06, (len(places), 1, 1)) * (np.eye(2) + rng.normal(0, 0.3, (2, 2)))
        spread = root @ np.swapaxes(root, 1, 2)
        x = places + (root @ rng.normal(size=(len(places), 2, 1)))[..., 0]
        domains = find_domains(x, spread)
        strain = measure_plane_strain(x, spread, domains, "bulk" if seed % 2 else "fitted")
        cell = domains.lattices[0].cell
        cells.append((cell.lengths - truth[:2]) / cell.lengths_esd)
        z = np.column_stack([strain.tensors / strain.errors, strain.rotations / strain.rotation_errors])
        inside.append(z[~surface])
        outside.append(z[surface])
        moved.append(strain.displacements[:, 0] / np.sqrt(strain.displacement_covariances[:, 0, 0]))
    for found, tolerance in ((inside, 0.06), (outside, 0.06), (moved, 0.05)):
        assert np.sqrt(np.nanmean(np.concatenate(found) ** 2)) == pytest.approx(1, abs=tolerance)
        assert np.mean(np.isnan(np.concatenate(found))) < 0.002
    assert np.sqrt(np.mean(np.square(cells))) == pytest.approx(1, abs=0.2)
    assert np.nanmedian(strain.errors[surface]) > 1.3 * np.nanmedian(strain.errors[~surface])


def test_strain_of_perfect_lattices_and_of_a_step() -> None:
    """Nothing in a perfect lattice; 2 % beyond a step, counted from a given lattice in any setting."""
    places = disc(SILICON, DUMBBELL, 20) @ turn(12).T
    strain = measure_plane_strain(places, alike(len(places), 0.05), find_domains(places))
    assert np.percentile(np.abs(strain.tensors), 99) < 1e-9
    stepped = disc(SQUARE, radius=25)
    right = stepped[:, 0] > 0
    stepped[right, 0] *= 1.02
    for given_ in (SQUARE, turn(77) @ SQUARE @ np.array([[1, 1], [0, 1]])):
        strain = measure_plane_strain(stepped, None, find_domains(stepped), "given", given_)
        assert np.abs(strain.tensors[stepped[:, 0] > 6] - [0.02, 0, 0]).max() < 1e-9
        assert np.abs(strain.tensors[stepped[:, 0] < -6]).max() < 1e-9
        assert np.abs(strain.cells[stepped[:, 0] > 6] - [2.04, 2, 90]).max() < 1e-6


@settings(max_examples=10, deadline=None)
@given(st.floats(-180, 180))
def test_strain_turns_with_the_image(angle: float) -> None:
    """The tensor of a turned image is the turned tensor; its rotation is the same."""
    rng = np.random.default_rng(0)
    places = disc(PLATINUM, radius=10)
    places = places + 0.003 * places**2 * np.array([1, -0.5]) + rng.normal(0, 0.02, places.shape)
    turned = places @ turn(angle).T
    first, then = (measure_plane_strain(x, alike(len(x), 0.02), find_domains(x)) for x in (places, turned))
    tensors = [
        np.stack([np.stack([t[:, 0], t[:, 2]], -1), np.stack([t[:, 2], t[:, 1]], -1)], axis=1)
        for t in (first.tensors, then.tensors)
    ]
    np.testing.assert_allclose(turn(angle) @ tensors[0] @ turn(angle).T, tensors[1], atol=1e-9)
    np.testing.assert_allclose(first.rotations, then.rotations, atol=1e-7)


@pytest.mark.parametrize("kind", ["strewn", "apart"])
def test_columns_at_random_have_no_lattice(kind: str) -> None:
    """Neither columns at random nor such as keep their distances."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        points = rng.uniform(0, 20, (60, 2))
        if kind == "apart":
            for i in range(len(points)):
                while np.sum(np.linalg.norm(points - points[i], axis=1) < 1.8) > 1:
                    points[i] = rng.uniform(0, 26, 2)
        assert find_domains(points).lattices == ()


def test_few_columns_and_columns_on_a_line() -> None:
    """They have no lattice, and no strain; six neighbours of a column are enough."""
    for n in range(4):
        points = np.random.default_rng(n).uniform(0, 9, (n, 2))
        domains = find_domains(points)
        assert domains.lattices == ()
        assert np.isnan(measure_plane_strain(points, None, domains).tensors).all()
    line = np.column_stack([2.0 * np.arange(20), np.zeros(20)])
    assert find_domains(line).lattices == ()
    assert sizes(find_domains(disc(HEXAGONAL, radius=2.6))) == [7]


def test_particles_apart_and_twins_are_domains() -> None:
    """Two particles are two, even if they lie alike; a twin's columns are of one side or the other."""
    one = disc(HEXAGONAL, radius=9) @ turn(7).T
    domains = find_domains(np.concatenate([one, one + [400, 90], disc(SQUARE, radius=8) + [-40, 0]]))
    assert sizes(domains) == [len(one), len(disc(SQUARE, radius=8)), len(one)] or sorted(
        sizes(domains)
    ) == sorted([len(one), len(one), len(disc(SQUARE, radius=8))])
    along = PLATINUM[:, 0] / np.linalg.norm(PLATINUM[:, 0])
    across = np.array([-along[1], along[0]])
    half = disc(PLATINUM, radius=15)
    above = half[half @ across > -1e-6]
    mirrored = above[above @ across > 1e-6]
    mirrored = mirrored - 2 * np.outer(mirrored @ across, across)
    rng = np.random.default_rng(1)
    twin = np.concatenate([above, mirrored]) @ turn(40).T
    domains = find_domains(twin + rng.normal(0, 0.05, twin.shape))
    assert len(domains.lattices) == 2
    assert np.all(domains.membership[: len(above)][above @ across > 1e-6] == domains.membership[0])
    assert np.all(domains.membership >= 0)


def test_bad_positions_do_not_disturb_others() -> None:
    """Duplicates, positions and covariances that are not finite, a column on no site."""
    places = disc(HEXAGONAL, radius=12)
    n = len(places)
    bad = np.concatenate([places, places[:3], places[3:5] + 0.01, [[np.nan, 0], [np.inf, 1], [1.25, 0.72]]])
    domains = find_domains(bad, alike(len(bad), 0.05))
    assert sizes(domains) == [n]
    spread = alike(n, 0.05)
    spread[5] = np.nan
    strain = measure_plane_strain(places, spread, find_domains(places, spread))
    assert np.abs(strain.tensors).max() < 1e-9
    assert np.isfinite(strain.errors).all()
    whole = measure_plane_strain(places, alike(n, 0.05), find_domains(places))
    assert strain.errors[5, 0] > whole.errors[5, 0]
    nothing = measure_plane_strain(places, np.full((n, 2, 2), np.nan), find_domains(places))
    assert np.isfinite(nothing.errors).all()


def test_refusals() -> None:
    """One sentence for matrices that are no covariances, no reference."""
    places = disc(SQUARE, radius=6)
    domains = find_domains(places)
    with pytest.raises(InputError, match="symmetric and positive"):
        find_domains(places, -alike(len(places), 1.0))
    with pytest.raises(InputError, match="no lattice"):
        measure_plane_strain(places, None, domains, "given")
    with pytest.raises(InputError, match="no lattice"):
        measure_plane_strain(places, None, domains, "given", np.ones((2, 2)))
