"""What a tilt series is made of: atoms, a probe, and a few numbers of each view.

    image_v(r) = gain_v Σ_i A_i Σ_k c_k(w_iv) N(r - r_iv; P R_v U_i R_vᵀ Pᵀ + s_k) + background_v

`r_iv` is where atom i is seen in view v, shifted by the view's drift, and `w_iv` its depth. A is the
integral of an atom's image (image units x Å²) for a probe of integral one. An atom that is its element's
form factor at rest (`gaussians.scatterers`) is several such Gaussians at one place.

`Drawn` is what all views share and `EachView` what each has for itself: the renderer and its derivatives
go through the series view by view, and memory does not grow with their number.
"""

from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial.transform import Rotation

from atomfit.gaussians.scatterers import AbstractScattering, OneGaussian
from atomfit.gaussians.scattering_atoms import ScatteringAtoms
from atomfit.projection.probe import Probe
from atomfit.projection.views import Views
from atomfit.structure.atoms import Atoms, Leaf
from atomfit.structure.scattering import GaussianMixture

_Tree = TypeVar("_Tree", bound=eqx.Module)


class Drawn(NamedTuple):
    """What all views share: Gaussians, one an atom or several.

    **Fields:**

    - `positions`: from the particle's centre (Å).
    - `spreads`: variances (Å²) of round ones, or variance matrices.
    - `amplitudes`: integrals of their images.
    - `probe`: what a point looks like.
    """

    positions: Float[Array, "n 3"]
    spreads: Float[Array, " n"] | Float[Array, "n 3 3"]
    amplitudes: Float[Array, " n"]
    probe: Probe


class EachView(NamedTuple):
    """What each view has for itself, one row a view (of a single view, without the first axis).

    **Fields:**

    - `turns`: rotation after the nominal one, a rotation vector in the view's frame (radians).
    - `shifts`: of the image, along u and v (Å).
    - `gains`: factors on the atoms' amplitudes.
    - `backgrounds`: in image units.
    """

    turns: Float[Leaf, "*v 3"]
    shifts: Float[Leaf, "*v 2"]
    gains: Float[Leaf, "*v"]
    backgrounds: Float[Leaf, "*v"]

    @classmethod
    def as_given(cls, v: int) -> "EachView":
        """Of v views that are as they were given."""
        return cls(
            *(
                np.full((v, *end), value, np.float32)
                for end, value in (((3,), 0), ((2,), 0), ((), 1), ((), 0))
            )
        )


class TiltModel(eqx.Module):
    """Atoms, probe and views.

    **Fields:**

    - `atoms`: positions from the particle's centre; amplitudes are integrals of images.
    - `probe`: what a point looks like, by its depth.
    - `views`: numbers of each view.
    - `scattering`: what atoms are at rest.
    """

    atoms: Atoms
    probe: Probe
    views: EachView
    scattering: AbstractScattering = eqx.field(default_factory=OneGaussian)

    @property
    def structure(self) -> ScatteringAtoms:
        """The atoms, which can draw themselves."""
        return ScatteringAtoms.of(self.atoms, self.scattering)

    def drawn(self) -> Drawn:
        """What all views share."""
        return Drawn(*self.structure.gaussians(), self.probe)


def refined_views(nominal: Views, each: EachView, pixel: float) -> Views:
    """Views with what was refined of them: rotations, and centres moved by the shifts.

    **Arguments:**

    - `nominal`: as they were given.
    - `each`: what was refined.
    - `pixel`: edge of a pixel (Å).
    """
    turns = Rotation.from_rotvec(np.asarray(each.turns)).as_matrix()
    return Views(turns @ nominal.rotations, nominal.centres + np.asarray(each.shifts) / pixel)


def typical_variance(atoms: Atoms) -> float:
    """Median of a third of the trace of the atoms' displacements (Å²)."""
    matrices = np.asarray(atoms.matrices(), np.float64)
    return float(np.median(np.trace(matrices, axis1=1, axis2=2))) / 3


def point(probe: Probe, variance: float = 0.0) -> GaussianMixture:
    """Image of a Gaussian of a variance (Å²) and of amplitude 1, at a typical depth."""
    table = np.asarray(probe.table, np.float64) + np.asarray(probe.profile, np.float64)
    return GaussianMixture(table.mean(axis=0), np.asarray(probe.variances, np.float64) + variance)


def spot(atoms: Atoms, probe: Probe, scattering: AbstractScattering) -> GaussianMixture:
    """Image of a typical atom of amplitude 1, at a typical depth: of several elements, their mean."""
    seen = point(probe, typical_variance(atoms))
    if not len(atoms):
        return seen
    shares, added = terms_at_rest(scattering, len(atoms))
    kinds, counts = np.unique(np.stack([shares, added]), axis=1, return_counts=True)
    weights, wider = (counts / len(atoms))[:, None] * kinds[0], kinds[1]
    return GaussianMixture(
        np.outer(seen.weights, weights).ravel(), np.add.outer(seen.variances, wider).ravel()
    )


def terms_at_rest(scattering: AbstractScattering, n: int) -> tuple[Float[Leaf, "n k"], Float[Leaf, "n k"]]:
    """Weights and variances (Å²) of the Gaussians that each of n atoms is at rest."""
    weights, matrices = scattering.terms(np.zeros((n, 1, 1), np.float32))
    return weights, matrices[..., 0, 0]


def turned(turn: Float[Array, " 3"], rotation: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """A rotation followed by a small one, given as a rotation vector (Rodrigues' formula)."""
    x, y, z = turn
    zero = jnp.zeros_like(x)
    cross = jnp.stack([jnp.stack([zero, -z, y]), jnp.stack([z, zero, -x]), jnp.stack([-y, x, zero])])
    square = jnp.sum(turn**2)
    # Series of sin(t)/t and (1 - cos t)/t², which have derivatives at zero; exact to 1e-7 below 30 degrees.
    first = 1 - square / 6 * (1 - square / 20 * (1 - square / 42))
    second = 0.5 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56)))
    return rotation + (first * cross + second * cross @ cross) @ rotation


def single(tree: _Tree) -> _Tree:
    """Real numbers as the renderer has them: float32."""
    return jax.tree.map(
        lambda x: np.asarray(x, np.float32) if np.issubdtype(np.asarray(x).dtype, np.floating) else x, tree
    )
