"""Our renderer beside gemmi's and cryojax's: 500 Gaussians of 0.5 Å in 120³ voxels of 0.36 Å.

gemmi draws a single Gaussian for an atom that scatters like a point: neutrons, blurred by the atom's
anisotropic displacement. cryojax draws isotropic Gaussians, averaged over each voxel.
"""

from importlib.metadata import version
from typing import Any

import cryojax.simulator as cryojax
import equinox as eqx
import gemmi
import jax
import jax.numpy as jnp
import numpy as np

from atomfit.rendering import Gaussians, WindowPlan, plan_windows, render, render_map
from atomfit.structure.grid import Grid
from atomfit.support.units import EIGHT_PI_SQUARED
from experiments.benchmarks.timing import Pair, paired
from experiments.recording import markdown

ATOMS, EDGE, VOXEL, WIDTH, CUTOFF = 500, 120, 0.36, 0.5, 4.0
#: Voxels along each axis that cryojax evaluates an atom at.
SPREAD = 12
GRID = Grid((EDGE,) * 3, np.full(3, VOXEL), np.zeros(3))
HEADER = ("task", "atomfit, ms", "peer, ms", "atomfit / peer", "goal", "difference, part of a peak")


def texts() -> tuple[str, ...]:
    """The part's table and what to know of it."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=GRID.shape).astype(np.float32)
    ellipsoids, spheres = gaussians(rng, 0.2), gaussians(rng, 0.0)
    rows = [
        ("render, against gemmi's anisotropic Gaussian", *against_gemmi(ellipsoids)),
        ("render, against cryojax's isotropic Gaussian", *against_cryojax(spheres)),
        ("value and gradient, against cryojax", *gradients_against_cryojax(spheres, target)),
        ("render once, on the host (`render_map`), against gemmi", *on_the_host(ellipsoids)),
    ]
    intro = (
        f"{ATOMS} Gaussians of {WIDTH} Å in {EDGE}³ voxels of {VOXEL} Å, out to {CUTOFF:g} standard "
        f"deviations; gemmi {version('gemmi')}; cryojax {version('cryojax')} to {SPREAD} voxels along each "
        "axis. Compiled code; atomfit plans its windows anew each time, which is timed as well. Medians of "
        "101 runs in turn, and of their ratios; 10th and 90th percentile of these. gemmi's density differs "
        "in where Gaussians end; cryojax's is averaged over voxels, and compared with Gaussians that are "
        "wider by as much."
    )
    return intro, markdown(HEADER, rows)


def gaussians(rng: np.random.Generator, anisotropy: float) -> Gaussians:
    """Gaussians at random places, whose variances differ by up to a given part along the axes of each."""
    centres = rng.uniform(6, EDGE * VOXEL - 6, (ATOMS, 3))
    turns = np.linalg.qr(rng.normal(size=(ATOMS, 3, 3)))[0]
    variances = WIDTH**2 * np.array([1 - anisotropy, 1, 1 + anisotropy])
    return Gaussians(centres, (turns * variances) @ np.swapaxes(turns, 1, 2), np.ones(ATOMS))


def against_gemmi(ours: Gaussians) -> tuple[str, ...]:
    calculator, model, weight = gemmis(ours)
    scaled = Gaussians(ours.centres, ours.matrices, weight * np.asarray(ours.weights))
    draw = renderer(scaled)
    pair = paired(draw, lambda: calculator.put_model_density_on_grid(model))
    theirs = np.array(calculator.grid, copy=True).transpose(2, 1, 0)
    return row(pair, "≤ 0.5", np.asarray(draw()), theirs)


def on_the_host(ours: Gaussians) -> tuple[str, ...]:
    calculator, model, weight = gemmis(ours)
    scaled = Gaussians(ours.centres, ours.matrices, weight * np.asarray(ours.weights))
    pair = paired(
        lambda: render_map(scaled, GRID, CUTOFF), lambda: calculator.put_model_density_on_grid(model)
    )
    theirs = np.array(calculator.grid, copy=True).transpose(2, 1, 0)
    return row(pair, "", render_map(scaled, GRID, CUTOFF), theirs)


def against_cryojax(ours: Gaussians) -> tuple[str, ...]:
    volume, draw_theirs = cryojaxs(ours)
    draw, theirs = renderer(ours), jax.jit(lambda volume: draw_theirs(volume))
    pair = paired(draw, lambda: theirs(volume).block_until_ready())
    widened = Gaussians(ours.centres, np.asarray(ours.matrices) + VOXEL**2 / 12 * np.eye(3), ours.weights)
    return row(pair, "", np.asarray(renderer(widened)()), np.asarray(theirs(volume)))


def gradients_against_cryojax(ours: Gaussians, target: np.ndarray) -> tuple[str, ...]:
    """Half the squared difference to a map, and its gradient by all numbers of the atoms."""
    volume, draw_theirs = cryojaxs(ours)
    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), ours)
    wanted = jnp.asarray(target)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def misfit(atoms: Gaussians, plan: WindowPlan) -> jax.Array:
        return 0.5 * jnp.sum((render(atoms, plan, GRID.spacing, GRID.origin) - wanted) ** 2)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def misfit_of_theirs(volume: Any) -> jax.Array:
        return 0.5 * jnp.sum((draw_theirs(volume) - wanted) ** 2)

    pair = paired(
        lambda: jax.block_until_ready(misfit(single, plan_windows(ours, GRID, CUTOFF))),
        lambda: jax.block_until_ready(misfit_of_theirs(volume)),
    )
    return (*pair.cells(), "≤ 0.6", "")


def renderer(ours: Gaussians) -> Any:
    """Draw with compiled code, windows planned anew."""
    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), ours)
    draw = eqx.filter_jit(lambda atoms, plan: render(atoms, plan, GRID.spacing, GRID.origin))
    return lambda: draw(single, plan_windows(ours, GRID, CUTOFF)).block_until_ready()


def gemmis(ours: Gaussians) -> tuple[Any, Any, float]:
    """gemmi's calculator, its model of the same Gaussians, and the integral of each in it."""
    model, chain, residue = gemmi.Model(1), gemmi.Chain("A"), gemmi.Residue()
    for centre, u in zip(np.asarray(ours.centres), np.asarray(ours.matrices), strict=True):
        atom = gemmi.Atom()
        atom.element = gemmi.Element("Pt")
        atom.pos = gemmi.Position(*centre)
        atom.aniso = gemmi.SMat33f(u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
        atom.b_iso = EIGHT_PI_SQUARED * float(np.trace(u)) / 3
        residue.add_atom(atom)
    chain.add_residue(residue)
    model.add_chain(chain)
    calculator = gemmi.DensityCalculatorN()
    calculator.grid.unit_cell = gemmi.UnitCell(*[EDGE * VOXEL] * 3, 90, 90, 90)
    calculator.grid.spacegroup = gemmi.SpaceGroup("P1")
    calculator.grid.set_size(EDGE, EDGE, EDGE)
    # Drawn to the end, the density's integral is the scattering length.
    calculator.cutoff = 1e-9
    calculator.put_model_density_on_grid(model)
    weight = float(np.array(calculator.grid).sum(dtype=np.float64)) * VOXEL**3 / ATOMS
    calculator.cutoff = weight / (2 * np.pi * WIDTH**2) ** 1.5 * float(np.exp(-(CUTOFF**2) / 2))
    return calculator, model, weight


def cryojaxs(ours: Gaussians) -> tuple[Any, Any]:
    """cryojax's Gaussians, of which it counts from the middle of the box, and its renderer."""
    volume = cryojax.GaussianMixtureVolume(
        (np.asarray(ours.centres) - EDGE * VOXEL / 2).astype(np.float32),
        np.asarray(ours.weights, np.float32),
        np.asarray(ours.matrices, np.float32)[:, 0, 0].copy(),
    )
    volume = jax.tree.map(jnp.asarray, volume)
    return volume, cryojax.GaussianMixtureRenderFn((EDGE,) * 3, VOXEL, n_spread=SPREAD)


def row(pair: Pair, goal: str, ours: np.ndarray, theirs: np.ndarray) -> tuple[str, ...]:
    difference = float(np.abs(ours - theirs).max() / theirs.max())
    return (*pair.cells(), goal, f"{difference:.1e}")
