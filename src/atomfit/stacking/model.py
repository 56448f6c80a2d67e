"""From the columns of one image to particles in three dimensions: lattice, counts and a potential in, an
ensemble with probabilities out.

The columns of the image's largest domain are stacked (`zones`), their heights and counts are sampled with
the potential on sites (`lattice_energy`, `sampling`), and some of the samples, and the particle that
stands for all, are let off their sites by the potential (`relaxation`). There the image enters as what its
fit made of it: places of columns with their covariances, and cross-sections in the likelihoods of counts.
For columns that are fitted jointly this is the image's own likelihood up to its third derivatives (a
Gaussian about the fit, without the correlations between columns). The particle that stands for all is also
refined against the pixels themselves (`image_refinement`).

What one projection cannot tell is said in words: the mirror image along the beam, sites above or below
each other that are as good, and whatever the potential does not know (a support, adsorbates).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from atomfit.fitting.column_fit import FittedColumns
from atomfit.stacking.board import Board, board_of
from atomfit.stacking.ensemble import Shells, Sites, disagreement, sites_of
from atomfit.stacking.image_refinement import Refined, refine_against_image
from atomfit.stacking.lattice_energy import LatticeEnergy, energy_of_calculator, energy_of_medium
from atomfit.stacking.limits import LIMITS
from atomfit.stacking.mixing import Mixing, measure_mixing
from atomfit.stacking.relaxation import CalculatorForces, Forces, MediumForces, Relaxed, relax
from atomfit.stacking.sampling import EFFORT, Drawn, Effort, draw_particles
from atomfit.stacking.temperature import BOLTZMANN
from atomfit.stacking.zones import Stacking, stacking_of
from atomfit.statistics.image_columns import ColumnStatistics
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.structure.grid import DensityMap
from atomfit.support.errors import InputError

#: Places above and below the thickest column, counts beyond the likeliest that are allowed for, what the
#: most is a multiple of, and how improbable a count is that is left out (logarithm).
_MARGIN, _MORE, _STEP, _NEVER = 4, 1, 4, -30.0
#: Atoms of all samples that are relaxed, and the fewest samples.
_LARGE, _FEWEST = 16_000, 4


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
    - `positions`, `esds`: of the sites (Å), means and standard deviations over relaxed samples.
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
        return _atoms(self.drawn.bottoms[chain, number], self.drawn.counts[chain, number])

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


@dataclass(frozen=True, eq=False)
class _Laid:
    """Columns on a lattice, with what is known of each; `rows` are theirs among the counts."""

    columns: Int[np.ndarray, " n"]
    rows: Int[np.ndarray, " n"]
    left_out: float
    cells: Int[np.ndarray, "n 2"]
    stacking: Stacking
    energy: LatticeEnergy
    board: Board
    logs: Float[np.ndarray, "m n k"]
    twice: Int[np.ndarray, " n"] | None


def model_of_columns(
    positions: Float[np.ndarray, "n 2"],
    covariances: Float[np.ndarray, "n 2 2"],
    statistics: ColumnStatistics,
    asked: Asked,
    progress: Callable[[float], None] = lambda part: None,
    image: tuple[DensityMap, FittedColumns] | None = None,
) -> Model3D:
    """Find the particles that explain the columns of an image.

    **Arguments:**

    - `positions`, `covariances`: of all columns (Å, Å²).
    - `statistics`: their counts and lattices.
    - `asked`: what model.
    - `progress`: called with the part that is done.
    - `image`: that was fitted, and its columns: the model is then refined against its pixels as well, if
        the potential is our own.

    **Raises:** `InputError` if columns were not counted, are no lattice, or not that of the zone.
    """
    laid = _laid(statistics, asked)
    drawn = draw_particles(
        laid.board,
        laid.logs,
        laid.cells @ laid.stacking.vectors[:2, :2],
        asked.temperature,
        laid.twice,
        asked.effort,
        asked.seed,
        lambda part: progress(0.9 * part),
    )
    n = len(laid.columns)
    flat = drawn.bottoms.reshape(-1, n), drawn.counts.reshape(-1, n)
    sites, shells = sites_of(laid.board, laid.energy.first, *flat)
    middles, atoms = drawn.bottoms + 0.5 * drawn.counts, flat[1].mean(axis=0)
    mixing = measure_mixing(middles, atoms, drawn.trace, drawn.laws, drawn.exchanged, drawn.accepted)
    seen = positions[laid.columns], _known(covariances[laid.columns])
    model, members, which = _relaxed(laid, drawn, sites, seen, asked, lambda x: progress(0.9 + 0.1 * x))
    own = [_atoms(flat[0][s], flat[1][s]) for s in which]
    kept = drawn.counts.shape[1]
    refined = None
    if image is not None and asked.calculator is None:
        refined = refine_against_image(
            model.positions,
            laid.columns[sites.columns[sites.chosen]],
            model.stretch,
            image,
            EffectiveMedium.of(asked.symbol),
            BOLTZMANN * drawn.temperature,
        )
    return Model3D(
        asked,
        laid.stacking,
        laid.energy,
        laid.board,
        laid.columns,
        laid.cells,
        laid.left_out,
        _overruled(statistics, laid.rows, flat[1]),
        drawn,
        sites,
        shells,
        mixing,
        disagreement(laid.board, drawn.bottoms, drawn.counts),
        model,
        tuple(members),
        tuple((int(s) // kept, int(s) % kept) for s in which),
        *_averaged(sites, own, members, model, seen),
        refined,
    )


def _laid(statistics: ColumnStatistics, asked: Asked) -> _Laid:
    """Columns of the largest domain on the zone's lattice, and places for their atoms."""
    columns, rows, left_out = _stacked(statistics)
    counts = statistics.counts
    assert counts is not None
    lattice = statistics.domains.lattices[0]
    if len(lattice.origins) > 1:
        raise InputError(
            f"the columns' lattice has {len(lattice.origins)} in its cell, and that of an element has one",
            "leave out --model3d",
            "--model3d",
        )
    stacking = stacking_of(asked.symbol, asked.zone, lattice.basis)
    energy = _energy(asked, stacking)
    cells = statistics.domains.sites[columns]
    laws = counts.laws.chosen(max(asked.effort.chains // 2, 1))
    logs = counts.laws.log_likelihood(laws)[:, rows]
    logs = logs[:, :, : _most(logs)]
    board, base = board_of(energy, cells, stacking, logs.shape[2], _MARGIN)
    twice = np.rint(2 * (cells @ stacking.heights + base)).astype(int) if stacking.mirrored else None
    return _Laid(columns, rows, left_out, cells, stacking, energy, board, logs, twice)


def _relaxed(
    laid: _Laid,
    drawn: Drawn,
    sites: Sites,
    seen: tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2 2"]],
    asked: Asked,
    progress: Callable[[float], None],
) -> tuple[Relaxed, list[Relaxed], Int[np.ndarray, " s"]]:
    """The particle that stands for all, and some samples, off their sites; and which samples."""
    n = len(laid.columns)
    bottoms, counts = drawn.bottoms.reshape(-1, n), drawn.counts.reshape(-1, n)
    most = max(int(counts.sum(axis=1).max()), int(sites.chosen.sum()))
    forces = _forces(asked, most)
    board, scale = laid.board, laid.energy.scale
    wide = scale * np.asarray(board.columns, np.float64), scale * board.period

    def off_sites(of: Int[np.ndarray, " m"], places: Int[np.ndarray, " m"]) -> Relaxed:
        at = wide[0][of] + np.outer(places, [0, 0, wide[1]])
        return relax(at, of, *seen, forces, BOLTZMANN * drawn.temperature)

    number = min(max(_LARGE // most, _FEWEST), asked.effort.relaxed)
    which = np.unique(np.linspace(0, len(counts) - 1, number).astype(int))
    members = []
    for k, s in enumerate(which):
        members.append(off_sites(*_atoms(bottoms[s], counts[s])))
        progress((k + 1) / len(which))
    return off_sites(sites.columns[sites.chosen], sites.places[sites.chosen]), members, which


def _overruled(
    statistics: ColumnStatistics, rows: Int[np.ndarray, " n"], drawn: Int[np.ndarray, "s n"]
) -> float:
    """Part of the sure counts that most samples have otherwise."""
    counts = statistics.counts
    assert counts is not None
    sure = counts.probability[rows] > LIMITS.sure
    kept = np.mean(drawn == counts.most_likely[rows], axis=0) >= 0.5
    return float(np.mean(~kept[sure])) if sure.any() else 0.0


def _stacked(
    statistics: ColumnStatistics,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], float]:
    """Counted columns of the largest domain, their rows among the counts, and the part left out."""
    counts, domains = statistics.counts, statistics.domains
    if counts is None:
        raise InputError(
            f"a model needs counts of atoms, and columns were not counted: {statistics.uncounted}",
            "leave out --model3d",
            "--model3d",
        )
    if not domains.lattices:
        raise InputError(
            "a model needs columns on a lattice, and these have none", "leave out --model3d", "--model3d"
        )
    inside = domains.membership[statistics.counted] == 0
    rows = np.flatnonzero(inside)
    # Of two columns on one site the first that has more atoms.
    sites = domains.sites[statistics.counted[rows]]
    order = np.argsort(-counts.most_likely[rows], kind="stable")
    rows = np.sort(rows[order][np.unique(sites[order], axis=0, return_index=True)[1]])
    atoms = counts.most_likely.astype(float)
    part = float(atoms[rows].sum() / atoms.sum())
    if len(rows) < LIMITS.columns or part < LIMITS.on_lattice:
        raise InputError(
            f"a model needs one lattice, and {part:.0%} of the atoms are on that of the largest of "
            f"{len(domains.lattices)} domains",
            "leave out --model3d, or cut out one crystal",
            "--model3d",
        )
    return statistics.counted[rows], rows, 1 - part


def _energy(asked: Asked, stacking: Stacking) -> LatticeEnergy:
    if asked.calculator is None:
        return energy_of_medium(stacking, EffectiveMedium.of(asked.symbol))
    return energy_of_calculator(stacking, asked.symbol, asked.calculator, asked.seed)


def _forces(asked: Asked, atoms: int) -> Forces:
    """Of free particles of up to so many atoms."""
    if asked.calculator is None:
        return MediumForces(EffectiveMedium.of(asked.symbol), atoms)
    return CalculatorForces(asked.symbol, asked.calculator)


def _most(logs: Float[np.ndarray, "m n k"]) -> int:
    """The largest count that some column may have, and a few more; few values, to share compiled code."""
    likely = logs > logs.max(axis=2, keepdims=True) + _NEVER
    most = 1 + int(np.flatnonzero(likely.any(axis=(0, 1)))[-1]) + _MORE
    return min(-(-most // _STEP) * _STEP, logs.shape[2])


def _known(covariances: Float[np.ndarray, "n 2 2"]) -> Float[np.ndarray, "n 2 2"]:
    """Covariances; those that are not known are wide."""
    good = np.isfinite(covariances).all(axis=(1, 2)) & (np.linalg.det(covariances) > 0)
    return np.where(good[:, None, None], covariances, 0.25 * np.eye(2))


def _atoms(
    bottoms: Int[np.ndarray, " n"], counts: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    columns = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    return columns, np.arange(len(columns)) - first[columns] + bottoms[columns]


def _averaged(
    sites: Sites,
    own: list[tuple[np.ndarray, np.ndarray]],
    members: list[Relaxed],
    model: Relaxed,
    seen: tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2 2"]],
) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
    """Places of sites over the relaxed particles that fill them; without an error if few do."""
    number = {
        pair: k for k, pair in enumerate(zip(sites.columns.tolist(), sites.places.tolist(), strict=True))
    }
    found: list[list[np.ndarray]] = [[] for _ in number]
    for (columns, places), member in zip(own, members, strict=True):
        for pair, at in zip(
            zip(columns.tolist(), places.tolist(), strict=True), member.positions, strict=True
        ):
            if pair in number:
                found[number[pair]].append(at)
    positions, esds = np.full((len(number), 3), np.nan), np.full((len(number), 3), np.nan)
    chosen = np.cumsum(sites.chosen) - 1
    for k, each in enumerate(found):
        if each:
            positions[k] = np.mean(each, axis=0)
        elif sites.chosen[k]:
            positions[k] = model.positions[chosen[k]]
        if len(each) > 2:
            column = np.diag(seen[1][sites.columns[k]])
            esds[k] = np.sqrt(np.var(each, axis=0, ddof=1) + [*column, 0.0])
    return positions, esds
