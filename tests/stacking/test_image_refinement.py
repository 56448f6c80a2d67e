"""A particle whose atoms are known, in an image: refined against it, atoms go where the image has them."""

import numpy as np

from atomfit.fitting.column_fit import FittedColumns, columns_of, drawn
from atomfit.observation.point_spread import PointSpread
from atomfit.observation.spline import SplineBackground
from atomfit.optimisation.ended import Ended
from atomfit.simulation.particles import particle
from atomfit.stacking.image_refinement import Refined, refine_against_image
from atomfit.stacking.relaxation import MediumForces, relax
from atomfit.stacking.temperature import BOLTZMANN
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.numerics import own_numerics

WIDTH, PIXEL, LEVEL = 0.5, 0.2, 0.3
#: Rows are axes of the image, the last the beam.
ALONG_110 = np.array([[1, -1, 0], [0, 0, 2**0.5], [-1, -1, 0]]) / 2**0.5
WINGS = PointSpread.wings(0.1, 0.5)


def pulled(size: int, noise: float, force: float) -> tuple[Refined, np.ndarray, np.ndarray, np.ndarray]:
    """A particle that something pulls at, refined against its image; start, truth and columns of atoms."""
    medium, thermal = EffectiveMedium.of("Pt"), BOLTZMANN * 600
    sites = particle("octahedron", "Pt", size) @ ALONG_110.T
    sites[:, :2] -= sites[:, :2].min(axis=0) - 5
    _, of = np.unique(np.round(sites[:, :2], 3), axis=0, return_inverse=True)
    number, rng = np.bincount(of), np.random.default_rng(1)

    def middles(x: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(of, x[:, k]) / number for k in (0, 1)], axis=1)

    with own_numerics():
        forces = MediumForces(medium, len(sites))
        unknown = np.tile(1e4 * np.eye(2), (len(number), 1, 1))
        start = relax(sites, of, middles(sites), unknown, forces, thermal)
        # Something that the potential does not know pulls at whole columns.
        pull = np.zeros_like(sites)
        pull[:, :2] = rng.normal(0, force, (len(number), 2))[of]
        atoms = start.positions.copy()
        for _ in range(300):
            atoms += 0.02 * (forces(atoms)[1] + pull - pull.mean(axis=0))
        edge = int(np.ceil((atoms[:, :2].max() + 5) / PIXEL))
        grid = Grid((edge, edge), np.full(2, PIXEL), np.zeros(2))
        image = LEVEL + noise * rng.normal(size=grid.shape)
        for part, variance in WINGS.terms:
            seen = columns_of(atoms[:, :2], np.full(len(atoms), part), np.sqrt(WIDTH**2 + variance))
            image += drawn(grid, seen)
        splay = np.array([np.var(atoms[of == c][:, :2], axis=0).mean() for c in range(len(number))])
        fitted = FittedColumns(
            columns_of(middles(atoms), number.astype(float), np.sqrt(WIDTH**2 + splay)),
            SplineBackground.over(grid, 6.0, LEVEL),
            np.full(grid.shape, noise**2),
            np.ones(grid.shape, bool),
            "own",
            WINGS,
        )
        density = DensityMap(image.astype(np.float32), grid)
        found = refine_against_image(start.positions, of, start.stretch, (density, fitted), medium, thermal)
    return found, start.positions, atoms, of


def test_atoms_follow_the_image() -> None:
    found, start, atoms, of = pulled(4, 0.1, 0.2)
    number = np.bincount(of)

    def middles(x: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(of, x[:, k]) / number for k in (0, 1)], axis=1)

    assert found.reason == Ended.CONVERGED
    before, after = (np.std(middles(x) - middles(atoms)) for x in (start, found.positions))
    assert after < before / 3
    assert 0.9 < found.chi_square < 1.1 < found.before
    assert found.gone == 0
    # Nothing tells the particle's height: it is where it was.
    assert abs(np.mean(found.positions[:, 2] - start[:, 2])) < 0.01
    off = found.positions - atoms
    off[:, 2] -= off[:, 2].mean()
    old = start - atoms
    assert np.all(np.std(off, axis=0)[:2] < np.std(old, axis=0)[:2] / 2)
    z = np.sqrt(np.mean((off / found.esds) ** 2, axis=0))
    assert np.all(z < 1.2)
    # Columns are known to what pixels tell, atoms in them and heights to what the potential does.
    assert np.all((found.esds > 0.01) & (found.esds < 0.4))


def test_pixels_do_not_throw_atoms_over_barriers() -> None:
    # Columns are off by several times their width's precision: trusted at once, atoms leave their sites.
    found, start, atoms, _ = pulled(5, 0.01, 0.3)
    assert found.reason == Ended.CONVERGED
    assert found.gone == 0
    assert found.before > 300
    assert found.chi_square < 1.5
    assert np.std(found.positions - atoms) < np.std(start - atoms) / 5
