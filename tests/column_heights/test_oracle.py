"""The experiment's oracle: its image is the simulator's, and it says what one column at a time says."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from atomfit.column_heights.limit import contrasts_of, posteriors
from atomfit.simulation.hrtem import hrtem_microscope, sliced
from atomfit.waves import Microscope, exit_wave
from experiments.heights.judge import Truth, compared, matched
from experiments.heights.made import Made
from experiments.heights.measuring import as_arrays, as_heights
from experiments.heights.oracle import counts, drawn, hypotheses_of, oracle, unspread
from experiments.heights.scenes import ERRORS, GROUPS, scene
from experiments.heights.specimens import PIXEL


def small(name: str, seed: int, size: int = 48, **changes: object) -> Made:
    what = scene("CeO2", name, seed)
    options = replace(what.options, image_size=size, vacuum=0.0, missing=0.3, vacant=0.1, **changes)
    return Made(replace(what, options=options))


@pytest.mark.parametrize(
    ("name", "seed"), [("bar", 4_000_001), ("mistilt", 4_000_003), ("carbon", 4_000_002)]
)
def test_its_image_is_that_of_the_specimen(name: str, seed: int) -> None:
    made = small(name, seed)
    options = made.scene.options
    atoms, below = sliced(made.specimen, options)
    microscope = hrtem_microscope(options, made.field, made.beam, below)
    wave = jax.jit(exit_wave)(atoms, made.field, made.beam)
    image = np.asarray(made.field.shown(jax.jit(Microscope.image)(microscope, wave, made.field, made.beam)))
    assert np.array_equal(made.room.occupied.sum(axis=1), made.columns.heights)
    # Of a column that lacks an atom within, the gap is known.
    lacking = (made.columns.missing > 0) & (made.columns.heights > 0)
    assert not np.any(made.room.gaps[~lacking] >= 0)
    np.testing.assert_allclose(made.expected, image, atol=2e-3)


def test_many_columns_at_a_time_say_what_one_says() -> None:
    made, scale = small("bar", 4_000_001, 72), 300 * PIXEL**2

    def see(occupancies: np.ndarray) -> np.ndarray:
        return np.asarray(made.see(occupancies))[None]

    # Two of each column's heights beside the true one are enough.
    every = hypotheses_of(made)
    near = np.abs(every.heights - made.columns.heights[:, None]) <= 1
    every = replace(every, heights=np.where(near, every.heights, -1))
    few = np.argsort(np.abs(made.columns.positions - 7).sum(axis=1))[:2]
    one = replace(every, **{k: getattr(every, k)[few] for k in ("places", "members", "present", "heights")})
    electrons = np.stack([drawn(made.expected, made.scene.seed, 300.0, n) for n in range(2)])
    slow = posteriors(contrasts_of(one, see, PIXEL, apart=1e3, reach=1e3), electrons, scale)
    quick = posteriors(contrasts_of(every, see, PIXEL), electrons, scale)[:, few]
    assert np.any((slow > 0.02) & (slow < 0.98))
    np.testing.assert_allclose(quick[..., : slow.shape[2]], slow, atol=0.03)


def test_many_electrons_tell_every_height() -> None:
    made = small("bar", 4_000_001, 32)
    told = oracle(made, (10.0, 1e6), 2)
    assert np.all(told[1].argmax(axis=2) == made.columns.heights)
    assert np.all(told[0].max(axis=2) < 0.9)
    np.testing.assert_allclose(told.sum(axis=3), 1, rtol=1e-5)


def test_beginnings_that_fit_are_tried_and_truth_is_among_them() -> None:
    made = small("bar", 4_000_001)
    for starts in ("known", "unknown"):
        hypotheses = hypotheses_of(made, starts)
        for c, height in enumerate(made.columns.heights):
            of = hypotheses.present[c][hypotheses.heights[c] == height]
            assert np.any(np.all(of == made.room.occupied[c], axis=1))
            assert np.all(of.sum(axis=1) == height)


def test_correlated_noise_comes_of_the_same_electrons() -> None:
    expected = np.full((32, 32), 1.0, np.float32)
    image = counts(expected, 5, 1e3, 0.7)
    mean = 1e3 * PIXEL**2
    np.testing.assert_allclose(
        unspread(image - mean, 0.7) + mean, drawn(expected, 5, 1e3, 0), rtol=0, atol=1e-3
    )
    np.testing.assert_allclose(counts(expected, 5, 1e3, 1.0), drawn(expected, 5, 1e3, 0), atol=1e-3)


def test_planted_errors_leave_all_else_as_it_is() -> None:
    seed = GROUPS["choose"] + 7
    bar = scene("CeO2", "bar", seed)
    for error in ERRORS:
        made = scene("CeO2", error, seed)
        differ = {k for k in vars(bar.options) if getattr(bar.options, k) != getattr(made.options, k)}
        differ |= {k for k in ("background", "b_scale", "beyond") if getattr(bar, k) != getattr(made, k)}
        assert 1 <= len(differ) <= 2, error
        together = scene("CeO2", "all", seed)
        assert all(
            getattr(made.options, k, 0) == getattr(together.options, k, 0)
            for k in differ
            if hasattr(made.options, k) and k != "background"
        )


def test_what_is_found_is_scored_as_by_hand() -> None:
    from atomfit.column_heights.found import Condition, Heights

    truth = Truth(
        np.array([[3.0, 3], [6, 3], [9, 3], [3, 9], [0.5, 6]]),
        np.array([2, 3, 0, 1, 1]),
        np.array([0, 1, 3, 0, 0]),
        np.array([False, True, True, False, False]),
        np.array([60, 60]),
    )
    p = np.full((4, 5), 0.05)
    p[[0, 1, 2, 3], [2, 2, 1, 4]] = 0.8
    # One exact, one off by one, one at a vacant column, one where there is none.
    places = np.array([[3.1, 3], [6, 3.2], [9, 3], [9, 9]])
    nan = np.full(4, np.nan)
    found = Heights(
        places,
        np.full((4, 2), 0.1),
        p,
        nan,
        nan,
        np.ones(4, bool),
        (Condition("defocus", "nm", 4.0, 0.5),),
        1.0,
        1.0,
    )
    c = compared(as_heights(as_arrays(found)), truth, {"defocus": 5.0}, None, 1.5)
    assert c.truth.tolist() == [2, 3, 0, 1]
    assert c.found.tolist() == [2, 2, 1, -1]
    assert c.false.tolist() == [2]
    # Three heights hold 90 %: the likeliest, and the first two of those that are alike.
    assert c.in_set.tolist() == [True, False, True, False]
    assert c.size.tolist() == [3, 3, 3, 0]
    np.testing.assert_allclose(c.said, [0.9, 0.9, 0.9, 0])
    np.testing.assert_allclose(c.errors[:2], [[0.1, 0], [0, 0.2]], atol=1e-12)
    np.testing.assert_allclose(c.conditions[0, 0], [-1.0, 0.5])
    assert len(matched(truth.positions, np.zeros((0, 2)))) == 0
