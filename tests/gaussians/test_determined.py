"""A number that is not determined has no standard uncertainty, wherever it is told."""

from dataclasses import replace

import numpy as np

from atomfit.gaussians.determined import BEYOND, determined, scales_of
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.results.build import BuildResult
from atomfit.statistics.isotropy import isotropies
from atomfit.statistics.uncertainties import propagate
from atomfit.structure.neighbours import find_neighbours


def test_rows_and_columns_of_what_is_unknown_are_empty() -> None:
    covariances = np.array([np.diag([0.01, 1e26, 0.02]), np.full((3, 3), np.nan), np.eye(3) * 1e-4])
    found = determined(covariances, np.full((3, 3), 0.5))
    assert np.isnan(found[0, 1]).all()
    assert np.isnan(found[0, :, 1]).all()
    assert found[0, 0, 0] == 0.01
    assert found[0, 2, 0] == 0.0
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[2], covariances[2])


def test_the_limit_is_some_widths_whatever_the_unit() -> None:
    for unit in (1e-9, 1.0, 1e9):
        near, far = (times * BEYOND * unit for times in (0.99, 1.01))
        found = determined(np.array([np.diag([near, far]) ** 2]), np.full((1, 2), unit))
        assert np.isfinite(found[0, 0, 0])
        assert np.isnan(found[0, 1, 1])


def test_an_atom_of_hardly_any_amplitude_has_no_place(small_result: BuildResult) -> None:
    joint = small_result.joint
    assert joint is not None
    fitted = joint.fitted
    faint = np.arange(len(fitted)) == 7
    atoms = FittedAtoms(
        fitted.positions, np.where(faint, 1e-13, 1.0) * fitted.amplitudes, fitted.u_iso, fitted.matrices
    )
    wide = joint.uncertainty.covariances.copy()
    wide[7, :-1, :-1] *= 1e26
    known = replace(joint.uncertainty, covariances=wide)
    neighbours = find_neighbours(fitted.positions, typical=2.77)
    isotropy = isotropies(joint.alone, neighbours.coordination_numbers.astype(float))
    found = propagate(atoms, small_result.statistics.principal, neighbours, known, isotropy)
    for values in (found.positions, found.matrices, found.u_iso, found.amplitudes, found.nearest_distances):
        assert np.isnan(values[7]).all()
        assert np.isfinite(np.delete(values, [7, *np.flatnonzero(neighbours.nearest == 7)], axis=0)).all()
    assert scales_of(atoms).shape == (len(atoms), 10)
