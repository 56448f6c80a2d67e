"""HRTEM waves: how fine points and slices must be, how many focuses, beside abTEM, and how long."""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from atomfit.simulation import HrtemOptions
from atomfit.simulation.hrtem_specimens import HrtemSpecimen, hrtem_specimen
from atomfit.waves import (
    Aberrations,
    Beam,
    CoherentSum,
    Detector,
    Envelopes,
    Field,
    Microscope,
    SlicedAtoms,
    clear_of,
    coherent_sum,
    exit_wave,
    slice_atoms,
)
from atomfit.waves.field import resampled
from atomfit.waves.multislice import propagator
from atomfit.waves.optics import focuses_needed
from experiments.heights import commands, network
from experiments.recording import markdown, record

#: As in `abtem_reference.py`, which is another environment's.
VARIANTS = (
    ("as the test has it: atoms on points of 0.1 Å, table 4.3.2.2, infinite projection", 0.1, 1),
    ("atoms on no grid, which abTEM lays on points by linear interpolation", 0.1, 1),
    ("the same on points of 0.05 Å", 0.05, 1),
    ("the same on points of 0.2 Å", 0.2, 1),
    ("0.05 Å, slices of 1.91 Å", 0.05, 2),
    ("0.05 Å, Lobato's form factors", 0.05, 1),
    ("0.05 Å, Lobato's, finite projection", 0.05, 1),
    ("0.05 Å, Lobato's, finite projection, slices of 0.96 Å", 0.05, 4),
)
BEAM, REPEAT = Beam(300.0), 5.411 / 2**0.5
EDGE, PIXEL = 128, 0.2


def sliced(made: HrtemSpecimen, thickness: float) -> SlicedAtoms:
    heights = made.positions[:, 2] + clear_of(made.positions[:, 2], REPEAT)
    count = round(np.ceil(made.depth / REPEAT + 0.5) * REPEAT / thickness)
    slices = slice_atoms(heights, made.symbols, thickness, count)
    b_factors = np.array([made.crystal.b_factors[one] for one in slices.elements], np.float32)
    ones = np.ones(len(heights), np.float32)
    return SlicedAtoms(made.positions[:, :2].astype(np.float32), ones, b_factors, 0.0, slices)


def lens(c1: float) -> Aberrations:
    return Aberrations(c1, c3=-9e4, c5=5e7)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.abs(x) ** 2)))


def cropped(spectrum: np.ndarray, edge: int = EDGE) -> np.ndarray:
    """The wave on pixels."""
    return np.fft.ifft2(np.asarray(resampled(jnp.asarray(spectrum), (edge, edge))))


def image(spectrum: jax.Array, field: Field, c1: float) -> np.ndarray:
    """On the wave's own points, of which nothing is lost, for a focal spread of 3 nm."""
    coherence = coherent_sum(30.0, 1e-4, field, BEAM, 99.0)
    microscope = Microscope(lens(c1), coherence, Detector(1.0), 99.0)
    return np.asarray(jax.jit(Microscope.image)(microscope, spectrum, field, BEAM)) / PIXEL**2


def sampling(made: HrtemSpecimen) -> str:
    """Points and slices."""
    run = jax.jit(exit_wave)

    def found(refinement: float, parts: float) -> tuple[np.ndarray, list[np.ndarray]]:
        field = Field((EDGE, EDGE), PIXEL, 0, int(refinement))
        spectrum = run(sliced(made, REPEAT / parts), field, BEAM)
        # Intensities on points of 0.05 Å, whatever the wave's.
        fine = Field((EDGE, EDGE), PIXEL, 0, 4)
        wave = resampled(spectrum, fine.wave.shape)
        return cropped(np.asarray(spectrum)), [image(wave, fine, c1) for c1 in (50.0, -50.0)]

    wave, images = found(4, 4)
    rows = []
    for refinement, parts in ((4, 4), (4, 1), (3, 1), (2, 2), (2, 1), (2, 0.5), (1, 1), (1, 2)):
        own, seen = found(refinement, parts)
        rows.append(
            (
                f"{PIXEL / refinement:.3g}",
                f"{REPEAT / parts:.2f}",
                f"{rms(own - wave):.4f}",
                *(f"{rms(a - b):.4f}" for a, b in zip(seen, images, strict=True)),
            )
        )
    contrast = (f"{np.std(wave):.3f}", *(f"{np.std(one):.3f}" for one in images))
    header = ("points, Å", "slices, Å", "exit wave (to 2.5 1/Å)", "image, C1 +5 nm", "image, C1 -5 nm")
    return markdown(header, [*rows, ("contrast itself", "", *contrast)])


