"""The verdict on two images that were compared, and what is said of them in sentences.

Images of one particle have most columns in common, lie on each other in one way, and distort no more than
is usual. That displacements are larger than error bars say has the same causes as in models
(`verdict.of_comparison`), and one more: a scan that is not distorted as a whole but here and there, whose
displacements neighbours share. Warnings are the same in the log, in `compare.json` and on the page.
"""

from typing import Any

import numpy as np

from atomfit.statistics.column_changes import ColumnComparison
from atomfit.statistics.limits import LIMITS as STATISTICS
from atomfit.statistics.plane_maps import USUAL, unusual
from atomfit.structure.elements import UNKNOWN
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.limits import LIMITS, level_above, part
from atomfit.verdict.of_column_pairs import pair_findings
from atomfit.verdict.of_inputs import copy_finding, input_findings, is_copy

#: So many ways to lay images on each other are told.
_TOLD = 3
#: More standard deviations of what is usual than this are told of a distortion.
_UNUSUAL = 3.0


def judge_column_comparison(c: ColumnComparison) -> Verdict:
    """What is to be thought of two images compared.

    **Arguments:**

    - `c`: the comparison.
    """
    smaller, paired = min(len(c.a), len(c.b)), c.paired
    share = part(len(paired.first), smaller)
    far = unusual(c.registration.motion, USUAL)
    measures = {
        "paired": float(len(paired.first)),
        "paired_of_smaller": share,
        "equal_orientations": float(c.registration.equals),
        "distortion_beside_usual": far,
        "tested": float(c.tested),
        "error_bars_too_small_by": paired.scale.value,
        "cross_section_error_bars_too_small_by": paired.brightness_scale.value,
        "coherence": c.coherence[0],
        "one_factor": c.one_factor,
    }
    findings = [*_few(c, share), *_frame(c), *_distorted(c, far), *_untested(c), *_elements(c)]
    if is_copy(c.paired.displacements, c.paired.scale.value):
        findings.append(copy_finding("columns"))
    elif not any(finding.level == "bad" for finding in findings):
        findings += [*_positions(c), *_brightness(c), *pair_findings(c)]
    findings += input_findings((image.name, image.own_findings) for image in (c.a, c.b))
    return Verdict.of(findings, measures)


def warnings_of_columns(c: ColumnComparison) -> list[str]:
    """What a user should know before trusting the numbers.

    **Arguments:**

    - `c`: the comparison.
    """
    found = list(judge_column_comparison(c).warnings)
    if not _sized(c):
        found.append("not both tables have cross-sections: nothing is said of brightness and of counts")
    elif c.atoms is None:
        found.append(
            "not both have probabilities of counts (count_probabilities.csv and counts.csv beside "
            "columns.csv): `changed` is said of cross-sections"
        )
    for image, limit in zip((c.a, c.b), c.limits, strict=True):
        if image.corners is None:
            found.append(
                f"the extent of image {image.name} is not known: it is taken to reach "
                f"{STATISTICS.column_beyond:g} neighbour distances beyond its columns"
            )
        if _sized(c) and not limit.known:
            found.append(
                f"how faint a column image {image.name} shows is not known (its table has no heights): it "
                "is taken to show what is as bright as its faintest column"
            )
    return found


def _sized(c: ColumnComparison) -> bool:
    """Whether both images have cross-sections."""
    return all(np.isfinite(image.cross_sections).any() for image in (c.a, c.b))


def laid(c: ColumnComparison) -> str:
    """How B was laid on A, in a sentence without its end."""
    if c.registration.how == "given":
        return "frames were left as they are"
    motion = c.registration.motion
    over = "turned over and " if motion.mirrored else ""
    return (
        f"B was {over}turned by {motion.rotation:.2f}°, magnified by {motion.magnification:.4f} and "
        f"distorted by {100 * abs(motion.distortion):.2f}\u00a0% to lie on A "
        f"({len(c.registration.pairs[0]):,} columns fix it)"
    )


