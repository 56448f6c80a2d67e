"""Counts of atoms in columns: planted truth, slow obvious references, and what must change nothing."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import multivariate_normal, norm

from atomfit.statistics import Counts, CredibleSets, Library, Smoothness, count_atoms
from atomfit.statistics.count_law import Law
from atomfit.statistics.count_likelihood import Measured, normalised
from atomfit.statistics.count_modes import _laplace
from atomfit.statistics.count_neighbours import find_smoothness, groups, propagate_counts
from atomfit.support.errors import InputError

STEPS = 0.024 * np.exp(-0.02 * np.arange(14)) * (1 + 0.2 * np.cos(np.arange(14) / 1.7))
LIBRARY = Library(np.cumsum(STEPS))
SIDE = 9
PLACES = 2.8 * np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)


def planted(seed: int, dose: float, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of a pyramid of 1 to 11 atoms, cross-sections and their uncertainties."""
    rng = np.random.default_rng(seed)
    height = 11 - 1.2 * np.sum(np.abs(PLACES / 2.8 - 4), axis=1)
    counts = np.clip(np.round(height + rng.normal(0, 0.4, len(PLACES))), 1, 11).astype(int)
    values = rng.poisson(dose * scale * LIBRARY.cross_sections[counts - 1]) / dose
    return counts, values, np.sqrt(values / dose)


def test_counts_and_the_scale_are_found() -> None:
    counts, values, esds = planted(1, 2e4, 0.97)
    found = count_atoms(values, esds, library=LIBRARY)
    assert np.array_equal(found.most_likely, counts)
    assert found.scale == pytest.approx(0.97, abs=3 * found.scale_esd)
    assert found.total == pytest.approx(counts.sum(), abs=2)
    assert found.law == pytest.approx(0.97 * LIBRARY.cross_sections[: len(found.law)], rel=0.02)
    assert not found.notes
    assert len(found.alternatives) == 1
    assert found.alternatives[0].total == counts.sum()


def test_counts_are_found_without_a_library() -> None:
    counts, values, esds = planted(2, 2e4)
    found = count_atoms(values, esds)
    assert np.mean(found.most_likely == counts) > 0.97
    assert np.isnan(found.scale)
    assert found.alternatives[0].probability > 0.8


def test_an_open_scale_is_said_to_be_open() -> None:
    """At this dose no comb is seen: the total's error holds the truth, and alternatives are told."""
    counts, values, esds = planted(3, 500)
    found = count_atoms(values, esds)
    assert abs(found.total - counts.sum()) < 2.5 * found.total_esd
    assert found.total_esd > 0.1 * found.total
    assert len(found.alternatives) > 1
    assert "the scale of counts is open" in found.notes[0]
    # Wider than what columns err by themselves, by which the total would be known to 2 %.
    assert found.total_esd > 3 * np.sqrt(len(values))


def test_neighbours_help_and_remain_calibrated() -> None:
    alone, near, sure = [], [], []
    for seed in range(3):
        counts, values, esds = planted(seed, 1e3)
        alone.append(count_atoms(values, esds, library=LIBRARY).most_likely == counts)
        found = count_atoms(values, esds, library=LIBRARY, positions=PLACES)
        near.append(found.most_likely == counts)
        sure.append(found.probability)
        assert found.smoothness is not None
    assert np.mean(near) > np.mean(alone) + 0.05
    assert np.mean(near) == pytest.approx(np.mean(sure), abs=0.08)


def same(one: Counts, other: Counts, order: np.ndarray | slice = slice(None)) -> bool:
    return bool(
        np.allclose(one.probabilities[order], other.probabilities, atol=1e-6)
        and np.isclose(one.total, other.total)
        and np.isclose(one.total_esd, other.total_esd)
    )


@pytest.mark.parametrize(("known", "near"), [(True, True), (True, False), (False, False)])
def test_order_and_units_change_nothing(known: bool, near: bool) -> None:
    _, values, esds = (given[:30] for given in planted(4, 3e3))
    library, positions = LIBRARY if known else None, PLACES[:30] if near else None
    found = count_atoms(values, esds, library=library, positions=positions)
    order = np.random.default_rng(0).permutation(len(values))
    again = count_atoms(
        values[order],
        esds[order],
        library=library,
        positions=None if positions is None else positions[order],
    )
    assert same(found, again, order)
    # A power of two, so that no digit differs.
    larger = Library(64 * LIBRARY.cross_sections) if known else None
    scaled = count_atoms(64 * values, 64 * esds, library=larger, positions=positions)
    assert same(found, scaled)
    assert scaled.law == pytest.approx(64 * found.law)


