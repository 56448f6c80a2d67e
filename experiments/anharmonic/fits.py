"""A particle's map fitted with Gaussian and with anharmonic atoms, and what is compared with the truth.

Atoms begin at their true mean places, so that it is not asked which atoms are found. The noise is what is
measured outside the particle. Cumulants scatter about zero, by spreads that the particle itself tells, of
core, surface and hopping atoms apart (`inference.empirical_bayes`).
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from atomfit.inference import Problem, refine
from atomfit.inference.empirical_bayes import known_of_atoms, with_empirical_spread
from atomfit.inference.local import LocalUncertainty
from atomfit.noise.sources import measure_noise
from atomfit.observation import MapObservation
from atomfit.structure import AnharmonicAtoms, AnisotropicDisplacements, Atoms
from atomfit.structure.neighbours import find_neighbours
from experiments.single_pt.measures import BULK
from experiments.single_pt.particles import AT_REST, PT, Case

#: Variance that atoms begin with (Å²), and spreads of cumulants (Å³, Å⁴).
START = 0.22
THIRD, FOURTH = 0.01, 0.004
#: Columns of what is compared: U along the true axes, six elements, its mean, and degrees of isotropy.
SHORTEST, LONGEST, U_ISO, DOI, ALONG = 0, 2, 9, 10, 11


@dataclass(frozen=True, eq=False)
class Compared:
    """Alike atoms of a particle: those that never leave home.

    **Fields:**

    - `name`: of the particle.
    - `core`: whether an atom has twelve true neighbours.
    - `true`: columns as above.
    - `found`: values less their bias, and standard uncertainties, by the kind of atoms.
    - `spreads`: of the prior, of core, surface and hopping atoms.
    """

    name: str
    core: Bool[np.ndarray, " n"]
    true: Float[np.ndarray, "n 12"]
    found: dict[str, tuple[Float[np.ndarray, "n 12"], Float[np.ndarray, "n 12"]]]
    spreads: Float[np.ndarray, "3 25"]


def compare(case: Case, rounds: int) -> Compared:
    """Fit a particle's whole map both ways."""
    jax.clear_caches()
    truth, density = case.truths[0], case.maps[0]
    noise = measure_noise(density, truth.positions, START)
    n = len(truth.positions)
    start = Atoms(
        truth.positions,
        displacements=AnisotropicDisplacements.from_variances(np.full(n, START)),
        amplitudes=np.full(n, (2 * np.pi * AT_REST) ** 1.5),
        numbers=np.full(n, PT.number),
    )
    gaussian = refine(Problem(start, (MapObservation.of(density, start, noise=noise),)))
    wider = AnharmonicAtoms.of(gaussian.structure)
    neighbours = find_neighbours(truth.positions, None, PT.neighbour_distance)
    core, home = neighbours.coordination_numbers == BULK, truth.at_home == 1
    anharmonic = with_empirical_spread(
        Problem(wider, (MapObservation.of(density, wider, noise=noise),)),
        _cumulants,
        np.where(home, np.where(core, 0, 1), 2),
        [THIRD] * wider.third.shape[1] + [FOURTH] * wider.fourth.shape[1],
        rounds,
    )
    axes = np.linalg.eigh(truth.matrices)[1]
    found = {
        name: tuple(x[home] for x in _measured(known, axes))
        for name, known in (("Gaussian", known_of_atoms(gaussian)), ("anharmonic", anharmonic.known))
    }
    true = np.asarray(_columns(jnp.asarray(truth.matrices), axes), np.float64)
    return Compared(case.name, core[home], true[home], found, anharmonic.spreads)  # type: ignore[arg-type]


def _cumulants(structure: Any) -> Any:
    return jnp.concatenate([structure.third, structure.fourth], axis=1)


def _measured(
    known: LocalUncertainty, axes: Float[np.ndarray, "n 3 3"]
) -> tuple[Float[np.ndarray, "n 12"], Float[np.ndarray, "n 12"]]:
    estimate = known.of_atoms(lambda s: _columns(s.displacements.matrices(3), axes))
    return estimate.value, estimate.esd


def _columns(u: Any, axes: Float[np.ndarray, "n 3 3"]) -> Any:
    along = jnp.einsum("nia,nij,nja->na", axes, u, axes)
    elements = u[:, (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)]
    mean = jnp.trace(u, axis1=1, axis2=2) / 3
    principal = jnp.linalg.eigvalsh(u)
    isotropies = principal[:, 0] / principal[:, 2], along[:, 0] / along[:, 2]
    return jnp.concatenate([along, elements, jnp.stack([mean, *isotropies], axis=1)], axis=1)
