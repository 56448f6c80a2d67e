"""Options of the command line, made of the fields of a dataclass (`declared`).

Values are read here as the numbers, lists and words that they look like, and judged where Python's are: by
the dataclass, whose refusal is the same sentence on both sides.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from atomfit.cli.terminal import refusals
from atomfit.options.declared import Declared, alternatives, declared, flag_of
from atomfit.support.errors import InputError

#: Of parameters that are not used: the problem with an option of theirs, and the remedy.
Unused = Mapping[str, tuple[str, str]]


def takes(
    unused: Callable[[Mapping[str, Any]], Unused] = lambda given: {}, /, **kinds: type
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator of a command: parameters of these names are made of an option for each field.

    A field that several dataclasses have is one option, of which all of them are made, each with its own
    default if these differ; one that the command has as a parameter of its own is left to it. What cannot
    be used is refused before the command begins.

    **Arguments:**

    - `unused`: of what was given of the command's own parameters, which others have no use for their
        options: they have their defaults, and options that are theirs alone are refused.
    - `kinds`: the dataclasses.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = {name: one for name, one in signature.parameters.items() if name not in kinds}
        fields = {
            parameter: {name: about for name, about in declared(kind).items() if name not in own}
            for parameter, kind in kinds.items()
        }
        made: dict[str, inspect.Parameter] = {}
        for parameter, kind in kinds.items():
            for name, about in fields[parameter].items():
                default = getattr(kind, name)
                alike = all(getattr(other, name, default) == default for other in kinds.values())
                if name not in made:
                    told = _together([each[name] for each in fields.values() if name in each])
                    made[name] = _parameter(name, default if alike else None, about[0], told)

        @wraps(command)
        def run(**given: Any) -> None:
            words = {name: given.pop(name) for name in made}
            with refusals():
                idle = unused(given)
                used = {name for one in kinds if one not in idle for name in fields[one]}
                _require_use(words, {kinds[one]: told for one, told in idle.items()}, used)
                options = {
                    parameter: kind() if parameter in idle else kind(**_values(words, fields[parameter]))
                    for parameter, kind in kinds.items()
                }
            command(**given, **options)

        parameters = [
            one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for one in sorted(
                [*own.values(), *made.values()], key=lambda one: one.default is not inspect.Parameter.empty
            )
        ]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        del run.__wrapped__
        return run

    return decorate


def _require_use(words: dict[str, Any], idle: Mapping[type, tuple[str, str]], used: set[str]) -> None:
    """What was given must be of a dataclass that is used, or be a default."""
    for kind in idle:
        for name, (annotation, about) in declared(kind).items():
            given = words.get(name)
            if name in used or given is None or read(given, annotation) == getattr(kind, name):
                continue
            theirs = [told for other, told in idle.items() if name in declared(other)]
            # "add --image or --hrtem", of two that add something.
            verb, first = theirs[0][1].split(" ", 1)
            remedies = dict.fromkeys([first, *(remedy.removeprefix(f"{verb} ") for _, remedy in theirs)])
            flag = flag_of(name, about)
            raise InputError(theirs[0][0], f"{verb} {' or '.join(remedies)}, or leave out {flag}", flag)


def _together(declarations: list[tuple[Any, Declared]]) -> Declared:
    """What several dataclasses say of one option."""
    all_of_them = [about for _, about in declarations]
    helps = dict.fromkeys(about.help for about in all_of_them)
    units = dict.fromkeys(about.metavar for about in all_of_them if about.metavar)
    return replace(all_of_them[0], help=" / ".join(helps), metavar="|".join(units) or None)


def _values(words: dict[str, Any], fields: dict[str, tuple[Any, Declared]]) -> dict[str, Any]:
    """What was given of a dataclass's fields."""
    return {
        name: read(words[name], annotation)
        for name, (annotation, _) in fields.items()
        if words[name] is not None
    }


def read(text: Any, kind: Any) -> Any:
    """What words stand for, as far as they can be read as a type; themselves if not."""
    if isinstance(text, tuple | list):
        return tuple(text)
    if not isinstance(text, str):
        return text
    kinds = alternatives(kind)
    several = any(get_origin(one) is tuple for one in (kind, *get_args(kind)))
    parts = text.split(",") if several else [text]
    number = int if int in kinds else float if float in kinds else str
    try:
        numbers = tuple(number(part) for part in parts)
    except ValueError:
        return text
    if len(parts) > 1:
        return numbers
    # A word that may stand for several, as 110 for a zone axis.
    return text if several and str in kinds else numbers[0]


def _parameter(name: str, default: Any, annotation: Any, about: Declared) -> inspect.Parameter:
    """The parameter of a command that typer makes an option of."""
    kinds = [one for one in alternatives(annotation) if one is not NoneType]
    words = [word for one in kinds for word in get_args(one) if get_origin(one) is Literal]
    several = next((one for one in (annotation, *get_args(annotation)) if get_origin(one) is tuple), None)
    type_: Any = str | None
    if kinds == [bool]:
        type_ = bool
    elif Path in kinds:
        type_ = tuple[Path, Path] | None if several else Path | None
    elif several and words:
        type_ = list[str] | None
    long = flag_of(name, about)
    if default is True:
        long += f"/--no-{long[2:]}"
    option = typer.Option(
        long,
        *([f"-{about.letter}"] if about.letter else []),
        metavar=about.metavar or (f"[{'|'.join(words)}]" if words else None),
        help=about.help,
        rich_help_panel=about.group,
        autocompletion=_completion(words) if words and type_ is not bool else None,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default if type_ is bool else _text(default, bool(words)),
        annotation=Annotated[type_, option],
    )


def _completion(words: list[str]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _text(default: Any, words: bool) -> str | list[str] | None:
    """A default as it would be typed; a list if options are repeated."""
    if default is None or default == ():
        return None
    if isinstance(default, tuple):
        return list(default) if words else ",".join(f"{one:g}" for one in default)
    return str(default)
