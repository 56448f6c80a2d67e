"""Options of the command line, made of the fields of a dataclass (`declared`).

Values are read here as the numbers, lists and words that they look like, and judged where Python's are: by
the dataclass, whose refusal is the same sentence on both sides.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from atomfit.cli.terminal import refusals
from atomfit.options.declared import Declared, alternatives, declared, flag_of


def takes(**kinds: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator of a command: parameters of these names are made of an option for each field.

    A field that several dataclasses have is one option, of which all of them are made, each with its own
    default if these differ; one that the command has as a parameter of its own is left to it. What cannot
    be used is refused before the command begins.
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
                made.setdefault(name, _parameter(name, default if alike else None, *about))

        @wraps(command)
        def run(**given: Any) -> None:
            words = {name: given.pop(name) for name in made}
            with refusals():
                options = {
                    parameter: kind(**_values(words, fields[parameter]))
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
    return numbers if len(parts) > 1 else numbers[0]


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
