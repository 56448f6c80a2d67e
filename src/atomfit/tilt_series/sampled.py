"""How much less certain atoms in images are than the curvature at their fit says: samples in, factors out.

Images of the model, with noise as it is, are fitted anew, and what the atoms' places then scatter by is
compared with their covariances. Two things are in it that those lack.

Beneath others in most views, an atom is known less well than if they were known: the inverse of the whole
Gauss-Newton matrix is wanted, not that of each atom's block. For many atoms that matrix is too large; a
refit of a sample does what its inverse does, by conjugate gradients.

And of faint atoms even the whole inverse says too little: it is the curvature at one place, and they
scatter by so much of their width that it is not the same there. Of 1,000 atoms of 7 σ, errors are 1.14
times what the inverse says (fitted from the true places), those of samples 1.09 times.

What the samples say of one atom is rough; but the factor by which its variance exceeds what is compared
with depends on how faint it is and how much matter lies above and beneath it, which is about the same for
its neighbours: it is a mean over some of them. What views and amplitudes have in common is free in the
samples and adds its part; widths and the probe are as they were fitted.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial import cKDTree

from atomfit.inference.problem import Objective
from atomfit.optimisation.newton import Damping, GaussNewton
from atomfit.optimisation.solvers import moved
from atomfit.projection.fit import TiltFit
from atomfit.projection.fitted import width_of
from atomfit.projection.images import Camera, series_of
from atomfit.projection.model import TiltModel, single
from atomfit.projection.views import TiltSeries
from atomfit.structure.atoms import Leaf
from atomfit.support.compiled import kept
from atomfit.tilt_series.limits import LIMITS
from atomfit.tilt_series.objective import objective_of, observed
from atomfit.tilt_series.parameters import Free, TiltParametrisation, parametrise

#: Neighbours over which samples are averaged, and squares of the mean: 3 % of a standard uncertainty. Of
#: many atoms more are near, in the same surroundings: up to so many if they are less than this part of all.
_NEIGHBOURS, _MOST_NEIGHBOURS, _NEAR, _SQUARES = 80, 240, 1 / 25, 720
#: Samples at most, of few atoms.
_MOST = 30
#: Steps of a refit; the first evaluates only.
_STEPS = 8
_SOLVER = GaussNewton(accuracy=0.03, max_products=60)


@dataclass(frozen=True, eq=False)
class Excess:
    """Factors on variances that the Gauss-Newton matrix, or each atom's own block of it, gives.

    **Fields:**

    - `positions`, `amplitudes`: of these; at least one.
    """

    positions: Float[np.ndarray, " n"]
    amplitudes: Float[np.ndarray, " n"]


def sampled_excess(
    series: TiltSeries,
    fit: TiltFit,
    covariances: Float[np.ndarray, "n 3 3"],
    amplitudes: Float[np.ndarray, " n"] | None,
    white: float = 1.0,
    known: Float[np.ndarray, "n 3"] | None = None,
    known_amplitudes: float | None = None,
    of_views: tuple[str, ...] = ("backgrounds", "gains"),
    frozen: Bool[np.ndarray, " n"] | None = None,
    seed: int = 0,
) -> Excess:
    """By how much atoms are less certain than they are said to be.

    **Arguments:**

    - `series`, `fit`: the images and their fit.
    - `covariances`: of x, y, z (Å²), as the curvature has them, or as it would if other atoms were known.
    - `amplitudes`: standard uncertainties of the atoms' own amplitudes, so (image units x Å²); None if they
        share them.
    - `white`: factor on the variance of pixels that `covariances` have in them.
    - `known`: standard deviations of positions before the images were seen (Å).
    - `known_amplitudes`: relative standard deviation of amplitudes about their element's mean.
    - `of_views`: which of each view's backgrounds and gains were refined; its other numbers stay.
    - `frozen`: atoms that keep their places, and say nothing of their neighbours.
    - `seed`: of the samples.
    """
    model, unit = _model(series, fit)
    typical = np.mean(fit.precisions[fit.precisions > 0], dtype=np.float64)
    weights = (fit.precisions / typical).astype(np.float32)
    noise = float(np.sqrt(white / typical)) / unit
    scales: dict[str, np.ndarray | float | None] = {"positions": known}
    if amplitudes is not None:
        scales["strengths"] = known_amplitudes
    numbers = np.unique(fit.atoms.numbers, return_inverse=True)[1]
    parametrisation, flat = _free_numbers(model, scales, of_views, numbers, series.pixel, frozen)
    free, steps = parametrisation.zeros(), parametrisation.steps
    widths = model.scattering.widths(np.linalg.eigvalsh(np.asarray(model.atoms.matrices(), np.float64)))
    spread = 1.3 * float(np.quantile(widths**2, 0.95))
    variances = np.asarray(model.probe.variances, np.float64)
    camera = Camera.for_widths(series.pixel, series.shape, spread, variances)
    rotations, centres = (np.asarray(x, np.float32) for x in (series.views.rotations, series.views.centres))
    drawn = np.asarray(_drawn(model, rotations, centres, camera))
    deviations = np.sqrt(np.where(weights > 0, noise**2 / np.maximum(weights, 1e-30), 0)).astype(np.float32)
    rng = np.random.default_rng(seed)
    n = len(covariances)
    of_places, of_amplitudes = [], []
    determined = np.isfinite(covariances).all(axis=(1, 2))
    if frozen is not None:
        determined &= ~frozen
    inverse = np.full_like(covariances, np.nan)
    inverse[determined] = np.linalg.pinv(covariances[determined], hermitian=True)
    for _ in range(min(int(np.ceil(_SQUARES / (3 * _neighbours(n)))), _MOST)):
        images = drawn + deviations * rng.standard_normal(drawn.shape, np.float32)
        prior = rng.standard_normal(len(flat)) / np.sqrt(np.where(flat > 0, flat, np.inf))
        seen = observed(images, weights, series.views, camera, model)
        precisions = np.float32(noise**2) * flat
        posterior = objective_of(parametrisation, seen, prior.astype(np.float32), precisions)
        found = {name: np.asarray(x, np.float64) for name, x in _refitted(posterior, free).items()}
        moves = found["positions"] * np.asarray(steps["positions"], np.float64)
        of_places.append(np.einsum("ni,nij,nj->n", moves, inverse, moves) / 3)
        if amplitudes is not None:
            change = np.expm1(found["strengths"] * np.asarray(steps["strengths"], np.float64))
            of_amplitudes.append((change * np.asarray(fit.atoms.amplitudes) / amplitudes) ** 2)
    positions = np.asarray(model.atoms.positions)
    places = _local_mean(positions, np.array(of_places))
    return Excess(places, _local_mean(positions, np.array(of_amplitudes)) if of_amplitudes else places)


def _free_numbers(
    model: TiltModel,
    scales: dict[str, np.ndarray | float | None],
    of_views: tuple[str, ...],
    members: Int[np.ndarray, " n"],
    pixel: float,
    frozen: Bool[np.ndarray, " n"] | None,
) -> tuple[TiltParametrisation, Float[np.ndarray, " k"]]:
    """What is free in samples, and how precisely each of it was known beforehand.

    `scales` are standard deviations of what each atom has for itself; None where nothing was known.
    """
    every = {*scales, "strengths", *{"backgrounds", "gains"}.intersection(of_views)}
    parametrisation = parametrise(model, frozenset(every), frozenset(scales), members, pixel, frozen)
    precisions = parametrisation.zeros() | {
        name: ((np.asarray(parametrisation.steps[name]) / scale) ** 2).astype(np.float32)
        for name, scale in scales.items()
        if scale is not None
    }
    return parametrisation, np.asarray(parametrisation.flat(precisions))


def _model(series: TiltSeries, fit: TiltFit) -> tuple[TiltModel, float]:
    """The fit's model with positions from the centre and images in other units, and that unit.

    In it a typical atom's free number of one is half its width, which is what a step is limited by
    (see `parameters`).
    """
    atoms = fit.atoms.shifted(-series.centre)
    strength = float(np.median(np.abs(np.asarray(atoms.amplitudes)))) or 1.0
    width = width_of(fit.spot)
    peaks = np.sqrt(np.pi * width * len(series)) / series.pixel / (2 * np.pi * width)
    unit = strength * peaks / (2 * np.sqrt(2))
    atoms = eqx.tree_at(lambda a: a.amplitudes, atoms, np.asarray(atoms.amplitudes) / unit)
    views = fit.views._replace(backgrounds=np.asarray(fit.views.backgrounds) / unit)
    return single(TiltModel(atoms, fit.probe, views, fit.scattering)), unit


@kept
def _drawn(
    model: TiltModel, rotations: Float[Leaf, "v 3 3"], centres: Float[Leaf, "v 2"], camera: Camera
) -> Float[Array, "v rows columns"]:
    return series_of(model, jnp.asarray(rotations), jnp.asarray(centres), camera)


@kept
def _refitted(posterior: Objective, free: Free) -> Free:
    """Where a few steps lead."""

    def go_on(_: Array, at: tuple[Free, Damping]) -> tuple[Free, Damping]:
        update, state = _SOLVER.update(posterior, at[1], at[0])
        return moved(at[0], update), state

    begin = jax.tree.map(jnp.asarray, free)
    return lax.fori_loop(0, _STEPS, go_on, (begin, _SOLVER.init(posterior, begin)))[0]


def _neighbours(atoms: int) -> int:
    """Over how many of so many atoms samples are averaged."""
    return min(max(_NEIGHBOURS, min(int(_NEAR * atoms), _MOST_NEIGHBOURS)), atoms)


def _local_mean(positions: Float[np.ndarray, "n 3"], squares: Float[np.ndarray, "s n"]) -> np.ndarray:
    """Of all samples of each atom and its neighbours; at least one."""
    each = np.minimum(squares, LIMITS.largest_square).mean(axis=0)
    count = _neighbours(len(positions))
    near = cKDTree(positions).query(positions, count)[1].reshape(len(positions), -1)
    known = np.isfinite(each)[near]
    total = np.where(known, each[near], 0.0).sum(axis=1)
    return np.maximum(total / np.maximum(known.sum(axis=1), 1), 1.0)
