"""A bounded store of imaged specimens on disk, and batches of noisy patches from it.

Each file is one specimen, named by its seed, and appears when it is complete; several processes may add to
one pool. The oldest go when there are too many. A batch depends on the pool, a seed and its number alone,
so that a run that is stopped and resumed draws what it would have drawn.
"""

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from atomfit.networks.residual_unet import CONDITIONS, known_features
from experiments.heights.specimens import PIXEL, Imaged, imaged

PATCH, SITES, BATCH = 128, 96, 8
#: Parts of patches all conditions of which are known, and of single ones that are.
_ALL_KNOWN, _ONE_KNOWN = 0.15, 0.15
DOSES = (100.0, 3e4)


@dataclass(frozen=True, eq=False)
class Batch:
    """Noisy patches and what is true of them.

    **Fields:**

    - `images`: electrons over their mean.
    - `features`: what the network is told.
    - `sites`: row and column (pixels, not whole) of columns, and of places where there is none.
    - `heights`: atoms at these.
    - `inside`: 1 for sites in the patch, 0 for what fills the table up or is beside it.
    - `present`: 1 for columns, within or just beside the patch.
    - `defocus`: nm.
    """

    images: Float[np.ndarray, "b rows columns"]
    features: Float[np.ndarray, "b f"]
    sites: Float[np.ndarray, "b n 2"]
    heights: Int[np.ndarray, "b n"]
    inside: Float[np.ndarray, "b n"]
    present: Float[np.ndarray, "b n"]
    defocus: Float[np.ndarray, " b"]


