"""Maps in which there is nothing but noise: in shapes, of colours, on smooth bodies, masked, clipped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.ndimage import gaussian_filter

from atomfit.structure.grid import DensityMap

VOXEL, EDGE = 0.358, 72
#: Distance of the crests of noise that was band-passed, that of atoms of Pt (Å).
ATOMIC = 2.77
#: Radius of the bodies (voxels).
_RADIUS = 0.28 * EDGE

Shape = Literal["box", "sphere", "shell", "slab", "cylinder", "irregular"]
Colour = float | Literal["band", "reconstruction"]


@dataclass(frozen=True)
class Noise:
    """A map of noise.

    **Fields:**

    - `shape`: what it fills; `edge` is the width over which that ends (voxels), 0 for a hard mask.
    - `colour`: standard deviation of the Gaussian that it was blurred by (Å), 0 for white noise; "band" has
        crests as far apart as atoms of Pt, "reconstruction" rises with the frequency up to a resolution.
    - `amplitude`: standard deviation.
    - `base`: the smooth density that it lies on, in multiples of the shape.
    - `clipped`: whether what is negative was set to zero.
    - `outside`: standard deviation of white noise all over the map.
    - `counts`: of a smooth density at most, in place of all this: Poisson noise grows with it.
    """

    shape: Shape
    edge: float = 0.0
    colour: Colour = 0.0
    amplitude: float = 1.0
    base: float = 0.0
    clipped: bool = False
    outside: float = 0.0
    counts: float = 0.0

    @property
    def name(self) -> str:
        """In words."""
        if self.counts:
            return f"Poisson, {self.counts:g} counts on a {self.shape}{self._blurred}"
        colours = {
            0.0: "white",
            "band": f"band-passed at {ATOMIC} Å",
            "reconstruction": "of a reconstruction",
        }
        parts = [colours.get(self.colour, f"blurred by {self.colour} Å"), f"in a {self.shape}"]
        if self.shape != "box":
            parts.append("soft edge" if self.edge else "hard edge")
        if self.base:
            parts.append("on smooth density")
        if self.clipped:
            parts.append("clipped at zero")
        if self.outside:
            parts.append("noise outside")
        return ", ".join(parts)

    @property
    def _blurred(self) -> str:
        return f", blurred by {self.colour} Å" if self.colour else ""

    def map(self, seed: int) -> DensityMap:
        """One of them."""
        rng = np.random.default_rng(seed)
        body = _body(self.shape, self.edge, rng)
        if self.counts:
            values = _coloured(rng.poisson(self.counts * body).astype(float), self.colour)
        else:
            field = _coloured(rng.normal(size=body.shape), self.colour)
            values = body * (self.base + self.amplitude * field / field.std())
        values = np.maximum(values, 0) if self.clipped else values
        values = values + self.outside * rng.normal(size=values.shape)
        return DensityMap.from_array(values.astype(np.float32), VOXEL)


#: Blurred by about the width of an atom, noise has blobs as wide and nearly as far apart as atoms.
MAPS = (
    Noise("box"),
    Noise("box", colour=0.5),
    Noise("box", colour=0.5, clipped=True),
    Noise("box", colour="band"),
    Noise("sphere"),
    Noise("sphere", 1.5, amplitude=0.35, base=1),
    Noise("sphere", 1.5, colour=0.5, amplitude=0.35, base=1, outside=0.02),
    Noise("sphere", colour=0.5, clipped=True),
    Noise("sphere", colour="band", clipped=True),
    Noise("sphere", 1.5, colour="reconstruction", amplitude=0.3, base=1),
    Noise("sphere", 1.5, amplitude=0, base=1, outside=0.05),
    Noise("shell", 1.5, colour=0.4, amplitude=0.5, base=1),
    Noise("shell", colour="band"),
    Noise("slab", colour=0.3, clipped=True),
    Noise("slab", 1.5, colour=0.6, amplitude=0.3, base=1, outside=0.05),
    Noise("cylinder", 1.5, colour="band", amplitude=0.4, base=1, clipped=True),
    Noise("irregular", 1.5, colour=0.6, outside=0.05),
    Noise("irregular", colour="band", amplitude=0.5, base=1),
    Noise("sphere", 3.0, counts=20),
    Noise("irregular", 3.0, colour=0.5, counts=5),
)


def _coloured(white: Float[np.ndarray, "..."], colour: Colour) -> Float[np.ndarray, "..."]:
    if colour == 0:
        return white
    if isinstance(colour, float):
        return gaussian_filter(white, colour / VOXEL, mode="wrap")
    axes = np.meshgrid(*[fft.fftfreq(n, VOXEL) for n in white.shape], indexing="ij", sparse=True)
    k = np.sqrt(sum(axis**2 for axis in axes))
    if colour == "band":
        # The first ring of a close-packed crystal lies at the inverse distance of its planes, √(2/3) bonds.
        response = np.exp(-(((k - 1 / (np.sqrt(2 / 3) * ATOMIC)) / 0.08) ** 2))
    else:
        response = np.sqrt(k) * np.exp(-((k / 0.6) ** 2)) * (k < 0.6)
    return fft.ifftn(fft.fftn(white) * response).real


def _body(shape: Shape, edge: float, rng: np.random.Generator) -> Float[np.ndarray, "..."]:
    """Which part of each voxel a shape fills."""
    z, y, x = np.meshgrid(*[np.arange(EDGE) - (EDGE - 1) / 2] * 3, indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)

    def lumps() -> Float[np.ndarray, "..."]:
        swelling = gaussian_filter(rng.normal(size=r.shape), EDGE / 10, mode="wrap")
        return r - _RADIUS * (1 + 0.25 * swelling / swelling.std())

    beyond: dict[Shape, Callable[[], Float[np.ndarray, ...]]] = {
        "box": lambda: np.full(r.shape, -np.inf),
        "sphere": lambda: r - _RADIUS,
        "shell": lambda: np.abs(r - 0.9 * _RADIUS) - 0.35 * _RADIUS,
        "slab": lambda: np.abs(z) - 0.6 * _RADIUS,
        "cylinder": lambda: np.maximum(np.hypot(x, y) - 0.8 * _RADIUS, np.abs(z) - 1.2 * _RADIUS),
        "irregular": lumps,
    }
    outside = beyond[shape]()
    return (outside < 0).astype(float) if edge == 0 else 1 / (1 + np.exp(np.clip(outside / edge, -50, 50)))
