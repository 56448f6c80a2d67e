"""Findings that results of maps and of images share: atoms of an element that a fit has ended with."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from atomfit.optimisation.ended import Ended
from atomfit.selection.completion import Selection
from atomfit.structure.elements import Element, typical
from atomfit.structure.neighbours import shell_distance
from atomfit.support.errors import Doubt
from atomfit.verdict.findings import Finding
from atomfit.verdict.limits import LIMITS, level_above, level_outside, part


def bond_ratio(positions: Float[np.ndarray, "n d"], element: Element) -> float:
    """Mean distance of the first shell in that of the bulk; NaN for a lone atom."""
    return shell_distance(positions) / element.shell_distance


def taken_away(selection: Selection) -> int:
    """Places that were scored and are no atoms, because noise makes such."""
    return sum(reason.startswith("stands out") for reason in selection.discarded.reasons)


def bonds(ratio: float, atoms: int, elements: Sequence[Element], size: str, option: str) -> list[Finding]:
    """Whether neighbours are as far apart as the element's should be, or an alloy's, between its elements'.

    **Arguments:**

    - `ratio`, `atoms`: of `bond_ratio` to what stands for all elements, and how many atoms it is of.
    - `elements`: that were given.
    - `size`, `option`: the other suspect, "voxel size", and what replaces it.
    """
    measured = ratio * typical(elements).shell_distance
    ordered = sorted(elements, key=lambda one: one.shell_distance)
    expected = float(np.clip(measured, ordered[0].shell_distance, ordered[-1].shell_distance))
    ratio = measured / expected
    low, high = LIMITS.bonds_doubtful
    # A mean of few bonds is uncertain.
    slack = LIMITS.bonds_of_one / max(atoms, 1) ** 0.5
    level = level_outside(ratio, (low - slack, high + slack), LIMITS.bonds_bad)
    if level == "good":
        return []
    # So few may have no neighbours.
    scattered = ratio > LIMITS.bonds_bad[1] and atoms <= LIMITS.bonds_need
    kind = ordered[-1 if ratio > 1 else 0].symbol
    return [
        Finding(
            "bonds",
            "doubtful" if scattered else level,
            f"neighbours are {measured:.2f} Å apart, {abs(ratio - 1):.0%} "
            f"{'more' if ratio > 1 else 'less'} than the {expected:.2f} Å of {kind}",
            f"{'they stand alone, or ' if scattered else ''}the element or the {size} is wrong: check them "
            f"(--element, {option})",
        )
    ]


def disorder(gap: float, esd: float, element: Element) -> list[Finding]:
    """Whether neighbours lie in a shell, as atoms' do, or anywhere, as maxima of noise do.

    Positions that are uncertain fill the gap behind a shell that is there.

    **Arguments:**

    - `gap`: of `shell_gap`.
    - `esd`: median standard uncertainty of positions (Å).
    - `element`: that was given.
    """
    level = level_above(gap, LIMITS.gap_doubtful, LIMITS.gap_bad)
    if level == "good":
        return []
    if np.sqrt(2) * esd > LIMITS.gap_filled * element.shell_distance:
        level = "doubtful"
    return [
        Finding(
            "disorder",
            level,
            "neighbours have no distance of their own: between the first two shells pairs are "
            f"{gap:.0%} as dense as in the first (a crystal has none, an amorphous metal a third)",
            "atoms hardly pack so, maxima of noise do: look at the planes of map, model and residual",
        )
    ]


def clear(selection: Selection) -> float:
    """Part of the atoms that stand out so far that no maximum of noise is expected to."""
    judgement = selection.judgement
    return part(int(np.sum(judgement.decoys.clear(judgement.scores))), len(judgement.scores))


def removal(removed: float, atoms: int, clear: float) -> list[Finding]:
    """Whether selection has taken away most of what it was given.

    However many maxima of noise were looked at: what noise is not expected to reach is an atom.
    """
    level = level_above(removed, LIMITS.removed_doubtful, LIMITS.removed_bad)
    if level == "good" or clear > 1 - LIMITS.unsupported_doubtful:
        return []
    return [
        Finding(
            "removed",
            level,
            f"{removed:.0%} of the places that were fitted were taken away because noise could have made "
            f"them, and of the {atoms} left {1 - clear:.0%} do not stand out clearly",
            "atoms may be lacking or false: look at the data (rejected.csv has those places)",
        )
    ]


def unsupported(share: float, atoms: int, data: str) -> list[Finding]:
    """Whether atoms were kept though noise could have made them.

    **Arguments:**

    - `share`, `atoms`: part of the atoms, and how many there are.
    - `data`: "map" or "images".
    """
    level = level_above(share, LIMITS.unsupported_doubtful, LIMITS.unsupported_bad)
    if level == "good":
        return []
    return [
        Finding(
            "unsupported",
            level,
            f"{share:.0%} of {atoms} atoms stand out no more than noise in the {data} does",
            f"there may be no atoms: look at the {data}, or let the fit remove them (--selection fit)",
        )
    ]


def undetermined(share: float, atoms: int) -> list[Finding]:
    """Whether there are atoms of whose place the data say nothing."""
    level = level_above(share, LIMITS.undetermined_doubtful, LIMITS.undetermined_bad)
    if level == "good":
        return []
    return [
        Finding(
            "undetermined",
            level,
            f"the data do not determine the places of {share:.0%} of {atoms} atoms (x_esd and others are "
            "empty)",
            "they are too faint, or too near others: leave them out",
        )
    ]


def convergence(reason: Ended) -> list[Finding]:
    """Whether the fit has come to its end."""
    if reason == Ended.CONVERGED:
        return []
    return [
        Finding(
            "not-converged",
            "doubtful",
            f"the fit did not converge: {reason}",
            reason.advice,
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
    level = level_above(ratio, LIMITS.uncertain_doubtful, LIMITS.uncertain_bad)
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


def insisted(doubts: tuple[Doubt, ...], named: list[Finding]) -> list[Finding]:
    """What a user has insisted on: atoms at half their distance are good ones to all that is measured."""
    known = {finding.problem for finding in named}
    return [
        Finding("insisted", "bad", one.problem, one.remedy) for one in doubts if one.problem not in known
    ]
