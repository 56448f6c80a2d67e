"""Series of models and of maps: whether trends of U are found, and how often one is found where none is."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.stats import kstest, norm

from atomfit.files.columns import table
from atomfit.io.models import model_of_columns
from atomfit.simulation.disturbances import noise
from atomfit.simulation.dynamics import Trajectory, molecular_dynamics
from atomfit.simulation.followed import FollowedTruth, Planted, planted_models
from atomfit.simulation.particles import particle
from atomfit.statistics.comparison import Model
from atomfit.statistics.followed_models import FollowedModels, follow_models
from atomfit.structure.elements import lattice_constant
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.neighbours import find_neighbours
from atomfit.workflows.build import build
from experiments.recording import markdown

#: Methods were chosen on seeds below 1,000.
SEEDS = range(60_000, 60_008)
MAP_SEEDS = (61_000,)
RISE, MODELS, ATOMS = 0.2, 10, 201
#: Frames a map, noise in the brightest voxel, voxel (Å), and variance of an atom at rest (Å²).
FRAMES, NOISE, VOXEL, AT_REST = 50, 0.03, 0.35, 0.25

CASES: dict[str, tuple[int, Planted]] = {
    "control": (MODELS, Planted()),
    "control, error bars too small by 3": (MODELS, Planted(factor=3.0)),
    "control, each atom's by its own factor (log-deviation 0.5)": (MODELS, Planted(unlike=0.5)),
    "control, models' offsets five times as large": (MODELS, Planted(offset=0.5)),
    "control, U of all rises by half of the mean U": (MODELS, Planted(common=0.5)),
    "control, 5 % missed": (MODELS, Planted(missed=0.05)),
    "control of 4 models": (4, Planted()),
    "control of 40 models": (40, Planted()),
    "U of each atom rises by half of its own, the surface's by more Å²": (MODELS, Planted(warmed=0.5)),
    "surface rises by 20 %": (MODELS, Planted(rise=RISE)),
    "surface rises by 20 %, error bars too small by 3": (MODELS, Planted(rise=RISE, factor=3.0)),
    "surface rises by 20 %, 40 models": (40, Planted(rise=RISE)),
}


def planted_series() -> Iterator[str]:
    """Models with errors of known size."""
    rows = []
    for name, (count, planted) in CASES.items():
        p, group, common, false, found, surface = [], [], [], [], [], []
        for seed in SEEDS:
            truth = planted_series_of(seed + 100 * len(rows), count, planted)
            followed = follow_models(truth.models.__getitem__, np.arange(float(count)))
            trends, outer = followed.trends["u_iso"], atoms_of(followed, truth)
            null = ~outer if planted.rise or planted.warmed else np.ones(len(outer), bool)
            p += trends.p[null & np.isfinite(trends.p)].tolist()
            called = trends.q < 0.05
            false.append(float(np.mean(null[called])) if called.any() else 0.0)
            if planted.rise or planted.warmed:
                found.append(float(np.mean(called[outer])))
            surface.append(trends.groups["surface"].z)
            group.append(trends.groups["surface"].p)
            common.append(trends.common.p)
        values = np.array(p)
        rows.append(
            [
                name,
                f"{np.sqrt(np.mean(norm.isf(values / 2) ** 2)):.2f}",
                *(f"{100 * np.mean(values < rate):.2f}" for rate in (0.01, 0.05)),
                f"{kstest(values, 'uniform').pvalue:.2f}",
                f"{np.median(surface):+.1f} ({min(surface):+.1f} to {max(surface):+.1f})",
                f"{np.sum(np.array(group) < 0.01)} of {len(SEEDS)}",
                f"{np.sum(np.array(common) < 0.01)} of {len(SEEDS)}",
                f"{100 * np.mean(found):.0f}" if found else "",
                f"{100 * np.mean(false):.1f}",
            ]
        )
    header = (
        *("series", "z of unchanged atoms: deviation", "their p below 1 %, %"),
        *("below 5 %, %", "KS p"),
        *("z of the surface: median (range)", "surface changes (p < 0.01)", "all change (p < 0.01)"),
        *("surface atoms found (q < 0.05), %", "false ones, %"),
    )
    yield (
        f"**Planted models** of 200 atoms, seeds {SEEDS.start} and up (others in each case), {len(SEEDS)} "
        "a case; U of an atom known to 10 %, offsets of U of models 10 % and scales of amplitudes 10 %, if "
        "nothing else is said."
    )
    yield markdown(header, rows)


def planted_series_of(seed: int, count: int, planted: Planted) -> FollowedTruth:
    sites = particle("sphere", "Pt", 200, seed)
    sites = sites + np.random.default_rng(seed).normal(0, 0.05, sites.shape)
    return planted_models(sites, count, seed, replace(planted, turned=False))


def atoms_of(followed: FollowedModels, truth: FollowedTruth) -> np.ndarray:
    """Which followed atoms are at the surface, in truth: by the first model that has each."""
    tracked = followed.tracked
    outer = np.zeros(len(tracked), bool)
    for index in range(len(tracked)):
        k = int(np.argmax(tracked.there[:, index]))
        apart = np.linalg.norm(truth.models[k].positions - tracked.positions[k, index], axis=1)
        outer[index] = truth.surface[truth.origin[k][np.argmin(apart)]]
    return outer


def built_series() -> Iterator[str]:
    """Maps of dynamics, each built."""
    rows = []
    for seed in MAP_SEEDS:
        start = particle("sphere", "Pt", ATOMS, seed, lattice_constant("Pt"))
        motion = molecular_dynamics(
            "Pt", start, temperature=300.0, frames=MODELS * FRAMES, warm_up=1000, seed=seed
        )
        outer = find_neighbours(motion.positions).coordination_numbers < 10
        u = np.trace(motion.matrices, axis1=1, axis2=2) / 3
        # Of all that a map shows of an atom, motion is a small part.
        whole = RISE * (1 + AT_REST / float(u[outer].mean()))
        for name, rise in (
            ("control", 0.0),
            (f"motion at the surface rises by {100 * RISE:g} %", RISE),
            (f"U in the map at the surface rises by {100 * RISE:g} %", whole),
        ):
            models = [built_model(motion, outer, k, rise, seed) for k in range(MODELS)]
            followed = follow_models(models.__getitem__, np.arange(float(MODELS)))
            trends = followed.trends["u_iso"]
            surface, span = trends.groups["surface"], MODELS - 1.0
            inner = followed.often & (followed.coordination >= 10)
            other, called = followed.often & ~inner, trends.q < 0.05
            rows.append(
                [
                    f"{name}, seed {seed}",
                    f"{int(followed.often.sum())} of {len(start)}",
                    f"{1e3 * surface.slope * span:+.2f} ± {1e3 * surface.esd * span:.2f}",
                    f"{true_change(motion, outer, rise):+.2f}",
                    f"{surface.z:+.1f}",
                    f"{np.nanstd(trends.z[inner if rise else followed.often]):.2f}",
                    f"{trends.scatter:.2f}",
                    f"{int(np.sum(called & other))} of {int(np.sum(other))}",
                    f"{int(np.sum(called & inner))} of {int(inner.sum())}",
                    f"{trends.common.z:+.1f}",
                ]
            )
            print(*rows[-1], sep=" | ", flush=True)
    header = (
        *(
            "series",
            "atoms followed",
            "U of the surface beside atoms inside, change, 10⁻³ Å²",
            "in truth",
            "z",
        ),
        *("z of atoms without a change: deviation", "error bars too small by"),
        *("surface atoms found (q < 0.05)", "inner ones (false)", "z of the common trend"),
    )
    yield (
        f"**Maps**: {MODELS} of each series, built with default options. {ATOMS} Pt atoms move under the "
        f"EMT potential at 300 K; each map is the mean of {FRAMES} frames of its own, 50 fs apart; atoms "
        f"at rest have a variance of {AT_REST} Å², which differs from map to map by 4 %, and scales by "
        f"10 %; white noise of {100 * NOISE:g} % of the brightest voxel, voxels of {VOXEL} Å. A rise is "
        "planted by stretching places of surface atoms about their means: so that the motion alone, or all "
        "that the map shows of an atom, rises."
    )
    yield markdown(header, rows)


def part_of(motion: Trajectory, outer: np.ndarray, k: int, rise: float) -> Float[np.ndarray, "t n 3"]:
    """Frames of one map, surface atoms farther from their means by so much."""
    frames = motion.frames[k * FRAMES : (k + 1) * FRAMES]
    middle = frames.mean(axis=0)
    factor = np.where(outer, np.sqrt(1 + rise * k / (MODELS - 1)), 1.0)
    return middle + factor[:, None] * (frames - middle)


def true_change(motion: Trajectory, outer: np.ndarray, rise: float) -> float:
    """Change of the surface's mean U beside the inside's, by a line through the truth (10⁻³ Å²)."""
    u = [
        np.trace(Trajectory(part_of(motion, outer, k, rise)).matrices, axis1=1, axis2=2) / 3
        for k in range(MODELS)
    ]
    surface, inside = (np.array([one[which].mean() for one in u]) for which in (outer, ~outer))
    slope = np.polyfit(np.arange(MODELS), surface - inside, 1)[0]
    return float(1e3 * slope * (MODELS - 1))


def built_model(motion: Trajectory, outer: np.ndarray, k: int, rise: float, seed: int) -> Model:
    rng = np.random.default_rng((seed, k))
    edge = int(2 * np.ceil((np.abs(motion.positions).max() + 5.0) / VOXEL))
    grid = Grid((edge,) * 3, np.full(3, VOXEL), np.zeros(3))
    at_rest = AT_REST * (1 + 0.04 * rng.normal())
    density = Trajectory(part_of(motion, outer, k, rise)).density(grid, at_rest, grid.centre)
    scale = float(np.exp(0.1 * rng.normal()))
    level = NOISE * float(density.values.max())
    values = scale * (density.values + noise(grid, level, 0.0, int(rng.integers(2**31))))
    built = build(DensityMap(values.astype(np.float32), grid), "Pt")
    return model_of_columns(f"map{k}", table(built))
