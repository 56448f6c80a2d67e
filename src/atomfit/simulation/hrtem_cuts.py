"""A crystal's columns and a shape in, its atoms out: cut by an edge and two surfaces, and with faults.

A slab of the crystal is as thick everywhere as the thickest column. Its edge and its surfaces take off what
is outside, and planes of the surfaces are between atoms. Then columns are vacant, or lack one atom.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.options.hrtem import HrtemOptions
from atomfit.simulation.hrtem_profiles import edge, thickness
from atomfit.structure.crystals import ZoneColumns
from atomfit.support.errors import InputError
from atomfit.waves import clear_of

#: Of a slab, and of a support.
MOST_ATOMS = 2_000_000


@dataclass(frozen=True, eq=False)
class Slab:
    """Atoms of a crystal that is as thick everywhere, in its own frame, and which of them are there."""

    places: Float[np.ndarray, "c 2"]
    elements: np.ndarray
    of: Int[np.ndarray, " n"]
    heights: Float[np.ndarray, " n"]
    symbols: np.ndarray
    there: Bool[np.ndarray, " n"]

    @property
    def heavy(self) -> Bool[np.ndarray, " n"]:
        """Atoms of their column's heaviest element."""
        return self.symbols == self.elements[self.of]

    def per_column(self, which: Bool[np.ndarray, " n"]) -> Int[np.ndarray, " c"]:
        """How many such atoms each column has."""
        return np.bincount(self.of[which], minlength=len(self.places))


def slab_of(zone: ZoneColumns, reach: float, depth: float, rng: np.random.Generator) -> Slab:
    """All columns within a distance, of one thickness; no atom is on its surface.

    **Arguments:**

    - `zone`: of the crystal.
    - `reach`: the distance (Å).
    - `depth`: the thickness (Å).
    - `rng`: of where the crystal's origin is.

    **Raises:** `InputError` if there are too many atoms.
    """
    flat = zone.lattice[:, :2]
    reach += float(np.linalg.norm(flat, axis=1).sum())
    most = np.ceil(reach * np.linalg.norm(np.linalg.inv(flat), axis=0)).astype(int)
    layers = int(np.ceil(depth / zone.repeat)) + 1
    if np.prod(2.0 * most + 1) * layers * len(zone.of) > MOST_ATOMS:
        raise InputError(
            "the crystal has too many atoms", "give a thinner one or a smaller field", "--image-size"
        )
    cells = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(
        -1, 2
    )
    places = (zone.places[None] + (cells @ flat)[:, None]).reshape(-1, 2) + rng.uniform(-2, 2, 2)
    # Heights of the atoms of a repeat, in each cell, and all repeats of them.
    low = (zone.heights[None] + (cells @ zone.lattice[:, 2])[:, None]) % zone.repeat
    low = (low + clear_of(low.ravel(), zone.repeat)) % zone.repeat
    heights = low[..., None] + zone.repeat * np.arange(layers)
    of = zone.of[None] + len(zone.places) * np.arange(len(cells))[:, None]
    every = np.broadcast_to(of[..., None], heights.shape).ravel()
    symbols = np.broadcast_to(zone.atom_symbols[None, :, None], heights.shape).ravel()
    inside = (heights.ravel() < depth) & (np.linalg.norm(places, axis=1) < reach)[every]
    return Slab(
        places,
        np.tile(zone.symbols, len(cells)),
        every[inside],
        heights.ravel()[inside],
        symbols[inside],
        np.ones(int(inside.sum()), bool),
    )


def cut(
    slab: Slab,
    options: HrtemOptions,
    view: tuple[float, Float[np.ndarray, " 2"], Float[np.ndarray, "2 2"]],
    rng: np.random.Generator,
) -> Slab:
    """By the crystal's edge, and by its surfaces.

    **Arguments:**

    - `slab`, `options`, `rng`: what, how, and of what is random.
    - `view`: distance of atoms along the beam, edges of the field (Å), and from the slab's frame to it.
    """
    spacing, size, turn = view
    length = 1.5 * float(np.hypot(*size)) + 50
    strays = edge(options.outline, length, rng)
    thick = thickness(options.profile, options.thickness, length, rng)
    u, v = slab.places.T
    steps = np.linspace(-0.5, 0.5, 40)
    points = (size * np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)) @ turn.T
    field_v = points[:, 1] - strays(points[:, 0], points[:, 1])
    start = np.quantile(field_v, options.vacuum) if options.vacuum else field_v.min() - 10.0
    depth = v - strays(u, v) - start
    atoms = np.where((depth > 0) | (options.vacuum == 0), thick(u, depth), 0.0)
    upper = np.rint(options.entrance * (options.thickness[1] - atoms)) * spacing
    lower = upper + atoms * spacing
    # Thicknesses of whole atoms end between them.
    there = (slab.heights > upper[slab.of]) & (slab.heights < lower[slab.of])
    return replace(slab, there=slab.there & there)


def with_faults(slab: Slab, options: HrtemOptions, rng: np.random.Generator) -> Slab:
    """Without vacant columns, and without one atom of others.

    **Arguments:**

    - `slab`, `options`, `rng`: of what, how many, and of what is random.
    """
    count = len(slab.places)
    fault = rng.uniform(0, 1, count)
    vacant = fault < options.vacant
    lacking = ~vacant & (fault < options.vacant + options.missing)
    gone = vacant[slab.of]
    candidates = np.flatnonzero(slab.there & slab.heavy & lacking[slab.of])
    shuffled = candidates[rng.permutation(len(candidates))]
    _, first = np.unique(slab.of[shuffled], return_index=True)
    gone[shuffled[first]] = True
    return replace(slab, there=slab.there & ~gone)
