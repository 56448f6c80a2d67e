"""Pairs of multislice images of one particle, in which nothing changed: images in, columns of both out.

The images are those of `experiments.columns.multislice_images`, free of noise, with the support of carbon
of `experiments.columns.multislice`. The second image of a pair is resampled: the specimen is turned by any
angle, magnified by up to 2 % and distorted by up to 1 % in both components, by splines of the fifth degree
(an image whose source is 0.4 Å wide has nothing that pixels of 0.15 Å could not hold). Both have Poisson
noise of their own, the second of half to twice the dose, and another gain. What `atomfit columns` finds is
kept in the folder, in `pairs`, which has to go when `atomfit` has changed.
"""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

import atomfit
from atomfit.files.image_columns import columns_table, particle, summary
from atomfit.io.image_columns import image_columns_of
from atomfit.io.json_files import plain
from atomfit.statistics.column_changes import compare_columns
from atomfit.statistics.image_columns_seen import ImageColumns
from atomfit.statistics.plane_maps import PlaneMap
from atomfit.verdict.of_column_comparison import judge_column_comparison
from experiments.columns.multislice import Truth
from experiments.columns.multislice_images import PAIRS
from experiments.recording import markdown

#: Degree of splines.
_DEGREE = 5
#: Specimens at each dose of the first image (e/Å²).
SPECIMENS = {1e4: PAIRS, 1e5: PAIRS[:10]}
#: Of all that is random of a pair; 0 to 14 were in view, with other specimens.
SEED = 20
RATES = (0.01, 0.05, 0.10)


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Columns of two images, and the map of the second into the first's frame (Å)."""

    a: ImageColumns
    b: ImageColumns
    motion: PlaneMap


def pair(folder: Path, name: str, dose: float, number: int = SEED) -> ImagePair:
    """A pair of images, or what was found in it before.

    **Arguments:**

    - `folder`: of the noise-free images.
    - `name`: of the specimen.
    - `dose`: of the first image (e/Å²).
    - `number`: a seed of all that is random.
    """
    file = folder / "pairs" / f"{name}_{number}_{dose:g}.pickle"
    truth = Truth.read(folder, name)
    rng = np.random.default_rng([number, int(dose), *map(ord, name)])
    motion, other = _motion(rng, truth), dose * 2 ** rng.uniform(-1, 1)
    gain = float(np.exp(rng.normal(0, 0.3)))
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        both = (
            _columns("a", truth.image, truth.pixel, dose, 1.0, rng),
            _columns("b", _resampled(folder, truth, motion), truth.pixel, other, gain, rng),
        )
        file.write_bytes(pickle.dumps(both))
    a, b = pickle.loads(file.read_bytes())
    return ImagePair(a, b, motion)


def _motion(rng: np.random.Generator, truth: Truth) -> PlaneMap:
    """What takes places of the second image into the first's, about the middle of both."""
    angle, size = rng.uniform(-np.pi, np.pi), rng.uniform(-0.02, 0.02)
    stretch, shear = rng.uniform(-0.01, 0.01, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ (np.eye(2) + np.array([[size + stretch, shear], [shear, size - stretch]]))
    middle = 0.5 * truth.pixel * (np.array(truth.image.shape[::-1]) - 1)
    shift = rng.uniform(-1, 1, 2)
    return PlaneMap(matrix, middle - matrix @ (middle + shift))


def _resampled(folder: Path, truth: Truth, motion: PlaneMap) -> np.ndarray:
    """The image in the second frame: particle with nothing around it, support without an end."""
    bare = np.maximum(np.load(folder / f"{truth.name}.npz")["image"], 0)
    support = truth.image - bare
    y, x = np.mgrid[: truth.image.shape[0], : truth.image.shape[1]]
    places = motion(truth.pixel * np.stack([x.ravel(), y.ravel()], axis=1)) / truth.pixel
    at = places[:, ::-1].T
    particle_only = map_coordinates(bare, at, order=_DEGREE, mode="constant")
    film = map_coordinates(support, at, order=_DEGREE, mode="grid-wrap")
    return np.maximum(particle_only + film, 0).reshape(truth.image.shape)


def _columns(
    name: str, image: np.ndarray, pixel: float, dose: float, gain: float, rng: np.random.Generator
) -> ImageColumns:
    electrons = dose * pixel**2
    noisy = gain * (rng.poisson(electrons * image) / electrons).astype(np.float32)
    found = atomfit.columns(noisy, "Pt", pixel_size=pixel, counts="off")
    table, _ = columns_table(found), found.counts
    return image_columns_of(name, table, None, plain(summary(found)), plain(particle(found, table)))


def multislice(folder: Path) -> Iterator[str]:
    """Table of all pairs: how well they are laid, and what is called changed though nothing did.

    **Arguments:**

    - `folder`: of the noise-free images.
    """
    rows = []
    for dose, specimens in SPECIMENS.items():
        every = []
        for kind in ("perfect", "relaxed"):
            found = [pair(folder, f"{k}_{seed}", dose) for k, seed in specimens if k == kind]
            rows.append(_row(f"{kind}, {dose:.0e} e/Å²", found))
            every += found
        rows.append(_row(f"all, {dose:.0e} e/Å²", every))
        rows.append(_row(f"all, {dose:.0e} e/Å², --calibrate", every, calibrate=True))
    header = (
        *("specimens, dose of the first image", "registered", "error an axis, Å: median / largest"),
        *(f"p below {100 * rate:g} %, % of columns" for rate in RATES),
        *(f"pairs with any false change at --fdr {rate:g}" for rate in RATES),
        *("error bars too small by: positions", "cross-sections"),
    )
    yield (
        "Nothing changed between the images, one pair of each specimen. Errors and changes are those of "
        "pairs that were laid right; of the others the verdict is told."
    )
    yield markdown(header, rows)


def _row(title: str, pairs: Sequence[ImagePair], calibrate: bool = False) -> list[str]:
    errors, p, scales, wrong = [], [], [], []
    called = dict.fromkeys(RATES, 0)
    for one in pairs:
        found = compare_columns(one.a, one.b, calibrate=calibrate)
        off = found.b_positions - one.motion(one.b.positions)
        if not found.registration.motion.alike(one.motion, one.b.positions.mean(axis=0)):
            verdict = judge_column_comparison(found)
            wrong.append(f"{verdict.level}: {', '.join(verdict.codes)}")
            continue
        errors.append(float(np.sqrt(np.mean(off**2))))
        p += found.p[np.isfinite(found.p)].tolist()
        scales.append((found.paired.scale.value, found.paired.brightness_scale.value))
        for rate in RATES:
            called[rate] += bool(np.any(found.q < rate))
    values = np.array(p)
    return [
        title,
        f"{len(errors)} of {len(pairs)}" + (f" ({'; '.join(sorted(set(wrong)))})" if wrong else ""),
        f"{np.median(errors):.4f} / {np.max(errors):.4f}",
        *(f"{100 * np.mean(values < rate):.2f}" for rate in RATES),
        *(str(n) for n in called.values()),
        *(f"{x:.2f}" for x in np.median(scales, axis=0)),
    ]