def test_one_column_is_bayes_formula() -> None:
    """With a scale and a shape that are known there is nothing but a prior and a normal distribution."""
    library = Library(LIBRARY.cross_sections, 1e-6)
    y, esd = np.array([0.1]), np.array([0.02])
    found = count_atoms(y, esd, library=library)
    unit = float(STEPS[:10].mean())
    measured = Measured.of(y / unit, esd / unit)
    means = LIBRARY.cross_sections / unit
    prior = measured.prior(means[None])[0]
    scatter, part = np.array([0.0, 0.12, 0.25, 0.4]), found.probabilities.shape[1]
    widths = np.hypot(0.02 / unit, scatter)
    wide = np.hypot(widths, 1.0)
    density = 0.98 * norm.pdf(y / unit, means, widths[:, None]) + 0.02 * norm.pdf(
        y / unit, means, wide[:, None]
    )
    expected = np.exp(-scatter / 0.1) @ (density * prior)
    # Steps are known to one per cent only, and laws are drawn.
    assert found.probabilities[0] == pytest.approx((expected / expected.sum())[:part], abs=0.02)


def laws(seed: int) -> tuple[Measured, np.ndarray, np.ndarray]:
    """Cross-sections in units of an atom, laws of small and large steps, and scatters."""
    rng = np.random.default_rng(seed)
    _, values, esds = planted(seed, 2e3)
    measured = Measured.of(values / 0.024, esds / 0.024)
    means = np.geomspace(0.3, 12, 40)[:, None] * np.cumsum(rng.uniform(0.8, 1.2, (40, 30)), axis=1)
    return measured, means, rng.choice([0.0, 0.12, 0.25], 40)


def test_shares_are_those_of_logarithms() -> None:
    """The fast way beside the formulas, law by law in batches that hold each once."""
    measured, means, scatter = laws(1)
    logs, inverse = measured.log_joint(means, scatter)
    parts, evidence = normalised(logs)
    seen = []
    for batch in measured.batches(means):
        own, weights, logs_of = measured.shares(means[batch], scatter[batch])
        last = own.shape[2]
        assert own == pytest.approx(parts[batch][..., :last], abs=1e-12)
        assert np.max(parts[batch][..., last:], initial=0) < 1e-12
        assert weights == pytest.approx((parts * inverse)[batch][..., :last], rel=1e-9, abs=1e-12)
        assert logs_of == pytest.approx(evidence[batch], rel=1e-12)
        assert last < 30 or means[batch].max() < 20
        seen += batch.tolist()
    assert sorted(seen) == list(range(40))


def test_shares_of_a_law_that_is_far_from_all() -> None:
    """Probabilities that no number holds are compared by their logarithms."""
    measured = Measured.of(np.array([1.0, 2.0, 90.0]), np.full(3, 0.1))
    means = np.array([[1.0, 2.0, 3.0]])
    logs, _ = measured.log_joint(means, np.zeros(1))
    parts, evidence = normalised(logs)
    own, weights, logs_of = measured.shares(means, np.zeros(1))
    assert own == pytest.approx(parts, abs=1e-12)
    assert np.isfinite(weights).all()
    assert logs_of == pytest.approx(evidence)


