"""A problem put together: region, start, bounds, windows, noise."""

from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Int

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.objective import AbstractMisfit, LeastSquares, Pointwise, SpectralLeastSquares
from atomfit.fitting.parameters import Bounds, parametrise
from atomfit.fitting.posterior import Posterior, Term
from atomfit.fitting.prior import no_prior
from atomfit.fitting.problem import JointProblem, reach_of, windows_around
from atomfit.fitting.start import blur_around, blur_of, filled, starting_model
from atomfit.gaussians.neighbours import neighbour_table
from atomfit.gaussians.overlaps import natural_parameters
from atomfit.gaussians.scatterers import AbstractScattering, FormFactors, OneGaussian
from atomfit.noise.likelihood import AbstractLoss
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.observation.background import AbstractBackground
from atomfit.options.build import Background, Displacements, Scattering
from atomfit.rendering import bucket
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.region import COLOURED_MARGIN, region_around, tapered
from atomfit.support.errors import InputError

#: Voxels count out to this many of the mean atom's standard deviations.
REGION_WIDTHS = 4.5
#: Windows whose shortest edge is this part of the longest, or more, are cubes.
NEARLY_ROUND = 0.9
#: Room for atoms to widen before the windows are drawn anew, as a factor.
WINDOW_ROOM = 1.3
#: Largest move of an atom, in neighbour distances.
MOVE_PER_DISTANCE = 0.22
#: Largest standard deviation of an atom along an axis, in neighbour distances.
WIDEST_PER_DISTANCE = 0.45


def pose(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    *,
    numbers: Int[np.ndarray, " n"] | None = None,
    displacements: Displacements = "anisotropic",
    background: Background | AbstractBackground = "constant",
    scattering: Scattering | AbstractScattering = "gaussian",
    frozen: Collection[str] = (),
    terms: tuple[Term, ...] = (),
    noise: NoiseSpectrum | None = None,
    likelihood: AbstractLoss | None = None,
    region_widths: float = REGION_WIDTHS,
    devices: int = 1,
) -> JointProblem:
    """Put a problem together.

    **Arguments:** those of `fit_jointly`, and

    - `region_widths`: how far from an atom voxels count, in widths of the mean atom.
    """
    coloured = likelihood is None and noise is not None and not noise.white
    radius = region_widths * float(np.sqrt(mean_atom.u))
    region = region_around(density, positions, radius + (COLOURED_MARGIN if coloured else 0), coloured)
    numbers = np.full(len(positions), element.number) if numbers is None else numbers
    scatterers, blur = _scatterers(scattering, mean_atom, element, numbers)
    start = starting_model(
        density, positions, mean_atom, blur, numbers, scatterers, displacements, background, region
    )
    distance, spacing = element.neighbour_distance, density.grid.spacing
    bounds = Bounds(move=MOVE_PER_DISTANCE * distance, widest=WIDEST_PER_DISTANCE * distance)
    n, reach = len(positions), WINDOW_ROOM * reach_of(start, len(positions))
    # Windows of nearly round atoms are cubes, so that similar maps share compiled code.
    reach = np.where(reach > NEARLY_ROUND * np.max(reach), np.max(reach), reach)
    values = np.asarray(region.values / mean_atom.height, np.float32)
    edges = spacing.astype(np.float32)
    plan = windows_around(start, region.grid, reach, devices)
    data: AbstractMisfit
    if likelihood is not None:
        data = Pointwise(values=values, weights=region.mask, loss=likelihood, spacing=edges, plan=plan)
    elif noise is not None and coloured:
        frequencies, parts, _ = (_padded(x.astype(np.float32)) for x in noise.sampled(mean_atom.u))
        weights = noise.on(region.values.shape)
        data = SpectralLeastSquares(
            values=values,
            weights=weights,
            inside=tapered(region, positions, radius),
            frequencies=frequencies,
            parts=parts,
            spacing=edges,
            plan=plan,
        )
    else:
        data = LeastSquares(values=values, weights=region.mask, spacing=edges, plan=plan)
    posterior = Posterior(
        parametrise(start, spacing, region.mask, bounds, frozenset(frozen)),
        data,
        no_prior(len(start.atoms), len(natural_parameters(start.atoms.ndim))),
        terms,
        neighbour_table(positions, mean_atom.u, len(start.atoms)),
    )
    informative = noise.information if noise is not None and coloured else 1.0
    return JointProblem(region, mean_atom.height, posterior, n, informative, reach)


def _scatterers(
    scattering: Scattering | AbstractScattering,
    mean_atom: MeanAtom,
    element: Element,
    numbers: Int[np.ndarray, " n"],
) -> tuple[AbstractScattering, float]:
    """Atoms at rest, padding included, and what widens them to the mean atom (Å²)."""
    n = len(numbers)
    if isinstance(scattering, AbstractScattering):
        shapes = np.tile(np.eye(len(mean_atom.matrix)), (n, 1, 1))
        try:
            fits = len(scattering.terms(shapes)[0]) == n
        except (ValueError, TypeError, IndexError):
            fits = False
        if not fits:
            raise InputError(f"scattering is not that of the {n} atoms", "give one for each", "scattering")
        return scattering[filled(np.arange(n))], blur_around(mean_atom, scattering[np.arange(1)])
    match scattering:
        case "gaussian":
            return OneGaussian(), mean_atom.u
        case "form-factor":
            blur = blur_of(mean_atom, element)
            return FormFactors.of(filled(numbers), blur), blur
    raise InputError(
        f"there is no scattering {scattering!r}",
        "give 'gaussian', 'form-factor' or an AbstractScattering of the atoms",
        "scattering",
    )


def _padded(x: Float[np.ndarray, "k *d"]) -> Float[np.ndarray, "size *d"]:
    """Zeros up to the next bucket; frequencies without weight, so that similar maps share compiled code."""
    return np.pad(x, [(0, bucket(len(x)) - len(x)), *[(0, 0)] * (x.ndim - 1)])
