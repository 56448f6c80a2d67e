"""How much atoms that overlap in images take from each other's certainty: a few samples in, factors out.

Beneath others in most views, an atom is known less well than if they were known: the inverse of the whole
Gauss-Newton matrix is wanted, not that of each atom's block. For many atoms that matrix is too large, but
what its inverse does can be sampled: images of the model with noise as it is are given to the fit, which
answers with one step,

    x = (JᵀWJ)⁻¹ JᵀW^{½} ε,

whose covariance is the inverse. Each sample costs one solution by conjugate gradients. What the samples say
of one atom is rough; but the factor by which its variance exceeds that of its block depends on how much
matter lies above and beneath it, which is about the same for its neighbours: it is a mean over some of
them. What views, widths and amplitudes have in common is free in the samples and adds its part.
"""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial import cKDTree

from atomfit.atoms import IsotropicDisplacements, Leaf
from atomfit.compiled import kept
from atomfit.fitting.newton import conjugate_gradients
from atomfit.projection.fit import TiltFit
from atomfit.projection.images import Camera
from atomfit.projection.model import TiltModel, single
from atomfit.projection.objective import Seen, TiltPosterior, series_of
from atomfit.projection.parameters import Free, parametrise
from atomfit.projection.views import TiltSeries

#: Samples, and neighbours over which they are averaged: 2 % of a standard uncertainty.
_SAMPLES, _NEIGHBOURS = 6, 40
#: Of the linear solutions, whose error adds to the samples.
_ACCURACY, _PRODUCTS = 0.03, 60


@dataclass(frozen=True, eq=False)
class Excess:
    """Factors on variances that each atom's own block of the Gauss-Newton matrix gives.

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
    seed: int = 0,
) -> Excess:
    """By how much atoms are less certain for their neighbours.

    **Arguments:**

    - `series`, `fit`: the images and their fit.
    - `covariances`: of x, y, z if the other atoms were known (Å²).
    - `amplitudes`: standard uncertainties of the atoms' own amplitudes, so (image units x Å²); None if they
        share them.
    - `white`: factor on the variance of pixels that `covariances` have in them.
    - `known`: standard deviations of positions before the images were seen (Å).
    - `known_amplitudes`: relative standard deviation of amplitudes about their element's mean.
    - `seed`: of the samples.
    """
    model, unit = _model(series, fit)
    weights = (fit.precisions * np.float32(unit**2 / white)).astype(np.float32)
    own = {"positions"} if amplitudes is None else {"positions", "strengths"}
    shared = {"log_widths"} if isinstance(model.atoms.displacements, IsotropicDisplacements) else set()
    parametrisation = parametrise(
        model,
        frozenset(own | shared | {"strengths", "backgrounds", "gains"}),
        frozenset(own),
        np.unique(fit.atoms.numbers, return_inverse=True)[1],
        series.pixel,
    )
    free = parametrisation.zeros()
    precisions = dict(free)
    if known is not None:
        precisions["positions"] = (np.asarray(parametrisation.steps["positions"]) / known).astype(
            np.float32
        ) ** 2
    if amplitudes is not None and known_amplitudes is not None:
        precisions["strengths"] = (
            np.asarray(parametrisation.steps["strengths"]) / known_amplitudes
        ).astype(np.float32) ** 2
    spread = 1.1 * float(np.quantile(np.linalg.eigvalsh(np.asarray(model.atoms.matrices())), 0.95))
    variances = np.asarray(model.probe.variances, np.float64)
    camera = Camera.for_widths(series.pixel, series.shape, spread, variances)
    rotations, centres = (np.asarray(x, np.float32) for x in (series.views.rotations, series.views.centres))
    drawn = np.asarray(_drawn(model, rotations, centres, camera))
    deviations = np.sqrt(np.where(weights > 0, 1 / np.maximum(weights, 1e-30), 0)).astype(np.float32)
    flat = np.asarray(parametrisation.flat(precisions))
    rng = np.random.default_rng(seed)
    squares, strengths = np.zeros(len(covariances)), np.zeros(len(covariances))
    inverse = np.linalg.pinv(covariances, hermitian=True)
    for _ in range(_SAMPLES):
        images = drawn + deviations * rng.standard_normal(drawn.shape, np.float32)
        prior = rng.standard_normal(len(flat)) / np.sqrt(np.where(flat > 0, flat, np.inf))
        seen = Seen(images, weights, rotations, centres)
        posterior = TiltPosterior(parametrisation, seen, None, flat, prior.astype(np.float32), camera)
        step = {name: np.asarray(x, np.float64) for name, x in _step(posterior, free).items()}
        moves = step["positions"] * np.asarray(parametrisation.steps["positions"], np.float64)
        squares += np.einsum("ni,nij,nj->n", moves, inverse, moves) / 3
        if amplitudes is not None:
            change = step["strengths"] * np.asarray(parametrisation.steps["strengths"], np.float64)
            strengths += (change * np.asarray(fit.atoms.amplitudes) / amplitudes) ** 2
    return Excess(
        _local_mean(np.asarray(model.atoms.positions), squares / _SAMPLES),
        _local_mean(np.asarray(model.atoms.positions), strengths / _SAMPLES),
    )


def _model(series: TiltSeries, fit: TiltFit) -> tuple[TiltModel, float]:
    """The fit's model with positions from the centre and images in units of noise, and that unit."""
    known = fit.precisions[fit.precisions > 0]
    unit = float(1 / np.sqrt(np.mean(known, dtype=np.float64))) if len(known) else 1.0
    atoms = fit.atoms.shifted(-series.centre)
    atoms = eqx.tree_at(lambda a: a.amplitudes, atoms, np.asarray(atoms.amplitudes) / unit)
    views = fit.views._replace(backgrounds=np.asarray(fit.views.backgrounds) / unit)
    return single(TiltModel(atoms, fit.probe, views)), unit


@kept
def _drawn(
    model: TiltModel, rotations: Float[Leaf, "v 3 3"], centres: Float[Leaf, "v 2"], camera: Camera
) -> Float[Array, "v rows columns"]:
    return series_of(model, jnp.asarray(rotations), jnp.asarray(centres), camera)


@kept
def _step(posterior: TiltPosterior, free: Free) -> Free:
    """The Gauss-Newton step of an objective."""
    product, diagonal = posterior.curvature(free)
    gradient = posterior.evaluate(free).gradient
    step = conjugate_gradients(product, -gradient, diagonal, _ACCURACY, _PRODUCTS)
    return posterior.parametrisation.unflat(step)


def _local_mean(positions: Float[np.ndarray, "n 3"], values: Float[np.ndarray, " n"]) -> np.ndarray:
    """Of each atom and its neighbours; at least one."""
    near = (
        cKDTree(positions).query(positions, min(_NEIGHBOURS, len(positions)))[1].reshape(len(positions), -1)
    )
    return np.maximum(np.nanmean(values[near], axis=1), 1.0)
