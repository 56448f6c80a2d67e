"""What `series.html` says of models followed in time: its first lines, and its tables of totals.

The page itself is that of anything followed in time (`report.time_slider`).
"""

from dataclasses import replace
from typing import Any

import numpy as np

from atomfit.io.followed import trend_columns, trend_table
from atomfit.report.labels import label_of
from atomfit.report.time_slider import FactTable, SliderWords, slider_contents
from atomfit.statistics.followed_models import FollowedModels
from atomfit.statistics.followed_numbers import RELATIVE
from atomfit.statistics.lines import Line
from atomfit.structure.tracked import Tracked
from atomfit.support.palette import FOLLOWED_STATES, PLACES
from atomfit.verdict.findings import Verdict

#: Ending of numbers from which is taken what all atoms of a model share.
_OWN = "_own"
#: Groups are said to change if chance does so with less probability.
_SURE = 0.01
_EXPLAINED = (
    "Atoms of all models in one frame, at the time that is chosen. Move the slider, play, or use the arrow "
    "keys; click an atom to see its numbers against time. A colour means the same at all times; what is "
    "not known is grey."
)


def followed_contents(
    followed: FollowedModels, verdict: Verdict, fdr: float, notes: list[str], record: dict[str, Any]
) -> dict[str, Any]:
    """All that the page shows.

    **Arguments:**

    - `followed`: the models.
    - `verdict`: on them.
    - `fdr`: rate of false ones among the atoms said to change.
    - `notes`: what else to beware of.
    - `record`: how it was made.
    """
    return slider_contents(
        _beside(followed),
        trend_table(followed, fdr),
        trend_columns(tuple(followed.trends)),
        SliderWords(
            headline=_headline(followed, verdict, fdr, notes),
            explained=_EXPLAINED,
            colours={"state": FOLLOWED_STATES, "place": PLACES},
            first=(f"u_iso{_OWN}", f"{RELATIVE}{_OWN}", "cn"),
            lines={f"{name}{_OWN}": (name, f"{name}_slope") for name in followed.trends},
            tables=(_groups(followed), _common(followed), _models(followed)),
        ),
        record,
    )


def _beside(followed: FollowedModels) -> Tracked:
    """What was followed, with numbers from which is taken what all atoms of a model share."""
    tracked = followed.tracked
    own = [
        replace(
            one,
            name=f"{one.name}{_OWN}",
            meaning=f"{one.meaning}, less what the standard atoms of its model share",
            values=one.values - followed.trends[one.name].offsets[:, None],
        )
        for one in tracked.quantities
        if one.name in followed.trends
    ]
    return replace(tracked, quantities=(*own, *tracked.quantities))


def _headline(followed: FollowedModels, verdict: Verdict, fdr: float, notes: list[str]) -> dict[str, Any]:
    tracked = followed.tracked
    names = tracked.frames
    return {
        "title": f"{int(followed.often.sum()):,} atoms in {len(names)} models",
        "source": ", ".join(names[:6]) + (f", ... {names[-1]}" if len(names) > 6 else ""),
        "verdict": [_kept(followed), *_changes(followed, fdr), _standard(followed)],
        "warnings": verdict.beside(notes) + notes,
        "judged": verdict.told(),
    }


def _kept(followed: FollowedModels) -> str:
    tracked = followed.tracked
    always = int(tracked.there.all(axis=0).sum())
    likely = [one.kind for one in tracked.events if not one.probability < 0.5]
    told = ", ".join(f"{likely.count(kind)} {kind}" for kind in ("lost", "gained", "returned", "moved"))
    return f"{always:,} atoms are in every model. Likelier than not: {told}."


def _changes(followed: FollowedModels, fdr: float) -> list[str]:
    """Groups and atoms that change."""
    span, said = float(np.ptp(followed.tracked.times)), []
    for name, found in followed.trends.items():
        words = label_of(name)[1]
        for group, line in found.groups.items():
            if line.p < _SURE:
                beside = "atoms inside" if followed.inner else "all atoms"
                said.append(
                    f"Beside {beside}, {words} of the group “{group}” {_change(line, span)} over the "
                    f"series (z = {line.z:.1f})."
                )
        count = int(np.sum(found.q < fdr))
        if count:
            said.append(f"{words[:1].upper()}{words[1:]} changes in {count:,} atoms, each by itself.")
    drifting = int(np.sum(followed.drifts.q < fdr))
    if drifting:
        said.append(f"{drifting:,} atoms drift.")
    return said or ["No number of any atom or group changes by more than its scatter explains."]


