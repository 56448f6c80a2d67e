"""A seed in, images of one specimen without noise out: what a network learns from.

The exit wave takes a second, an image of it a tenth: so many images are made of each specimen, of other
optics and detectors. Doses and noise are drawn when a patch is cut, anew each time (`patches`).

Specimens of scores have shapes that those of training never have: a stepped edge with a saw-tooth
thickness, and the other way about.
"""

from dataclasses import dataclass, replace
from typing import Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from atomfit.options.hrtem import HrtemOptions
from atomfit.simulation.hrtem import sliced
from atomfit.simulation.hrtem_specimens import HrtemSpecimen, hrtem_specimen
from atomfit.waves import (
    Aberrations,
    Beam,
    CoherentSum,
    Detector,
    Field,
    Microscope,
    SlicedAtoms,
    exit_wave,
)
from atomfit.waves.microscope import OVERSAMPLING, intensity_grid
from atomfit.waves.optics import focuses_needed

SHAPES = ("flat", "saw-tooth", "stepped", "smooth")
HELD_OUT = (("stepped", "saw-tooth"), ("saw-tooth", "stepped"))
SIZE, PIXEL, MOST, VOLTAGE = 256, 0.2, 10, 300.0
#: Seeds of specimens that progress and temperatures are measured by, and of those that are scored.
VALIDATION, SCORED = 2_000_000, 1_000_000
#: Tables are filled up to multiples of these, so that few programs are compiled.
_SLICES, _WIDTH, _ATOMS, _FOCUSES = 4, 256, 4096, 6
#: Points in a pixel's edge on which intensities for training are made: right to 1 % of the contrast.
QUICK = 1.25
#: Part of the specimens, and of the images, of training that are as the bars ask.
_PLAIN = 0.65
Kind = Literal["training", "bar", "wide"]


@dataclass(frozen=True, eq=False)
class Imaged:
    """Images of one specimen.

    **Fields:**

    - `images`: expected intensity in parts of the dose, detector's blur included.
    - `conditions`: of each image: defocus (nm), C3 (µm), focal spread (nm), transfer of noise.
    - `positions`: x, y of columns of the heaviest element (Å from the first pixel's centre).
    - `heights`: of these; 0 if vacant.
    """

    images: Float[np.ndarray, "images rows columns"]
    conditions: Float[np.ndarray, "images 4"]
    positions: Float[np.ndarray, "n 2"]
    heights: Int[np.ndarray, " n"]


def options_of(crystal: str, seed: int, kind: Kind) -> HrtemOptions:
    """A specimen at random.

    **Arguments:**

    - `crystal`: CeO2, Pt, Au or a CIF file.
    - `seed`: of everything.
    - `kind`: for training; as the bars ask (held-out shapes); or such shapes with all that training has.
    """
    rng = np.random.default_rng([seed, 11])
    pairs = [(outline, profile) for outline in SHAPES for profile in SHAPES]
    of = [pair for pair in pairs if pair not in HELD_OUT] if kind == "training" else list(HELD_OUT)
    outline, profile = of[rng.integers(len(of))]
    low = int(rng.integers(1, 5))
    high = int(rng.integers(max(low, 4), MOST + 1)) if rng.uniform() < 0.7 else MOST
    if kind == "training":
        # Thin columns and those of one less than the most are rare otherwise.
        low, high = int(rng.choice((1, 1, 1, 2, 3))), min(int(rng.integers(3, 15)), MOST)
        low = min(low, high)
    made = HrtemOptions(
        crystal=crystal,
        outline=outline,
        profile=profile,
        thickness=(low, high),
        vacuum=float(rng.uniform(0.05, 0.5)) if rng.uniform() < 0.8 else 0.0,
        entrance=float(rng.uniform()),
        vacant=0.03,
        missing=float(rng.uniform(0, 0.15)),
        displacement=float(rng.uniform(0.02, 0.1)),
        mistilt=tuple(float(t) for t in rng.normal(0, 2.0, 2)),
        pixel_size=PIXEL,
        image_size=SIZE,
        seed=seed,
    )
    # Most of what is learned from is the crystal as it is: what else there can be makes heights uncertain.
    if kind == "bar" or (kind == "training" and rng.uniform() < _PLAIN):
        return made
    return replace(
        made,
        mistilt=tuple(float(t) for t in rng.normal(0, 4.0, 2)),
        b_factor=None if rng.uniform() < 0.5 else float(rng.uniform(0.1, 1.5)),
        absorption=float(rng.uniform(0, 0.06)) if rng.uniform() < 0.5 else 0.0,
        carbon=float(rng.uniform(5, 25)) if rng.uniform() < 0.15 else 0.0,
    )


