"""Models of one particle at many times: atoms followed, what became of each, and trends of their numbers.

Models are read one after the other, laid on a reference (`statistics.registration`), and forgotten but for
what is followed: places, and a few numbers of each atom. The reference is the first model, unless most
others do not lie on it; a model that does not lie on the reference is laid on the one before. At last all
are laid on their mean (`statistics.tracks`), atoms that are gone are told from those that were missed
(`statistics.presence`), and numbers are tested for trends (`statistics.trends`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.chance import Chance, by_chance
from atomfit.statistics.comparison import Model
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.lines import Line, line_of
from atomfit.statistics.presence import Presence, presence
from atomfit.statistics.registration import Registration, register, typical_spacing
from atomfit.statistics.rigid import Motion
from atomfit.statistics.tracks import Together, Tracker, place_together, without_sizes
from atomfit.statistics.trends import (
    Drifts,
    Trends,
    find_drifts,
    find_trends,
    reference_atoms,
)
from atomfit.structure.elements import UNKNOWN
from atomfit.structure.neighbours import find_neighbours
from atomfit.structure.tracked import ABSENT, Event, Quantity, Tracked
from atomfit.support.errors import InputError

#: What is followed: name, unit, decimals, meaning; those with trends first.
_NUMBERS: tuple[tuple[str, str, int, str], ...] = (
    ("u_iso", "Å²", 6, "a third of the trace of U"),
    ("u_maj", "Å²", 6, "largest eigenvalue of U"),
    ("u_med", "Å²", 6, "middle eigenvalue of U"),
    ("u_min", "Å²", 6, "smallest eigenvalue of U"),
    ("doi", "", 5, "degree of isotropy, u_min / u_maj"),
    ("occupancy", "", 4, "part of the atom that is there, as the model says"),
    ("amplitude", "map units x Å³", 5, "integral of the atom's density"),
    ("cn", "", 0, "coordination number in this model"),
)
RELATIVE = "relative_amplitude"
#: Numbers that are tested for trends.
TESTED = ("u_iso", "u_maj", "u_med", "u_min", "doi", "occupancy", RELATIVE)
#: Models that are tried as the reference, and events that are less probable are not told.
_TRIED, _TOLD = 5, 0.05

Read = Callable[[int], Model]
Tell = Callable[[int, Model], None]


@dataclass(frozen=True, eq=False)
class Laid:
    """How one model lies on the others.

    **Fields:**

    - `name`, `atoms`: of the model.
    - `how`, `angle`, `equals`: as its `Registration` has it; the angle in degrees.
    - `chance`: what of its agreement with the reference is to be expected of any two models.
    - `common`: part of the atoms that most models have which this one has.
    - `misfit`: root mean square distance of its atoms from the mean ones (Å).
    - `size`: of the model, in that of the mean.
    """

    name: str
    atoms: int
    how: str
    angle: float
    equals: int
    chance: Chance
    common: float = np.nan
    misfit: float = np.nan
    size: float = 1.0


@dataclass(frozen=True, eq=False)
class FollowedModels:
    """Models of one particle, followed.

    **Fields:**

    - `tracked`: where every atom was and what is known of it, and what happened.
    - `presence`: whether each was there.
    - `models`: how each lies on the others.
    - `reference`: index of the model whose frame is the common one; None if all are in it already.
    - `spacing`: typical distance of neighbours (Å).
    - `coordination`: typical coordination number of each atom.
    - `standard`: atoms that set what all have in common in a model.
    - `inner`: whether these are the atoms inside the particle, or all.
    - `trends`: of each number that is known.
    - `drifts`: of positions.
    - `size`: trend of the particle's size, in that of the mean model.
    - `unlike`: observations of atoms whose element is not their most frequent one, and all.
    """

    tracked: Tracked
    presence: Presence
    models: tuple[Laid, ...]
    reference: int | None
    spacing: float
    coordination: Float[np.ndarray, " n"]
    standard: Bool[np.ndarray, " n"]
    inner: bool
    trends: dict[str, Trends]
    drifts: Drifts
    size: Line
    unlike: tuple[int, int]

    @property
    def often(self) -> Bool[np.ndarray, " n"]:
        """Atoms that at least half of the models have, two at least."""
        return _often(self.tracked.there)


@dataclass(eq=False)
class _One:
    """What is kept of a model."""

    track: np.ndarray
    positions: np.ndarray
    esds: np.ndarray
    symbols: tuple[str, ...]
    numbers: dict[str, np.ndarray]
    laid: Laid


def follow_models(
    read: Read, times: Float[np.ndarray, " t"], move: bool = True, tell: Tell = lambda k, model: None
) -> FollowedModels:
    """Follow the atoms of models.

    **Arguments:**

    - `read`: gives a model by its place; it may be asked for one again.
    - `times`: of the models, rising.
    - `move`: whether models are laid on each other; their frames are one if not.
    - `tell`: is told of each model that was followed.

    **Raises:** `InputError` if two models cannot be laid on each other.
    """
    reference = _reference(read, len(times)) if move else 0
    target = read(reference)
    spacing = float(np.nan_to_num(typical_spacing(target.positions), nan=2.5))
    tracker, kept, latest = Tracker(spacing), [], target
    for k in range(len(times)):
        model = target if k == reference else read(k)
        registration = _registered(target, latest, model, move) if k != reference else None
        one = _kept(model, registration, target, tracker)
        kept.append(one)
        latest = replace(model, positions=one.positions, esds=one.esds)
        tell(k, model)
    numbers, moves = tracker.moved()
    for one in kept:
        one.track = numbers[one.track]
    return _followed(kept, times, reference if move else None, spacing, moves)


def _reference(read: Read, t: int) -> int:
    """The model that most others lie on; the first, if most do."""
    tried = np.unique(np.linspace(0, t - 1, min(t, _TRIED)).astype(int)).tolist()
    if t < 3:
        return 0
    models = {k: read(k) for k in tried}
    shares: dict[int, float] = {}
    for k in tried:
        shares[k] = float(np.median([_share(models[k], models[j]) for j in tried if j != k]))
        if shares[k] >= LIMITS.frames_agree:
            return k
    return max(tried, key=lambda k: shares[k])


def _share(a: Model, b: Model) -> float:
    """Near pairs when one is laid on the other, in the smaller one's atoms; zero if it cannot be laid."""
    try:
        return register(a.positions, b.positions).near / min(len(a), len(b))
    except InputError:
        return 0.0


