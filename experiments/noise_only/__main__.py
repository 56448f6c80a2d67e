"""Noise alone must end with no atom, or be told; maps of particles must not be taken for noise."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from atomfit.elements import element
from atomfit.errors import InputError
from atomfit.grid import DensityMap
from atomfit.inspection import inspect
from atomfit.pipeline import build
from atomfit.preparation import prepare
from atomfit.simulation import Simulation, simulate
from experiments.noise_only.maps import MAPS, VOXEL
from experiments.recording import markdown, record

#: Of what is reported; limits were chosen on others, below 1000.
SEED, KEPT_SEEDS = 1000, range(1000, 1003)
#: Noise of the particles, as part of a peak, and over what it is correlated (Å).
NOISES = ((0.05, 0.0), (0.20, 0.0), (0.30, 0.0), (0.40, 0.0), (0.05, 0.6), (0.10, 0.6))
PT = element("Pt")


def main() -> None:
    parts = {"maps": maps, "kept": kept}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts), metavar="PART", help=", ".join(parts))
    for name in parser.parse_args().parts:
        here = Path(__file__).parent
        record(here / f"{name}.md", f"python -m experiments.noise_only {name}", *parts[name]())


def maps() -> Iterator[str]:
    """What is told of noise before a fit, and what `build` makes of it if a user insists."""
    rows = []
    for number, noise in enumerate(MAPS):
        jax.clear_caches()
        rows.append((number + 1, noise.name, *_built(noise.map(SEED + number))))
        print(*rows[-1], sep=" | ", flush=True)
    without = sum(row[3] == 0 for row in rows)
    bad = sum(row[5].startswith("bad") for row in rows)
    yield (
        f"`build` with element Pt, one map of each kind, 72³ voxels of {VOXEL} Å, seeds from {SEED}: "
        f"{without} of {len(rows)} end with no atom; insisting, {bad} of {len(rows)} verdicts are bad."
    )
    header = ("", "noise", "told before the fit", "atoms", "atoms, insisting", "verdict then", "seconds")
    yield markdown(header, rows)


def _built(density: DensityMap) -> tuple[str, int, int, str, str]:
    """What is told; atoms in the end, without and with insistence; the verdict; time of the fit."""
    begin = time.perf_counter()
    result = build(density, "Pt", insist=True)
    verdict, seconds = result.verdict, time.perf_counter() - begin
    try:
        prepare(density, "Pt")
        told, atoms = "", len(result)
    except InputError as error:
        told, atoms = error.problem, 0
    said = f"{verdict.level} ({', '.join(verdict.codes)})"
    return told, atoms, len(result), said, f"{seconds:.0f}"


def kept() -> Iterator[str]:
    """Whether particles are let through whose noise cannot be measured, or hardly."""
    rows = []
    for atoms in (13, 55, 309):
        for level, correlation in NOISES:
            said = [
                [_said(density) for density in _kinds(_particle(atoms, level, correlation, seed))]
                for seed in KEPT_SEEDS
            ]
            colour = f"blurred by {correlation} Å" if correlation else "white"
            rows.append((atoms, f"{level:.0%}, {colour}", *map(_counted, zip(*said, strict=True))))
            print(*rows[-1], sep=" | ", flush=True)
    yield (
        f"Particles of Pt that may be fitted, of {len(KEPT_SEEDS)} each; in brackets those that are "
        "refused as noise. Masked: by a hard sphere 1.1 Å around the atoms; clipped: at zero. What is "
        "refused for other reasons has nothing that stands out, or spots too wide or too narrow."
    )
    yield markdown(("atoms", "noise", "as it is", "clipped", "masked", "both"), rows)


def _particle(atoms: int, level: float, correlation: float, seed: int) -> Simulation:
    return simulate(
        size=atoms, rotate="random", noise=level, noise_correlation=correlation, seed=seed, voxel_size=VOXEL
    )


def _kinds(case: Simulation) -> list[DensityMap]:
    """The map as it is, clipped at zero, masked by a hard sphere, and both."""
    grid, values = case.map.grid, case.map.values
    places = grid.positions_of(np.argwhere(np.ones(grid.shape, bool)))
    reach = np.linalg.norm(case.positions - grid.centre, axis=1).max() + 3 * VOXEL
    mask = (np.linalg.norm(places - grid.centre, axis=1) < reach).reshape(grid.shape)
    kinds = (values, np.maximum(values, 0), values * mask, np.maximum(values * mask, 0))
    return [case.map.with_values(kind) for kind in kinds]


def _said(density: DensityMap) -> str:
    """ "" if it may be fitted; "noise" if it is taken for that; "other"."""
    doubts = inspect(density, PT).doubts
    if not doubts:
        return ""
    return "noise" if "may be noise" in doubts[0].problem else "other"


def _counted(said: tuple[str, ...]) -> str:
    noise = said.count("noise")
    return f"{said.count('')}" + (f" ({noise})" if noise else "")


if __name__ == "__main__":
    main()
