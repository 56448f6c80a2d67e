"""Tilt series with their starts: right ones, and wrong ones as users make them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from atomfit.projection.views import Views
from atomfit.results.tilt import TiltResult
from atomfit.simulation.particles import particle
from atomfit.workflows.tilt import tilt

PIXEL, SHAPE, U = 0.4, (56, 56), 0.12
ANGLES = np.arange(-70.0, 71.0, 7.0)
SITES = particle("icosahedron", "Pt", 3, 0, 3.92)


def _without_symmetry() -> np.ndarray:
    """A ball of an fcc crystal, off all axes and cut by two planes at unequal distances: 55 atoms or so."""
    ball = (
        particle("sphere", "Pt", 87, 0, 3.92) @ Rotation.from_euler("xyz", (17, 31, 8), True).as_matrix().T
    )
    cut = ball[(ball @ [0.8, 0.6, 0.0] < 3.2) & (ball @ [-0.3, 0.4, 0.866] < 1.7)]
    return cut - cut.mean(axis=0)


#: An icosahedron is the same turned by 180 degrees about many axes, and as good as the same inverted.
UNLIKE = _without_symmetry()


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
    """A series: how its inputs are changed; codes of a verdict, or words of a refusal, to have one of."""

    name: str
    change: Callable[[Inputs, np.random.Generator], Inputs] = lambda inputs, rng: inputs
    expected: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    sites: np.ndarray = field(default_factory=lambda: SITES)


def right(seed: int, noise: float = 0.05, sites: np.ndarray = SITES) -> Inputs:
    """Images of atoms (55 if not given) with white noise, and a start 0.2 Å off."""
    rng = np.random.default_rng(seed)
    atoms = sites + rng.normal(0, 0.05, sites.shape)
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


def _of_views(angles: np.ndarray, axis: str = "y") -> Callable[[Inputs, np.random.Generator], Inputs]:
    return lambda i, rng: replace(i, views=Views.from_tilts(angles, axis, SHAPE))


def _alone(change: Callable[[Inputs, np.random.Generator], Inputs]) -> Callable[..., Inputs]:
    """The same without a start."""
    return lambda i, rng: replace(change(i, rng), start=None)


def _off_centre(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    """The images' middle is 8 Å beside where the views have it."""
    views = inputs.views
    return replace(inputs, views=Views(views.rotations, views.centres + [8.0 / PIXEL, 0.0]))


def _few_atoms(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    return right(int(rng.integers(1 << 30)), sites=SITES[:13])


def _two_views(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    return replace(inputs, images=inputs.images[:2], views=Views.from_tilts(ANGLES[:2], "y", SHAPE))


FAR = ("correlation", "bonds", "unsupported", "no-atoms", "disorder", "removed")
RIGHT_SERIES = (
    Series("55 atoms, noise 5 %"),
    Series("55 atoms, noise 50 %", _noisy),
    Series("13 atoms, noise 5 %", _few_atoms),
    # The point that views turn about is found.
    Series("start elsewhere by 8 Å", lambda i, rng: replace(i, start=i.start + [8.0, 0, 0])),
    Series("55 atoms from the images alone", lambda inputs, rng: replace(inputs, start=None)),
)
WRONG_SERIES = (
    Series("start in nm", lambda i, rng: replace(i, start=i.start / 10), FAR, ("nm",)),
    Series(
        "start off by 8 Å, centre given",
        lambda i, rng: replace(i, start=i.start + [8.0, 0, 0]),
        FAR,
        ("centre",),
        {"centre": (0.0, 0.0, 0.0)},
    ),
    Series("views off by 8 Å", _off_centre, FAR, ("centre",)),
    Series(
        "images turned by 180°",
        lambda i, rng: replace(i, images=i.images[:, ::-1, ::-1].copy()),
        FAR,
        ("180 degrees",),
    ),
    Series("contrast inverted", lambda i, rng: replace(i, images=-i.images), FAR, ("contrast", "dark")),
    Series("pixels twice as large", lambda i, rng: replace(i, pixel=2 * PIXEL), FAR, ("pixel", "times")),
    Series("the other tilt axis", _of_views(ANGLES, "x"), FAR, ("tilt axis", "90 degrees")),
    Series("tilts of the opposite sign", _of_views(-ANGLES), FAR, ("opposite sign",)),
    Series("two views", _two_views, FAR, ("2 views",)),
    Series("Pt taken for Si", lambda i, rng: replace(i, element="Si"), FAR, ("element",)),
    Series(
        "pixels twice as large, no start", _alone(lambda i, rng: replace(i, pixel=2 * PIXEL)), ("bonds",)
    ),
    Series("Pt taken for U, no start", _alone(lambda i, rng: replace(i, element="U")), ("bonds",)),
    Series("the other tilt axis, no start", _alone(_of_views(ANGLES, "x")), FAR, ("tilt axis",)),
    Series("noise alone", _noise_alone, FAR),
)
#: Those in which a particle's symmetry could make right what is wrong.
ASYMMETRIC_SERIES = tuple(
    replace(one, name=f"{one.name}, no symmetry", sites=UNLIKE)
    for one in (*RIGHT_SERIES, *WRONG_SERIES)
    if one.name
    in (
        *("55 atoms, noise 5 %", "start elsewhere by 8 Å", "images turned by 180°"),
        *(
            "start off by 8 Å, centre given",
            "views off by 8 Å",
            "the other tilt axis",
            "tilts of the opposite sign",
            "the other tilt axis, no start",
        ),
    )
)


def refined(series: Series, seed: int) -> TiltResult:
    """The result of a series, of `tilt`."""
    inputs = series.change(right(seed, sites=series.sites), np.random.default_rng(seed + 1))
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
