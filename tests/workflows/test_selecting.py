"""Which way selection takes: atoms of one shape where the map says little of each."""

from dataclasses import replace

import numpy as np
import pytest

from atomfit.detection.detect import Detection, detect
from atomfit.fitting.joint import JointFit
from atomfit.optimisation.ended import Ended
from atomfit.options.build import BuildOptions
from atomfit.selection.species import Species
from atomfit.simulation import Simulation, simulate
from atomfit.structure.atoms import Atoms, IsotropicDisplacements
from atomfit.structure.grid import DensityMap
from atomfit.structure.matching import match
from atomfit.workflows import selecting
from atomfit.workflows.preparation import PreparedMap, prepare
from atomfit.workflows.refining import refine_jointly
from atomfit.workflows.selecting import refine_by_element, select_atoms

OPTIONS = BuildOptions(noise="residual", prior="empirical")


@pytest.fixture(scope="module")
def case() -> Simulation:
    """Noise of 6 %, correlated over 0.5 Å, up to the faces."""
    return simulate(size=135, noise=0.06, noise_correlation=0.5, rotate="random", seed=3, box=64)


@pytest.fixture(scope="module")
def ready(case: Simulation) -> PreparedMap:
    edge = 8
    inner = tuple(slice(edge, -edge) for _ in range(3))
    grid = case.map.grid.crop((edge,) * 3, tuple(n - 2 * edge for n in case.map.grid.shape))
    return prepare(DensityMap(case.map.values[inner].copy(), grid), "Pt", OPTIONS)


@pytest.mark.slow
def test_shapes_that_wander_do_not_end_the_selection(case: Simulation, ready: PreparedMap) -> None:
    """A first fit that did not converge, of some of the atoms: others are found, and all better placed."""
    found = detect(ready.density, ready.element)
    kept = replace(found, positions=found.positions[5:], correlations=found.correlations[5:])

    def ignore(*_: object) -> None:
        pass

    first = refine_jointly(ready, kept, OPTIONS, ignore)
    assert isinstance(first, JointFit)
    wandering = replace(first, reason=Ended.ITERATION_LIMIT)
    _, fit, selection = select_atoms(ready, kept, wandering, OPTIONS, ignore)
    assert selection is not None
    assert fit is not None
    before, after = (match(positions, case.positions) for positions in (first.positions, fit.positions))
    assert after.f1 > max(before.f1, 0.98)
    assert after.rmsd < 0.8 * before.rmsd
    deviations = fit.uncertainty.deviations
    errors = fit.positions[after.found] - case.positions[after.known]
    assert 0.7 < np.std(errors / deviations[after.found, :3]) < 1.6
    # Each has its own shape and amplitude nevertheless.
    assert np.ptp(fit.fitted.u_iso) > 0
    assert np.all(deviations > 0)


def fit_of(*numbers: int) -> JointFit:
    """As much of a fit as says which elements its atoms were."""
    n = len(numbers)
    shape, fit = IsotropicDisplacements.from_variances(np.ones(n)), object.__new__(JointFit)
    atoms = Atoms(np.zeros((n, 3)), displacements=shape, amplitudes=np.ones(n), numbers=np.array(numbers))
    for name, value in {"atoms": atoms, "reason": Ended.CONVERGED, "resolution": None}.items():
        object.__setattr__(fit, name, value)
    return fit


def classes(*numbers: int) -> Species:
    return Species(np.array(numbers), np.ones(len(numbers)), (0.0, 0.0), (26, 78), 2)


@pytest.mark.parametrize("scattering", ["gaussian", "form-factor"])
def test_atoms_scatter_as_what_they_turn_out_to_be(
    scattering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is iron only once the others are; what is found last is what was fitted."""
    asked: list[list[int]] = []

    def joint_fit(*args: object) -> JointFit:
        asked.append(np.asarray(args[-1]).tolist())
        return fit_of(*asked[-1])

    monkeypatch.setattr(selecting, "joint_fit", joint_fit)
    monkeypatch.setattr(selecting, "assign_species", lambda *_: classes(26, 26, 78))
    unused = object.__new__(PreparedMap), object.__new__(Detection)
    first, options = fit_of(78, 78, 78), BuildOptions(scattering=scattering)
    found, species = refine_by_element(*unused, first, classes(26, 78, 78), options, lambda *_: None)
    assert found is not None
    assert species is not None
    if scattering == "gaussian":
        assert found is first
        return
    assert asked == [[26, 78, 78], [26, 26, 78]]
    assert np.asarray(found.atoms.numbers).tolist() == species.numbers.tolist()
