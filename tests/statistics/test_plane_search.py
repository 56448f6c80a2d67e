"""Columns laid on each other where lattices fill both images, and where there are many of them."""

import numpy as np
import pytest

from atomfit.simulation.changed_columns import changed_columns
from atomfit.statistics.column_changes import ColumnComparison, compare_columns
from atomfit.statistics.image_columns_seen import ImageColumns, inside
from atomfit.verdict.of_column_comparison import judge_column_comparison

_STEP = np.array([2.8, 0.0])


def crystal(name: str, shift: np.ndarray, sizes: np.ndarray, corners: bool, seed: int) -> ImageColumns:
    """What an image of 50 Å shows of a lattice that goes on beyond it, `shift` further."""
    rng = np.random.default_rng(seed)
    i, j = (x.ravel() for x in np.meshgrid(np.arange(-30, 31), np.arange(-20, 21)))
    sites = np.stack([2.8 * i + 1.4 * (j % 2), 2.8 * 0.75**0.5 * j], axis=1) - shift
    seen = np.all(np.abs(sites) < 25, axis=1)
    n = int(seen.sum())
    unknown = np.full(n, np.nan)
    return ImageColumns(
        name,
        np.arange(1, n + 1),
        ("Pt",) * n,
        sites[seen] + rng.normal(0, 0.03, (n, 2)),
        np.tile(0.03**2 * np.eye(2), (n, 1, 1)),
        sizes[: len(sites)][seen] + rng.normal(0, 0.05, n),
        np.full(n, 0.05),
        *(unknown, unknown, unknown, np.zeros(n, int)),
        corners=np.array([[-26.0, -26.0], [26.0, 26.0]]) if corners else None,
    )


def laid_at(found: ColumnComparison) -> np.ndarray:
    return found.registration.motion(np.zeros((1, 2)))[0]


@pytest.mark.parametrize(("cells", "corners"), [(1, False), (3, True), (5, False)])
def test_counts_tell_which_cell_is_which(cells: int, corners: bool) -> None:
    sizes = np.random.default_rng(5).integers(3, 7, 5000).astype(float)
    a = crystal("a", np.zeros(2), sizes, corners, 1)
    b = crystal("b", cells * _STEP, sizes, corners, 2)
    found = compare_columns(a, b)
    np.testing.assert_allclose(laid_at(found), cells * _STEP, atol=0.02)
    assert not found.registration.others
    # What the frames do not share is beyond them, and no change.
    assert found.count("outside") > 20 * cells
    assert found.count("lost") + found.count("gained") + found.count("changed") <= 1


def test_steps_that_nothing_tells_apart_are_said() -> None:
    sizes = np.full(5000, 5.0)
    a, b = (crystal(name, k * _STEP, sizes, True, k) for k, name in enumerate("ab", start=3))
    found = compare_columns(a, b)
    assert len(found.registration.others) > 20
    steps = np.array([other(np.zeros((1, 2)))[0] for other in found.registration.others])
    assert np.linalg.norm(steps - _STEP, axis=1).min() < 0.1
    verdict = judge_column_comparison(found)
    assert verdict.level == "doubtful"
    assert "frame" in [finding.code for finding in verdict.findings]


def test_many_columns_are_laid_right() -> None:
    case = changed_columns(140, 2500, 1e4)
    found = compare_columns(case.a, case.b)
    apart = found.b_positions - case.motion(case.b.positions)
    assert np.sqrt(np.mean(apart**2)) < 0.002
    assert not found.registration.others
    assert found.count("common") == len(case.a)


def test_columns_that_fill_a_rectangle_end_where_the_image_does() -> None:
    image = crystal("a", np.zeros(2), np.full(5000, 5.0), False, 1)
    assert inside(image, np.array([[24.0, 0.0]]))[0]
    assert not inside(image, np.array([[27.0, 0.0]]))[0]
    # The same rectangle with its corners cut is a particle's outline.
    kept = np.abs(image.positions).sum(axis=1) < 36
    cut = ImageColumns(
        image.name,
        image.ids[kept],
        ("Pt",) * int(kept.sum()),
        *(getattr(image, name)[kept] for name in ("positions", "covariances", "cross_sections")),
        *(getattr(image, name)[kept] for name in ("cross_section_esds", "scores", "false", "widths")),
        image.facets[kept],
    )
    assert inside(cut, np.array([[27.0, 0.0]]))[0]
