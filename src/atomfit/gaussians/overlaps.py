"""How much two atoms' parameters have to do with each other: integrals of products of Gaussians.

Every derivative of a Gaussian atom is a spatial derivative of it. Moving it is a gradient; widening it is
half a second derivative, because a Gaussian solves the heat equation in its own variance:

    ∂g/∂x_k = -∂_k g,    ∂g/∂U_kl = ½ ∂_k ∂_l g,    ∂g/∂A = g / A.

And the integral of the product of two Gaussians is a Gaussian of their distance Δ = x_i - x_j and of the
sum of their variances S = U_i + U_j. So all the 10 x 10 numbers in which two atoms meet in the normal
equations of least squares are derivatives, up to the fourth, of one function of Δ:

    ∫ ∂^a g_i ∂^b g_j dr  =  ± A_i A_j ∂^(a+b) N(Δ; S)

There are 35 of them in three dimensions, and each follows from those below it:

    ∂_k ∂^γ N = -y_k ∂^γ N - Σ_{m in γ} P_km ∂^(γ-m) N,    P = S⁻¹,  y = P Δ

(the recurrence of Hermite polynomials). No voxel is touched, so the matrix costs less than the gradient.
The same lines serve jax arrays while a fit runs and numpy arrays, in float64, when its uncertainty is
asked for.
"""

from functools import cache
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float

from atomfit.rendering.gaussians import inverse_and_determinant
from atomfit.structure.atoms import Leaf

#: Axes along which a Gaussian is differentiated, in order; () is the Gaussian itself.
Axes = tuple[int, ...]


@cache
def natural_parameters(d: int) -> tuple[Axes, ...]:
    """Axes of the derivative that each parameter of an atom stands for.

    The order is position, displacements (diagonal first, then the upper triangle row by row), amplitude.
    """
    positions = [(k,) for k in range(d)]
    widths = [(k, k) for k in range(d)]
    shears = [(k, m) for k in range(d) for m in range(k + 1, d)]
    return (*positions, *widths, *shears, ())


@cache
def multi_indices(d: int, order: int = 4) -> tuple[Axes, ...]:
    """All derivatives up to an order, by the axes that they are taken along, in sorted order."""
    return tuple(axes for k in range(order + 1) for axes in combinations_with_replacement(range(d), k))


def derivatives_of_gaussian(
    apart: Float[Leaf, "... d"], variances: Float[Leaf, "... d d"], order: int = 4
) -> Float[Leaf, "... m"]:
    """Derivatives of N(Δ; S), up to the fourth or another order, as `multi_indices` has them.

    **Arguments:**

    - `apart`: Δ (Å).
    - `variances`: S (Å²).
    """
    d, xp = apart.shape[-1], apart.__array_namespace__()
    flat = variances.reshape(-1, d, d)
    inverse, determinant = inverse_and_determinant(flat)
    p = inverse.reshape(variances.shape)
    y = xp.sum(p * apart[..., None, :], axis=-1)
    norm = (2 * np.pi) ** (d / 2) * xp.sqrt(determinant).reshape(apart.shape[:-1])
    known: dict[Axes, Leaf] = {(): xp.exp(-0.5 * xp.sum(y * apart, axis=-1)) / norm}
    for axes in multi_indices(d, order)[1:]:
        k, rest = axes[0], axes[1:]
        total = -y[..., k] * known[rest]
        for place, m in enumerate(rest):
            total = total - p[..., k, m] * known[rest[:place] + rest[place + 1 :]]
        known[axes] = total
    return xp.stack([known[axes] for axes in multi_indices(d, order)], axis=-1)


def weighted_derivatives(
    apart: Float[Leaf, "... d"],
    variances: Float[Leaf, "... d d"],
    frequencies: Float[Leaf, "k d"],
    parts: Float[Leaf, " k"],
    order: int = 4,
) -> Float[Leaf, "... m"]:
    """The same derivatives where every spatial frequency has a weight:

        ∂^γ ∫ w(k) exp(2πi k·Δ - 2π² kᵀ S k) dk,

    as a sum over frequencies k with parts w(k) dk, of each of which -k is meant as well.

    **Arguments:**

    - `apart`, `variances`: Δ (Å) and S (Å²).
    - `frequencies`, `parts`: k (1/Å) and w(k) dk.
    """
    d, xp = apart.shape[-1], apart.__array_namespace__()
    row, column = np.triu_indices(d, 1)
    pairs = xp.concat([frequencies**2, 2 * frequencies[:, row] * frequencies[:, column]], axis=1)
    axis = np.arange(d)
    elements = xp.concat([variances[..., axis, axis], variances[..., row, column]], axis=-1)
    strength = 2 * xp.exp(-2 * np.pi**2 * (elements @ pairs.T))
    phase = 2 * np.pi * (apart @ frequencies.T)
    # Even derivatives are sums of cosines, odd ones of sines.
    even, odd = strength * xp.cos(phase), strength * xp.sin(phase)
    orders = multi_indices(d, order)
    columns = [parts * xp.prod(2 * np.pi * frequencies[:, np.array(axes, int)], axis=1) for axes in orders]
    moments = xp.stack(columns, axis=1)
    signs = np.array([(1, -1, -1, 1)[len(axes) % 4] for axes in orders], np.float32)
    is_odd = np.array([len(axes) % 2 == 1 for axes in orders])
    return xp.where(is_odd, odd @ moments, even @ moments) * signs


