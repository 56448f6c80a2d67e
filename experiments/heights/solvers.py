"""A method's name in, a function from counts to heights out: where what is measured is called."""

from collections.abc import Callable

import numpy as np

from atomfit.column_heights.by_network import network_for, network_heights, seen_by_network
from atomfit.column_heights.found import Heights

METHODS = ("network", "likelihood")
VOLTAGE, ZONE = 300.0, (1, 1, 0)
Solve = Callable[[np.ndarray, float, float], Heights]


def solver(method: str, crystal: str) -> Solve:
    """What finds heights in counts, of a pixel's edge (Å) and a gain.

    **Arguments:**

    - `method`: one of `METHODS`.
    - `crystal`: CeO2, Pt, Au or a CIF file; all else it has to find out.
    """
    if method == "likelihood":
        from atomfit.column_heights import likelihood_heights

        return lambda image, pixel, gain: likelihood_heights(
            image, pixel, gain, crystal=crystal, zone=ZONE, voltage=VOLTAGE
        )
    trained = network_for(crystal, ZONE, VOLTAGE)
    return lambda image, pixel, gain: network_heights(seen_by_network(trained, image, pixel, gain), gain)