def imaged(crystal: str, seed: int, kind: Kind, count: int = 8) -> Imaged:
    """Images of a specimen.

    **Arguments:**

    - `crystal`, `seed`, `kind`: as of `options_of`.
    - `count`: of images.
    """
    options = options_of(crystal, seed, kind)
    field, beam = Field.suited((SIZE, SIZE), PIXEL), Beam(VOLTAGE)
    rng = np.random.default_rng([seed, 12])
    specimen = hrtem_specimen(options, field, rng)
    spectrum, below = wave_of(specimen, options, field, beam)
    images, conditions = [], []
    for _ in range(count):
        microscope, known = microscope_of(rng, kind, below, field, beam)
        images.append(np.asarray(_image(microscope, spectrum, field, beam), np.float16))
        conditions.append(known)
    columns = specimen.columns
    which = columns.elements == specimen.crystal.heaviest
    return Imaged(
        np.stack(images),
        np.array(conditions, np.float32),
        columns.positions[which].astype(np.float32),
        columns.heights[which].astype(np.int32),
    )


def wave_of(
    specimen: HrtemSpecimen, options: HrtemOptions, field: Field, beam: Beam
) -> tuple[Complex[Array, "rows columns"], float]:
    """An exit wave, and how far its plane is below the specimen (Å).

    **Arguments:**

    - `specimen`, `options`: what is imaged.
    - `field`, `beam`: of the wave.
    """
    atoms, below = sliced(specimen, options)
    atoms, more = filled_up(atoms)
    return _wave(atoms, field, beam), below + more


def filled_up(atoms: SlicedAtoms) -> tuple[SlicedAtoms, float]:
    """Tables of few different shapes, with empty slices below; and how thick these are (Å).

    **Arguments:**

    - `atoms`: in slices.
    """
    slices = atoms.slices
    more = -slices.count % _SLICES

    def filled(table: np.ndarray) -> np.ndarray:
        width = -table.shape[1] % _WIDTH
        return np.pad(np.asarray(table), ((0, more), (0, width)))

    extra = -len(atoms.positions) % _ATOMS
    slices = eqx.tree_at(
        lambda s: (s.atoms, s.present),
        slices,
        (tuple(map(filled, slices.atoms)), tuple(map(filled, slices.present))),
    )
    full = eqx.tree_at(
        lambda a: (a.positions, a.occupancies, a.slices),
        atoms,
        (np.pad(atoms.positions, ((0, extra), (0, 0))), np.pad(atoms.occupancies, (0, extra)), slices),
    )
    return full, float(more * slices.thickness)


def microscope_of(
    rng: np.random.Generator, kind: Kind, below: float, field: Field, beam: Beam
) -> tuple[Microscope, tuple[float, float, float, float]]:
    """Optics and a detector at random, and what may be known of them.

    **Arguments:**

    - `rng`: of what is random.
    - `kind`: as the bars ask, or wider.
    - `below`: how far the wave's plane is below the specimen (Å).
    - `field`, `beam`: of the wave.
    """
    bar = kind == "bar" or (kind == "training" and rng.uniform() < _PLAIN)
    defocus = rng.uniform(1, 9) if bar or rng.uniform() < 0.6 else rng.uniform(-10, 10)
    c3 = -9.0 if bar else rng.uniform(-11, -7)
    c5 = 5.0 if bar else rng.uniform(3, 7)
    spread = rng.uniform(2, 4.5)
    lens = Aberrations(
        np.float32(10 * defocus - below),
        rng.normal(0, 7.0, 2).astype(np.float32),
        rng.normal(0, 200.0, 2).astype(np.float32),
        rng.normal(0, 200.0, 2).astype(np.float32),
        np.float32(1e4 * c3),
        np.float32(1e7 * c5),
    )
    convergence = np.float32(1e-3 * rng.uniform(0.05, 0.25))
    blur, mtf, noise_mtf = 0.0, 1.0, 1.0
    if not bar and rng.uniform() < 0.4:
        blur, mtf = rng.uniform(0, 0.45), rng.uniform(0.4, 1)
        noise_mtf = rng.uniform(mtf, 1) if rng.uniform() < 0.5 else 1.0
    oversampling = QUICK if kind == "training" else OVERSAMPLING
    focuses = focuses_needed(10 * spread, intensity_grid(field, oversampling), beam.wavelength)
    focuses += -focuses % _FOCUSES
    coherence = CoherentSum(np.float32(10 * spread), convergence, focuses)
    detector = Detector(np.float32(PIXEL**-2), 1.0, 0.0, np.float32(blur), np.float32(mtf))
    return Microscope(lens, coherence, detector, oversampling), (defocus, c3, spread, noise_mtf)


_wave = eqx.filter_jit(exit_wave)


@eqx.filter_jit
def _image(
    microscope: Microscope, spectrum: Complex[Array, "rows columns"], field: Field, beam: Beam
) -> Float[Array, "pixel_rows pixel_columns"]:
    return field.shown(microscope.image(spectrum, field, beam))
