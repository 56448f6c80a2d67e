"""Atoms in columns of simulated particles: how many counts are exact, and are probabilities and errors
right?

`python -m experiments.columns.counting [PARTS] [--library FILE]`. Particles are of fcc platinum along
[110]: cubes, octahedra and what lies between them, unequal along their axes, a third of them perfect,
the others with a bumpy outline and lost surface atoms. A column of k atoms scatters, with numbers that
differ between particles,

    μ_k = 0.024 Å² Σ_{j ≤ k} exp(-m (j - 1)) [1 + A cos(2π j / ξ + φ)],

m of 0.005 to 0.03 (absorption), A of 0.1 to 0.3, ξ of 8 to 14 atoms (channelling), and φ any phase:
steps of 0.015 to 0.03 Å², as of simulated libraries. `--library` takes a real one for all particles
instead. The image's scale is off by -3 to 3 %, and counts of electrons are Poisson's: the cross-section
is their number by the dose. Seeds below 100 were in view when priors were set.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atomfit.io.cross_sections import read_cross_sections
from atomfit.statistics import Counts, Library, count_atoms
from experiments.columns.mixtures import icl_counts
from experiments.recording import markdown, record

DOSES = (1e3, 2e3, 5e3, 1e4)
FIRST_SEED = 100
PARTICLES = {"library": 40, "neighbours": 40, "unknown": 12, "unknown_neighbours": 3}
CONSTANT = 3.92
#: Of particles with many columns.
LARGE_DOSE = 5e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", help="of " + ", ".join((*PARTICLES, "large")) + "; all by default"
    )
    parser.add_argument("--library", type=Path, help="of all particles")
    parser.add_argument("--particles", type=int, help="of each part and dose")
    given = parser.parse_args()
    parts = given.parts or [*PARTICLES, "large"]
    text = [
        part
        for name in parts
        for part in (
            _large(given.particles or 2)
            if name == "large"
            else _part(name, given.particles or PARTICLES[name], given.library)
        )
    ]
    whole = given.library is None and not given.parts and given.particles is None
    if whole:
        record(Path(__file__).parent / "counting.md", "python -m experiments.columns.counting", *text)
    else:
        print("\n\n".join(text))


@dataclass(frozen=True)
class Case:
    """A simulated particle: positions (Å), counts, the library, what was measured (Å²), and its scale."""

    positions: np.ndarray
    counts: np.ndarray
    library: np.ndarray
    values: np.ndarray
    esds: np.ndarray
    scale: float

    def nearest(self, perfect: bool) -> np.ndarray:
        """Where the nearest cross-section of the library, as it is or with its true scale, is the truth."""
        library = self.library * (self.scale if perfect else 1.0)
        return np.asarray(np.abs(self.values[:, None] - library).argmin(axis=1) + 1 == self.counts)


def case(seed: int, dose: float, library: np.ndarray | None = None) -> Case:
    positions, counts = particle(seed)
    law = made_library(seed) if library is None else library
    return measured_case(seed, dose, positions, counts, law)


def measured_case(
    seed: int, dose: float, positions: np.ndarray, counts: np.ndarray, law: np.ndarray
) -> Case:
    """What electrons of a dose make of a particle."""
    rng = np.random.default_rng([seed, 1])
    scale = 1 + rng.uniform(-0.03, 0.03)
    electrons = np.maximum(rng.poisson(dose * scale * law[counts - 1]), 1)
    return Case(positions, counts, law, electrons / dose, np.sqrt(electrons) / dose, scale)


def made_library(seed: int, atoms: int = 30) -> np.ndarray:
    """By the formula above."""
    rng = np.random.default_rng([seed, 2])
    k = np.arange(1, atoms + 1)
    wave = 1 + rng.uniform(0.1, 0.3) * np.cos(2 * np.pi * (k / rng.uniform(8, 14) + rng.random()))
    return np.asarray(np.cumsum(0.024 * np.exp(-rng.uniform(0.005, 0.03) * (k - 1)) * wave))


def particle(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns along [110], and their counts; 0, 0.15 and 0.3 of a lattice constant rough in turn."""
    rng = np.random.default_rng([seed, 3])
    rough, reach = (0.0, 0.15, 0.3)[seed % 3], np.arange(-16, 17)
    sites = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = 0.5 * sites[sites.sum(axis=1) % 2 == 0] + rng.uniform(-0.5, 0.5, 3)
    size, cut = rng.uniform(2.6, 4.2), rng.uniform(1.2, 2.0)
    away = np.abs(sites * rng.uniform(0.85, 1.15, 3))
    directions = rng.normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    outward = sites / np.maximum(np.linalg.norm(sites, axis=1, keepdims=True), 1e-9)
    bumps = np.cos(3 * np.pi * outward @ directions.T + rng.uniform(0, 2 * np.pi, 12)).sum(axis=1)
    radius = size + rough * bumps / 3
    inside = (away.max(axis=1) <= radius) & (away.sum(axis=1) <= cut * radius)
    surface = away.sum(axis=1) > cut * radius - 0.6
    atoms = sites[inside & ~(surface & (rng.random(len(sites)) < 0.5 * rough))] * CONSTANT
    plane = np.column_stack([(atoms[:, 0] - atoms[:, 1]) / np.sqrt(2), atoms[:, 2]])
    return np.unique(np.round(plane, 3), axis=0, return_counts=True)


