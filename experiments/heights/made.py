"""A scene in, its atoms, columns and image without noise out, with room for every height of each column.

Heavy atoms of the columns in the field are given as planes along the beam, occupied or not, so that another
height is another vector of occupancies. Where planes are that no atom is in is told by the same specimen
without faults.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from atomfit.simulation.hrtem import hrtem_microscope, sliced
from atomfit.simulation.hrtem_specimens import HrtemColumns, HrtemSpecimen, hrtem_specimen
from atomfit.waves import Beam, CoherentSum, Field, Microscope, SlicedAtoms, exit_wave
from experiments.heights.scenes import Scene
from experiments.heights.specimens import MOST, PIXEL, VOLTAGE, filled_up

#: Atoms nearer than this to a column are its own (Å); neighbours are within so many nearest distances.
_OWN, _NEIGHBOUR = 1.2, 1.4
_FOCUSES = 6


@dataclass(frozen=True, eq=False)
class Room:
    """Columns as planes along the beam.

    **Fields:**

    - `atoms`: of the specimen, and those that columns might have.
    - `microscope`: that sees them.
    - `members`: numbers of the atoms of each column's planes, in `atoms`.
    - `occupied`: which planes are, in truth.
    - `starts`: the first plane of each column; of a vacant one, before it was emptied.
    - `gaps`: the plane whose atom was taken out of a column that is not vacant; -1 of others.
    """

    atoms: SlicedAtoms
    microscope: Microscope
    members: Int[np.ndarray, "n planes"]
    occupied: Bool[np.ndarray, "n planes"]
    starts: Int[np.ndarray, " n"]
    gaps: Int[np.ndarray, " n"]


class Made:
    """A scene's specimen and image.

    **Arguments:**

    - `scene`: what is true.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene, of = scene, scene.options
        self.field, self.beam = Field.suited((of.image_size,) * 2, PIXEL), Beam(VOLTAGE)
        self.specimen = self._specimen()

    def _specimen(self, **changes: object) -> HrtemSpecimen:
        rng = np.random.default_rng([self.scene.seed, 12])
        return hrtem_specimen(replace(self.scene.options, **changes), self.field, rng)

    @property
    def columns(self) -> HrtemColumns:
        """Those in the field, vacant ones too."""
        return self.specimen.columns[self._which]

    @cached_property
    def _which(self) -> Int[np.ndarray, " n"]:
        return np.flatnonzero(self.specimen.columns.elements == self.specimen.crystal.heaviest)

    @cached_property
    def surface(self) -> Bool[np.ndarray, " n"]:
        """Columns that have fewer than six neighbours."""
        heavy = self.specimen.positions[self.specimen.symbols == self.specimen.crystal.heaviest, :2]
        near = cKDTree(heavy).sparse_distance_matrix(cKDTree(heavy), _OWN)
        count, which = connected_components(near, directed=False)
        centres = np.stack([np.bincount(which, heavy[:, k], count) for k in (0, 1)], axis=1)
        centres = cKDTree(centres / np.bincount(which, minlength=count)[:, None])
        distances, _ = centres.query(centres.data, k=2)
        reach = _NEIGHBOUR * float(np.median(distances[:, 1]))
        found = centres.query_ball_point(self.columns.positions, reach, return_length=True)
        # A column that is there is near to itself.
        return found - (self.columns.heights > 0) < 6

    @cached_property
    def room(self) -> Room:
        """For all heights of each column."""
        of, options, columns = self.specimen, self.scene.options, self.columns
        bare = {"vacant": 0.0, "missing": 0.0, "displacement": 0.0, "mistilt": (0.0, 0.0), "carbon": 0.0}
        whole = self._specimen(**bare)
        spacing = whole.depth / options.thickness[1]
        first = np.array([_own(whole, place)[0] for place in columns.positions])
        starts = np.floor(first / spacing + 1e-6).astype(int)
        planes = max(int(starts.max(initial=0)) + MOST + 1, MOST + 1)
        z = first[:, None] + spacing * (np.arange(planes) - starts[:, None])
        occupied, lean = np.zeros(z.shape, bool), 1e-3 * np.array(options.mistilt)
        flat = columns.positions.copy()
        for c, place in enumerate(columns.positions):
            if columns.heights[c]:
                own = _own(of, place) - options.carbon
                occupied[c, np.rint((own - z[c, 0]) / spacing).astype(int)] = True
                flat[c] -= lean * (own.mean() - 0.5 * whole.depth)
        xy = flat[:, None] + lean * (z - 0.5 * whole.depth)[..., None]
        ours = np.concatenate([xy, (z + options.carbon)[..., None]], axis=2).reshape(-1, 3)
        heavy = of.symbols == of.crystal.heaviest
        apart, _ = cKDTree(columns.positions).query(of.positions[:, :2])
        others = ~(heavy & (apart < _OWN))
        wider = replace(
            of,
            positions=np.concatenate([ours, of.positions[others]]),
            symbols=np.concatenate([np.full(len(ours), of.crystal.heaviest), of.symbols[others]]),
        )
        atoms, below = sliced(wider, options)
        there = np.concatenate([occupied.ravel(), np.ones(others.sum(), bool)]).astype(np.float32)
        atoms = eqx.tree_at(
            lambda a: (a.occupancies, a.b_factors), atoms, (there, self.scene.b_scale * atoms.b_factors)
        )
        atoms, more = filled_up(atoms)
        inside = (np.arange(planes) >= starts[:, None]) & (
            np.cumsum(occupied, axis=1) < columns.heights[:, None]
        )
        gap = inside & ~occupied
        return Room(
            atoms,
            self._microscope(below + more),
            np.arange(len(ours)).reshape(z.shape),
            occupied,
            starts,
            np.where(gap.any(axis=1), gap.argmax(axis=1), -1),
        )

    def _microscope(self, below: float) -> Microscope:
        found = hrtem_microscope(self.scene.options, self.field, self.beam, below)
        coherence = found.coherence
        # As many focuses as others have, so that few programs are compiled.
        focuses = coherence.focuses + -coherence.focuses % _FOCUSES
        spread, angle = np.float32(coherence.focal_spread), np.float32(coherence.convergence)
        return replace(
            jax.tree.map(jnp.float32, found),
            coherence=CoherentSum(jnp.asarray(spread), jnp.asarray(angle), focuses),
        )

    @cached_property
    def beyond(self) -> Complex[np.ndarray, "rows columns"]:
        """What aberrations of fourth and fifth order do to a wave."""
        ky, kx = self.field.wave.frequencies()
        w = self.beam.wavelength * (kx + 1j * ky).astype(np.complex128)
        c = np.conj(w)
        terms = (c**4 / 4, w**3 * c, c**5 / 5, w**4 * c, w**3 * c**2)
        chi = sum((1e4 * a * term).real for a, term in zip(self.scene.beyond, terms, strict=False))
        return np.exp(-2j * np.pi / self.beam.wavelength * (chi + np.zeros(w.shape))).astype(np.complex64)

    def see(self, occupancies: Float[np.ndarray, " atoms"]) -> Float[Array, "rows columns"]:
        """An image without noise, in parts of the dose.

        **Arguments:**

        - `occupancies`: of the atoms of `room`.
        """
        shown = _image(
            self.room.atoms, occupancies, self.room.microscope, self.beyond, self.field, self.beam
        )
        return shown + np.float32(self.scene.background)

    @cached_property
    def expected(self) -> Float[np.ndarray, "rows columns"]:
        """The image of what is true."""
        return np.asarray(self.see(self.room.atoms.occupancies))


def _own(specimen: HrtemSpecimen, place: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " k"]:
    """Where along the beam a column's heavy atoms are."""
    near = np.linalg.norm(specimen.positions[:, :2] - place, axis=1) < _OWN
    return np.sort(specimen.positions[near & (specimen.symbols == specimen.crystal.heaviest), 2])


@eqx.filter_jit
def _image(
    atoms: SlicedAtoms,
    occupancies: Array,
    microscope: Microscope,
    beyond: Array,
    field: Field,
    beam: Beam,
) -> Array:
    atoms = eqx.tree_at(lambda a: a.occupancies, atoms, occupancies)
    wave = exit_wave(atoms, field, beam) * beyond
    return field.shown(microscope.image(wave, field, beam))
