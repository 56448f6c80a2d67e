"""Particles whose every atom is known, from columns as one image has them: which sites are right."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from atomfit.simulation.changed_columns import law_of_atoms
from atomfit.simulation.dynamics import molecular_dynamics
from atomfit.simulation.image_specimens import _frame
from atomfit.stacking import Asked, Effort, Model3D, model_of_columns
from atomfit.statistics.count_law import Library
from atomfit.statistics.image_columns import Counting, measure_columns
from atomfit.structure.effective_medium import EffectiveMedium
from atomfit.support import compiled, process
from atomfit.support.numerics import own_numerics
from experiments.recording import markdown

#: Seeds below 100 were for choosing, the tables are of these.
SEEDS = range(1000, 1002)
SIZES = (300, 500)
DOSES = (1e4, 5e4)
#: At which shapes are drawn and models sampled, and at which atoms move (K).
SHAPE, MOTION = 600.0, 300.0
#: Standard deviation of a column (Å).
WIDTH = 0.48
BOLTZMANN = 8.617333262e-5
DECILES = np.linspace(0, 1, 11)
_FIRST = [
    (i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if abs(i) + abs(j) + abs(k) == 2
]


@dataclass(frozen=True, eq=False)
class Truth:
    """A particle.

    **Fields:**

    - `sites`: of its atoms (half edges of the cube).
    - `positions`: means over time (Å), x and y as the image shows them.
    - `columns`: number of each atom's; `places`: theirs in the image (Å).
    - `heights`: of the sites along the beam, in half periods.
    - `neighbours`: numbers of them.
    """

    sites: np.ndarray
    positions: np.ndarray
    columns: np.ndarray
    places: np.ndarray
    heights: np.ndarray
    neighbours: np.ndarray


def shape(atoms: int, seed: int, temperature: float = SHAPE) -> np.ndarray:
    """Sites of a particle that was cooled to a temperature, its atoms hopping anywhere on its surface.

    Metropolis steps with the potential's energy of an atom of so many nearest neighbours.
    """
    rng = np.random.default_rng([seed, 7])
    medium = EffectiveMedium.of("Pt")
    bulk = 12 * medium.gammas[0]
    pair = -6 * medium.strength
    own = [float(medium.embedding(np.array(bulk * n / 12))) + pair * n / 12 for n in range(13)]
    half = int(np.ceil((0.75 * atoms / np.pi * 2) ** (1 / 3) * 1.5)) + 4
    grid = np.array(
        [
            (i, j, k)
            for i in range(-half, half + 1)
            for j in range(-half, half + 1)
            for k in range(-half, half + 1)
            if (i + j + k) % 2 == 0
        ]
    )
    axes = rng.uniform(0.85, 1.15, 3)
    far = np.linalg.norm((grid - rng.uniform(-0.5, 0.5, 3)) * axes, axis=1)
    there = {tuple(site) for site in grid[np.argsort(far)[:atoms]].tolist()}
    where = list(there)
    around = {}

    def near(site: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        if site not in around:
            around[site] = [(site[0] + i, site[1] + j, site[2] + k) for i, j, k in _FIRST]
        return around[site]

    number: dict[tuple[int, int, int], int] = {}
    for site in where:
        for other in near(site):
            number[other] = number.get(other, 0) + 1

    def removal(site: tuple[int, int, int]) -> float:
        change = -own[number.get(site, 0)]
        return change + sum(own[number[o] - 1] - own[number[o]] for o in near(site) if o in there)

    def take(site: tuple[int, int, int], sign: int) -> None:
        (there.discard if sign < 0 else there.add)(site)
        for other in near(site):
            number[other] = number.get(other, 0) + sign

    total = 400 * atoms
    draws = rng.random((total, 4))
    for step in range(total):
        kt = BOLTZMANN * max(temperature, 2200 * (1 - step / (0.8 * total)))
        a, b = int(draws[step, 0] * atoms), int(draws[step, 1] * atoms)
        old = where[a]
        if a == b or number.get(old, 0) == 12:
            continue
        new = near(where[b])[int(draws[step, 2] * 12)]
        if new in there:
            continue
        rise = removal(old)
        take(old, -1)
        back, on = number.get(old, 0), number.get(new, 0)
        take(new, 1)
        rise -= removal(new)
        # Places beside many atoms are proposed more often.
        if on and draws[step, 3] < back / on * np.exp(-rise / kt):
            where[a] = new
        else:
            take(new, -1)
            take(old, 1)
    return np.array(where)


def truth(atoms: int, seed: int) -> Truth:
    """A particle as it moves, and its columns along [110]."""
    sites = shape(atoms, seed)
    edge = EffectiveMedium.of("Pt").neighbour_distance * 2**0.5
    moved = molecular_dynamics(
        "Pt", 0.5 * edge * sites, temperature=MOTION, frames=40, steps_per_frame=10, warm_up=250, seed=seed
    ).positions
    rng = np.random.default_rng([seed, 8])
    beam = _frame((1, 1, 0))
    turn = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(turn), np.sin(turn)
    view = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ beam
    seen = moved @ view.T
    ideal = sites @ np.array([1, 1, 0])
    across = np.column_stack([sites @ np.array([1, -1, 0]), sites[:, 2]])
    _, of = np.unique(across, axis=0, return_inverse=True)
    number = np.bincount(of)
    middle = np.stack([np.bincount(of, seen[:, k]) / number for k in (0, 1)], axis=1)
    flat = np.column_stack([middle[of], seen[:, 2]])
    pairs = cKDTree(sites).query_pairs(1.5, output_type="ndarray")
    neighbours = np.bincount(pairs.ravel(), minlength=len(sites))
    return Truth(sites, flat, of, middle, ideal, neighbours)


def found(case: Truth, dose: float, seed: int, effort: Effort) -> tuple[Model3D, float, float]:
    """The model, which part of the counts was right before it, and seconds.

    Places and cross-sections have the errors that counted electrons make, on the background of two atoms;
    the law of cross-sections is a library's, whose scale is known to 2 %.
    """
    compiled.keep_in(process.programs_directory())
    rng = np.random.default_rng([seed, 9])
    counts = np.bincount(case.columns)
    law = law_of_atoms(np.arange(1, 41))
    sizes = law_of_atoms(counts)
    esds = np.sqrt((sizes + law_of_atoms(np.array(2))) / dose)
    sizes = sizes + esds * rng.normal(size=len(esds))
    errors = WIDTH * esds / law_of_atoms(counts)
    places = case.places + errors[:, None] * rng.normal(size=case.places.shape)
    covariances = errors[:, None, None] ** 2 * np.eye(2)
    begun = time.perf_counter()
    with own_numerics():
        statistics = measure_columns(places, covariances, sizes, esds, Counting(Library(law)))
        asked = Asked("Pt", (1, 1, 0), SHAPE, effort=effort)
        model = model_of_columns(places, covariances, statistics, asked)
    right = float(np.mean(statistics.counts.most_likely == counts[statistics.counted]))
    return model, right, time.perf_counter() - begun


def compared(case: Truth, model: Model3D) -> dict[str, np.ndarray | float]:
    """Sites beside the truth's, after the best shift along the beam and the best of both mirror images."""
    column = model.columns
    sites, board = model.sites, model.board
    base = np.asarray(board.columns)[:, 2] / board.period
    heights = np.rint(2 * (sites.places + base[sites.columns])).astype(int)
    own = column[sites.columns]
    true = {
        pair: k for k, pair in enumerate(zip(case.columns.tolist(), case.heights.tolist(), strict=True))
    }
    best, most = None, -1
    for sign in (1, -1):
        for step in range(-12, 13):
            at = list(zip(own.tolist(), (sign * heights + step).tolist(), strict=True))
            right = np.array([true.get(pair, -1) for pair in at])
            number = int(np.sum(right[sites.chosen] >= 0))
            if number > most:
                best, most = right, number
    right = best
    chosen = sites.chosen
    surface = chosen & (right >= 0)
    cn = case.neighbours[right[surface]]
    outer = cn < 12
    off = sites.coordination[surface][outer] - cn[outer]
    counts = np.bincount(sites.columns[chosen], minlength=len(column))
    wanted = np.bincount(case.columns)[column]
    missed = len(case.sites) - len(np.unique(right[right >= 0]))
    return {
        "atoms": len(case.sites),
        "right": most / max(len(case.sites), int(chosen.sum())),
        "counts": float(np.mean(counts == wanted)),
        "cn": float(np.abs(off).mean()),
        "p": sites.probabilities,
        "filled": right >= 0,
        "missed": missed,
        "columns": len(np.unique(case.columns)),
    }


