"""Particles whose every atom is known, from columns as one image has them: which sites are right."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

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
SEEDS = range(1000, 1020)
#: Small and large ones take turns.
SIZES = tuple(int(n) for n in np.geomspace(300, 2000, 20).round()[7 * np.arange(20) % 20])
#: What was found is kept here (no part of the repository), until it is removed; a run goes on from there.
KEPT = Path(__file__).parents[2] / "local" / "model3d"
DOSES = (1e4, 5e4)
#: At which shapes are drawn, and at which atoms move (K), and steps of each atom while a shape is cooled.
SHAPE, MOTION, STEPS = 600.0, 300.0, 4000
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

    total = STEPS * atoms
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


@lru_cache(1)
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
        asked = Asked("Pt", (1, 1, 0), effort=effort)
        model = model_of_columns(places, covariances, statistics, asked)
    right = float(np.mean(statistics.counts.most_likely == counts[statistics.counted]))
    return model, right, time.perf_counter() - begun


@dataclass(frozen=True, eq=False)
class Scored:
    """A model beside the truth.

    **Fields:**

    - `row`: of the table.
    - `p`, `filled`: probabilities of sites, and whether they are filled; those that no sample fills have 0.
    - `right`, `expected`, `cn`: parts of the atoms on the right site, as counted and as the model expects
        it, and the mean absolute error of coordination numbers.
    """

    row: list[object]
    p: list[float]
    filled: list[bool]
    right: float
    expected: float
    cn: float


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
    off = [each[surface][outer] - cn[outer] for each in (sites.coordination, sites.median)]
    sampled = np.array(
        [np.bincount(each).argmax() for each in model.drawn.counts.reshape(-1, len(column)).T]
    )
    missed = len(case.sites) - len(np.unique(right[right >= 0]))
    return {
        "right": most / max(len(case.sites), int(chosen.sum())),
        "counts": float(np.mean(sampled == np.bincount(case.columns)[column])),
        "cn": float(np.abs(off[0]).mean()),
        "median": float(np.abs(off[1]).mean()),
        "p": np.concatenate([sites.probabilities, np.zeros(missed)]),
        "filled": np.concatenate([right >= 0, np.ones(missed, bool)]),
    }


def scored(atoms: int, seed: int, dose: float) -> Scored:
    """One model, from what an earlier run kept of it if there is that."""
    path = KEPT / f"{seed}_{atoms}_{dose:.0e}.json"
    if path.exists():
        return Scored(**json.loads(path.read_text(encoding="utf-8")))
    case = truth(atoms, seed)
    model, counted, seconds = found(case, dose, seed, Effort(relaxed=0))
    told, mixing = compared(case, model), model.mixing
    expected = 1 - model.open_atoms / model.sites.chosen.sum()
    row = [
        f"{atoms}, {dose:.0e}",
        len(np.unique(case.columns)),
        f"{model.drawn.temperature:.0f}",
        f"{100 * counted:.1f} / {100 * told['counts']:.1f}",
        f"{100 * told['right']:.1f} ({100 * expected:.1f})",
        f"{told['median']:.2f} / {told['cn']:.2f}",
        f"{mixing.energy:.2f} / {mixing.unmixed:.2f} / {mixing.independent:.0f}",
        f"{seconds:.0f}",
    ]
    kept = Scored(
        row, told["p"].tolist(), told["filled"].tolist(), told["right"], float(expected), told["median"]
    )
    KEPT.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(kept)), encoding="utf-8")
    part.replace(path)
    return kept


def model3d() -> Iterator[str]:
    """Sites, neighbours and probabilities of particles of known atoms."""
    every: dict[float, list[Scored]] = {dose: [] for dose in DOSES}
    for seed, atoms in zip(SEEDS, SIZES, strict=True):
        for dose in DOSES:
            every[dose].append(scored(atoms, seed, dose))
            print(every[dose][-1].row, flush=True)
    yield (
        f"Particles of Pt whose shape was cooled to {SHAPE:g} K, as they move at {MOTION:g} K, along "
        "[110]; models at the temperature that their counts say."
    )
    header = (
        *("atoms, e/Å²", "columns", "K", "counts right, %: counted / model"),
        *("atoms on the right site, % (as expected)", "surface CN, mean absolute error: median / mean"),
        *("R-hat / unmixed / independent", "seconds"),
    )
    by_size = np.argsort(SIZES, kind="stable")
    yield markdown(header, [every[dose][k].row for k in by_size for dose in DOSES])
    rows = []
    for dose, cases in every.items():
        values = [np.array([getattr(case, name) for case in cases]) for name in ("right", "expected", "cn")]
        means = [f"{x.mean():.4f} ± {x.std(ddof=1) / len(x) ** 0.5:.4f}" for x in values]
        passed = [int(np.sum(values[0] >= least)) for least in (0.97, 0.99)] + [
            int(np.sum(values[2] <= 0.3))
        ]
        rows.append([f"{dose:.0e}", *means, *(f"{n} of {len(cases)}" for n in passed)])
    yield "All particles together, with standard errors; CN by the median:"
    names = ("e/Å²", "right", "as expected", "surface CN", "97 % right", "99 % right", "CN within 0.3")
    yield markdown(names, rows)
    yield (
        "Probabilities of sites beside how often they are filled, all particles together. Terraces are "
        "right or wrong as a whole: standard errors are of particles drawn anew (bootstrap)."
    )
    yield markdown(*calibration(every))


def calibration(every: dict[float, list[Scored]]) -> tuple[list[str], list[list[object]]]:
    """Sites of each tenth of probabilities: mean, part that is filled, and the difference's error."""
    rng = np.random.default_rng(0)
    told: list[list[object]] = []
    for low, high in pairwise(DECILES):
        row: list[object] = [f"{low:.1f} to {high:.1f}"]
        for cases in every.values():
            p, hit = ([np.array(getattr(case, name), float) for case in cases] for name in ("p", "filled"))
            # Sites that no sample fills are in the first tenth.
            inside = [((x > low) | ((x == 0) & (low == 0))) & (x <= high) for x in p]
            sums = np.array(
                [[i.sum(), x[i].sum(), h[i].sum()] for x, h, i in zip(p, hit, inside, strict=True)]
            )
            drawn = sums[rng.integers(0, len(sums), (4000, len(sums)))].sum(axis=1)
            n, mean, filled = sums.sum(axis=0)
            error = np.std((drawn[:, 2] - drawn[:, 1]) / np.maximum(drawn[:, 0], 1))
            row += [int(n), f"{mean / max(n, 1):.3f}", f"{filled / max(n, 1):.3f} ± {error:.3f}"]
        told.append(row)
    names = (f"{what}, {dose:.0e}" for dose in every for what in ("sites", "mean", "filled"))
    return ["probability", *names], told
