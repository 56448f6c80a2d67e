"""Changes of an image about a state: many columns at a time, beside one at a time, and differences."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.column_heights.expansion import (
    REACH,
    STEP,
    Changer,
    Heightened,
    Moved,
    Shifted,
    changes_of_wave,
    coarse,
    condition_changes,
    expected,
    padded,
    quick_image,
    starts_of,
    wave_of,
)
from column_heights.planted import Planted, planted


@pytest.fixture(scope="module")
def it() -> Planted:
    return planted(defocus=5.0, dose=1e4, seed=3, turn=20.0, size=48)


def heightened(it: Planted) -> Heightened:
    now = it.truth.heights
    return Heightened(np.where((now > 1) & it.problem.sites.heavy, now - 1, np.nan))


def test_stamps_are_what_one_column_changes(it: Planted) -> None:
    changer = Changer(it.problem.model, it.truth)
    kinds = [heightened(it), Moved(1), Shifted()]
    found = changer.stamps(it.problem.heavy, kinds, REACH[0])
    size = found.values.shape[-1]
    inside = it.inner[it.truth.heights[it.problem.heavy[it.inner]] > 1]
    assert len(inside) >= 3
    for c in inside[:3]:
        for k, kind in enumerate(kinds):
            places, occupied, step = kind(changer, it.problem.heavy[c : c + 1])
            assert step is not None
            image = np.asarray(quick_image(it.problem.model, places, occupied, it.truth.conditions))
            alone = np.pad((image - changer.base) / step, size)
            row, column = found.corners[c] + size
            cut = alone[row : row + size, column : column + size] * (found.values[c, 0] != 0)
            # What neighbours change is seen a little in the stamp's margin.
            assert np.linalg.norm(found.values[c, k] - cut) < 0.1 * np.linalg.norm(cut)
    assert not found.values[:, :, 0, 0].any()


def test_coarse_changes_are_right_to_a_fifth(it: Planted) -> None:
    quick = coarse(it.problem.model)
    assert quick.field.wave.shape[0] < it.problem.model.field.wave.shape[0]
    kinds = [heightened(it), Moved(0)]
    close = Changer(it.problem.model, it.truth).stamps(it.problem.heavy, kinds, REACH[0]).values
    rough = Changer(quick, it.truth).stamps(it.problem.heavy, kinds, REACH[0]).values
    size = np.linalg.norm(close[it.inner], axis=(2, 3))
    # What moves where no atom is changes nothing but by rounding.
    there = size > 0.01 * size.max()
    assert there.sum() >= 6
    off = np.linalg.norm((rough - close)[it.inner], axis=(2, 3))[there] / size[there]
    assert off.max() < 0.25
    assert np.median(off) < 0.15


def test_derivatives_by_conditions_are_differences(it: Planted) -> None:
    # What cannot be negative has no derivative at its end.
    start = it.truth.conditions
    for name, value in (("blur_variance", 0.01), ("absorption", 0.02), ("background", 0.01)):
        start = start.changed(name, value)
    state = replace(it.truth, conditions=start)
    model = it.problem.model
    found = condition_changes(model, state)
    for k, prior in enumerate(start.priors):
        step = 0.05
        now = np.asarray(start.numbers, np.float64)
        up, down = (
            expected(model, replace(state, conditions=start.bounded(now + off * np.eye(len(now))[k])))
            for off in (step, -step)
        )
        slope = (up - down) / (2 * step)
        apart = model.field.shown(found[k] - slope)
        # Images are sampled less closely, and waves are on fewer points for those that change them.
        assert np.linalg.norm(apart) < 0.25 * np.linalg.norm(model.field.shown(slope)), prior.name
    places, occupied = padded(model, state)
    wave = wave_of(model, places, occupied, start)
    without = changes_of_wave(model, places, occupied, wave, start, True)
    of_wave = np.array([p.name[:2] == "b_" or p.name[:3] in ("mis", "abs") for p in start.priors])
    assert not without[of_wave].any()
    np.testing.assert_allclose(without[~of_wave], found[~of_wave], rtol=1e-5)


def test_changed_columns_keep_their_middle(it: Planted) -> None:
    starts, heights = np.array([2.0, 2.0, 0.0, 5.0]), np.array([4.0, 4.0, 8.0, 2.0])
    wanted = np.array([6.0, 3.0, 10.0, 7.0])
    # Rounded up; one place is kept free below.
    np.testing.assert_array_equal(starts_of(starts, heights, wanted, 12), [1, 3, 0, 3])
    changer = Changer(it.problem.model, it.truth)
    assert Heightened(np.full(len(it.truth.heights), np.nan))(changer, it.problem.heavy)[2] is None
    column = it.problem.heavy[it.inner[:1]]
    places, occupied, step = Moved(0)(changer, column)
    assert step == STEP
    assert np.count_nonzero(places - padded(it.problem.model, it.truth)[0]) == 1
    assert occupied is changer.occupied