def test_propagation_is_the_sum_over_all_counts() -> None:
    places = np.array([[0.0, 0.0], [2.8, 0.0], [0.0, 2.8], [2.8, 2.8]])
    covariance = Smoothness(2.0, 8.0, 0.5).covariance(places)
    counts = np.arange(1, 8)
    logs = norm.logpdf(np.array([3.2, 2.4, 4.1, 3.3])[:, None], counts, 0.8)
    found, spoken = propagate_counts(covariance, logs)
    every = np.array(list(product(range(7), repeat=4)))
    inverse = np.linalg.inv(covariance)
    values = counts[every]
    joint = np.exp(
        logs[np.arange(4), every].sum(axis=1) - 0.5 * np.einsum("ai,ij,aj->a", values, inverse, values)
    ) / np.sqrt(np.linalg.det(2 * np.pi * covariance))
    total = values.sum(axis=1)
    mean = np.average(total, weights=joint)
    marginals = [[joint[every[:, i] == k].sum() for k in range(7)] for i in range(4)]
    assert found.probabilities == pytest.approx(np.array(marginals) / joint.sum(), abs=0.01)
    assert found.log_evidence == pytest.approx(np.log(joint.sum()), abs=0.05)
    assert found.total_variance == pytest.approx(np.average((total - mean) ** 2, weights=joint), rel=0.05)
    # Where it ends does not depend on where it began.
    other = propagate_counts(covariance, logs[::-1])[1]
    again, _ = propagate_counts(covariance, logs, other)
    assert again.probabilities == pytest.approx(found.probabilities, abs=1e-4)
    assert again.log_evidence == pytest.approx(found.log_evidence, abs=1e-4)
    assert propagate_counts(covariance, logs, spoken)[0].total_variance == pytest.approx(
        found.total_variance, rel=1e-3
    )


def test_strength_of_neighbours_is_found() -> None:
    rng = np.random.default_rng(5)
    planted_smoothness = Smoothness(4.0, 14.0, 0.5)
    places = 2.8 * np.stack(np.meshgrid(np.arange(15), np.arange(15)), axis=-1).reshape(-1, 2).astype(float)
    smooth = planted_smoothness.covariance(places) - 1600.0
    thickness = 12 + np.linalg.cholesky(smooth + 1e-9 * np.eye(225)) @ rng.standard_normal(225)
    measured = thickness + rng.normal(0, 0.3, 225)
    found = find_smoothness(places, measured, np.full(225, 0.09))
    assert found.roughness == pytest.approx(0.5, rel=0.25)
    assert found.length == pytest.approx(14, rel=0.5)
    rough = find_smoothness(places, 12 + rng.normal(0, 3, 225), np.full(225, 0.09))
    # Nothing to learn from neighbours: all of it is roughness, or a length below that to the next.
    assert rough.roughness > 2 or rough.length < 2.8


def test_the_strength_is_the_likeliest() -> None:
    """No change of it makes thicknesses, with what was known of it, more likely: a formula written anew."""
    rng = np.random.default_rng(6)
    places, variances = 2.8 * rng.random((60, 2)) * 8, rng.uniform(0.05, 0.4, 60)
    thickness = 8 - 0.05 * np.sum((places - 11) ** 2, axis=1) + rng.normal(0, 0.7, 60)
    found = find_smoothness(places, thickness, variances)
    spacing = np.median(cKDTree(places).query(places, k=2)[0][:, 1])
    medians = np.array([0.5 * thickness.max(), 5 * spacing, 0.6])

    def log_density(factors: np.ndarray) -> float:
        rough = np.sqrt(found.roughness**2 - 0.3**2)
        given = factors * [found.amplitude, found.length, rough]
        tried = Smoothness(given[0], given[1], float(np.hypot(given[2], 0.3)))
        matrix = tried.covariance(places) + np.diag(variances)
        known = np.sum((np.log(given / medians) / 0.7) ** 2)
        return float(multivariate_normal(np.zeros(60), matrix).logpdf(thickness) - 0.5 * known)

    best = log_density(np.ones(3))
    for i, factor in product(range(3), (0.93, 1.07)):
        assert log_density(np.where(np.arange(3) == i, factor, 1.0)) < best


def test_groups_hold_each_column_once() -> None:
    places = np.random.default_rng(0).random((900, 2))
    found = list(groups(places))
    assert sorted(np.concatenate(found).tolist()) == list(range(900))
    assert max(map(len, found)) <= 250


def test_many_laws_and_columns_need_little_memory() -> None:
    """300 laws of 600 columns and 50 counts: one array of all would be 72 MB."""
    rng = np.random.default_rng(7)
    values = rng.uniform(0.5, 12, 600)
    measured, law = Measured.of(values, np.sqrt(0.04 * values)), Law.unknown(12.0, 50)
    z = rng.normal(0, 0.5, (300, law.basis.shape[1]))
    tracemalloc.start()
    evidence, _ = _laplace(measured, law, z, np.zeros(300))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(evidence).all()
    assert peak < 20e6


