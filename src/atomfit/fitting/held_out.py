"""A part of a map that a fit has not seen: a map and its atoms in, how well they foretell that part out.

More numbers always describe more of what they were fitted to. Whether that is the particle is asked of a
part of the map that was left out: what a value costs there, in what it costs where it was seen, as of the
free R factor (Brünger 1992). It is more than one even if all is right: what noise has done to the atoms
lowers the one and raises the other. By how much follows from the atoms' covariances C (as Tickle, Laskowski
& Moss 1998 have it for R factors):

    Σ (map - model)² = σ² (m ± Σ_i tr C_i F_i)

m being the values of a kind, F_i what these tell of atom i, and the sign that of those not seen. What an
atom shares with its neighbours is left out of it. Which atoms there are was decided with the whole map, and
is not asked again.

Where voxels err apart from each other some blocks of them are left out. That sum is linear in the atoms'
numbers, so blocks are small: a fit without most of an atom would not be. Where frequencies have weights,
neighbouring voxels tell of each other, and a hole would have all frequencies; there what is independent are
frequencies, and blocks of these are left out (`held_frequencies`).
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.fitting.settings import MapSettings
from atomfit.gaussians.fitted import region_correlation
from atomfit.gaussians.pointwise import information_blocks
from atomfit.inference.observation import blocks
from atomfit.noise.likelihood import AbstractLoss
from atomfit.optimisation.ended import Ended
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.region import region_mask

#: Voxels that are compared are so near to an atom, in its standard deviations: others tell little of atoms.
_WIDTHS = 2.5
#: Edge of blocks, in standard deviations of an atom: none loses most of what tells its shape.
_EDGE = 1.2
#: Fewer blocks say nothing of how they scatter.
_FEWEST = 3


@dataclass(frozen=True)
class HeldOut:
    """How well a fit tells what it has not seen.

    **Fields:**

    - `kind`: of what was held out: "voxels" around atoms, or "frequencies" of their band.
    - `blocks`, `around`: how many blocks of these were held out, and of how many.
    - `correlation_fitted`, `correlation_held`: of model and map, over what was fitted and what was not.
    - `ratio`, `error`: what a value costs that was held out in what one does that was fitted (for Gaussian
        noise, squares of what is left), and its standard uncertainty, from how blocks differ.
    - `expected`: that ratio if the model is right and what it leaves is noise.
    - `reason`: why the fit ended; one that was interrupted has no figures.
    """

    kind: str
    blocks: int
    around: int
    correlation_fitted: float
    correlation_held: float
    ratio: float
    error: float
    expected: float
    reason: Ended

    @classmethod
    def interrupted(cls, kind: str, count: int, around: int) -> "HeldOut":
        """Of a fit that has not ended."""
        unknown = float("nan")
        return cls(
            kind, count, around, unknown, unknown, unknown, unknown, unknown, reason=Ended.INTERRUPTED
        )


def judge_by_voxels(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    settings: MapSettings,
    part: float,
    seed: int = 0,
) -> HeldOut:
    """Fit atoms without some of the blocks of voxels around them, and compare the model with these.

    **Arguments:** those of `fit_jointly`, and

    - `part`: which part of the blocks is held out, between 0 and 1; at least three are.
    - `seed`: of the choice.
    """
    width, grid = float(np.sqrt(mean_atom.u)), density.grid
    groups = blocks(grid.shape, max(round(_EDGE * width / float(np.mean(grid.spacing))), 1))
    near = density.measured(region_mask(grid, positions, _WIDTHS * width))
    chosen, around = chosen_blocks(groups[near], part, seed)
    held = np.isin(groups, chosen)
    fit = fit_jointly(density, positions, mean_atom, element, settings, held_out=held)
    if fit.reason == Ended.INTERRUPTED:
        return HeldOut.interrupted("voxels", len(chosen), around)
    model, seen, unseen = fit.density(grid), near & ~held, near & held
    costs, strength = _costs(density, model, near, seen, fit, settings.likelihood, mean_atom.height)
    misfit = float(np.mean(costs[seen], dtype=np.float64))
    mean, error = mean_of_blocks(costs[unseen], np.ones(int(unseen.sum())), groups[unseen])
    own, follow = np.arange(len(positions))[:, None], 0.0
    for which in (seen, unseen):
        told = information_blocks(fit.fitted, own, np.where(which, strength, 0.0), grid)[:, 0]
        follow += 0.5 * followed(fit, told) / int(which.sum())
    return HeldOut(
        "voxels",
        len(chosen),
        around,
        region_correlation(density, model, seen),
        region_correlation(density, model, unseen),
        mean / misfit,
        error / misfit,
        1 + follow / misfit,
        fit.reason,
    )


def chosen_blocks(
    names: Int[np.ndarray, " k"], part: float, seed: int
) -> tuple[Int[np.ndarray, " b"], int]:
    """Names of the blocks that are held out, and how many there are.

    **Arguments:**

    - `names`: of each value's block.
    - `part`, `seed`: which part of the blocks, and of the choice.
    """
    unique = np.unique(names)
    count = max(min(max(round(part * len(unique)), _FEWEST), len(unique) - _FEWEST), 1)
    return np.random.default_rng(seed).choice(unique, count, replace=False), len(unique)


def mean_of_blocks(
    costs: Float[np.ndarray, " k"], shares: Float[np.ndarray, " k"], groups: Int[np.ndarray, " k"]
) -> tuple[float, float]:
    """What a value costs on average, and the standard uncertainty of that, from how blocks differ.

    **Arguments:**

    - `costs`: of values.
    - `shares`: which part of each value counts, in its cost as well.
    - `groups`: the block of each.
    """
    _, members = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(members, costs), np.bincount(members, shares)
    mean = float(sums.sum() / counts.sum())
    squares = float(np.sum((sums - mean * counts) ** 2)) * len(sums) / max(len(sums) - 1, 1)
    return mean, squares**0.5 / float(counts.sum())


def followed(fit: JointFit, told: Float[np.ndarray, "n q q"]) -> float:
    """Σ tr C_i F_i, over atoms whose numbers are known.

    **Arguments:**

    - `fit`: whose covariances C are.
    - `told`: F of each atom, in natural parameters (map units).
    """
    return float(np.einsum("nij,nji->", np.nan_to_num(fit.uncertainty.covariances), np.nan_to_num(told)))


def _costs(
    density: DensityMap,
    model: Float[np.ndarray, "..."],
    near: Bool[np.ndarray, "..."],
    seen: Bool[np.ndarray, "..."],
    fit: JointFit,
    loss: AbstractLoss | None,
    unit: float,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """What each voxel costs, and by how much a squared change of the model's density changes twice that.

    **Arguments:**

    - `density`, `model`: the map, and what a fit makes of it.
    - `near`, `seen`: voxels around atoms, and those of them that it has seen.
    - `fit`, `loss`: the fit, and what a difference costs; half its square if None.
    - `unit`: of the loss (map units).
    """
    if loss is None:
        return 0.5 * (density.values - model).astype(np.float64) ** 2, np.ones(model.shape)
    values, drawn = density.values / np.float32(unit), model / np.float32(unit)
    fitted, of_all = ((drawn[x].astype(np.float64), values[x].astype(np.float64)) for x in (seen, near))
    loss = loss.adapted(fitted[1] - fitted[0], fit.parameters)
    strength = np.zeros(values.shape)
    # A precision is what the curvature is expected to be, by the dispersion.
    dispersion = loss.dispersion(*of_all, fit.parameters, unit)
    strength[near] = dispersion * loss.precision(*of_all, fit.parameters, unit) / unit**2
    return np.asarray(loss.value(jnp.asarray(drawn), values), np.float64), strength
