"""Images in another order, and images that have drifted: what is found, and what if limits were others?"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from atomfit.doubts import order
from atomfit.projection import agreement, drift
from atomfit.projection.agreement import spots
from atomfit.projection.views import TiltSeries
from atomfit.simulation.particles import particle
from experiments.many_atoms.__main__ import PIXEL, glass, series
from experiments.recording import markdown, record

SEEDS = range(510, 514)
DOSES, ROUGH = (1.0, 0.3, 0.1), (0.0, 0.3)
#: Distance of neighbours in each kind of particle (Å).
DISTANCES = {"icosahedron": 2.77, "crystal": 2.77, "glass": 2.35}
#: Factors on the limits: of standard errors, and of the part of a correlation.
FACTORS = ((1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 2.0), (0.5, 0.5), (2.0, 2.0))
HEADER = (
    "standard errors",
    "part",
    "in order",
    "two exchanged",
    "shuffled",
    "in place",
    "drifted",
    "wrongly",
)


@dataclass(frozen=True, eq=False)
class Trial:
    """A series, atoms to start from, and what was done to its images."""

    series: TiltSeries
    atoms: Float[np.ndarray, "n 3"]
    distance: float
    exchanged: tuple[int, int]
    shuffled: np.ndarray
    drifts: Float[np.ndarray, "v 2"]

    @classmethod
    def of(cls, kind: str, dose: float, rough: float, seed: int) -> "Trial":
        """One that can be made again."""
        rng = np.random.default_rng(seed)
        if kind == "glass":
            atoms = glass(int(rng.integers(150, 600)), rng)
        else:
            shape, size = ("icosahedron", 5) if kind == "icosahedron" else ("sphere", 300)
            turn = Rotation.random(random_state=rng)
            atoms = particle(shape, "Pt", size, seed) @ turn.as_matrix().T
        images, views = series(atoms, dose, rng)
        whole = TiltSeries(images, np.ones(images.shape, bool), PIXEL, views, np.zeros(3))
        v = len(images)
        drifts = np.zeros((v, 2))
        far = rng.choice(v, 6, replace=False)
        sizes, angles = rng.uniform(3, 8, 6), rng.uniform(0, 2 * np.pi, 6)
        drifts[far] = np.round(np.stack([sizes * np.cos(angles), sizes * np.sin(angles)], axis=1))
        a, b = sorted(int(k) for k in rng.choice(v, 2, replace=False))
        off = atoms + rng.normal(0, rough, atoms.shape)
        return cls(whole, off, DISTANCES[kind], (a, b), rng.permutation(v), drifts)

    def refused(self, images_of: np.ndarray) -> str:
        """What is said of the images in an order; empty if nothing."""
        given = replace(self.series, images=self.series.images[images_of])
        found = order.order_doubts(given, self.atoms, self.distance)
        return found[0].problem if found else ""

    def outcome(self) -> np.ndarray:
        """Right and all, for each column."""
        v = np.arange(len(self.series))
        a, b = self.exchanged
        two = v.copy()
        two[[a, b]] = b, a
        named = f"image {a} with view {b}, {b} with view {a}, counted"
        moved = np.any(self.drifts != 0, axis=1)
        images = np.stack(
            [
                np.roll(image, (int(down), int(across)), (0, 1))
                for image, (across, down) in zip(self.series.images, self.drifts, strict=True)
            ]
        )
        width = 0.23 * self.distance / PIXEL
        views = zip(self.series.views.rotations, self.series.views.centres, strict=True)
        drawn = np.stack([spots(self.atoms, r, c, self.series, width) for r, c in views])
        found = drift.drifts(drawn, replace(self.series, images=images))
        near = np.abs(found - self.drifts).max(axis=1) <= 1
        changed = np.any(found != 0, axis=1)
        return np.array(
            [
                [bool(self.refused(v)), 1],
                [named in self.refused(two), 1],
                [bool(self.refused(self.shuffled)), 1],
                [np.sum(changed & ~moved), np.sum(~moved)],
                [np.sum(near & moved), np.sum(moved)],
                [np.sum(changed & moved & ~near), np.sum(moved)],
            ]
        )


def rows(factors: tuple[tuple[float, float], ...]) -> Iterator[tuple[str, ...]]:
    """A line of the table for each pair of limits."""
    trials = [Trial.of(*each) for each in product(DISTANCES, DOSES, ROUGH, SEEDS)]
    errors, part = agreement._ERRORS, agreement._PART
    for of_errors, of_part in factors:
        agreement._ERRORS, agreement._PART = of_errors * errors, of_part * part
        total = np.sum([trial.outcome() for trial in trials], axis=0)
        told = tuple(f"{right} of {every}" for right, every in total)
        yield (f"{of_errors * errors:g}", f"{of_part * part:g}", *told)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = []
    for row in rows(FACTORS):
        print(*row, sep=" | ", flush=True)
        found.append(row)
    record(Path(__file__).with_name("table.md"), "python -m experiments.views", markdown(HEADER, found))


if __name__ == "__main__":
    main()
