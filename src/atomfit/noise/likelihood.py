"""What a difference between map and model costs, voxel by voxel, where noise is not Gaussian.

The Gaussian likelihood (`objective`) weighs all differences alike. Two kinds of data ask for another one.

*Counts* scatter by the square root of what is expected, so that the faint parts of an atom are known
better than its peak. `PoissonLoss` is their likelihood, m - v log m for a model m and a count v. Its slope
is (m - v) / m; below a small density `least` it goes on as (m - v) / least, which is right on average
whatever the model is, and defined where it is zero or negative (quasi-likelihood, Wedderburn 1974).

*Structure that the model cannot describe* (a neighbouring particle, a streak, a hot voxel) is no noise at
all. `StudentLoss` takes residuals to follow Student's t with four degrees of freedom (Lange, Little &
Taylor 1989): it costs little when there is none, and large differences lose their pull. Its scale
is that of the residual's median.

A loss is any final subclass of `AbstractLoss`, in units in which a typical peak is one. It is minus the
logarithm of the likelihood but for a factor, the `dispersion` (McCullagh & Nelder 1989, 9.2.4), as half a
squared difference is but for the noise's variance. Divided by it, losses add up with what is known
beforehand.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.structure.atoms import Leaf

#: Standard deviations in a median absolute deviation of Gaussian noise.
_PER_MEDIAN = 1.4826


class AbstractLoss(eqx.Module):
    """Negative logarithm of a voxel's likelihood, up to a constant and a factor."""

    @abc.abstractmethod
    def value(self, density: Float[Array, "..."], values: Float[Leaf, "..."]) -> Float[Array, "..."]:
        """Of each voxel; zero where model and map agree.

        **Arguments:**

        - `density`: the model's.
        - `values`: the map's.
        """

    @abc.abstractmethod
    def curvature(self, density: Float[Array, "..."], values: Float[Leaf, "..."]) -> Float[Array, "..."]:
        """What Gauss-Newton takes for the second derivative by the density; positive."""

    @abc.abstractmethod
    def dispersion(
        self, density: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], free: int, unit: float
    ) -> float:
        """By what the loss is to be divided to be minus the logarithm of the likelihood, on the host.

        That of a fit with as much curvature as its errors call for: E[slope²] / E[curvature].

        **Arguments:**

        - `density`, `values`: the model's and the map's, at the voxels that count.
        - `free`: how many numbers were fitted.
        - `unit`: in which density is measured (map units).
        """

    @abc.abstractmethod
    def precision(
        self, density: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], free: int, unit: float
    ) -> Float[np.ndarray, " k"]:
        """Inverse variance that each voxel's value has for the fit, on the host: curvature by dispersion.

        **Arguments:** as above.
        """

    @abc.abstractmethod
    def variances(
        self, density: Float[np.ndarray, " k"], unit: float, measured: float
    ) -> Float[np.ndarray, " k"]:
        """Variance of each voxel's noise, as far as it is known apart from the fit; NaN where it is not.

        **Arguments:**

        - `density`, `unit`: as above.
        - `measured`: the variance that was measured elsewhere; NaN if none was.
        """

    @abc.abstractmethod
    def adapted(self, residual: Float[np.ndarray, " k"], free: int) -> "AbstractLoss":
        """The loss with the scale of a residual (map minus model at voxels that count, on the host).

        Itself if there is nothing to change.
        """


