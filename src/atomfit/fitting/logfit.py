"""The baseline: the paper's per-atom linear fits of the logarithm of the density.

Around each atom, ln I is fitted by a polynomial with weights I (Methods, "Isotropic/Anisotropic atomic
displacement"):

    isotropic      ln I = β0 + β1 r²                                    U = -1 / (2 β1)
    anisotropic    ln I = β0 + β1 x² + β2 y² + β3 z² + β4 xy + β5 xz + β6 yz
                   U⁻¹ = [[-2β1, -β4, -β5], [-β4, -2β2, -β6], [-β5, -β6, -2β3]]

over voxels of positive density within 3/4 of half the nearest-neighbour distance. The centre is fixed and
neighbours are ignored. The level of the emptiness around the particle is subtracted first, as the
published program does, since a logarithm has no room for a background. A fit that is no Gaussian (a U that
is not positive, or with an eigenvalue above four squared radii, the paper's limit) is a missing value
with a reason. The published program writes DOI = 1 and U = 0 there.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from atomfit.gaussians.fitted import FittedAtoms
from atomfit.structure.grid import DensityMap

#: Radius of the fit, in nearest-neighbour distances: 3/4 of half of it (paper).
RADIUS_PER_DISTANCE = 0.375
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class LogFit:
    """Per-atom fits; NaN where a fit failed.

    **Fields:**

    - `fitted`: U_iso of the isotropic fits, matrices of the anisotropic ones, and the amplitudes that
        belong to the matrices (to U_iso where there is no matrix).
    - `iso_status`, `aniso_status`: "ok", or why a number is missing.
    - `radius`: of the fits (Å).
    - `level`: that was subtracted from the map (map units).
    """

    fitted: FittedAtoms
    iso_status: tuple[str, ...]
    aniso_status: tuple[str, ...]
    radius: float
    level: float


def fit_logarithms(
    density: DensityMap, positions: Float[np.ndarray, "n d"], radius: float, level: float = 0.0
) -> LogFit:
    """Fit each atom on its own.

    **Arguments:**

    - `density`: the map.
    - `positions`: centres of the atoms (Å), which are kept.
    - `radius`: of the voxels that are fitted (Å).
    - `level`: subtracted from the map first (map units).
    """
    density = density.with_values(density.values - np.float32(level))
    parts = [
        _fit_chunk(density, positions[begin : begin + _CHUNK], radius)
        for begin in range(0, len(positions), _CHUNK)
    ]
    d = positions.shape[1]
    if not parts:
        none = np.zeros(0)
        return LogFit(FittedAtoms(positions, none, none, np.zeros((0, d, d))), (), (), radius, level)
    u_iso, matrices, amplitudes, iso, aniso = (np.concatenate(x) for x in zip(*parts, strict=True))
    fitted = FittedAtoms(positions, amplitudes, u_iso, matrices)
    return LogFit(fitted, tuple(iso), tuple(aniso), radius, level)


def _fit_chunk(
    density: DensityMap, positions: Float[np.ndarray, "n d"], radius: float
) -> tuple[np.ndarray, ...]:
    grid, d = density.grid, density.grid.ndim
    nearest = grid.nearest_voxels(positions)
    offsets = grid.offsets_within(radius + 0.5 * float(np.linalg.norm(grid.spacing)))
    voxels = nearest[:, None, :] + offsets
    inside = np.all((voxels >= 0) & (voxels < np.array(grid.shape)), axis=-1)
    voxels = np.where(inside[..., None], voxels, 0)
    if density.counted is not None:
        inside &= density.counted[tuple(np.moveaxis(voxels, -1, 0))]
    r = grid.positions_of(voxels) - positions[:, None, :]
    square = np.sum(r**2, axis=-1)
    intensity = density.at(voxels).astype(np.float64)
    weights = np.where(inside & (square < radius**2) & (intensity > 0), intensity, 0.0)
    logs = np.log(np.where(weights > 0, intensity, 1.0))

    one = np.ones_like(square)
    iso, iso_solved = _weighted_fit(np.stack([one, square], axis=-1), logs, weights)
    u_iso = np.divide(-0.5, iso[:, 1], out=np.full(len(iso), np.nan), where=iso[:, 1] < 0)
    iso_status = _status(iso_solved, u_iso[:, None], radius)
    u_iso = np.where(iso_status == "ok", u_iso, np.nan)
    round_ones = np.exp(iso[:, 0]) * (2 * np.pi * u_iso) ** (d / 2)

    pairs = list(combinations(range(d), 2))
    columns = [one, *(r[..., k] ** 2 for k in range(d)), *(r[..., a] * r[..., b] for a, b in pairs)]
    beta, solved = _weighted_fit(np.stack(columns, axis=-1), logs, weights)
    inverse = np.zeros((len(positions), d, d))
    inverse[:, range(d), range(d)] = -2 * beta[:, 1 : d + 1]
    for k, (a, b) in enumerate(pairs):
        inverse[:, a, b] = inverse[:, b, a] = -beta[:, d + 1 + k]
    values, vectors = np.linalg.eigh(inverse)
    u = np.divide(1.0, values, out=np.full_like(values, np.nan), where=values > 0)
    status = _status(solved, u, radius)
    matrices = (vectors * u[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    ok = status == "ok"
    matrices = np.where(ok[:, None, None], matrices, np.nan)
    ellipsoids = np.exp(np.where(ok, beta[:, 0], 0)) * np.sqrt(np.prod(2 * np.pi * u, axis=1))
    amplitudes = np.where(ok, ellipsoids, round_ones)
    return u_iso, matrices, amplitudes, iso_status, status


def _weighted_fit(
    design: Float[np.ndarray, "n k p"], y: Float[np.ndarray, "n k"], w: Float[np.ndarray, "n k"]
) -> tuple[Float[np.ndarray, "n p"], np.ndarray]:
    """Weighted linear least squares for every atom, and which of them have enough voxels."""
    p = design.shape[-1]
    solvable = np.count_nonzero(w, axis=1) > p
    w = w / np.maximum(w.max(axis=1, keepdims=True), np.finfo(float).tiny)
    weighted = design * w[..., None]
    normal = np.swapaxes(weighted, 1, 2) @ design
    right = np.sum(weighted * y[..., None], axis=1)
    # A voxel pattern that leaves a term undetermined makes the matrix singular to rounding.
    solvable &= np.linalg.cond(normal) < 1e12
    normal = np.where(solvable[:, None, None], normal, np.eye(p))
    return np.linalg.solve(normal, right[..., None])[..., 0], solvable


def _status(solved: np.ndarray, u: Float[np.ndarray, "n k"], radius: float) -> np.ndarray:
    finite = np.all(np.isfinite(u), axis=1)
    wide = np.any(np.where(np.isfinite(u), u, 0) > 4 * radius**2, axis=1)
    return np.select([~solved, ~finite, wide], ["too few voxels", "not a peak", "too wide"], default="ok")
