"""Numbers of followed atoms: which are kept of each model, whose atom is of which element, and groups."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.chance import Chance
from atomfit.statistics.limits import LIMITS
from atomfit.statistics.own_findings import OwnFinding
from atomfit.structure.elements import UNKNOWN
from atomfit.structure.tracked import Quantity

#: What is followed: name, unit, decimals, meaning; those with trends first.
NUMBERS: tuple[tuple[str, str, int, str], ...] = (
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
    - `own_findings`: what speaks against the model by itself.
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
    own_findings: tuple[OwnFinding, ...] = ()


@dataclass(eq=False)
class Kept:
    """What is kept of a model."""

    track: np.ndarray
    positions: np.ndarray
    esds: np.ndarray
    symbols: tuple[str, ...]
    numbers: dict[str, np.ndarray]
    laid: Laid


def quantities_of(
    whole: Callable[..., np.ndarray], kept: Sequence[Kept], symbols: tuple[str, ...]
) -> tuple[Quantity, ...]:
    """Numbers that any model has, and amplitudes in those of the model."""
    found = []
    for name, unit, decimals, meaning in NUMBERS:
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


def symbols_of(kept: Sequence[Kept], n: int) -> tuple[tuple[str, ...], tuple[int, int]]:
    """Element that each atom has most often; and how many observations have another, of how many."""
    seen: list[Counter[str]] = [Counter() for _ in range(n)]
    for one in kept:
        for track, symbol in zip(one.track.tolist(), one.symbols, strict=True):
            if symbol != UNKNOWN:
                seen[track][symbol] += 1
    best = [counter.most_common(1)[0] if counter else (UNKNOWN, 0) for counter in seen]
    total = sum(sum(counter.values()) for counter in seen)
    return tuple(symbol for symbol, _ in best), (total - sum(count for _, count in best), total)


def groups_of(
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


def typical(values: Float[np.ndarray, "t n"]) -> Float[np.ndarray, " n"]:
    """Median over models; NaN where there is none."""
    ordered, count = np.sort(values, axis=0), np.isfinite(values).sum(axis=0)
    middle = ordered[np.maximum(count - 1, 0) // 2, np.arange(values.shape[1])]
    return np.where(count > 0, middle, np.nan).astype(float)
