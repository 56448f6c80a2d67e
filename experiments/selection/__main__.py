"""Which atoms are found and which are invented: by the fit, by the paper, by a picker with an oracle."""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from atomfit.detection.detect import detect
from atomfit.detection.limits import LIMITS
from atomfit.detection.peaks import local_maxima
from atomfit.gaussians.fitted import FittedAtoms
from atomfit.io.mrc import read_map
from atomfit.rendering import Gaussians, render_map
from atomfit.results.build import BuildResult
from atomfit.selection.contour import contour
from atomfit.simulation import Simulation, simulate
from atomfit.simulation.disturbances import noise
from atomfit.simulation.particles import particle
from atomfit.structure.elements import element, lattice_constant
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import Match, match
from atomfit.structure.neighbours import find_neighbours
from atomfit.workflows import build as pipeline
from experiments.recording import markdown, record
from experiments.selection.oracle import best_cut, best_picks
from experiments.tantalum_film.__main__ import inner_match, published

SEEDS = range(5)
#: Of the studies that take longest.
FEW_SEEDS = range(3)
#: Of maps that nobody has looked at while selection was made.
OTHER_SEEDS = range(100, 120)
PAPER = {"selection": "paper", "min_correlation": "paper", "split": "after"}
PT = element("Pt")


def main() -> None:
    parts: dict[str, Callable[..., Iterator[str]]] = {
        "particles": particles,
        "ladder": ladder,
        "rates": rates,
        "defects": defects,
        "contours": contours,
        "duration": duration,
        "alloy": alloy,
        "film": film,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="of " + ", ".join(parts) + "; all by default")
    parser.add_argument("--data", type=Path, help="directory with fept_482 and ta_film; needed by these")
    given = parser.parse_args()
    for name in given.parts or parts:
        if name in ("alloy", "film") and given.data is None:
            print(f"{name} is left out: it needs --data")
            continue
        table = Path(__file__).parent / f"{name}.md"
        texts = parts[name](given.data) if name in ("alloy", "film") else parts[name]()
        record(table, f"python -m experiments.selection {name}", *texts)


def build(*arguments: Any, **options: Any) -> BuildResult:
    """A build that leaves no compiled code behind: a process can map only so much of it."""
    jax.clear_caches()
    return pipeline.build(*arguments, **options)


def particles() -> Iterator[str]:
    """Platinum particles as in the published programs' comparison."""
    cases = {
        f"309 atoms, noise {100 * level:g} %, {rotate}": {"noise": level, "rotate": rotate}
        for level in (0.02, 0.05, 0.15)
        for rotate in ("none", "random")
    }
    cases["309 atoms, U 0.30-0.60, noise 3 %"] = {"noise": 0.03, "u_core": 0.3, "u_surface": 0.6}
    cases["711 atoms, noise 5 %"] = {"noise": 0.05, "size": 711}
    rows = []
    for name, options in cases.items():
        pairs, rounds = [], []
        for seed in SEEDS:
            case = simulate(**{"size": 309, "seed": seed} | options)
            result = build(case.map, "Pt")
            assert result.selection is not None
            pairs.append(match(result.positions, case.positions))
            rounds.append(result.selection.rounds)
        found, false = sum(len(p.found) for p in pairs), sum(p.false for p in pairs)
        rows.append((name, f"{found} of {found + sum(p.missing for p in pairs)}", false, max(rounds)))
        print(*rows[-1], sep=" | ", flush=True)
    yield f"Defaults, {len(SEEDS)} seeds each; rounds: fits after the first, at most."
    yield markdown(("case", "found", "false", "rounds"), rows)


def ladder() -> Iterator[str]:
    """The same particle in more and more noise."""
    kinds = {f"white, {100 * level:g} %": {"noise": level} for level in (0.15, 0.20, 0.30, 0.40)}
    kinds["correlated over 0.6 Å, 5 %"] = {"noise": 0.05, "noise_correlation": 0.6}
    kinds["correlated over 0.6 Å, 10 %"] = {"noise": 0.10, "noise_correlation": 0.6}
    rows = []
    for name, options in kinds.items():
        f1 = np.array(
            [_f1s(simulate(size=309, rotate="random", seed=seed, **options)) for seed in FEW_SEEDS]
        )
        rows.append((name, *(f"{x:.3f}" for x in f1.mean(axis=0))))
        print(*rows[-1], sep=" | ", flush=True)
    yield (
        f"F1, mean of {len(FEW_SEEDS)} seeds, 309 rotated atoms. The picker takes the highest maxima of "
        "the denoised map, as many as give the largest F1 against the truth; the paper's procedure splits "
        "after the best threshold and rejects by its own correlation rule."
    )
    yield markdown(("noise", "selection by the fit", "paper's procedure", "picker with an oracle"), rows)


