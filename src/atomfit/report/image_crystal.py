"""Facets and defects of an image's lattices for its page: `particle.json` in, tables with words out.

A facet is worth its relaxation: by how much each layer lies farther out than the lattice of the inner
columns has it, in picometres and in parts of the layers' distance. A defect is worth its place, and what
makes it one. What was looked for and is not there is said as well: an empty table would not tell whether
anybody looked.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from atomfit.statistics.limits import LIMITS

#: Layers of a facet that are shown, and by how many of their errors a layer is said to have moved.
_LAYERS, _MOVED = 3, 3.0
_DEFECT_HEAD = ("what", "x (Å)", "y (Å)", "domain", "")


def crystal_shown(particle: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's section on crystals is told.

    **Arguments:**

    - `particle`: what goes into `particle.json`.

    **Returns:** `facets` and `defects`, each with its `head`, `rows` and `words`; and `marks` of defects
    that have a place, with `kind`, `x` and `y` (Å).
    """
    defects = [*_vacancies(particle), *_dislocations(particle), *_boundaries(particle)]
    facets = particle.get("facets", ())
    layers = min(max((len(one["relaxations"]) for one in facets), default=0), _LAYERS)
    return {
        "facets": {
            "head": (
                *("facet", "domain", "(h k)", "layers apart (Å)", "length (Å)", "columns"),
                *(f"layer {k + 1}: outward (pm)" for k in range(layers)),
            ),
            "rows": [_facet(number, one, layers) for number, one in enumerate(facets, start=1)],
            "words": _facet_words(particle),
        },
        "defects": {
            "head": _DEFECT_HEAD,
            "rows": [row for row, _ in defects],
            "words": _defect_words(particle),
        },
        "marks": [mark for _, mark in defects if mark],
    }


def _facet(number: int, one: Mapping[str, Any], layers: int) -> list[Any]:
    indices, spacing = one["indices"], float(one["layer_spacing"])
    known = zip(one["relaxations"], one["relaxations_esd"], strict=True)
    moved = [_moved(float(value), float(esd), spacing) for value, esd in known][:layers]
    return [
        number,
        one["domain"],
        "none of small indices" if indices is None else "({} {})".format(*indices).replace("-", "−"),
        None if indices is None else f"{spacing:.3f}",
        f"{one['length']:.1f}",
        len(one["columns"]),
        *moved,
        *[""] * (layers - len(moved)),
    ]


def _moved(value: float, esd: float, spacing: float) -> str:
    """A layer's relaxation with its error in pm, and as a part of the layers' distance."""
    said = f"{100 * value:+.1f} ± {100 * esd:.1f} ({100 * value / spacing:+.1f} %)"
    return said.replace("-", "−")


def _facet_words(particle: Mapping[str, Any]) -> str:
    if not particle.get("domains"):
        return "There is no lattice, and so no facet."
    known = [one for one in particle.get("facets", ()) if len(one["relaxations"])]
    if not known:
        return "The outline of the lattices has no straight part along a row of small indices."
    first = np.array([[one["relaxations"][0], one["relaxations_esd"][0]] for one in known], np.float64)
    ratio = first[:, 0] / np.maximum(first[:, 1], 1e-12)
    outward, inward = int(np.sum(ratio > _MOVED)), int(np.sum(ratio < -_MOVED))
    return (
        f"Of {len(known)} facets the outermost layer lies farther out than the inner columns' lattice has "
        f"it in {outward}, and nearer to the middle in {inward}, by more than {_MOVED:g} standard "
        "uncertainties."
    )


def _vacancies(particle: Mapping[str, Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    for one in particle.get("vacancies", ()):
        left = float(np.nan if one["left"] is None else one["left"])
        if not np.isfinite(left):
            told = "known from its neighbours' places alone"
        elif left > LIMITS.vacancy_left:
            told = f"no vacancy: the image has {left:.2f} of a column there, which was not fitted"
        else:
            told = f"empty: the image has {left:.2f} of a column there".replace("-", "−")
        yield _placed("vacancy", one, told)


def _dislocations(particle: Mapping[str, Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    for one in particle.get("dislocations", ()):
        steps = "{} a + {} b".format(*one["steps"])
        x, y = (
            f"{value:.3f} ± {esd:.3f}"
            for value, esd in zip(one["burgers"], one["burgers_esd"], strict=True)
        )
        yield _placed(
            "dislocation", one, f"Burgers vector {steps}: {x} Å along x, {y} Å along y".replace("-", "−")
        )


def _boundaries(particle: Mapping[str, Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    kinds = {"twin": "twin boundary", "fault": "stacking fault", "grains": "grain boundary"}
    for one in particle.get("boundaries", ()):
        told = f"{one['pairs']} pairs of neighbours across"
        if one["kind"] == "fault":
            along = zip(one["shift"], one["shift_esd"], "ab", strict=True)
            parts = " and ".join(f"{value:.3f} ± {esd:.3f} of {letter}" for value, esd, letter in along)
            told += f"; shifted by {parts}"
        else:
            told += f"; turned by {one['angle']:.2f}°"
        if one["row"] is not None:
            told += "; both share the row [{} {}]".format(*one["row"])
        domains = " and ".join(map(str, one["domains"]))
        yield [kinds[one["kind"]], "", "", domains, told.replace("-", "−")], {}


def _placed(kind: str, one: Mapping[str, Any], told: str) -> tuple[list[Any], dict[str, Any]]:
    x, y = (float(value) for value in one["position"])
    return [kind, f"{x:.2f}", f"{y:.2f}", one["domain"], told], {"kind": kind, "x": x, "y": y}


def _defect_words(particle: Mapping[str, Any]) -> str:
    domains: Sequence[Mapping[str, Any]] = particle.get("domains", ())
    if not domains:
        return "There is no lattice, and so nothing that could be wrong in one."
    looked = (("vacancies", "vacancy"), ("dislocations", "dislocation"), ("boundaries", "boundary"))
    none = [f"no {word}" for name, word in looked if not particle.get(name)]
    said = [f"There is {_listed(none)}."] if none else []
    judged = [one["order"] for one in domains if "order" in one]
    if judged:
        wrong, sites = sum(one["antisites"] for one in judged), sum(one["columns"] for one in judged)
        said.append(
            f"Of {sites} columns {wrong:.1f} are expected to be antisites (columns.csv has the probability "
            "of each)."
        )
    else:
        said.append("Antisites were not looked for: that needs two elements and --order.")
    return " ".join(said)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
