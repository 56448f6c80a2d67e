"""An image's model and heights in, what it is like around them out: an image, and changes of it.

Changes of columns are local, so all that are far enough apart are made in one image: columns are coloured
so that no two of a colour are near, and a colour's image with every one of its columns changed is cut
into stamps. So an expansion costs a fixed number of images, however many columns there are. Conditions
have derivatives of the whole image.
"""

import abc
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.fft import next_fast_len

from atomfit.column_heights.conditions import Conditions
from atomfit.column_heights.limit import coloured
from atomfit.column_heights.model import ColumnModel, occupancies
from atomfit.waves import Field
from atomfit.waves.slices import Leaf

#: How far a changed column is seen (Å), a heavy and a light one.
REACH = (4.2, 3.2)
#: Displacement of a column by which its derivative is taken (Å).
STEP = 0.06
#: Points of the wave (Å) and oversampling of the intensity for changes: right to a tenth of them.
COARSE, QUICK = 0.134, 1.25
#: Images that are made at once: one hardly uses more than a core.
_THREADS = 2


@dataclass(frozen=True, eq=False)
class State:
    """Where a model is expanded.

    **Fields:**

    - `places`: of all columns (Å).
    - `starts`, `heights`: of all columns (places, atoms); whole numbers for heavy ones.
    - `conditions`: of the imaging.
    """

    places: Float[np.ndarray, "n 2"]
    starts: Float[np.ndarray, " n"]
    heights: Float[np.ndarray, " n"]
    conditions: Conditions


def coarse(model: ColumnModel) -> ColumnModel:
    """A model whose images take half the time, for changes of images.

    **Arguments:**

    - `model`: the right one.
    """
    field = model.field
    refinement = min(max(field.pixel / COARSE, 1.0), field.refinement)
    # Both edges take whole numbers of points.
    points = next_fast_len(math.ceil(refinement * field.padded[0]))
    across = points / field.padded[0] * field.padded[1]
    if points >= field.wave.shape[0] or abs(across - round(across)) > 1e-9:
        return model
    fast = Field(field.shape, field.pixel, field.margin, points / field.padded[0])
    return eqx.tree_at(lambda m: m.field, model, fast, is_leaf=lambda x: x is field)


@dataclass(frozen=True, eq=False)
class Stamps:
    """Changes of an image around columns.

    **Fields:**

    - `columns`: numbers of the columns.
    - `corners`: first row and column of pixels of each stamp.
    - `values`: electrons by which the image changes; of each column its kinds of changes.
    """

    columns: Int[np.ndarray, " c"]
    corners: Int[np.ndarray, "c 2"]
    values: Float[np.ndarray, "c kinds size size"]


