"""What a fit to images says: a model at the end of its last stage in, the result in the user's units out.

Views that were held out get a gain and a background of their own first, so that what they are compared with
is the atoms.
"""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from atomfit.optimisation.ended import Ended
from atomfit.optimisation.solvers import Minimum
from atomfit.projection.colour import Colour
from atomfit.projection.fit import TiltFit
from atomfit.projection.model import EachView, TiltModel
from atomfit.projection.probe import make_probe
from atomfit.projection.verdict import correlation, r_factor
from atomfit.projection.views import TiltSeries
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.tilt_series.parameters import Free
from atomfit.tilt_series.stages import Run


def result_of(run: Run, model: TiltModel, found: Minimum[Free], colour: Colour | None = None) -> TiltFit:
    """The result, in the user's units and frame.

    **Arguments:**

    - `run`: what the stages had in common.
    - `model`, `found`: how the last one has ended.
    - `colour`: of the noise, if frequencies counted by it.
    """
    model = run.in_gauge(model)
    if run.held.any():
        model = _with_held_out(run, model)
    images = run.images(model) * run.unit
    measured = [run.series.images[k][run.series.counted[k]] for k in range(len(run.series))]
    drawn = [images[k][run.series.counted[k]] for k in range(len(run.series))]
    pairs = list(zip(measured, drawn, strict=True))
    double = jax.tree.map(lambda x: np.asarray(x, np.float64), model.atoms)
    double = eqx.tree_at(lambda a: a.numbers, double, run.numbers)
    double = eqx.tree_at(lambda a: a.amplitudes, double, double.amplitudes * run.unit)
    views = jax.tree.map(lambda x: np.asarray(x, np.float64), model.views)
    return TiltFit(
        double.shifted(run.series.centre),
        model.probe,
        views._replace(backgrounds=views.backgrounds * run.unit),
        images,
        found.history,
        found.reason,
        np.array([correlation(a, b) for a, b in pairs]),
        np.array([r_factor(a, b) for a, b in pairs]),
        run.held,
        run.precisions(model, sum(int(np.size(x)) for x in found.params.values())),
        model.scattering,
        colour,
    )


def _with_held_out(run: Run, model: TiltModel) -> TiltModel:
    """Gain and background of the views that were not fitted, by linear least squares."""
    images = run.images(model)
    gains, backgrounds = (np.array(x) for x in (model.views.gains, model.views.backgrounds))
    for k in np.flatnonzero(run.held):
        counted = run.series.counted[k]
        bare = (images[k][counted] - backgrounds[k]) / gains[k]
        gains[k], backgrounds[k] = level(bare, run.series.images[k][counted] / run.unit)
    views = model.views._replace(gains=gains, backgrounds=backgrounds)
    return eqx.tree_at(lambda m: m.views, model, views)


def level(bare: Float[np.ndarray, " k"], measured: Float[np.ndarray, " k"]) -> Float[np.ndarray, " 2"]:
    """Gain and background of a view that was not fitted, by linear least squares.

    **Arguments:**

    - `bare`: its pixels as the atoms make them, of gain one and on no background.
    - `measured`: the same as measured.
    """
    return np.linalg.lstsq(np.stack([bare, np.ones_like(bare)], axis=1), measured, rcond=None)[0]


def without_atoms(series: TiltSeries, held: Bool[np.ndarray, " v"]) -> TiltFit:
    """The fit of no atoms: each view is as bright as it is on average.

    **Arguments:**

    - `series`, `held`: the images, and those that are not fitted.
    """
    n = len(series)
    counted = series.counted
    level = np.array([float(series.images[k][counted[k]].mean()) for k in range(n)])
    images = np.broadcast_to(level[:, None, None], counted.shape).astype(np.float32)
    left = np.where(counted, series.images - images, 0.0)
    fitted = counted & ~held[:, None, None]
    variance = max(float(np.mean(left[fitted].astype(np.float64) ** 2)), 1e-30)
    atoms = Atoms(
        np.zeros((0, 3)),
        displacements=IsotropicDisplacements(np.zeros((0, 1))),
        amplitudes=np.zeros(0),
        numbers=np.zeros(0, np.int64),
    )
    r_factors = [r_factor(series.images[k][counted[k]], images[k][counted[k]]) for k in range(n)]
    return TiltFit(
        atoms,
        make_probe("direct", 1.0),
        EachView(np.zeros((n, 3)), np.zeros((n, 2)), np.ones(n), level),
        images,
        np.array([0.5 * float(np.sum(left[fitted] ** 2)) / variance]),
        Ended.CONVERGED,
        np.zeros(n),
        np.array(r_factors),
        held,
        (fitted / variance).astype(np.float32),
    )
