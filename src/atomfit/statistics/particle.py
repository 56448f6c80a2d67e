"""Numbers of the whole particle: the paper's Table 1, and statistics by coordination number and depth."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from atomfit.statistics.depth import centre_of, fit_depth
from atomfit.statistics.geometry import Geometry
from atomfit.statistics.lattice import Lattice

#: Bins of fewer atoms are not shown (Fig. 5 of the paper).
FEWEST_IN_BIN = 5
#: What the plateau of coordination numbers is kept within in the paper.
_PLATEAU = (10.0, 12.0)
#: Width of the bins of the pair distribution (Å), and up to where pairs are counted, in neighbour cutoffs.
_BIN = 0.05
#: Bins of the bond lengths at most.
_MOST_BINS = 60
_FAR = 3.0


def angles_to_radius(
    axes: Float[np.ndarray, "n 3"], positions: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " n"]:
    """Angle of an axis of each atom to the direction from the particle's centre (degrees, 0 to 90)."""
    out = positions - centre_of(positions)
    length = np.linalg.norm(out, axis=1) * np.linalg.norm(axes, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.abs(np.sum(out * axes, axis=1)) / length
    return np.degrees(np.arccos(np.clip(cosine, 0, 1)))


def particle_report(
    geometry: Geometry,
    columns: Mapping[str, Float[np.ndarray, " n"]],
    positions: Float[np.ndarray, "n 3"],
    cutoff: float,
) -> dict[str, Any]:
    """The particle in plain numbers.

    **Arguments:**

    - `geometry`: of its atoms.
    - `columns`: statistics of each atom that are summarised; `cn` and `nn_distance` among them.
    - `positions`, `cutoff`: of the atoms, and within which they are neighbours (Å).
    """
    cn = columns["cn"]
    strain = geometry.bulk_strain.radial
    return {
        "table_1": {
            "atoms": len(cn),
            "diameter": geometry.depths.diameter,
            "median_cn": _median(cn),
            "mean_cn": float(np.mean(cn)) if len(cn) else np.nan,
            "median_nn_distance": _median(columns["nn_distance"]),
            "median_radial_strain_percent": 100 * _median(strain),
            "core_ratio": float(np.mean(cn == 12)) if len(cn) else np.nan,
            "core_atoms": int(np.sum(cn == 12)),
        },
        "structure": geometry.describe(),
        "local_structure": _counts(geometry.structure),
        "crystal": None if geometry.grains.crystal is None else geometry.grains.crystal.name,
        "bulk_lattice_constant": geometry.bulk_constant,
        "inside_on_largest_lattice": geometry.inside,
        "lattices": [_lattice(one) for one in geometry.lattices],
        "grains": len(geometry.grains.grains),
        "twin_planes": [
            {"grains": [number + 1 for number in twin.grains], "normal": twin.normal, "angle": twin.angle}
            for twin in geometry.twins
        ],
        "pair_distribution": pair_distribution(positions, _FAR * cutoff),
        "bond_lengths": bond_lengths(positions, cutoff),
        "strain": {
            "kernel_width": geometry.strain.kernel,
            "columns_reference": geometry.strain.reference,
            "radial_standard_deviation": _deviation(geometry.strain.radial),
            "bulk_radial_median": _median(strain),
        },
        "statistics": {name: summarise(values) for name, values in columns.items()},
        "by_cn": {name: by_coordination(cn, values) for name, values in columns.items() if name != "cn"},
        "depth_fits": {
            kind: {name: _depth_fit(depth, values, name) for name, values in columns.items()}
            for kind, depth in (("radial", geometry.depths.radial), ("hull", geometry.depths.hull))
        },
    }


def pair_distribution(positions: Float[np.ndarray, "n 3"], reach: float) -> dict[str, Any]:
    """Pairs of atoms by their distance: edges of the bins (Å), counts, and pairs per atom and Å.

    A particle has an outside, so that it is not divided by the pairs of a liquid of its density.

    **Arguments:**

    - `positions`: in Å.
    - `reach`: largest distance that is counted (Å).
    """
    edges = np.arange(0.0, reach + _BIN, _BIN) if np.isfinite(reach) else np.zeros(1)
    counts = np.zeros(len(edges) - 1, int)
    if len(positions) > 1 and len(edges) > 1:
        tree = cKDTree(positions)
        counts = np.diff((tree.count_neighbors(tree, edges) - len(positions)) // 2)
    per_atom = counts / (max(len(positions), 1) * _BIN)
    return {"edges": edges.round(3), "pairs": counts, "pairs_per_atom_and_angstrom": per_atom}


def bond_lengths(positions: Float[np.ndarray, "n 3"], cutoff: float) -> dict[str, Any]:
    """Distances of atoms closer than the cutoff (Å), each pair once: edges of bins (Å), and counts.

    **Arguments:**

    - `positions`: in Å.
    - `cutoff`: below which two atoms are bonded (Å).
    """
    pairs = np.zeros((0, 2), int)
    if len(positions) > 1 and np.isfinite(cutoff):
        pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray")
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    if not len(lengths):
        return {"edges": np.zeros(1), "bonds": np.zeros(0, int), **_moments(lengths)}
    # Freedman and Diaconis.
    edges = np.histogram_bin_edges(lengths, "fd")
    if len(edges) > _MOST_BINS + 1:
        edges = np.linspace(edges[0], edges[-1], _MOST_BINS + 1)
    return {"edges": edges, "bonds": np.histogram(lengths, edges)[0], **_moments(lengths)}


def summarise(values: Float[np.ndarray, " n"]) -> dict[str, float]:
    """Mean, median and standard deviation of what is known, and of how many atoms."""
    return {"atoms": int(np.isfinite(values).sum())} | _moments(values)


def _moments(values: Float[np.ndarray, " n"]) -> dict[str, float]:
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else np.nan
    return {"mean": mean, "median": _median(values), "standard_deviation": _deviation(values)}


def by_coordination(
    cn: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], fewest: int = FEWEST_IN_BIN
) -> list[dict[str, float]]:
    """Means by coordination number, with S / √N as their errors (Fig. 5 of the paper)."""
    rows = []
    for number in np.unique(cn):
        known = values[(cn == number) & np.isfinite(values)]
        if len(known) >= max(fewest, 2):
            error = float(known.std(ddof=1) / np.sqrt(len(known)))
            rows.append({"cn": int(number), "atoms": len(known), "mean": float(known.mean()), "esd": error})
    return rows


def _depth_fit(
    depth: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"], name: str
) -> dict[str, Any] | None:
    found = fit_depth(depth, values, _PLATEAU if name == "cn" else None)
    return None if found is None else asdict(found)


def _lattice(lattice: Lattice) -> dict[str, Any]:
    edges, edge_errors = lattice.edges
    angles, angle_errors = lattice.angles
    return {
        "crystal": lattice.crystal.name,
        "atoms": len(lattice),
        "constant": lattice.constant,
        "constant_esd": lattice.constant_esd,
        "edges": edges,
        "edges_esd": edge_errors,
        "angles": angles,
        "angles_esd": angle_errors,
        "rotation": lattice.rotation,
        "deviation_from_sites": lattice.deviation,
    }


def _counts(names: np.ndarray) -> dict[str, int]:
    which, counts = np.unique(names.astype(str), return_counts=True)
    return dict(zip(which.tolist(), counts.tolist(), strict=True))


def _median(values: Float[np.ndarray, " n"]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def _deviation(values: Float[np.ndarray, " n"]) -> float:
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else np.nan
