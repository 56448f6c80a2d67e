"""A crystal and a dose in, how often heights are exact at each defocus out: at which focus to take images.

A wedge of the crystal, of every thickness that is asked for, is imaged at each defocus, and heights of
columns are told from counts as if all else was known (`limit`): no method tells them more often. Waves of
all heights are the same for every focus, so that each costs but its images. What is found are rates of an
ideal observer; their order is what advises.
"""

from dataclasses import dataclass, field
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from atomfit.column_heights.limit import Hypotheses, See, contrasts_of, posteriors
from atomfit.structure.crystals import ZoneColumns, crystal, zone_columns
from atomfit.support.errors import InputError
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
)

#: Electrons are drawn so often; columns nearer to the patch's edge are not counted (Å).
_DRAWS, _EDGE = 16, 1.0
#: Rates that differ by less than this are alike, also where all draws say the same.
_ALIKE = 0.005
#: Points in a pixel's edge: right to 1 % of the contrast, which moves no rate.
_OVERSAMPLING = 1.25


@dataclass(frozen=True)
class ImagingSetup:
    """How images are to be taken.

    **Fields:**

    - `voltage`: kV.
    - `c3`, `c5`: spherical aberration (µm), and of fifth order (mm).
    - `focal_spread`, `convergence`: standard deviations (nm, mrad).
    - `pixel`: edge of a pixel (Å).
    - `size`: edge of the patch that is tried (pixels).
    - `defocus`: those that are tried (nm); positive is overfocus.
    """

    voltage: float = 300.0
    c3: float = -9.0
    c5: float = 5.0
    focal_spread: float = 3.0
    convergence: float = 0.1
    pixel: float = 0.2
    size: int = 96
    defocus: tuple[float, ...] = tuple(float(nm) for nm in range(-10, 11))


@dataclass(frozen=True, eq=False)
class ImagingAdvice:
    """How often an ideal observer tells heights exactly.

    **Fields:**

    - `doses`: electrons per Å².
    - `defocus`: nm.
    - `exact`: part of the columns, by dose and defocus.
    - `esd`: its standard uncertainty, of the noise that was drawn.
    - `setup`: how images are taken.
    """

    doses: Float[np.ndarray, " doses"]
    defocus: Float[np.ndarray, " focuses"]
    exact: Float[np.ndarray, "doses focuses"]
    esd: Float[np.ndarray, "doses focuses"]
    setup: ImagingSetup = field(default_factory=ImagingSetup)

    @property
    def alike(self) -> Bool[np.ndarray, "doses focuses"]:
        """Which defocuses tell as much as the best one at each dose, to what the draws can tell."""
        return self.exact >= self.exact.max(axis=1, keepdims=True) - np.maximum(self.esd, _ALIKE)

    def best(self) -> Float[np.ndarray, " doses"]:
        """The defocus that tells most at each dose (nm); of such as are as good the nearest to focus."""
        return self.defocus[np.where(self.alike, np.abs(self.defocus), np.inf).argmin(axis=1)]

    @property
    def told(self) -> str:
        """Which defocus tells most at each dose, in words."""
        return "; ".join(
            f"at {dose:.4g} electrons/Å² {_focus_words(self.defocus, alike, nm)}: an ideal observer has "
            f"{exact.max():.0%} of the heights exactly (at the worst defocus {exact.min():.0%})"
            for dose, nm, exact, alike in zip(self.doses, self.best(), self.exact, self.alike, strict=True)
        )

    def rows(self) -> list[dict[str, float]]:
        """A table's rows: `dose`, `defocus`, `exact`, `exact_esd`."""
        return [
            {
                "dose": float(dose),
                "defocus": float(defocus),
                "exact": float(self.exact[i, j]),
                "exact_esd": float(self.esd[i, j]),
            }
            for i, dose in enumerate(self.doses)
            for j, defocus in enumerate(self.defocus)
        ]

    def write(self, path: Path) -> Path:
        """The table as CSV.

        **Arguments:**

        - `path`: of the file.
        """
        lines = [",".join(f"{value:.6g}" for value in row.values()) for row in self.rows()]
        header = "dose,defocus,exact,exact_esd"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path


