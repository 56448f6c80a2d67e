"""Models followed in time as files: one row an atom with its trends, and a summary; see `docs/files.md`.

`trend_columns` is the list that the documentation is checked against. A field is empty where a number is
not known: an atom that is in fewer than three of three or more models has no trends.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from atomfit.io.tables import Column, write_columns
from atomfit.statistics.followed_models import FollowedModels
from atomfit.statistics.followed_numbers import TESTED
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.lines import Line

_FIRST: tuple[Column, ...] = (
    Column("id", "", "d", "number of the atom in the series, the same in all files"),
    Column("element", "", "s", "chemical symbol, of most models"),
    Column("models", "", "d", "models that have it"),
    Column("first", "", "d", "number of the first model that has it, from 1"),
    Column("last", "", "d", "number of the last one"),
    Column("present", "", ".4f", "probability that it is there in the last model"),
    *(Column(axis, "Å", ".5f", "mean position in the common frame") for axis in "xyz"),
    Column("cn", "", ".0f", "coordination number, median over models"),
    Column("place", "", "s", "surface or inside, by cn; seldom if fewer than half of the models have it"),
    Column("changes", "", "s", "numbers whose q-value is below --fdr, separated by semicolons"),
)
_LAST: tuple[Column, ...] = (
    *(
        Column(f"velocity_{axis}", "Å/time", ".6g", f"drift along {axis}, without changes of size")
        for axis in "xyz"
    ),
    *(
        Column(f"velocity_{axis}_esd", "Å/time", ".3g", f"standard uncertainty of velocity_{axis}")
        for axis in "xyz"
    ),
    Column("position_z", "", ".3f", "size of the drift, as a normal deviate"),
    Column("position_p", "", ".4g", "probability of so large a drift without a change"),
    Column("position_q", "", ".4g", "least false-discovery rate at which it drifts"),
)


def trend_columns(names: tuple[str, ...] = TESTED) -> tuple[Column, ...]:
    """The columns of `trends.csv`, for numbers that were tested."""
    return (*_FIRST, *(column for name in names for column in _columns_of(name)), *_LAST)


def _columns_of(name: str) -> tuple[Column, ...]:
    unit = "Å²" if name.startswith("u_") else ""
    each = f"{unit or '1'}/time"
    return (
        Column(name, unit, ".6f", f"{name} in the middle of all times, without what a model's atoms share"),
        Column(f"{name}_slope", each, ".6g", f"change of {name} a unit of time, beside the standard atoms"),
        Column(f"{name}_slope_esd", each, ".3g", f"standard uncertainty of {name}_slope"),
        Column(f"{name}_z", "", ".3f", "the change in its uncertainties, as a normal deviate"),
        Column(f"{name}_p", "", ".4g", "probability of so large a change without one"),
        Column(f"{name}_q", "", ".4g", "least false-discovery rate at which it changes"),
    )


def trend_table(followed: FollowedModels, fdr: float) -> dict[str, np.ndarray]:
    """The columns of `trends.csv`."""
    tracked, there = followed.tracked, followed.tracked.there
    count = there.sum(axis=0)
    places = np.sum(np.where(there[..., None], tracked.positions, 0.0), axis=0) / count[:, None]
    table: dict[str, np.ndarray] = {
        "id": tracked.ids,
        "element": np.array(tracked.symbols, object),
        "models": count,
        "first": np.argmax(there, axis=0) + 1,
        "last": len(there) - np.argmax(there[::-1], axis=0),
        "present": followed.presence.probability[-1],
        **{axis: places[:, k] for k, axis in enumerate("xyz")},
        "cn": followed.coordination,
        "place": _places(followed),
        "changes": _changes(followed, fdr),
    }
    for name, found in followed.trends.items():
        table |= {
            name: np.where(np.isfinite(found.slopes), found.middle, np.nan),
            f"{name}_slope": found.slopes,
            f"{name}_slope_esd": found.esds,
            f"{name}_z": found.z,
            f"{name}_p": found.p,
            f"{name}_q": found.q,
        }
    drifts = followed.drifts
    table |= {f"velocity_{axis}": drifts.velocities[:, k] for k, axis in enumerate("xyz")}
    table |= {f"velocity_{axis}_esd": drifts.esds[:, k] for k, axis in enumerate("xyz")}
    return table | {"position_z": drifts.z, "position_p": drifts.p, "position_q": drifts.q}


def _places(followed: FollowedModels) -> np.ndarray:
    inner = np.where(followed.coordination >= LIMITS.inside, "inside", "surface")
    return np.where(followed.often, inner, "seldom").astype(object)


def _changes(followed: FollowedModels, fdr: float) -> np.ndarray:
    q = {name: found.q for name, found in followed.trends.items()} | {"position": followed.drifts.q}
    below = np.stack([values < fdr for values in q.values()], axis=1)
    names = np.array(list(q), object)
    return np.array([";".join(names[row]) for row in below], object)


def write_trends(path: Path, followed: FollowedModels, fdr: float) -> None:
    """Write one row an atom."""
    write_columns(path, trend_columns(tuple(followed.trends)), trend_table(followed, fdr))


def followed_summary(followed: FollowedModels, fdr: float) -> dict[str, Any]:
    """What was found, in numbers that fit on a page."""
    tracked = followed.tracked
    events = tracked.events
    kinds = sorted({event.kind for event in events})
    span = float(np.ptp(tracked.times))
    return {
        "models": len(tracked.frames),
        "times": tracked.times,
        "atoms": {
            "seen": len(tracked),
            "in_half_of_the_models": int(followed.often.sum()),
            "in_each_model": tracked.count,
            "expected_in_each_model": followed.presence.probability.sum(axis=1),
        },
        "standard_atoms": {
            "count": int(followed.standard.sum()),
            "of": "inside" if followed.inner else "all",
        },
        "rates": asdict(followed.presence.rates),
        "events": {
            kind: {
                "likely": sum(not one.probability < 0.5 for one in events if one.kind == kind),
                "expected": sum(
                    one.probability if np.isfinite(one.probability) else 1.0
                    for one in events
                    if one.kind == kind
                ),
            }
            for kind in kinds
        },
        "trends": {
            name: {
                "changing": int(np.sum(found.q < fdr)),
                "tested": int(np.isfinite(found.p).sum()),
                "error_bars_too_small_by": found.scatter,
                "degrees_of_freedom": found.freedom,
                "error_bars_of_models": found.factors,
                "offsets_of_models": found.offsets,
                "common": told(found.common, span),
                "groups": {group: told(line, span) for group, line in found.groups.items()},
            }
            for name, found in followed.trends.items()
        },
        "drifts": {
            "changing": int(np.sum(followed.drifts.q < fdr)),
            "tested": int(np.isfinite(followed.drifts.p).sum()),
            "error_bars_too_small_by": followed.drifts.scatter,
        },
        "size": told(followed.size, span),
        "laid": [
            {
                "name": one.name,
                "atoms": one.atoms,
                "frames": one.how,
                "angle": one.angle,
                "other_orientations": one.equals,
                "common": one.common,
                "misfit": one.misfit,
                "size": one.size,
                "log10_probability_by_chance": one.chance.log_probability / np.log(10)
                if np.isfinite(one.chance.log_probability)
                else None,
            }
            for one in followed.models
        ],
        "reference": None if followed.reference is None else tracked.frames[followed.reference],
        "spacing": followed.spacing,
    }


def told(line: Line, span: float) -> dict[str, float]:
    """A line with its change over all times."""
    return asdict(line) | {"change": line.slope * span, "change_esd": line.esd * span}
