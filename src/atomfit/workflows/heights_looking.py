"""One image of counts in, heights of its columns out: by the network, and by the likelihood if asked."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from atomfit.column_heights.advice import ImagingAdvice, ImagingSetup, imaging_advice
from atomfit.column_heights.by_network import ALIKE, network_for, network_heights, seen_by_network
from atomfit.column_heights.found import Heights
from atomfit.column_heights.gain import FoundGain
from atomfit.column_heights.likelihood import likelihood_heights
from atomfit.column_heights.pieces import WHOLE
from atomfit.column_heights.sites import FEWEST
from atomfit.networks.looking import ImageSeen
from atomfit.networks.weights import TrainedNetwork
from atomfit.options.heights import HeightsOptions
from atomfit.structure.crystals import Crystal, ZoneColumns, crystal, zone_columns

log = logging.getLogger("atomfit")

#: Seconds of one core that a column takes, more often in pieces that overlap; and, anyhow, to compile.
_EACH, _OVERLAP, _ANYHOW = 1.0, 1.7, 20.0

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

    @property
    def told(self) -> str:
        """What is taken to be known, in words."""
        own = self.options
        return (
            f"{self.crystal.name} along {list(own.axis)}, {own.voltage:g} kV (--voltage), "
            f"C3 about {own.c3:g} µm, C5 about {own.c5:g} mm, focal spread about {own.focal_spread:g} nm"
        )

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
        n = len(seen.columns)
        taking = _roughly(n, pixel * max(counts.shape) > WHOLE)
        log.info(f"the likelihood of {n} columns takes roughly {taking} of one core")
        first: list[float] = []

        def tell(round_: int, value: float) -> None:
            """A likelihood has no meaning but beside another."""
            first.append(value)
            better = f", e^{first[0] - value:.0f} times as likely as the first" if round_ > 1 else ""
            progress(f"likelihood of {n} columns: round {round_} done{better} ...")

        progress(f"likelihood of {n} columns: focus ...")
        return likelihood_heights(
            counts,
            pixel,
            gain.value,
            str(self.options.crystal),
            self.options.axis,
            self.options.voltage,
            seen,
            self._pixel(pixel),
            self.options.seed,
            self._optics(),
            progress=tell,
        )

    def advice(self, dose: float, pixel: float, progress: Progress) -> ImagingAdvice:
        """How often heights can be told at each defocus.

        **Arguments:**

        - `dose`: electrons per Å².
        - `pixel`: of the image (Å).
        - `progress`: called with what is being done, in words.
        """
        progress("trying which defocus tells most ...")
        own = self.options
        setup = ImagingSetup(own.voltage, own.c3, own.c5, own.focal_spread, pixel=pixel)
        return imaging_advice(
            str(self.options.crystal), self.options.axis, (dose,), setup=setup, seed=self.options.seed
        )

    def _optics(self) -> dict[str, float]:
        """Middles of the priors of the microscope."""
        own = self.options
        return {"c3": own.c3, "c5": own.c5, "focal_spread": own.focal_spread}

    def _pixel(self, pixel: float) -> float:
        """Of the network's maps (Å)."""
        own = float(self.trained.recipe["pixel_size"])
        return pixel if abs(pixel / own - 1) < ALIKE else own


def _roughly(columns: int, pieces: bool) -> str:
    """How long a likelihood takes, in words."""
    seconds = _ANYHOW + _EACH * columns * (_OVERLAP if pieces else 1.0)
    return f"{10 * round(seconds / 10)} s" if seconds < 90 else f"{round(seconds / 60)} min"