def _focus_words(
    defocus: Float[np.ndarray, " focuses"], alike: Bool[np.ndarray, " focuses"], best: float
) -> str:
    """Which defocuses tell most, in words."""
    if alike.sum() == 1:
        return f"a defocus of {best:+.3g} nm tells most"
    if alike.all():
        return f"every defocus from {defocus.min():+.3g} to {defocus.max():+.3g} nm tells as much"
    least, most = defocus[alike].min(), defocus[alike].max()
    return (
        f"{alike.sum()} defocuses between {least:+.3g} and {most:+.3g} nm tell most, of which {best:+.3g} "
        "nm is the nearest to focus"
    )


def imaging_advice(
    name: str | Path,
    zone: tuple[int, int, int],
    doses: tuple[float, ...] = (100.0, 300.0, 1e3),
    thickness: tuple[int, int] = (1, 10),
    setup: ImagingSetup | None = None,
    seed: int = 0,
) -> ImagingAdvice:
    """How often heights can be told exactly, by dose and defocus.

    **Arguments:**

    - `name`: CeO2, Pt, Au or a CIF file.
    - `zone`: direction of the beam, in the cell's vectors.
    - `doses`: electrons per Å².
    - `thickness`: least and greatest number of atoms of the heaviest element along the beam.
    - `setup`: how images are taken.
    - `seed`: of the noise.

    **Raises:** `InputError` if the crystal, the axis, a dose or the thickness cannot be.
    """
    setup = setup or ImagingSetup()
    low, high = thickness
    if not 0 < low <= high <= 200:
        raise InputError(f"{low},{high} is no thickness", "give two whole numbers from 1 to 200, as 1,10")
    if not doses or min(doses) <= 0:
        raise InputError(f"{doses} are no doses", "give electrons per Å², as 1000")
    if not setup.defocus:
        raise InputError("there is no defocus to try", "give some, in nm")
    grid = Field.suited((setup.size,) * 2, setup.pixel)
    with own_numerics():
        atoms, hypotheses, below = _wedge(name, zone, thickness, grid)
        found = contrasts_of(hypotheses, _viewer(atoms, grid, setup, below), setup.pixel)
    inner = setup.pixel * (setup.size - 1) - _EDGE
    counted = np.all((hypotheses.places >= _EDGE) & (hypotheses.places <= inner), axis=1)
    truth = np.where(hypotheses.occupancies[hypotheses.members] > 0, 1, 0).sum(axis=1)
    rates = []
    for dose in doses:
        scale = dose * setup.pixel**2
        for view, image in enumerate(found.expected):
            # The same seed at each focus: what differs is not the luck of the draw alone.
            rng = np.random.default_rng([seed, 31])
            drawn = rng.poisson(scale * image, (_DRAWS, *image.shape)).astype(np.float32)
            exact = posteriors(found, drawn, scale, view).argmax(axis=2) == truth
            each = exact[:, counted].mean(axis=1)
            rates.append((each.mean(), each.std(ddof=1) / np.sqrt(_DRAWS)))
    table = np.array(rates).reshape(len(doses), len(setup.defocus), 2)
    return ImagingAdvice(
        np.array(doses, np.float64),
        np.array(setup.defocus, np.float64),
        table[..., 0],
        table[..., 1],
        setup,
    )


def _viewer(atoms: SlicedAtoms, grid: Field, setup: ImagingSetup, below: float) -> See:
    """Images at every defocus, of occupancies; `below`: of the wave's plane under the specimen (Å)."""
    beam = Beam(setup.voltage)
    spread, angle = 10 * setup.focal_spread, 1e-3 * setup.convergence
    coherence = coherent_sum(spread, angle, grid, beam, _OVERSAMPLING)
    lens = Aberrations(c3=1e4 * setup.c3, c5=1e7 * setup.c5)
    microscope = Microscope(lens, coherence, Detector(setup.pixel**-2), _OVERSAMPLING)
    focuses = jnp.asarray(10 * np.array(setup.defocus) - below, jnp.float32)

    @eqx.filter_jit
    def see(atoms: SlicedAtoms, occupancies: Array) -> Array:
        wave = exit_wave(eqx.tree_at(lambda a: a.occupancies, atoms, occupancies), grid, beam)

        def at(c1: Array) -> Array:
            image = eqx.tree_at(lambda m: m.lens.c1, microscope, c1).image(wave, grid, beam)
            return jnp.asarray(grid.shown(image))

        return jax.lax.map(at, focuses)

    return lambda occupancies: see(atoms, jnp.asarray(occupancies))