def _f1s(case: Simulation) -> tuple[float, float, float]:
    mine, paper = (build(case.map, "Pt", **options) for options in ({}, PAPER | {"fit": "log"}))
    detection = detect(case.map, PT)
    voxels = local_maxima(detection.denoised, 0.0, LIMITS.closest * PT.neighbour_distance)
    picks = case.map.grid.positions_of(voxels)
    return (
        match(mine.positions, case.positions).f1,
        match(paper.positions, case.positions).f1,
        best_picks(picks, case.positions),
    )


def rates() -> Iterator[str]:
    """Rates of false atoms that were asked for, and what they are, near the limit of detection."""
    rows = []
    for level in (0.40,):
        for rate in (0.01, 0.05):
            pairs = []
            for seed in OTHER_SEEDS:
                case = simulate(size=135, rotate="random", noise=level, seed=seed)
                pairs.append(match(build(case.map, "Pt", fdr=rate).positions, case.positions))
            found, false = sum(len(p.found) for p in pairs), sum(p.false for p in pairs)
            observed = false / (found + false)
            whole = found + sum(p.missing for p in pairs)
            rows.append(
                (
                    f"{100 * level:g} %",
                    f"{100 * rate:g} %",
                    f"{100 * observed:.2f} %",
                    f"{observed / rate:.2f}",
                )
                + (f"{found} of {whole}",)
            )
            print(*rows[-1], sep=" | ", flush=True)
    yield "20 maps each, 135 rotated atoms, white noise."
    yield markdown(("noise", "rate asked for", "observed", "ratio", "found"), rows)


def defects() -> Iterator[str]:
    """A crystal without a twentieth of its atoms, and with as many on its surface."""
    rows = []
    for seed in SEEDS:
        case, empty, added = defective(seed)
        result = build(case, "Pt")
        pairs = match(result.positions, added.positions)
        there = match(result.positions, added.positions[-len(empty) :])
        filled = match(result.positions, empty, 1.0)
        rows.append(
            (seed, len(added), len(pairs.found), pairs.false, f"{pairs.f1:.4f}")
            + (f"{len(there.found)} of {len(empty)}", f"{len(filled.found)} of {len(empty)}")
        )
        print(*rows[-1], sep=" | ", flush=True)
    yield "About 400 Pt atoms on fcc sites, 10 % noise; 5 % of the inner sites empty, 5 % adatoms."
    yield markdown(("seed", "atoms", "found", "false", "F1", "adatoms found", "vacancies filled"), rows)


def defective(seed: int) -> tuple[DensityMap, np.ndarray, FittedAtoms]:
    """A noisy map, its empty sites, and its atoms; adatoms come last."""
    rng = np.random.default_rng(seed)
    sites = particle("sphere", "Pt", 405, seed, lattice_constant("Pt"))
    shell = particle("sphere", "Pt", 900, seed, lattice_constant("Pt"))
    spacing = PT.neighbour_distance
    shell = shell - shell[np.linalg.norm(shell, axis=1).argmin()]
    sites = sites - sites[np.linalg.norm(sites, axis=1).argmin()]
    count = len(sites) // 20
    coordination = find_neighbours(sites, 1.2 * spacing).coordination_numbers
    empty = rng.choice(np.flatnonzero(coordination == 12), count, replace=False)
    near = np.linalg.norm(shell[:, None] - sites, axis=2)
    surface = np.flatnonzero((near.min(axis=1) > 0.5) & (np.sum(near < 1.2 * spacing, axis=1) >= 3))
    adatoms: list[int] = []
    for i in rng.permutation(surface):
        if all(np.linalg.norm(shell[i] - shell[j]) > 1.2 * spacing for j in adatoms):
            adatoms.append(int(i))
    adatoms = adatoms[:count]
    atoms = np.concatenate([np.delete(sites, empty, axis=0), shell[adatoms]])
    positions = atoms + rng.normal(0, 0.03, atoms.shape)
    edge = int(2 * np.ceil((np.abs(atoms).max() + 8.0) / 0.358))
    grid = Grid((edge,) * 3, np.full(3, 0.358), np.zeros(3))
    matrices = np.broadcast_to(0.25 * np.eye(3), (len(atoms), 3, 3))
    truth = FittedAtoms(
        positions + grid.centre,
        np.full(len(atoms), (2 * np.pi * 0.25) ** 1.5),
        np.full(len(atoms), 0.25),
        matrices,
    )
    values = render_map(Gaussians(truth.positions, matrices, truth.amplitudes), grid)
    values = values + noise(grid, 0.10, 0.0, seed + 100)
    return DensityMap(values.astype(np.float32), grid), sites[empty] + grid.centre, truth