def _registered(target: Model, latest: Model, model: Model, move: bool) -> Registration[Motion]:
    """How a model is laid on the reference; or on the one before, if it lies on that only."""
    found = _register(target, model, move)
    if not move or latest is target or found.near >= LIMITS.frames_agree * min(len(target), len(model)):
        return found
    other = _register(latest, model, move)
    return other if other.near > found.near else found


def _register(a: Model, b: Model, move: bool) -> Registration[Motion]:
    return register(a.positions, b.positions, a.covariances(), b.covariances(), move)


def _kept(model: Model, registration: Registration[Motion] | None, target: Model, tracker: Tracker) -> _One:
    positions, esds = model.positions, model.esds
    laid = Laid(model.name, len(model), "reference", 0.0, 0, Chance(np.nan, -np.inf))
    if registration is not None:
        motion = registration.motion
        positions = motion(positions)
        esds = np.sqrt((esds**2) @ (motion.rotation**2).T)
        near = LIMITS.atom_stays * _spacing(target)
        chance = by_chance(target.positions, positions, registration.how, near)
        laid = Laid(model.name, len(model), registration.how, motion.angle, registration.equals, chance)
    track = tracker.follow(positions)
    numbers = {
        name: np.asarray(model.numbers[name], np.float32)
        for known, *_ in _NUMBERS
        for name in (known, f"{known}_esd")
        if name in model.numbers
    }
    if "cn" not in numbers:
        typical = typical_spacing(model.positions)
        found = find_neighbours(model.positions, typical=float(typical) if typical > 0 else np.inf)
        numbers["cn"] = found.coordination_numbers.astype(np.float32)
    return _One(track, positions, esds, model.symbols, numbers, laid)


