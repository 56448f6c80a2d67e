"""Our density against gemmi's, for atoms with form factors and anisotropic displacements."""

import jax
import numpy as np
import pytest

from atomfit.gaussians.scatterers import FormFactors
from atomfit.rendering import plan_windows, render, render_map
from atomfit.structure.grid import Grid
from atomfit.support.units import b_from_u

gemmi = pytest.importorskip("gemmi")


def test_density_of_two_elements_is_gemmis(rng: np.random.Generator) -> None:
    """gemmi places atoms in a crystal's cell; a wide cell makes its neighbours' images harmless."""
    n_voxels, edge, n = 60, 24.0, 6
    grid = Grid((n_voxels,) * 3, np.full(3, edge / n_voxels), np.zeros(3))
    centres = rng.uniform(8, 16, (n, 3))
    root = 0.2 * rng.normal(size=(n, 3, 3))
    matrices = root @ np.swapaxes(root, 1, 2) + 0.2 * np.eye(3)
    numbers = np.array([78, 26] * 3)

    calculator = gemmi.DensityCalculatorE()
    calculator.grid.unit_cell = gemmi.UnitCell(edge, edge, edge, 90, 90, 90)
    calculator.grid.set_size(n_voxels, n_voxels, n_voxels)
    calculator.cutoff = 1e-7
    calculator.grid.spacegroup = gemmi.SpaceGroup("P1")
    model = gemmi.Model(1)
    chain, residue = gemmi.Chain("A"), gemmi.Residue()
    for number, centre, u in zip(numbers, centres, matrices, strict=True):
        atom = gemmi.Atom()
        atom.element = gemmi.Element(int(number))
        atom.pos = gemmi.Position(*centre)
        atom.aniso = gemmi.SMat33f(u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
        atom.b_iso = b_from_u(float(np.trace(u) / 3))
        residue.add_atom(atom)
    chain.add_residue(residue)
    model.add_chain(chain)
    calculator.add_model_density_to_grid(model)
    theirs = np.array(calculator.grid, copy=True).transpose(2, 1, 0)

    amplitudes = np.array([sum(gemmi.Element(int(number)).c4322.a) for number in numbers])
    exact, few = (FormFactors.of(numbers, 0.2, accuracy) for accuracy in (0.0, 2e-3))
    ours = exact.gaussians(centres, matrices, amplitudes)
    assert np.abs(render_map(ours, grid, 6.0) - theirs).max() < 1e-3 * theirs.max()
    plan = plan_windows(ours, grid, 6.0)
    drawn = jax.jit(lambda gaussians: render(gaussians, plan, grid.spacing, grid.origin))(ours)
    assert np.abs(drawn - theirs).max() < 1e-3 * theirs.max()
    fewer = render_map(few.gaussians(centres, matrices, amplitudes), grid, 6.0)
    assert np.abs(fewer - theirs).max() < 3e-3 * theirs.max()
