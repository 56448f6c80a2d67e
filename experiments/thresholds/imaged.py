"""Images whose columns are known, and what `atomfit.columns` makes of them: outcomes in words.

Seeds are of this study only. Images are small, so that one takes seconds when its code is compiled.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from skimage.io import imread

import atomfit
from atomfit.simulation import simulate_image
from atomfit.structure.matching import match
from experiments.columns.real import DOWN, NEAR, PIXEL, SILICON, spacing
from experiments.columns.scores import WITHIN
from experiments.thresholds.built import said

#: Of dumbbells: rows and columns of pixels.
CROP = (slice(100, 260), slice(100, 260))
Image = tuple[Float[np.ndarray, "rows columns"], Float[np.ndarray, "n 2"]]


@dataclass(eq=False)
class Imaged:
    """An image, the places of its columns (Å), or none where they are not known, and options."""

    name: str
    make: Callable[[], Image]
    pixel: float
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def data(self) -> Image:
        return self.make()

    def found(self) -> str:
        """The outcome."""
        image, places = self.data
        options = {"element": "Pt", "counts": "off", "pixel_size": self.pixel} | self.options
        result = atomfit.columns(image, **options)
        positions = np.asarray(result.positions)
        if not len(places):
            return f"{len(positions)} found; {self.even(positions)}; {said(result.verdict)}"
        pairs = match(positions, places, WITHIN)
        off = positions[pairs.found] - places[pairs.known]
        z = np.sqrt(np.mean((off / np.asarray(result.uncertainty.esd)[pairs.found]) ** 2))
        rms = 100 * np.sqrt(np.mean(off**2))
        count = f"{len(pairs.found)} found, {pairs.missing} missed, {pairs.false} false"
        return f"{count}; to {rms:.1f} pm; z {z:.2f}; {said(result.verdict)}"

    def even(self, positions: Float[np.ndarray, "n 2"]) -> str:
        """Scatter of spacings of dumbbells."""
        along, down = (
            spacing(positions, np.array(vector), axis, NEAR * self.pixel)[0]
            for axis, vector in enumerate(([SILICON, 0.0], [0.0, DOWN]))
        )
        return f"spacings to {along:.1f} / {down:.1f} pm"


def simulated(**options: Any) -> Callable[[], Image]:
    """A simulated image."""

    def made() -> Image:
        one = simulate_image(**options)
        return np.asarray(one.frames[0], np.float32), np.asarray(one.columns.positions)

    return made


def faint() -> Image:
    """25 columns of one to six atoms that fill an image, at 1e3 electrons an Å²."""
    rng, pixel, width, dose = np.random.default_rng(90), 0.2, 0.48, 1e3
    steps = 1.2 + 2.6 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    places, atoms = steps + rng.normal(0, 0.03, steps.shape), rng.integers(1, 7, 25)
    axis = pixel * np.arange(64)
    across, down = (np.exp(-0.5 * ((axis - places[:, k, None]) / width) ** 2) for k in (0, 1))
    drawn = np.einsum("n,nj,ni->ji", 0.025 / (2 * np.pi * width**2) * atoms, down, across)
    return rng.poisson((0.02 + drawn) * dose * pixel**2).astype(np.float32), places


IMAGED = (
    Imaged("particle of 150 atoms, 1e3 e/Å²", simulated(size=150, dose=1e3, seed=90), 0.125),
    Imaged("the same, 1e4 e/Å²", simulated(size=150, dose=1e4, seed=90), 0.125),
    Imaged("25 faint columns that fill an image, 1e3 e/Å²", faint, 0.2),
)


def silicon(data: Path) -> Imaged:
    """A part of a measured image of dumbbells, whose lines may be offset."""

    def made() -> Image:
        values = np.asarray(imread(data / "si110" / "image.png"), np.float32)
        return values.reshape(*values.shape[:2], -1).mean(axis=2)[CROP], np.zeros((0, 2))

    return Imaged("a part of si110", made, PIXEL, {"element": "Si", "row_jitter": True})
