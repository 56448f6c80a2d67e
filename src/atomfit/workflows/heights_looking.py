"""One image of counts in, heights of its columns out: by the network, and by the likelihood if asked."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.column_heights.by_network import ALIKE, network_for, network_heights, seen_by_network
from atomfit.column_heights.found import Heights
from atomfit.column_heights.gain import FoundGain
from atomfit.column_heights.likelihood import likelihood_heights
from atomfit.column_heights.sites import FEWEST
from atomfit.networks.looking import ImageSeen
from atomfit.networks.weights import TrainedNetwork
from atomfit.options.heights import HeightsOptions
from atomfit.structure.crystals import Crystal, ZoneColumns, crystal, zone_columns

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Looking:
    """What is known before an image is looked at.

    **Fields:**

    - `options`: of `heights`.
    - `crystal`, `columns`: the crystal, and its columns along the zone axis.
    - `trained`: the network.
    """

    options: HeightsOptions
    crystal: Crystal
    columns: ZoneColumns
    trained: TrainedNetwork

    @classmethod
    def of(cls, options: HeightsOptions) -> "Looking":
        """What options ask for.

        **Raises:** `InputError` if there is no such crystal, or no network for it.
        """
        name = str(options.crystal)
        known = crystal(name)
        trained = network_for(name, options.axis, options.voltage, options.weights)
        return cls(options, known, zone_columns(known, options.axis), trained)

    def look(
        self, counts: Float[np.ndarray, "rows columns"], pixel: float, gain: FoundGain, progress: Progress
    ) -> tuple[ImageSeen, Heights, bool]:
        """What the network sees, heights, and whether these are a model's.

        **Arguments:**

        - `counts`: of the image.
        - `pixel`: its edge (Å).
        - `gain`: counts of an electron.
        - `progress`: called with what is being done, in words.

        **Raises:** `InputError` if the pixels are far from those that the network knows.
        """
        seen = seen_by_network(self.trained, counts, pixel, gain.value)
        # Few columns have no lattice, and a verdict says that they are few.
        if self.options.network_only or len(seen.columns) < FEWEST:
            return seen, network_heights(seen, gain.value), False
        return seen, self._decided(counts, pixel, gain, seen, progress), True

    def _decided(
        self,
        counts: Float[np.ndarray, "rows columns"],
        pixel: float,
        gain: FoundGain,
        seen: ImageSeen,
        progress: Progress,
    ) -> Heights:
        """What the likelihood of the image makes of what the network sees."""
        return likelihood_heights(
            counts,
            pixel,
            gain.value,
            str(self.options.crystal),
            self.options.axis,
            self.options.voltage,
            seen,
            self._pixel(pixel),
            progress=lambda round_, value: progress(f"likelihood: round {round_}, {value:.6g}"),
        )

    def _pixel(self, pixel: float) -> float:
        """Of the network's maps (Å)."""
        own = float(self.trained.recipe["pixel_size"])
        return pixel if abs(pixel / own - 1) < ALIKE else own
