"""The programs in docs/method.md, as they stand there."""

import re
from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.spatial import cKDTree

from atomfit.detection.detect import detect
from atomfit.elements import element
from atomfit.fitting.joint import fit_jointly
from atomfit.fitting.model import AbstractBackground
from atomfit.fitting.newton import GaussNewton
from atomfit.fitting.pose import pose
from atomfit.fitting.sensitivity import refined
from atomfit.matching import match
from atomfit.simulation import simulate

METHOD = Path(__file__).parents[2] / "docs" / "method.md"


@pytest.mark.slow
def test_programs_of_the_method() -> None:
    """Run one after the other; the last one's derivative is checked against a difference."""
    case = simulate(shape="icosahedron", size=2, noise=0.03, rotate="random", jitter=0.1, seed=5)
    platinum = element("Pt")
    found = detect(case.map, platinum)
    names = {
        "np": np,
        "jnp": jnp,
        "jax": jax,
        "eqx": eqx,
        "optax": optax,
        "replace": replace,
        "fit_jointly": fit_jointly,
        "pose": pose,
        "GaussNewton": GaussNewton,
        "refined": refined,
        "AbstractBackground": AbstractBackground,
        "density": case.map,
        "positions": found.positions,
        "mean_atom": found.mean_atom,
        "element": platinum,
        "pairs": np.array(sorted(cKDTree(found.positions).query_pairs(3.3))),
    }
    programs = re.findall(r"```python\n(.*?)```", METHOD.read_text(encoding="utf-8"), re.DOTALL)
    assert len(programs) == 4
    for program in programs:
        exec(program, names)
    problem, fit, size = (names[name] for name in ("problem", "fit", "size"))
    own = names["model"].atoms.positions[: problem.n] + problem.region.grid.origin
    # The loop has no springs, which hold the atoms of `fit`, and ends at the truth.
    assert match(own, case.positions).rmsd < 0.5 * match(fit.atoms.positions, case.positions).rmsd
    values = jnp.asarray(problem.posterior.data.values)
    upper, lower = (float(size(values, strength)) for strength in (10.5, 9.5))
    np.testing.assert_allclose(names["slopes"][1], upper - lower, rtol=0.02)
    assert names["slopes"][0].shape == values.shape
