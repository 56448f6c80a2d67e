"""Which element is on which site of an ordered alloy, L1_0 or L1_2, also beyond an antiphase boundary.

Both are orders of the sites of fcc. In L1_0 the layers along z have one element and the other in turn; in
L1_2 the corners of the cubes have the second. Beyond an antiphase boundary sublattices have changed places.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.options.images import ImageOptions
from atomfit.structure.elements import Element
from atomfit.support.errors import InputError


def occupied(
    sites: Float[np.ndarray, "n 3"],
    shifted: Bool[np.ndarray, " n"],
    a: float,
    kinds: tuple[Element, ...],
    options: ImageOptions,
    rng: np.random.Generator,
) -> Int[np.ndarray, " n"]:
    """Atomic numbers on the sites of a cubic lattice.

    **Arguments:**

    - `sites`: in cubic coordinates (Å).
    - `shifted`: those beyond an antiphase boundary.
    - `a`: edge of a cell (Å).
    - `kinds`: one element, or two.
    - `options`: how they are ordered.
    - `rng`: which sites are wrong.

    **Raises:** `InputError` if two elements are to be ordered on sites that are not those of fcc.
    """
    if len(kinds) == 1 or not len(sites):
        return np.full(len(sites), kinds[0].number)
    exact = (sites - sites[0]) * 2 / a
    halves = np.rint(exact).astype(int)
    if np.abs(exact - halves).max() > 0.05:
        raise InputError(
            f"sites of this shape have no {options.order} order",
            "give a sphere or an octahedron",
            "--shape",
        )
    halves += shifted[:, None] * np.array([1, 0, 1])
    odd = halves % 2 == 1
    of_second = odd[:, 2] if options.order == "L1_0" else ~np.any(odd, axis=1)
    # Of each sublattice as many are right as the order parameter says: c + (1 - c) S.
    part = 0.5 if options.order == "L1_0" else 0.25
    share = np.where(of_second, part, 1 - part)
    right = rng.uniform(size=len(sites)) < share + (1 - share) * options.order_parameter
    return np.where(of_second == right, kinds[1].number, kinds[0].number)
