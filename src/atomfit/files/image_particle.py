"""Counts and crystals of an image's columns as a whole: what `particle.json` has of them.

Numbers of columns and of domains are those of `columns.csv`, from 1; places are in its frame.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

if TYPE_CHECKING:
    from atomfit.statistics.image_columns import ColumnStatistics


def particle_statistics(statistics: "ColumnStatistics") -> dict[str, Any]:
    """Atoms, domains with their cells, strain and order, and what is wrong in them."""
    fraction, fraction_esd = statistics.ordered
    asked = {"ordered_fraction": fraction, "ordered_fraction_esd": fraction_esd} if statistics.order else {}
    return {
        "atoms": _atoms(statistics),
        "surface_columns": int(statistics.surface.sum()),
        "without_lattice": int(np.sum(statistics.domains.membership < 0)),
        "domains": [_domain(statistics, number) for number in range(len(statistics.domains.lattices))],
        **asked,
        "phase_analysis": _phase(statistics),
        **_defects(statistics),
        "facets": [
            {
                "domain": one.domain + 1,
                "indices": one.indices,
                "normal": one.normal,
                "columns": one.columns + 1,
                "length": one.length,
                "layer_spacing": one.spacing,
                "relaxations": one.relaxations,
                "relaxations_esd": one.errors,
                "layer_columns": one.counts,
            }
            for one in statistics.facets
        ],
    }


def _phase(statistics: "ColumnStatistics") -> dict[str, Any] | None:
    """What geometric phase analysis used; null if it found nothing."""
    phase = statistics.phase
    if phase is None or not np.isfinite(phase.kernel):
        return None
    return {"vectors": phase.vectors, "kernel": phase.kernel}


def _atoms(statistics: "ColumnStatistics") -> dict[str, Any]:
    counts = statistics.counts
    if counts is None:
        return {"not_counted": statistics.uncounted}
    smooth = counts.smoothness
    neighbours = (
        None
        if smooth is None
        else {"amplitude": smooth.amplitude, "length": smooth.length, "roughness": smooth.roughness}
    )
    scale = {"scale": counts.scale, "scale_esd": counts.scale_esd} if statistics.library else {}
    return {
        "total": counts.total,
        "total_esd": counts.total_esd,
        "most_likely_counts": int(counts.most_likely.sum()),
        "columns": len(statistics.counted),
        "library": statistics.library is not None,
        **scale,
        "beyond_library": int(np.sum(counts.beyond)),
        "scatter": counts.scatter,
        "scatter_esd": counts.scatter_esd,
        "smoothness": neighbours,
        "alternatives": [
            {
                "probability": one.probability,
                "total": one.total,
                "faintest": one.faintest,
                "brightest": one.brightest,
                "step": one.step,
            }
            for one in counts.alternatives
        ],
        "notes": list(counts.notes),
    }


def _domain(statistics: "ColumnStatistics", number: int) -> dict[str, Any]:
    lattice, strain = statistics.domains.lattices[number], statistics.strain
    cell, own = lattice.cell, statistics.domains.membership == number
    told = {
        "columns": len(lattice),
        "lattice": lattice.bravais,
        "a": cell.lengths[0],
        "a_esd": cell.lengths_esd[0],
        "b": cell.lengths[1],
        "b_esd": cell.lengths_esd[1],
        "gamma": cell.angle,
        "gamma_esd": cell.angle_esd,
        "vectors": lattice.basis.T,
        "sublattices": lattice.offsets,
        "scatter": lattice.scatter,
        "strain": {
            "reference": strain.reference,
            "vectors": strain.references[number].T,
            "kernel": strain.kernel[number],
            "inner": _strain(statistics, own & ~statistics.surface),
            "surface": _strain(statistics, own & statistics.surface),
        },
    }
    order = statistics.order[number] if statistics.order else None
    if order is not None:
        told["order"] = {
            "columns": len(order.columns),
            "fraction": order.fraction,
            "fraction_esd": order.fraction_esd,
            "contrast": order.contrast,
            "coupling": order.coupling,
            "variants": order.probabilities[:, 1:].mean(axis=0),
            "antisites": float(order.antisite.sum()),
            "parts": int(order.domains.max(initial=-1)) + 1,
            "antiphase_bonds": int(order.antiphase.sum()),
            "other_boundary_bonds": int(np.sum(~order.antiphase)),
        }
    return told


def _strain(statistics: "ColumnStatistics", of: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    """Mean strain, how much it differs, and what one column's is known to."""
    strain = statistics.strain
    known = of & np.isfinite(strain.tensors).all(axis=1)
    if not known.any():
        return {"columns": 0}
    values = np.column_stack([strain.tensors, strain.rotations])[known]
    errors = np.column_stack([strain.errors, strain.rotation_errors])[known]
    names = ("e_xx", "e_yy", "e_xy", "rotation")
    return {
        "columns": int(known.sum()),
        "mean": dict(zip(names, values.mean(axis=0).tolist(), strict=True)),
        "deviation": dict(zip(names, values.std(axis=0).tolist(), strict=True)),
        "median_esd": dict(zip(names, np.median(errors, axis=0).tolist(), strict=True)),
    }


def _defects(statistics: "ColumnStatistics") -> dict[str, Any]:
    return {
        "vacancies": [
            {
                "domain": one.domain + 1,
                "site": one.site,
                "sublattice": one.sublattice + 1,
                "position": one.position,
                "position_esd": np.sqrt(np.diag(one.covariance)),
                "left": left,
            }
            for one, left in zip(statistics.vacancies, statistics.vacant.tolist(), strict=True)
        ],
        "dislocations": [
            {
                "domain": one.domain + 1,
                "position": one.position,
                "steps": one.steps,
                "burgers": one.burgers,
                "burgers_esd": one.esd,
            }
            for one in statistics.dislocations
        ],
        "boundaries": [
            {
                "domains": [number + 1 for number in one.domains],
                "kind": one.kind,
                "angle": one.angle,
                "row": one.row,
                "shift": one.shift,
                "shift_esd": one.shift_esd,
                "pairs": len(one.pairs),
            }
            for one in statistics.boundaries
        ],
    }