def column_headline(c: ColumnComparison, found: dict[str, Any]) -> dict[str, Any]:
    """The page's first lines, as `comparison_words.headline` has them of models.

    **Arguments:**

    - `c`: the comparison.
    - `found`: its summary.
    """
    counts = found["counts"]
    changed = sum(counts[kind] for kind in ("moved", "changed", "lost", "gained"))
    return {
        "title": f"{changed:,} of {len(c):,} columns changed",
        "source": f"A is {c.a.name} ({len(c.a):,} columns), B is {c.b.name} ({len(c.b):,} columns)",
        "verdict": [_statuses(c, found), _atoms(found), f"{laid(c)[:1].upper()}{laid(c)[1:]}."],
        "warnings": found["warnings"],
        "judged": found["verdict"],
    }


def _statuses(c: ColumnComparison, found: dict[str, Any]) -> str:
    n = found["counts"]
    what = "their number of atoms" if c.atoms is not None else "their cross-section"
    return (
        f"{n['common']:,} columns are as they were, {n['moved']:,} moved, {n['changed']:,} changed {what}, "
        f"{n['lost']:,} were lost and {n['gained']:,} gained, at a rate of false changes of "
        f"{100 * found['fdr']:g}\u00a0%. Nothing is said of {n['unseen']:,} that the other image may have "
        f"missed, and of {n['outside']:,} outside of it."
    )


def _atoms(found: dict[str, Any]) -> str:
    total = found["totals"]
    if total["atoms_lost"]["value"] is None or not np.isfinite(total["atoms_lost"]["value"]):
        return "How many atoms were lost and gained is not known."
    lost, gained = (
        f"{total[name]['value']:.1f} ± {total[name]['esd']:.1f}" for name in ("atoms_lost", "atoms_gained")
    )
    return f"Expected: {lost} atoms lost, and {gained} gained."


def _few(c: ColumnComparison, share: float) -> list[Finding]:
    smaller, paired = min(len(c.a), len(c.b)), len(c.paired.first)
    unchanged = part(c.count("common"), smaller)
    # By chance half of the columns lie on another one, but as they were is none.
    chance = share < 0.5 * (1 + LIMITS.common_few) and unchanged < LIMITS.common_hardly_any
    if share >= LIMITS.common_few and not chance:
        return []
    return [
        Finding(
            "few-common",
            "bad" if chance or share < LIMITS.common_hardly_any else "doubtful",
            f"only {paired} of {smaller} columns lie on one of the other, and {c.count('common')} are as "
            "they were",
            "are they one particle in one direction? check both, and whether one is mirrored (--mirror)",
        )
    ]


def _frame(c: ColumnComparison) -> list[Finding]:
    others, best, near = c.registration.equals, c.registration.next_best or 0, c.registration.near
    if not others and best <= near:
        return []
    ways = "1 other way to lay the images on each other is"
    if others > 1:
        ways = f"{others} other ways to lay the images on each other are"
    found = (
        f"{ways} as good (a symmetric outline, or steps of the lattice that brightness and holes do not "
        f"tell apart): {_others(c)}; the smallest rotation is taken, and of steps the largest overlap"
    )
    if not others:
        found = (
            f"another way to lay the images on each other brings {best:,} columns to columns, this {near:,}"
        )
    return [
        Finding(
            "frame",
            "doubtful",
            found,
            "which column is which is not known: give both in one frame (--no-register)",
        )
    ]


def _others(c: ColumnComparison) -> str:
    """Some of the maps that are as good, by what they differ by."""
    chosen, middle, told = c.registration.motion, c.b.positions.mean(axis=0)[None], []
    for other in c.registration.others[:_TOLD]:
        turned = (other.rotation - chosen.rotation + 180) % 360 - 180
        x, y = (other(middle) - chosen(middle))[0]
        over = "turned over, " if other.mirrored != chosen.mirrored else ""
        told.append(f"{over}{turned:.1f}° and ({x:.1f}, {y:.1f}) Å from it")
    rest = c.registration.equals - _TOLD
    return ", ".join(told) + (f" and {rest} more" if rest > 0 else "")


