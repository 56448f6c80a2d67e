"""What a map tells of atoms and of their neighbours, from windows around single atoms.

The information that two atoms share is Jᵢᵀ W Jⱼ, where Jᵢ is what each number of an atom does to the map:
nothing beyond its window. So each atom is drawn alone, its derivatives are weighted as the noise says in a
box that is a little larger than the window, and multiplied with those of atoms whose windows reach into
that box. The map as a whole is never drawn, and what it costs grows with the number of atoms.

Weights of correlated noise act over a short distance: in a box they are the same filter, cut off where the
box ends.
"""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.noise import AbstractNoise
from atomfit.rendering import VoxelCanvas, WindowPlan
from atomfit.structure.canvas import AbstractStructure, Leaf

if TYPE_CHECKING:
    from atomfit.observation.map import MapObservation

#: How far boxes reach beyond windows (Å).
_MARGIN = 2.0


def overlaps(
    o: "MapObservation",
    structure: AbstractStructure,
    nuisance: Any,
    tangents: PyTree,
    pairs: Int[np.ndarray, "m 2"],
) -> Float[np.ndarray, "m p p"]:
    """The information of pairs of atoms.

    **Arguments:**

    - `o`: the map, with windows of one call to a canvas.
    - `structure`, `nuisance`: where it is known.
    - `tangents`: of the structure by each atom's own p numbers; leaves begin with p.
    - `pairs`: of atoms, the first in order.
    """
    plan, shape = o.plans[0], np.array(o.data.shape)
    starts = np.asarray(plan.starts)[np.argsort(plan.order)]
    margin = np.ceil(_MARGIN / np.asarray(o.spacing)[::-1]).astype(int)
    box = np.minimum(np.array(plan.window) + 2 * margin, shape)
    corners = np.clip(starts - margin, 0, shape - box)
    noise, scale = _in_boxes(o.noise, tuple(o.data.shape), tuple(box.tolist())), jnp.asarray(nuisance.scale)
    slopes: list[np.ndarray] = []
    order = np.argsort(pairs[:, 0], kind="stable")
    found: list[np.ndarray] = [np.zeros(0)] * len(pairs)
    for i in range(len(starts)):
        one = jax.tree.map(lambda x, i=i: x[i : i + 1], structure)
        along = jax.tree.map(lambda x, i=i: x[:, i : i + 1], tangents)
        origin = np.asarray(o.origin) + starts[i][::-1] * np.asarray(o.spacing)
        slopes.append(np.asarray(_slopes(one, along, scale, nuisance.blur, o.spacing, origin, plan.window)))
    for i in range(len(starts)):
        place = tuple(slice(a, a + b) for a, b in zip(corners[i], box, strict=True))
        here = noise(place)
        within = starts[i] - corners[i], tuple(box.tolist())
        weighted = np.asarray(_weighted(here, slopes[i], np.asarray(o.counted)[place], *within))
        for m in order[np.searchsorted(pairs[order, 0], i) : np.searchsorted(pairs[order, 0], i + 1)]:
            j = pairs[m, 1]
            found[m] = _product(weighted, slopes[j], starts[j] - corners[i])
    return np.array(found)


@eqx.filter_jit
def _slopes(
    one: Any, along: Any, scale: Leaf, blur: Leaf, spacing: Leaf, origin: Leaf, window: Any
) -> Float[Array, "p ..."]:
    d = len(window)
    plan = WindowPlan(np.zeros((1, d), np.int32), np.zeros(1, np.int32), window, window)

    def draw(atom: AbstractStructure) -> Array:
        return jnp.asarray(scale) * atom.draw(VoxelCanvas((plan,), spacing, origin, blur))

    moving, still = eqx.partition(jax.tree.map(jnp.asarray, one), eqx.is_inexact_array)
    push = jax.linearize(lambda x: draw(eqx.combine(x, still)), moving)[1]
    return lax.map(push, eqx.filter(along, eqx.is_inexact_array))


@eqx.filter_jit
def _weighted(
    noise: AbstractNoise, slopes: Leaf, counted: Leaf, inside: Leaf, box: tuple[int, ...]
) -> Float[Array, "p ..."]:
    fields = lax.dynamic_update_slice(jnp.zeros((len(slopes), *box)), jnp.asarray(slopes), [0, *inside])
    return jax.vmap(lambda field: noise.weighted(field, field, field, counted))(fields)


def _product(weighted: np.ndarray, slopes: np.ndarray, first: np.ndarray) -> Float[np.ndarray, "p p"]:
    """Over the voxels that a box has in common with a window that begins at `first` of it."""
    window, box = np.array(slopes.shape[1:]), np.array(weighted.shape[1:])
    low, high = np.maximum(first, 0), np.minimum(first + window, box)
    if np.any(low >= high):
        return np.zeros((len(weighted), len(slopes)))
    a = weighted[(slice(None), *map(slice, low, high))].reshape(len(weighted), -1)
    b = slopes[(slice(None), *map(slice, low - first, high - first))].reshape(len(slopes), -1)
    return (a @ b.T).astype(np.float64)


def _in_boxes(noise: AbstractNoise, shape: tuple[int, ...], box: tuple[int, ...]) -> Any:
    """The noise of a part of the map, by the part's slices."""
    weights = None
    if isinstance(noise, SpectralNoise):
        axes = tuple(range(len(shape)))
        kernel = np.fft.fftshift(np.fft.irfftn(np.asarray(noise.weights, np.float64), s=shape, axes=axes))
        first = [n // 2 - k // 2 for n, k in zip(shape, box, strict=True)]
        cut = kernel[tuple(slice(a, a + k) for a, k in zip(first, box, strict=True))]
        weights = np.fft.rfftn(np.fft.ifftshift(cut)).real.astype(np.float32)

    def part(place: tuple[slice, ...]) -> AbstractNoise:
        def cropped(x: Any) -> Any:
            return np.asarray(x)[place] if np.shape(x) == shape else x

        found = jax.tree.map(cropped, noise)
        return found if weights is None else eqx.tree_at(lambda n: n.weights, found, weights)

    return part
