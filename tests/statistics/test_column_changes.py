"""Columns of two images compared, against planted changes. Seeds below 100 were used to choose methods."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from atomfit.simulation.changed_columns import ChangedColumns, ColumnChanges, changed_columns
from atomfit.statistics.brightness_ratio import brightness_ratio
from atomfit.statistics.column_changes import ColumnComparison, compare_columns
from atomfit.statistics.image_columns_seen import detection_limit, inside
from atomfit.statistics.plane_maps import MIRROR, USUAL, PlaneMap, fit_plane_map
from atomfit.support.errors import InputError

CHANGES = ColumnChanges(lost=0.05, gained=0.05, recounted=0.1, moved=0.2)


def off(case: ChangedColumns, found: ColumnComparison) -> float:
    """Root mean square error of registration along an axis (Å)."""
    apart = found.b_positions - case.motion(case.b.positions)
    return float(np.sqrt(np.mean(apart**2)))


@pytest.mark.parametrize("dose", [1e3, 1e4])
def test_unchanged_pairs_have_uniform_p_values(dose: float) -> None:
    moved, changed, together = [], [], []
    for seed in range(100, 106):
        case = changed_columns(seed, 150, dose)
        found = compare_columns(case.a, case.b)
        assert off(case, found) < 0.02
        assert found.registration.equals == 0
        moved += found.paired.p_moved.tolist()
        changed += found.paired.p_changed.tolist()
        together += found.p.tolist()
    for p in (moved, changed, together):
        assert len(p) > 850
        assert kstest(p, "uniform").pvalue > 0.01
        assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_planted_changes_are_found_at_the_rate_asked_for() -> None:
    rows: Counter[tuple[str, str]] = Counter()
    false, right, probable = [], [], []
    for seed in range(110, 118):
        case = changed_columns(seed, 150, 1e5, CHANGES)
        found = compare_columns(case.a, case.b, fdr=0.05)
        assert found.registration.motion.alike(case.motion, case.b.positions.mean(axis=0))
        kinds = case.became(found.first, found.second)
        rows.update(zip(kinds.tolist(), found.statuses, strict=True))
        called = found.q < 0.05
        false.append(float(np.mean(kinds[called] == "common")))
        known = np.isfinite(found.probability)
        probable += found.probability[known].tolist()
        right += (kinds == np.array(found.statuses))[known].tolist()
    of = {kind: sum(n for (k, _), n in rows.items() if k == kind) for kind in {k for k, _ in rows}}
    for kind in ("lost", "gained", "moved", "changed"):
        assert rows[kind, kind] >= 0.97 * of[kind] > 0
    assert np.mean(false) < 0.08
    # Statuses are right as often as their probabilities say.
    assert np.mean(right) == pytest.approx(np.mean(probable), abs=0.01)


def test_statuses_are_as_probable_as_they_are_right() -> None:
    right, probable = [], []
    for seed in range(120, 128):
        case = changed_columns(seed, 150, 3e3, CHANGES)
        found = compare_columns(case.a, case.b)
        known = np.isfinite(found.probability)
        probable += found.probability[known].tolist()
        right += (case.became(found.first, found.second) == np.array(found.statuses))[known].tolist()
    p, hit = np.array(probable), np.array(right)
    for low, high in ((0.3, 0.7), (0.7, 0.9), (0.9, 1.01)):
        within = (p >= low) & (p < high)
        assert within.sum() > 30
        error = np.sqrt(np.mean(p[within] * (1 - p[within])) / within.sum())
        assert hit[within].mean() == pytest.approx(p[within].mean(), abs=4 * error + 0.02)


def test_atoms_gained_are_counted() -> None:
    case = changed_columns(130, 200, 1e5, ColumnChanges(recounted=0.2))
    found = compare_columns(case.a, case.b)
    assert found.atoms is not None
    gained = case.atoms_b[found.paired.second] - case.atoms_a[found.paired.first]
    assert np.mean(found.atoms.likeliest == gained) > 0.97
    np.testing.assert_allclose(found.atoms.probabilities.sum(axis=1), 1.0, atol=1e-9)
    assert found.atoms.expected.sum() == pytest.approx(gained.sum(), abs=3.0)


def test_without_counts_cross_sections_tell() -> None:
    case = changed_columns(131, 200, 1e5, ColumnChanges(recounted=0.2))
    a, b = (replace(one, probabilities=None, law=None) for one in (case.a, case.b))
    found = compare_columns(a, b)
    assert found.atoms is None
    changed = case.became(found.first, found.second) == "changed"
    assert np.mean(found.changed[changed]) > 0.9
    probable = found.of_pairs(found.paired.changed_probability)
    assert np.mean(probable[changed] > 0.5) > 0.9


def test_one_image_is_the_other_exchanged() -> None:
    case = changed_columns(132, 150, 1e5, CHANGES)
    one, other = compare_columns(case.a, case.b), compare_columns(case.b, case.a)
    swap = {"lost": "gained", "gained": "lost"}
    here = Counter(one.statuses)
    there = Counter(swap.get(status, status) for status in other.statuses)
    assert sum((here - there).values()) <= 2
    assert one.paired.brightness.value * other.paired.brightness.value == pytest.approx(1.0, abs=1e-3)


def test_a_mirrored_image_is_laid_on_if_it_is_asked_for() -> None:
    case = changed_columns(133, 150, 1e4)
    turned = replace(case.b, positions=case.b.positions @ MIRROR)
    found = compare_columns(case.a, turned, mirror=True)
    assert found.registration.motion.mirrored
    assert off(case, found) < 0.02
    assert found.count("common") > 0.95 * len(case.a)
    assert compare_columns(case.a, turned).count("common") < 0.9 * len(case.a)


def test_symmetric_outlines_are_told() -> None:
    """A hexagon of equal columns: six rotations are as good; mirrors are not asked for."""
    i, j = (x.ravel() for x in np.meshgrid(np.arange(-5, 6), np.arange(-5, 6)))
    sites = np.stack([2.5 * (i + j / 2), 2.5 * 3**0.5 / 2 * j], axis=1)[np.abs(i + j) <= 5]
    case, rng = changed_columns(134, 100), np.random.default_rng(0)
    n, kept = len(sites), slice(0, len(sites))
    flat = {
        name: getattr(case.a, name)[kept]
        for name in ("ids", "symbols", "scores", "false", "widths", "facets")
    }
    images = [
        replace(
            case.a,
            **flat,
            positions=sites + rng.normal(0, 0.02, (n, 2)),
            cross_sections=1 + rng.normal(0, 0.01, n),
            cross_section_esds=np.full(n, 0.01),
            covariances=np.tile(4e-4 * np.eye(2), (n, 1, 1)),
            probabilities=None,
            law=None,
        )
        for _ in range(2)
    ]
    found = compare_columns(images[0], images[1])
    assert found.registration.equals == 5
    assert found.registration.motion.angle < 5


def test_faint_columns_and_those_outside_are_no_changes() -> None:
    case = changed_columns(135, 200, 1e3)
    # The second image ends in the middle of the particle, and shows thick columns only.
    middle = np.median(case.b.positions[:, 0])
    shown = (case.b.positions[:, 0] < middle) & (case.atoms_b > 4)
    kept = np.flatnonzero(shown)
    fields = ("ids", "positions", "covariances", "cross_sections", "cross_section_esds")
    cut = {name: getattr(case.b, name)[kept] for name in (*fields, "widths", "facets", "probabilities")}
    corners = np.stack([case.b.positions.min(axis=0) - 5, [middle, case.b.positions[:, 1].max() + 5]])
    # Noise as large as a column of three atoms: thinner ones are not to be seen.
    half = replace(
        case.b,
        **cut,
        symbols=("Pt",) * len(kept),
        false=np.full(len(kept), np.nan),
        scores=np.full(len(kept), np.nan),
        corners=corners,
    )
    found = compare_columns(case.a, half)
    assert not detection_limit(half).known
    assert found.count("lost") <= 1
    assert found.count("outside") > 60
    assert found.count("unseen") > 5
    bare = replace(half, corners=None)
    beyond = case.motion(np.array([[middle + 15, 0.0]]))
    assert not inside(bare, np.linalg.solve(case.motion.matrix, (beyond - case.motion.translation).T).T)[0]


def test_error_bars_that_are_too_small_are_calibrated() -> None:
    case = changed_columns(136, 200, 1e4)
    a, b = (
        replace(one, covariances=one.covariances / 4, cross_section_esds=one.cross_section_esds / 2)
        for one in (case.a, case.b)
    )
    found = compare_columns(a, b)
    assert found.paired.scale.value == pytest.approx(2.0, abs=4 * found.paired.scale.esd)
    scale = found.paired.brightness_scale
    assert scale.value == pytest.approx(2.0, abs=4 * scale.esd)
    assert np.mean(np.array(found.statuses) != "common") > 0.1
    assert np.mean(np.array(compare_columns(a, b, calibrate=True).statuses) != "common") < 0.02


def test_columns_marked_by_hand_have_positions_only() -> None:
    case = changed_columns(137, 150, 1e5, ColumnChanges(lost=0.05, gained=0.05))
    a, b = (
        replace(
            one,
            covariances=np.full((len(one), 2, 2), np.nan),
            cross_sections=np.full(len(one), np.nan),
            cross_section_esds=np.full(len(one), np.nan),
            scores=np.full(len(one), np.nan),
            false=np.full(len(one), np.nan),
            probabilities=None,
            law=None,
        )
        for one in (case.a, case.b)
    )
    found = compare_columns(a, b)
    assert found.tested == 0
    kinds = case.became(found.first, found.second)
    assert np.mean(kinds == np.array(found.statuses)) > 0.98


def test_a_map_is_known_as_well_as_it_says() -> None:
    rng = np.random.default_rng(7)
    a = rng.uniform(-30, 30, (120, 2))
    truth_ = PlaneMap(np.array([[0.6, -0.8], [0.8, 0.6]]) @ np.diag([1.01, 0.995]), np.array([3.0, -2.0]))
    b = (a - truth_.translation) @ np.linalg.inv(truth_.matrix).T
    spread = np.tile(0.05**2 * np.eye(2), (120, 1, 1))
    scores = []
    for _ in range(400):
        noisy = [x + rng.normal(0, 0.05, x.shape) for x in (a, b)]
        found = fit_plane_map(noisy[0], noisy[1], spread, spread, USUAL)
        off = found.motion(b)[:3] - a[:3]
        scores += np.einsum("ni,nij,nj->n", off, np.linalg.inv(found.spread(a[:3])), off).tolist()
    # Of two degrees of freedom; 400 such means err by a tenth.
    assert np.mean(scores) == pytest.approx(2.0, abs=0.3)


def test_the_prior_holds_where_columns_say_nothing() -> None:
    """Columns along a line do not tell what the image does across it."""
    a = np.stack([np.linspace(-10, 10, 9), np.zeros(9)], axis=1)
    spread = np.tile(0.01**2 * np.eye(2), (9, 1, 1))
    found = fit_plane_map(a, a, spread, spread, USUAL)
    np.testing.assert_allclose(found.motion.matrix, np.eye(2), atol=1e-6)
    assert 0.005 < found.esds["magnification"] < 0.021


def test_brightness_is_not_led_by_changes() -> None:
    rng = np.random.default_rng(8)
    s = rng.uniform(1, 10, 200)
    t = 3.0 * s
    t[:30] *= 1.5
    noisy = s * (1 + 0.02 * rng.normal(size=200)), t * (1 + 0.02 * rng.normal(size=200))
    found = brightness_ratio(*noisy, 0.02 * s, 0.02 * t)
    assert found.value == pytest.approx(3.0, abs=4 * found.esd)
    assert found.esd == pytest.approx(3.0 * 0.02 * (2 / 170) ** 0.5, rel=0.15)
    assert not found.used[:30].any()


def test_images_of_other_units_are_refused() -> None:
    case = changed_columns(138, 100)
    with pytest.raises(InputError, match="nm taken for Å"):
        compare_columns(case.a, replace(case.b, positions=10 * case.b.positions))
