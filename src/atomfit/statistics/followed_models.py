"""Models of one particle at many times: atoms followed, what became of each, and trends of their numbers.

Models are read one after the other, laid on a reference (`statistics.registration`), and forgotten but for
what is followed: places, and a few numbers of each atom. The reference is the first model, unless most
others do not lie on it; a model that does not lie on the reference is laid on the one before. At last all
are laid on their mean (`statistics.tracks`), atoms that are gone are told from those that were missed
(`statistics.presence`), and numbers are tested for trends (`statistics.trends`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.chance import Chance, by_chance
from atomfit.statistics.comparison import Model
from atomfit.statistics.followed_numbers import (
    NUMBERS,
    TESTED,
    Kept,
    Laid,
    groups_of,
    quantities_of,
    symbols_of,
    typical,
)
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.lines import Line, line_of
from atomfit.statistics.presence import Presence, events_of, presence
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
from atomfit.structure.neighbours import find_neighbours
from atomfit.structure.tracked import ABSENT, Quantity, Tracked
from atomfit.support.errors import InputError

#: Models that are tried as the reference.
_TRIED = 5

Read = Callable[[int], Model]
Tell = Callable[[int, Model], None]


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


def _kept(model: Model, registration: Registration[Motion] | None, target: Model, tracker: Tracker) -> Kept:
    positions, esds = model.positions, model.esds
    how = "reference", 0.0, 0, Chance(np.nan, -np.inf)
    if registration is not None:
        motion = registration.motion
        positions = motion(positions)
        esds = np.sqrt((esds**2) @ (motion.rotation**2).T)
        near = LIMITS.atom_stays * _spacing(target)
        chance = by_chance(target.positions, positions, registration.how, near)
        how = registration.how, motion.angle, registration.equals, chance
    laid = Laid(model.name, len(model), *how, own_findings=model.own_findings)
    track = tracker.follow(positions)
    numbers = {
        name: np.asarray(model.numbers[name], np.float32)
        for known, *_ in NUMBERS
        for name in (known, f"{known}_esd")
        if name in model.numbers
    }
    if "cn" not in numbers:
        typical = typical_spacing(model.positions)
        found = find_neighbours(model.positions, typical=float(typical) if typical > 0 else np.inf)
        numbers["cn"] = found.coordination_numbers.astype(np.float32)
    return Kept(track, positions, esds, model.symbols, numbers, laid)


def _spacing(model: Model) -> float:
    return float(np.nan_to_num(typical_spacing(model.positions), nan=2.5))


def _followed(
    kept: Sequence[Kept],
    times: Float[np.ndarray, " t"],
    reference: int | None,
    spacing: float,
    moves: list[tuple[int, int]],
) -> FollowedModels:
    """All that follows once every model was seen; without a reference frames are left as they are."""
    n = 1 + max((int(one.track.max()) for one in kept if len(one.track)), default=-1)

    def whole(values: Callable[[Kept], np.ndarray | None], *shape: int) -> np.ndarray:
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
    symbols, unlike = symbols_of(kept, n)
    quantities = quantities_of(whole, kept, symbols)
    often = _often(there)
    coordination = typical(next(one for one in quantities if one.name == "cn").values)
    standard = reference_atoms(coordination, often)
    inner = bool(np.all(coordination[standard] >= LIMITS.inside))
    groups = groups_of(coordination, often, symbols)
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
        events_of(moves, there, known),
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


def _floats(values: Float[np.ndarray, "t n"] | None) -> Float[np.ndarray, "t n"] | None:
    return None if values is None else values.astype(float)


def _varies(one: Quantity) -> bool:
    """Whether there is anything to test: models without U have none, and full atoms are all full."""
    known = one.values[np.isfinite(one.values)]
    return len(known) > 0 and float(np.ptp(known)) > 0


def _laid(
    kept: Sequence[Kept], there: Bool[np.ndarray, "t n"], often: Bool[np.ndarray, " n"], together: Together
) -> tuple[Laid, ...]:
    common = there[:, often].mean(axis=1) if often.any() else np.zeros(len(kept))
    return tuple(
        replace(one.laid, common=float(part), misfit=float(misfit), size=float(size))
        for one, part, misfit, size in zip(kept, common, together.misfits, together.sizes, strict=True)
    )
