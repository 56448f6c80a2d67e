"""Noise alone must end with no atom, or be told; maps of particles must not be taken for noise."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from atomfit.doubts.inspection import inspect
from atomfit.simulation import Simulation, simulate
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError
from atomfit.workflows.build import build
from atomfit.workflows.preparation import prepare
from experiments.noise_only.maps import MAPS, VOXEL
from experiments.recording import markdown, record

#: Of what is reported; limits were chosen on others, below 1000.
SEEDS, KEPT_SEEDS = (1000, 2000, 3000), range(1000, 1003)
#: Numbers of the kinds that look most like atoms.
NASTIEST = (8, 9, 12, 16, 18)
#: Noise of the particles, as part of a peak, and over what it is correlated (Å).
NOISES = ((0.05, 0.0), (0.20, 0.0), (0.30, 0.0), (0.40, 0.0), (0.05, 0.6), (0.10, 0.6))
PT = element("Pt")


def main() -> None:
    parts = {"maps": maps, "insisting": insisting, "kept": kept}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts), metavar="PART", help=", ".join(parts))
    for name in parser.parse_args().parts:
        here = Path(__file__).parent
        record(here / f"{name}.md", f"python -m experiments.noise_only {name}", *parts[name]())


def maps() -> Iterator[str]:
    """What is told of noise before a fit; what is let through is fitted."""
    rows = []
    for number, noise in enumerate(MAPS):
        said = [_told(noise.map(first + number)) for first in SEEDS]
        through = [first for first, told in zip(SEEDS, said, strict=True) if not told]
        # One fit stands for what else is let through of a kind.
        fitted = _built(noise.map(through[0] + number)) if through else ("0", "")
        told = "; ".join(dict.fromkeys(re.sub(r"[0-9.]+", "…", one) for one in said if one))
        rows.append((number + 1, noise.name, told, f"{len(SEEDS) - len(through)} of {len(SEEDS)}", *fitted))
        print(*rows[-1], sep=" | ", flush=True)
    refused = [int(row[3].split()[0]) for row in rows]
    always = sum(n == len(SEEDS) for n in refused)
    yield (
        f"Element Pt, {len(SEEDS)} maps of each kind, 72³ voxels of {VOXEL} Å, seeds from {SEEDS[0]}. "
        f"{sum(refused)} of {len(SEEDS) * len(rows)} are refused before the fit, {always} of {len(rows)} "
        "kinds always. Numbers in sentences are left out."
    )
    yield markdown(("", "noise", "told before the fit", "refused", "atoms", "verdict"), rows)


def insisting() -> Iterator[str]:
    """What `build` makes of noise if a user insists."""
    rows = []
    for number in NASTIEST:
        jax.clear_caches()
        noise = MAPS[number - 1]
        rows.append((number, noise.name, *_built(noise.map(SEEDS[0] + number - 1))))
        print(*rows[-1], sep=" | ", flush=True)
    yield "Kinds of `maps.md` that were let through before noise was asked for, with `insist=True`."
    yield markdown(("", "noise", "atoms", "verdict"), rows)


def _told(density: DensityMap) -> str:
    """What is told before a fit; nothing if a map is let through."""
    try:
        prepare(density, "Pt")
    except InputError as error:
        return error.problem
    return ""


def _built(density: DensityMap) -> tuple[str, str]:
    """How many atoms are found, insisting, and the verdict."""
    result = build(density, "Pt", insist=True)
    return str(len(result)), f"{result.verdict.level} ({', '.join(result.verdict.codes)})"


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
