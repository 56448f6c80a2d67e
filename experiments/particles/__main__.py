"""Simulated Pt particles of known truth, at several noises: what is found, and how well it is refined."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atomfit.simulation import Simulation, simulate
from atomfit.structure.matching import match
from atomfit.workflows.build import build
from experiments.recording import markdown, record

SEEDS = (0, 1, 2)
#: Name and options of each case; the box is 120 voxels of 0.358 Å.
CASES = {
    **{
        f"309 atoms, noise {100 * noise:g} %, {turn}": {"noise": noise, "rotate": rotate}
        for noise in (0.02, 0.05, 0.15)
        for rotate, turn in (("none", "aligned"), ("random", "rotated"))
    },
    "309 broad atoms (U 0.30-0.60 Å²), noise 3 %": {"noise": 0.03, "u_core": 0.30, "u_surface": 0.60},
    "711 atoms, noise 5 %": {"noise": 0.05, "size": 711},
    "309 atoms, U_min / U_maj = 0.6, noise 5 %": {"noise": 0.05, "doi": 0.6, "rotate": "random"},
    "309 atoms, noise 5 % correlated over 0.6 Å": {
        "noise": 0.05,
        "noise_correlation": 0.6,
        "rotate": "random",
    },
    "309 atoms, noise 5 %, missing wedge of 25°": {"noise": 0.05, "wedge": 25.0, "rotate": "random"},
}
HEADER = (
    "case",
    "found, false",
    "RMSD joint / log-fit, pm",
    "U_iso bias joint / log-fit, Å²",
    "U_iso RMS error joint / log-fit, Å²",
    "median DOI joint, debiased / log-fit (truth)",
    "error / its uncertainty, standard deviation: x / U_iso",
)


def main() -> None:
    rows = []
    for name, options in CASES.items():
        runs = np.array([list(measure(simulate(box=120, seed=seed, **options))) for seed in SEEDS])
        mean, total = runs.mean(axis=0), runs.sum(axis=0).astype(int)
        rows.append(
            (
                name,
                f"{total[0]} of {total[1]}, {total[2]}",
                f"{mean[3]:.2f} / {mean[4]:.2f}",
                f"{mean[5]:+.4f} / {mean[6]:+.4f}",
                f"{mean[7]:.4f} / {mean[8]:.4f}",
                f"{mean[9]:.2f}, {mean[12]:.2f} / {mean[10]:.2f} ({mean[11]:.2f})",
                f"{mean[13]:.2f} / {mean[14]:.2f}",
            )
        )
        print(*rows[-1], sep=" | ", flush=True)
    intro = (
        "RMSD in three dimensions over the atoms found within 1 Å, mean of "
        f"{len(SEEDS)} seeds; numbers of atoms summed over them."
    )
    here = Path(__file__).parent
    record(here / "table.md", "python -m experiments.particles", intro, markdown(HEADER, rows))


def measure(case: Simulation) -> Iterator[float]:
    """Numbers of one particle, in the order of the table."""
    result = build(case.map, case.symbol)
    pairs = match(result.positions, case.positions)
    yield from (len(pairs.found), len(case.positions), pairs.false)
    com = result.detection.positions[pairs.found] - case.positions[pairs.known]
    yield 100 * pairs.rmsd
    yield 100 * float(np.sqrt(np.mean(np.sum(com**2, axis=1))))
    truth = np.trace(case.matrices, axis1=1, axis2=2)[pairs.known] / 3
    errors = [
        fitted.u_iso[pairs.found] - truth for fitted in (result.statistics.fitted, result.baseline.fitted)
    ]
    yield from (float(np.nanmean(error)) for error in errors)
    yield from (float(np.sqrt(np.nanmean(error**2))) for error in errors)
    for principal in (result.statistics.principal, result.statistics.baseline):
        yield float(np.nanmedian(principal.degree_of_isotropy))
    values = np.linalg.eigvalsh(case.matrices)
    yield float(np.median(values[:, 0] / values[:, 2]))
    esd = result.statistics.uncertainties
    yield float(np.nanmedian(esd.debiased_isotropy))
    distance = result.positions[pairs.found] - case.positions[pairs.known]
    yield float(np.std(distance / esd.positions[pairs.found]))
    yield float(np.std(errors[0] / esd.u_iso[pairs.found]))


if __name__ == "__main__":
    main()
