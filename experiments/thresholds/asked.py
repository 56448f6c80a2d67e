"""Which thresholds a computation reads, and other values of them.

What is not read cannot change anything: a case is computed again only for those thresholds that it has
read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

#: Of these the distance to one is halved or doubled: correlations, probabilities, parts near one, factors.
NEAR_ONE = {
    *("contrast", "well_described", "power_above_noise"),
    *("unmeasured_together", "unmeasured_lower", "shape_widest", "shape_one_voxel", "spacing_agrees"),
    *("spacing_even", "spacing_odd", "spacing_wrong", "halves_alike", "halves_times", "sections_as_rows"),
    *("start_odd", "grain_explained", "one_lattice", "spacing_unlike"),
    *("bonds_doubtful", "bonds_bad", "light_brighter", "of_another_sure", "correlation_doubtful"),
    *("gain_doubtful", "gain_bad", "removed_doubtful", "removed_bad"),
    *("white_ratio", "shared", "lost", "kept", "most_absorbed", "agreement_enough", "existence_white"),
    *("misread_times", "well_read", "misread_surely", "coloured", "seen_by", "same_noise", "unsure"),
    *("tried_as_two_above", "left_out_below", "heavy_hollows"),
}


def other(name: str, value: Any, factor: float) -> Any:
    """A threshold halved or doubled; whole numbers stay whole, and are one at least."""
    if isinstance(value, tuple):
        return tuple(other(name, one, factor) for one in value)
    if name in NEAR_ONE:
        return max(1 + factor * (value - 1), 0.0)
    return max(round(factor * value), 1) if isinstance(value, int) else factor * value


@contextmanager
def reading(limits: Any) -> Iterator[set[str]]:
    """The names of the thresholds that are read until the block ends."""
    kind, read = type(limits), set[str]()
    names = {field.name for field in fields(limits)}

    class Watched(kind):  # type: ignore[misc, valid-type]
        def __getattribute__(self, name: str) -> Any:
            if name in names:
                read.add(name)
            return super().__getattribute__(name)

    object.__setattr__(limits, "__class__", Watched)
    try:
        yield read
    finally:
        object.__setattr__(limits, "__class__", kind)
