"""What a difference between prediction and data costs: minus the logarithm of the likelihood.

Noise is in natural units, so that what several observations say, and what is known beforehand, add up. A
noise of one's own is a subclass of `AbstractPixelNoise` with one function, of single values; its curvature
comes from automatic differentiation where it is not given.

What is not known of the noise beforehand (its size, say) is taken from what a fit leaves, in rounds
(`adapted`): priors and other observations are weighed against what there is.
"""

import abc
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.gaussians.overlaps import derivatives_of_gaussian
from atomfit.gaussians.scatterers import Overlap
from atomfit.noise.brightness import variances_by_brightness
from atomfit.noise.likelihood import AbstractLoss, PoissonLoss, StudentLoss
from atomfit.structure.canvas import Leaf
from atomfit.support.errors import InputError

#: Part of a value's variance that a fit absorbs, at most.
_MOST_ABSORBED = 0.8
#: What follows from a likelihood.
_CLOSED = ("weighted", "about", "overlap", "informing")


def forget(cls: type, changed: tuple[str, ...], closed: tuple[str, ...], base: type) -> None:
    """Give a class that changes a method back what `base` makes of it, for closed forms it inherits.

    **Arguments:**

    - `cls`: the class.
    - `changed`: methods, any of which it may have of its own.
    - `closed`: methods that follow from those.
    - `base`: where they are computed for any class.
    """
    if not any(name in vars(cls) for name in changed):
        return
    for name in closed:
        if name not in vars(cls):
            setattr(cls, name, vars(base)[name])


