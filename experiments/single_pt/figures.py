"""The paper's Figs. 2 to 6, each with the truth, atomfit and the paper's procedure side by side.

Each figure has a column for a particle. matplotlib is needed for nothing else than this.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.colors import Normalize

from atomfit.files.columns import Table
from atomfit.statistics.depth import running_means
from atomfit.statistics.particle import by_coordination
from experiments.single_pt.measures import penetration
from experiments.single_pt.procedures import NAMES, Study, positions_of

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {"truth": "black", "atomfit": "C0", "paper": "C1"}
STATUSES = {"common": "0.8", "displaced": "C3", "lost": "C0", "gained": "C2"}
#: Columns and their names on an axis.
FIG_4 = {"cn": "CN", "gcn_max": "GCN"}
FIG_5 = {
    "max_intensity_z": "peak intensity, z",
    "u_iso": "U$_{iso}$, Å²",
    "doi_debiased": "DOI",
    "validation_correlation": "validation correlation",
    "nn_distance": "NN bond, Å",
    "strain_radial_bulk": "radial strain",
}
FIG_6 = {
    "u_iso": "U$_{iso}$, Å²",
    "max_intensity": "highest voxel",
    "doi_debiased": "DOI",
    "validation_correlation": "validation corr.",
}
#: Thickness of the slab of Fig. 2 (Å).
_SLAB = 2.4
#: Half axes of ellipsoids that hold half of the density, in standard deviations.
_HALF_PROBABILITY = 1.538


def draw_all(studies: Sequence[Study], folder: Path) -> None:
    """Draw every figure into a folder."""
    figures = {
        "fig2": models(studies),
        "fig3": halves(studies),
        "fig4": by_depth(studies, FIG_4),
        "fig5": by_cn(studies, FIG_5),
        "fig6": by_depth(studies, FIG_6),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=80)
        plt.close(figure)


def models(studies: Sequence[Study]) -> Any:
    """Fig. 2: atoms by coordination number; a slab's ellipsoids by degree of isotropy."""
    figure, axes = _panels(len(studies), 6)
    for column, study in enumerate(studies):
        for row, name in enumerate(NAMES):
            atoms = study.whole(name)
            _spheres(axes[row, column], atoms)
            _ellipses(axes[row + 3, column], atoms)
            for axis, what in ((axes[row, 0], "CN"), (axes[row + 3, 0], "DOI")):
                axis.set_ylabel(f"{name}\n{what}")
        axes[0, column].set_title(study.case.name)
    for rows, drawn, what in (
        (axes[:3], axes[0, 0].collections[0], "coordination number"),
        (axes[3:], axes[3, 0].collections[0], "degree of isotropy"),
    ):
        figure.colorbar(drawn, ax=rows, label=what, shrink=0.8)
    return figure


def _spheres(axis: Any, atoms: Table) -> None:
    order = np.argsort(atoms["z"])
    x, y, cn = (atoms[name][order] for name in ("x", "y", "cn"))
    axis.scatter(x, y, c=cn, s=22, cmap="viridis", vmin=4, vmax=12, edgecolors="white", linewidths=0.3)


def _ellipses(axis: Any, atoms: Table) -> None:
    slab = np.flatnonzero(np.abs(atoms["z"] - np.median(atoms["z"])) < _SLAB / 2)
    slab = slab[np.isfinite(atoms["u11"][slab])]
    u = np.array([[atoms["u11"], atoms["u12"]], [atoms["u12"], atoms["u22"]]])[:, :, slab]
    squares, vectors = np.linalg.eigh(np.moveaxis(u, 2, 0))
    width, height = 2 * _HALF_PROBABILITY * np.sqrt(squares.T)
    angles = np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))
    ellipses = EllipseCollection(
        width,
        height,
        angles,
        units="xy",
        offsets=positions_of(atoms)[slab, :2],
        transOffset=axis.transData,
        cmap="magma",
        norm=Normalize(0.3, 1),
    )
    ellipses.set_array(atoms["doi_debiased"][slab])
    axis.add_collection(ellipses)
    axis.autoscale_view()


