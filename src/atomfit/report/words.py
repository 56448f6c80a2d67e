"""The first lines of `report.html`: atoms of what, in which file, and how well they describe it."""

from typing import Any

import numpy as np

#: Chi-square within these bounds says that the model describes the map.
_GOOD = (0.9, 1.1)
#: Above this, something is in the map that no atom explains.
_BAD = 1.5


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """The page's first lines.

    **Arguments:**

    - `found`: what goes into `summary.json`.

    **Returns:** `title`, `source`, `verdict` as sentences, `warnings`, and the verdict as it is `judged`.
    """
    return {
        "title": title_of(found["atoms"], found["element"], found.get("species", {}).get("atoms", {})),
        "source": f"found and refined in {found['map']['file'] or 'a map without a file'}",
        "verdict": [
            verdict(found["fit"]) if found["atoms"] else "Nothing in the map stands out from its noise.",
            *unseen(found["fit"].get("held_out")),
        ],
        "warnings": list(found.get("warnings", ())),
        "judged": found["verdict"],
    }


def verdict(fit: dict[str, Any]) -> str:
    """A sentence on how well the model describes the map.

    **Arguments:**

    - `fit`: of `summary.json`: `correlation`, and `chi_square_reduced` if there is a joint fit.
    """
    judged, correlation = _judged(fit), fit["correlation"]
    if not np.isfinite(correlation):
        return f"{judged}."
    return f"{judged}; around the atoms, model and map correlate to {correlation:.3f} (1 is identity)."


def unseen(held: dict[str, Any] | None) -> list[str]:
    """A sentence on how well the model describes what a fit has not seen; none if that was not asked.

    **Arguments:**

    - `held`: `held_out` of `summary.json`'s `fit`.
    """
    if held is None or not np.isfinite(held["ratio"]):
        return []
    return [
        f"On {held['kind']} that a fit has not seen the model leaves {held['ratio']:.2f} ± "
        f"{held['error']:.2f} times as much, in squares, as on those it has; noise alone would make that "
        f"{held['expected']:.2f}."
    ]


def _judged(fit: dict[str, Any]) -> str:
    chi_square = fit.get("chi_square_reduced")
    if chi_square is None:
        return "Atoms were fitted one by one, without a joint fit that could be tested"
    if not np.isfinite(chi_square):
        return "The map's noise is not known apart from the fit, so that chi-square cannot judge the model"
    if chi_square > _BAD:
        says = "leaves clearly more than noise"
    elif chi_square > _GOOD[1]:
        says = "leaves a little more than noise"
    elif chi_square < _GOOD[0]:
        says = "leaves less than the noise outside the particle"
    else:
        says = "describes the map to within its noise"
    return f"The model {says} (chi-square {chi_square:.2f}; 1 is noise alone)"


def title_of(atoms: int, asked: str | list[str], counts: dict[str, int]) -> str:
    """How many atoms of what.

    **Arguments:**

    - `atoms`: how many there are.
    - `asked`: symbols of the elements that were given.
    - `counts`: atoms of each element.
    """
    if len(counts) > 1:
        elements = ", ".join(f"{count:,} {symbol}" for symbol, count in counts.items())
        return f"{atoms:,} atoms ({elements})"
    elements = asked if isinstance(asked, str) else " and ".join(asked)
    return f"{atoms:,} {elements} {'atom' if atoms == 1 else 'atoms'}"