def natural_blocks(
    derivatives: Float[Leaf, "... m"],
    amplitudes: Float[Leaf, "..."],
    other_amplitudes: Float[Leaf, "..."],
    d: int,
) -> Float[Leaf, "... p p"]:
    """Inner products of what two atoms' parameters do to them, for each pair.

    **Arguments:**

    - `derivatives`: of the overlap, in the order of `multi_indices`.
    - `amplitudes`, `other_amplitudes`: of the pair's atoms.
    - `d`: dimensions.
    """
    parameters, places = natural_parameters(d), {axes: i for i, axes in enumerate(multi_indices(d))}
    which = np.array([[places[tuple(sorted(a + b))] for b in parameters] for a in parameters])
    factors, turned = _factors(d)
    return (
        derivatives[..., which]
        * (factors[:, None] * turned)
        * _strengths(amplitudes, len(parameters))[..., :, None]
        * _strengths(other_amplitudes, len(parameters))[..., None, :]
    )


def mean_curvature(
    covariances: Float[np.ndarray, "n q q"], amplitudes: Float[np.ndarray, " n"], d: int
) -> Float[np.ndarray, "n m"]:
    """½ Σ C_kl ∂_k ∂_l of each atom, as a sum of derivatives of a Gaussian in the order of `multi_indices`.

    **Arguments:**

    - `covariances`: C, of each atom's natural parameters.
    - `amplitudes`: of the atoms.
    - `d`: dimensions.
    """
    parameters, places = natural_parameters(d), {axes: i for i, axes in enumerate(multi_indices(d))}
    _, turned = _factors(d)
    q = len(parameters)
    onto = np.zeros((q, q, len(places)))
    for i, a in enumerate(parameters):
        for k, b in enumerate(parameters):
            onto[i, k, places[tuple(sorted(a + b))]] = 0.5 * turned[i] * turned[k]
    # The density is linear in its amplitude, which the derivatives by the others are proportional to.
    last = np.arange(q) == q - 1
    onto[-1, -1] = 0.0
    once = last[:, None] | last
    strengths = np.where(once, 1.0, amplitudes[:, None, None])
    return (covariances * strengths).reshape(len(covariances), q * q) @ onto.reshape(q * q, -1)


def projected(
    curvature: Float[np.ndarray, "n m k"],
    derivatives: Float[np.ndarray, "n m l"],
    amplitudes: Float[np.ndarray, " n"],
    d: int,
) -> Float[np.ndarray, "n q"]:
    """What the mean curvature of neighbours shares with each atom's parameters.

    **Arguments:**

    - `curvature`: of each atom's neighbours, from `mean_curvature`.
    - `derivatives`: of the overlaps, up to the sixth.
    - `amplitudes`: of the atoms.
    - `d`: dimensions.
    """
    places = {axes: i for i, axes in enumerate(multi_indices(d, 6))}
    factors, _ = _factors(d)
    shares = []
    for factor, a in zip(factors, natural_parameters(d), strict=True):
        which = np.array([places[tuple(sorted(a + b))] for b in multi_indices(d)])
        shares.append(factor * np.einsum("nmk,nmk->n", curvature, derivatives[..., which]))
    return np.stack(shares, axis=1) * _strengths(amplitudes, len(shares))


def _factors(d: int) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """By what the derivative of an overlap counts for each parameter: of one atom, and of the other."""
    # A second derivative along one axis counts half; moving the other atom turns Δ round.
    parameters = natural_parameters(d)
    factors = np.array([0.5 if len(set(a)) < len(a) else 1.0 for a in parameters], np.float32)
    return factors, factors * np.array([-1.0 if len(a) == 1 else 1.0 for a in parameters], np.float32)


def _strengths(amplitudes: Float[Leaf, "..."], count: int) -> Float[Leaf, "... p"]:
    """The amplitude for each parameter but the last, which is the amplitude itself."""
    xp = amplitudes.__array_namespace__()
    last = np.arange(count) == count - 1
    return xp.where(last, 1.0, amplitudes[..., None])
