"""Tilt series with their starts: right ones, and wrong ones as users make them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from atomfit.projection.views import Views
from atomfit.simulation.particles import particle
from atomfit.tilting import TiltResult, tilt

PIXEL, SHAPE, U = 0.4, (56, 56), 0.12
ANGLES = np.arange(-70.0, 71.0, 7.0)
SITES = particle("icosahedron", "Pt", 3, 0, 3.92)


@dataclass(frozen=True)
class Inputs:
    """What is given to `tilt`."""

    images: np.ndarray
    start: np.ndarray | None
    views: Views
    pixel: float = PIXEL
    element: str = "Pt"


@dataclass(frozen=True)
class Series:
    """A series: how its inputs are changed, and codes of which the verdict must have one."""

    name: str
    change: Callable[[Inputs, np.random.Generator], Inputs] = lambda inputs, rng: inputs
    expected: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def right(seed: int, noise: float = 0.05) -> Inputs:
    """Images of 55 atoms with white noise, and a start 0.2 Å off."""
    rng = np.random.default_rng(seed)
    atoms = SITES + rng.normal(0, 0.05, SITES.shape)
    views = Views.from_tilts(ANGLES, "y", SHAPE)
    v, u = np.indices(SHAPE)
    images = np.zeros((len(ANGLES), *SHAPE))
    for image, rotation, centre in zip(images, views.rotations, views.centres, strict=True):
        for x, y in (atoms @ rotation.T)[:, :2] / PIXEL + centre:
            image += np.exp(-((u - x) ** 2 + (v - y) ** 2) * PIXEL**2 / (2 * U))
    images += noise * rng.normal(size=images.shape)
    return Inputs(images.astype(np.float32), atoms + rng.normal(0, 0.1, atoms.shape), views)


def _noisy(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    more = 0.5 * rng.normal(size=inputs.images.shape)
    return replace(inputs, images=(inputs.images + more).astype(np.float32))


def _noise_alone(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    return replace(inputs, images=rng.normal(size=inputs.images.shape).astype(np.float32), start=None)


FAR = ("correlation", "bonds", "unsupported", "no-atoms", "disorder", "removed")
RIGHT_SERIES = (
    Series("55 atoms, noise 5 %"),
    Series("55 atoms, noise 50 %", _noisy),
    Series("55 atoms from the images alone", lambda inputs, rng: replace(inputs, start=None)),
)
WRONG_SERIES = (
    Series("start in nm", lambda i, rng: replace(i, start=i.start / 10), FAR),
    Series("start off by 8 Å", lambda i, rng: replace(i, start=i.start + [8.0, 0, 0]), FAR),
    Series("images turned by 180°", lambda i, rng: replace(i, images=i.images[:, ::-1, ::-1].copy()), FAR),
    Series("contrast inverted", lambda i, rng: replace(i, images=-i.images), FAR),
    Series("pixels twice as large", lambda i, rng: replace(i, pixel=2 * PIXEL), FAR),
    Series("Pt taken for Si", lambda i, rng: replace(i, element="Si"), FAR),
    Series("noise alone", _noise_alone, FAR),
)


def refined(series: Series, seed: int) -> TiltResult:
    """The result of a series, of `tilt`."""
    inputs = series.change(right(seed), np.random.default_rng(seed + 1))
    with TemporaryDirectory() as folder:
        start = None
        if inputs.start is not None:
            start = Path(folder) / "start.csv"
            rows = [f"{i},{inputs.element},{x},{y},{z}" for i, (x, y, z) in enumerate(inputs.start, 1)]
            start.write_text("\n".join(["id,element,x,y,z", *rows]) + "\n", encoding="utf-8")
        return tilt(
            inputs.images,
            inputs.views,
            inputs.element,
            pixel_size=inputs.pixel,
            start=start,
            **series.options,
        )
