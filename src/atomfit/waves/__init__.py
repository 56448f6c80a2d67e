"""Atoms to a high-resolution image: multislice, lenses and a detector, differentiable throughout.

`exit_wave` makes a wave of `SlicedAtoms` on a `Field`, a `Microscope` an image of it. What simulates images
and what fits them share this code. It imports `atomfit.structure` and what lies below.
"""

from typing import TYPE_CHECKING

from atomfit.support.lazy import export

if TYPE_CHECKING:
    from atomfit.waves.detector import Detector as Detector
    from atomfit.waves.electrons import interaction_constant as interaction_constant
    from atomfit.waves.electrons import wavelength as wavelength
    from atomfit.waves.field import Field as Field
    from atomfit.waves.field import Sampling as Sampling
    from atomfit.waves.microscope import Microscope as Microscope
    from atomfit.waves.microscope import coherent_sum as coherent_sum
    from atomfit.waves.multislice import Beam as Beam
    from atomfit.waves.multislice import exit_wave as exit_wave
    from atomfit.waves.optics import Aberrations as Aberrations
    from atomfit.waves.optics import AbstractCoherence as AbstractCoherence
    from atomfit.waves.optics import CoherentSum as CoherentSum
    from atomfit.waves.optics import Envelopes as Envelopes
    from atomfit.waves.potentials import electron_form_factor as electron_form_factor
    from atomfit.waves.potentials import projected_potential as projected_potential
    from atomfit.waves.slices import SlicedAtoms as SlicedAtoms
    from atomfit.waves.slices import Slices as Slices
    from atomfit.waves.slices import clear_of as clear_of
    from atomfit.waves.slices import slice_atoms as slice_atoms
    from atomfit.waves.slices import slice_thickness as slice_thickness
    from atomfit.waves.slices import with_room as with_room
else:
    export(
        __name__,
        {
            "electrons": ["wavelength", "interaction_constant"],
            "field": ["Field", "Sampling"],
            "slices": ["Slices", "SlicedAtoms", "slice_atoms", "slice_thickness", "clear_of", "with_room"],
            "potentials": ["electron_form_factor", "projected_potential"],
            "multislice": ["Beam", "exit_wave"],
            "optics": ["Aberrations", "AbstractCoherence", "CoherentSum", "Envelopes"],
            "detector": ["Detector"],
            "microscope": ["Microscope", "coherent_sum"],
        },
    )
