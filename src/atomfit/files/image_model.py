"""The model in three dimensions of an image's columns, as files: see `docs/files.md` for what they hold.

x and y are in the image's frame, as in `columns.csv`; z is along the beam, from the middle of the particle.
Which of both mirror images along the beam is given is chance, and said in every file that has room for it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atomfit.io.structures import Structure, write_mmcif, write_xyz
from atomfit.io.tables import Column, write_columns
from atomfit.stacking.model import Model3D
from atomfit.statistics.geometry import Geometry, measure_geometry
from atomfit.statistics.particle import particle_report
from atomfit.structure.elements import element
from atomfit.structure.neighbours import CUTOFF_PER_DISTANCE, find_neighbours

#: The columns of `model3d.csv`, before probabilities of coordination numbers.
SITES: tuple[Column, ...] = (
    Column("site", "", "d", "number of the site, from 1"),
    Column("column", "", "d", "number of its column in columns.csv"),
    Column("h", "", "d", "of the column's site in the domain's lattice"),
    Column("k", "", "d", "the same"),
    Column("height", "periods", ".4f", "of the site along the beam, from the board's middle"),
    Column("probability", "", ".4f", "that an atom is there"),
    Column("in_model", "", "d", "1 if it is filled in the model (model3d.cif), else 0"),
    Column("x", "Å", ".5f", "mean over the relaxed samples that fill it; the image's frame"),
    Column("y", "Å", ".5f", "the same"),
    Column("z", "Å", ".5f", "the same, along the beam"),
    Column("x_esd", "Å", ".5f", "spread of these samples, and what the column's place is known to"),
    Column("y_esd", "Å", ".5f", "the same"),
    Column("z_esd", "Å", ".5f", "spread of these samples"),
    Column("cn", "", ".3f", "coordination number on sites, if it is filled: mean over samples"),
    Column("cn_esd", "", ".3f", "its standard deviation"),
    Column("cn_median", "", "d", "its median"),
    Column("gcn", "", ".3f", "generalised coordination number in the model, by the bulk's"),
    Column("structure", "", "s", "local structure in the model"),
)


def model_columns(model: Model3D) -> tuple[Column, ...]:
    """The columns of `model3d.csv`."""
    shares = range(model.sites.shares.shape[1])
    return (*SITES, *(Column(f"p_cn_{n}", "", ".4f", f"probability of {n} neighbours") for n in shares))


def model_table(model: Model3D) -> dict[str, np.ndarray]:
    """The columns of `model3d.csv`, a row for each site that some samples fill."""
    sites, board = model.sites, model.board
    base = np.asarray(board.columns, np.float64)[:, 2] / board.period
    geometry, _ = _geometry(model)
    gcn, structure = np.full(len(sites.places), np.nan), np.full(len(sites.places), "", dtype=object)
    gcn[sites.chosen], structure[sites.chosen] = geometry.coordination.generalised, geometry.structure
    table = {
        "site": np.arange(1, len(sites.places) + 1),
        "column": model.columns[sites.columns] + 1,
        "h": model.cells[sites.columns, 0],
        "k": model.cells[sites.columns, 1],
        "height": sites.places + base[sites.columns],
        "probability": sites.probabilities,
        "in_model": sites.chosen.astype(int),
        "cn": sites.coordination,
        "cn_esd": sites.coordination_esd,
        "cn_median": sites.median,
        "gcn": gcn,
        "structure": structure,
    }
    for axis, (place, esd) in zip("xyz", zip(model.positions.T, model.esds.T, strict=True), strict=True):
        table |= {axis: place, f"{axis}_esd": esd}
    return table | {f"p_cn_{n}": share for n, share in enumerate(sites.shares.T)}


def model_told(model: Model3D) -> dict[str, Any]:
    """What `summary.json` has of the model."""
    atoms, atoms_esd = model.total
    mixing, stacking = model.mixing, model.stacking
    return {
        "zone": list(stacking.zone),
        "structure": stacking.structure,
        "temperature": model.drawn.temperature,
        "temperature_given": model.asked.temperature is not None,
        "potential": "EMT" if model.asked.calculator is None else type(model.asked.calculator).__name__,
        "columns": len(model.columns),
        "left_out": model.left_out,
        "overruled_counts": model.overruled,
        "atoms": {"mean": atoms, "esd": atoms_esd, "model": int(model.sites.chosen.sum())},
        "expected_wrong_sites": model.open_atoms,
        "coordination": {"numbers": model.shells.numbers, "numbers_esd": model.shells.numbers_esd},
        "lattice": {
            "scale": stacking.scale,
            "shear": stacking.shear,
            "period": stacking.period,
            "mirror_images_alike": stacking.mirrored,
            "ambiguous": stacking.ambiguous,
        },
        "sampling": {
            "chains": len(model.drawn.laws),
            "samples": int(model.drawn.mirrored.size),
            "mixed": mixing.good,
            "r_hat_energy": mixing.energy,
            "unmixed_atoms": mixing.unmixed,
            "independent_samples": mixing.independent,
            "chains_apart": model.apart,
            "least_exchanges": mixing.exchanged,
            "accepted": mixing.accepted,
            "turned_over": float(model.drawn.mirrored.mean()),
            "energy_on_sites": float(model.drawn.energies.mean()),
            "energy_on_sites_esd": float(model.drawn.energies.std()),
            "fitted_energy_error": model.energy.error,
        },
        "relaxed": {
            "samples": len(model.members),
            "energy": model.model.energy,
            "moved": model.model.moved,
            "columns_misfit": model.model.misfit,
            "stretch": model.model.stretch,
        },
        "refined": _refined(model),
        "notes": model.notes(),
    }


def _refined(model: Model3D) -> dict[str, Any] | None:
    """Against the image's pixels; None if it was not."""
    found = model.refined
    if found is None:
        return None
    return {
        "moved": found.moved,
        "chi_square": found.chi_square,
        "chi_square_before": found.before,
        "ended": found.reason.value,
        "without_esd": found.untold,
        "off_their_sites": found.gone,
    }


