"""Annotations as a person would write them.

What Python prints of an annotation is exact and hard to read: jaxtyping's classes in a union of one for
JAX's arrays and one for numpy's, each with the path of a module that nobody imports. Here it is parsed,
shortened and written anew: `Float[Array | ndarray, 'n 3']`, `X | None`, names without the modules of other
packages. What cannot be parsed is an error.
"""

import ast
import inspect
from collections.abc import Collection
from functools import reduce
from types import FunctionType
from typing import Any

_NAMES = {"NoneType": "None"}


class _Shorter(ast.NodeTransformer):
    def __init__(self, linked: Collection[str]) -> None:
        self.linked = linked

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return node if ast.unparse(node) in self.linked else ast.Name(node.attr)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(_NAMES.get(node.id, node.id))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        kind = ast.unparse(node.value)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if kind == "Optional":
            return _union([node.slice, ast.Name("None")])
        return _union(inner) if kind == "Union" else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return _union([node.left, node.right])


def _union(members: list[ast.expr]) -> ast.expr:
    """`A | B | ...`, in which arrays of the same type and shape are one."""
    flat = [one for member in members for one in _members(member)]
    merged: list[ast.expr] = []
    arrays: dict[tuple[str, str], ast.Tuple] = {}
    for one in flat:
        held = one.slice if isinstance(one, ast.Subscript) else None
        if not isinstance(held, ast.Tuple) or not _is_shape(held):
            merged.append(one)
            continue
        assert isinstance(one, ast.Subscript)
        key = ast.unparse(one.value), ast.unparse(held.elts[1])
        if key in arrays:
            arrays[key].elts[0] = ast.BinOp(arrays[key].elts[0], ast.BitOr(), held.elts[0])
        else:
            arrays[key] = held
            merged.append(one)
    return reduce(lambda a, b: ast.BinOp(a, ast.BitOr(), b), merged)


def _members(node: ast.expr) -> list[ast.expr]:
    return _members(node.left) + _members(node.right) if isinstance(node, ast.BinOp) else [node]


def _is_shape(held: ast.Tuple) -> bool:
    """Whether this is what jaxtyping's types hold: a kind of array, and its axes."""
    return len(held.elts) == 2 and ast.unparse(held.elts[0]) in ("Array", "ndarray")


def annotation(text: str, linked: Collection[str] = ()) -> str:
    """An annotation, shortened; names that will be linked keep their modules, by which they are found."""
    return ast.unparse(_Shorter(linked).visit(ast.parse(text.strip(), mode="eval"))) if text.strip() else ""


class _Written:
    """Something that prints as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature(given: inspect.Signature, linked: Collection[str] = ()) -> inspect.Signature:
    """The same with annotations shortened, and without the addresses of default functions."""

    def shortened(held: Any) -> Any:
        empty = held is inspect.Parameter.empty
        return held if empty else _Written(annotation(inspect.formatannotation(held), linked))

    written = [
        one.replace(annotation=shortened(one.annotation), default=_default(one.default))
        for one in given.parameters.values()
    ]
    return type(given)(written, return_annotation=shortened(given.return_annotation))


def _default(given: Any) -> Any:
    if isinstance(given, FunctionType):
        return _Written("..." if given.__name__ == "<lambda>" else given.__name__)
    # What a dataclass prints for a default that is made anew for each object.
    return _Written("...") if repr(given) == "<factory>" else given
