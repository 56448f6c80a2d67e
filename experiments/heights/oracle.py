"""A scene and doses in, probabilities of each column's heights, if all but that column is known, out.

Two variants: a column's beginning is known, or all beginnings that fit in ten planes are as likely. A
column that lacks an atom within is known to lack it there. Where noise is correlated, counts are made such
as they were before the detector spread them: the oracle knows its transfer, and the law is Poisson's.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float

from atomfit.column_heights.limit import Hypotheses, contrasts_of, posteriors
from experiments.heights.made import Made, Room
from experiments.heights.specimens import MOST, PIXEL

Starts = Literal["known", "unknown"]


def oracle(
    made: Made, doses: tuple[float, ...], draws: int, starts: Starts = "known"
) -> Float[np.ndarray, "doses draws n levels"]:
    """Probabilities of heights.

    **Arguments:**

    - `made`: the scene.
    - `doses`: electrons per Å².
    - `draws`: of the noise; the first is what is measured.
    - `starts`: whether columns' beginnings are known.
    """
    transfer = made.scene.options.noise_mtf

    def see(occupancies: np.ndarray) -> np.ndarray:
        seen = np.asarray(made.see(occupancies))
        return (made.expected + unspread(seen - made.expected, transfer))[None]

    contrasts = contrasts_of(hypotheses_of(made, starts), see, PIXEL)
    found = []
    for dose in doses:
        electrons = np.stack([drawn(made.expected, made.scene.seed, dose, k) for k in range(draws)])
        found.append(posteriors(contrasts, electrons.astype(np.float32), dose * PIXEL**2))
    return np.stack(found).astype(np.float32)


def hypotheses_of(made: Made, starts: Starts = "known") -> Hypotheses:
    """What heights columns might have.

    **Arguments:**

    - `made`: the scene.
    - `starts`: whether columns' beginnings are known.
    """
    room = made.room
    present, heights = [], []
    for c in range(len(room.members)):
        tried, of = [], []
        for height in range(MOST + 1):
            for start in [int(room.starts[c])] if starts == "known" or not height else range(MOST):
                planes = _planes(room, c, start, height)
                fits = not planes.any() or np.flatnonzero(planes)[-1] < MOST + (room.gaps[c] >= 0)
                if planes.sum() == height and (fits or starts == "known"):
                    tried.append(planes)
                    of.append(height)
        present.append(tried)
        heights.append(of)
    most = max(map(len, heights), default=0)
    several, count = room.members.shape[1], len(heights)
    table, numbers = np.zeros((count, most, several), bool), np.full((count, most), -1)
    for c in range(count):
        table[c, : len(heights[c])], numbers[c, : len(heights[c])] = present[c], heights[c]
    occupancies = np.asarray(room.atoms.occupancies)
    return Hypotheses(made.columns.positions, occupancies, room.members, table, numbers)


def _planes(room: Room, c: int, start: int, height: int) -> np.ndarray:
    """Which planes a column of another height would have."""
    free = np.arange(room.members.shape[1]) >= start
    free &= np.arange(len(free)) != room.gaps[c]
    return free & (np.cumsum(free) <= height)


def drawn(
    expected: Float[np.ndarray, "rows columns"], seed: int, dose: float, draw: int
) -> Float[np.ndarray, "rows columns"]:
    """Electrons of an image, before a detector spreads them.

    **Arguments:**

    - `expected`: in parts of the dose.
    - `seed`, `draw`: of the noise.
    - `dose`: electrons per Å².
    """
    rng = np.random.default_rng([seed, 13, int(dose), draw])
    return rng.poisson(np.maximum(dose * PIXEL**2 * expected.astype(np.float64), 0)).astype(np.float64)


def counts(
    expected: Float[np.ndarray, "rows columns"], seed: int, dose: float, transfer: float, draw: int = 0
) -> Float[np.ndarray, "rows columns"]:
    """Counts as a detector gives them.

    **Arguments:**

    - `expected`, `seed`, `dose`, `draw`: as above.
    - `transfer`: of noise, at the Nyquist frequency.
    """
    mean = np.maximum(dose * PIXEL**2 * expected.astype(np.float64), 0)
    noise = drawn(expected, seed, dose, draw) - mean
    return (mean + np.fft.irfft2(np.fft.rfft2(noise) * _transfer(mean.shape, transfer), mean.shape)).astype(
        np.float32
    )


def unspread(
    image: Float[np.ndarray, "rows columns"], transfer: float
) -> Float[np.ndarray, "rows columns"]:
    """An image before a detector spread it as it spreads noise.

    **Arguments:**

    - `image`: of any kind.
    - `transfer`: at the Nyquist frequency.
    """
    if transfer == 1:
        return image
    return np.fft.irfft2(np.fft.rfft2(image) / _transfer(image.shape, transfer), image.shape)


def _transfer(shape: tuple[int, ...], at_nyquist: float) -> np.ndarray:
    ky, kx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return 1 / (1 + (1 / at_nyquist - 1) * 4 * (ky[:, None] ** 2 + kx**2))
