"""Files of a fit to a series whose atoms are few: one has no neighbour, and none is a particle too."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from atomfit.files.tilt import particle
from atomfit.statistics.geometry import measure_geometry
from atomfit.structure.elements import element


@pytest.mark.parametrize("n", [0, 1, 2])
def test_particles_of_few_atoms(n: int) -> None:
    positions = np.array([[0.0, 0.0, 0.0], [2.7, 0.0, 0.0]])[:n]
    geometry = measure_geometry(positions, np.full((n, 3), 0.01), 3.3, element("Pt"))
    unknown = np.full(n, np.nan)
    names = ("gcn", "gcn_max", "u_iso", "u_maj", "u_min", "doi", "strain_radial", "strain_radial_bulk")
    columns = dict.fromkeys(names, unknown) | {
        "cn": np.full(n, max(n - 1, 0)),
        "nn_distance": np.full(n, 2.7 if n > 1 else np.nan),
        "mean_bond_length": unknown,
    }
    result = SimpleNamespace(geometry=geometry, positions=positions, neighbours=SimpleNamespace(cutoff=3.3))
    found = particle(cast(Any, result), columns)
    assert found["table_1"]["atoms"] == n
    distance = found["table_1"]["median_nn_distance"]
    assert distance == 2.7 if n > 1 else np.isnan(distance)