def _part(name: str, particles: int, file: Path | None) -> Iterator[str]:
    known, near = not name.startswith("unknown"), name.endswith("neighbours")
    real = None if file is None else read_cross_sections(file).cross_sections
    title = ("With a library" if known else "Without a library") + (" and neighbours" if near else "")
    rows = []
    for dose in DOSES:
        found = []
        for seed in range(FIRST_SEED, FIRST_SEED + particles):
            one = case(seed, dose, real)
            counts = count_atoms(
                one.values,
                one.esds,
                library=Library(one.library) if known else None,
                positions=one.positions if near else None,
            )
            found.append((one, counts))
        rows.append([f"{dose:g}", *_measures(found), *_beside(found, known)])
    beside = (
        ["nearest, library off", "nearest, perfect library"]
        if known
        else ["ICL: exact", "levels", "told how many, and shifted"]
    )
    header = ["dose, e/Å²", "exact", "its probability", "ECE", "68 % sets: held, true", "95 % sets"]
    header += ["total: z", "within 1.96 σ", "σ, %", "levels", *beside]
    yield f"## {title} ({particles} particles a dose)"
    yield markdown(header, rows)


def dome(columns: int, seed: int, thick: float = 14.0) -> tuple[np.ndarray, np.ndarray]:
    """About so many columns along [110], of a flat particle that is rounded off, and their counts."""
    rng = np.random.default_rng([seed, 9])
    cell = np.array([CONSTANT / np.sqrt(2), CONSTANT])
    radius = np.sqrt(0.5 * columns * np.prod(cell) / np.pi)
    reach = np.arange(-int(radius / cell[0]) - 3, int(radius / cell[0]) + 4)
    corners = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2)
    places = np.concatenate([corners, corners + 0.5]) * cell + rng.uniform(-1, 1, 2)
    far = np.linalg.norm(places, axis=1) / radius
    places, far = places[far < 1], far[far < 1]
    height = thick * np.sqrt(1 - far**2) + rng.normal(0, 0.3, len(places))
    return places, np.maximum(np.rint(height).astype(int), 1)


def _large(particles: int) -> Iterator[str]:
    """Particles of many columns, by time and by whether the total is right."""
    rows = []
    for columns in (500, 2000, 6000):
        for known in (True, False):
            for near in (False, True):
                seconds, right, errors = [], [], []
                for seed in range(FIRST_SEED, FIRST_SEED + particles):
                    positions, counts = dome(columns, seed)
                    one = measured_case(seed, LARGE_DOSE, positions, counts, made_library(seed))
                    begin = time.process_time()
                    found = count_atoms(
                        one.values,
                        one.esds,
                        library=Library(one.library) if known else None,
                        positions=one.positions if near else None,
                    )
                    seconds.append(time.process_time() - begin)
                    right.append(np.mean(found.most_likely == counts))
                    errors.append(f"{found.total - counts.sum():+.0f} ± {found.total_esd:.0f}")
                rows.append(
                    [
                        f"{len(counts)}",
                        *("yes" if one else "no" for one in (known, near)),
                        f"{np.mean(seconds):.1f}",
                        f"{100 * np.mean(right):.1f} %",
                        ", ".join(errors).replace("-", "−"),
                    ]
                )
    yield f"## Many columns, {LARGE_DOSE:g} e/Å² ({particles} particles)"
    yield markdown(["columns", "library", "neighbours", "CPU, s", "exact", "error of the total"], rows)


def _measures(found: list[tuple[Case, Counts]]) -> list[str]:
    truth = np.concatenate([one.counts for one, _ in found])
    best = np.concatenate([counts.most_likely for _, counts in found])
    sure = np.concatenate([counts.probability for _, counts in found])
    right = best == truth
    z = np.array([(counts.total - one.counts.sum()) / max(counts.total_esd, 0.5) for one, counts in found])
    error = np.median([counts.total_esd / one.counts.sum() for one, counts in found])
    sets = []
    for name in ("sets_68", "sets_95"):
        low, high, held = (
            np.concatenate([getattr(getattr(counts, name), field) for _, counts in found])
            for field in ("low", "high", "held")
        )
        inside = (low <= truth) & (truth <= high)
        sets.append(f"{100 * held.mean():.1f}, {100 * inside.mean():.1f}")
    return [
        f"{100 * right.mean():.1f} %",
        f"{100 * sure.mean():.1f} %",
        f"{100 * calibration_error(sure, right):.1f} %",
        *sets,
        f"{np.sqrt(np.mean(z**2)):.2f}",
        f"{np.sum(np.abs(z) < 1.96)} of {len(z)}",
        f"{100 * error:.1f}",
        f"{np.mean([len(np.unique(c.most_likely)) / len(np.unique(o.counts)) for o, c in found]):.2f}",
    ]


def calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: of the likeliest counts' probability, in bins of equal width."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    off = [abs(np.sum(probability[which == b]) - np.sum(right[which == b])) for b in range(bins)]
    return float(np.sum(off) / len(right))


def _beside(found: list[tuple[Case, Counts]], known: bool) -> list[str]:
    if known:
        return [
            f"{100 * np.mean(np.concatenate([one.nearest(perfect) for one, _ in found])):.1f} %"
            for perfect in (False, True)
        ]
    plain, told, number = [], [], []
    for one, _ in found:
        counts, there = icl_counts(one.values), len(np.unique(one.counts))
        plain.append(counts == one.counts)
        number.append(len(np.unique(counts)) / there)
        # What the rule would do if truth chose the number of components and that of the first.
        counts = icl_counts(one.values, there)
        told.append(counts + int(np.median(one.counts - counts)) == one.counts)
    return [
        f"{100 * np.concatenate(plain).mean():.1f} %",
        f"{np.mean(number):.2f}",
        f"{100 * np.concatenate(told).mean():.1f} %",
    ]


if __name__ == "__main__":
    main()