def coherence(made: HrtemSpecimen) -> str:
    """Nodes of focuses of two kinds, envelopes, and points of intensities."""
    field = Field((EDGE, EDGE), PIXEL)
    spectrum = jax.jit(exit_wave)(sliced(made, REPEAT), field, BEAM)
    grid = field.wave
    rows = []
    for spread in (20.0, 40.0):

        def seen(how: CoherentSum | Envelopes) -> np.ndarray:
            return np.asarray(how.intensity(spectrum, grid, lens(50.0), BEAM.wavelength))

        def hermite(count: int, spread: float = spread) -> np.ndarray:
            places, weights = np.polynomial.hermite_e.hermegauss(count)
            weights = weights / weights.sum()
            images = (
                CoherentSum(0.0, 0.0, focuses=1).intensity(
                    spectrum, grid, lens(50.0 + spread * place), BEAM.wavelength
                )
                for place in places
            )
            return sum(w * np.asarray(one) for w, one in zip(weights, images, strict=True))

        exact = seen(CoherentSum(spread, focuses=401))
        needed = focuses_needed(spread, grid, BEAM.wavelength)
        for count in (7, 15, needed):
            equal = rms(seen(CoherentSum(spread, focuses=count)) - exact)
            rows.append((spread / 10, count, f"{equal:.4f}", f"{rms(hermite(count) - exact):.4f}"))
        rows.append((spread / 10, "envelope", f"{rms(seen(Envelopes(spread)) - exact):.4f}", ""))
        rows.append((spread / 10, "contrast itself", f"{exact.std():.3f}", ""))
    first = markdown(("focal spread, nm", "focuses", "equally spaced", "Gauss-Hermite"), rows)
    rows = []
    whole = Microscope(lens(50.0), coherent_sum(30.0, 0.0, field, BEAM, 2.0), Detector(1.0), 2.0)
    exact = np.asarray(whole.image(spectrum, field, BEAM))
    for oversampling in (1.0, 1.125, 1.25, 1.5):
        how = coherent_sum(30.0, 0.0, field, BEAM, oversampling)
        microscope = Microscope(lens(50.0), how, Detector(1.0), oversampling)
        found = np.asarray(microscope.image(spectrum, field, BEAM))
        rows.append((oversampling, how.focuses, f"{rms(found - exact) / exact.std():.4f}"))
    return first + "\n\n" + markdown(("points in a pixel", "focuses", "rms / contrast"), rows)


