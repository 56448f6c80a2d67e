"""Columns of a movie as they are written: followed things, one row a column, one row a frame, a summary.

`COLUMN_COLUMNS` and `FRAME_COLUMNS` are the lists that the documentation is checked against.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from atomfit.io.tables import Column
from atomfit.statistics.column_events import ColumnEvent, expected_changes
from atomfit.structure.tracked import Event, Quantity, Tracked

if TYPE_CHECKING:
    from atomfit.results.movie import MovieResult

#: A column is there if that is so probable.
_THERE = 0.5
STATES = ("present", "absent", "interpolated")
COLUMN_COLUMNS: tuple[Column, ...] = (
    Column("id", "", "d", "number of the column, the same in all files"),
    Column("element", "", "s", "chemical symbol; X if it is not known, or one of several"),
    *(Column(axis, "Å", ".5f", f"{axis} of its site: the mean over all frames") for axis in "xy"),
    Column("frames", "", "d", "frames in which it is there"),
    Column("first", "", "d", "number of the first frame in which it is there, from 1"),
    Column("last", "", "d", "number of the last one"),
    Column("found", "", "s", "mean: in the mean of all frames; passing: in a part of the frames only"),
    Column("cross_section", "", ".6g", "weighted mean over the frames that show it (image units x Å²)"),
    Column("atoms", "", ".3f", "expected number of atoms, mean over all frames; empty if not counted"),
    Column("atoms_first", "", ".0f", "likeliest number in the first frame"),
    Column("atoms_last", "", ".0f", "likeliest number in the last frame"),
    Column("gained", "", ".3f", "expected number of gains"),
    Column("lost", "", ".3f", "expected number of losses"),
    Column("step", "Å", ".5f", "standard deviation of its steps from frame to frame, along each axis"),
    Column("wander", "Å", ".5f", "root mean square distance from its site along each axis, less noise"),
)
FRAME_COLUMNS: tuple[Column, ...] = (
    Column("frame", "", "d", "number of the frame, from 1"),
    Column("time", "", ".6g", "its time, as given; else its number, from 0"),
    Column(
        "used",
        "",
        "d",
        "1 if it shows the specimen; of others how they lie and how many atoms they show is empty",
    ),
    *(
        Column(f"shift_{axis}", "Å", ".4f", "by which its middle is moved in the mean's frame")
        for axis in "xy"
    ),
    Column("rotation", "degree", ".4f", "from x to y, from the frame to the mean"),
    Column("magnification", "", ".6f", "by which its lengths are multiplied"),
    Column("distortion_xx", "", ".6f", "half the difference of the strains along x and y"),
    Column("distortion_xy", "", ".6f", "its shear"),
    *(
        Column(f"{name}_esd", unit, digits, f"standard uncertainty of {name}, beside the other frames")
        for name, unit, digits in (
            ("shift_x", "Å", ".4f"),
            ("shift_y", "Å", ".4f"),
            ("rotation", "degree", ".4f"),
            ("magnification", "", ".6f"),
            ("distortion_xx", "", ".6f"),
            ("distortion_xy", "", ".6f"),
        )
    ),
    Column("brightness", "", ".5f", "of its columns beside the mean's"),
    Column("level", "", ".6g", "of its background beside the mean's (image units)"),
    Column("misfit", "", ".4f", "mean square of what is left, in noise's variance"),
    Column("columns", "", "d", "columns that are there"),
    Column("atoms", "", ".3f", "expected number of atoms of all columns; empty if not counted"),
    Column("atoms_esd", "", ".3f", "its standard uncertainty"),
)


def tracked_of(result: "MovieResult") -> Tracked:
    """The columns as things followed in time."""
    history, used, counted = result.history, result.frames.used, not result.uncounted
    there = history.present > _THERE
    told = used[:, None] & np.isfinite(result.cross_sections)
    state = np.where(there, np.where(told, 0, 2), 1).astype(np.int8)
    quantities = [
        Quantity("presence", "", 4, "probability that the column is there", history.present),
        Quantity(
            "cross_section",
            "",
            6,
            "integral of the column in this frame alone (image units x Å²)",
            result.cross_sections,
            np.where(np.isfinite(result.cross_section_esds), result.cross_section_esds, np.nan),
        ),
    ]
    if counted:
        states = np.arange(history.probabilities.shape[2], dtype=np.float64)
        spread = history.probabilities @ states**2 - history.mean**2
        likeliest = np.take_along_axis(history.probabilities, history.most_likely[..., None], 2)[..., 0]
        quantities = [
            Quantity("atoms", "", 0, "likeliest number of atoms", history.most_likely.astype(np.float64)),
            Quantity("atoms_probability", "", 4, "probability of that number", likeliest),
            Quantity(
                "atoms_mean",
                "",
                3,
                "expected number of atoms",
                history.mean,
                np.sqrt(np.maximum(spread, 0)),
            ),
            *quantities,
        ]
    displaced = np.linalg.norm(result.tracks.offsets, axis=2)
    quantities.append(Quantity("displacement", "Å", 4, "distance from the column's site", displaced))
    positions = np.where(there[..., None], result.positions, np.nan)
    return Tracked(
        "columns",
        np.arange(1, len(result) + 1),
        (result.symbol,) * len(result),
        tuple(f"frame {k + 1}" for k in range(len(used))),
        result.times,
        positions,
        tuple(quantities),
        STATES,
        state,
        np.where(there[..., None], result.tracks.esds, np.nan),
        tuple(_event(one) for one in result.events if one.called),
        {"found in the mean": ~result.passing, "for a while": result.passing}
        if result.passing.any()
        else {},
    )


def _event(one: ColumnEvent) -> Event:
    detail = f"{one.before} to {one.after} atoms; 68 %: frames {one.earliest + 1} to {one.latest + 1}"
    if one.partner >= 0:
        detail += f"; to column {one.partner + 1}"
    return Event(one.kind, one.column, one.frame, one.probability, detail)


def column_table(result: "MovieResult") -> dict[str, np.ndarray]:
    """The columns of `COLUMN_COLUMNS`."""
    history, counted = result.history, not result.uncounted
    there = history.present > _THERE
    seen = there & np.isfinite(result.cross_sections)
    weights = np.where(seen, np.where(seen, result.cross_section_esds, 1.0) ** -2.0, 0.0)
    sizes = np.sum(weights * np.nan_to_num(result.cross_sections), axis=0)
    sizes = sizes / np.where(seen.any(axis=0), weights.sum(axis=0), 1.0)
    n, none = len(result), np.full(len(result), np.nan)
    beyond = np.mean(result.tracks.offsets**2 + result.tracks.variances, axis=(0, 2))
    likeliest = history.most_likely.astype(np.float64)
    return {
        "id": np.arange(1, n + 1),
        "element": np.array([result.symbol] * n, object),
        "x": result.sites[:, 0],
        "y": result.sites[:, 1],
        "frames": there.sum(axis=0),
        "first": np.where(there.any(axis=0), np.argmax(there, axis=0) + 1, 0),
        "last": np.where(there.any(axis=0), len(there) - np.argmax(there[::-1], axis=0), 0),
        "found": np.where(result.passing, "passing", "mean").astype(object),
        "cross_section": np.where(seen.any(axis=0), sizes, np.nan),
        "atoms": history.mean.mean(axis=0) if counted else none,
        "atoms_first": likeliest[0] if counted else none,
        "atoms_last": likeliest[-1] if counted else none,
        "gained": history.gained.sum(axis=0),
        "lost": history.lost.sum(axis=0),
        "step": result.tracks.steps,
        "wander": np.sqrt(beyond) if result.tracks.walk.step else np.zeros(n),
    }


def frame_table(result: "MovieResult") -> dict[str, np.ndarray]:
    """The columns of `FRAME_COLUMNS`."""
    frames, history = result.frames, result.history
    middle = 0.5 * result.source.pixel * (np.array(result.source.shape[:0:-1]) - 1)
    shifts = np.array([one(middle[None])[0] - middle for one in frames.lays])
    t = len(frames.lays)
    totals = history.totals if not result.uncounted else (np.full(t, np.nan), np.full(t, np.nan))

    def known(values: Any) -> np.ndarray:
        # What other frames say of one that is not used is in series.csv, as interpolated.
        return np.where(frames.used, np.asarray(values, np.float64), np.nan)

    return {
        "frame": np.arange(1, t + 1),
        "time": result.times,
        "used": frames.used.astype(int),
        "shift_x": known(shifts[:, 0]),
        "shift_y": known(shifts[:, 1]),
        "rotation": known([one.rotation for one in frames.lays]),
        "magnification": known([one.magnification for one in frames.lays]),
        "distortion_xx": known([one.distortion.real for one in frames.lays]),
        "distortion_xy": known([one.distortion.imag for one in frames.lays]),
        **_of_lays(frames.lay_esds),
        "brightness": frames.brightness,
        "level": frames.levels,
        "misfit": frames.misfits,
        "columns": np.sum(history.present > _THERE, axis=1),
        "atoms": known(totals[0]),
        "atoms_esd": known(totals[1]),
    }


def _of_lays(esds: np.ndarray) -> dict[str, np.ndarray]:
    names = ("shift_x", "shift_y", "rotation", "magnification", "distortion_xx", "distortion_xy")
    factors = (1, 1, np.degrees(1), 1, 1, 1)
    return {f"{name}_esd": f * esds[:, k] for k, (name, f) in enumerate(zip(names, factors, strict=True))}


def movie_summary(result: "MovieResult") -> dict[str, Any]:
    """What `series.json` says, besides how it was made."""
    history, walk, window = result.history, result.tracks.walk, result.window
    counted = not result.uncounted
    found: dict[str, Any] = {
        "frames": len(result.frames.used),
        "frames_used": int(result.frames.used.sum()),
        "frames_left_out": (np.flatnonzero(~result.frames.used) + 1).tolist(),
        "columns": len(result),
        "columns_for_a_while": int(result.passing.sum()),
        "flicker": result.frames.flicker,
        "movement": {
            "step": walk.step,
            "memory_frames": walk.memory if walk.step else None,
            "wander": walk.wander if walk.step else 0.0,
            "error_factor": walk.factor,
            "log_likelihood_ratio": result.tracks.moves,
        },
        "average": {
            "frames": window.frames,
            "tried": window.tried.tolist(),
            "log_evidence": window.evidence.tolist(),
        },
        "counted": counted,
        "uncounted": result.uncounted,
        "rates_per_column_and_frame": {
            name: {"value": getattr(history.rates, name), "esd": getattr(history.rate_esds, name)}
            for name in ("gain", "loss", "other")
        },
        "changes": {
            name: {"value": value, "esd": esd} for name, (value, esd) in expected_changes(history).items()
        },
        "events": [_told(one) for one in result.events],
    }
    if counted:
        totals, esds = history.totals
        found["atoms"] = {
            "first": totals[0],
            "first_esd": esds[0],
            "last": totals[-1],
            "last_esd": esds[-1],
        }
        found["law"] = history.law.tolist()
    return found


def _told(one: ColumnEvent) -> dict[str, Any]:
    return {
        "event": one.kind,
        "id": one.column + 1,
        "frame": one.frame + 1,
        "earliest": one.earliest + 1,
        "latest": one.latest + 1,
        "before": one.before,
        "after": one.after,
        "probability": one.probability,
        "called": one.called,
        "to": one.partner + 1 if one.partner >= 0 else None,
    }
