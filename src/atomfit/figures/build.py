"""All figures of a built particle."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.figures import panels, quantities
from atomfit.figures.particle import Colouring, by_kind, by_number, save_views
from atomfit.figures.planes import save_planes
from atomfit.figures.quantities import Quantity, Table
from atomfit.figures.style import save_panels, styled
from atomfit.report.atoms import ellipsoids
from atomfit.report.described import RADIUS
from atomfit.report.residuals import residual_histogram
from atomfit.results.build import BuildResult
from atomfit.support.palette import KINDS

_HISTOGRAMS = (
    quantities.U_ISO,
    quantities.DOI,
    quantities.CN,
    quantities.BOND,
    quantities.VALIDATION,
    quantities.STRAIN,
)
#: Figs. 4 and 6 of the paper.
_AGAINST_DEPTH = (
    quantities.CN,
    quantities.GCN,
    quantities.U_ISO,
    quantities.INTENSITY,
    quantities.DOI,
    quantities.VALIDATION,
)
#: Fig. 5 of the paper.
_BY_COORDINATION = (
    quantities.INTENSITY_Z,
    quantities.U_ISO,
    quantities.DOI,
    quantities.VALIDATION,
    quantities.BOND,
    quantities.BULK_STRAIN,
)


def write_build_figures(
    directory: Path,
    result: BuildResult,
    columns: Table,
    model: Float[np.ndarray, "..."],
    found: dict[str, Any],
) -> None:
    """Write every figure for which there are numbers.

    **Arguments:**

    - `directory`: where to.
    - `result`, `columns`: of `build`, and its table of atoms.
    - `model`: density of the model on the map's grid (map units).
    - `found`: what goes into `summary.json`, and what goes into `particle.json` as `particle`.
    """
    particle, fit = found["particle"], found["fit"]
    pairs, bonds = particle["pair_distribution"], particle["bond_lengths"]
    fits = particle["depth_fits"]["radial"]
    with styled():
        directory.mkdir(exist_ok=True)
        save_views(directory, "particle", result.positions, _colourings(result, columns))
        save_planes(directory, result.density, model, result.positions)
        save_panels(directory, "threshold", panels.threshold(found["detection"]), height=62)
        save_panels(directory, "histograms", [p for q in _HISTOGRAMS for p in panels.histogram(q, columns)])
        save_panels(
            directory,
            "depth",
            [p for q in _AGAINST_DEPTH for p in panels.against_depth(q, columns, fits)],
        )
        save_panels(
            directory,
            "coordination",
            [p for q in _BY_COORDINATION for p in panels.by_coordination(q, _means(particle, q))],
        )
        save_panels(
            directory,
            "fit",
            [
                *panels.convergence(_floats(fit.get("history", ()))),
                *panels.residuals(residual_histogram(result, model)),
                *panels.one_against_other(
                    Quantity("logfit_u_iso", r"$U_{iso}$ by log-fit (Å$^2$)"),
                    Quantity("u_iso", r"$U_{iso}$ by joint fit (Å$^2$)"),
                    columns,
                ),
            ],
            height=54,
        )
        upward = "pairs per atom and Å"
        save_panels(
            directory,
            "distances",
            [
                *panels.counted(
                    _floats(pairs["edges"]),
                    _floats(pairs["pairs_per_atom_and_angstrom"]),
                    "distance (Å)",
                    upward,
                ),
                *panels.counted(
                    _floats(bonds["edges"]), _floats(bonds["bonds"]), "bond length (Å)", "bonds"
                ),
            ],
            columns=2,
            height=52,
        )


def _floats(values: Sequence[float] | np.ndarray) -> Float[np.ndarray, " k"]:
    return np.asarray(values, np.float64)


def _means(particle: dict[str, Any], quantity: Quantity) -> list[dict[str, float]]:
    return particle["by_cn"].get(quantity.name, [])


def _colourings(result: BuildResult, columns: Table) -> list[Colouring]:
    """By U_iso, as thermal ellipsoids where there are any, by coordination, and by strain or element."""
    n = len(result)
    spacings = result.statistics.neighbours.nearest_distances
    spacing = np.median(spacings[np.isfinite(spacings)]) if n > 1 else result.element.neighbour_distance
    round_ones = np.tile(RADIUS * float(spacing) * np.eye(3), (n, 1, 1))
    fitted = result.statistics.fitted
    thermal = ellipsoids(fitted.matrices, fitted.u_iso).reshape(-1, 3, 3)
    thermal = np.where(np.isfinite(thermal), thermal, 0.25 * round_ones)
    found = []
    for quantity, shapes, around_zero in (
        (quantities.U_ISO, thermal, False),
        (quantities.CN, round_ones, False),
        (quantities.STRAIN, round_ones, True),
    ):
        values = quantity.of(columns)
        if np.isfinite(values).any():
            found.append(by_number(quantity, values, shapes, around_zero))
    symbols = np.unique(result.symbols.astype(str)).tolist()
    if len(symbols) > 1:
        kinds = dict(zip(symbols, KINDS, strict=False))
        found = [*found[:2], by_kind("element", result.symbols, kinds, round_ones)]
    return found
