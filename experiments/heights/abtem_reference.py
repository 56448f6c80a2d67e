"""A patch of CeO2 [110] as abTEM makes it: atoms, exit wave and images, which the tests compare with.

`pip install abtem ase`, then
`python experiments/heights/abtem_reference.py [tests/waves/abtem_ceo2.npz]`. This script
imports nothing of atomfit. With `--variants FILE.npz` it writes exit waves of several settings, which the
README's table compares (`python -m experiments.heights FILE.npz`).

Form factors are given to abTEM in numbers: International Tables C, table 4.3.2.2, which is not the
table that abTEM calls Peng's (that is 4.3.2.3, which reaches farther in s). Atoms are on points of the
grid, because abTEM lays those of infinite projections on points by linear interpolation.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

SPACING, EDGE, SLICES = 0.1, 128, 6
#: Frequencies that are kept, in steps of the grid's.
KEPT = 26
#: The lattice's edge (Å), and displacement factors B (Å²).
LATTICE, B_FACTORS = 5.411, {"Ce": 0.3, "O": 0.6}
FORM_FACTORS = {
    "Ce": [[0.8551, 2.3915, 4.5772, 5.0278, 4.5118], [0.2805, 2.12, 10.1808, 42.0633, 130.9893]],
    "O": [[0.0974, 0.2921, 0.691, 0.699, 0.2039], [0.2067, 1.3815, 4.6943, 12.7105, 32.4726]],
}
VOLTAGE = 300e3
#: Å, and radians; the notation is Krivanek's.
C30, C50 = -9e4, 5e7
ASTIGMATIC = {"C12": 30.0, "phi12": 0.4, "C21": 900.0, "phi21": 1.1, "C23": 700.0, "phi23": -0.3}
DEFOCI = (60.0, -40.0)
TILT = (6.0, -4.0)


def patch(snapped: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Positions and elements: a wedge of columns of 1 to 6 atoms with vacuum around; on points or not."""
    repeat = LATTICE / 2**0.5
    # Columns of a cell, by x, y and z in parts of a / √2, a and a / √2.
    cell = [("Ce", 0, 0, 0), ("Ce", 0.5, 0.5, 0.5)]
    cell += [("O", x, y, z) for x, z in ((0.5, 0), (0, 0.5)) for y in (0.25, 0.75)]
    rng, places, symbols = np.random.default_rng(3), [], []
    for i in range(-1, 3):
        for j in range(-1, 2):
            for symbol, x, y, z in cell:
                at = np.array([(i + x) * repeat + 2.9, (j + y) * LATTICE + 4.1])
                if np.all((at > 1.5) & (at < 11.3)):
                    height = 1 + int(SLICES * (at[0] - 1.5) / 9.81)
                    for k in range(height):
                        places.append([*(at + rng.normal(0, 0.1, 2)), (k + 0.25 + 0.5 * z) * repeat])
                        symbols.append(symbol)
    found = np.array(places)
    if snapped:
        found[:, :2] = SPACING * np.rint(found[:, :2] / SPACING)
    return found, np.array(symbols)


def potential_of(
    places: np.ndarray, symbols: np.ndarray, spacing: float, thickness: float, table: str, projection: str
) -> Any:
    """A potential of abTEM's.

    **Arguments:**

    - `places`, `symbols`: of the atoms (Å).
    - `spacing`, `thickness`: of points and of slices (Å).
    - `table`: "4.3.2.2", or "lobato".
    - `projection`: "infinite" or "finite".
    """
    import abtem
    from abtem.parametrizations import LobatoParametrization, PengParametrization
    from ase import Atoms

    width = EDGE * SPACING
    atoms = Atoms(symbols.tolist(), places, cell=[width, width, SLICES * LATTICE / 2**0.5], pbc=True)
    # Standard deviations along one direction.
    sigmas = {name: float(np.sqrt(b / (8 * np.pi**2))) for name, b in B_FACTORS.items()}
    exact = PengParametrization(FORM_FACTORS, sigmas)
    return abtem.Potential(
        atoms,
        sampling=spacing,
        slice_thickness=thickness,
        parametrization=exact if table == "4.3.2.2" else LobatoParametrization(sigmas=sigmas),
        projection=projection,
    )


