"""How a fit has ended, and what to do then."""

from enum import StrEnum


class Ended(StrEnum):
    """A way to end.

    It is a string as well, by which files and logs name it.
    """

    CONVERGED = "converged"
    ITERATION_LIMIT = "iteration limit"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"

    @property
    def advice(self) -> str:
        """What to do next; nothing if it has converged."""
        return _ADVICE[self]

    @property
    def early(self) -> bool:
        """Whether nothing is to be built on it: no further stage makes sense."""
        return self in (Ended.INTERRUPTED, Ended.DIVERGED)


_ADVICE = {
    Ended.CONVERGED: "",
    Ended.ITERATION_LIMIT: "numbers may still change; let it go on",
    Ended.INTERRUPTED: "numbers may still change; --resume lets it go on",
    Ended.DIVERGED: "the objective is no number where it was led: look for values far from all others in "
    "the data, and at where the atoms began",
}


class SearchEnded(StrEnum):
    """A way in which a search for atoms ends: as a fit does, or because of the atoms."""

    SETTLED = "settled"
    NO_BETTER = "no better"
    LAST_ROUND = "last round"
    NO_ATOMS = "no atoms"
    INTERRUPTED = Ended.INTERRUPTED.value
    DIVERGED = Ended.DIVERGED.value

    @property
    def early(self) -> bool:
        """Whether nothing is to be built on it."""
        return self in (SearchEnded.INTERRUPTED, SearchEnded.DIVERGED)