class PoissonLoss(AbstractLoss):
    """Counts, times a gain.

    **Fields:**

    - `gain`: what one count adds to a voxel (map units); estimated from the residual if not known.
    - `least`: below this density the variance is taken to be constant.
    """

    gain: float | None = eqx.field(static=True, default=None)
    least: float = eqx.field(static=True, default=1e-3)

    def value(self, density: Float[Array, "..."], values: Float[Leaf, "..."]) -> Float[Array, "..."]:
        return self._integral(density, values) - self._integral(jnp.asarray(values), values)

    def _integral(self, density: Float[Array, "..."], values: Float[Leaf, "..."]) -> Float[Array, "..."]:
        """Of (t - v) / max(t, least) dt, up to a constant."""
        above = jnp.maximum(density, self.least)
        below = jnp.minimum(density, self.least)
        low = ((below - values) ** 2 - (self.least - values) ** 2) / (2 * self.least)
        return above - values * jnp.log(above) + low

    def curvature(self, density: Float[Array, "..."], values: Float[Leaf, "..."]) -> Float[Array, "..."]:
        return 1 / jnp.maximum(density, self.least)

    def dispersion(
        self, density: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], free: int, unit: float
    ) -> float:
        if self.gain is not None:
            return self.gain / unit
        # Pearson's statistic, which for any mean is one on average.
        squares = (values - density) ** 2 / np.maximum(density, self.least)
        return float(np.sum(squares)) / max(len(values) - free, 1)

    def precision(
        self, density: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], free: int, unit: float
    ) -> Float[np.ndarray, " k"]:
        return 1 / (self.dispersion(density, values, free, unit) * np.maximum(density, self.least))

    def variances(
        self, density: Float[np.ndarray, " k"], unit: float, measured: float
    ) -> Float[np.ndarray, " k"]:
        # Noise elsewhere is that of another density.
        gain = np.nan if self.gain is None else self.gain / unit
        return gain * np.maximum(density, self.least)

    def adapted(self, residual: Float[np.ndarray, " k"], free: int) -> "PoissonLoss":
        return self


class StudentLoss(AbstractLoss):
    """Student's t: ½ ν s² log(1 + r² / (ν s²)), which is ½ r² for small residuals.

    **Fields:**

    - `scale`: s, the standard deviation of ordinary residuals; at first so large that atoms which are not
        yet in their places still pull, and so small that what is brighter than an atom does not.
    - `freedom`: ν; the fewer, the less pull large residuals have.
    """

    scale: Float[Leaf, ""] = eqx.field(default_factory=lambda: np.asarray(0.3, np.float32))
    freedom: float = eqx.field(static=True, default=4.0)

    def value(self, density: Float[Array, "..."], values: Float[Leaf, "..."]) -> Float[Array, "..."]:
        square = self.freedom * jnp.asarray(self.scale) ** 2
        return 0.5 * square * jnp.log1p((values - density) ** 2 / square)

    def curvature(self, density: Float[Array, "..."], values: Float[Leaf, "..."]) -> Float[Array, "..."]:
        # Of the parabola that touches the loss and lies above it: every step descends.
        return 1 / (1 + (density - values) ** 2 / (self.freedom * jnp.asarray(self.scale) ** 2))

    def dispersion(
        self, density: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], free: int, unit: float
    ) -> float:
        slope, second = self._slopes(density, values)
        return float(np.sum(slope**2)) / max(len(values) - free, 1) / float(np.mean(second))

    def precision(
        self, density: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"], free: int, unit: float
    ) -> Float[np.ndarray, " k"]:
        # An M-estimator's variance is E[ψ²] / E[ψ']² (Huber 1964).
        second = float(np.mean(self._slopes(density, values)[1]))
        return np.full(len(values), second / self.dispersion(density, values, free, unit))

    def _slopes(
        self, density: Float[np.ndarray, " k"], values: Float[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """ψ and ψ': first and second derivatives of the loss."""
        residual = (values - density).astype(np.float64)
        u = residual**2 / (self.freedom * float(self.scale) ** 2)
        return residual / (1 + u), (1 - u) / (1 + u) ** 2

    def variances(
        self, density: Float[np.ndarray, " k"], unit: float, measured: float
    ) -> Float[np.ndarray, " k"]:
        return np.full(len(density), measured)

    def adapted(self, residual: Float[np.ndarray, " k"], free: int) -> "StudentLoss":
        kept = np.sqrt(len(residual) / max(len(residual) - free, 1))
        scale = _PER_MEDIAN * float(np.median(np.abs(residual - np.median(residual)))) * kept
        if scale == 0 or abs(scale / float(self.scale) - 1) < 0.02:
            return self
        return StudentLoss(np.asarray(scale, np.float32), self.freedom)
