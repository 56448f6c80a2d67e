"""A method's name in, a function from counts to heights out: where what is measured is called."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from atomfit.column_heights.found import Condition, Heights
from atomfit.networks import load_weights, look, shipped_weights

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
    trained = load_weights(shipped_weights(Path(crystal).stem, "".join(map(str, ZONE))))

    def network(image: np.ndarray, pixel: float, gain: float) -> Heights:
        seen = look(trained, image, pixel, gain)
        columns, unknown = seen.columns, np.full(len(seen.columns), np.nan)
        return Heights(
            columns.positions,
            np.full((len(columns), 2), np.nan),
            columns.probabilities,
            unknown,
            unknown,
            np.ones(len(columns), bool),
            (Condition("defocus", "nm", seen.defocus, seen.defocus_spread),),
            seen.dose,
            gain,
        )

    return network