def kept(wave: np.ndarray) -> np.ndarray:
    """Frequencies up to 2 1/Å alone, as on a grid of `EDGE` points."""
    edge = wave.shape[0]
    keep = np.r_[0 : KEPT + 1, edge - KEPT : edge]
    return (np.fft.fft2(wave)[np.ix_(keep, keep)] * (EDGE / edge) ** 2).astype(np.complex64)


def main(out: Path) -> None:
    """Write what abTEM makes of the patch."""
    import abtem

    repeat = LATTICE / 2**0.5
    places, symbols = patch()
    potential = potential_of(places, symbols, SPACING, repeat, "4.3.2.2", "infinite")
    found = {}
    for name, tilt in (("exit", (0.0, 0.0)), ("tilted", TILT)):
        waves = abtem.PlaneWave(energy=VOLTAGE, tilt=tilt).multislice(potential).compute()
        found[name] = kept(np.asarray(waves.array).T)
        if name == "exit":
            for k, c1 in enumerate(DEFOCI):
                ctf = abtem.CTF(C10=c1, C30=C30, C50=C50, energy=VOLTAGE, **ASTIGMATIC)
                seen = waves.apply_ctf(ctf).intensity().compute().array
                found[f"image_{k}"] = kept(np.asarray(seen).T)
    np.savez_compressed(
        out,
        positions=places,
        symbols=symbols,
        thickness=repeat,
        spacing=SPACING,
        edge=EDGE,
        defoci=np.array(DEFOCI),
        tilt=np.array(TILT),
        **{f"spectrum_{name}": one for name, one in found.items()},
    )
    print(out, out.stat().st_size, "bytes;", len(places), "atoms; abTEM", abtem.__version__)


#: Name, whether atoms are on points, spacing (Å), slices in a repeat, table and projection.
VARIANTS = (
    ("as the test has it", True, 0.1, 1, "4.3.2.2", "infinite"),
    ("atoms on no grid", False, 0.1, 1, "4.3.2.2", "infinite"),
    ("0.05 Å", False, 0.05, 1, "4.3.2.2", "infinite"),
    ("0.2 Å", False, 0.2, 1, "4.3.2.2", "infinite"),
    ("half slices", False, 0.05, 2, "4.3.2.2", "infinite"),
    ("Lobato's form factors", False, 0.05, 1, "lobato", "infinite"),
    ("finite projection, Lobato", False, 0.05, 1, "lobato", "finite"),
    ("finite, Lobato, slices of 0.96 Å", False, 0.05, 4, "lobato", "finite"),
)


def variants(out: Path) -> None:
    """Write exit waves for the README's table."""
    import abtem

    repeat, found = LATTICE / 2**0.5, {}
    for k, (_, snapped, spacing, parts, table, projection) in enumerate(VARIANTS):
        places, symbols = patch(snapped)
        potential = potential_of(places, symbols, spacing, repeat / parts, table, projection)
        waves = abtem.PlaneWave(energy=VOLTAGE).multislice(potential).compute()
        found[f"spectrum_{k}"] = kept(np.asarray(waves.array).T)
        found[f"positions_{k}"] = places
    np.savez_compressed(out, symbols=symbols, thickness=repeat, edge=EDGE, spacing=SPACING, **found)


if __name__ == "__main__":
    import abtem

    abtem.config.set({"precision": "float64", "antialias.taper": 0.0, "antialias.cutoff": 2 / 3})
    if "--variants" in sys.argv:
        variants(Path(sys.argv[-1]))
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/waves/abtem_ceo2.npz"))
