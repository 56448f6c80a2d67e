"""An image in, columns and heights as a trained network sees them out: at once, and with no physics.

A network has learned images of one crystal along one direction at one voltage, with pixels of one size.
What is asked of another crystal is refused; an image with other pixels is brought to the network's
(`resampling`), and columns are told in the image's own frame again.
"""

from dataclasses import replace
from math import gcd
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.column_heights.found import Condition, Heights
from atomfit.column_heights.resampling import resampled
from atomfit.networks.looking import ImageSeen, look
from atomfit.networks.weights import TrainedNetwork, load_weights, shipped_weights
from atomfit.structure.crystals import KNOWN
from atomfit.support.errors import InputError

#: Pixels in a network's: these are as good as its own, those too fine, those too coarse.
ALIKE, _FINEST, _COARSEST = 0.01, 0.15, 1.6
#: Voltages that differ by less are the same.
_VOLTAGES = 0.01


def network_for(
    crystal: str, zone: tuple[int, int, int], voltage: float, weights: str | Path | None = None
) -> TrainedNetwork:
    """The network that knows a crystal.

    **Arguments:**

    - `crystal`: a name.
    - `zone`: indices of the direction along the beam.
    - `voltage`: kV.
    - `weights`: of a network of one's own; one that comes with the package if None.

    **Raises:** `InputError` if there is none, or that which is given has learned something else.
    """
    axis = zone_name(zone)
    if weights is None and crystal.lower() not in {name.lower() for name in KNOWN}:
        raise InputError(
            f"no network for the crystal of {crystal} comes with atomfit",
            "train one (experiments/heights), and give its weights (--weights)",
            "--crystal",
        )
    if weights is None:
        try:
            path = shipped_weights(crystal, axis)
        except InputError as error:
            raise InputError(
                error.problem, "train one (experiments/heights), and give its weights (--weights)", "--zone"
            ) from None
    else:
        path = Path(weights)
    trained = load_weights(path)
    learned = trained.recipe
    told = f"{learned.get('crystal')} along [{learned.get('zone')}]"
    own = Path(crystal).stem.lower()
    if str(learned.get("crystal")).lower() != own or str(learned.get("zone")) != axis:
        raise InputError(f"this network has learned {told}", "give another, or name that crystal", path)
    kv = float(learned["voltage_kv"])
    if abs(voltage / kv - 1) > _VOLTAGES:
        raise InputError(
            f"no network for {voltage:g} kV comes with atomfit, only for {kv:g} kV"
            if weights is None
            else f"this network has learned images at {kv:g} kV",
            "train one (experiments/heights), and give its weights (--weights)",
            "--voltage",
        )
    return trained


def zone_name(zone: tuple[int, int, int]) -> str:
    """Directions that are alike in a cubic crystal have one name, as "110".

    **Arguments:**

    - `zone`: indices of one.
    """
    least = max(gcd(*zone), 1)
    return "".join(str(i) for i in sorted((abs(i) // least for i in zone), reverse=True))


def seen_by_network(
    trained: TrainedNetwork, counts: Float[np.ndarray, "rows columns"], pixel: float, gain: float
) -> ImageSeen:
    """What a network sees: its maps on pixels of its own size, columns in the image's frame.

    **Arguments:**

    - `trained`: the network.
    - `counts`: of the image.
    - `pixel`: its edge (Å).
    - `gain`: counts of an electron.

    **Raises:** `InputError` if the pixels are far finer or coarser than the network's.
    """
    own = float(trained.recipe["pixel_size"])
    ratio = pixel / own
    if not _FINEST <= ratio <= _COARSEST:
        raise InputError(
            f"columns cannot be read from pixels of {pixel:g} Å: the network knows those of {own:g} Å",
            f"give an image of {_FINEST * own:.2g} to {_COARSEST * own:.2g} Å, or its right pixel size "
            "(--pixel-size)",
            "--pixel-size",
        )
    if abs(ratio - 1) < ALIKE:
        return look(trained, counts, pixel, gain)
    seen = look(trained, resampled(counts, pixel, own), own, gain)
    # Of what hardly any pixel is left, the mean is not that of the image.
    return replace(seen, dose=float(counts.mean()) / gain / pixel**2)


def network_heights(seen: ImageSeen, gain: float) -> Heights:
    """Heights as a network alone has them, with the defocus that it sees.

    **Arguments:**

    - `seen`: by the network.
    - `gain`: counts of an electron.
    """
    found = seen.columns
    unknown = np.full(len(found), np.nan)
    return Heights(
        found.positions,
        np.full((len(found), 2), np.nan),
        found.probabilities,
        unknown,
        unknown,
        np.ones(len(found), bool),
        (Condition("defocus", "nm", seen.defocus, seen.defocus_spread),),
        seen.dose,
        gain,
    )
