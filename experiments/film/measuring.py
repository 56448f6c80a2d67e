"""A scene in, what `build` and a peak picker find in its map out, kept one file each.

A run that is stopped goes on with the same command. A method that has changed needs its old results deleted
first, as they are not looked at again (`local/film/KIND/found`).
"""

import time
from pathlib import Path

import numpy as np

from atomfit.detection.limits import LIMITS
from atomfit.detection.peaks import local_maxima
from atomfit.structure.grid import DensityMap
from experiments.film.made import SubArea, sub_area
from experiments.film.scenes import Kind, Scene
from experiments.film.scoring import Scored, scored
from experiments.keeping import kept

FOLDER = Path(__file__).parents[2] / "local" / "film"


def file_of(scene: Scene, folder: Path = FOLDER) -> Path:
    """Where a result is kept."""
    return folder / scene.kind / "found" / f"{scene.seed}.npz"


def measured(scene: Scene, folder: Path = FOLDER) -> Scored:
    """A scene's result beside the truth; what is not there yet is made.

    **Arguments:**

    - `scene`: what to measure.
    - `folder`: where all is kept.
    """
    return scored(kept(file_of(scene, folder), lambda: found(sub_area(scene, folder), scene.material)))


def found(area: SubArea, kind: Kind) -> dict[str, np.ndarray]:
    """What `build`, with no option set, and a peak picker find in a map, and the truth.

    **Arguments:**

    - `area`: the map.
    - `kind`: of the material, of which elements are told.
    """
    from atomfit.workflows.build import build

    begin = time.perf_counter()
    result = build(area.map, list(kind.symbols))
    seconds = time.perf_counter() - begin
    n = len(result)
    judgement = None if result.selection is None else result.selection.judgement
    esds = None if result.joint is None else result.joint.uncertainty.deviations[:, :3]
    picks, heights = maxima(area.map, kind)
    smooth_picks, smooth_heights = maxima(result.detection.denoised, kind)
    grid, nan = area.map.grid, np.full(n, np.nan)
    return {
        "positions": result.positions,
        "symbols": result.symbols.astype("U2"),
        "esds": np.full((n, 3), np.nan) if esds is None else esds,
        "scores": nan if judgement is None else judgement.scores,
        "evidence": nan if judgement is None else judgement.evidence,
        "q_values": nan if judgement is None else judgement.q_values,
        "cut": np.array(np.nan if judgement is None else judgement.cut),
        "rounds": np.array(0 if result.selection is None else result.selection.rounds),
        "noise_known": np.array(result.joint is not None and result.joint.inside is None),
        "discarded": result.discarded.positions,
        "discarded_scores": result.discarded.scores,
        "detected": result.detection.positions,
        "u_iso": result.statistics.fitted.u_iso,
        "warnings": np.array("\n".join(result.warnings)),
        "verdict": np.array(result.verdict.describe()),
        "picks": picks,
        "heights": heights,
        "smooth_picks": smooth_picks,
        "smooth_heights": smooth_heights,
        "truth": area.positions,
        "true_symbols": np.array(kind.symbols)[area.types],
        "shape": np.array(grid.shape),
        "spacing": grid.spacing,
        "origin": grid.origin,
        "denoiser": np.array(area.denoiser),
        "seconds": np.array(seconds),
    }


def maxima(density: DensityMap, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of a map (Å), no two nearer than atoms are, and their heights, highest first.

    **Arguments:**

    - `density`: the map.
    - `kind`: of the material, whose atoms' distance is known.
    """
    voxels = local_maxima(density, 0.0, LIMITS.closest * kind.apart)
    return density.grid.positions_of(voxels), density.at(voxels).astype(np.float64)
