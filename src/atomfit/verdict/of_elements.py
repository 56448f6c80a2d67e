"""The verdict on elements of atoms in a tilt series: their numbers and brightness in, findings out.

A start says which atom is which element, and atoms of an element are alike in the fit. The images know how
bright each one is by itself: what the fit leaves at its place, put back. Heavier atoms are brighter, and an
atom that is as bright as those of another element probably is one.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from atomfit.selection.species import assign
from atomfit.structure.elements import Element, symbol_of
from atomfit.verdict.findings import Finding
from atomfit.verdict.limits import LIMITS, level_above

#: How many atoms are named.
_NAMED = 10


def lacking_elements(elements: Sequence[Element], numbers: Int[np.ndarray, " n"]) -> list[Finding]:
    """Whether there are elements that were given, and that no atom is.

    **Arguments:**

    - `elements`: that were given.
    - `numbers`: atomic numbers of the atoms.
    """
    none = [one.symbol for one in elements if one.number not in numbers]
    if not none or not len(numbers):
        return []
    return [
        Finding(
            "fewer-elements",
            "doubtful",
            f"no atom is told as {' or '.join(none)}, which was given: fainter ones may be among the "
            "places that were rejected, or count as the others",
            "look at rejected.csv, and give the elements that there are, or atoms to start from (--start)",
        )
    ]


def bright_for_light(
    elements: Sequence[Element], numbers: Int[np.ndarray, " n"], amplitudes: Float[np.ndarray, " n"]
) -> list[Finding]:
    """Whether light atoms are brighter than heavy ones.

    **Arguments:**

    - `elements`: that were given.
    - `numbers`, `amplitudes`: of the atoms.
    """
    there = sorted((one for one in elements if one.number in numbers), key=lambda one: one.number)
    means = [float(np.median(amplitudes[numbers == one.number])) for one in there]
    findings = []
    for (light, less), (heavy, more) in pairwise(zip(there, means, strict=True)):
        level = level_above(less / more if more > 0 else 1.0, *LIMITS.light_brighter)
        if level != "good":
            findings.append(
                Finding(
                    "elements",
                    level,
                    f"atoms of {light.symbol} are {less / more:.3g} times as bright as those of "
                    f"{heavy.symbol}, which are heavier",
                    "check which atoms of the start are which element; they may be exchanged",
                )
            )
    return findings


def of_another_element(
    elements: Sequence[Element],
    numbers: Int[np.ndarray, " n"],
    brightness: Float[np.ndarray, " n"],
    ids: Int[np.ndarray, " n"],
) -> list[Finding]:
    """Whether there are atoms that are as bright as those of another element.

    **Arguments:**

    - `elements`: that were given.
    - `numbers`: atomic numbers of the atoms.
    - `brightness`: amplitudes that each of them would have by itself.
    - `ids`: numbers by which they are named.
    """
    alike = np.ones(len(numbers))
    found = assign(brightness, alike, alike, elements)
    others = np.flatnonzero((found.numbers != numbers) & (found.probabilities > LIMITS.of_another_sure))
    if found.lacking or not len(others):
        return []
    named = ", ".join(
        f"{ids[k]} ({symbol_of(int(numbers[k]))}, as bright as {symbol_of(int(found.numbers[k]))})"
        for k in others[:_NAMED]
    )
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return [
        Finding(
            "elements",
            level_above(len(others) / len(numbers), 0.0, LIMITS.of_another_bad),
            f"{len(others)} of {len(numbers)} atoms are as bright as those of another element: atom "
            f"{named}{more}",
            "correct their elements in the start, and fit again",
        )
    ]
