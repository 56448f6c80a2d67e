"""Centres of mass of FePt reconstructions: what is gained by knowing where the atoms are."""

import argparse
from pathlib import Path

import numpy as np

from atomfit.detection.detect import detect
from atomfit.io.mrc import read_map
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap
from atomfit.structure.matching import match
from experiments.recording import markdown, record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="directory with fept_482")
    folder = parser.parse_args().data / "fept_482"
    lines = (folder / "atoms_truth.xyz").read_text().splitlines()[2:]
    truth = np.array([line.split()[1:4] for line in lines], float)
    rows = []
    for path in sorted(folder.glob("recon*.mrc")):
        density = read_map(path).map
        found = detect(density, element("Pt"), faintest=element("Fe").number / element("Pt").number)
        row = [path.stem]
        for begin in (truth, found.positions):
            for reach in (2, 3, 4):
                pairs = match(centres_of_mass(density, begin, reach), truth)
                row.append(f"{pairs.rmsd:.2f}")
        rows.append((*row, f"{match(found.positions, truth).rmsd:.2f}"))
        print(*rows[-1], sep=" | ")
    header = ("map", *(f"{where}, {n}³" for where in ("true places", "maxima") for n in (5, 7, 9)))
    record(
        Path(__file__).parent / "centres.md",
        "python -m experiments.selection.centres DATA",
        "RMSD (Å) of centres of mass in windows of so many voxels, clipped at zero, and of the maxima.",
        markdown((*header, "maxima alone"), rows),
    )


def centres_of_mass(density: DensityMap, places: np.ndarray, reach: int) -> np.ndarray:
    """Of the positive voxels around the voxel of each place (Å)."""
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    voxels = density.grid.nearest_voxels(places)[:, None] + offsets
    inside = np.all((voxels >= 0) & (voxels < density.grid.shape), axis=2)
    voxels = np.clip(voxels, 0, np.array(density.grid.shape) - 1)
    weights = np.where(inside, np.clip(density.at(voxels.reshape(-1, 3)).reshape(inside.shape), 0, None), 0)
    positions = density.grid.positions_of(voxels.reshape(-1, 3)).reshape(*inside.shape, 3)
    return np.sum(weights[..., None] * positions, axis=1) / np.sum(weights, axis=1)[:, None]


if __name__ == "__main__":
    main()
