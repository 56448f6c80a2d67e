"""How near joint fits come to the Cramér-Rao bound, and whether their error bars are honest."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atomfit.results.build import BuildResult
from atomfit.simulation.disturbances import noise
from atomfit.simulation.dynamics import molecular_dynamics
from atomfit.simulation.particles import particle
from atomfit.structure.elements import lattice_constant
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from atomfit.workflows.build import build
from experiments.accuracy.octahedron import VOXEL, Case, disturbed, octahedron
from experiments.recording import markdown, record

SEEDS = 5
LEVELS = (0.02, 0.05, 0.10, 0.15)
#: ase's edge and cut of a smaller octahedron, of 201 atoms.
SMALL = {"edge": 7, "cut": 2}


def main() -> None:
    parts = {"white": white, "isotropy": isotropy, "coloured": coloured, "dynamics": dynamics}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="of " + ", ".join(parts) + "; all by default")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="of each case; three at most but for white"
    )
    given = parser.parse_args()
    fewer = f" --seeds {given.seeds}" if given.seeds < SEEDS else ""
    for name in given.parts or parts:
        table = Path(__file__).parent / f"{name}.md"
        record(table, f"python -m experiments.accuracy {name}{fewer}", *parts[name](given.seeds))


def white(seeds: int) -> Iterator[str]:
    """807 atoms, white noise: position, displacement and error bars."""
    header = (
        "sigma, Å; noise, %",
        "found, false",
        "RMSD, pm",
        "RMSD / bound: all, core, surface",
        "bias of U_iso, %",
        "z: x, U_iso, A",
        "within 95 % interval, core: x, U_iso, A",
        "same, surface",
    )
    rows = []
    for sigma in (0.5, 0.7):
        for level in LEVELS:
            runs = [Comparison(disturbed(octahedron(sigma, s), level, 100 + s)) for s in range(seeds)]
            rows.append((f"{sigma}; {100 * level:g}", *summary(runs)))
            print(*rows[-1], sep=" | ", flush=True)
    yield (
        f"**White noise.** Truncated octahedron of 807 Pt atoms, turned at random, voxel {VOXEL} Å; "
        f"{seeds} seeds, found by `build` with its defaults. The bound is the inverse of the Fisher "
        "information at the true parameters. z: error over its standard uncertainty, its standard "
        "deviation over all atoms."
    )
    yield markdown(header, rows)


def isotropy(seeds: int) -> Iterator[str]:
    """The degree of isotropy at 5 % noise."""
    rows, seeds = [], min(seeds, 3)
    for doi in (1.0, 0.6):
        runs = [Comparison(disturbed(octahedron(0.5, s, doi), 0.05, 100 + s)) for s in range(seeds)]
        plain, better = (float(np.mean([f(run) for run in runs])) for f in (plain_doi, debiased_doi))
        rows.append((doi, f"{plain:.3f}", f"{better:.3f}"))
        print(*rows[-1], sep=" | ", flush=True)
    yield f"**Degree of isotropy**, 5 % noise, sigma 0.5 Å, {seeds} seeds; medians."
    yield markdown(("truth", "doi", "doi_debiased"), rows)


def coloured(seeds: int) -> Iterator[str]:
    """Correlated noise and a missing wedge, with weights from the map itself and without."""
    header = (
        "noise of 5 %",
        "found: weighted, not",
        "RMSD, pm: weighted, not, ratio",
        "bias of U_iso, %: weighted, not",
    )
    header = (*header, "median DOI: debiased, plain", "z: x, U_iso, A", "same, not weighted")
    rows, seeds = [], min(seeds, 3)
    for name, options in {
        "correlated over 0.6 Å": {"correlation": 0.6},
        "missing wedge of 25°": {"wedge": 25.0},
        "both": {"correlation": 0.6, "wedge": 25.0},
    }.items():
        cases = [disturbed(octahedron(0.5, s, **SMALL), 0.05, 100 + s, **options) for s in range(seeds)]
        weighted, plain = ([Comparison(case, noise=kind) for case in cases] for kind in ("auto", "white"))
        mine, other = (1e2 * np.sqrt(np.mean([r.square for r in runs])) for runs in (weighted, plain))
        rows.append(
            (
                name,
                ", ".join(
                    f"{sum(r.found for r in runs)} of {sum(r.known for r in runs)}"
                    for runs in (weighted, plain)
                ),
                f"{mine:.2f}, {other:.2f}, {mine / other:.2f}",
                ", ".join(f"{np.mean([r.bias for r in runs]):+.1f}" for runs in (weighted, plain)),
                ", ".join(f"{np.mean([f(r) for r in weighted]):.2f}" for f in (debiased_doi, plain_doi)),
                spread(weighted),
                spread(plain),
            )
        )
        print(*rows[-1], sep=" | ", flush=True)
    yield f"**Coloured noise and the missing wedge**, octahedron of 201 atoms, sigma 0.5 Å, {seeds} seeds."
    yield markdown(header, rows)


def dynamics(seeds: int) -> Iterator[str]:
    """Molecular dynamics as the truth: U with the prior, without, and of the log-fit."""
    rows = []
    for level in (0.05, 0.10):
        found = np.array([list(of_dynamics(level, seed)) for seed in range(min(seeds, 2))]).mean(axis=0)
        rows.append((f"{100 * level:g} %", *(f"{x:.3f}" for x in found)))
        print(*rows[-1], sep=" | ", flush=True)
    yield (
        "**Molecular dynamics as truth**: 309 Pt atoms, EMT potential, 400 K, 200 frames, atoms of 0.5 Å "
        f"at rest; correlation of fitted and true U_iso, mean of {min(seeds, 2)} seeds."
    )
    yield markdown(("noise", "with the prior", "default", "without", "log-fit"), rows)


def of_dynamics(level: float, seed: int) -> Iterator[float]:
    """Correlations of U_iso with the truth, in the order of the table."""
    start = particle("sphere", "Pt", 309, seed, lattice_constant("Pt"))
    motion = molecular_dynamics("Pt", start, temperature=400.0, seed=seed)
    edge = int(2 * np.ceil((np.abs(motion.positions).max() + 7.0) / VOXEL))
    grid = Grid((edge,) * 3, np.full(3, VOXEL), np.zeros(3))
    density = motion.density(grid, 0.25, grid.centre)
    values = density.values + noise(grid, level * float(density.values.max()), 0.0, seed + 1)
    noisy = DensityMap(values.astype(np.float32), grid)
    truth = np.trace(motion.matrices, axis1=1, axis2=2) / 3
    for prior in ("empirical", "auto", "none"):
        result = build(noisy, "Pt", prior=prior)
        pairs = match(result.positions, motion.positions + grid.centre)
        yield correlation(result.statistics.fitted.u_iso[pairs.found], truth[pairs.known])
    yield correlation(result.baseline.fitted.u_iso[pairs.found], truth[pairs.known])


def correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    known = np.isfinite(a)
    return float(np.corrcoef(a[known], b[known])[0, 1])


class Comparison:
    """A map, what `build` finds in it, and the errors of that."""

    def __init__(self, case: Case, **options: str) -> None:
        result = build(case.map, "Pt", **options)
        pairs = match(result.positions, case.atoms.positions)
        self.found, self.known, self.false = len(pairs.found), len(case.atoms), pairs.false
        self.result: BuildResult = result
        fitted, esd = result.statistics.fitted, result.statistics.uncertainties
        f, k = pairs.found, pairs.known
        place = fitted.positions[f] - case.atoms.positions[k]
        width = fitted.u_iso[f] - case.atoms.u_iso[k]
        strength = fitted.amplitudes[f] - case.atoms.amplitudes[k]
        self.surface = case.surface[k]
        self.squares = np.sum(place**2, axis=1)
        self.square = float(self.squares.mean())
        self.bounds = np.sum(case.bound()[k, :3] ** 2, axis=1)
        self.bias = 100 * float(np.mean(width / case.atoms.u_iso[k]))
        self.z = (place / esd.positions[f], width / esd.u_iso[f], strength / esd.amplitudes[f])


def summary(runs: Sequence[Comparison]) -> tuple[str, ...]:
    """The cells of a row."""
    squares, bounds, surface = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ("squares", "bounds", "surface")
    )
    ratios = [np.sqrt(squares[w].mean() / bounds[w].mean()) for w in (surface | True, ~surface, surface)]
    return (
        f"{sum(r.found for r in runs)} of {sum(r.known for r in runs)}, {sum(r.false for r in runs)}",
        f"{100 * np.sqrt(squares.mean()):.2f}",
        ", ".join(f"{ratio:.3f}" for ratio in ratios),
        f"{np.mean([r.bias for r in runs]):+.2f}",
        spread(runs),
        coverage(runs, False),
        coverage(runs, True),
    )


def spread(runs: Sequence[Comparison]) -> str:
    """Standard deviation of errors over uncertainties."""
    return ", ".join(f"{np.nanstd(np.concatenate([run.z[i] for run in runs])):.2f}" for i in range(3))


def coverage(runs: Sequence[Comparison], surface: bool) -> str:
    """Percentage of errors within 1.96 standard uncertainties."""
    within = [
        np.concatenate([np.abs(run.z[i][run.surface == surface]) < 1.96 for run in runs]) for i in range(3)
    ]
    return ", ".join(f"{100 * np.mean(x):.1f}" for x in within)


def plain_doi(run: Comparison) -> float:
    return float(np.nanmedian(run.result.statistics.principal.degree_of_isotropy))


def debiased_doi(run: Comparison) -> float:
    return float(np.nanmedian(run.result.statistics.uncertainties.debiased_isotropy))


if __name__ == "__main__":
    main()