def _spacing(model: Model) -> float:
    return float(np.nan_to_num(typical_spacing(model.positions), nan=2.5))


def _followed(
    kept: Sequence[_One],
    times: Float[np.ndarray, " t"],
    reference: int | None,
    spacing: float,
    moves: list[tuple[int, int]],
) -> FollowedModels:
    """All that follows once every model was seen; without a reference frames are left as they are."""
    n = 1 + max((int(one.track.max()) for one in kept if len(one.track)), default=-1)

    def whole(values: Callable[[_One], np.ndarray | None], *shape: int) -> np.ndarray:
        table = np.full((len(kept), n, *shape), np.nan, np.float64 if shape else np.float32)
        for k, one in enumerate(kept):
            own = values(one)
            if own is not None:
                table[k, one.track] = own
        return table

    together = place_together(
        whole(lambda one: one.positions, 3), whole(lambda one: one.esds, 3), frame=reference
    )
    there = np.isfinite(together.positions).all(axis=2)
    symbols, unlike = _symbols(kept, n)
    quantities = _quantities(whole, kept, symbols)
    often = _often(there)
    coordination = _typical(next(one for one in quantities if one.name == "cn").values)
    standard = reference_atoms(coordination, often)
    inner = bool(np.all(coordination[standard] >= LIMITS.inside))
    groups = _groups(coordination, often, symbols)
    compared = {name: members for name, members in groups.items() if name != "inside" or not inner}
    trends = {
        one.name: find_trends(times, one.values.astype(float), _floats(one.esds), standard, compared)
        for one in quantities
        if one.name in TESTED and _varies(one)
    }
    known = presence(there)
    state = np.where(there, np.where(known.probability < 0.5, 2, 0), 1).astype(np.int8)
    state[~there & (known.probability < 0.5)] = ABSENT
    esds = together.esds if np.isfinite(together.esds).any() else None
    tracked = Tracked(
        "atoms",
        np.arange(1, n + 1),
        symbols,
        tuple(one.laid.name for one in kept),
        times,
        together.positions,
        quantities,
        ("present", "missing", "doubtful"),
        state,
        esds,
        _events(moves, there, known),
        groups,
    )
    return FollowedModels(
        tracked,
        known,
        _laid(kept, there, often, together),
        reference,
        spacing,
        coordination,
        standard,
        inner,
        trends,
        find_drifts(times, without_sizes(together), esds),
        line_of(times, together.sizes),
        unlike,
    )


def _often(there: Bool[np.ndarray, "t n"]) -> Bool[np.ndarray, " n"]:
    return there.sum(axis=0) >= max(2, 0.5 * len(there))


