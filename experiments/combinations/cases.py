"""Atoms observed in several ways with several kinds of noise, and fitted with what is known of them.

What is planted is what is fitted: errors beyond their standard uncertainties would be the inference's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from atomfit.inference import (
    AbstractNoise,
    AbstractObservation,
    Alike,
    Fit,
    Known,
    Problem,
    SpectralNoise,
    WhiteNoise,
    brightness_noise,
    count_noise,
    refine,
    robust_noise,
)
from atomfit.observation import MapObservation, SeriesObservation
from atomfit.projection import TiltSeries, Views
from atomfit.simulation import simulate
from atomfit.structure import AnisotropicDisplacements, Atoms, DensityMap, Grid, IsotropicDisplacements

NOISES = ("white", "counts", "heavy tails", "coloured", "grows with brightness")
OBSERVATIONS = ("map", "image of columns", "series", "series, views free", "map and series")
DISPLACEMENTS = ("isotropic", "matrices")
PRIORS = ("none", "positions", "amplitudes")

#: Deviation of noise as a part of the brightest value, counts there, and the reach of its correlation
#: (pixels).
_PART, _COUNTS, _CORRELATED = 0.08, 150.0, 0.7
_U, _AMPLITUDE, _BACKGROUND = 0.22, 2.0, 0.3
#: What priors know: of a place (Å), and by how much amplitudes differ.
_PLACE, _DIFFER = 0.02, 0.05
_VIEWS, _PIXEL, _SHAPE = 11, 0.4, (44, 48)


@dataclass(frozen=True)
class Case:
    """What is observed how, and what is known; names of the lists above."""

    noise: str
    observation: str
    displacements: str
    prior: str = "none"

    @property
    def name(self) -> str:
        return f"{self.observation}; {self.noise}; {self.displacements}; prior: {self.prior}"


def positions_of(atoms: Any, nuisances: Any) -> Any:
    """Of a structure."""
    return atoms.positions


def u_iso_of(atoms: Any, nuisances: Any) -> Any:
    """Third of the trace of U, or half of it in an image."""
    d = atoms.positions.shape[1]
    return jnp.trace(atoms.displacements.matrices(d), axis1=1, axis2=2) / d


def amplitudes_of(atoms: Any, nuisances: Any) -> Any:
    """Of a structure."""
    return atoms.amplitudes


QUANTITIES: dict[str, Callable[[Any, Any], Any]] = {
    "x": positions_of,
    "U": u_iso_of,
    "A": amplitudes_of,
}


def errors(case: Case, seed: int) -> dict[str, Float[np.ndarray, " k"]]:
    """Errors of one fit in their standard uncertainties, by quantity."""
    truth, fit = planted_and_fitted(case, seed)
    found = {}
    for name, quantity in QUANTITIES.items():
        estimate = fit.uncertainty.of(quantity)
        found[name] = np.ravel((estimate.value - np.asarray(quantity(truth, ()))) / estimate.esd)
    return found


def planted_and_fitted(case: Case, seed: int) -> tuple[Atoms, Fit]:
    """The truth, and a fit that began off it."""
    rng = np.random.default_rng(seed)
    planar = case.observation == "image of columns"
    places = _columns() if planar else _particle()
    n, d = places.shape
    amplitudes = _AMPLITUDE * (1 + _DIFFER * rng.standard_normal(n))
    u = _U * (1 + 0.1 * rng.standard_normal(n))
    if case.displacements == "isotropic":
        shape: Any = IsotropicDisplacements.from_variances(u)
    else:
        root = np.eye(d) + 0.15 * rng.standard_normal((n, d, d))
        shape = AnisotropicDisplacements.from_matrices(u[:, None, None] * root @ np.swapaxes(root, 1, 2))
    truth = Atoms(places, displacements=shape, amplitudes=amplitudes, numbers=np.full(n, 78))
    begin = eqx.tree_at(
        lambda a: (a.positions, a.amplitudes),
        truth,
        (places + 0.05 * rng.standard_normal(places.shape), np.full(n, _AMPLITUDE)),
    )
    observations = tuple(_observed(case, truth, begin, rng, kind) for kind in _kinds(case.observation))
    priors: tuple[Any, ...] = ()
    if case.prior == "positions":
        priors = (Known(_places, places + _PLACE * rng.standard_normal(places.shape), _PLACE),)
    elif case.prior == "amplitudes":
        priors = (Alike(_brightnesses, _DIFFER * _AMPLITUDE),)
    return truth, refine(Problem(begin, observations, priors))


def _places(atoms: Any) -> Any:
    return atoms.positions


def _brightnesses(atoms: Any) -> Any:
    return atoms.amplitudes


def _kinds(observation: str) -> tuple[str, ...]:
    return ("map", "series, scaled") if observation == "map and series" else (observation,)


def _particle() -> Float[np.ndarray, "n 3"]:
    case = simulate(shape="icosahedron", size=2, noise=0.0, jitter=0.05, seed=5, box=44)
    return case.positions - case.positions.mean(axis=0)


def _columns() -> Float[np.ndarray, "n 2"]:
    row, column = np.divmod(np.arange(16), 4)
    return 2.2 * np.stack([column - 1.5, row - 1.5], axis=1) + 0.3 * np.sin([row, column]).T


def _observed(
    case: Case, truth: Atoms, begin: Atoms, rng: np.random.Generator, kind: str
) -> AbstractObservation:
    """An observation of the truth, with noise, that begins elsewhere."""
    if kind.startswith("series"):
        clean = _series(truth, kind)
        images = clean.predict(truth, _unwrapped(clean.nuisance)) + _BACKGROUND
        data, noise = _noisy(case.noise, np.asarray(images, np.float64), rng, images.ndim - 1)
        return eqx.tree_at(lambda o: (o.data, o.noise), _series(begin, kind), (data, noise))
    d = truth.positions.shape[1]
    edge = 40 if d == 3 else 64
    grid = Grid((edge,) * d, np.full(d, 0.35), np.full(d, -0.35 * (edge - 1) / 2))
    empty = DensityMap(np.zeros(grid.shape, np.float32), grid)
    clean = MapObservation.of(empty, truth).planned(
        truth, _unwrapped(MapObservation.of(empty, truth).nuisance)
    )
    values = np.asarray(clean.predict(truth, _unwrapped(clean.nuisance)), np.float64) + _BACKGROUND
    data, noise = _noisy(case.noise, values, rng, d)
    whole = np.ones(values.shape, np.float32)
    return eqx.tree_at(lambda o: (o.data, o.counted, o.noise), clean, (data, whole, noise))


def _series(atoms: Atoms, kind: str) -> SeriesObservation:
    """Images without noise or background, of atoms; views and what is free of them."""
    views = Views.from_tilts(np.linspace(-75, 75, _VIEWS), "y", _SHAPE)
    none = np.zeros((_VIEWS, *_SHAPE), np.float32)
    series = TiltSeries(none, np.ones(none.shape, bool), _PIXEL, views, np.zeros(3))
    free = {
        "series": ("backgrounds",),
        "series, views free": ("backgrounds", "shifts", "turns", "gains"),
        "series, scaled": ("backgrounds", "scale"),
    }[kind]
    return SeriesObservation.of(series, atoms, free=free, placed=kind == "series, scaled")


def _noisy(
    kind: str, clean: Float[np.ndarray, "..."], rng: np.random.Generator, d: int
) -> tuple[Float[np.ndarray, "..."], AbstractNoise]:
    """Data with noise of a kind, and the likelihood that a user would choose for it."""
    top = float(clean.max())
    deviation = _PART * top
    match kind:
        case "white":
            data, noise = clean + deviation * rng.standard_normal(clean.shape), WhiteNoise()
        case "counts":
            gain = top / _COUNTS
            data = gain * rng.poisson(clean / gain)
            noise = count_noise(data)
        case "heavy tails":
            data = clean + deviation * rng.standard_t(4, clean.shape)
            noise = robust_noise(data)
        case "grows with brightness":
            local = np.sqrt((0.5 * deviation) ** 2 + (deviation * clean / top) ** 2)
            data = clean + local * rng.standard_normal(clean.shape)
            noise = brightness_noise(data)
        case _:
            frequencies = [np.fft.fftfreq(n) for n in clean.shape[-d:]]
            square = sum(np.meshgrid(*[f**2 for f in frequencies], indexing="ij"))
            power = 0.2 + np.exp(-4 * np.pi**2 * _CORRELATED**2 * square)
            white = np.fft.fftn(rng.standard_normal(clean.shape), axes=range(-d, 0))
            data = clean + deviation * np.fft.ifftn(np.sqrt(power) * white, axes=range(-d, 0)).real
            half = (1 / power)[..., : clean.shape[-1] // 2 + 1]
            noise = SpectralNoise(half, np.ones(clean.shape))
    return data.astype(np.float32), noise


def _unwrapped(nuisance: Any) -> Any:
    import paramax

    return jax.tree.map(np.asarray, paramax.unwrap(nuisance))


def runs(case: Case, seeds: range) -> dict[str, Float[np.ndarray, " k"]]:
    """Errors of several fits together."""
    every = list(map(partial(errors, case), seeds))
    return {name: np.concatenate([one[name] for one in every]) for name in QUANTITIES}
