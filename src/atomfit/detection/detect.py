"""From a map to the places of its atoms: the paper's automatic model building, step by step.

    mean atom -> denoised map -> threshold and pieces -> centres of mass -> validation

A map whose bright extremes do not stand out from its dark ones is noise, and has no atoms. On an uneven
background (carbon, ice, a thick particle) atoms are found in the map without its slow changes. Every step's
result is kept, so that a report can show why an atom is there.
"""

import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from atomfit.detection.contrast import measure_contrast
from atomfit.detection.denoise import SLOW, denoise, without_slow_changes
from atomfit.detection.limits import LIMITS
from atomfit.detection.mean_atom import MeanAtom, measure_mean_atom, otsu_threshold
from atomfit.detection.noise_floor import noise_floor
from atomfit.detection.peaks import local_maxima
from atomfit.detection.pieces import Pieces, find_pieces
from atomfit.detection.threshold import (
    SimulatedMapCorrelation,
    ThresholdSearch,
    search_threshold,
)
from atomfit.detection.validation import (
    CorrelationRule,
    Rejected,
    few_neighbours,
    least_correlation,
    validation_correlations,
)
from atomfit.options.build import Split
from atomfit.rendering import Gaussians, render_map
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap
from atomfit.structure.scattering import GaussianMixture, matched_to_width

log = logging.getLogger("atomfit")


@dataclass(frozen=True, eq=False)
class Detection:
    """The atoms found in a map, and how.

    **Fields:**

    - `positions`: centres of mass (Å).
    - `correlations`: validation correlation of each.
    - `mean_atom`: the map's typical atom.
    - `denoised`: the map correlated with the simulated atom.
    - `search`: the threshold and its curve; None if nothing rises above the noise.
    - `floor`: level of the denoised map that noise alone would reach.
    - `rejected`: atoms that failed validation, with reasons.
    """

    positions: Float[np.ndarray, "n d"]
    correlations: Float[np.ndarray, " n"]
    mean_atom: MeanAtom
    denoised: DensityMap
    search: ThresholdSearch | None
    floor: float
    rejected: Rejected

    def __len__(self) -> int:
        return len(self.positions)

    def occupied(self, element: Element) -> Float[np.ndarray, "n d"]:
        """Where there are atoms, or may be some (Å): noise is measured elsewhere."""
        bright = local_maxima(self.denoised, self.floor, LIMITS.closest * element.neighbour_distance)
        return np.concatenate([self.positions, self.denoised.grid.positions_of(bright)])


def detect(
    density: DensityMap,
    element: Element,
    *,
    split: Split = "each",
    min_correlation: CorrelationRule = "auto",
    min_coordination: int = 3,
    cutoff: float | None = None,
    faintest: float = 1.0,
) -> Detection:
    """Find the atoms of a map in which atoms are bright.

    **Arguments:**

    - `density`: the map.
    - `element`: what the atoms are.
    - `split`: "each" divides merged components at every threshold that is tried, so that a
        threshold is judged by the atoms it would give; "after" only at the best one, as the paper
        has it; "off" never.
    - `min_correlation`: least validation correlation: a number, "auto", "paper" or "off".
    - `min_coordination`: least coordination number; 0 turns the test off.
    - `cutoff`: distance within which atoms are neighbours (Å); found from the atoms by default.
    - `faintest`: how bright the faintest kind of atoms is beside the brightest. The threshold, which is
        chosen as if all were alike, is lowered by as much, but not into the noise.

    Atoms on an uneven background are found once what varies over more than about two bonds is taken off.
    The map is tried as it is and, if atoms do not describe it well, without that, which counts if it is
    described much better.
    """
    tried = partial(
        _detect_in,
        element=element,
        split=split,
        min_correlation=min_correlation,
        min_coordination=min_coordination,
        cutoff=cutoff,
        faintest=faintest,
    )
    found = tried(density)
    if _described(found) < LIMITS.well_described:
        slow = SLOW * element.neighbour_distance
        flat = tried(density.with_values(without_slow_changes(density, slow)))
        if _described(flat) > _described(found) + LIMITS.much_better:
            log.info("the background is uneven: atoms are looked for in the map without its slow changes")
            found = flat
    return found


