"""The verdict on models that were compared: are they models of one particle, and do their error bars hold?

Models of one particle have most atoms in common, nearer to each other than chance has them
(`statistics.chance`), are of one size (`statistics.magnification`) and of the same elements.

Displacements that are larger than error bars say have one of two causes, and the data often tell which:
atoms that truly moved do so together with their neighbours, or by very different amounts; error bars that
are too small make all chi-squares larger by one factor. What fits both is said to be either.
"""

from collections import Counter
from typing import Literal

import numpy as np

from atomfit.statistics.comparison import Comparison, Model
from atomfit.structure.elements import UNKNOWN, element
from atomfit.support.units import odd_unit
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.limits import LIMITS, level_above, part
from atomfit.verdict.of_inputs import copy_finding, input_findings, is_copy

#: Lengths of two models that are so nearly in the ratio of two elements' may be those of these.
_OF_ELEMENTS = 0.015

Cause = Literal["too large", "atoms moved together", "some atoms moved", "either"]


def judge_comparison(c: Comparison) -> Verdict:
    """What is to be thought of two models compared."""
    measures = {
        "common": float(c.count("common")),
        "common_of_smaller": _share(c),
        "common_by_chance": c.chance.common,
        "chance_probability": c.chance.probability,
        "lengths_of_b_in_those_of_a": c.magnification.ratio,
        "of_other_elements": part(_unlike(c), sum(c.elements.values())),
        "equal_orientations": float(c.registration.equals),
        "tested": float(c.tested),
        "error_bars_too_small_by": c.scale.value,
        "coherence": c.coherence[0],
        "one_factor": c.one_factor,
    }
    size = _size(c)
    at_random = [] if size else _chance(c)
    findings = [*size, *_few(c, bool(size)), *_elements(c), *at_random, *_frame(c)]
    findings += input_findings((model.name, model.own_findings) for model in (c.a, c.b))
    # Displacements of models that do not belong together tell nothing of error bars.
    astray = at_random or any(finding.level == "bad" for finding in size)
    if is_copy(c.displacements, c.scale.value):
        findings.append(copy_finding("atoms"))
    cause = cause_of_excess(c)
    if cause is not None and not astray:
        findings.append(_error_bars(c, cause))
    return Verdict.of(findings, measures)


def _share(c: Comparison) -> float:
    """Common atoms, as a part of the smaller model's."""
    return part(c.count("common"), min(len(c.a), len(c.b)))


def _few(c: Comparison, explained: bool) -> list[Finding]:
    """Whether most atoms are common.

    **Arguments:**

    - `explained`: whether their size is found to be another.
    """
    common, smaller, larger = c.count("common"), *sorted((len(c.a), len(c.b)))
    if _share(c) < LIMITS.common_few:
        here, there = c.magnification.neighbours
        apart = f" (neighbours are {here:.3g} Å apart in {c.a.name}, and {there:.3g} in {c.b.name})"
        unlike = min(here, there) > 0 and abs(np.log(there / here)) > LIMITS.sizes_bad
        told = apart if unlike and not explained else ""
        return [
            Finding(
                "few-common",
                "bad" if _share(c) < LIMITS.common_hardly_any else "doubtful",
                f"only {common} of {smaller} atoms are common",
                f"are they one particle? check the units of both{told}, and which atoms were left out",
            )
        ]
    if common < LIMITS.common_hardly_any * larger:
        return [
            Finding(
                "few-common",
                "doubtful",
                f"only {common} of {larger} atoms of the larger model are common",
                "are they one particle? so few atoms lie on those of any crystal of its kind",
            )
        ]
    return []


def _chance(c: Comparison) -> list[Finding]:
    """Whether any two models agree as well."""
    if c.chance.probability <= LIMITS.chance or _share(c) < LIMITS.common_hardly_any:
        return []
    return [
        Finding(
            "chance",
            "bad" if min(len(c.a), len(c.b)) >= LIMITS.chance_atoms else "doubtful",
            f"{_share(c):.0%} of {min(len(c.a), len(c.b))} atoms are common, and {c.chance.common:.0%} "
            "would be if the models were laid on each other at random; they lie no nearer than so",
            "nothing shows that they are models of one particle: check both",
        )
    ]


def _frame(c: Comparison) -> list[Finding]:
    """Whether another orientation is as good."""
    if not c.registration.equals:
        return []
    return [
        Finding(
            "frame",
            "doubtful",
            f"{c.registration.equals} other orientations are as good; the smallest rotation is taken",
            "which atom is which is not known: give both models in one frame (--no-register)",
        )
    ]


