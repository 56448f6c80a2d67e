"""Options as fields of a dataclass: declared once, checked wherever they are given.

A field says what its option is called in words, what it may be, and under which heading it stands. Python
and the command line make the same dataclass of what they are given, and so refuse the same values by the
same sentence; the command line's options are made of these fields (`cli.fields`). A value's type is its
annotation: a `Literal`, a number, a path, a tuple of them, or one of several.

What is meant is taken, and becomes what was declared: numpy's and JAX's numbers, whole numbers where a
length is asked for, lists for tuples. What is not is refused: True for a number, "3" for 3, 2.5 iterations.
Such a dataclass calls `check` in its `__post_init__`, and is marked `no_type_check`: run-time type checkers
would refuse first, in words that are not a user's. Imports nothing heavy.
"""

import math
import os
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from atomfit.support.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Need:
    """What a value must be, in the words of its refusal: "2 is no WHAT; give GIVE."

    **Fields:**

    - `what`, `give`: a noun, and what to give instead; from the annotation if they are not said.
    - `low`, `high`: least and greatest number.
    - `finite`: whether a number must be one; NaN and infinity are taken if not.
    """

    what: str | None = None
    give: str | None = None
    low: float = -math.inf
    high: float = math.inf
    finite: bool = True

    def admits(self, number: float) -> bool:
        """Whether a number is in range."""
        return not self.finite or (math.isfinite(number) and self.low <= number <= self.high)


@dataclass(frozen=True)
class Declared:
    """What a field says of its option, besides its type and default.

    **Fields:**

    - `group`: the heading that it stands under.
    - `help`: one sentence.
    - `metavar`: what stands for its value, in the help.
    - `need`: what a value must be.
    - `flag`, `letter`: its name on the command line, if that is not the field's, and its short form.
    """

    group: str
    help: str
    metavar: str | None = None
    need: Need = Need()
    flag: str | None = None
    letter: str | None = None


def option(
    default: T,
    group: str,
    help: str,
    *,
    metavar: str | None = None,
    need: Need = Need(),
    flag: str | None = None,
    letter: str | None = None,
) -> T:
    """A field that is an option; see `Declared`."""
    declared = Declared(group, help, metavar, need, flag, letter)
    found: T = field(default=default, metadata={"option": declared})
    return found


def like(kind: type, name: str) -> Any:
    """A field that another dataclass has as well: its default, its words and what it may be."""
    one = next(each for each in fields(kind) if each.name == name)
    found: Any = field(default=one.default, metadata=one.metadata)
    return found


def declared(kind: type) -> Mapping[str, tuple[Any, Declared]]:
    """Annotation and declaration of each option of a dataclass, by its field's name."""
    return _declared(kind)


@cache
def _declared(kind: type) -> Mapping[str, tuple[Any, Declared]]:
    return {one.name: (one.type, one.metadata["option"]) for one in fields(kind)}


def check(options: Any) -> None:
    """Make every value of its declared type: for `__post_init__` of a frozen dataclass of options.

    **Raises:** `InputError` that names the option, if one cannot be.
    """
    for name, (kind, about) in declared(type(options)).items():
        value = getattr(options, name)
        try:
            object.__setattr__(options, name, _fit(value, kind, about.need))
        except _OneOf as wrong:
            raise _refusal(wrong.args[0], kind, about.need, flag_of(name, about)) from None
        except (_Misfit, OverflowError):
            raise _refusal(value, kind, about.need, flag_of(name, about)) from None


def require_unset(options: Any, names: Iterable[str], problem: str, remedy: str) -> None:
    """Of options that would have no effect beside the others: they must have their defaults.

    **Raises:** `InputError` that names the first one that has not.
    """
    for one in fields(options):
        if one.name in names and getattr(options, one.name) != one.default:
            flag = flag_of(one.name, one.metadata["option"])
            raise InputError(problem, f"{remedy}, or leave out {flag}", flag)


