"""Atoms in, images of a tilt series out: electrons that are counted, then denoised as the field does.

An atom's image is two Gaussians: probe and thermal motion, and the probe's tail. A film that is periodic
along x by L is so in an image tilted by θ along u by L cos θ: pixels divide that evenly, and have the edge
of voxels or hardly more or less. So nothing is cut off, and lines of the scan can be moved without an edge.

Electrons are Poisson; they are made of one variance (Anscombe 1948), denoised by block matching (BM3D,
Dabov et al. 2007; `pip install bm3d`) or, where that is not installed, by non-local means of scikit-image,
and made electrons again. Which of both it was is kept with the density.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import fft

from atomfit.rendering import Gaussians, render_map
from atomfit.structure.grid import Grid
from experiments.film.scenes import VOXEL, Imaging

#: Where Gaussians end (standard deviations).
_CUTOFF = 5.0
#: Anscombe's transform of no counts.
LEAST = 2 * np.sqrt(3 / 8)


@dataclass(frozen=True, eq=False)
class Tilted:
    """One image.

    **Fields:**

    - `angle`: tilt about y (degrees).
    - `pixels`: edges of a pixel along u and v (Å).
    - `values`: electrons per pixel, [v, u].
    """

    angle: float
    pixels: Float[np.ndarray, " 2"]
    values: Float[np.ndarray, "rows columns"]


def pixels_of(angle: float, period: tuple[int, int]) -> tuple[int, float]:
    """Pixels of a period along u at a tilt (degrees), and the edge of one (Å).

    **Arguments:**

    - `angle`: tilt (degrees).
    - `period`: voxels along x and y.
    """
    length = VOXEL * period[0] * np.cos(np.radians(angle))
    count = round(length / VOXEL)
    return count, float(length / count)


def projected(
    positions: Float[np.ndarray, "n 3"],
    brightness: Float[np.ndarray, " n"],
    angle: float,
    period: tuple[int, int],
    imaging: Imaging,
) -> Tilted:
    """Expected electrons of a pixel, without a background.

    **Arguments:**

    - `positions`: in Å.
    - `brightness`: of each atom, in that of a mean one.
    - `angle`: tilt (degrees): u = x cos + z sin.
    - `period`: voxels along x and y.
    - `imaging`: how it is imaged.
    """
    columns, pixel = pixels_of(angle, period)
    theta = np.radians(angle)
    lengths = np.array([pixel * columns, VOXEL * period[1]])
    seen = np.stack(
        [positions[:, 0] * np.cos(theta) + positions[:, 2] * np.sin(theta), positions[:, 1]], axis=1
    )
    seen = np.mod(seen, lengths)
    reach = _CUTOFF * imaging.tail_width
    copies, weights = _with_copies(seen, brightness, lengths, reach)
    parts = ((1 - imaging.tail, imaging.blur), (imaging.tail, imaging.tail_width))
    grid = Grid((period[1], columns), np.array([pixel, VOXEL]), np.zeros(2))
    values = sum(
        render_map(
            Gaussians(copies, np.broadcast_to(width**2 * np.eye(2), (len(copies), 2, 2)), part * weights),
            grid,
            _CUTOFF,
        ).astype(np.float64)
        for part, width in parts
    )
    return Tilted(angle, grid.spacing, imaging.electrons * pixel * VOXEL * values)


def _with_copies(
    seen: Float[np.ndarray, "n 2"],
    weights: Float[np.ndarray, " n"],
    lengths: Float[np.ndarray, " 2"],
    reach: float,
) -> tuple[Float[np.ndarray, "m 2"], Float[np.ndarray, " m"]]:
    """Atoms of a period, and those copies that reach into it."""
    found, kept = [], []
    for shift in np.ndindex(3, 3):
        moved = seen + (np.array(shift) - 1) * lengths
        near = np.all((moved > -reach) & (moved < lengths + reach), axis=1)
        found.append(moved[near])
        kept.append(weights[near])
    return np.concatenate(found), np.concatenate(kept)


def counted(image: Tilted, imaging: Imaging, rng: np.random.Generator) -> Tilted:
    """Electrons of a scan: lines and the whole image are off by a little, and counts are Poisson.

    **Arguments:**

    - `image`: expected electrons, without background.
    - `imaging`: how it is imaged.
    - `rng`: of lines, offsets and electrons.
    """
    rows, columns = image.values.shape
    offset = rng.normal(0, imaging.misaligned, 2)
    along = offset[0] + rng.normal(0, imaging.jitter, rows)
    frequencies = fft.rfftfreq(columns, image.pixels[0])
    moved = fft.ifft(
        fft.fft(image.values, axis=0)
        * np.exp(-2j * np.pi * fft.fftfreq(rows, image.pixels[1]) * offset[1])[:, None],
        axis=0,
    ).real
    lines = fft.rfft(moved, axis=1) * np.exp(-2j * np.pi * along[:, None] * frequencies)
    expected = fft.irfft(lines, columns, axis=1) + imaging.background * float(np.prod(image.pixels))
    return Tilted(image.angle, image.pixels, rng.poisson(np.maximum(expected, 0)).astype(np.float64))


def denoiser() -> str:
    """Which one there is: bm3d, or else non-local means."""
    from importlib.util import find_spec

    return "bm3d" if find_spec("bm3d") else "non-local means"


def denoised(image: Tilted, imaging: Imaging, by: str) -> Tilted:
    """Electrons without most of their noise and without the background.

    **Arguments:**

    - `image`: counts.
    - `imaging`: whose background is taken off.
    - `by`: bm3d or non-local means.
    """
    level = 2 * np.sqrt(image.values + 3 / 8)
    if by == "bm3d":
        from bm3d import bm3d

        smooth = np.asarray(bm3d(level, 1.0))
    else:
        from skimage.restoration import denoise_nl_means

        smooth = denoise_nl_means(level, 5, 9, h=0.8, sigma=1.0, fast_mode=True)
    electrons = counts_of(np.maximum(smooth, LEAST))
    return Tilted(image.angle, image.pixels, electrons - imaging.background * float(np.prod(image.pixels)))


def counts_of(levels: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Mean counts of which these are the means of 2 √(n + 3/8) (Mäkitalo & Foi 2011, the closed form).

    **Arguments:**

    - `levels`: not below 2 √(3/8).
    """
    root = np.sqrt(3 / 2)
    return levels**2 / 4 + root / 4 / levels - 11 / 8 / levels**2 + 5 / 8 * root / levels**3 - 1 / 8


def series(
    positions: Float[np.ndarray, "n 3"],
    brightness: Float[np.ndarray, " n"],
    period: tuple[int, int],
    imaging: Imaging,
    seed: int,
    by: str,
) -> list[Tilted]:
    """All images of a specimen, denoised; arguments as of `projected`, `counted` and `denoised`."""
    images = []
    for k, angle in enumerate(imaging.tilts):
        rng = np.random.default_rng([seed, 23, k])
        seen = counted(projected(positions, brightness, angle, period, imaging), imaging, rng)
        images.append(denoised(seen, imaging, by))
    return images
