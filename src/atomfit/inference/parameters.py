"""What is free in a problem: a tree of arrays in, one vector of free numbers out, and back.

All floating-point arrays of a structure, and of what observations have for themselves, are free, unless
they are wrapped. Wrappers are paramax's: one says how a part follows from other numbers.

    structure = frozen(structure, lambda s: s.amplitudes)
    structure = with_wrapped(structure, lambda s: s.amplitudes, positive)
    structure = with_wrapped(structure, lambda s: s.displacements.log_widths, partial(tied, members=kinds))

Free numbers are zero at the start, and each is measured in a step of its own (`problem` finds them), so
that no unit of anybody's is better than another.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import paramax
from jaxtyping import Array, Bool, Float, Int, PyTree

from atomfit.optimisation.parameters import AbstractParametrisation, Free
from atomfit.structure.canvas import AbstractStructure, Leaf

Tree = TypeVar("Tree", bound=PyTree)


class Follows(paramax.AbstractUnwrappable[Array]):
    """Numbers that follow from others, all of which are free unless they are frozen.

    It is `paramax.Parameterize` with a function that is no part of the tree, as a compiled program needs
    it.

    **Fields:**

    - `function`: what they follow by.
    - `args`, `kwargs`: from what.
    """

    function: Callable[..., Any] = eqx.field(static=True)
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs

    def unwrap(self) -> Array:
        return self.function(*self.args, **self.kwargs)


class Tied(paramax.AbstractUnwrappable[Array]):
    """Numbers that several atoms share.

    **Fields:**

    - `values`: the free ones, one row a group.
    - `members`: which group each atom belongs to.
    """

    values: Float[Leaf, "k *s"]
    members: Int[Leaf, " n"]

    def unwrap(self) -> Array:
        return jnp.asarray(self.values)[jnp.asarray(self.members)]


def with_wrapped(tree: Tree, where: Callable[[Tree], Any], wrap: Callable[[Any], Any]) -> Tree:
    """A tree with a part, or a tuple of parts, wrapped: replaced by what it follows from.

    **Arguments:**

    - `tree`: a structure, say.
    - `where`: its part.
    - `wrap`: one of the functions below, or a wrapper of paramax.
    """
    return eqx.tree_at(where, tree, replace_fn=wrap)


def frozen(tree: Tree, where: Callable[[Tree], Any] = lambda tree: tree) -> Tree:
    """A tree with a part, or all of it, that keeps its numbers.

    **Arguments:**

    - `tree`: a structure, say.
    - `where`: its part, or a tuple of parts.
    """
    if where(tree) is tree:
        return paramax.non_trainable(tree)
    return with_wrapped(tree, where, paramax.non_trainable)


def positive(values: Float[Leaf, "..."]) -> Follows:
    """Numbers that stay positive: their logarithms are free.

    **Arguments:**

    - `values`: at the start.
    """
    return Follows(jnp.exp, np.log(np.asarray(values, np.float64)))


def bounded(values: Float[Leaf, "..."], low: float, high: float) -> Follows:
    """Numbers that stay between two bounds.

    **Arguments:**

    - `values`: at the start, between the bounds.
    - `low`, `high`: the bounds.
    """
    part = (np.asarray(values, np.float64) - low) / (high - low)
    if not np.all((part > 0) & (part < 1)):
        raise ValueError(f"values must lie between {low:g} and {high:g} at the start, not at a bound")
    bounds = (paramax.NonTrainable(np.asarray(x, np.float64)) for x in (low, high))
    return Follows(_between, np.log(part / (1 - part)), *bounds)


def fixed_where(values: Float[Leaf, "n *s"], fixed: Bool[np.ndarray, " n"]) -> Follows:
    """Numbers of which those of some atoms stay as they are.

    **Arguments:**

    - `values`: at the start.
    - `fixed`: atoms whose numbers stay.
    """
    return Follows(_chosen, np.asarray(values), paramax.NonTrainable(np.asarray(values)), np.asarray(fixed))


def tied(values: Float[Leaf, "n *s"], members: Int[np.ndarray, " n"]) -> Tied:
    """Numbers that atoms of a group share; they begin with the group's mean.

    **Arguments:**

    - `values`: of each atom, at the start.
    - `members`: which group each atom belongs to, counted from 0.
    """
    values, k = np.asarray(values, np.float64), int(members.max(initial=0)) + 1
    sums = np.zeros((k, *values.shape[1:]))
    np.add.at(sums, members, values)
    counts = np.maximum(np.bincount(members, minlength=k), 1)
    return Tied(sums / counts.reshape(-1, *[1] * (values.ndim - 1)), np.asarray(members))


def _between(raw: Leaf, low: Leaf, high: Leaf) -> Leaf:
    return low + (high - low) * jax.nn.sigmoid(raw)


def _chosen(values: Leaf, kept: Leaf, fixed: Leaf) -> Leaf:
    return jnp.where(jnp.reshape(fixed, (-1, *[1] * (jnp.ndim(values) - 1))), kept, values)


class Parameters(AbstractParametrisation):
    """The map from free numbers, all zero at the start, to a structure and what observations have.

    **Fields:**

    - `start`: structure and a tuple of what each observation has for itself, with wrappers.
    - `steps`: by name, how much of each number is one unit of its free number.
    - `own`: names of what each atom has for itself.
    - `count`: of atoms.
    """

    start: tuple[PyTree, tuple[PyTree, ...]]
    steps: dict[str, Leaf]
    own: tuple[str, ...] = eqx.field(static=True)
    count: int = eqx.field(static=True)

    @classmethod
    def of(cls, structure: AbstractStructure, nuisances: tuple[PyTree, ...]) -> "Parameters":
        """Of a problem, all steps one."""
        structure, nuisances = _followed((structure, nuisances))
        count = len(paramax.unwrap(structure))
        named = dict(free_leaves((structure, nuisances)))
        shared = {f"{name}.values" for name, _ in _tied((structure, nuisances))}
        own = tuple(
            name
            for name, leaf in named.items()
            if name.startswith("[0]") and np.shape(leaf)[:1] == (count,) and name not in shared
        )
        steps: dict[str, Leaf] = {name: np.ones(np.shape(leaf), np.float32) for name, leaf in named.items()}
        return cls((structure, nuisances), steps, own, count)

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(name for name in self.own if name in self.steps)

    @property
    def columns(self) -> tuple[int, int]:
        width = sum(int(np.prod(np.shape(self.steps[name])[1:], dtype=int)) for name in self.rows)
        return self.count, width

    @property
    def size(self) -> int:
        """How many numbers are free: those without a step (padding, or not in the data) are not."""
        return sum(int(np.count_nonzero(step)) for step in self.steps.values())

    @property
    def length(self) -> int:
        """Of the vector of them all."""
        return sum(int(np.size(step)) for step in self.steps.values())

    @property
    def atoms(self) -> int:
        """How many atoms have free numbers of their own; all if none has."""
        if not self.rows:
            return self.count
        moving = [np.any(np.asarray(self.steps[name]).reshape(self.count, -1), 1) for name in self.rows]
        return int(np.count_nonzero(np.any(moving, axis=0)))

    def __call__(self, free: Free) -> tuple[AbstractStructure, tuple[PyTree, ...]]:
        changes = {name: jnp.asarray(self.steps[name]) * number for name, number in free.items()}
        return paramax.unwrap(_changed(self.start, changes))

    def moved(self, free: Free) -> tuple[PyTree, tuple[PyTree, ...]]:
        """The start with free numbers added, wrappers and all, on the host in float64."""
        steps = {k: np.asarray(self.steps[k], np.float64) * np.asarray(x) for k, x in free.items()}
        return _changed(jax.tree.map(_double, self.start), steps)


def on_host(tree: Tree) -> Tree:
    """A tree unwrapped, in arrays of numpy; what no function makes keeps all of its digits."""
    thawed = jax.tree.map(lambda x: x.tree if _is_frozen(x) else x, tree, is_leaf=_is_frozen)
    return jax.tree.map(_numpy, paramax.unwrap(thawed))


def free_leaves(tree: PyTree) -> list[tuple[str, Any]]:
    """Names and values of the arrays that are free."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_frozen)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if eqx.is_inexact_array_like(leaf)]


def _changed(tree: Tree, changes: dict[str, Any]) -> Tree:
    def change(path: Any, leaf: Any) -> Any:
        name = jax.tree_util.keystr(path)
        return leaf + changes[name] if name in changes else leaf

    return jax.tree_util.tree_map_with_path(change, tree, is_leaf=_is_frozen)


def _is_frozen(x: Any) -> bool:
    return isinstance(x, paramax.NonTrainable)


def _followed(tree: Tree) -> Tree:
    """The same with functions that are no leaves."""

    def static(x: Any) -> Any:
        return Follows(x.fn, *x.args, **x.kwargs) if isinstance(x, paramax.Parameterize) else x

    return jax.tree.map(static, tree, is_leaf=lambda x: isinstance(x, paramax.Parameterize))


def _tied(tree: PyTree) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, Tied))
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if isinstance(leaf, Tied)]


def _numpy(x: Any) -> Any:
    return np.asarray(x) if eqx.is_array_like(x) else x


def _double(x: Any) -> Any:
    return np.asarray(x, np.float64) if eqx.is_inexact_array_like(x) else x