def _size(c: Comparison) -> list[Finding]:
    """Whether one model is the other at another size."""
    found = c.magnification
    off = abs(np.log(found.ratio)) if found.ratio > 0 else 0.0
    level = level_above(off, LIMITS.sizes_doubtful, LIMITS.sizes_bad)
    if (
        level == "good"
        or off < LIMITS.errors * found.esd / found.ratio
        or found.chance.probability > LIMITS.chance
    ):
        return []
    here, there = found.neighbours
    kinds = [_main_element(model) for model in (c.a, c.b)]
    bulk = ", ".join(f"{one}: {element(one).shell_distance:.2f} Å" for one in sorted({*kinds} - {UNKNOWN}))
    cause, phase = odd_unit(found.ratio), ", or another phase" if level == "doubtful" else ""
    if UNKNOWN not in kinds:
        ideal = element(kinds[1]).shell_distance / element(kinds[0]).shell_distance
        if kinds[0] != kinds[1] and abs(found.ratio / ideal - 1) < _OF_ELEMENTS:
            cause = f"another particle, of {kinds[1]} and not {kinds[0]}"
    return [
        Finding(
            "size",
            level,
            f"lengths in {c.b.name} are {found.ratio:.3f} times those in {c.a.name} (neighbours are "
            f"{there:.2f} and {here:.2f} Å apart{f'; in bulk {bulk}' if bulk else ''})",
            f"{cause}{phase}? displacements mean nothing until both are of one size (then "
            f"{found.common} atoms would be common)",
        )
    ]


def _main_element(model: Model) -> str:
    """Of most of its atoms."""
    return Counter(model.symbols).most_common(1)[0][0] if model.symbols else UNKNOWN


def _unlike(c: Comparison) -> int:
    """Common pairs of two elements."""
    return sum(count for (one, other), count in c.elements.items() if one != other)


def _elements(c: Comparison) -> list[Finding]:
    """Whether atoms that are common are of one element."""
    pairs, unlike = sum(c.elements.values()), _unlike(c)
    level = level_above(part(unlike, pairs), LIMITS.elements_doubtful, LIMITS.elements_bad)
    if level == "good":
        return []
    return [
        Finding(
            "elements",
            level,
            f"{unlike} of {pairs} common atoms are of another element in {c.b.name} than in {c.a.name} "
            f"({changes_of_element(c)})",
            "are they one particle? one of them has a wrong element, or does not tell its elements apart",
        )
    ]


def changes_of_element(c: Comparison, most: int = 3) -> str:
    """Which elements became which, the most frequent first."""
    changes = [(pair, count) for pair, count in c.elements.items() if pair[0] != pair[1]]
    told = [f"{count} from {one} to {other}" for (one, other), count in changes[:most]]
    return ", ".join([*told, *(["..."] if len(changes) > most else [])])


def cause_of_excess(c: Comparison) -> Cause | None:
    """Why displacements are not as large as error bars say; None if they are, or nothing was tested."""
    value, esd = c.scale.value, c.scale.esd
    if is_copy(c.displacements, c.scale.value) or not value > 0:
        return None
    if abs(np.log(value)) <= LIMITS.excess_errors * esd / value + LIMITS.excess:
        return None
    if value < 1:
        return "too large"
    shared, error = c.coherence
    if shared > max(LIMITS.together, LIMITS.errors * error):
        return "atoms moved together"
    return "some atoms moved" if c.one_factor < LIMITS.one_factor else "either"


def _error_bars(c: Comparison, cause: Cause) -> Finding:
    value = c.scale.value
    apart = f"common atoms lie {value:.2f} times as far apart as error bars say"
    match cause:
        case "too large":
            problem = f"error bars are too large by a factor of {1 / value:.2f}"
            return Finding("error-bars", "doubtful", problem, "--calibrate allows for it")
        case "atoms moved together":
            problem = f"{apart}, and neighbours share {c.coherence[0]:.0%} of their displacements"
            return Finding(
                "atoms-differ",
                "doubtful",
                problem,
                "the atoms moved (strain, another state, another frame); --calibrate would hide it",
            )
        case "some atoms moved":
            problem = f"{apart}, but by very different factors"
            return Finding(
                "atoms-differ",
                "doubtful",
                problem,
                "many atoms moved, or error bars are wrong by several factors; --calibrate would hide it",
            )
        case _:
            return Finding(
                "error-bars",
                "doubtful",
                apart,
                "either these are too small (--calibrate allows for that), or the atoms moved: positions "
                "do not tell which",
            )


def judge_series(comparisons: tuple[Comparison, ...]) -> Verdict:
    """What is to be thought of a series: all that speaks against one of its comparisons."""
    if len(comparisons) == 1:
        return judge_comparison(comparisons[0])
    models = {model.name: model.own_findings for c in comparisons for model in (c.a, c.b)}
    findings = input_findings(models.items())
    measures: dict[str, float] = {}
    for c in comparisons:
        verdict, name = judge_comparison(c), f"{c.a.name} and {c.b.name}"
        told = (f for f in verdict.findings if f.code != "input")
        findings += [Finding(f.code, f.level, f"{name}: {f.problem}", f.remedy) for f in told]
        measures |= {f"{name}: {figure}": value for figure, value in verdict.measures.items()}
    return Verdict.of(findings, measures)
