"""Planted columns as `atomfit columns` leaves them on disk."""

import csv
import json
from pathlib import Path

import numpy as np

from atomfit.statistics.image_columns_seen import ImageColumns

TITLES = (
    *("id", "element", "x", "y", "x_esd", "y_esd", "cross_section", "cross_section_esd", "width"),
    *("score", "false", "facet"),
)


def write_columns_result(directory: Path, image: ImageColumns, bare: bool = False) -> Path:
    """A directory with the tables and records that comparisons read; `bare`: with `columns.csv` alone."""
    directory.mkdir(parents=True)
    esds = np.sqrt(np.diagonal(image.covariances, axis1=1, axis2=2))
    with open(directory / "columns.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TITLES)
        for k in range(len(image)):
            numbers = (image.cross_sections, image.cross_section_esds, image.widths, image.scores)
            others = [values[k] for values in (*numbers, image.false, image.facets)]
            writer.writerow([image.ids[k], "Pt", *image.positions[k], *esds[k], *others])
    if bare or image.probabilities is None or image.law is None or image.corners is None:
        return directory
    with open(directory / "count_probabilities.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *(f"p_{i + 1}" for i in range(image.probabilities.shape[1]))])
        for number, row in zip(image.ids, image.probabilities, strict=True):
            writer.writerow([number, *row.round(5)])
    with open(directory / "counts.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["count", "cross_section"])
        writer.writerows(enumerate(image.law.tolist(), 1))
    low, high = image.corners
    shape = np.rint((high - low) / 0.1).astype(int)[::-1]
    told = {"shape_yx": shape.tolist(), "pixel_size": 0.1, "origin": (low + 0.05).tolist()}
    (directory / "summary.json").write_text(json.dumps({"image": told, "selection": {"fdr": 0.05}}))
    (directory / "particle.json").write_text(json.dumps({"facets": [{"indices": [1, 1]}]}))
    return directory
