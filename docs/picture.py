"""Draws the README's picture from what `make demo` wrote: `python docs/picture.py` (needs matplotlib)."""

import csv
from pathlib import Path

import matplotlib
import mrcfile
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Ellipse

DEMO = Path("demo")
HALF_PROBABILITY = 1.538


def main() -> None:
    with mrcfile.open(DEMO / "particle/map.mrc") as file:
        values, voxel = file.data.copy(), float(file.voxel_size.x)
    model, residual = (mrcfile.read(DEMO / f"result/{name}.mrc") for name in ("model", "residual"))
    with open(DEMO / "result/atoms.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    atoms = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name[0] in "xyzu"}
    truth = read_truth(rows)
    k = values.shape[0] // 2
    edge = np.array([0, values.shape[2], 0, values.shape[1]]) * voxel
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.7), layout="constrained")
    top = np.quantile(values[k], 0.999)
    for axis, image, title in zip(
        axes,
        (values[k], model[k], residual[k]),
        ("map (5 % noise)", "refined model", "residual"),
        strict=False,
    ):
        axis.imshow(image, origin="lower", extent=edge, cmap="gray", vmin=-0.15 * top, vmax=top)
        axis.set(title=title, xticks=[], yticks=[])
    near = np.abs(atoms["z"] - k * voxel) < 0.9
    for axis in axes[:3]:
        axis.set_xlim(atoms["x"].min() - 4, atoms["x"].max() + 4)
        axis.set_ylim(atoms["y"].min() - 4, atoms["y"].max() + 4)
    for i in np.flatnonzero(near):
        u = np.array([[atoms["u11"][i], atoms["u12"][i]], [atoms["u12"][i], atoms["u22"][i]]])
        lengths, vectors = np.linalg.eigh(u)
        width, height = 2 * HALF_PROBABILITY * np.sqrt(lengths)
        angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
        outline = Ellipse(
            (atoms["x"][i], atoms["y"][i]), width, height, angle=angle, fill=False, color="orange"
        )
        axes[1].add_patch(outline)
    axes[1].set_title("refined model, 50 % ellipsoids")
    joint, baseline = (
        np.array([float(row[name] or "nan") for row in rows]) for name in ("u_iso", "logfit_u_iso")
    )
    axes[3].plot(truth, baseline, ".", ms=4, color="0.6", label="per-atom log-fit")
    axes[3].plot(truth, joint, ".", ms=4, color="C0", label="joint fit")
    axes[3].axline((0.2, 0.2), slope=1, color="k", lw=0.8)
    axes[3].set(xlabel="true U$_{iso}$, Å²", ylabel="found, Å²", title="displacements", ylim=(0.1, 0.5))
    axes[3].legend(frameon=False, fontsize=8)
    figure.savefig("docs/picture.png", dpi=110)


def read_truth(rows: list[dict[str, str]]) -> np.ndarray:
    """True U_iso of each found atom (Å²): that of the nearest planted one."""
    with open(DEMO / "particle/truth.csv", newline="") as file:
        known = list(csv.DictReader(file))
    place = [np.array([[float(row[c]) for c in "xyz"] for row in table]) for table in (rows, known)]
    nearest = np.argmin(((place[0][:, None] - place[1]) ** 2).sum(axis=2), axis=1)
    return np.array([float(row["u_iso"]) for row in known])[nearest]


if __name__ == "__main__":
    main()