def test_a_set_is_the_shortest_that_holds_enough() -> None:
    probabilities = np.random.default_rng(1).dirichlet(np.full(8, 0.7), size=50)
    found = CredibleSets.of(probabilities, 0.68)
    for row, low, high, held in zip(probabilities, found.low, found.high, found.held, strict=True):
        assert held == pytest.approx(row[low - 1 : high].sum())
        assert held >= 0.68
        shorter = [row[i : i + high - low].sum() for i in range(8 - (high - low) + 1)]
        assert max(shorter) < 0.68


def test_columns_beyond_the_library_are_flagged() -> None:
    counts, values, esds = planted(1, 2e4)
    found = count_atoms(values, esds, library=Library(LIBRARY.cross_sections[:6]))
    assert np.array_equal(found.beyond, found.most_likely > 6)
    assert np.mean(found.most_likely[counts <= 6] == counts[counts <= 6]) > 0.95
    assert any("more atoms than the library's 6" in note for note in found.notes)
    count_atoms(values, esds, library=Library(LIBRARY.cross_sections[:2]))


def test_smudges_and_a_wrong_library_are_told() -> None:
    counts, values, esds = planted(6, 2e4)
    values = np.r_[values, 0.004]
    found = count_atoms(values, np.r_[esds, 0.0005], library=LIBRARY)
    assert np.mean(found.most_likely[:-1] == counts) > 0.97
    assert any("fainter than one atom of the library by more than noise: 1" in note for note in found.notes)
    far = count_atoms(values, np.r_[esds, 0.0005], library=Library(1.12 * LIBRARY.cross_sections))
    assert any(
        "the library does not fit" in note or "scale of counts is open" in note for note in far.notes
    )


def test_smudges_do_not_say_what_an_atom_scatters() -> None:
    """Eight faint bumps of a film among 81 columns, without a library."""
    counts, values, esds = planted(2, 1e4)
    smudges = np.linspace(0.004, 0.008, 8)
    found = count_atoms(np.r_[values, smudges], np.r_[esds, smudges / 3])
    assert np.mean(found.most_likely[:-8] == counts) > 0.95
    assert abs(found.total - counts.sum()) < 2.5 * found.total_esd
    assert any("may be none: 8" in note for note in found.notes)


GOOD = np.linspace(0.02, 0.2, 10)


@pytest.mark.parametrize(
    ("values", "esds", "words"),
    [
        (np.r_[GOOD, -0.1], np.full(11, 0.01), "the cross-section of column 11 is -0.1"),
        (np.r_[0.0, 0.0, GOOD], np.full(12, 0.01), "and those of 1 more"),
        (np.r_[np.nan, GOOD], np.full(11, 0.01), "cross-section of column 1 is nan"),
        (GOOD, np.r_[np.full(9, 0.01), np.nan], "standard uncertainty of column 10 is nan"),
        (GOOD, np.r_[0.0, np.full(9, 0.01)], "standard uncertainty of column 1 is 0"),
        (GOOD, np.full(4, 0.01), "10 cross-sections have 4 uncertainties"),
        (GOOD[:0], GOOD[:0], "there is no column"),
        (1e-3 * GOOD, np.full(10, 1e-5), "is less than the library's"),
        (1e4 * GOOD, np.full(10, 1.0), "would be that of"),
    ],
)
def test_what_cannot_be_counted_is_refused(values: np.ndarray, esds: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        count_atoms(values, esds, library=LIBRARY)


def test_few_columns_need_a_library() -> None:
    with pytest.raises(InputError, match="give a library"):
        count_atoms(GOOD[:1], GOOD[:1])
    with pytest.raises(InputError, match="positions of shape"):
        count_atoms(GOOD, GOOD, positions=PLACES[:3])
    with pytest.raises(InputError, match="lie in one place"):
        count_atoms(GOOD, GOOD, positions=np.r_[PLACES[:9], PLACES[:1]])


@pytest.mark.parametrize("values", [[0.02], [0.02, 0.01], [0.02, 0.02], [-0.1, 0.2], [0.1, np.nan]])
def test_libraries_that_are_none(values: list[float]) -> None:
    with pytest.raises(InputError):
        Library(np.array(values))
