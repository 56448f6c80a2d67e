"""Columns of two images of one particle, with planted changes: what comparisons are judged by.

A particle is a patch of a face-centred lattice seen along [110], of an outline that has no symmetry, thick
in its middle. Its second image is turned anyhow, magnified, sheared, shifted, of another dose and gain; in
it some columns are gone, some new ones are at the border, some have an atom more or less, and some border
columns have moved. Tables have what `columns` writes: positions, cross-sections, their standard
uncertainties, heights in noise, and probabilities of counts.

Errors are those of counting electrons: a cross-section s of columns of the width w errs by
√((s + g) / dose) with g what the background adds, a position by w / s times that. Images themselves are not
made: what registration and tests of changes do is seen with errors that are known.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from atomfit.statistics.image_columns_seen import ImageColumns
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.structure.neighbours import nearest_distances

#: Edges of platinum's cell along [110] (Å), widths of columns (Å), and what one atom scatters (Å²).
_EDGES, _WIDTH, _ATOM = (2.775, 3.924), 0.45, 0.02
#: What the background adds to the variance, in cross-sections of an atom.
_BACKGROUND = 2.0
_MOST_ATOMS = 40


@final
@dataclass(frozen=True)
class ColumnChanges:
    """What is to change.

    **Fields:**

    - `lost`, `gained`: parts of the columns; gained ones are at the border.
    - `recounted`: part that has an atom more or less.
    - `moved`: part of the border's columns that moves, and `step`: how far (Å).
    """

    lost: float = 0.0
    gained: float = 0.0
    recounted: float = 0.0
    moved: float = 0.0
    step: float = 0.5


@final
@dataclass(frozen=True, eq=False)
class ChangedColumns:
    """Two images with the truth.

    **Fields:**

    - `a`, `b`: what was measured.
    - `motion`: what takes the second image into the frame of the first.
    - `origin`: which column of the first each of the second is; -1 for new ones.
    - `atoms_a`, `atoms_b`: of the columns.
    - `moved`: columns of the first that moved.
    """

    a: ImageColumns
    b: ImageColumns
    motion: PlaneMap
    origin: Int[np.ndarray, " m"]
    atoms_a: Int[np.ndarray, " n"]
    atoms_b: Int[np.ndarray, " m"]
    moved: Int[np.ndarray, " k"]

    def became(self, first: Int[np.ndarray, " rows"], second: Int[np.ndarray, " rows"]) -> np.ndarray:
        """What became of the columns of a comparison's rows; "mispaired" of one with another's partner.

        **Arguments:**

        - `first`, `second`: which column of either image each row has; -1 for none.
        """
        partner = np.full(len(self.a), -1)
        known = self.origin >= 0
        partner[self.origin[known]] = np.flatnonzero(known)
        kinds = []
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            if i < 0:
                kinds.append("gained" if self.origin[j] < 0 else "mispaired")
            elif partner[i] < 0:
                kinds.append("lost")
            elif j >= 0 and j != partner[i]:
                kinds.append("mispaired")
            elif i in self.moved:
                kinds.append("moved")
            else:
                kinds.append("common" if self.atoms_a[i] == self.atoms_b[partner[i]] else "changed")
        return np.array(kinds)


def changed_columns(
    seed: int,
    columns: int = 200,
    dose: float = 1e4,
    changes: ColumnChanges = ColumnChanges(),
) -> ChangedColumns:
    """Plant changes.

    **Arguments:**

    - `seed`: of all that is random.
    - `columns`: about how many.
    - `dose`: of the first image (electrons per Å²); the second has half to twice of it.
    - `changes`: what changes.
    """
    rng = np.random.default_rng(seed)
    sites, atoms, spare = particle_sites(rng, columns)
    n = len(sites)
    outer = nearest_to(sites, spare)
    gone = rng.choice(n, round(changes.lost * n), replace=False)
    new = rng.choice(len(spare), min(round(changes.gained * n), len(spare)), replace=False)
    stay = np.setdiff1d(np.arange(n), gone)
    recounted = rng.choice(stay, round(changes.recounted * n), replace=False)
    border = np.setdiff1d(np.intersect1d(outer, stay), recounted)
    moved = rng.choice(border, round(changes.moved * len(border)), replace=False)
    after, then = sites.copy(), atoms.copy()
    then[recounted] += np.where(atoms[recounted] > 1, rng.choice([-1, 1], len(recounted)), 1)
    angles = rng.uniform(0, 2 * np.pi, len(moved))
    after[moved] += changes.step * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places = np.concatenate([after[stay], spare[new]])
    counts = np.concatenate([then[stay], rng.integers(2, 6, len(new))])
    order = rng.permutation(len(places))
    origin = np.concatenate([stay, np.full(len(new), -1)])[order]
    matrix = _distorted(rng)
    shift = rng.uniform(-20, 20, 2)
    motion = PlaneMap(matrix, shift)
    in_b = (places[order] - shift) @ np.linalg.inv(matrix).T
    gain = float(np.exp(rng.normal(0, 0.3)))
    a = _imaged(rng, "a", sites, atoms, dose, 1.0)
    b = _imaged(rng, "b", in_b, counts[order], dose * 2 ** rng.uniform(-1, 1), gain)
    return ChangedColumns(a, b, motion, origin, atoms, counts[order], moved)


def nearest_to(sites: Float[np.ndarray, "n 2"], spare: Float[np.ndarray, "k 2"]) -> Int[np.ndarray, " m"]:
    """Sites at the border: those with an empty one beside them."""
    apart = np.linalg.norm(sites[:, None] - spare[None], axis=2).min(axis=1)
    return np.flatnonzero(apart < 1.1 * float(np.median(nearest_distances(sites))))


def law_of_atoms(n: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Cross-section of columns of n atoms (Å²), as large as those of annular dark field grow."""
    return np.asarray(_ATOM * n**0.95)