def _described(detection: Detection) -> float:
    """Correlation of the denoised map with atoms at the best threshold."""
    return -1.0 if detection.search is None else detection.search.best.correlation


def _detect_in(
    density: DensityMap,
    *,
    element: Element,
    split: Split,
    min_correlation: CorrelationRule,
    min_coordination: int,
    cutoff: float | None,
    faintest: float,
) -> Detection:
    contrast = measure_contrast(density, element)
    mean_atom = measure_mean_atom(density, element)
    template = _template(mean_atom, element)
    denoised = denoise(density, template)
    floor = noise_floor(density, denoised, template, 2 * element.neighbour_distance)
    lowest, highest = max(otsu_threshold(denoised), floor), float(denoised.values.max())
    if not contrast.decided or mean_atom.count == 0 or lowest >= highest:
        return _nothing(density, mean_atom, denoised, floor)

    pieces_above = partial(
        find_pieces,
        density,
        denoised,
        separation=LIMITS.closest * element.neighbour_distance,
        reach=1.5 * element.radius,
        background=mean_atom.background,
    )
    pieces = pieces_above(lowest)
    while_searching = pieces.split_centres if split == "each" else pieces.component_centres
    search = search_threshold(lowest, highest, while_searching, SimulatedMapCorrelation(denoised, template))
    threshold = max(faintest * search.best.threshold, floor)
    if threshold < lowest:
        pieces = pieces_above(threshold)
    positions = _final_centres(pieces, threshold, split, element)
    correlations = correlations_with_identical_atoms(density, positions, mean_atom, element)
    keep, rejected = _validate(positions, correlations, min_correlation, min_coordination, cutoff, element)
    return Detection(positions[keep], correlations[keep], mean_atom, denoised, search, floor, rejected)


def denoised_for(density: DensityMap, mean_atom: MeanAtom, element: Element) -> DensityMap:
    """The denoised map in which atoms were looked for."""
    return denoise(density, _template(mean_atom, element))


def _template(mean_atom: MeanAtom, element: Element) -> GaussianMixture:
    return matched_to_width(element.symbol, mean_atom.u, 0.5 * element.neighbour_distance)


def correlations_with_identical_atoms(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
) -> Float[np.ndarray, " n"]:
    """The paper's validation correlation: against identical, isotropic atoms at all positions."""
    n, d = positions.shape
    identical = Gaussians(positions, np.broadcast_to(mean_atom.u * np.eye(d), (n, d, d)), np.ones(n))
    simulated = density.with_values(render_map(identical, density.grid))
    radius = LIMITS.validation_radii * element.radius
    return validation_correlations(density, simulated, positions, radius)


def _final_centres(
    pieces: Pieces, threshold: float, split: Split, element: Element
) -> Float[np.ndarray, "n d"]:
    match split:
        case "each":
            return pieces.split_centres(threshold)
        case "after":
            return pieces.partly_split_centres(threshold, element.radius)
        case "off":
            return pieces.component_centres(threshold)


def _validate(
    positions: Float[np.ndarray, "n d"],
    correlations: Float[np.ndarray, " n"],
    min_correlation: CorrelationRule,
    min_coordination: int,
    cutoff: float | None,
    element: Element,
) -> tuple[np.ndarray, Rejected]:
    """Which atoms pass, and the others with reasons. Neighbours are counted among those that pass."""
    least = least_correlation(correlations, min_correlation)
    keep = ~(correlations < least)
    reasons = {
        int(i): f"validation correlation {correlations[i]:.2f} below {least:.2f}"
        for i in np.flatnonzero(~keep)
    }
    candidates = np.flatnonzero(keep)
    few = few_neighbours(positions[candidates], min_coordination, cutoff, element.neighbour_distance)
    for i in candidates[few]:
        reasons[int(i)] = f"coordination number below {min_coordination}"
    keep[candidates[few]] = False
    order = sorted(reasons)
    return keep, Rejected(positions[order], tuple(reasons[i] for i in order))


def _nothing(density: DensityMap, mean_atom: MeanAtom, denoised: DensityMap, floor: float) -> Detection:
    none = np.zeros((0, density.grid.ndim))
    return Detection(none, np.zeros(0), mean_atom, denoised, None, floor, Rejected(none, ()))
