"""Noise whose values err together: a power of its own at each spatial frequency."""

from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.gaussians.overlaps import weighted_derivatives
from atomfit.gaussians.scatterers import Overlap
from atomfit.inference.noise import AbstractNoise, times
from atomfit.structure.canvas import Leaf


class SpectralNoise(AbstractNoise):
    """Gaussian noise with a power of its own at each spatial frequency.

    **Fields:**

    - `weights`: inverse of the power, up to a factor, on the half transform of the data (of each image of
        several); zero where there is no information.
    - `inside`: which part of each value counts: 1 near the atoms, falling smoothly to 0 at the faces.
    - `deviation`: root of that factor; None to take it from what a fit leaves.
    - `known`: whether it was given.
    - `sampled`: frequencies (1/Å) and the part of each that overlaps are summed over; None if they are not
        known in closed form.
    - `informative`: part of the frequencies that tell something; those of any weight if None.
    """

    weights: Float[Leaf, "..."]
    inside: Float[Leaf, "..."]
    deviation: Float[Leaf, ""] | None
    known: bool = eqx.field(static=True)
    sampled: tuple[Float[Leaf, "k d"], Float[Leaf, " k"]] | None
    informative: Float[Leaf, ""] | None
    atoms_at_a_time: ClassVar[int] = 32

    def __init__(
        self,
        weights: Any,
        inside: Any,
        deviation: Any = None,
        known: bool | None = None,
        sampled: tuple[Any, Any] | None = None,
        informative: Any = None,
    ) -> None:
        self.weights, self.inside = np.asarray(weights, np.float32), np.asarray(inside, np.float32)
        self.deviation = None if deviation is None else np.asarray(deviation, np.float32)
        self.known = deviation is not None if known is None else known
        self.sampled, self.informative = sampled, informative

    @property
    def _precision(self) -> Any:
        return 1.0 if self.deviation is None else 1 / jnp.asarray(self.deviation) ** 2

    @property
    def of_images(self) -> bool:
        return np.ndim(self.weights) == 2

    def about(
        self, predicted: Float[Array, "..."], data: Float[Leaf, "..."], counted: Leaf
    ) -> Float[Array, "..."]:
        return (jnp.asarray(self.inside) * jnp.asarray(counted)) ** 2 * self._precision

    @property
    def settled(self) -> bool:
        return self.known

    def overlap(self) -> Overlap | None:
        if self.sampled is None:
            return None
        frequencies, parts = self.sampled
        single = partial(weighted_derivatives, frequencies=frequencies, parts=parts)
        return partial(times, single, self._precision)

    def sized(self, variance: float) -> "SpectralNoise":
        return self._of(np.sqrt(variance), True)

    def independent(self, counted: Leaf) -> float:
        told = np.asarray(self.weights) > 0 if self.informative is None else np.asarray(self.informative)
        return float(np.mean(told)) * float(np.sum((np.asarray(self.inside) * np.asarray(counted)) ** 2))

    def _of(self, deviation: Any, known: bool) -> "SpectralNoise":
        return SpectralNoise(self.weights, self.inside, deviation, known, self.sampled, self.informative)

    def negative_log_likelihood(
        self, predicted: Float[Array, "..."], data: Float[Leaf, "..."], counted: Leaf
    ) -> Float[Array, ""]:
        residual = jnp.asarray(data) - predicted
        return 0.5 * jnp.sum(residual * self.weighted(residual, predicted, data, counted))

    def weighted(
        self, field: Float[Array, "..."], predicted: Float[Array, "..."], data: Leaf, counted: Leaf
    ) -> Float[Array, "..."]:
        inside = jnp.asarray(self.inside) * jnp.asarray(counted)
        axes = tuple(range(-np.ndim(self.weights), 0))
        of_field = jnp.asarray(self.weights) * jnp.fft.rfftn(inside * field, axes=axes)
        filtered = jnp.fft.irfftn(of_field, s=[field.shape[axis] for axis in axes], axes=axes)
        return inside * filtered * self._precision

    def adapted(
        self, predicted: Float[np.ndarray, "..."], data: Leaf, counted: Leaf, free: float
    ) -> "SpectralNoise":
        if self.known:
            return self
        residual = np.asarray(data, np.float64) - predicted
        alone = self._of(None, False)
        squares = 2 * float(alone.negative_log_likelihood(jnp.zeros_like(residual), residual, counted))
        return self._of(np.sqrt(squares / max(self.independent(counted) - free, 1)), False)
