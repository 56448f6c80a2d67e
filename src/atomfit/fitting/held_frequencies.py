"""Spatial frequencies of a map that a fit has not seen: a map and its atoms in, how they foretell them out.

Where noise is coloured, voxels tell of their neighbours' noise, and frequencies do not: they are what is
left out there, in cubes as wide as those that overlaps are summed over, k and -k together (`held_out` says
what is asked of them; the reflections of a free R factor are such frequencies). The window of a
particle of 20 Å blurs a map's transform by half of that, and what is seen so of others lowers the ratio.
"""

from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.fft import rfftn

from atomfit.detection.mean_atom import MeanAtom
from atomfit.fitting.held_out import HeldOut, chosen_blocks, followed, mean_of_blocks
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.fitting.settings import MapSettings
from atomfit.gaussians.information import overlap_blocks
from atomfit.gaussians.overlaps import weighted_derivatives
from atomfit.noise.periodogram import atoms_band, frequency_axes
from atomfit.noise.spectrum import NoiseSpectrum
from atomfit.optimisation.ended import Ended
from atomfit.structure.elements import Element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.region import COLOURED_MARGIN, region_around, tapered

#: Edge of blocks of frequencies (1/Å), as `NoiseSpectrum.sampled` has them.
_EDGE = 1 / 12


def judge_by_frequencies(
    density: DensityMap,
    positions: Float[np.ndarray, "n d"],
    mean_atom: MeanAtom,
    element: Element,
    settings: MapSettings,
    noise: NoiseSpectrum,
    part: float,
    seed: int = 0,
) -> HeldOut:
    """Fit atoms without some blocks of spatial frequencies, and compare the model with these.

    **Arguments:** those of `fit_jointly`, and

    - `noise`: by which frequencies are weighted.
    - `part`: which part of the blocks that tell of atoms is held out, between 0 and 1; at least three are.
    - `seed`: of the choice.
    """
    box = Grid(noise.weights.shape, noise.spacing, np.zeros(density.grid.ndim))
    names, band = _cubes(frequency_axes(box)), _band(frequency_axes(box), mean_atom.u)
    chosen, around = chosen_blocks(names[band & (noise.weights > 0)], part, seed)
    held = np.isin(names, chosen)
    seen, unseen = noise.without(held, band), noise.without(~held, band)
    fit = fit_jointly(density, positions, mean_atom, element, settings, noise=seen)
    if fit.reason == Ended.INTERRUPTED:
        return HeldOut.interrupted("frequencies", len(chosen), around)
    grid, measured, drawn = _windowed(density, positions, fit, settings.region_widths * mean_atom.u**0.5)
    axes = _half_axes(grid)
    inside, of_region, whole = _band(axes, mean_atom.u), _cubes(axes), noise.on(grid.shape)
    squares = np.abs(measured - drawn) ** 2 / float(np.prod(grid.shape))
    weights = [np.where(inside, spectrum.on(grid.shape), 0) for spectrum in (seen, unseen)]
    shares = [np.divide(x, whole, out=np.zeros_like(x), where=whole > 0) for x in weights]
    # Weights are measured, and may be wrong by some part that changes with the length of a frequency.
    shells = np.rint(np.sqrt(sum(axis**2 for axis in axes)) / _EDGE).astype(int)
    sums, counts = (np.bincount(shells.ravel(), x.ravel()) for x in (weights[0] * squares, shares[0]))
    usual = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)[shells] * shares[1]
    there = usual > 0
    ratio, error = mean_of_blocks((weights[1] * squares)[there], usual[there], of_region[there])
    misfit = float(sums.sum() / counts.sum())
    # Of k and -k one is there.
    follow = sum(
        followed(fit, _told(fit, spectrum, mean_atom.u, grid)) / (2 * float(share.sum()))
        for spectrum, share in zip((seen, unseen), shares, strict=True)
    )
    return HeldOut(
        "frequencies",
        len(chosen),
        around,
        _correlation(measured, drawn, weights[0]),
        _correlation(measured, drawn, weights[1]),
        ratio,
        error,
        1 + follow / misfit,
        fit.reason,
    )


def _windowed(
    density: DensityMap, positions: Float[np.ndarray, "n d"], fit: JointFit, radius: float
) -> tuple[Grid, np.ndarray, np.ndarray]:
    """Half transforms of the fitted region, of the map and the model without their background."""
    region = region_around(density, positions, radius + COLOURED_MARGIN, whole=True)
    inside, grid = tapered(region, positions, radius), region.grid
    below = fit.background.on(grid, fit.fitted_on)
    return grid, rfftn(inside * (region.values - below)), rfftn(inside * (fit.density(grid) - below))


def _half_axes(grid: Grid) -> list[Float[np.ndarray, "..."]]:
    """Frequencies of a box's half transform, zero first, to be broadcast (1/Å)."""
    *axes, last = (np.fft.ifftshift(axis) for axis in frequency_axes(grid))
    return [*axes, np.abs(last[..., : grid.shape[-1] // 2 + 1])]


def _band(axes: list[Float[np.ndarray, "..."]], u: float) -> Bool[np.ndarray, "..."]:
    """Frequencies that tell of atoms of a variance (Å²)."""
    return atoms_band(np.sqrt(sum(axis**2 for axis in axes)), u)


def _cubes(axes: list[Float[np.ndarray, "..."]]) -> Int[np.ndarray, "..."]:
    """Which block each frequency belongs to, k and -k to one."""
    name, base = np.zeros(1, np.int64), 1
    for axis in axes:
        name, base = name + base * np.rint(axis / _EDGE).astype(np.int64), base * 4096
    return np.abs(name)


def _told(fit: JointFit, spectrum: NoiseSpectrum, u: float, grid: Grid) -> Float[np.ndarray, "n q q"]:
    """What the frequencies that have a weight tell of each atom by itself, in units of the noise."""
    frequencies, parts, _ = spectrum.sampled(u)
    overlap = partial(weighted_derivatives, frequencies=frequencies, parts=parts)
    own = np.arange(len(fit.atoms))[:, None]
    return overlap_blocks(fit.fitted, own, overlap)[:, 0] / grid.voxel_volume


def _correlation(measured: np.ndarray, drawn: np.ndarray, weights: Float[np.ndarray, "..."]) -> float:
    """Of two half transforms, over frequencies by their weights."""
    shared = float(np.sum(weights * (measured * drawn.conj()).real))
    squares = [float(np.sum(weights * np.abs(x) ** 2)) for x in (measured, drawn)]
    return shared / max((squares[0] * squares[1]) ** 0.5, 1e-300)
