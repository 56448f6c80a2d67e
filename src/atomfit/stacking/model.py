"""Particles that one image allows, an ensemble: what was asked for, what was found, what is not told.

What one projection cannot tell is said in words: the mirror image along the beam, sites above or below
each other that are as good, and whatever the potential does not know (a support, adsorbates).
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from atomfit.stacking.board import Board, atoms_of
from atomfit.stacking.ensemble import Shells, Sites
from atomfit.stacking.image_refinement import Refined
from atomfit.stacking.lattice_energy import LatticeEnergy
from atomfit.stacking.limits import LIMITS
from atomfit.stacking.mixing import Mixing
from atomfit.stacking.relaxation import Relaxed
from atomfit.stacking.sampling import EFFORT, Drawn, Effort
from atomfit.stacking.zones import Stacking


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """What model is asked for.

    **Fields:**

    - `symbol`: the element.
    - `zone`: indices of the beam's direction.
    - `temperature`: in K; None if counts are to tell.
    - `calculator`: one of ase's, instead of the effective-medium potential.
    - `seed`: of everything random.
    - `effort`: how much is sampled.
    """

    symbol: str
    zone: tuple[int, int, int]
    temperature: float | None = None
    calculator: Any = None
    seed: int = 0
    effort: Effort = EFFORT


@final
@dataclass(frozen=True, eq=False)
class Model3D:
    """Particles that one image allows.

    **Fields:**

    - `asked`: what was asked for.
    - `stacking`, `energy`, `board`: the lattice, the energy of its sites, and where columns are stored.
    - `columns`: of the image, that are stacked.
    - `cells`: theirs, (h, k).
    - `left_out`: part of all counted atoms that are in other columns.
    - `overruled`: part of the sure counts that most samples have otherwise.
    - `drawn`: the samples.
    - `sites`: probabilities, the particle that stands for all among them.
    - `shells`: numbers of atoms by coordination.
    - `mixing`: whether chains agree; `apart`: part of the atoms that they have elsewhere.
    - `model`: the particle that stands for all, relaxed; its atoms are the chosen sites in their order.
    - `members`, `samples`: relaxed samples, and which they are (chain, sample).
    - `positions`, `esds`: of the sites (Å), means over relaxed samples, and standard uncertainties: their
        standard deviations, and what an atom's own place is known to.
    - `refined`: the particle that stands for all against the image's pixels; None without these.
    """

    asked: Asked
    stacking: Stacking
    energy: LatticeEnergy
    board: Board
    columns: Int[np.ndarray, " n"]
    cells: Int[np.ndarray, "n 2"]
    left_out: float
    overruled: float
    drawn: Drawn
    sites: Sites
    shells: Shells
    mixing: Mixing
    apart: float
    model: Relaxed
    members: tuple[Relaxed, ...]
    samples: tuple[tuple[int, int], ...]
    positions: Float[np.ndarray, "k 3"]
    esds: Float[np.ndarray, "k 3"]
    refined: Refined | None = None

    @property
    def atoms(self) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
        """Positions and uncertainties (Å) of the model's atoms: against the pixels, if that went well."""
        if self.refined is None or self.refined.gone:
            return self.model.positions, self.esds[self.sites.chosen]
        return self.refined.positions, self.refined.esds

    @property
    def total(self) -> tuple[float, float]:
        """Atoms: mean and standard deviation over samples."""
        atoms = self.drawn.counts.sum(axis=2)
        return float(atoms.mean()), float(atoms.std())

    @property
    def open_atoms(self) -> float:
        """Expected number of sites that are wrong in the particle that stands for all, by two (Å)."""
        p = self.sites.probabilities
        return float(0.5 * np.where(self.sites.chosen, 1 - p, p).sum())

    def sample(self, chain: int, number: int) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
        """Columns and places of the atoms of a sample.

        **Arguments:**

        - `chain`, `number`: which one.
        """
        return atoms_of(self.drawn.bottoms[chain, number], self.drawn.counts[chain, number])

    def notes(self) -> list[str]:
        """What is not determined, in words."""
        told = [
            "heights along the beam are counted from the particle's middle: one image does not tell "
            "where the particle is along the beam"
        ]
        if self.stacking.mirrored:
            told.append(
                "the mirror image of every particle along the beam is as probable as itself: samples were "
                "turned over to lie like the others, and the model may be upside down as a whole"
            )
        else:
            told.append(
                "the crystal turned by half a turn in the image, or its stacking reversed along the beam, "
                "explains the image as well: one of the two is given"
            )
        if self.stacking.ambiguous:
            told.append("several stackings of the columns fit the lattice, of which one is given")
        pixels = ", not by its pixels" if self.refined is None else "; its pixels only refine the model"
        told.append(
            "the image enters by the places and cross-sections of its columns with their uncertainties"
            f"{pixels}"
        )
        if self.refined is not None and self.refined.untold and not self.refined.gone:
            told.append(
                f"{self.refined.untold} of the {len(self.refined.esds)} atoms of the model have no "
                "standard uncertainty along some axis: image and potential do not tell one"
            )
        if self.energy.error:
            told.append(
                "the energy on sites was fitted to the calculator's, and is off by "
                f"{1000 * self.energy.error:.1f} meV an atom"
            )
        return told

    def doubts(self) -> list[str]:
        """What speaks against the model, in words."""
        told = []
        if not self.mixing.good:
            told.append(
                f"chains did not mix: R-hat of the energy is {self.mixing.energy:.2f}, "
                f"{self.mixing.unmixed:.0%} of the atoms are in columns where it is above "
                f"{LIMITS.mixed:g}, and "
                f"{self.mixing.independent:.0f} samples are independent; probabilities are rough, and "
                "a higher temperature may help"
            )
        if self.refined is not None and self.refined.gone:
            told.append(
                f"the image's pixels take {self.refined.gone} atoms of the model off their sites, so that "
                "it is as the potential relaxed it; look at the columns' positions in the image"
            )
        if abs(np.log(self.stacking.scale)) > LIMITS.scale_told:
            told.append(
                f"lengths in the image are {self.stacking.scale:.3f} of the bulk's; give the right "
                "pixel size (--pixel-size), if that is not strain"
            )
        atoms, spread = self.total
        if spread > LIMITS.unsure * atoms:
            told.append(
                f"there are {atoms:.0f} ± {spread:.0f} atoms, so that the model is one of many sizes; "
                "count with a library (--library), or at a higher dose"
            )
        if self.overruled > LIMITS.overruled:
            told.append(
                f"the potential changes {self.overruled:.0%} of the counts that are at least "
                f"{LIMITS.sure:.0%} sure; give a higher temperature (--temperature)"
            )
        if self.asked.temperature is None and self.drawn.temperature > LIMITS.strange:
            told.append(
                f"counts look like those of a shape at {self.drawn.temperature:.0f} K: the potential and "
                "the counts disagree; check counts (--library), element and zone axis"
            )
        if self.left_out > LIMITS.left_out:
            told.append(
                f"{self.left_out:.0%} of the counted atoms are in columns off the largest domain's "
                "lattice, and are not in the model; cut out one crystal"
            )
        return told