def particle_sites(
    rng: np.random.Generator, columns: int
) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, " n"], Float[np.ndarray, "k 2"]]:
    """Sites, their atoms, and the empty sites around."""
    half = int(np.ceil(columns**0.5)) + 4
    i, j = (x.ravel() for x in np.meshgrid(np.arange(-half, half), np.arange(-half, half)))
    cell = np.array([[_EDGES[0], 0.0], [_EDGES[0] / 2, _EDGES[1] / 2]])
    lattice = np.stack([i, j], axis=1) @ cell
    around = np.degrees(np.arctan2(lattice[:, 1], lattice[:, 0]))
    radius = (columns * abs(np.linalg.det(cell)) / np.pi) ** 0.5
    waves = sum(
        amplitude * np.cos(np.radians(k * around + rng.uniform(0, 360)))
        for k, amplitude in ((1, 0.06), (2, 0.12), (3, 0.1), (5, 0.05))
    )
    part = np.linalg.norm(lattice, axis=1) / (radius * (1 + waves))
    there = part < 1
    thick = 2 * radius / 2.775 * np.sqrt(np.maximum(1 - part[there] ** 2, 0.0)) * 0.7
    atoms = np.clip(np.rint(thick + rng.normal(0, 0.7, there.sum())), 1, _MOST_ATOMS).astype(int)
    sites = lattice[there] + rng.normal(0, 0.03, (there.sum(), 2))
    beside = ~there & (np.linalg.norm(lattice[:, None] - lattice[there][None], axis=2).min(axis=1) < 2.5)
    return sites, atoms, lattice[beside]


def _distorted(rng: np.random.Generator) -> Float[np.ndarray, "2 2"]:
    """A turn, with what is usual of magnification and distortion, within two per cent and one."""
    angle, size = rng.uniform(-np.pi, np.pi), rng.uniform(-0.02, 0.02)
    stretch, shear = rng.uniform(-0.01, 0.01, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ (np.eye(2) + np.array([[size + stretch, shear], [shear, size - stretch]]))


def _imaged(
    rng: np.random.Generator,
    name: str,
    places: Float[np.ndarray, "n 2"],
    atoms: Int[np.ndarray, " n"],
    dose: float,
    gain: float,
) -> ImageColumns:
    n, all_counts = len(places), np.arange(1, _MOST_ATOMS + 6)
    sizes = law_of_atoms(atoms)
    esds = np.sqrt((sizes + _BACKGROUND * _ATOM) / dose)
    noise = (_BACKGROUND * _ATOM / dose) ** 0.5
    errors = _WIDTH * esds / sizes
    found = sizes + esds * rng.normal(size=n)
    positions = places + errors[:, None] * rng.normal(size=(n, 2))
    scores = np.maximum(found / noise, 0.1)
    law = law_of_atoms(all_counts)
    p = np.exp(-0.5 * ((found[:, None] - law) / np.hypot(esds, 0.1 * _ATOM)[:, None]) ** 2) + 1e-300
    corners = np.stack([positions.min(axis=0), positions.max(axis=0)]) + np.array([[-8.0], [8.0]])
    return ImageColumns(
        name,
        np.arange(1, n + 1),
        ("Pt",) * n,
        positions,
        errors[:, None, None] ** 2 * np.eye(2),
        gain * found,
        gain * esds,
        scores,
        1000 * scores * np.exp(-np.minimum(scores**2 / 2, 700)),
        np.full(n, _WIDTH),
        np.zeros(n, int),
        p / p.sum(axis=1, keepdims=True),
        gain * law,
        0.05,
        corners,
    )
