"""A high-resolution TEM image of a crystal with known truth, in raw counts, to try programs on.

Atoms (`hrtem_specimens`) are passed by a wave, and lenses and a detector make counts of it (`waves`): the
code is that which fits images as well. The wave is computed on points of 0.1 Å or nearer, with room around
the field; slices are as thick as the crystal repeats, or a part of that if it is more than 4 Å. Every
random choice comes from the seed; noise is drawn after the specimen, so that one of another dose, focus or
detector is the same specimen.
"""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float

from atomfit.options.declared import options_from
from atomfit.options.hrtem import HrtemOptions
from atomfit.simulation.hrtem_specimens import HrtemColumns, HrtemSpecimen, hrtem_specimen
from atomfit.support.numerics import own_numerics
from atomfit.waves import (
    Aberrations,
    Beam,
    Detector,
    Field,
    Microscope,
    SlicedAtoms,
    clear_of,
    coherent_sum,
    exit_wave,
    slice_atoms,
    slice_thickness,
    with_room,
)

#: Å in the units of options.
_NM, _UM, _MM = 10.0, 1e4, 1e7


@dataclass(frozen=True, eq=False)
class SimulatedHrtem:
    """Frames of a crystal, and its truth.

    **Fields:**

    - `frames`: raw counts.
    - `expected`: without noise (counts).
    - `field`: pixels and margins.
    - `specimen`: atoms, and the columns in the field.
    - `options`: that made it.
    """

    frames: Float[np.ndarray, "frames rows columns"]
    expected: Float[np.ndarray, "rows columns"]
    field: Field
    specimen: HrtemSpecimen
    options: HrtemOptions

    @property
    def columns(self) -> HrtemColumns:
        """Those in the field."""
        return self.specimen.columns


def simulate_hrtem(options: HrtemOptions | None = None, **changes: object) -> SimulatedHrtem:
    """Simulate an HRTEM image of a crystal.

    **Arguments:**

    - `options`: what to simulate; `changes`, keyword arguments, replace single fields of it.

    **Raises:** `InputError` if an option makes no sense, or the crystal is none that can be used.
    """
    options = options_from(HrtemOptions, options, changes, "simulate_hrtem")
    field = Field.suited((options.image_size,) * 2, options.pixel_size)
    specimen = hrtem_specimen(options, field, np.random.default_rng([options.seed, 5]))
    with own_numerics():
        beam = Beam(options.voltage)
        atoms, below = sliced(specimen, options)
        microscope = hrtem_microscope(options, field, beam, below)
        spectrum = jax.jit(exit_wave)(with_room(atoms), field, beam)
        expected = jax.jit(Microscope.image)(microscope, spectrum, field, beam)
        frames = [np.asarray(field.shown(expected))]
        if options.dose > 0:
            keys = jax.random.split(jax.random.key(options.seed), options.frames)
            frames = [_frame(microscope.detector, expected, field, key) for key in keys]
    return SimulatedHrtem(
        np.stack(frames).astype(np.float32),
        np.asarray(field.shown(expected), np.float64),
        field,
        specimen,
        options,
    )


def _frame(
    detector: Detector, expected: Float[Array, "rows columns"], field: Field, key: Array
) -> Float[np.ndarray, "shown_rows shown_columns"]:
    counts = jax.jit(Detector.sample)(detector, expected, field.pixels, key)
    return np.asarray(field.shown(counts))


def sliced(specimen: HrtemSpecimen, options: HrtemOptions) -> tuple[SlicedAtoms, float]:
    """A specimen in slices, none of which ends where atoms of the crystal are.

    The second is by how much the last slice ends below the specimen (Å).

    **Arguments:**

    - `specimen`: the atoms.
    - `options`: of displacement factors and absorption.
    """
    thick = slice_thickness(specimen.repeat)
    of_crystal = specimen.positions[specimen.symbols != "C", 2]
    lower = clear_of(of_crystal, thick)
    heights = specimen.positions[:, 2] + lower
    last = int(np.floor(heights.max(initial=0) / thick))
    count = max(int(np.ceil(specimen.depth / thick + 0.5)), last + 1)
    slices = slice_atoms(heights, specimen.symbols, thick, count)
    known = specimen.crystal.b_factors
    b_factors = [known.get(symbol, 0.0) for symbol in slices.elements]
    if options.b_factor is not None:
        b_factors = [options.b_factor] * len(b_factors)
    atoms = SlicedAtoms(
        specimen.positions[:, :2].astype(np.float32),
        np.ones(len(specimen.positions), np.float32),
        np.array(b_factors, np.float32),
        options.absorption,
        slices,
    )
    return atoms, float(count * thick - lower - specimen.depth)


def hrtem_microscope(options: HrtemOptions, field: Field, beam: Beam, below: float = 0.0) -> Microscope:
    """What is behind the specimen.

    **Arguments:**

    - `options`: of optics and detector.
    - `field`, `beam`: of the wave.
    - `below`: by how much the wave's plane is below the specimen, from which focus is told (Å).
    """

    def pair(numbers: tuple[float, float]) -> Float[np.ndarray, " 2"]:
        return np.array(numbers, np.float32) * np.float32(_NM)

    lens = Aberrations(
        _NM * options.defocus - below,
        pair(options.a1),
        pair(options.b2),
        pair(options.a2),
        _UM * options.c3,
        _MM * options.c5,
    )
    detector = Detector(
        options.dose or 1.0, options.gain, options.background, options.blur, options.mtf, options.noise_mtf
    )
    coherence = coherent_sum(_NM * options.focal_spread, 1e-3 * options.convergence, field, beam)
    return Microscope(lens, coherence, detector)
