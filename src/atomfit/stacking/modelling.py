"""From the columns of one image to particles in three dimensions: lattice, counts and a potential in, an
ensemble with probabilities out.

The columns of the image's largest domain are stacked (`zones`), their heights and counts are sampled with
the potential on sites (`lattice_energy`, `sampling`), and some of the samples, and the particle that
stands for all, are let off their sites by the potential (`relaxation`). There the image enters as what its
fit made of it: places of columns with their covariances, and cross-sections in the likelihoods of counts.
For columns that are fitted jointly this is the image's own likelihood up to its third derivatives (a
Gaussian about the fit, without the correlations between columns). The particle that stands for all is also
refined against the pixels themselves (`image_refinement`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from atomfit.fitting.column_fit import FittedColumns
from atomfit.stacking.board import Board, atoms_of, board_of
from atomfit.stacking.ensemble import Sites, disagreement, sites_of
from atomfit.stacking.image_refinement import Refined, refine_against_image
from atomfit.stacking.lattice_energy import LatticeEnergy, energy_of_calculator, energy_of_medium
from atomfit.stacking.limits import LIMITS
from atomfit.stacking.mixing import measure_mixing
from atomfit.stacking.model import Asked, Model3D
from atomfit.stacking.relaxation import CalculatorForces, Forces, MediumForces, Relaxed, relax
from atomfit.stacking.sampling import Drawn, draw_particles
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
    own = [atoms_of(flat[0][s], flat[1][s]) for s in which]
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
        *_widened(sites, _averaged(sites, own, members, model, seen), refined),
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
        members.append(off_sites(*atoms_of(bottoms[s], counts[s])))
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


def _widened(
    sites: Sites,
    averaged: tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]],
    refined: Refined | None,
) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
    """Places of sites, and standard uncertainties with what an atom's own place is known to.

    Relaxed samples differ by which sites are filled; each is the likeliest of its kind, about which atoms
    are as image and potential let them. Of sites that the model leaves empty that is a typical atom's.
    """
    places, spreads = averaged
    if refined is None or refined.gone or not np.isfinite(refined.esds).any():
        return averaged
    own = np.tile(np.nanmedian(refined.esds, axis=0), (len(spreads), 1))
    own[sites.chosen] = refined.esds
    return places, np.hypot(spreads, own)


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
