"""Geometric phase analysis of an image: the strain that others know, beside that of columns.

A reflection g of the image's Fourier transform, cut out by a Gaussian and transformed back, is a wave
whose phase is

    P(r) = -2π g · u(r)    after the phase 2π g · r of the perfect lattice is taken off,

u being the displacement (Hÿtch et al. 1998). Two reflections give both of its components; derivatives of P
are taken in Fourier space, where no phase has to be unwrapped. From them F = (1 - ∇u)⁻¹, and strain and
rotation as those of columns are. g is refined to the mean of the phase's slope in the reference, and
refused if that moves it by a tenth.

**Its trap.** The wave's phase is that of all that varies with g. Where composition, thickness or the motif
of the cell changes, so does the phase of its structure factor, and a step of that is a false strain at the
boundary (Peters et al. 2015): ordered beside disordered intermetallics are such. Strain of columns does
not have it. Within its kernel of 1 / 2πσ it sees no step either, and beside a surface, and at half the
kernel from it, the amplitude falls and the phase is that of nothing: there it is NaN.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from atomfit.statistics.limits import LIMITS
from atomfit.support.errors import InputError

#: Width of the Gaussian in the shorter g, and how far from the border waves come round, in kernels.
_WIDTH, _BORDER = 0.2, 4.5


@dataclass(frozen=True, eq=False)
class PhaseStrain:
    """Of an image; NaN where an amplitude is low, and near the border.

    **Fields:**

    - `tensors`: e_xx, e_yy and e_xy.
    - `rotations`: from x to y (degrees).
    - `amplitudes`: of the two waves, in their largest.
    - `vectors`: g_1 and g_2 as refined, as rows (1/Å).
    - `kernel`: standard deviation of the kernel in the image (Å).
    """

    tensors: Float[np.ndarray, "3 y x"]
    rotations: Float[np.ndarray, "y x"]
    amplitudes: Float[np.ndarray, "2 y x"]
    vectors: Float[np.ndarray, "2 2"]
    kernel: float


def gpa(
    image: Float[np.ndarray, "y x"],
    pixel_size: float,
    g1: Float[np.ndarray, " 2"],
    g2: Float[np.ndarray, " 2"],
    reference: Bool[np.ndarray, "y x"] | None = None,
) -> PhaseStrain:
    """Strain of an image by geometric phase analysis.

    **Arguments:**

    - `image`: with x along its second axis.
    - `pixel_size`: in Å.
    - `g1`, `g2`: two reflections (x, y) that are not parallel (1/Å), as rows of the inverse of a lattice's
        `basis` are.
    - `reference`: pixels whose mean is the perfect lattice; all with enough amplitude if not given.

    **Raises:** `InputError` for an image or reflections that are none, or a reference that they do not fit.
    """
    vectors = np.array([g1, g2], float)
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(image).all():
        raise InputError("the image has values that are not finite", "fill or cut them")
    if not lengths.min() > 0 or abs(np.linalg.det(vectors)) < LIMITS.gpa_across * np.prod(lengths):
        raise InputError("the two reflections are parallel", "give two that span the lattice")
    if lengths.max() * pixel_size > 0.5:
        raise InputError("a reflection is finer than two pixels", "give g in 1/Å, or finer pixels")
    width = _WIDTH * float(lengths.min())
    kernel = 1 / (2 * np.pi * width)
    border = int(np.ceil(_BORDER * kernel / pixel_size))
    inside = np.zeros(image.shape, bool)
    inside[border : image.shape[0] - border, border : image.shape[1] - border] = True
    if not inside.any():
        raise InputError("the image is smaller than the kernel", "cut a larger part out")
    transform = np.fft.fft2(image - image.mean())
    waves = [_wave(transform, pixel_size, vector, width) for vector in vectors]
    amplitudes = np.stack([np.abs(wave[0]) for wave in waves])
    amplitudes /= np.maximum(amplitudes[:, inside].max(axis=1), 1e-300)[:, None, None]
    good = inside & (amplitudes.min(axis=0) > LIMITS.gpa_amplitude)
    chosen = good if reference is None else good & reference
    if not chosen.any():
        raise InputError("the reference has no amplitude", "give a part of the image where the lattice is")
    slopes = np.stack([wave[1] for wave in waves])
    moved = slopes[:, :, chosen].mean(axis=2) / (2 * np.pi)
    if np.any(np.linalg.norm(moved, axis=1) > LIMITS.gpa_moved * lengths):
        raise InputError("a reflection is not where it was said to be", "give g of the image's own lattice")
    slopes = slopes - 2 * np.pi * moved[:, :, None, None]
    vectors = vectors + moved
    gradient = -np.einsum("ij,jayx->yxia", np.linalg.inv(vectors), slopes) / (2 * np.pi)
    gradient[~good] = 0.0
    change = np.linalg.inv(np.eye(2) - gradient)
    angle = np.arctan2(change[..., 1, 0] - change[..., 0, 1], change[..., 0, 0] + change[..., 1, 1])
    cosine, sine = np.cos(angle), np.sin(angle)
    # U = Rᵀ F.
    xx = cosine * change[..., 0, 0] + sine * change[..., 1, 0]
    yy = cosine * change[..., 1, 1] - sine * change[..., 0, 1]
    xy = cosine * change[..., 0, 1] + sine * change[..., 1, 1]
    tensors = np.where(good, np.stack([xx - 1, yy - 1, xy]), np.nan)
    return PhaseStrain(tensors, np.where(good, np.degrees(angle), np.nan), amplitudes, vectors, kernel)


def _wave(
    transform: np.ndarray, pixel_size: float, vector: np.ndarray, width: float
) -> tuple[np.ndarray, Float[np.ndarray, "2 y x"]]:
    """A reflection's wave, and the slope of its phase less that of the perfect lattice."""
    ky, kx = np.meshgrid(*[np.fft.fftfreq(n, pixel_size) for n in transform.shape], indexing="ij")
    away = kx - vector[0], ky - vector[1]
    cut = transform * np.exp(-(away[0] ** 2 + away[1] ** 2) / (2 * width**2))
    wave = np.fft.ifft2(cut)
    slopes = [np.fft.ifft2(2j * np.pi * k * cut) for k in away]
    square = np.maximum(np.abs(wave) ** 2, 1e-300)
    return wave, np.stack([np.imag(np.conj(wave) * slope) / square for slope in slopes])
