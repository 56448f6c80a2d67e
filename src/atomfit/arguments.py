"""Words of the command line as numbers."""

from atomfit.errors import InputError


def numbers(text: str, option: str) -> tuple[float, ...]:
    """One number, or three with commas between.

    **Raises:** `InputError` if it is neither.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in (1, 3):
        raise InputError(f"{text!r} is neither one number nor three", "write 1 or 1,2,3", option)
    return found


def number(text: str, option: str) -> float:
    """One number, which may be nan.

    **Raises:** `InputError` if it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{text!r} is no number", "write 0 or nan", option) from None


def lengths(text: str | None) -> float | tuple[float, ...] | None:
    """One voxel edge or three (Å)."""
    if text is None:
        return None
    edges = numbers(text, "--voxel-size")
    return edges[0] if len(edges) == 1 else edges


def triple(text: str, option: str) -> tuple[float, float, float]:
    """Three numbers.

    **Raises:** `InputError` if there are not three.
    """
    three = numbers(text, option)
    if len(three) != 3:
        raise InputError(f"{text!r} is not three numbers", "write X,Y,Z", option)
    return three[0], three[1], three[2]


def correlation_rule(text: str) -> float | str:
    """A number, or the name of a rule."""
    try:
        return float(text)
    except ValueError:
        return text