def halves(studies: Sequence[Study]) -> Any:
    """Fig. 3: atoms of part 1 and what is different in part 2."""
    figure, axes = _panels(len(studies), 3)
    for column, study in enumerate(studies):
        for row, name in enumerate(NAMES):
            c, axis = study.halves[name], axes[row, column]
            places = np.where((c.first >= 0)[:, None], c.a.positions[c.first], c.b_positions[c.second])
            statuses = np.array(c.statuses, dtype=object)
            for status, colour in STATUSES.items():
                these = places[statuses == status]
                axis.scatter(
                    these[:, 0], these[:, 1], s=8 if status == "common" else 22, color=colour, label=status
                )
            share = 100 * c.count("common") / len(c.a)
            axis.set_title(f"{len(c.a)}, {len(c.b)} atoms, {share:.0f} % common", fontsize=7)
            axes[row, 0].set_ylabel(name)
    for axis, study in zip(axes[0], studies, strict=True):
        axis.set_title(f"{study.case.name}\n{axis.get_title()}", fontsize=7)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def by_depth(studies: Sequence[Study], columns: Mapping[str, str]) -> Any:
    """Figs. 4 and 6: means of five atoms against depth, Eq. 1 fitted to them, and δ."""
    figure, axes = plt.subplots(
        len(columns),
        len(studies),
        figsize=(2 + 1.9 * len(studies), 2 * len(columns) + 0.6),
        squeeze=False,
        sharex="col",
        sharey="row",
        layout="constrained",
    )
    for j, study in enumerate(studies):
        for i, (column, label) in enumerate(columns.items()):
            axis = axes[i, j]
            for name, colour in COLOURS.items():
                atoms = study.whole(name)
                depth, means = running_means(atoms["radial_depth"], {column: atoms[column].astype(float)})
                axis.plot(depth, means[column], ".", ms=2, color=colour, label=name, alpha=0.6)
                fit = penetration(atoms, column)
                if fit is not None:
                    line = np.linspace(0, depth.max(), 200)
                    values = fit.constant + fit.slope * np.minimum(line - fit.delta, 0)
                    axis.plot(line, values, "--", lw=1, color=colour)
                    axis.axvline(fit.delta, ls=":", lw=1, color=colour)
            axes[i, 0].set_ylabel(label)
        axes[0, j].set_title(study.case.name)
        axes[-1, j].set_xlabel("radial depth, Å")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3, markerscale=4
    )
    return figure


def by_cn(studies: Sequence[Study], columns: Mapping[str, str]) -> Any:
    """Fig. 5: means by coordination number with S / √N, of bins of at least five atoms."""
    figure, axes = plt.subplots(
        len(columns),
        len(studies),
        figsize=(2 + 1.9 * len(studies), 1.7 * len(columns) + 0.6),
        squeeze=False,
        sharex=True,
        sharey="row",
        layout="constrained",
    )
    for j, study in enumerate(studies):
        for i, (column, label) in enumerate(columns.items()):
            for name, colour in COLOURS.items():
                atoms = study.whole(name)
                bins = by_coordination(atoms["cn"], atoms[column].astype(float))
                cn, mean, error = (np.array([b[key] for b in bins]) for key in ("cn", "mean", "esd"))
                axes[i, j].errorbar(cn, mean, error, fmt=".-", ms=4, lw=1, color=colour, label=name)
            axes[i, 0].set_ylabel(label)
        axes[0, j].set_title(study.case.name)
        axes[-1, j].set(xlabel="CN", xticks=range(4, 14, 2))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _panels(columns: int, rows: int) -> tuple[Any, np.ndarray]:
    """Panels for pictures of particles."""
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(1 + 1.7 * columns, 1.8 * rows + 0.3),
        squeeze=False,
        subplot_kw={"aspect": "equal", "xticks": [], "yticks": []},
        layout="constrained",
    )
    return figure, axes
