"""Heights as they are found: columns with probabilities of every height, and how the image was made."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from atomfit.networks.columns_seen import credible_sets

#: Draws of all heights together.
DRAWS = 240


@dataclass(frozen=True)
class Condition:
    """Something that holds for a whole image, as an aberration.

    **Fields:**

    - `name`, `unit`: as options of `simulate --hrtem` are named, and in their units (`defocus` in nm).
    - `value`: what is found; of a pair the real or the imaginary part (`a1_x`, `a1_y`).
    - `esd`: its standard uncertainty.
    - `prior`, `prior_esd`: what was held likely before; NaN if nothing was.
    """

    name: str
    unit: str
    value: float
    esd: float
    prior: float = float("nan")
    prior_esd: float = float("nan")


@dataclass(frozen=True, eq=False)
class Heights:
    """Columns of a crystal in one image.

    **Fields:**

    - `positions`, `position_esds`: x, y from the centre of the first pixel, and standard uncertainties (Å);
        NaN for what is not known.
    - `probabilities`: of 0, 1, ... atoms of the heaviest element; rows add up to 1.
    - `starts`, `start_esds`: how far below the first plane of all a column begins (planes); NaN from a
        network alone.
    - `on_lattice`: whether it is at a site of the crystal; False for a column that is at none.
    - `conditions`: of the imaging.
    - `dose`, `gain`: electrons per Å² of the image's mean, and counts that an electron makes.
    - `expected`: counts that the model expects; None from a network alone.
    - `misfit`: variance of what is left over that of noise, where columns are seen; NaN likewise.
    - `settled`: whether expansions ended by themselves.
    - `levels`: heights of columns' first places for atoms along the beam, within a repeat (Å): an atom
        that has n places before it is n planes below; NaN where not known. None from a network alone.
    - `interrupted`: whether a user has ended the search.
    - `draws`: heights of all columns together, as likely as each other: what columns have in common is in
        them. None if columns are independent, as a network has them.
    """

    positions: Float[np.ndarray, "n 2"]
    position_esds: Float[np.ndarray, "n 2"]
    probabilities: Float[np.ndarray, "n levels"]
    starts: Float[np.ndarray, " n"]
    start_esds: Float[np.ndarray, " n"]
    on_lattice: Bool[np.ndarray, " n"]
    conditions: tuple[Condition, ...]
    dose: float
    gain: float
    expected: Float[np.ndarray, "rows columns"] | None = None
    misfit: float = float("nan")
    settled: bool = True
    levels: Float[np.ndarray, " n"] | None = None
    interrupted: bool = False
    draws: Int[np.ndarray, "draws n"] | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def presence(self) -> Float[np.ndarray, " n"]:
        """Probability that a column is not vacant."""
        return 1 - self.probabilities[:, 0]

    @property
    def heights(self) -> Int[np.ndarray, " n"]:
        """The likeliest ones."""
        return self.probabilities.argmax(axis=1)

    @property
    def atoms(self) -> tuple[float, float]:
        """Atoms of all columns: mean and standard deviation."""
        levels = np.arange(self.probabilities.shape[1])
        means = self.probabilities @ levels
        if self.draws is not None:
            return float(means.sum()), float(self.draws.sum(axis=1).std())
        return float(means.sum()), float(np.sqrt(self._variances.sum()))

    @property
    def in_common(self) -> float:
        """Standard deviation of the mean height that columns have in common: 0 if they are independent."""
        if self.draws is None or not np.any(self.heights):
            return 0.0
        beyond = max(float(self.draws.sum(axis=1).var() - self._variances.sum()), 0.0)
        return float(np.sqrt(beyond)) / int(np.sum(self.heights > 0))

    @property
    def _variances(self) -> Float[np.ndarray, " n"]:
        levels = np.arange(self.probabilities.shape[1])
        return np.maximum(self.probabilities @ levels**2 - (self.probabilities @ levels) ** 2, 0.0)

    def only(self, which: Bool[np.ndarray, " n"]) -> "Heights":
        """Some of the columns.

        **Arguments:**

        - `which`: those that are kept.
        """
        return replace(
            self,
            positions=self.positions[which],
            position_esds=self.position_esds[which],
            probabilities=self.probabilities[which],
            starts=self.starts[which],
            start_esds=self.start_esds[which],
            on_lattice=self.on_lattice[which],
            levels=None if self.levels is None else self.levels[which],
            draws=None if self.draws is None else self.draws[:, which],
        )

    def sets(self, held: float = 0.9) -> Bool[np.ndarray, "n levels"]:
        """The smallest sets of heights that hold a probability.

        **Arguments:**

        - `held`: the probability.
        """
        return credible_sets(self.probabilities, held)


def independent_draws(
    probabilities: Float[np.ndarray, "n levels"], count: int = DRAWS, seed: int = 0
) -> Int[np.ndarray, "draws n"]:
    """Heights of columns that have nothing in common.

    **Arguments:**

    - `probabilities`: of their heights.
    - `count`, `seed`: of the draws.
    """
    below = probabilities.cumsum(axis=1)[None, :, :-1]
    chance = np.random.default_rng([seed, 37]).random((count, len(probabilities), 1))
    return (chance >= below).sum(axis=2)