class AbstractNoise(eqx.Module):
    """A likelihood of data, given what was predicted.

    What a class knows in closed form of its likelihood is not inherited together with another likelihood.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        forget(cls, ("cost", "negative_log_likelihood"), _CLOSED, AbstractNoise)

    @abc.abstractmethod
    def negative_log_likelihood(
        self, predicted: Float[Array, "..."], data: Float[Leaf, "..."], counted: Leaf
    ) -> Float[Array, ""]:
        """Minus the logarithm of the likelihood, up to a constant.

        **Arguments:**

        - `predicted`, `data`: what is expected, and what was measured.
        - `counted`: how much each value counts: whether it was measured, or any weight.
        """

    def weighted(
        self, field: Float[Array, "..."], predicted: Float[Array, "..."], data: Leaf, counted: Leaf
    ) -> Float[Array, "..."]:
        """The curvature by the prediction, times a field; for steps, so it should be positive.

        **Arguments:**

        - `field`: a change of the prediction.
        - `predicted`, `data`, `counted`: as of the likelihood.
        """

        def slope(predicted: Array) -> Array:
            return jax.grad(self.negative_log_likelihood)(predicted, data, counted)

        return jax.jvp(slope, (predicted,), (field,))[1]

    #: Atoms whose overlaps are computed at a time.
    atoms_at_a_time: ClassVar[int] = 1024
    #: Whether values err independently of each other.
    single: ClassVar[bool] = False
    #: Whether it says something of values that it was not adapted to.
    elsewhere: ClassVar[bool] = True

    @property
    def of_images(self) -> bool:
        """Whether images err independently of each other, so that they may be looked at in turn."""
        return self.single

    @property
    def settled(self) -> bool:
        """Whether a fit has nothing to tell of it: then it is not adapted."""
        return False

    def about(
        self, predicted: Float[Array, "..."], data: Float[Leaf, "..."], counted: Leaf
    ) -> Float[Array, "..."]:
        """About what each value counts for atoms: the diagonal of what `weighted` multiplies with.

        **Arguments:**

        - `predicted`, `data`, `counted`: as of the likelihood.
        """
        return self.weighted(jnp.ones_like(predicted), predicted, data, counted)

    def overlap(self) -> Overlap | None:
        """Derivatives of gᵀ W h by the distance of two normalised Gaussians (`gaussians.overlaps`).

        W is what `weighted` multiplies with, per unit of volume and for values that all count. None if
        it is not the same at all predictions, or that is not known in closed form.
        """
        return None

    def sized(self, variance: float) -> "AbstractNoise":
        """The same, its size known; itself if it has one of its own.

        **Arguments:**

        - `variance`: of a value, or by which a likelihood's loss is to be divided.
        """
        return self

    def independent(self, counted: Leaf) -> float:
        """How many independent values there are.

        **Arguments:**

        - `counted`: how much each value counts.
        """
        return float(np.count_nonzero(np.asarray(counted)))

    def informing(self, predicted: Float[np.ndarray, "..."], data: Leaf, counted: Leaf) -> "AbstractNoise":
        """The same at the end of a fit, on the host: its `weighted` is the Fisher information.

        **Arguments:**

        - `predicted`, `data`, `counted`: as of the likelihood.
        """
        return self

    def adapted(
        self, predicted: Float[np.ndarray, "..."], data: Leaf, counted: Leaf, free: float
    ) -> "AbstractNoise":
        """The same with what a fit has left of the data; itself if there is nothing to learn.

        **Arguments:**

        - `predicted`, `data`, `counted`: as of the likelihood.
        - `free`: how many numbers were fitted to the data.
        """
        return self


class AbstractPixelNoise(AbstractNoise):
    """Values that err independently of each other."""

    single: ClassVar[bool] = True

    @abc.abstractmethod
    def cost(self, predicted: Float[Array, "..."], data: Float[Leaf, "..."]) -> Float[Array, "..."]:
        """Minus the logarithm of the likelihood of each value, up to a constant."""

    def negative_log_likelihood(
        self, predicted: Float[Array, "..."], data: Float[Leaf, "..."], counted: Leaf
    ) -> Float[Array, ""]:
        # What does not count may be no number, in itself or in its derivative.
        known = jnp.asarray(counted) > 0
        cost = self.cost(jnp.where(known, predicted, 1.0), jnp.where(known, jnp.asarray(data), 1.0))
        return jnp.sum(jnp.where(known, counted * cost, 0.0))


class WhiteNoise(AbstractPixelNoise):
    """Gaussian noise of one size.

    **Fields:**

    - `deviation`: in the data's unit; None to take it from what a fit leaves.
    - `known`: whether it was given.
    """

    deviation: Float[Leaf, ""] | float | None = None
    known: bool = eqx.field(static=True, default=False)

    def __init__(self, deviation: Any = None, known: bool | None = None) -> None:
        if deviation is not None and not deviation >= 0:
            raise InputError(f"a standard deviation is {deviation}", "give a positive one", "deviation")
        self.deviation = None if deviation is None else np.asarray(deviation, np.float32)
        self.known = deviation is not None if known is None else known

    @property
    def _precision(self) -> Any:
        return 1.0 if self.deviation is None else 1 / jnp.asarray(self.deviation) ** 2

    def cost(self, predicted: Float[Array, "..."], data: Float[Leaf, "..."]) -> Float[Array, "..."]:
        return 0.5 * self._precision * (jnp.asarray(data) - predicted) ** 2

    def weighted(
        self, field: Float[Array, "..."], predicted: Float[Array, "..."], data: Leaf, counted: Leaf
    ) -> Float[Array, "..."]:
        return self._precision * jnp.asarray(counted) * field

    @property
    def settled(self) -> bool:
        return self.known

    def overlap(self) -> Overlap:
        return partial(times, derivatives_of_gaussian, self._precision)

    def sized(self, variance: float) -> "WhiteNoise":
        return WhiteNoise(np.sqrt(variance))

    def adapted(
        self, predicted: Float[np.ndarray, "..."], data: Leaf, counted: Leaf, free: float
    ) -> "WhiteNoise":
        if self.known:
            return self
        kept = np.asarray(counted) > 0
        left = (np.asarray(data, np.float64) - predicted)[kept]
        weights = np.asarray(counted, np.float64)[kept]
        return WhiteNoise(np.sqrt(np.sum(weights * left**2) / max(left.size - free, 1)), known=False)


class KnownPrecision(AbstractPixelNoise):
    """Gaussian noise of a size for each value.

    **Fields:**

    - `precision`: inverse variances.
    """

    precision: Float[Leaf, "..."]

    @property
    def settled(self) -> bool:
        return True

    def cost(self, predicted: Float[Array, "..."], data: Float[Leaf, "..."]) -> Float[Array, "..."]:
        return 0.5 * jnp.asarray(self.precision) * (jnp.asarray(data) - predicted) ** 2

    def weighted(
        self, field: Float[Array, "..."], predicted: Float[Array, "..."], data: Leaf, counted: Leaf
    ) -> Float[Array, "..."]:
        return jnp.asarray(self.precision) * jnp.asarray(counted) * field


class BrightnessNoise(KnownPrecision):
    """Gaussian noise that grows with brightness, as what a fit leaves tells (`noise.brightness`)."""

    elsewhere: ClassVar[bool] = False

    def __init__(self, precision: Any) -> None:
        self.precision = np.asarray(precision, np.float32)

    @property
    def settled(self) -> bool:
        return False

    def adapted(
        self, predicted: Float[np.ndarray, "..."], data: Leaf, counted: Leaf, free: float
    ) -> "BrightnessNoise":
        kept = np.asarray(counted) > 0
        density = np.asarray(predicted, np.float64)[kept]
        left = np.asarray(data, np.float64)[kept] - density
        # Numbers of atoms take their part of the noise where atoms are bright, and nothing elsewhere.
        strength = np.asarray(self.precision, np.float64)[kept] * (density - density.min()) ** 2
        absorbed = free * strength / max(float(strength.sum()), 1e-300)
        left = left / np.sqrt(1 - np.minimum(absorbed, _MOST_ABSORBED))
        precision = np.zeros(kept.shape, np.float32)
        precision[kept] = 1 / variances_by_brightness(density, left)
        return BrightnessNoise(precision)


class LossNoise(AbstractPixelNoise):
    """A likelihood of `noise.likelihood`, in the data's unit.

    **Fields:**

    - `loss`: of single values, up to a factor.
    - `dispersion`: by which it is to be divided to be minus the logarithm of the likelihood.
    - `known`: whether that was given.
    """

    loss: AbstractLoss
    dispersion: Float[Leaf, ""] = eqx.field(default_factory=lambda: np.asarray(1.0, np.float32))
    known: bool = eqx.field(static=True, default=False)

    def cost(self, predicted: Float[Array, "..."], data: Float[Leaf, "..."]) -> Float[Array, "..."]:
        return self.loss.value(predicted, data) / jnp.asarray(self.dispersion)

    def weighted(
        self, field: Float[Array, "..."], predicted: Float[Array, "..."], data: Leaf, counted: Leaf
    ) -> Float[Array, "..."]:
        curvature = self.loss.curvature(predicted, jnp.asarray(data)) / jnp.asarray(self.dispersion)
        return jnp.where(jnp.asarray(counted) > 0, counted * curvature, 0.0) * field

    def informing(self, predicted: Float[np.ndarray, "..."], data: Leaf, counted: Leaf) -> "KnownPrecision":
        kept = np.asarray(counted) > 0
        precision = np.zeros(kept.shape, np.float32)
        precision[kept] = self.loss.precision(
            np.asarray(predicted, np.float64)[kept], np.asarray(data, np.float64)[kept], 0, 1.0
        )
        return KnownPrecision(precision)

    def adapted(
        self, predicted: Float[np.ndarray, "..."], data: Leaf, counted: Leaf, free: float
    ) -> "LossNoise":
        kept = np.asarray(counted) > 0
        density, values = np.asarray(predicted, np.float64)[kept], np.asarray(data, np.float64)[kept]
        loss = self.loss.adapted(values - density, int(free))
        if self.known:
            return LossNoise(loss, self.dispersion, True)
        return LossNoise(loss, np.asarray(loss.dispersion(density, values, int(free), 1.0), np.float32))

    def sized(self, variance: float) -> "LossNoise":
        return LossNoise(self.loss, np.asarray(variance, np.float32), True)


def count_noise(data: Float[np.ndarray, "..."], gain: float | None = None) -> LossNoise:
    """Counts times a gain.

    **Arguments:**

    - `data`: what is to be fitted. Below a thousandth of its brightest values the variance is constant.
    - `gain`: what one count adds; taken from what a fit leaves if it is not given.
    """
    bright = float(np.quantile(np.abs(data), 0.999)) or 1.0
    # A power of ten, so that data of similar brightness share compiled code.
    least = float(10.0 ** np.floor(np.log10(1e-3 * bright)))
    return LossNoise(PoissonLoss(gain, least), np.asarray(1.0 if gain is None else gain, np.float32))


def brightness_noise(data: Float[np.ndarray, "..."]) -> BrightnessNoise:
    """Gaussian noise that grows with brightness, by how much what a fit leaves tells.

    **Arguments:**

    - `data`: what is to be fitted; all values count alike at first.
    """
    return BrightnessNoise(np.full(np.shape(data), 1 / max(float(np.var(data)), 1e-30)))


def robust_noise(data: Float[np.ndarray, "..."], freedom: float = 4.0) -> LossNoise:
    """Student's t, of a size that is taken from what a fit leaves.

    **Arguments:**

    - `data`: what is to be fitted; tells where to begin.
    - `freedom`: degrees of freedom; the fewer, the less pull large residuals have.
    """
    scale = np.asarray(0.3 * float(np.quantile(np.abs(data), 0.999)), np.float32)
    return LossNoise(StudentLoss(scale, freedom), scale**2)


def times(single: Overlap, factor: Leaf, *args: Any, **kwargs: Any) -> Leaf:
    """An overlap, times a factor."""
    return factor * single(*args, **kwargs)