def model3d() -> Iterator[str]:
    """Sites, neighbours and probabilities of particles of known atoms."""
    rows, every = [], {dose: ([], []) for dose in DOSES}
    for seed, atoms in zip(SEEDS, SIZES, strict=True):
        case = truth(atoms, seed)
        for dose in DOSES:
            model, counted, seconds = found(case, dose, seed, Effort())
            told = compared(case, model)
            every[dose][0].append(told["p"])
            every[dose][1].append(told["filled"])
            mixing = model.mixing
            row = [
                f"{atoms}, {dose:.0e}",
                told["columns"],
                f"{100 * counted:.1f} / {100 * told['counts']:.1f}",
                f"{100 * told['right']:.1f}",
                f"{100 * (1 - model.open_atoms / model.sites.chosen.sum()):.1f}",
                f"{told['cn']:.2f}",
                told["missed"],
                f"{mixing.energy:.2f} / {mixing.unmixed:.2f} / {mixing.independent:.0f}",
                f"{seconds:.0f}",
            ]
            print(row, flush=True)
            rows.append(row)
    header = (
        "atoms, e/Å²",
        "columns",
        "counts right, %: counted / model",
        "atoms on the right site, %",
        "as expected, %",
        "surface CN, mean absolute error",
        "sites never filled",
        "R-hat / unmixed / independent",
        "seconds",
    )
    yield (
        f"Particles of Pt whose shape was cooled to {SHAPE:g} K, as they move at {MOTION:g} K, along "
        f"[110]; models at {SHAPE:g} K."
    )
    yield markdown(header, rows)
    told = []
    for low, high in pairwise(DECILES):
        row: list[object] = [f"{low:.1f} to {high:.1f}"]
        for dose in DOSES:
            p, hit = (np.concatenate(x) for x in every[dose])
            within = (p > low) & (p <= high)
            means = [f"{x[within].mean():.3f}" if within.any() else "" for x in (p, hit)]
            row += [int(within.sum()), *means]
        told.append(row)
    yield "Probabilities of sites beside how often they are filled, all particles together:"
    names = (f"{what}, {dose:.0e}" for dose in DOSES for what in ("sites", "mean", "filled"))
    yield markdown(("probability", *names), told)
