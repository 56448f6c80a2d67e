"""Atoms as shaded balls and ellipsoids, seen from far away along an axis.

From far away an ellipsoid with semi-axes a, b, c is the ellipse whose matrix is Σ a aᵀ of their parts in
the picture's plane. Each atom is a stack of ellipses from a dark rim to a light spot, and atoms are drawn
from back to front in one collection; those farther away are a little paler. They are an image in the PDF
as well: thousands of outlines would make a file that no viewer opens.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection

#: Size of each ellipse of a stack, how far it is moved towards the light, and how light it is.
_STACK = ((1.0, 0.0, 0.45), (0.93, 0.02, 0.85), (0.72, 0.12, 1.0), (0.45, 0.22, 1.15), (0.2, 0.32, 1.4))
#: Farthest atoms are so much paler.
_FOG = 0.25


@dataclass(frozen=True)
class View:
    """A direction of view.

    **Fields:**

    - `across`, `up`, `towards`: axes that go right, up and to the viewer; 0, 1, 2 for x, y, z.
    """

    across: int
    up: int
    towards: int

    @property
    def name(self) -> str:
        return f"along {'xyz'[self.towards]}"


ALONG_Z, ALONG_X = View(0, 1, 2), View(1, 2, 0)


def draw_balls(
    axes: Axes,
    view: View,
    positions: Float[np.ndarray, "n 3"],
    colours: Float[np.ndarray, "n 3"],
    radii: float | Float[np.ndarray, " n"],
) -> None:
    """Draw atoms as balls.

    **Arguments:**

    - `axes`: to draw in, whose limits are set to the atoms.
    - `view`: from where.
    - `positions`, `radii`: (Å).
    - `colours`: red, green, blue, from 0 to 1.
    """
    sizes = np.broadcast_to(np.asarray(radii, np.float64), len(positions))
    draw_ellipsoids(axes, view, positions, colours, sizes[:, None, None] * np.eye(3))


def draw_ellipsoids(
    axes: Axes,
    view: View,
    positions: Float[np.ndarray, "n 3"],
    colours: Float[np.ndarray, "n 3"],
    semi_axes: Float[np.ndarray, "n 3 3"],
) -> None:
    """Draw atoms as ellipsoids.

    **Arguments:**

    - `axes`, `view`, `positions`, `colours`: as for balls.
    - `semi_axes`: of each, as rows (Å).
    """
    order = np.argsort(positions[:, view.towards])
    place = positions[order][:, [view.across, view.up]]
    flat = semi_axes[order][:, :, [view.across, view.up]]
    values, vectors = np.linalg.eigh(np.einsum("nai,naj->nij", flat, flat))
    radii = np.sqrt(np.maximum(values, 0))
    angles = np.degrees(np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1]))
    depth = positions[order, view.towards]
    pale = _FOG * (depth.max() - depth) / max(float(np.ptp(depth)), 1e-9)
    size, shift, light = (np.array(column) for column in zip(*_STACK, strict=True))
    offsets = place[:, None, :] + radii[:, None, :1] * shift[:, None] * np.array([-0.7, 0.7])
    shades = _lit(colours[order][:, None, :], light[:, None])
    shades = shades + (1 - shades) * pale[:, None, None]
    layers = len(size)
    collection = EllipseCollection(
        (2 * radii[:, 1, None] * size).ravel(),
        (2 * radii[:, 0, None] * size).ravel(),
        np.repeat(angles, layers),
        units="xy",
        offsets=offsets.reshape(-1, 2),
        offset_transform=axes.transData,
        facecolors=shades.reshape(-1, 3),
        linewidths=0,
        rasterized=True,
    )
    axes.add_collection(collection)
    frame(axes, place, float(radii.max(initial=0.0)))


def frame(axes: Axes, place: Float[np.ndarray, "n 2"], radius: float) -> None:
    """Set limits to what is drawn, to scale, with a scale bar in place of axes (Å)."""
    low, high = place.min(axis=0) - 1.3 * radius, place.max(axis=0) + 1.3 * radius
    bar = max(one for one in (1, 2, 5, 10, 20, 50, 100) if one <= max(0.35 * (high[0] - low[0]), 1))
    below = 0.09 * (high[1] - low[1])
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1] - below, high[1])
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.plot([high[0] - bar, high[0]], [low[1] - 0.6 * below] * 2, color="black", lw=1.2)
    axes.text(high[0] - bar / 2, low[1] - 0.4 * below, f"{bar} Å", ha="center", va="bottom")


def _lit(colours: Float[np.ndarray, "... 3"], light: Float[np.ndarray, "k 1"]) -> np.ndarray:
    """Colours in more or less light; more than 1 goes towards white."""
    return np.where(light > 1, colours + (1 - colours) * (light - 1), colours * light)