def model_particle(model: Model3D) -> dict[str, Any]:
    """What `particle.json` has of the model: statistics of its atoms, as of a model from a map."""
    geometry, columns = _geometry(model)
    return particle_report(geometry, columns, model.atoms[0], _cutoff(model))


def write_model(stage: Path, model: Model3D) -> None:
    """Write `model3d.csv`, `model3d.cif`, `model3d.xyz` and `ensemble.xyz`.

    **Arguments:**

    - `stage`: where to.
    - `model`: what is written.
    """
    table = model_table(model)
    write_columns(stage / "model3d.csv", model_columns(model), table)
    chosen = model.sites.chosen
    n = int(chosen.sum())
    positions, esds = model.atoms
    unknown = np.full((n, 3, 3), np.nan)
    structure = Structure(
        [model.asked.symbol] * n,
        positions,
        unknown,
        np.full(n, np.nan),
        {
            name: np.asarray(table[name][chosen], float)
            for name in ("site", "column", "probability", "cn", "cn_esd")
        }
        | {f"{axis}_esd": esd for axis, esd in zip("xyz", esds.T, strict=True)},
        esds,
    )
    write_mmcif(stage / "model3d.cif", structure)
    write_xyz(stage / "model3d.xyz", structure)
    _write_ensemble(stage / "ensemble.xyz", model)


def _write_ensemble(path: Path, model: Model3D) -> None:
    """Relaxed samples, one frame each."""
    from ase import Atoms
    from ase.io import write

    frames = []
    for (chain, number), member in zip(model.samples, model.members, strict=True):
        columns, _ = model.sample(chain, number)
        atoms = Atoms([model.asked.symbol] * len(columns), member.positions)
        atoms.set_array("column", model.columns[columns] + 1)
        atoms.info = {"chain": chain + 1, "energy_eV": member.energy, "mirror_image_is_as_probable": True}
        frames.append(atoms)
    write(str(path), frames, format="extxyz")


def _cutoff(model: Model3D) -> float:
    return CUTOFF_PER_DISTANCE * element(model.asked.symbol).neighbour_distance * model.stacking.scale


def _geometry(model: Model3D) -> tuple[Geometry, dict[str, Float[np.ndarray, " n"]]]:
    """Of the atoms of the model, and what is known of each without it."""
    (positions, errors), cutoff = model.atoms, _cutoff(model)
    around = find_neighbours(positions, cutoff)
    geometry = measure_geometry(positions, errors, cutoff, element(model.asked.symbol))
    return geometry, {
        "cn": around.coordination_numbers.astype(float),
        "nn_distance": around.mean_distances,
    }
