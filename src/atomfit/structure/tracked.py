"""Things followed in time (atoms of models, columns of a movie): where each was, what is known of it.

Whoever follows anything says so in this one form, whatever it was that he followed: a position and numbers
of each thing at each time, NaN where it is not; in which state it was; and what happened to it and when.
Tables, trajectories and pages are made of it, and know nothing of models, frames or how things were
followed.

Numbers of hundreds of frames are kept in single precision; positions and times as they come.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

#: The state of a thing that is not (or not yet) there.
ABSENT = -1


@dataclass(frozen=True, eq=False)
class Quantity:
    """A number of each thing at each time.

    **Fields:**

    - `name`, `unit`, `meaning`: as a table's column has them.
    - `decimals`: digits behind the point, in tables.
    - `values`: NaN where it is not known.
    - `esds`: standard uncertainties; None if none is known.
    """

    name: str
    unit: str
    decimals: int
    meaning: str
    values: Float[np.ndarray, "t n"]
    esds: Float[np.ndarray, "t n"] | None = None

    def of(self, frames: Int[np.ndarray, " u"], which: Int[np.ndarray, " m"]) -> "Quantity":
        """The same of some frames and things."""
        chosen = np.ix_(frames, which)
        esds = None if self.esds is None else self.esds[chosen]
        return replace(self, values=self.values[chosen], esds=esds)


@dataclass(frozen=True)
class Event:
    """Something that happened to a thing.

    **Fields:**

    - `kind`: what, in a word ("lost").
    - `index`: of the thing.
    - `frame`: index of the time at which it is seen first.
    - `probability`: that it happened; NaN if that is not known.
    - `detail`: more about it, in a few words.
    """

    kind: str
    index: int
    frame: int
    probability: float = float("nan")
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Tracked:
    """Things followed in time.

    **Fields:**

    - `things`: what they are, in a word: "atoms" or "columns".
    - `ids`: number of each.
    - `symbols`: element of each.
    - `frames`: name of what was seen at each time.
    - `times`: in the unit of `time_unit`, rising.
    - `positions`: in space or in a plane (Å); NaN where a thing is not.
    - `quantities`: numbers of each at each time.
    - `states`: names of the states that a thing can be in.
    - `state`: index of it at each time; `ABSENT` where there is nothing to say.
    - `esds`: standard uncertainties of the positions (Å); None if none is known.
    - `events`: what happened.
    - `groups`: which things are of one kind, by the kind's name.
    - `time_unit`: "" where times are numbers of models or frames.

        >>> moved = Tracked("atoms", np.array([7]), ("Pt",), ("a", "b"), np.array([0.0, 1.0]),
        ...     np.zeros((2, 1, 3)), (), ("present",), np.zeros((2, 1), np.int8))
        >>> moved.count.tolist(), moved.there.shape
        ([1, 1], (2, 1))
    """

    things: str
    ids: Int[np.ndarray, " n"]
    symbols: tuple[str, ...]
    frames: tuple[str, ...]
    times: Float[np.ndarray, " t"]
    positions: Float[np.ndarray, "t n d"]
    quantities: tuple[Quantity, ...]
    states: tuple[str, ...]
    state: Int[np.ndarray, "t n"]
    esds: Float[np.ndarray, "t n d"] | None = None
    events: tuple[Event, ...] = ()
    groups: dict[str, Bool[np.ndarray, " n"]] = field(default_factory=dict)
    time_unit: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def there(self) -> Bool[np.ndarray, "t n"]:
        """Where each thing has a position."""
        return np.all(np.isfinite(self.positions), axis=2)

    @property
    def count(self) -> Int[np.ndarray, " t"]:
        """How many have a position at each time."""
        return np.sum(self.there, axis=1)

    def of(self, frames: Int[np.ndarray, " u"], which: Int[np.ndarray, " m"]) -> "Tracked":
        """Some frames and things, and events of these things at the first of these frames that has them.

        **Arguments:**

        - `frames`, `which`: indices of frames and things, rising.
        """
        chosen = np.ix_(frames, which)
        place = {int(index): k for k, index in enumerate(which)}
        at = np.searchsorted(frames, [event.frame for event in self.events])
        events = tuple(
            replace(event, index=place[event.index], frame=min(int(k), len(frames) - 1))
            for event, k in zip(self.events, at, strict=True)
            if event.index in place
        )
        return replace(
            self,
            ids=self.ids[which],
            symbols=tuple(self.symbols[k] for k in which),
            frames=tuple(self.frames[k] for k in frames),
            times=self.times[frames],
            positions=self.positions[chosen],
            quantities=tuple(one.of(frames, which) for one in self.quantities),
            state=self.state[chosen],
            esds=None if self.esds is None else self.esds[chosen],
            events=events,
            groups={name: members[which] for name, members in self.groups.items()},
        )
