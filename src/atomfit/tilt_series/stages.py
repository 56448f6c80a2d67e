"""A stage of a refinement against images, and what all stages have in common.

Between stages everything is a model in units of a typical peak, with positions from the particle's centre;
a stage frees some of its numbers, minimises, and hands the model on. At the end it becomes a `TiltFit` in
the user's units and frame.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.inference.priors import AbstractPrior, as_priors
from atomfit.inference.problem import Objective
from atomfit.noise.brightness import weights_by_brightness
from atomfit.noise.likelihood import AbstractLoss
from atomfit.observation.series import SeriesObservation
from atomfit.optimisation.newton import GaussNewton
from atomfit.optimisation.parameters import Free
from atomfit.optimisation.solvers import AbstractSolver, Minimum, minimise
from atomfit.projection.colour import Colour, coloured_excess, noise_colour
from atomfit.projection.drift import drifts
from atomfit.projection.gauge import in_gauge
from atomfit.projection.images import Camera, series_of
from atomfit.projection.model import EachView, TiltModel, single, spot
from atomfit.projection.probe import make_probe
from atomfit.projection.views import TiltSeries
from atomfit.structure.atoms import Atoms, IsotropicDisplacements, Leaf
from atomfit.support.compiled import kept
from atomfit.tilt_series.limits import LIMITS
from atomfit.tilt_series.objective import OfAtoms, about_diagonal, objective_of, observed
from atomfit.tilt_series.parameters import TiltParametrisation, parametrise
from atomfit.tilt_series.poses import better_turns
from atomfit.tilt_series.settings import Progress, SeriesSettings

log = logging.getLogger("atomfit")

#: Standard deviation of the atoms in the first stage, in neighbour distances.
WIDE = 0.23
#: What the objective must fall by, relative to itself, for a stage to go on.
ROUGH, FINE = 1e-3, 1e-5
#: Looks at a stage's iterations, at most, and at those of a rough one, which promises more than it can do.
_MOST, _MOST_ROUGH = 40, 15
#: How often a fit is repeated whose noise turns out to be less than it was taken for.
_MOST_AGAIN = 3
#: Searches for better directions of views.
_MOST_SEARCHES = 3
#: The solver if none is given. Products cost as much as two evaluations, so a step need not be exact.
_SOLVER = GaussNewton(accuracy=0.1, max_products=40)


@dataclass(frozen=True)
class Stage:
    """A fit.

    **Fields:**

    - `name`: for the log.
    - `free`: what is refined.
    - `own`: what each atom has for itself.
    - `tolerance`: when it ends.
    - `loose`: it ends as soon as it promises to lower chi-square by less than this for each atom, or after
        a few iterations, because the atoms are yet to change.
    - `weighted`: whether pixels count by their brightness, if they may.
    - `adjusted`: whether what atoms share is adjusted for what positions take of the noise (`adjustment`);
        how much that is, only a model tells that was fitted.
    - `begin`: what becomes of the model before it.
    - `coloured`: whether frequencies count by the colour of what the model before it leaves.
    """

    name: str
    free: frozenset[str]
    own: frozenset[str]
    tolerance: float = FINE
    weighted: bool = True
    begin: Callable[[TiltModel], TiltModel] = lambda model: model
    loose: float | None = None
    adjusted: bool = False
    coloured: bool = False


@dataclass(frozen=True, eq=False)
class Run:
    """What all stages of a refinement have in common.

    **Fields:**

    - `series`, `held`: the images, and those that are not fitted.
    - `positions`, `expected`, `numbers`: of the atoms, where they begin and where they are expected, from
        the particle's centre.
    - `distance`: of neighbours (Å).
    - `frozen`, `loss`, `by_brightness`, `known`, `progress`, `terms`, `solver`, `max_iterations`: see
        `SeriesSettings`.
    """

    series: TiltSeries
    held: Bool[np.ndarray, " v"]
    positions: Float[np.ndarray, "n 3"]
    expected: Float[np.ndarray, "n 3"]
    numbers: Int[np.ndarray, " n"]
    distance: float
    frozen: Bool[np.ndarray, " n"] | None
    loss: AbstractLoss | None
    by_brightness: bool
    known: tuple[float | Float[np.ndarray, "n 3"] | None, float | None, float | None]
    progress: Progress
    terms: tuple[AbstractPrior, ...] = ()
    solver: AbstractSolver = _SOLVER
    max_iterations: int | None = None

    @classmethod
    def of(
        cls,
        series: TiltSeries,
        positions: Float[np.ndarray, "n 3"],
        numbers: Int[np.ndarray, " n"],
        neighbour_distance: float,
        settings: SeriesSettings,
    ) -> "Run":
        """As settings have it.

        **Arguments:** those of `refine_against`.
        """
        held, expected = settings.held_out, settings.expected
        return cls(
            series,
            np.zeros(len(series), bool) if held is None else held,
            positions - series.centre,
            (positions if expected is None else expected) - series.centre,
            numbers,
            neighbour_distance,
            settings.frozen,
            settings.likelihood,
            settings.by_brightness,
            (settings.known_positions, settings.known_amplitudes, settings.known_turns),
            settings.progress,
            as_priors(settings.terms),
            settings.solver or _SOLVER,
            settings.max_iterations,
        )

    @cached_property
    def members(self) -> Int[np.ndarray, " n"]:
        """Which of the elements each atom is."""
        return np.unique(self.numbers, return_inverse=True)[1]

    @cached_property
    def fitted(self) -> int:
        """Pixels that are fitted."""
        return max(int(np.count_nonzero(self.series.counted[~self.held])), 1)

    @cached_property
    def unit(self) -> float:
        """Image units in what is taken for a peak."""
        return float(np.quantile(np.abs(self.series.images[self.series.counted]), 0.99)) / 3 or 1.0

    @cached_property
    def reach(self) -> float:
        """Of the particle along the beam (Å)."""
        depths = np.einsum("vk,nk->vn", self.series.views.rotations[:, 2], self.positions)
        return float(np.abs(depths).max(initial=1.0)) + self.distance / 2

    def first(self, wide: bool, drifting: bool = False) -> TiltModel:
        """Atoms where they are thought to be, as bright as the images are, which may have drifted."""
        n, v = len(self.positions), len(self.series)
        u = ((WIDE if wide else 0.1) * self.distance) ** 2
        shape = IsotropicDisplacements.from_variances(np.full(n, u))
        atoms = Atoms(
            self.positions,
            displacements=shape,
            amplitudes=self.numbers / np.mean(self.numbers),
            numbers=self.numbers,
        )
        zeros = [np.zeros((v, *tail)) for tail in ((3,), (2,), ())]
        views = EachView(zeros[0], zeros[1], np.ones(v), zeros[2])
        model = single(TiltModel(atoms, make_probe("direct", self.reach), views))
        images = self.images(model)
        if drifting:
            shifts = self.series.pixel * drifts(images, self.series)
            if shifts.any():
                log.info("%d views have drifted by pixels", np.count_nonzero(shifts.any(axis=1)))
                model = eqx.tree_at(lambda m: m.views.shifts, model, shifts.astype(np.float32))
                images = self.images(model)
        counted = self.series.counted & ~self.held[:, None, None]
        drawn = images[counted].astype(np.float64)
        scale = float(drawn @ (self.series.images[counted] / self.unit)) / float(drawn @ drawn)
        return eqx.tree_at(lambda m: m.atoms.amplitudes, model, model.atoms.amplitudes * np.float32(scale))

    def through(self, model: TiltModel, stage: Stage) -> tuple[TiltModel, Minimum[Free]]:
        """A stage: the model that it ends with, and how."""
        noise = self._noise(model, stage)
        model, found = self._minimised(stage.begin(model), stage, noise)
        for _ in range(_MOST_AGAIN if stage.adjusted else 0):
            # What another model left was not noise only.
            now = self._noise(model, stage)
            if found.reason.early or now > LIMITS.same_noise * noise:
                break
            noise = now
            model, found = self._minimised(model, stage, noise)
        return model, found

    def _noise(self, model: TiltModel, stage: Stage) -> float:
        """What the objective changes by if chi-square changes by two, pixels counted that err alone.

        Zero where nothing is weighed against it.
        """
        if not stage.adjusted and not self.terms and all(scale is None for scale in self.known):
            return 0.0
        variance, colour = (
            self._variance(model, self.weights(model, stage.weighted)),
            self.colour(model, stage),
        )
        return variance * (self._colour(model) if colour is None else colour.of_shifts)

    def _minimised(self, model: TiltModel, stage: Stage, noise: float) -> tuple[TiltModel, Minimum[Free]]:
        posterior = self.posterior(model, stage, noise)
        parametrisation = posterior.parametrisation
        assert isinstance(parametrisation, TiltParametrisation)
        found = minimise(
            posterior,
            parametrisation.zeros(),
            self.solver,
            tolerance=self.tolerance(parametrisation.start, stage),
            max_iterations=self.most_iterations(stage),
            misfit=lambda free, value: float(posterior.misfit(free, value)),
            progress=lambda iteration, value: self.progress(stage.name, iteration, value),
        )
        model = jax.tree.map(np.asarray, parametrisation.model(found.params))
        log.info("%s: %s after %d iterations", stage.name, found.reason, found.iterations)
        return model, found

    def most_iterations(self, stage: Stage) -> int:
        """As many as are asked for; a rough stage has no use for many."""
        rough = stage.tolerance > FINE or stage.loose is not None
        most = self.solver.chunk * (_MOST_ROUGH if rough else _MOST)
        if self.max_iterations is None:
            return most
        return min(self.max_iterations, most) if rough else self.max_iterations

    def tolerance(self, model: TiltModel, stage: Stage) -> float:
        """What the objective must fall by, relative to itself, for a stage to go on.

        What counts for little need not be fitted as closely.
        """
        if stage.tolerance > FINE:
            return stage.tolerance
        # Chi-square is about the number of pixels, where these count alike.
        of_noise = len(self.positions) / self.fitted
        if stage.loose is not None:
            return stage.loose * of_noise
        close = min(ROUGH, max(LIMITS.per_atom * of_noise, 0.1 * FINE))
        colour = self.colour(model, stage)
        excess = self._colour(model) if colour is None else 1.0
        return close * min(excess, LIMITS.most_colour)

    def with_better_turns(
        self, model: TiltModel, stage: Stage, found: Minimum[Free]
    ) -> tuple[TiltModel, Minimum[Free]]:
        """The same with views that were stuck in a wrong direction, refined again; at most a few times."""
        alike = self.weights(model, weighted=False)
        for _ in range(_MOST_SEARCHES):
            turns, changed = better_turns(model, self.observed(model, alike))
            log.info("%d views are likelier in other directions", changed)
            if not changed:
                break
            moved = model.views._replace(turns=turns.astype(np.float32))
            model, found = self.through(eqx.tree_at(lambda m: m.views, model, moved), stage)
            if found.reason.early:
                break
        return model, found

    def posterior(self, model: TiltModel, stage: Stage, noise: float) -> Objective:
        """The objective of a stage.

        **Arguments:**

        - `model`: to start from.
        - `stage`: which one.
        - `noise`: what the objective changes by if chi-square changes by two.
        """
        parametrisation = parametrise(
            model, stage.free, stage.own, self.members, self.series.pixel, self.frozen
        )
        free = parametrisation.zeros()
        weights = self.weights(model, stage.weighted)
        known, off = self._expected(parametrisation.steps, model, stage, noise)
        loss = None if self.loss is None else self.loss.adapted(self._left(model)[1], 0)
        values, precisions = (np.asarray(parametrisation.flat(free | x)) for x in (off, known))
        series = self.observed(model, weights, loss, self.colour(model, stage))
        weight, centre, unit = (np.asarray(x, np.float32) for x in (noise, self.series.centre, self.unit))
        priors = tuple(OfAtoms(term, weight, centre, unit) for term in self.terms)
        plain = objective_of(parametrisation, series, values, precisions, priors=priors)
        if not stage.adjusted:
            return plain
        shares = self._free_shares(plain, precisions)
        return objective_of(parametrisation, series, values, precisions, weight * shares, priors)

    def _free_shares(
        self, objective: Objective, precisions: Float[np.ndarray, " k"]
    ) -> Float[np.ndarray, " n"]:
        """How much of where each atom is was told by the images, from 0 to 1."""
        shares = np.ones(len(self.positions), np.float32)
        if self.frozen is not None:
            shares[self.frozen] = 0
        if self.known[0] is None:
            return shares
        parametrisation = objective.parametrisation
        of_all = about_diagonal(objective, parametrisation.zeros())
        known, both = (
            np.asarray(parametrisation.unflat(jnp.asarray(x))["positions"]) for x in (precisions, of_all)
        )
        return shares * (1 - known / np.maximum(both, 1e-30)).mean(axis=1)

    def weights(self, model: TiltModel, weighted: bool = True) -> Float[np.ndarray, "v rows columns"]:
        """How much each pixel counts, beside what its likelihood says; those that are held out do not."""
        fitted = self.series.counted & ~self.held[:, None, None]
        weights = fitted.astype(np.float32)
        if weighted and self.by_brightness and self.loss is None:
            weights[fitted] = weights_by_brightness(*self._left(model))
        return weights

    def _expected(
        self,
        steps: dict[str, Leaf],
        model: TiltModel,
        stage: Stage,
        noise: float,
    ) -> tuple[Free, Free]:
        """Precisions of the free numbers, and what they are expected to be."""
        move, brighter, turn = self.known
        scales: dict[str, tuple[float | np.ndarray, np.ndarray]] = {}
        if move is not None and "positions" in steps:
            scales["positions"] = move, self.expected - np.asarray(model.atoms.positions)
        if brighter is not None and "strengths" in stage.own and "strengths" in steps:
            amplitudes = np.asarray(model.atoms.amplitudes)
            means = np.bincount(self.members, amplitudes) / np.bincount(self.members)
            scales["strengths"] = brighter, np.log(means[self.members] / amplitudes)
        if turn is not None and "turns" in steps:
            scales["turns"] = np.radians(turn), -np.asarray(model.views.turns, np.float64)
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

    def unit_of_objective(self, model: TiltModel) -> float:
        """What the objective changes by if chi-square changes by two."""
        return self._variance(model, self.weights(model, weighted=False))

    def _variance(self, model: TiltModel, weights: Float[np.ndarray, "v rows columns"]) -> float:
        """Mean square of what a model leaves, beside what its likelihood expects: the objective's unit."""
        drawn, left = self._left(model)
        each = weights[weights > 0].astype(np.float64)
        if self.loss is not None:
            each = each * np.asarray(self.loss.curvature(jnp.asarray(drawn), drawn + left))
        return float(np.mean(each * left.astype(np.float64) ** 2))

    def _colour(self, model: TiltModel) -> float:
        """By how much what a model leaves tells less than white noise of its size would; at least one.

        Neighbouring pixels of denoised images err together: counted one by one they would outweigh whatever
        is known beforehand.
        """
        weights = np.sqrt(self.precisions(model))
        left = np.where(weights > 0, self.series.images - self.images(model) * self.unit, 0.0) * weights
        return max(
            1.0, coloured_excess(left, self.series.pixel, spot(model.atoms, model.probe, model.scattering))
        )

    def colour(self, model: TiltModel, stage: Stage) -> Colour | None:
        """Of what a model leaves, less what a stage absorbs; None if all frequencies count alike."""
        if not stage.coloured:
            return None
        weights = np.sqrt(self.precisions(model))
        left = np.where(weights > 0, self.series.images - self.images(model) * self.unit, 0.0) * weights
        seen = max(int(np.count_nonzero(~self.held)), 1)
        moving = len(self.positions) if self.frozen is None else int(np.sum(~self.frozen))
        absorbed = 3 * moving / seen, moving / seen if "strengths" in stage.own else 0.0
        image = spot(model.atoms, model.probe, model.scattering)
        return noise_colour(left, self.series.pixel, image, absorbed)

    def precisions(self, model: TiltModel, free: int = 0) -> Float[np.ndarray, "v rows columns"]:
        """Inverse variance of each pixel (1 / squared image units); zero where it was not fitted.

        `free` is how many numbers were: a fit of so many leaves less than there was.
        """
        fitted = self.series.counted & ~self.held[:, None, None]
        drawn, left = self._left(model)
        found = np.zeros(fitted.shape, np.float32)
        if self.loss is None:
            weights = self.weights(model)
            more = self.fitted / max(self.fitted - free, 1)
            found[fitted] = weights[fitted] / max(more * self._variance(model, weights), 1e-30)
        else:
            loss = self.loss.adapted(left, free)
            found[fitted] = loss.precision(drawn, drawn + left, free, self.unit)
        return found / np.float32(self.unit) ** 2

    def observed(
        self,
        model: TiltModel,
        weights: Float[np.ndarray, "v rows columns"],
        loss: AbstractLoss | None = None,
        colour: Colour | None = None,
    ) -> SeriesObservation:
        """The images in units of a peak, with what each pixel counts."""
        images = np.where(self.series.counted, self.series.images / self.unit, 0.0)
        return observed(images, weights, self.series.views, self.camera(model), model, loss, colour)

    def camera(self, model: TiltModel) -> Camera:
        """Windows for a model's atoms, with room to grow."""
        widths = model.scattering.widths(np.exp(2 * np.asarray(log_widths(model), np.float64)))
        spread = 1.3 * float(np.quantile(widths**2, 0.95))
        return Camera.for_widths(
            self.series.pixel, self.series.shape, spread, np.asarray(model.probe.variances, np.float64)
        )

    def images(self, model: TiltModel) -> Float[np.ndarray, "v rows columns"]:
        """A model's images (units of a peak)."""
        views = self.series.views
        return np.asarray(_drawn(model, views.rotations, views.centres, self.camera(model)))

    def in_gauge(self, model: TiltModel) -> TiltModel:
        """The same images with what all views have in common in the atoms; see `gauge`."""
        placed = self.known[0] is not None or (self.frozen is not None and bool(self.frozen.any()))
        return in_gauge(model, self.series.views.rotations, placed, ~self.held)


@kept
def _drawn(model: TiltModel, rotations: Leaf, centres: Leaf, camera: Camera) -> jax.Array:
    return series_of(model, jnp.asarray(rotations, jnp.float32), jnp.asarray(centres, jnp.float32), camera)


def log_widths(model: TiltModel) -> Leaf:
    """Logarithms of the atoms' widths (log Å)."""
    return model.atoms.displacements.log_widths  # type: ignore[attr-defined]
