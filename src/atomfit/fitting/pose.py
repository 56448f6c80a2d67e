"""A problem put together: region, start, bounds, windows, noise."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.limits import LIMITS
from atomfit.fitting.problem import JointProblem, WeightedTerm, about_diagonal, no_prior
from atomfit.fitting.settings import MapSettings
from atomfit.fitting.start import blur_around, blur_of, filled, starting_model
from atomfit.gaussians.bounded import BoundedAtoms, Bounds, steps_of
from atomfit.gaussians.scatterers import AbstractScattering, FormFactors, OneGaussian
from atomfit.inference.coloured import SpectralNoise
from atomfit.inference.noise import AbstractNoise, LossNoise, WhiteNoise
from atomfit.inference.parameters import free_leaves
from atomfit.inference.parameters import frozen as frozen_part
from atomfit.inference.priors import as_priors
from atomfit.inference.problem import Problem
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.observation.background import AbstractBackground
from atomfit.observation.map import MapNuisance, MapObservation, sampled_for_overlaps
from atomfit.options.build import Scattering
from atomfit.structure.atoms import Leaf
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.region import COLOURED_MARGIN, Region, region_around, tapered
from atomfit.support.errors import InputError


def pose(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    settings: MapSettings | None = None,
    **changes: Any,
) -> JointProblem:
    """Put a problem together.

    **Arguments:** those of `fit_jointly`.
    """
    wanted = replace(settings or MapSettings(), **changes)
    likelihood, frozen = wanted.likelihood, wanted.frozen
    noise = wanted.noise if isinstance(wanted.noise, NoiseSpectrum) else None
    coloured = likelihood is None and noise is not None and not noise.white
    radius = wanted.region_widths * float(np.sqrt(mean_atom.u))
    region = region_around(density, positions, radius + (COLOURED_MARGIN if coloured else 0), coloured)
    region = region.without(wanted.held_out, density.grid)
    numbers = wanted.numbers
    numbers = np.full(len(positions), element.number) if numbers is None else numbers
    scatterers, blur = _scatterers(wanted.scattering, mean_atom, element, numbers)
    start, below = starting_model(density, positions, mean_atom, blur, numbers, scatterers, region, wanted)
    distance, spacing = element.neighbour_distance, density.grid.spacing
    bounds = Bounds(move=LIMITS.move * distance, widest=LIMITS.widest * distance)
    known: AbstractNoise = WhiteNoise(1.0)
    if likelihood is not None:
        known = LossNoise(likelihood, known=True)
    elif noise is not None and coloured:
        inside, sampled = tapered(region, positions, radius), sampled_for_overlaps(noise, mean_atom.u)
        informative = np.asarray(noise.information, np.float32)
        known = SpectralNoise(
            noise.on(region.values.shape), inside, 1.0, sampled=sampled, informative=informative
        )
    observation = MapObservation(
        data=np.asarray(region.values / mean_atom.height, np.float32),
        counted=region.mask.astype(np.float32),
        noise=known,
        nuisance=MapNuisance(
            frozen_part(below) if "background" in frozen else below,
            scale=frozen_part(np.asarray(1.0, np.float32)),
            blur=frozen_part(np.asarray(0.0, np.float32)),
            own={},
        ),
        spacing=spacing.astype(np.float32),
        origin=np.zeros(len(spacing), np.float32),
        devices=wanted.devices,
    )
    structure = BoundedAtoms.of(start, scatterers, bounds, frozen)
    steps: dict[str, Leaf] = {
        f"[0].{name}": step for name, step in steps_of(start, spacing, frozen).items()
    }
    if "background" not in frozen:
        steps |= _steps_of_background(below, region)
    weight = np.asarray(1.0, np.float32)
    priors = (
        no_prior(len(start), start.ndim),
        *(
            WeightedTerm(t if isinstance(t, eqx.Module) else as_priors([t])[0], weight)
            for t in wanted.terms
        ),
    )
    problem = Problem(structure, (observation,), priors)
    objective = replace(problem.objective(steps), preconditioner=about_diagonal)
    return JointProblem(region, mean_atom.height, objective, len(positions))


def _steps_of_background(background: AbstractBackground, region: Region) -> dict[str, Leaf]:
    """1 / √Σf², f being what a number does to the voxels that count; zero if that is nothing."""
    local = Grid(region.grid.shape, region.grid.spacing, np.zeros(region.grid.ndim))
    felt = np.array([np.sum(field[region.mask] ** 2) for field in background.fields(local)])
    steps = 1 / np.sqrt(np.where(felt > 0, felt, np.inf))
    found: dict[str, Leaf] = {}
    for name, leaf in free_leaves(background):
        size = int(np.size(leaf))
        found[f"[1][0].background{name}"] = np.asarray(steps[:size], np.float32).reshape(np.shape(leaf))
        steps = steps[size:]
    return found


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
