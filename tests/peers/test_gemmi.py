"""Our density against gemmi's, for atoms with anisotropic displacements."""

import numpy as np
import pytest

from atomfit.grid import Grid
from atomfit.rendering import Gaussians, render_map
from atomfit.units import EIGHT_PI_SQUARED, b_from_u

gemmi = pytest.importorskip("gemmi")


def test_density_of_an_anisotropic_gaussian_is_gemmis(rng: np.random.Generator) -> None:
    """gemmi places atoms in a crystal's cell; a wide cell makes its neighbours' images harmless."""
    n_voxels, edge, n = 60, 24.0, 6
    grid = Grid((n_voxels,) * 3, np.full(3, edge / n_voxels), np.zeros(3))
    centres = rng.uniform(8, 16, (n, 3))
    root = 0.2 * rng.normal(size=(n, 3, 3))
    matrices = root @ np.swapaxes(root, 1, 2) + 0.2 * np.eye(3)

    calculator = gemmi.DensityCalculatorE()
    calculator.grid.unit_cell = gemmi.UnitCell(edge, edge, edge, 90, 90, 90)
    calculator.grid.set_size(n_voxels, n_voxels, n_voxels)
    calculator.cutoff = 1e-7
    calculator.grid.spacegroup = gemmi.SpaceGroup("P1")
    model = gemmi.Model(1)
    chain, residue = gemmi.Chain("A"), gemmi.Residue()
    for centre, u in zip(centres, matrices, strict=True):
        atom = gemmi.Atom()
        atom.element = gemmi.Element("Pt")
        atom.pos = gemmi.Position(*centre)
        atom.aniso = gemmi.SMat33f(u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
        atom.b_iso = b_from_u(float(np.trace(u) / 3))
        residue.add_atom(atom)
    chain.add_residue(residue)
    model.add_chain(chain)
    calculator.add_model_density_to_grid(model)
    theirs = np.array(calculator.grid, copy=True).transpose(2, 1, 0)

    table = gemmi.Element("Pt").c4322
    a, b = np.array(table.a), np.array(table.b)
    k = len(a)
    ours = render_map(
        Gaussians(
            np.repeat(centres, k, axis=0),
            np.repeat(matrices, k, axis=0) + np.tile(b / EIGHT_PI_SQUARED, n)[:, None, None] * np.eye(3),
            np.tile(a, n),
        ),
        grid,
        cutoff=6.0,
    )
    assert np.abs(ours - theirs).max() < 1e-3 * theirs.max()