def flag_of(name: str, about: Declared) -> str:
    """`--cn-cutoff` for `cn_cutoff`."""
    return "--" + (about.flag or name).replace("_", "-")


def alternatives(kind: Any) -> list[Any]:
    """The plain types that an annotation is made of."""
    if get_origin(kind) in (Union, UnionType, tuple):
        return [plain for one in get_args(kind) for plain in alternatives(one)]
    return [kind]


def options_from(kind: type[T], given: T | None, changes: Mapping[str, Any], of: str) -> T:
    """Options that were given, with single fields replaced.

    **Arguments:**

    - `kind`, `given`, `changes`: their class, what was given, and fields to replace.
    - `of`: the function that was called.

    **Raises:** `InputError` if the options are another function's or a value cannot be used; `TypeError`,
        as Python does of a call, if there is no such field.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = next((name for name in changes if name not in known), None)
    if unknown is not None:
        nearest = get_close_matches(unknown, known, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise TypeError(f"{of}() got an unexpected keyword argument {unknown!r}{hint}")
    if given is None:
        return kind(**changes)
    if not isinstance(given, kind):
        raise InputError(f"{_shown(given)} is no {kind.__name__}", f"give atomfit.{kind.__name__}(...)")
    return replace(given, **changes)  # type: ignore[type-var]


class _Misfit(Exception):
    """A value that is not of a type."""


class _OneOf(_Misfit):
    """Among several values of a kind, this is none."""


def _fit(value: Any, kind: Any, need: Need) -> Any:
    """A value as one of a type; raises `_Misfit` if it is none."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # a number of numpy, JAX or the like
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        for one in get_args(kind):
            try:
                return _fit(value, one, need)
            except _Misfit:
                pass
    elif origin is tuple:
        return _tuple(value, get_args(kind), need)
    elif origin is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return str(value)
    elif kind is NoneType:
        if value is None:
            return None
    elif kind is bool:
        if isinstance(value, bool):
            return value
    elif kind is int:
        if isinstance(value, Integral) and not isinstance(value, bool) and need.admits(int(value)):
            return int(value)
    elif kind is float:
        if isinstance(value, Real) and not isinstance(value, bool) and need.admits(float(value)):
            return float(value)
    elif kind is str:
        if isinstance(value, str) and value:
            return str(value)
    elif kind is Path and isinstance(value, os.PathLike):
        return Path(os.fsdecode(value))
    raise _Misfit


def _tuple(value: Any, kinds: tuple[Any, ...], need: Need) -> tuple[Any, ...]:
    if isinstance(value, str) and kinds[-1] is ...:
        value = (value,)  # one word where several may be
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise _Misfit
    items = list(value)
    if kinds[-1] is not ...:
        if len(items) != len(kinds):
            raise _Misfit
        return tuple(_fit(item, kind, need) for item, kind in zip(items, kinds, strict=True))
    found = []
    for item in items:
        try:
            found.append(_fit(item, kinds[0], need))
        except _Misfit:
            raise _OneOf(item) from None
    return tuple(found)


def _refusal(value: Any, kind: Any, need: Need, flag: str) -> InputError:
    words = [word for one in alternatives(kind) for word in get_args(one) if get_origin(one) is Literal]
    if need.what is None and words:
        return InputError(f"{_shown(value)} is none of its values", f"give {', '.join(words)}", flag)
    what, give = next(
        (_WORDS[one] for one in alternatives(kind) if one in _WORDS), ("value of it", "another")
    )
    return InputError(
        f"{_shown(value)} is no {need.what or what}",
        f"give {need.give or (', '.join(words) if words else give)}",
        flag,
    )


_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("switch", "True or False"),
    int: ("whole number", "one, as 3"),
    float: ("number", "one, as 1.5"),
    str: ("word", "one"),
}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return " ".join(short.repr(value).split())