def _elements(c: ColumnComparison) -> list[Finding]:
    """Whether columns that are one are of one element."""
    pairs = [(c.a.symbols[i], c.b.symbols[j]) for i, j in zip(c.paired.first, c.paired.second, strict=True)]
    named = [pair for pair in pairs if UNKNOWN not in pair]
    unlike = [pair for pair in named if pair[0] != pair[1]]
    level = level_above(part(len(unlike), len(named)), LIMITS.elements_doubtful, LIMITS.elements_bad)
    if level == "good":
        return []
    return [
        Finding(
            "elements",
            level,
            f"{len(unlike)} of {len(named)} pairs are of another element in {c.b.name} than in {c.a.name} "
            f"({unlike[0][0]} and {unlike[0][1]}, for one)",
            "are they one particle? one of them may have been given a wrong element",
        )
    ]


def _untested(c: ColumnComparison) -> list[Finding]:
    """Pairs of which it cannot be said whether they changed."""
    asked = {"positions": c.paired.p_moved} | ({"cross-sections": c.paired.p_changed} if _sized(c) else {})
    lacking = [name for name, p in asked.items() if len(p) and not np.isfinite(p).any()]
    if not lacking:
        return []
    return [
        Finding(
            "not-tested",
            "doubtful",
            f"whether {' and '.join(lacking)} of pairs changed was not tested: not both tables have their "
            "standard uncertainties (0 is none)",
            "give tables with x_esd, y_esd and cross_section_esd, as atomfit columns writes them",
        )
    ]


def _distorted(c: ColumnComparison, far: float) -> list[Finding]:
    if far <= _UNUSUAL or c.registration.how == "given":
        return []
    motion = c.registration.motion
    return [
        Finding(
            "distortion",
            "bad" if far > STATISTICS.map_unusual else "doubtful",
            f"to lie on A, B is magnified by {motion.magnification:.3f} and distorted by "
            f"{100 * abs(motion.distortion):.1f} %, {far:.1f} standard deviations of what is usual",
            "check both pixel sizes; is it one particle in one direction?",
        )
    ]


def _positions(c: ColumnComparison) -> list[Finding]:
    value, esd = c.paired.scale.value, c.paired.scale.esd
    if not _off(value, esd):
        return []
    if value < 1:
        problem = f"error bars of positions are too large by a factor of {1 / value:.2f}"
        return [Finding("error-bars", "doubtful", problem, "--calibrate allows for it")]
    apart = f"pairs lie {value:.2f} times as far apart as error bars say"
    shared, error = c.coherence
    if shared > max(LIMITS.together, LIMITS.errors * error):
        return [
            Finding(
                "columns-differ",
                "doubtful",
                f"{apart}, and neighbours share {shared:.0%} of their displacements",
                "the particle is strained, or a scan is distorted from place to place: moved columns may "
                "be those of the scan; average several scans, or use --calibrate",
            )
        ]
    if c.one_factor < LIMITS.one_factor:
        return [
            Finding(
                "columns-differ",
                "doubtful",
                f"{apart}, but by very different factors",
                "many columns moved, or error bars are wrong by several factors; --calibrate would hide it",
            )
        ]
    return [
        Finding(
            "error-bars",
            "doubtful",
            apart,
            "either these are too small (--calibrate allows for that), or the columns moved",
        )
    ]


def _brightness(c: ColumnComparison) -> list[Finding]:
    value, esd = c.paired.brightness_scale.value, c.paired.brightness_scale.esd
    if not _off(value, esd):
        return []
    much = f"{value:.2f} times as" if value > 1 else f"only {value:.2f} times as"
    return [
        Finding(
            "cross-sections",
            "doubtful",
            f"cross-sections of pairs differ {much} much as their error bars say",
            "the focus or the tilt is another, most columns changed, or error bars are wrong; --calibrate "
            "allows for the last",
        )
    ]


def _off(value: float, esd: float) -> bool:
    if not value > 0:
        return False
    return bool(abs(np.log(value)) > LIMITS.excess_errors * esd / value + LIMITS.excess)
