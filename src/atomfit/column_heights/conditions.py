"""How likely what holds for a whole image is beforehand in, lenses, beam and detector out.

All conditions are one vector, in widths of a prior from its middle: 0 is what a corrected microscope and
a perfect crystal have. Priors are Student's: narrow, but with tails, so that a blur or a displacement
factor that an image shows is believed, and one that it hardly tells is not. The middles of C3, C5 and the
focal spread are the user's, the defocus' is what is tried. Those that cannot be negative are kept from it
where a fit ends (`bounded`).
"""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atomfit.column_heights.found import Condition
from atomfit.waves import Aberrations, CoherentSum, Detector, Microscope
from atomfit.waves.slices import Leaf

#: Å in the units of conditions.
_NM, _UM, _MM = 10.0, 1e4, 1e7
#: Of the beam's direction (rad); it hardly matters.
_CONVERGENCE = 1.5e-4


@dataclass(frozen=True)
class Prior:
    """Of one condition.

    **Fields:**

    - `name`, `unit`: as of `Condition`.
    - `middle`, `width`: of Student's law.
    - `least`: that it can be.
    """

    name: str
    unit: str
    middle: float
    width: float
    least: float = -np.inf


def priors(
    elements: tuple[str, ...],
    b_factors: dict[str, float],
    c3: float = -9.0,
    c5: float = 5.0,
    focal_spread: float = 3.2,
) -> tuple[Prior, ...]:
    """Of all conditions.

    **Arguments:**

    - `elements`: of the crystal, in the order of its slices.
    - `b_factors`: B of each that is expected (Å²).
    - `c3`, `c5`: µm, mm.
    - `focal_spread`: nm.
    """
    return (
        Prior("defocus", "nm", 0.0, 10.0),
        Prior("a1_x", "nm", 0.0, 1.0),
        Prior("a1_y", "nm", 0.0, 1.0),
        Prior("b2_x", "nm", 0.0, 25.0),
        Prior("b2_y", "nm", 0.0, 25.0),
        Prior("a2_x", "nm", 0.0, 25.0),
        Prior("a2_y", "nm", 0.0, 25.0),
        Prior("c3", "µm", c3, 0.5),
        Prior("c5", "mm", c5, 1.0),
        Prior("focal_spread", "nm", focal_spread, 0.8, 0.5),
        Prior("blur_variance", "Å²", 0.0, 0.01, 0.0),
        Prior("mistilt_x", "mrad", 0.0, 3.0),
        Prior("mistilt_y", "mrad", 0.0, 3.0),
        *(Prior(f"b_{one}", "Å²", b_factors.get(one, 0.5), 0.1, 0.0) for one in elements),
        Prior("absorption", "", 0.0, 0.01, 0.0),
        Prior("background", "of the dose", 0.0, 0.01, 0.0),
        Prior("scale", "of the mean", 1.0, 0.02, 0.1),
    )


#: Degrees of freedom of the priors: they are Student's, for what is far from usual is not as rare as that.
FREEDOM = 2.0
#: As long as heights may be far from right, conditions are not to make up for it.
STIFF = 30.0


def log_prior(numbers: Float[Leaf, " k"]) -> float:
    """Log probability of the conditions' numbers, but for a constant.

    **Arguments:**

    - `numbers`: in widths.
    """
    return float(-0.5 * (FREEDOM + 1) * np.sum(np.log1p(np.asarray(numbers, np.float64) ** 2 / FREEDOM)))


def prior_precision(numbers: Float[Leaf, " k"], freedom: float = FREEDOM) -> Float[np.ndarray, " k"]:
    """Of the Gaussians about the middles that have the priors' slopes there.

    **Arguments:**

    - `numbers`: in widths.
    - `freedom`: degrees of freedom.
    """
    return (freedom + 1) / (freedom + np.asarray(numbers, np.float64) ** 2)


class Conditions(eqx.Module):
    """What holds for a whole image, and what was likely.

    **Fields:**

    - `numbers`: in widths of the priors from their middles.
    - `priors`: of them.
    - `voltage`: kV.
    - `dose`: electrons per Å² of the image's mean.
    """

    numbers: Float[Leaf, " k"]
    priors: tuple[Prior, ...] = eqx.field(static=True)
    voltage: float = eqx.field(static=True)
    dose: Float[Leaf, ""] | float

    def __getitem__(self, name: str) -> Float[Array, ""]:
        """Its value, in its unit."""
        k = self.index(name)
        prior = self.priors[k]
        return jnp.asarray(prior.middle + prior.width * self.numbers[k])

    def index(self, name: str) -> int:
        """Where it is in the vector."""
        return next(k for k, one in enumerate(self.priors) if one.name == name)

    def pair(self, name: str) -> Float[Array, " 2"]:
        """Both parts of a complex aberration, or of a tilt."""
        return jnp.stack([self[f"{name}_x"], self[f"{name}_y"]])

    def changed(self, name: str, value: float) -> "Conditions":
        """The same with another value.

        **Arguments:**

        - `name`, `value`: of the condition.
        """
        k = self.index(name)
        numbers = np.array(self.numbers, np.float32)
        numbers[k] = (value - self.priors[k].middle) / self.priors[k].width
        return eqx.tree_at(lambda c: c.numbers, self, numbers)

    def bounded(self, numbers: Float[np.ndarray, " k"]) -> "Conditions":
        """With other numbers, none of which is less than it can be."""
        least = np.array([(p.least - p.middle) / p.width for p in self.priors])
        kept = np.maximum(np.asarray(numbers, np.float64), least).astype(np.float32)
        return eqx.tree_at(lambda c: c.numbers, self, kept)

    def b_factors(self, elements: tuple[str, ...]) -> Float[Array, " e"]:
        """B of elements (Å²)."""
        return jnp.stack([self[f"b_{one}"] for one in elements])

    def microscope(self, focuses: int, oversampling: float) -> Microscope:
        """Lenses and detector.

        **Arguments:**

        - `focuses`: of the coherent sum.
        - `oversampling`: of intensities.
        """
        lens = Aberrations(
            _NM * self["defocus"],
            _NM * self.pair("a1"),
            _NM * self.pair("b2"),
            _NM * self.pair("a2"),
            _UM * self["c3"],
            _MM * self["c5"],
        )
        coherence = CoherentSum(_NM * self["focal_spread"], _CONVERGENCE, focuses)
        # Its root has no derivative at 0.
        blur = jnp.sqrt(jnp.maximum(self["blur_variance"], 0.0) + 1e-4)
        detector = Detector(self.dose * self["scale"], 1.0, 0.0, blur)
        return Microscope(lens, coherence, detector, oversampling)

    def told(self, esds: Float[np.ndarray, " k"]) -> tuple[Condition, ...]:
        """As they are reported.

        **Arguments:**

        - `esds`: standard uncertainties of the numbers.
        """
        return tuple(
            Condition(p.name, p.unit, p.middle + p.width * float(x), p.width * float(e), p.middle, p.width)
            for p, x, e in zip(self.priors, self.numbers, esds, strict=True)
        )


def first_conditions(of: tuple[Prior, ...], voltage: float, dose: float, **values: float) -> Conditions:
    """At the priors' middles.

    **Arguments:**

    - `of`: the priors.
    - `voltage`, `dose`: kV, and electrons per Å².
    - `values`: of some, which are that instead.
    """
    made = Conditions(np.zeros(len(of), np.float32), of, voltage, np.asarray(dose, np.float32))
    for name, value in values.items():
        made = made.changed(name, value)
    return made
