"""Atoms refined against a tilt series, in stages.

Far from their places narrow atoms pull on nothing: an atom that does not overlap with its image is
stranded for good. So the first stages draw atoms wide, then less wide, and through no probe, which is
quickest; only then are widths free. The probe comes last, because its weights and the atoms' widths say
much the same: first its shape common to all depths (`profile`) with its change with depth as propagation
has it, then, if asked for, the whole table together with each atom's amplitude.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.atoms import AnisotropicDisplacements, Atoms, IsotropicDisplacements, Leaf
from atomfit.compiled import kept
from atomfit.fitting.likelihood import AbstractLoss
from atomfit.fitting.newton import GaussNewton
from atomfit.fitting.solvers import AbstractSolver, Minimum, minimise
from atomfit.projection.gauge import in_gauge
from atomfit.projection.images import Camera
from atomfit.projection.model import EachView, TiltModel, single
from atomfit.projection.objective import Seen, TiltPosterior
from atomfit.projection.parameters import Free, parametrise
from atomfit.projection.probe import Probe, ProbeKind, make_probe
from atomfit.projection.views import TiltSeries

log = logging.getLogger("atomfit")

#: Standard deviations of the atoms in the first stages, in neighbour distances.
_WIDE = (0.23, 0.16)
#: What the objective must fall by, relative to itself, for a stage to go on.
_ROUGH, _FINE = 1e-3, 1e-5
#: Iterations of a stage, at most.
_MOST = 40
#: Displacement (Å²) of an atom through a probe, where the probe's shape is free.
_THROUGH_PROBE = 0.03

Progress = Callable[[str, int, float], None]


@dataclass(frozen=True, eq=False)
class TiltFit:
    """Atoms refined against a tilt series.

    **Fields:**

    - `atoms`: in the specimen's frame (Å); amplitudes are integrals of images (image units x Å²).
    - `probe`: what a point looks like, by its depth.
    - `views`: numbers of each view, in image units.
    - `images`: of the model, of all views.
    - `history`: objective after each iteration of the last stage.
    - `reason`: how the last stage ended.
    - `correlations`: of image and model, for each view.
    - `r_factors`: the same as relative difference (Ma & Yu, equation 11).
    - `held_out`: views that the fit has not seen, but for their own gain and background.
    """

    atoms: Atoms
    probe: Probe
    views: EachView
    images: Float[np.ndarray, "v rows columns"]
    history: Float[np.ndarray, " i"]
    reason: str
    correlations: Float[np.ndarray, " v"]
    r_factors: Float[np.ndarray, " v"]
    held_out: Bool[np.ndarray, " v"]


@dataclass(frozen=True)
class _Stage:
    """A fit.

    **Fields:**

    - `name`: for the log.
    - `free`: what is refined.
    - `own`: what each atom has for itself.
    - `width`: of the atoms at its beginning (Å); None if they keep theirs.
    - `tolerance`: when it ends.
    """

    name: str
    free: frozenset[str]
    own: frozenset[str]
    width: float | None
    tolerance: float


def refine_against(
    series: TiltSeries,
    positions: Float[np.ndarray, "n 3"],
    numbers: Int[np.ndarray, " n"],
    neighbour_distance: float,
    *,
    probe: ProbeKind = "direct",
    voltage: float = 300.0,
    convergence: float = 25.0,
    defocus: float = 0.0,
    spherical: float = 0.0,
    amplitudes: str = "auto",
    displacements: str = "shared",
    free_views: Collection[str] = ("backgrounds",),
    anneal: bool = True,
    frozen: Bool[np.ndarray, " n"] | None = None,
    likelihood: AbstractLoss | None = None,
    held_out: Bool[np.ndarray, " v"] | None = None,
    known_positions: float | None = None,
    known_amplitudes: float | None = None,
    solver: AbstractSolver | None = None,
    progress: Progress = lambda stage, iteration, value: None,
) -> TiltFit:
    """Refine atoms against images.

    **Arguments:**

    - `series`: the images.
    - `positions`, `numbers`: where the atoms are thought to be (Å), and their elements.
    - `neighbour_distance`: typical distance of neighbours (Å).
    - `probe`, `voltage`, `convergence`, `defocus`, `spherical`: see `make_probe`.
    - `amplitudes`: one each "element", or each "atom"; "auto": each atom with an adaptive probe.
    - `displacements`: "shared" by an element's atoms, "isotropic" or "anisotropic" for each atom.
    - `free_views`: what is refined of each view: backgrounds, gains, shifts, turns.
    - `anneal`: whether atoms are drawn wide at first; not needed where they are in their places.
    - `frozen`: atoms that keep their positions.
    - `likelihood`: of a pixel; Gaussian noise if None.
    - `held_out`: views that the fit may not see.
    - `known_positions`: standard deviation of a move from the start (Å); None if nothing is known.
    - `known_amplitudes`: relative standard deviation of amplitudes about the element's.
    - `solver`: Gauss-Newton if not given.
    - `progress`: called with the stage, iterations done and the objective.
    """
    run = _Run(
        series,
        np.zeros(len(series), bool) if held_out is None else held_out,
        positions - series.centre,
        numbers,
        neighbour_distance,
        frozen,
        likelihood,
        (known_positions, known_amplitudes),
        GaussNewton(accuracy=0.1, max_products=40) if solver is None else solver,
        progress,
    )
    every = frozenset({"positions", "strengths", *free_views})
    shared = frozenset({"positions"})
    own = shared | {"strengths"} if amplitudes == "atom" else shared
    stages = []
    if anneal:
        stages += [_Stage("wide atoms", every, shared, w * neighbour_distance, _ROUGH) for w in _WIDE]
    stages.append(_Stage("one Gaussian an atom", every | {"log_widths"}, shared, None, _FINE))
    model = run.first(wide=anneal)
    for stage in stages:
        model, found = run.through(model, stage)
    if probe == "direct":
        last = [_Stage("amplitudes", every | {"log_widths"}, own, None, _FINE)] if own != shared else []
    else:
        through = make_probe(probe, run.reach, voltage, convergence, defocus, spherical)
        model = eqx.tree_at(lambda m: m.probe, model, through)
        last = [_Stage(f"{probe} probe", every | {"profile"}, own, float(np.sqrt(_THROUGH_PROBE)), _FINE)]
    if probe == "adaptive":
        each = shared if amplitudes == "element" else shared | {"strengths"}
        last.append(_Stage("free probe", every | {"probe"}, each, None, _FINE))
    if displacements != "shared":
        free = every | {"log_widths"} | ({"shears"} if displacements == "anisotropic" else set())
        last.append(_Stage("displacements", free, own | {"log_widths", "shears"}, None, _FINE))
    for stage in last:
        if stage.name == "displacements" and displacements == "anisotropic":
            model = run.with_matrices(model)
        model, found = run.through(model, stage)
    return run.result(model, found)


@dataclass(frozen=True, eq=False)
class _Run:
    """What all stages of a refinement have in common.

    **Fields:**

    - `series`, `held`: the images, and those that are not fitted.
    - `positions`, `numbers`: of the atoms, from the particle's centre.
    - `distance`: of neighbours (Å).
    - `frozen`, `loss`, `known`, `solver`, `progress`: see `refine_against`.
    """

    series: TiltSeries
    held: Bool[np.ndarray, " v"]
    positions: Float[np.ndarray, "n 3"]
    numbers: Int[np.ndarray, " n"]
    distance: float
    frozen: Bool[np.ndarray, " n"] | None
    loss: AbstractLoss | None
    known: tuple[float | None, float | None]
    solver: AbstractSolver
    progress: Progress

    @cached_property
    def members(self) -> Int[np.ndarray, " n"]:
        """Which of the elements each atom is."""
        return np.unique(self.numbers, return_inverse=True)[1]

    @cached_property
    def unit(self) -> float:
        """Image units in what is taken for a peak."""
        return float(np.quantile(np.abs(self.series.images[self.series.counted]), 0.99)) / 3 or 1.0

    @cached_property
    def reach(self) -> float:
        """Of the particle along the beam (Å)."""
        depths = np.einsum("vk,nk->vn", self.series.views.rotations[:, 2], self.positions)
        return float(np.abs(depths).max(initial=1.0)) + self.distance / 2

    def first(self, wide: bool) -> TiltModel:
        """Atoms where they are thought to be, as bright as the images are."""
        n, v = len(self.positions), len(self.series)
        u = ((_WIDE[0] if wide else 0.1) * self.distance) ** 2
        shape = IsotropicDisplacements.from_variances(np.full(n, u))
        atoms = Atoms(self.positions, shape, self.numbers / np.mean(self.numbers), self.numbers)
        zeros = [np.zeros((v, *tail)) for tail in ((3,), (2,), ())]
        views = EachView(zeros[0], zeros[1], np.ones(v), zeros[2])
        model = single(TiltModel(atoms, make_probe("direct", self.reach), views))
        images = self.images(model)
        counted = self.series.counted & ~self.held[:, None, None]
        drawn = images[counted].astype(np.float64)
        scale = float(drawn @ (self.series.images[counted] / self.unit)) / float(drawn @ drawn)
        return eqx.tree_at(lambda m: m.atoms.amplitudes, model, model.atoms.amplitudes * np.float32(scale))

    def through(self, model: TiltModel, stage: _Stage) -> tuple[TiltModel, Minimum[Free]]:
        """A stage: the model that it ends with, and how."""
        if stage.width is not None:
            widths = np.full((len(self.positions), 1), np.log(stage.width), np.float32)
            model = eqx.tree_at(lambda m: m.atoms.displacements, model, IsotropicDisplacements(widths))
        posterior = self.posterior(model, stage)
        found = minimise(
            posterior,
            posterior.parametrisation.zeros(),
            self.solver,
            tolerance=stage.tolerance,
            max_iterations=_MOST,
            progress=lambda iteration, value: self.progress(stage.name, iteration, value),
        )
        model = jax.tree.map(np.asarray, posterior.parametrisation(found.params))
        log.info("%s: %s after %d iterations", stage.name, found.reason, found.iterations)
        return model, found

    def posterior(self, model: TiltModel, stage: _Stage) -> TiltPosterior:
        """The objective of a stage."""
        parametrisation = parametrise(
            model, stage.free, stage.own, self.members, self.series.pixel, self.frozen
        )
        free = parametrisation.zeros()
        precisions, expected = self._expected(parametrisation.steps, model, stage)
        return TiltPosterior(
            parametrisation,
            self.seen,
            self._adapted(model, stage),
            np.asarray(parametrisation.flat(free | precisions)),
            np.asarray(parametrisation.flat(free | expected)),
            self.camera(model),
        )

    def _expected(self, steps: dict[str, Leaf], model: TiltModel, stage: _Stage) -> tuple[Free, Free]:
        """Precisions of the free numbers, and what they are expected to be."""
        move, brighter = self.known
        scales: dict[str, tuple[float, np.ndarray]] = {}
        if move is not None and "positions" in steps:
            scales["positions"] = move, self.positions - np.asarray(model.atoms.positions)
        if brighter is not None and "strengths" in stage.own and "strengths" in steps:
            amplitudes = np.asarray(model.atoms.amplitudes)
            means = np.bincount(self.members, amplitudes) / np.bincount(self.members)
            scales["strengths"] = brighter, np.log(means[self.members] / amplitudes)
        noise = self._variance(model) if scales else 0.0
        precisions: Free = {}
        expected: Free = {}
        for name, (scale, off) in scales.items():
            step = np.asarray(steps[name], np.float64)
            precisions[name] = (noise * (step / scale) ** 2).astype(np.float32)
            expected[name] = np.divide(off, step, out=np.zeros_like(step), where=step > 0).astype(
                np.float32
            )
        return precisions, expected

    def _left(self, model: TiltModel) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """What a model has at the pixels that are fitted, and what it leaves there (units of a peak)."""
        counted = self.series.counted & ~self.held[:, None, None]
        drawn = self.images(model)[counted]
        return drawn, self.series.images[counted] / self.unit - drawn

    def _variance(self, model: TiltModel) -> float:
        """Mean square of what a model leaves, beside what its likelihood expects: the objective's unit."""
        drawn, left = self._left(model)
        weights = (
            1.0 if self.loss is None else np.asarray(self.loss.curvature(jnp.asarray(drawn), drawn + left))
        )
        return float(np.mean(weights * left.astype(np.float64) ** 2))

    def _adapted(self, model: TiltModel, stage: _Stage) -> AbstractLoss | None:
        """The likelihood with the scale of what the stage begins with."""
        if self.loss is None or not stage.free:
            return self.loss
        return self.loss.adapted(self._left(model)[1], 0)

    @property
    def seen(self) -> Seen:
        """The images in units of a peak; those that are held out have no weight."""
        weights = self.series.counted & ~self.held[:, None, None]
        images = np.where(self.series.counted, self.series.images / self.unit, 0.0)
        views = self.series.views
        return Seen(*(np.asarray(x, np.float32) for x in (images, weights, views.rotations, views.centres)))

    def camera(self, model: TiltModel) -> Camera:
        """Windows for a model's atoms, with room to grow."""
        spread = 1.3 * float(np.quantile(np.exp(2 * np.asarray(_log_widths(model))), 0.95))
        return Camera.for_widths(
            self.series.pixel, self.series.shape, spread, np.asarray(model.probe.variances, np.float64)
        )

    def images(self, model: TiltModel) -> Float[np.ndarray, "v rows columns"]:
        """A model's images (units of a peak)."""
        posterior = self.posterior(model, _NOTHING)
        return np.asarray(_images(posterior, posterior.parametrisation.zeros()))

    def with_matrices(self, model: TiltModel) -> TiltModel:
        """The same with a displacement matrix for each atom."""
        u = np.exp(2 * np.asarray(_log_widths(model), np.float64)[:, 0])
        matrices = single(AnisotropicDisplacements.from_variances(u))
        return eqx.tree_at(lambda m: m.atoms.displacements, model, matrices)

    def result(self, model: TiltModel, found: Minimum[Free]) -> TiltFit:
        """The result, in the user's units and frame."""
        placed = self.known[0] is not None or (self.frozen is not None and bool(self.frozen.any()))
        model = in_gauge(model, self.series.views.rotations, placed)
        if self.held.any():
            model = self._with_held_out(model)
        images = self.images(model) * self.unit
        measured = [self.series.images[k][self.series.counted[k]] for k in range(len(self.series))]
        drawn = [images[k][self.series.counted[k]] for k in range(len(self.series))]
        pairs = list(zip(measured, drawn, strict=True))
        double = jax.tree.map(lambda x: np.asarray(x, np.float64), model.atoms)
        double = eqx.tree_at(lambda a: a.numbers, double, self.numbers)
        double = eqx.tree_at(lambda a: a.amplitudes, double, double.amplitudes * self.unit)
        views = jax.tree.map(lambda x: np.asarray(x, np.float64), model.views)
        return TiltFit(
            double.shifted(self.series.centre),
            model.probe,
            views._replace(backgrounds=views.backgrounds * self.unit),
            images,
            found.history,
            found.reason,
            np.array([_correlation(a, b) for a, b in pairs]),
            np.array([np.abs(a - b).sum() / max(np.abs(a).sum(), 1e-30) for a, b in pairs]),
            self.held,
        )

    def _with_held_out(self, model: TiltModel) -> TiltModel:
        """Gain and background of the views that were not fitted, by linear least squares."""
        images = self.images(model)
        gains, backgrounds = (np.array(x) for x in (model.views.gains, model.views.backgrounds))
        for k in np.flatnonzero(self.held):
            counted = self.series.counted[k]
            bare = (images[k][counted] - backgrounds[k]) / gains[k]
            design = np.stack([bare, np.ones_like(bare)], axis=1)
            values = self.series.images[k][counted] / self.unit
            gains[k], backgrounds[k] = np.linalg.lstsq(design, values, rcond=None)[0]
        views = model.views._replace(gains=gains, backgrounds=backgrounds)
        return eqx.tree_at(lambda m: m.views, model, views)


_NOTHING = _Stage("", frozenset(), frozenset(), None, 1.0)


@kept
def _images(posterior: TiltPosterior, free: Free) -> jax.Array:
    return posterior.images(free)


def _log_widths(model: TiltModel) -> Leaf:
    return model.atoms.displacements.log_widths  # type: ignore[attr-defined]


def _correlation(a: Float[np.ndarray, " k"], b: Float[np.ndarray, " k"]) -> float:
    x, y = (values.astype(np.float64) - np.mean(values, dtype=np.float64) for values in (a, b))
    return float(x @ y / np.sqrt(max(float(x @ x) * float(y @ y), 1e-300)))