def _change(line: Line, span: float) -> str:
    """How much a line rises or falls over all times, in percent of its middle."""
    change, esd = 100 * line.slope * span / abs(line.middle), 100 * line.esd * span / abs(line.middle)
    return f"{'rises' if change > 0 else 'falls'} by {abs(change):.1f} ± {esd:.1f}\u00a0%"


def _standard(followed: FollowedModels) -> str:
    count = int(followed.standard.sum())
    if followed.inner:
        return (
            f"What {count:,} atoms inside the particle have in common in a model is taken for the model's "
            "own (its resolution, its scale), and trends are beside theirs."
        )
    return (
        f"What {count:,} atoms have in common in a model is taken for the model's own (its resolution, its "
        "scale), and trends are beside theirs: few atoms lie inside the particle."
    )


def _row(line: Line, span: float) -> tuple[Any, ...]:
    return (
        *(
            None if not np.isfinite(x) else float(x)
            for x in (line.middle, line.slope * span, line.esd * span)
        ),
        *(None if not np.isfinite(x) else float(x) for x in (line.z, line.p)),
    )


_HEAD = ("in the middle", "change over the series", "±", "z", "p")


def _groups(followed: FollowedModels) -> FactTable:
    span = float(np.ptp(followed.tracked.times))
    rows = tuple(
        (label_of(name)[1], group, *_row(line, span))
        for name, found in followed.trends.items()
        for group, line in found.groups.items()
    )
    note = (
        "Means of groups beside the standard atoms. How well a change is known is judged by how means "
        "scatter from model to model about their line."
    )
    return FactTable("Trends of groups", ("number", "group", *_HEAD), rows, note)


def _common(followed: FollowedModels) -> FactTable:
    span = float(np.ptp(followed.tracked.times))
    # Offsets have no level of their own.
    rows = [
        (label_of(name)[1], None, *_row(found.common, span)[1:]) for name, found in followed.trends.items()
    ]
    note = (
        "What standard atoms share in each model, against its mean; and the size of the particle in that "
        "of the mean model. Whether the atoms or the microscope did it, no model tells."
    )
    rows.append(("size of the particle", *_row(followed.size, span)))
    return FactTable("Common trends", ("number", *_HEAD), tuple(rows), note)


def _models(followed: FollowedModels) -> FactTable:
    tracked = followed.tracked
    head = ("model", "time", "atoms", "of most models' atoms", "misfit (Å)", "size", "turned by (°)")
    rows = tuple(
        (
            one.name,
            float(time),
            one.atoms,
            f"{100 * one.common:.1f} %",
            None if not np.isfinite(one.misfit) else one.misfit,
            one.size,
            one.angle,
        )
        for one, time in zip(followed.models, tracked.times, strict=True)
    )
    return FactTable("Models", head, rows)


def notes_of(followed: FollowedModels) -> list[str]:
    """What a user should know of the numbers, besides the verdict."""
    told = []
    if len(followed.tracked.times) == 2:
        told.append(
            "two models do not show how numbers scatter: error bars are taken to be wrong by one factor at "
            "most, and groups are not tested; give three or more"
        )
    if not followed.trends:
        told.append("no number but positions has a value in these models: there is no U, no amplitude")
    wrong = [
        f"{name} by {found.scatter:.2f}"
        for name, found in followed.trends.items()
        if np.isfinite(found.scatter) and not 1 / _FACTOR < found.scatter < _FACTOR
    ]
    if wrong and len(followed.tracked.times) > 2:
        told.append(
            f"numbers scatter otherwise than their error bars say ({', '.join(wrong)}); trends allow for it"
        )
    return told


#: Error bars that are off by more are told of.
_FACTOR = 1.5
