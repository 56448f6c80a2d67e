"""Verdicts on planted heights: each thing that speaks against them, alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from atomfit.column_heights import Condition, FoundGain, Heights
from atomfit.column_heights.found import independent_draws
from atomfit.column_heights.gain import find_gain
from atomfit.structure.crystals import crystal, zone_columns
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_heights import judge_heights

CERIA = zone_columns(crystal("CeO2"), (1, 1, 0))
WHITE = FoundGain(1.0, "whole", 1.0, 0.02, 1.0, 0.03)


def planted(n: int = 36) -> Heights:
    """Columns of ceria, five or six atoms high, told well."""
    cells = np.stack(np.meshgrid(np.arange(6), np.arange(6)), axis=-1).reshape(-1, 2)[:n]
    place = CERIA.places[CERIA.symbols == "Ce"][:, None] + cells @ CERIA.lattice[:, :2]
    positions = place.reshape(-1, 2)
    probabilities = np.full((len(positions), 11), 1e-4)
    probabilities[np.arange(len(positions)), 5 + np.arange(len(positions)) % 2] = 0.999
    known = np.full(len(positions), 0.1)
    return Heights(
        positions,
        np.full((len(positions), 2), 0.02),
        probabilities,
        known,
        known,
        np.ones(len(positions), bool),
        (Condition("defocus", "nm", 5.0, 0.2),),
        1000.0,
        1.0,
        misfit=1.02,
    )


def judged(found: Heights, gain: FoundGain = WHITE, modelled: bool = True) -> Verdict:
    return judge_heights(found, modelled, CERIA, "Ce", gain, 0.9)


def test_right_heights_are_good() -> None:
    verdict = judged(planted())
    assert (verdict.level, verdict.codes) == ("good", ())
    assert verdict.measures["spacing"] == pytest.approx(1, abs=1e-6)
    vague = np.tile(np.where(np.arange(11) > 4, 1 / 6, 0.0), (36, 1))
    assert judged(replace(planted(), probabilities=vague)).codes == ("vague-heights",)


def test_columns_that_are_moved_at_random_are_as_far_apart_as_before() -> None:
    rng = np.random.default_rng(0)
    moved = [planted().positions + rng.normal(0, 0.15, (36, 2)) for _ in range(20)]
    found = [judged(replace(planted(), positions=one)) for one in moved]
    assert {verdict.codes for verdict in found} == {()}
    # The nearest of four is nearer than they are, by as much as a wrong pixel size.
    assert np.mean([verdict.measures["spacing"] for verdict in found]) == pytest.approx(1, abs=0.02)


def test_a_few_columns_are_told_of() -> None:
    assert judged(planted().only(np.arange(36) < 3)).codes == ("few-columns",)


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({"dose": 90.0}, "low-dose", "doubtful"),
        ({"conditions": (Condition("defocus", "nm", -0.4, 0.2),)}, "defocus-zero", "doubtful"),
        ({"misfit": 1.2}, "misfit", "doubtful"),
        ({"misfit": 4.0}, "misfit", "bad"),
        ({"on_lattice": np.arange(36) > 5}, "off-lattice", "doubtful"),
        ({"settled": False}, "not-settled", "doubtful"),
        ({"positions": 1.08 * planted().positions}, "column-spacing", "doubtful"),
        ({"positions": 1.3 * planted().positions}, "column-spacing", "bad"),
        ({"probabilities": np.eye(11)[np.where(np.arange(36) < 10, 10, 5)]}, "highest", "doubtful"),
        ({"probabilities": np.eye(11)[np.where(np.arange(36) < 20, 10, 5)]}, "highest", "bad"),
        ({"probabilities": np.eye(11)[np.zeros(36, int)]}, "no-columns", "bad"),
    ],
)
def test_what_speaks_against_heights_is_told(change: dict[str, Any], code: str, level: str) -> None:
    verdict = judged(replace(planted(), **change))
    assert (verdict.codes, verdict.level) == ((code,), level)


def test_coloured_noise_is_a_doubt_unless_the_gain_is_given() -> None:
    coloured = replace(WHITE, white=2.0)
    assert judged(planted(), coloured).codes == ("coloured-noise",)
    assert judged(planted(), replace(coloured, how="given")).codes == ()
    # What a transfer function takes from noise is no other gain; but none adds to it.
    assert judged(planted(), replace(coloured, how="given", value=2.0)).codes == ()
    assert judged(planted(), replace(coloured, how="given", value=0.5)).codes == ("gain",)


@pytest.mark.parametrize(("given", "codes"), [(40.0, ()), (80.0, ("gain",)), (20.0, ("gain",))])
def test_a_gain_that_noise_contradicts_is_a_doubt(given: float, codes: tuple[str, ...]) -> None:
    counts = 40.0 * np.random.default_rng(0).poisson(40, (128, 128))
    assert judged(planted(), find_gain(counts, given)).codes == codes


def test_noise_that_is_white_enough_is_none() -> None:
    coloured = replace(WHITE, white=2.0)
    assert judged(planted(), replace(coloured, white_esd=0.5)).codes == ()


def test_whole_numbers_that_scatter_too_little_are_a_doubt() -> None:
    little = replace(WHITE, noise=0.5, noise_esd=0.05)
    assert judged(planted(), little).codes == ("dark-level",)
    assert judged(planted(), replace(little, noise_esd=0.15)).codes == ()
    assert judged(planted(), replace(little, how="given")).codes == ("gain",)
    # What a dark level does, and electrons without one do not.
    rng = np.random.default_rng(5)
    counts = [rng.poisson(40, (128, 128)) + dark for dark in (0.0, 40.0)]
    codes = [judged(planted(), find_gain(image)).codes for image in counts]
    assert codes == [(), ("dark-level",)]


def test_a_network_alone_has_no_model_to_judge() -> None:
    alone = replace(planted(), misfit=float("nan"), on_lattice=np.zeros(36, bool), settled=False)
    assert judged(alone, modelled=False).codes == ("network-alone",)


def test_conditions_far_from_likely_are_named() -> None:
    def with_background(value: float, esd: float) -> Verdict:
        conditions = (*planted().conditions, Condition("background", "of the dose", value, esd, 0.0, 0.01))
        return judged(replace(planted(), conditions=conditions))

    assert with_background(0.03, 0.002).codes == ()
    # It is not known well enough.
    assert with_background(0.05, 0.02).codes == ()
    verdict = with_background(0.15, 0.02)
    assert verdict.codes == ("unlikely-conditions",)
    assert "background 0.15 of the dose" in verdict.findings[0].problem
    # Of the network's defocus nothing was likely beforehand.
    assert judged(planted(), modelled=False).codes == ("network-alone",)


def test_conditions_that_are_unlikely_together_are_named() -> None:
    def with_widths(*away: float) -> Verdict:
        conditions = [Condition(f"c{k}", "", x, 0.1, 0.0, 1.0) for k, x in enumerate(away)]
        return judged(replace(planted(), conditions=(*planted().conditions, *conditions)))

    assert with_widths(*[1.0] * 7).codes == ()
    assert with_widths(3.5, 0.5, 0.5).codes == ()
    verdict = with_widths(0.5, 2.5, 2.5, *[0.5] * 6)
    assert verdict.codes == ("unlikely-conditions",)
    assert {"c1 2.5", "c2 2.5"} < set(
        verdict.findings[0].problem.split("likely: ")[1].split(";")[0].split(", ")
    )
    assert verdict.measures["conditions"] == pytest.approx(7 * np.log1p(0.125) + 2 * np.log1p(3.125))


def test_what_changes_with_the_image_may_be_anything() -> None:
    away = [Condition(name, "", 3.0, 0.1, 0.0, 1.0) for name in ("a1_x", "b2_y", "mistilt_x", "mistilt_y")]
    assert judged(replace(planted(), conditions=(*planted().conditions, *away))).codes == ()


@pytest.mark.parametrize(
    ("times", "codes"), [(1.035, ("column-spacing",)), (1.01, ()), (0.965, ("column-spacing",))]
)
def test_a_pixel_that_is_a_little_wrong_is_a_doubt(times: float, codes: tuple[str, ...]) -> None:
    assert judged(replace(planted(), positions=times * planted().positions)).codes == codes


def test_heights_that_are_all_off_together_are_doubtful() -> None:
    sure = planted()
    apart = replace(sure, draws=np.tile(sure.heights, (200, 1)))
    apart.draws[::2, 0] += 1
    assert judged(apart).codes == ()
    # A fifth of all draws has one atom more everywhere.
    both = replace(sure, draws=np.tile(sure.heights, (200, 1)))
    both.draws[::5] += 1
    verdict = judged(both)
    assert (verdict.level, verdict.codes) == ("doubtful", ("heights-together",))
    assert verdict.measures["together"] == pytest.approx(0.4, abs=0.01)


def test_few_columns_that_are_vague_each_by_itself_have_nothing_in_common() -> None:
    vague = np.tile(np.where((np.arange(11) > 2) & (np.arange(11) < 8), 0.2, 0.0), (36, 1))
    found = replace(planted(), probabilities=vague, draws=independent_draws(vague)).only(np.arange(36) < 6)
    assert found.atoms[1] / 6 > 0.5
    assert found.in_common < 0.3
    assert "heights-together" not in judged(found).codes