def contours() -> Iterator[str]:
    """The chosen contour against the best one, by voxels of the true atoms."""
    rows = []
    for level in (0.05, 0.15, 0.30):
        f1 = []
        for seed in SEEDS:
            case = simulate(size=309, rotate="random", noise=level, seed=seed)
            result = build(case.map, "Pt")
            truth = contour(case.map, _true_atoms(case)).labels > 0
            f1.append(best_cut(case.map.values, truth, result.contour.level))
        mine, oracle = np.mean(f1, axis=0)
        rows.append((f"{100 * level:g} %", f"{mine:.4f}", f"{oracle:.4f}"))
        print(*rows[-1], sep=" | ", flush=True)
    yield "F1 of the voxels above a level; a true atom's voxels are those above half its peak."
    yield markdown(("noise", "level of the fit", "best level"), rows)


def _true_atoms(case: Simulation) -> FittedAtoms:
    matrices = np.asarray(case.matrices)
    return FittedAtoms(case.positions, case.amplitudes, np.trace(matrices, axis1=1, axis2=2) / 3, matrices)


def duration() -> Iterator[str]:
    """Selection and a joint fit, when all code is compiled."""
    rows = []
    for name, options in {
        "5 %": {"noise": 0.05},
        "30 %": {"noise": 0.30},
        "5 %, correlated over 0.6 Å": {"noise": 0.05, "noise_correlation": 0.6},
    }.items():
        case = simulate(size=309, rotate="random", seed=0, **options)
        pipeline.build(case.map, "Pt")
        begin = time.perf_counter()
        result = pipeline.build(case.map, "Pt")
        whole = time.perf_counter() - begin
        assert result.selection is not None
        fit, selection = result.seconds["joint fit"], result.seconds["selection"]
        rows.append(
            (name, result.selection.rounds, *(f"{x:.2f}" for x in (fit, selection, selection / fit, whole)))
        )
        print(*rows[-1], sep=" | ", flush=True)
    yield "309 atoms in 120³, compiled code; a fit with the measurement of its noise and its uncertainties."
    yield markdown(("noise", "rounds", "joint fit, s", "selection, s", "ratio", "build, s"), rows)


def alloy(data: Path) -> Iterator[str]:
    """Iron-platinum particle of 482 atoms, three reconstructions of simulated projections."""
    lines = (data / "fept_482" / "atoms_truth.xyz").read_text().splitlines()[2:]
    symbols = np.array([line.split()[0] for line in lines])
    truth = np.array([line.split()[1:4] for line in lines], float)
    rows = []
    for path in sorted((data / "fept_482").glob("*.mrc")):
        result = build(path, ["Fe", "Pt"])
        pairs = match(result.positions, truth)
        right = np.mean(result.symbols[pairs.found] == symbols[pairs.known])
        rows.append(
            (
                path.stem,
                len(pairs.found),
                pairs.false,
                f"{pairs.f1:.3f}",
                f"{right:.4f}",
                f"{pairs.rmsd:.3f}",
            )
        )
        print(*rows[-1], sep=" | ", flush=True)
    yield "`--element Fe --element Pt`, no other option."
    yield markdown(("map", "found of 482", "false", "F1", "element right", "RMSD, Å"), rows)


def film(data: Path) -> Iterator[str]:
    """The measured tantalum film; published final atoms, six voxels from the faces."""
    rows = []
    for folder in sorted((data / "ta_film").glob("*/volume.mrc")):
        folder = folder.parent
        grid, final = read_map(folder / "volume.mrc").map.grid, published(folder / "atoms_final.xyz")
        begin = time.perf_counter()
        result = build(folder / "volume.mrc", "Ta")
        seconds = time.perf_counter() - begin
        found = inner_match(result.positions, final, grid)
        rows.append(_row(folder.name, result, found, seconds))
        print(*rows[-1], sep=" | ", flush=True)
    rows.append(("mean", "", "", f"{np.mean([float(row[3]) for row in rows]):.3f}", "", "", ""))
    yield (
        "Defaults. Tolerance 1 Å. The least score of an atom where noise is not known, 0.6 of the typical "
        "one, was chosen with these three volumes in view: F1 does not test it."
    )
    yield markdown(("volume", "found", "false", "F1", "RMSD, pm", "rounds", "seconds"), rows)


def _row(name: str, result: BuildResult, found: Match, seconds: float) -> Sequence[object]:
    assert result.selection is not None
    return (
        name,
        f"{len(found.distances)} of {len(found.distances) + found.missing}",
        found.false,
        f"{found.f1:.3f}",
        f"{100 * found.rmsd:.1f}",
        result.selection.rounds,
        f"{seconds:.0f}",
    )


if __name__ == "__main__":
    main()