def _wedge(
    name: str | Path, axis: tuple[int, int, int], thickness: tuple[int, int], grid: Field
) -> tuple[SlicedAtoms, Hypotheses, float]:
    """A crystal that is thin at one side of a field and thick at the other, and other heights of it."""
    of = crystal(name)
    zone = zone_columns(of, axis)
    low, high = thickness
    spacing = zone.repeat / max(int(np.bincount(zone.of[zone.atom_symbols == of.heaviest]).max()), 1)
    # Room below for columns that begin deep and might be as high as any.
    column, places, z, symbols = _slab(zone, grid, (high + (high + 1) // 2 + 1) * spacing)
    edge = grid.shape[1] * grid.pixel
    part = np.clip(places[:, 0] / edge, 0, 1 - 1e-9)
    atoms_high = low + np.floor((high - low + 1) * part)
    upper = np.floor((high - atoms_high) / 2) * spacing
    there = (z > upper[column]) & (z < (upper + atoms_high * spacing)[column])
    heavy = symbols == of.heaviest
    shown = np.all((places > -0.5 * grid.pixel) & (places < edge - 0.5 * grid.pixel), axis=1)
    chosen = np.unique(column[heavy & there & shown[column]])
    members = []
    for c in chosen:
        own = np.flatnonzero((column == c) & heavy & (z > upper[c]))
        members.append(own[np.argsort(z[own])][:high])
    kept = there.copy()
    kept[np.concatenate(members)] = True
    renumbered = np.cumsum(kept) - 1
    steps = np.tril(np.ones((high + 1, high), bool), -1)
    thick = slice_thickness(zone.repeat)
    lower = clear_of(z, thick)
    slices = slice_atoms(z[kept] + lower, symbols[kept], thick)
    b_factors = np.array([of.b_factors[one] for one in slices.elements], np.float32)
    occupancies = there[kept].astype(np.float32)
    atoms = SlicedAtoms(places[column[kept]].astype(np.float32), occupancies, b_factors, 0.0, slices)
    hypotheses = Hypotheses(
        places[chosen],
        occupancies,
        renumbered[np.array(members)],
        np.broadcast_to(steps, (len(chosen), *steps.shape)),
        np.broadcast_to(np.arange(high + 1), (len(chosen), high + 1)),
    )
    return atoms, hypotheses, float(slices.count * thick - lower - high * spacing)


def _slab(
    zone: ZoneColumns, grid: Field, depth: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Atoms of a crystal over a field and its margins: their columns, and these' places; z and elements."""
    flat, margin = zone.lattice[:, :2], grid.margin * grid.pixel
    size = np.array(grid.shape[::-1]) * grid.pixel
    reach = float(np.hypot(*size)) + 2 * margin
    most = np.ceil(reach * np.linalg.norm(np.linalg.inv(flat), axis=0)).astype(int)
    steps = np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij")
    cells = np.stack(steps, axis=-1).reshape(-1, 2)
    places = zone.places[None] + (cells @ flat)[:, None] + 0.1
    near = np.all((places >= -margin) & (places < size + margin), axis=2)
    z = (zone.heights[None] + (cells @ zone.lattice[:, 2])[:, None]) % zone.repeat
    z = (z + clear_of(z.ravel(), zone.repeat)) % zone.repeat
    layers = zone.repeat * np.arange(int(np.ceil(depth / zone.repeat)))
    shape = (len(cells), len(zone.of), len(layers))
    column = np.broadcast_to(
        (zone.of[None] + len(zone.places) * np.arange(len(cells))[:, None])[..., None], shape
    )
    symbols = np.broadcast_to(zone.atom_symbols[None, :, None], shape)
    inside = np.broadcast_to(near.ravel()[column], shape).ravel()
    every = places.reshape(-1, 2)
    return (
        column.ravel()[inside],
        every,
        (z[..., None] + layers).ravel()[inside],
        symbols.ravel()[inside],
    )
