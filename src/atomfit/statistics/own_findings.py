"""What speaks against a result by itself, as whoever goes on with it has to know."""

from typing import NamedTuple


class OwnFinding(NamedTuple):
    """A finding of a result's own verdict.

    **Fields:**

    - `level`: "doubtful" or "bad".
    - `problem`: a sentence without its end.
    """

    level: str
    problem: str
