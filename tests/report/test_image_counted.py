"""What the page of an image says of counts: how many, of what, and why there are none."""

from typing import Any

import numpy as np

from atomfit.files.image_particle import particle_statistics
from atomfit.report.image_statistics import counted_words, counting_cautions, statistics_rows
from atomfit.statistics import Library
from atomfit.statistics.image_columns import Counting, measure_columns

LIBRARY = Library(0.025 * np.arange(1.0, 9.0))


def particle(counting: Counting, order: str | None = None) -> dict[str, Any]:
    """A square of columns of one to six atoms, of which one has no cross-section that can be."""
    index = np.stack(np.meshgrid(np.arange(6), np.arange(6)), axis=-1).reshape(-1, 2)
    atoms = 1 + index[:, 0]
    sizes = 0.025 * atoms + np.random.default_rng(0).normal(0, 5e-4, 36)
    sizes[7] = -0.01
    known = np.tile(1e-4 * np.eye(2), (36, 1, 1))
    found = measure_columns(
        2.4 * index.astype(float),
        known,
        sizes,
        np.full(36, 5e-4),
        counting,
        order,  # type: ignore[arg-type]
    )
    return {"columns": 36, **particle_statistics(found)}


def said(told: dict[str, Any], *elements: str, dark: bool = False) -> str:
    return " ".join(counting_cautions(told, elements, dark, ()))


def test_what_was_counted_is_in_the_first_lines() -> None:
    told = particle(Counting(LIBRARY, False))
    planted = 36 * 3.5 - 2
    assert abs(told["atoms"]["total"] - planted) < 0.5
    words = counted_words(told)
    assert f"The columns have {told['atoms']['total']:.1f} ± " in words
    assert "counted by a library" in words
    rows = {row["name"]: row["value"] for row in statistics_rows(told)}
    assert rows["columns that were counted"] == 35
    cautions = said(told, "Pt")
    assert "every column to be of Pt, whole and along the beam" in cautions
    assert "Of 1 column there is no count" in cautions
    assert "(none was named), whole" in said(told)
    assert "element is X" not in cautions


def test_of_two_elements_or_dark_columns_there_are_no_counts_and_it_is_said() -> None:
    for reason, elements, dark in (
        ("columns of several elements are not counted: those of one thickness differ", ("Pt", "Co"), False),
        ("columns are dark: what they take from the beam is no measure", ("Pt",), True),
    ):
        told = particle(Counting(reason=reason))
        assert counted_words(told).startswith(f"Atoms were not counted: {reason}. Places, lattices, strain")
        rows = {row["name"]: row["value"] for row in statistics_rows(told)}
        assert rows["atoms in all columns"] == "not counted"
        assert "columns that were counted" not in rows
        cautions = said(told, *elements, dark=dark)
        assert f"Atoms were not counted: {reason}." in cautions
        assert ("which of Co is not told (element is X)" in cautions) == (len(elements) > 1)
        assert "whole and along the beam" not in cautions
        assert "heavier ones were darker" not in cautions


def test_order_of_dark_columns_has_its_caution() -> None:
    told = particle(Counting(reason="two elements"), "L1_0")
    assert "heavier ones were darker" in said(told, "Pt", "Co", dark=True)
    assert "heavier ones were darker" not in said(told, "Pt", "Co")
