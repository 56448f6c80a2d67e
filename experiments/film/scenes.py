"""A kind and a seed in, all that is true of a sub-area out: material, film, imaging, where it is cut.

Seeds come in two groups that share none: what is chosen by `choose` is told of `report`. A film is a
ribbon: along y it goes on for ever (it is periodic, as the cell of its molecular dynamics), along x it
is as wide as that cell, and there is nothing beside it. A slab without an end along x would have a
profile along z of which the tilts tell nothing, and no measured film is one. Four seeds in a row are
four quarters of one film (they share its atoms and images, but not the region), and no film is in both
groups. A particle is a seed of its own.

Lengths are in Å, and electrons are those that the detector counts of one atom in one image: of the
geometric mean of the elements, as who wants to see the faint ones gives more. What is drawn at random was
laid around what makes the film of tantalum look like the measured one (`realism.md`); the README says what
was changed when first results had been seen.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

GROUPS = {"choose": 1_000_000, "report": 2_000_000}
#: Seeds of a group.
GROUP_SIZE = 1_000_000
#: Sub-areas of one film.
QUARTERS = 4

VOXEL = 0.3216
#: Voxels of a film along x and y, and of a sub-area.
WIDE, EDGE = 150, 75
#: All is repeated after these along x and y: beside a film there is nothing, as beside the measured one.
FILM_PERIOD = (240, WIDE)
#: A particle is alone: copies of it are so far away (voxels along x and y), and its box is so large.
PARTICLE_PERIOD, PARTICLE_BOX = (320, 112), 112
#: Tilts of the measured series (degrees).
TILTS = (
    *(63.0, 60.4, 57.8, 55.3, 52.9, 50.7, 48.8, 46.8, 45.0, 43.2, 41.2, 39.1, 36.9, 34.5, 32.0, 29.4),
    *(26.4, 23.4, 21.0, 17.4, 14.2, 11.0, 7.4, 4.0, 0.0, -3.6, -6.8, -10.4, -14.4, -17.8, -20.8, -23.6),
    *(-27.0, -29.4, -32.2, -34.5, -37.1, -39.1, -41.0, -43.0, -45.0, -46.6, -48.6, -50.9, -53.1, -55.9),
)


@dataclass(frozen=True)
class Kind:
    """A material.

    **Fields:**

    - `symbols`: of its elements.
    - `parts`: of its atoms that are of each.
    - `made`: quenched, polycrystal or particle.
    - `potential`: of LAMMPS: its style, and a file for each element or one for all.
    - `density`: atoms per Å³ that the melt begins with.
    - `melt`: its temperature (K).
    - `apart`: distance of nearest neighbours (Å).
    """

    symbols: tuple[str, ...]
    parts: tuple[float, ...]
    made: str
    potential: tuple[str, ...]
    density: float
    melt: float
    apart: float


TANTALUM, TANTALUM_APART = ("eam/alloy", "CuTa.eam.alloy"), 2.86
KINDS = {
    "tantalum": Kind(("Ta",), (1.0,), "quenched", TANTALUM, 0.0540, 4500.0, TANTALUM_APART),
    "silicon": Kind(("Si",), (1.0,), "quenched", ("sw", "Si.sw"), 0.0495, 3500.0, 2.35),
    "polycrystal": Kind(("Ta",), (1.0,), "polycrystal", TANTALUM, 0.0555, 900.0, TANTALUM_APART),
    "alloy": Kind(
        ("Ni", "Pd", "Pt"),
        (0.34, 0.33, 0.33),
        "quenched",
        ("eam", "Ni_u3.eam", "Pd_u3.eam", "Pt_u3.eam"),
        0.0720,
        3500.0,
        2.65,
    ),
    "particle": Kind(("Pd",), (1.0,), "particle", ("eam", "Pd_u3.eam"), 0.0660, 3500.0, 2.75),
}


@dataclass(frozen=True)
class Imaging:
    """How a specimen is imaged.

    **Fields:**

    - `tilts`: about y (degrees).
    - `electrons`: counted of an atom of mean brightness, in an image.
    - `background`: electrons per Å² that are counted where there is nothing.
    - `blur`: standard deviation of the probe and the thermal motion of all atoms together.
    - `tail`, `tail_width`: part of an atom's image in the probe's tail, and its standard deviation.
    - `jitter`: standard deviation of a scan line's offset.
    - `misaligned`: of an image's offset that the alignment has left.
    - `steps`: of the reconstruction.
    """

    electrons: float
    background: float
    blur: float
    tilts: tuple[float, ...] = TILTS
    tail: float = 0.12
    tail_width: float = 1.2
    jitter: float = 0.08
    misaligned: float = 0.1
    steps: int = 80


@dataclass(frozen=True)
class Scene:
    """What is true of a sub-area.

    **Fields:**

    - `kind`, `seed`: of the material, and of everything random.
    - `film`: seed of the film that it is cut from.
    - `thickness`: of the film, or diameter of the particle.
    - `roughness`: standard deviation of its surface.
    - `imaging`: how it is imaged.
    - `quarter`: which one of the film; 0 for a particle.
    """

    kind: str
    seed: int
    film: int
    thickness: float
    roughness: float
    imaging: Imaging
    quarter: int

    @property
    def material(self) -> Kind:
        """Of which it is made."""
        return KINDS[self.kind]

    @property
    def alone(self) -> bool:
        """Whether it is a particle."""
        return self.material.made == "particle"

    @property
    def period(self) -> tuple[int, int]:
        """Voxels along x and y after which all is repeated."""
        return PARTICLE_PERIOD if self.alone else FILM_PERIOD

    @property
    def lengths(self) -> Float[np.ndarray, " 2"]:
        """The same in Å."""
        return VOXEL * np.array(self.period)

    @property
    def corner(self) -> tuple[int, int]:
        """First voxel of the sub-area along x and y."""
        if self.alone:
            return ((PARTICLE_PERIOD[0] - PARTICLE_BOX) // 2, 0)
        return (EDGE * (self.quarter % 2), EDGE * (self.quarter // 2))

    @property
    def edge(self) -> int:
        """Voxels of the sub-area along x and y."""
        return PARTICLE_BOX if self.alone else EDGE


def scene(kind: str, seed: int) -> Scene:
    """All that is true of a sub-area.

    **Arguments:**

    - `kind`: one of `KINDS`.
    - `seed`: of everything random.
    """
    alone = KINDS[kind].made == "particle"
    film = seed if alone else seed - seed % QUARTERS
    rng = np.random.default_rng([film, 21, sorted(KINDS).index(kind)])
    thickness = rng.uniform(24, 28) if alone else rng.uniform(24, 32)
    imaging = Imaging(
        electrons=float(np.exp(rng.uniform(np.log(20), np.log(40)))),
        background=float(rng.uniform(5, 20)),
        # Who looks at atoms that are nearer to each other takes a finer probe.
        blur=float(rng.uniform(0.44, 0.48)) * KINDS[kind].apart / TANTALUM_APART,
    )
    return Scene(
        kind, seed, film, float(thickness), float(rng.uniform(0.5, 2.0)), imaging, (seed - film) % QUARTERS
    )