def _typical(values: Float[np.ndarray, "t n"]) -> Float[np.ndarray, " n"]:
    """Median over models; NaN where there is none."""
    ordered, count = np.sort(values, axis=0), np.isfinite(values).sum(axis=0)
    middle = ordered[np.maximum(count - 1, 0) // 2, np.arange(values.shape[1])]
    return np.where(count > 0, middle, np.nan).astype(float)


def _floats(values: Float[np.ndarray, "t n"] | None) -> Float[np.ndarray, "t n"] | None:
    return None if values is None else values.astype(float)


def _varies(one: Quantity) -> bool:
    """Whether there is anything to test: models without U have none, and full atoms are all full."""
    known = one.values[np.isfinite(one.values)]
    return len(known) > 0 and float(np.ptp(known)) > 0


def _symbols(kept: Sequence[_One], n: int) -> tuple[tuple[str, ...], tuple[int, int]]:
    """Element that each atom has most often; and how many observations have another, of how many."""
    seen: list[Counter[str]] = [Counter() for _ in range(n)]
    for one in kept:
        for track, symbol in zip(one.track.tolist(), one.symbols, strict=True):
            if symbol != UNKNOWN:
                seen[track][symbol] += 1
    best = [counter.most_common(1)[0] if counter else (UNKNOWN, 0) for counter in seen]
    total = sum(sum(counter.values()) for counter in seen)
    return tuple(symbol for symbol, _ in best), (total - sum(count for _, count in best), total)


def _quantities(
    whole: Callable[..., np.ndarray], kept: Sequence[_One], symbols: tuple[str, ...]
) -> tuple[Quantity, ...]:
    """Numbers that any model has, and amplitudes in those of the model."""
    found = []
    for name, unit, decimals, meaning in _NUMBERS:
        if not any(name in one.numbers for one in kept):
            continue
        values, esds = (whole(lambda one, key=key: one.numbers.get(key)) for key in (name, f"{name}_esd"))
        found.append(
            Quantity(name, unit, decimals, meaning, values, esds if np.isfinite(esds).any() else None)
        )
    amplitude = next((one for one in found if one.name == "amplitude"), None)
    if amplitude is not None:
        scale = np.ones_like(amplitude.values)
        for symbol in set(symbols):
            own = np.array([one == symbol for one in symbols])
            for k, row in enumerate(amplitude.values):
                known = row[own & np.isfinite(row)]
                scale[k, own] = np.median(known) if len(known) and np.median(known) > 0 else np.nan
        errors = None if amplitude.esds is None else amplitude.esds / scale
        meaning = "amplitude in the median of its element in its model"
        found.append(Quantity(RELATIVE, "", 5, meaning, amplitude.values / scale, errors))
    return tuple(found)


def _groups(
    coordination: Float[np.ndarray, " n"], often: Bool[np.ndarray, " n"], symbols: tuple[str, ...]
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Atoms at the surface, inside, and of each element if there are several."""
    groups = {
        "surface": often & (coordination < LIMITS.inside),
        "inside": often & (coordination >= LIMITS.inside),
    }
    kinds = sorted({symbol for symbol in symbols if symbol != UNKNOWN})
    if len(kinds) > 1:
        groups |= {kind: often & np.array([symbol == kind for symbol in symbols]) for kind in kinds}
    return {name: members for name, members in groups.items() if members.any()}


def _laid(
    kept: Sequence[_One], there: Bool[np.ndarray, "t n"], often: Bool[np.ndarray, " n"], together: Together
) -> tuple[Laid, ...]:
    common = there[:, often].mean(axis=1) if often.any() else np.zeros(len(kept))
    return tuple(
        replace(one.laid, common=float(part), misfit=float(misfit), size=float(size))
        for one, part, misfit, size in zip(kept, common, together.misfits, together.sizes, strict=True)
    )


def _events(
    moves: list[tuple[int, int]], there: Bool[np.ndarray, "t n"], known: Presence
) -> tuple[Event, ...]:
    """What happened, in the order of time; see `statistics.presence` for probabilities."""
    found = []
    p, last = known.probability, len(there) - 1
    for index in range(there.shape[1]):
        seen = np.flatnonzero(there[:, index])
        begin, end = int(seen[0]), int(seen[-1])
        came, went = p[begin, index] - p[0, index], p[end, index] - p[last, index]
        if begin > 0:
            found.append(Event("gained", index, begin, float(came)))
        for a, b in zip(seen[:-1].tolist(), seen[1:].tolist(), strict=True):
            if b > a + 1:
                gap = min(p[a, index], p[b, index]) - p[a + 1 : b, index].min()
                found.append(Event("lost", index, a + 1, float(gap), f"for {b - a - 1} models"))
                found.append(Event("returned", index, b, float(gap), f"after {b - a - 1} models"))
        if end < last:
            found.append(Event("lost", index, end + 1, float(went)))
    found = [event for event in found if event.probability >= _TOLD]
    found += [Event("moved", index, k, detail="to another site") for index, k in moves]
    return tuple(sorted(found, key=lambda event: (event.frame, event.kind, event.index)))