class Pool:
    """Imaged specimens of a crystal.

    **Arguments:**

    - `folder`: where they are.
    - `crystal`: CeO2, Pt, Au or a CIF file.
    - `most`: specimens that are kept.
    """

    def __init__(self, folder: Path, crystal: str, most: int = 300) -> None:
        self.folder, self.crystal, self.most = folder, crystal, most
        folder.mkdir(parents=True, exist_ok=True)
        self.held: dict[int, Imaged] = {}
        self.made = 0
        self.look()

    def look(self) -> None:
        """Take in what others have added, and forget what is gone."""
        there = sorted(int(path.stem) for path in self.folder.glob("[0-9]*.npz"))
        for seed in there[: -self.most]:
            self._path(seed).unlink(missing_ok=True)
        kept = there[-self.most :]
        self.held = {seed: self.held[seed] for seed in kept if seed in self.held}
        for seed in kept:
            if seed not in self.held:
                try:
                    self.held[seed] = load(self._path(seed))
                except (OSError, zipfile.BadZipFile, KeyError, ValueError):
                    self._path(seed).unlink(missing_ok=True)
        # By number, so that a batch does not depend on which came first.
        self.held = dict(sorted(self.held.items()))
        self.made = (kept[-1] + 1) if kept else 0

    def add(self, seed: int | None = None) -> None:
        """Make one more specimen.

        **Arguments:**

        - `seed`: of it; the next by default.
        """
        seed = self.made if seed is None else seed
        save(self._path(seed), imaged(self.crystal, seed, "training"))
        self.look()

    def batch(self, seed: int, number: int) -> Batch:
        """Patches at random.

        **Arguments:**

        - `seed`: of all batches.
        - `number`: of this one.
        """
        rng = np.random.default_rng([seed, 21, number])
        held = list(self.held.values())
        # The newest are half of those that are drawn.
        new = max(len(held) // 4, 1)
        patches = []
        for k in range(BATCH):
            of = held[-1 - rng.integers(new)] if k % 2 else held[rng.integers(len(held))]
            image = int(rng.integers(len(of.images)))
            dose = float(np.exp(rng.uniform(*np.log(DOSES))))
            patches.append(patch(of, image, dose, rng))
        return Batch(*(np.stack(each) for each in zip(*patches, strict=True)))

    def _path(self, seed: int) -> Path:
        return self.folder / f"{seed:08d}.npz"


def save(path: Path, what: Imaged) -> None:
    """Write a specimen, all of it or nothing.

    **Arguments:**

    - `path`, `what`: where, and what.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with new.open("wb") as file:
        np.savez(file, **{each.name: getattr(what, each.name) for each in fields(Imaged)})
    os.replace(new, path)


def load(path: Path) -> Imaged:
    """Read a specimen.

    **Arguments:**

    - `path`: where it is.
    """
    with np.load(path, allow_pickle=False) as file:
        return Imaged(*(file[each.name] for each in fields(Imaged)))


def noisy(
    mean: Float[np.ndarray, "rows columns"], transfer: float, rng: np.random.Generator
) -> Float[np.ndarray, "rows columns"]:
    """Electrons as they are counted, of such as are expected.

    **Arguments:**

    - `mean`: expected electrons.
    - `transfer`: of the detector for noise, at the Nyquist frequency.
    - `rng`: of the noise.
    """
    mean = np.maximum(mean.astype(np.float64), 0)
    noise = rng.poisson(mean) - mean
    if transfer < 1:
        ky, kx = (np.fft.fftfreq(n) for n in mean.shape)
        k2 = 4 * (ky[:, None] ** 2 + kx[: mean.shape[1] // 2 + 1] ** 2)
        noise = np.fft.irfft2(np.fft.rfft2(noise) / (1 + (1 / transfer - 1) * k2), mean.shape)
    return (mean + noise).astype(np.float32)


def patch(of: Imaged, image: int, dose: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """One patch, its fields in the order of `Batch`.

    **Arguments:**

    - `of`, `image`: a specimen, and which of its images.
    - `dose`: electrons per Å².
    - `rng`: of crop, turn and noise.
    """
    whole = of.images[image]
    row, column = (int(rng.integers(0, n - PATCH + 1)) for n in whole.shape)
    background = rng.uniform(0, 0.1) if rng.uniform() < 0.3 else 0.0
    scale = dose * PIXEL**2
    mean = scale * (float(np.mean(whole, dtype=np.float64)) + background)
    expected = scale * (whole[row : row + PATCH, column : column + PATCH].astype(np.float32) + background)
    seen = noisy(expected, float(of.conditions[image, 3]), rng) / mean
    places = of.positions[:, ::-1] / PIXEL - np.array([row, column])
    near = np.all((places > -6) & (places < PATCH + 5), axis=1)
    places, heights = places[near], of.heights[near]
    places, heights = np.concatenate([places, empty(places, rng)]), np.pad(heights, (0, 6))
    for axis in (0, 1):
        if rng.uniform() < 0.5:
            seen = np.flip(seen, axis)
            places[:, axis] = PATCH - 1 - places[:, axis]
    if rng.uniform() < 0.5:
        seen, places = seen.T, places[:, ::-1]
    inside = np.all((places > -0.5) & (places < PATCH - 0.5), axis=1)
    known = dict(zip(CONDITIONS, map(float, of.conditions[image]), strict=False))
    told = _ONE_KNOWN if rng.uniform() > _ALL_KNOWN else 1.0
    known = {name: value for name, value in known.items() if rng.uniform() < told}

    def table(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[:SITES], np.zeros((SITES - len(values[:SITES]), *values.shape[1:]))])

    return (
        np.ascontiguousarray(seen, np.float32),
        known_features(mean / PIXEL**2, known),
        table(places).astype(np.float32),
        table(heights).astype(np.int32),
        table(inside).astype(np.float32),
        table(heights > 0).astype(np.float32),
        np.float32(of.conditions[image, 0]),
    )


def empty(places: Float[np.ndarray, "n 2"], rng: np.random.Generator) -> Float[np.ndarray, "6 2"]:
    """Six places, most of which are far from all columns; the others are beside the patch.

    **Arguments:**

    - `places`: of columns (pixels).
    - `rng`: of the places.
    """
    tried = rng.uniform(0, PATCH - 1, (6, 2))
    if len(places):
        apart = np.linalg.norm(tried[:, None] - places[None], axis=2).min(axis=1)
        tried[apart < 2.5 / PIXEL] = -100.0
    return tried


def forever(pool: Pool, worker: int, workers: int) -> Iterator[int]:
    """Add specimens without end, for a training in another process.

    **Arguments:**

    - `pool`: to add to.
    - `worker`, `workers`: which of how many such processes this is.
    """
    seed = (pool.made // workers + 1) * workers + worker
    while True:
        pool.add(seed)
        yield seed
        seed += workers