def padded(model: ColumnModel, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Places and occupancies of all columns, those that fill tables up included."""
    more = model.columns - len(state.places)
    occupied = occupancies(state.starts, state.heights, model.units)
    return (
        np.pad(state.places, ((0, more), (0, 0))).astype(np.float32),
        np.pad(occupied, ((0, more), (0, 0))),
    )


@eqx.filter_jit
def wave_of(model: ColumnModel, places: Leaf, occupied: Leaf, conditions: Conditions) -> Array:
    """The exit wave."""
    return model.wave(places, occupied, conditions)


@eqx.filter_jit
def image_of(model: ColumnModel, wave: Array, conditions: Conditions) -> Array:
    """The image of a wave."""
    return model.image(wave, conditions)


@eqx.filter_jit
def quick_image(model: ColumnModel, places: Leaf, occupied: Leaf, conditions: Conditions) -> Array:
    """The image on fewer points."""
    return model.image(model.wave(places, occupied, conditions), conditions, QUICK)


@eqx.filter_jit
def _optics_derivatives(model: ColumnModel, wave: Array, conditions: Conditions, along: Array) -> Array:
    def seen(numbers: Array) -> Array:
        return model.image(wave, eqx.tree_at(lambda c: c.numbers, conditions, numbers), QUICK)

    return jax.lax.map(jax.linearize(seen, jnp.asarray(conditions.numbers))[1], along)


@eqx.filter_jit
def _whole_derivatives(
    model: ColumnModel, places: Leaf, occupied: Leaf, conditions: Conditions, along: Array
) -> Array:
    def seen(numbers: Array) -> Array:
        moved = eqx.tree_at(lambda c: c.numbers, conditions, numbers)
        return model.image(model.wave(places, occupied, moved), moved, QUICK)

    def derivative(one: Array) -> Array:
        return jax.jvp(seen, (jnp.asarray(conditions.numbers),), (one,))[1]

    return jax.lax.map(derivative, along)


def expected(model: ColumnModel, state: State) -> Float[np.ndarray, "rows columns"]:
    """The image of a state (electrons, margins included)."""
    places, occupied = padded(model, state)
    wave = wave_of(model, places, occupied, state.conditions)
    return np.asarray(image_of(model, wave, state.conditions), np.float64)


def condition_changes(model: ColumnModel, state: State) -> Float[np.ndarray, "k rows columns"]:
    """Derivatives of an image by the conditions' numbers.

    **Arguments:**

    - `model`, `state`: where.
    """
    places, occupied = padded(model, state)
    conditions = state.conditions
    wave = wave_of(model, places, occupied, conditions)
    return changes_of_wave(model, places, occupied, wave, conditions, False)


def changes_of_wave(
    model: ColumnModel,
    places: np.ndarray,
    occupied: np.ndarray,
    wave: Array,
    conditions: Conditions,
    optics_only: bool,
) -> Float[np.ndarray, "k rows columns"]:
    """The same, of a wave that is there.

    **Arguments:**

    - `model`, `places`, `occupied`, `conditions`: where.
    - `wave`: that these make.
    - `optics_only`: zeros for those that change the wave.
    """
    unit = np.eye(len(conditions.priors), dtype=np.float32)
    inner = np.array([p.name.startswith(("b_", "mistilt", "absorption")) for p in conditions.priors])
    inner &= ~np.char.startswith([p.name for p in conditions.priors], "b2_")
    found = np.zeros((len(unit), *model.field.padded), np.float32)
    found[~inner] = _optics_derivatives(model, wave, conditions, unit[~inner])
    if not optics_only:
        found[inner] = _whole_derivatives(coarse(model), places, occupied, conditions, unit[inner])
    return found


class Changer:
    """Makes stamps of changes about a state.

    **Arguments:**

    - `model`, `state`: what is expanded, and where.
    """

    def __init__(self, model: ColumnModel, state: State) -> None:
        self.model, self.state = model, state
        self.places, self.occupied = padded(model, state)
        self.base = self._image(self.places, self.occupied)

    def stamps(self, columns: Int[np.ndarray, " c"], kinds: list["AbstractChange"], reach: float) -> Stamps:
        """Of some columns.

        **Arguments:**

        - `columns`: their numbers.
        - `kinds`: how each is changed.
        - `reach`: half of a stamp's edge, and of the distance of columns that are changed at once (Å).
        """
        field = self.model.field
        half = round(reach / field.pixel)
        size = 2 * half + 1
        at = self.state.places[columns]
        middle = np.rint(at[:, ::-1] / field.pixel).astype(int) + field.margin
        corners = middle - half
        values = np.zeros((len(columns), len(kinds), size, size), np.float32)
        window = _round(size, half)

        def make(task: tuple[Int[np.ndarray, " m"], int]) -> None:
            group, k = task
            places, occupied, step = kinds[k](self, columns[group])
            if step is None:
                return
            change = np.pad((self._image(places, occupied) - self.base), 2 * half)
            for one in group:
                row, column = corners[one] + 2 * half
                cut = change[row : row + size, column : column + size]
                values[one, k] = window * cut / step

        colours = coloured(at, 2 * reach)
        groups = [np.flatnonzero(colours == c) for c in range(colours.max(initial=-1) + 1)]
        tasks = [(group, k) for group in groups for k in range(len(kinds))]
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(make, tasks))
        return Stamps(columns, corners, values)

    def _image(self, places: np.ndarray, occupied: np.ndarray) -> Float[np.ndarray, "rows columns"]:
        return np.asarray(quick_image(self.model, places, occupied, self.state.conditions))


def _round(size: int, half: int) -> Float[np.ndarray, "size size"]:
    y, x = np.ogrid[-half : half + 1, -half : half + 1]
    return (x * x + y * y <= (half + 0.5) ** 2).astype(np.float32)


class AbstractChange(abc.ABC):
    """A way to change columns."""

    @abc.abstractmethod
    def __call__(
        self, of: Changer, columns: Int[np.ndarray, " m"]
    ) -> tuple[np.ndarray, np.ndarray, float | None]:
        """Places, occupancies, and by what the difference is divided; None if nothing changes.

        **Arguments:**

        - `of`: the state that is changed.
        - `columns`: which of its columns.
        """


@dataclass(frozen=True)
class Moved(AbstractChange):
    """Displaced along an axis.

    **Fields:**

    - `axis`: 0 for x, 1 for y.
    """

    axis: int

    def __call__(
        self, of: Changer, columns: Int[np.ndarray, " m"]
    ) -> tuple[np.ndarray, np.ndarray, float | None]:
        places = of.places.copy()
        places[columns, self.axis] += STEP
        return places, of.occupied, STEP


class Still(AbstractChange):
    """As it is."""

    def __call__(
        self, of: Changer, columns: Int[np.ndarray, " m"]
    ) -> tuple[np.ndarray, np.ndarray, float | None]:
        return of.places, of.occupied, None


@dataclass(frozen=True, eq=False)
class Shifted(AbstractChange):
    """Begun one place lower, or where there is none higher; per place lower."""

    def __call__(
        self, of: Changer, columns: Int[np.ndarray, " m"]
    ) -> tuple[np.ndarray, np.ndarray, float | None]:
        occupied = of.occupied.copy()
        occupied[columns, 1:] = of.occupied[columns, :-1]
        occupied[columns, 0] = 0
        return of.places, occupied, 1.0


@dataclass(frozen=True, eq=False)
class Heightened(AbstractChange):
    """Of other heights, about the same middle.

    **Fields:**

    - `heights`: of all columns of the model; where it is NaN a column stays as it is.
    """

    heights: Float[np.ndarray, " n"]

    def __call__(
        self, of: Changer, columns: Int[np.ndarray, " m"]
    ) -> tuple[np.ndarray, np.ndarray, float | None]:
        wanted = self.heights[columns]
        which = columns[np.isfinite(wanted)]
        if not len(which):
            return of.places, of.occupied, None
        occupied = of.occupied.copy()
        heights = self.heights[which]
        starts = starts_of(of.state.starts[which], of.state.heights[which], heights, of.model.units)
        occupied[which] = occupancies(starts, heights, of.model.units)
        return of.places, occupied, 1.0


def starts_of(
    starts: Float[np.ndarray, " n"],
    heights: Float[np.ndarray, " n"],
    wanted: Float[np.ndarray, " n"],
    units: int,
) -> Float[np.ndarray, " n"]:
    """Where columns of other heights begin: half of the atoms are gained or lost above.

    **Arguments:**

    - `starts`, `heights`: as they are.
    - `wanted`: other heights.
    - `units`: places there are.
    """
    middle = np.floor(starts + 0.5 * (heights - wanted) + 0.5)
    # One place is kept free below, so that a column can begin lower.
    return np.clip(middle, 0, np.maximum(units - wanted - 1, 0))