def beside_abtem(path: Path) -> str:
    """Exit waves that abTEM made of a small patch."""
    theirs = dict(np.load(path))
    edge, rows = int(theirs["edge"]), []
    half = (len(theirs["spectrum_0"]) - 1) // 2
    for k, (name, spacing, parts) in enumerate(VARIANTS):
        places, thickness = theirs[f"positions_{k}"], float(theirs["thickness"]) / parts
        slices = slice_atoms(places[:, 2], theirs["symbols"], thickness, 6 * parts)
        ones = np.ones(len(places), np.float32)
        b_factors = np.array([0.3, 0.6], np.float32)
        atoms = SlicedAtoms(places[:, :2].astype(np.float32), ones, b_factors, 0.0, slices)
        errors = []
        # Ours with the same settings, and with fine ones; abTEM acts at a slice's upper surface.
        for finest in (spacing, 0.05):
            field = Field((edge // 2, edge // 2), 0.2, 0, round(0.2 / finest))
            shift = propagator(field.wave, BEAM, 0.5 * thickness)
            ours = np.asarray(exit_wave(atoms, field, BEAM) * shift) * (edge / field.wave.shape[0]) ** 2
            keep = np.r_[0 : half + 1, field.wave.shape[0] - half : field.wave.shape[0]]
            apart = ours[np.ix_(keep, keep)] - theirs[f"spectrum_{k}"]
            errors.append(f"{np.sqrt(np.sum(np.abs(apart) ** 2)) / edge**2:.4f}")
        rows.append((name, *errors))
    spectrum = theirs["spectrum_2"].copy()
    spectrum[0, 0] = 0
    contrast = f"{np.sqrt(np.sum(np.abs(spectrum) ** 2)) / edge**2:.3f}"
    header = ("abTEM's exit wave", "less ours, as sampled", "less ours, on points of 0.05 Å")
    return markdown(header, [*rows, ("contrast itself", contrast, "")])


def timed(function: Callable[[], object]) -> float:
    jax.block_until_ready(function())
    start = time.perf_counter()
    for _ in range(10):
        jax.block_until_ready(function())
    return (time.perf_counter() - start) / 10


def times() -> str:
    rows = []
    for edge in (128, 256, 512):
        options = HrtemOptions(profile="flat", vacuum=0.0, image_size=edge, displacement=0.0)
        field = Field((edge, edge), PIXEL)
        made = hrtem_specimen(options, field, np.random.default_rng(0))
        atoms = sliced(made, REPEAT)
        run = jax.jit(partial(exit_wave, field=field, beam=BEAM))
        spectrum = run(atoms)
        coherence = coherent_sum(30.0, 1e-4, field, BEAM)
        microscope = Microscope(lens(50.0), coherence, Detector(100.0))
        finest = coherent_sum(30.0, 1e-4, field, BEAM, 2.0)
        whole = Microscope(lens(50.0), finest, Detector(100.0), 2.0)
        see = jax.jit(lambda how, s, field=field: how.image(s, field, BEAM))

        def loss(places: jax.Array, c1: jax.Array, with_: tuple = (atoms, field, microscope)) -> jax.Array:
            own, here, how = with_
            own = eqx.tree_at(lambda one: one.positions, own, places)
            how = eqx.tree_at(lambda one: one.lens.c1, how, c1)
            return jnp.sum(how.image(exit_wave(own, here, BEAM), here, BEAM) ** 2)

        at = jnp.asarray(atoms.positions), jnp.float32(50.0)
        derivative = jax.jit(jax.value_and_grad(loss, (0, 1)))
        rows.append(
            (
                f"{edge} x {edge}",
                len(made.positions),
                f"{timed(partial(run, atoms)):.3f}",
                f"{timed(partial(see, microscope, spectrum)):.3f} ({coherence.focuses} focuses)",
                f"{timed(partial(see, whole, spectrum)):.3f} ({finest.focuses})",
                f"{timed(partial(derivative, *at)):.3f}",
            )
        )
    header = (
        "pixels of 0.2 Å",
        "atoms",
        "exit wave, s",
        "image, s",
        "image on the wave's points, s",
        "value and gradient (positions, C1), s",
    )
    return markdown(header, rows)


def main() -> None:
    options = HrtemOptions(profile="flat", vacuum=0.0, image_size=EDGE, seed=1, turn=20.0)
    made = hrtem_specimen(options, Field((EDGE, EDGE), PIXEL), np.random.default_rng(1))
    parts = ["## Points and slices", sampling(made), "## Coherence", coherence(made)]
    if len(sys.argv) > 1:
        parts += ["## Beside abTEM", beside_abtem(Path(sys.argv[1]))]
    parts += ["## Time", times()]
    record(Path(__file__).with_name("table.md"), "python -m experiments.heights variants.npz", *parts)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in network.PARTS:
        network.main()
    elif sys.argv[1:2] and sys.argv[1] in commands.PARTS:
        commands.main()
    else:
        main()
