"""The verdict on models that were followed in time: are they models of one particle?

Models of one particle lie on the reference nearer than chance has them, are of one size, and share most of
their atoms. A model that does not is named, as it spoils every trend.
"""

from collections.abc import Sequence

import numpy as np

from atomfit.statistics.followed_models import FollowedModels
from atomfit.statistics.followed_numbers import Laid
from atomfit.verdict.findings import Finding, Verdict
from atomfit.verdict.limits import LIMITS, level_above, part
from atomfit.verdict.of_inputs import input_findings

#: Models named in a finding, at most.
_NAMED = 3


def judge_followed(followed: FollowedModels) -> Verdict:
    """What is to be thought of models that were followed."""
    models, tracked = followed.models, followed.tracked
    there, often = tracked.there, followed.often
    share = part(int(there[:, often].sum()), int(there.sum()))
    unlike, pairs = followed.unlike
    measures = {
        "common_least": min(one.common for one in models),
        "observations_followed": share,
        "misfit_largest": max((one.misfit for one in models if np.isfinite(one.misfit)), default=np.nan),
        "size_largest": max(one.size for one in models),
        "size_smallest": min(one.size for one in models),
        "of_other_elements": part(unlike, pairs),
        "equal_orientations": float(sum(one.equals > 0 for one in models)),
        "missed": followed.presence.rates.missed,
        "doubtful": part(int(np.sum(tracked.state == 2)), int(there.sum())),
    }
    findings = [*_chance(models), *_few(models), *_sizes(models), *_frames(models)]
    findings += [*_followed(share, len(models)), *_elements(unlike, pairs), *_inputs(models)]
    return Verdict.of(findings, measures)


def _named(models: Sequence[Laid]) -> str:
    names = ", ".join(one.name for one in models[:_NAMED])
    return f"{names}{f' and {len(models) - _NAMED} more' if len(models) > _NAMED else ''}"


def _chance(models: Sequence[Laid]) -> list[Finding]:
    """Models that any other particle would lie on as well."""
    limit = float(np.log(LIMITS.chance))
    wrong = [one for one in models if one.chance.log_probability > limit]
    if not wrong:
        return []
    few = all(one.atoms < LIMITS.chance_atoms for one in wrong)
    return [
        Finding(
            "chance",
            "doubtful" if few else "bad",
            f"{len(wrong)} of {len(models)} models lie on the others no better than any particle would "
            f"({_named(wrong)})",
            "nothing shows that they are models of one particle: check them, or leave them out",
        )
    ]


def _inputs(models: Sequence[Laid]) -> list[Finding]:
    """Models that something speaks against by itself."""
    by_model = input_findings((one.name, one.own_findings) for one in models)
    if not by_model:
        return []
    worst = Verdict.of(by_model, {}).findings[0]
    more = f", and so are {len(by_model) - 1} more" if len(by_model) > 1 else ""
    return [Finding(worst.code, worst.level, f"{worst.problem}{more}", worst.remedy)]


def _few(models: Sequence[Laid]) -> list[Finding]:
    """Models that lack most of what the others have."""
    few = [one for one in models if one.common < LIMITS.common_few]
    if not few:
        return []
    least = min(few, key=lambda one: one.common)
    return [
        Finding(
            "few-common",
            "bad" if least.common < LIMITS.common_hardly_any else "doubtful",
            f"{len(few)} of {len(models)} models have less than half of the atoms that most have "
            f"({_named(few)}; {least.common:.0%} in {least.name})",
            "are they of one particle, and in Å? leave out what is not",
        )
    ]


def _sizes(models: Sequence[Laid]) -> list[Finding]:
    """Models of another size."""
    off = [abs(float(np.log(max(one.size, 1e-9)))) for one in models]
    worst = int(np.argmax(off))
    level = level_above(off[worst], LIMITS.sizes_doubtful, LIMITS.sizes_bad)
    if level == "good":
        return []
    return [
        Finding(
            "size",
            level,
            f"{models[worst].name} is {models[worst].size:.3f} times as large as the mean model",
            "is its voxel size right? sizes are taken out of drifts of atoms, and not of positions",
        )
    ]


def _frames(models: Sequence[Laid]) -> list[Finding]:
    """Models whose orientation is open."""
    some = [one for one in models if one.equals]
    if not some:
        return []
    return [
        Finding(
            "frame",
            "doubtful",
            f"{len(some)} of {len(models)} models may be turned otherwise as well ({_named(some)}); the "
            "smallest rotation is taken",
            "which atom is which is not known: give all in one frame (--no-register)",
        )
    ]


def _followed(share: float, count: int) -> list[Finding]:
    """Whether most of what was seen belongs to atoms that most models have."""
    if share >= LIMITS.common_few or count < 2:
        return []
    return [
        Finding(
            "not-followed",
            "bad" if share < LIMITS.common_hardly_any else "doubtful",
            f"only {share:.0%} of all that was seen belongs to atoms that half of the models have",
            "atoms move farther between models than half the distance of neighbours, or are false",
        )
    ]


def _elements(unlike: int, pairs: int) -> list[Finding]:
    """Whether atoms keep their element."""
    level = level_above(part(unlike, pairs), LIMITS.elements_doubtful, LIMITS.elements_bad)
    if level == "good":
        return []
    return [
        Finding(
            "elements",
            level,
            f"in {unlike} of {pairs} cases an atom is of another element than in most models",
            "are they one particle? some do not tell its elements apart",
        )
    ]
