"""A simulated specimen in, what the likelihood of its image has to find out."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from atomfit.column_heights.expansion import State
from atomfit.column_heights.problem import Problem, prepared
from atomfit.networks import ColumnsSeen, ImageSeen
from atomfit.simulation import simulate_hrtem
from atomfit.simulation.hrtem import SimulatedHrtem
from atomfit.structure.crystals import crystal, zone_columns

PIXEL = 0.2
ZONE = (1, 1, 0)
#: What the priors of conditions have in their middles.
USUAL: dict[str, Any] = {"c3": -9.0, "c5": 5.0, "focal_spread": 3.2, "convergence": 0.15, "gain": 1.0}


@dataclass(frozen=True, eq=False)
class Planted:
    """An image, what a network says, the problem of its heights, and the state that made it."""

    made: SimulatedHrtem
    seen: ImageSeen
    problem: Problem
    truth: State

    @property
    def inner(self) -> np.ndarray:
        """Heavy columns, by their places in `problem.heavy`, that are well within the image."""
        places = self.truth.places[self.problem.heavy]
        size = PIXEL * self.made.options.image_size
        return np.flatnonzero(np.all((places > 1.5) & (places < size - 1.5), axis=1))


def seen_of(
    positions: np.ndarray, heights: np.ndarray, shape: tuple[int, int], defocus: float
) -> ImageSeen:
    """What a network says that is sure of its heights."""
    levels = 11
    logits = np.zeros((*shape, levels), np.float32)
    y, x = PIXEL * np.mgrid[: shape[0], : shape[1]]
    nearest = np.hypot(*(positions.T[:, :, None, None] - np.stack([x, y])[:, None])).argmin(axis=0)
    logits[...] = 6.0 * (np.arange(levels) == heights[nearest][..., None])
    chances = np.eye(levels)[heights]
    columns = ColumnsSeen(positions, np.full(len(positions), 0.99), chances)
    return ImageSeen(np.zeros(shape), logits, columns, 1.0, defocus, 1.0)


def planted(of: str = "CeO2", size: int = 64, off: int = 0, **options: Any) -> Planted:
    """Simulate, and find again which atoms are at which site.

    **Arguments:**

    - `of`: the crystal.
    - `size`: of the image (pixels).
    - `off`: by how much what a network says is off in every third column (atoms).
    - `options`: of `simulate_hrtem`.
    """
    made = simulate_hrtem(crystal=of, image_size=size, **(USUAL | options))
    shown = made.columns[(made.columns.elements == made.specimen.crystal.heaviest)]
    shown = shown[shown.heights > 0]
    heights = shown.heights.copy()
    heights[1::3] = np.clip(heights[1::3] + off, 1, 10)
    seen = seen_of(shown.positions, heights, made.expected.shape, made.options.defocus)
    problem, state = prepared(np.array(made.frames[0], np.float64), PIXEL, seen, of, ZONE, 300.0)
    return Planted(made, seen, problem, _truth(made, problem, state))


def _truth(made: SimulatedHrtem, problem: Problem, state: State) -> State:
    """Heights and starts of all sites, by the atoms that are near to each."""
    zone = zone_columns(crystal(made.options.crystal), ZONE)
    atoms, symbols, sites = made.specimen.positions, made.specimen.symbols, problem.sites
    own = [
        atoms[(symbols == zone.symbols[kind]) & (np.hypot(*(atoms[:, :2] - place).T) < 0.7)]
        for place, kind in zip(sites.places, sites.kinds, strict=True)
    ]
    heights = np.array([len(one) for one in own])
    first = np.array([one[:, 2].min() if len(one) else np.nan for one in own])
    units = (first - sites.levels) / zone.repeat
    away = units[np.flatnonzero(sites.heavy & (heights > 0))[0]]
    starts = np.rint(units - away)
    # All of one crystal: levels are right, or planes would not be whole numbers apart.
    assert np.nanmax(np.abs(units - away - starts)) < 0.02
    starts = np.where(heights > 0, starts - np.nanmin(starts), 0)
    k = int(np.flatnonzero(sites.heavy & (heights > 0))[0])
    atom = int(np.flatnonzero((problem.model.of == k) & (problem.model.unit == starts[k]))[0])
    # The model leans columns over about the middle of its slab, and focus is told from its end; the
    # simulator's is told from the lower surface of the specimen.
    middle = float(first[k]) - float(problem.model.depths[atom])
    lean = 1e-3 * np.array(made.options.mistilt)
    places = np.array(
        [
            (one[:, :2] - (one[:, 2:] - middle) * lean).mean(axis=0) if len(one) else place
            for one, place in zip(own, sites.places, strict=True)
        ]
    )
    end = middle + 0.5 * problem.model.slices.count * float(problem.model.slices.thickness)
    conditions = state.conditions.changed(
        "defocus", made.options.defocus - 0.1 * (end - made.specimen.depth)
    )
    return replace(
        state, places=places, starts=starts, heights=heights.astype(float), conditions=conditions
    )
