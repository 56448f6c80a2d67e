"""Findings that results of maps and of images share: atoms of an element that a fit has ended with."""

import numpy as np
from jaxtyping import Float

from atomfit.elements import Element
from atomfit.neighbours import shell_distance
from atomfit.verdict import limits
from atomfit.verdict.findings import Finding, Level


def bond_ratio(positions: Float[np.ndarray, "n d"], element: Element) -> float:
    """Mean distance of the first shell in that of the bulk; NaN for a lone atom."""
    return shell_distance(positions) / element.shell_distance


def part(count: float, of: int) -> float:
    """A part; NaN of nothing."""
    return float(count) / of if of else float("nan")


def level_above(value: float, doubtful: float, bad: float) -> Level:
    """Of a figure that should be small; good where it is not known."""
    return "bad" if value > bad else "doubtful" if value > doubtful else "good"


def level_outside(value: float, doubtful: tuple[float, float], bad: tuple[float, float]) -> Level:
    """Of a figure that should lie between two; good where it is not known."""
    if value < bad[0] or value > bad[1]:
        return "bad"
    return "doubtful" if value < doubtful[0] or value > doubtful[1] else "good"


def bonds(ratio: float, element: Element, size: str, option: str) -> list[Finding]:
    """Whether neighbours are as far apart as the element's should be.

    **Arguments:**

    - `ratio`: of `bond_ratio`.
    - `element`: that was given.
    - `size`, `option`: the other suspect, "voxel size", and what replaces it.
    """
    level = level_outside(ratio, limits.BONDS_DOUBTFUL, limits.BONDS_BAD)
    if level == "good":
        return []
    expected = element.shell_distance
    return [
        Finding(
            "bonds",
            level,
            f"neighbours are {ratio * expected:.2f} Å apart, {abs(ratio - 1):.0%} "
            f"{'more' if ratio > 1 else 'less'} than the {expected:.2f} Å of {element.symbol}",
            f"the element or the {size} is wrong: check both (--element, {option})",
        )
    ]


def convergence(reason: str) -> list[Finding]:
    """Whether the fit has come to its end."""
    if reason == "converged":
        return []
    return [
        Finding(
            "not-converged",
            "doubtful",
            f"the fit did not converge: {reason}",
            "numbers may still change; let it go on",
        )
    ]


def no_atoms(of: str, remedy: str) -> Finding:
    """There is nothing to judge."""
    return Finding(
        "no-atoms", "bad", f"no atom found: nothing in the {of} stands out from its noise", remedy
    )


def uncertain(median: float, element: Element) -> list[Finding]:
    """Whether positions are known better than neighbours are apart.

    **Arguments:**

    - `median`: standard uncertainty of positions along an axis (Å).
    - `element`: that was given.
    """
    ratio = median / element.neighbour_distance
    level = level_above(ratio, limits.UNCERTAIN_DOUBTFUL, limits.UNCERTAIN_BAD)
    if level == "good":
        return []
    return [
        Finding(
            "uncertain-positions",
            level,
            f"positions are known to {median:.2g} Å only, where neighbours are "
            f"{element.neighbour_distance:.2f} Å apart",
            "the data hardly determine where atoms are: more of it is needed, or fewer free numbers",
        )
    ]
