"""How near the degree of isotropy comes to the true one: plain, shrunk one by one, as all atoms tell it."""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

from experiments.isotropy.cases import POPULATIONS, Found, found
from experiments.recording import markdown, record

#: Particles that nothing was chosen with.
SEEDS = (10, 11)
RATIOS = (2, 3, 5, 10, 20)
BROAD, EDGES = "0.3 to 1", np.linspace(0.3, 1, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of particles")
    parser.add_argument("--snr", type=float, nargs="+", default=RATIOS, help="peak over a voxel's noise")
    given = parser.parse_args()
    command = "python -m experiments.isotropy"
    if tuple(given.seeds) != SEEDS:
        command += " --seeds " + " ".join(map(str, given.seeds))
    if tuple(given.snr) != RATIOS:
        command += " --snr " + " ".join(f"{snr:g}" for snr in given.snr)
    record(Path(__file__).parent / "report.md", command, *report(tuple(given.snr), tuple(given.seeds)))


def report(ratios: tuple[float, ...], seeds: tuple[int, ...]) -> Iterator[str]:
    """Tables of all populations, and of the broad one by what is true."""
    rows, parts = [], []
    for snr in ratios:
        for population in POPULATIONS:
            atoms = Found.of([found(population, snr, seed) for seed in seeds])
            rows.append((f"{snr:g}", population, *summary(atoms)))
            print(*rows[-1], sep=" | ", flush=True)
            if population == BROAD:
                parts += [(f"{snr:g}", *row) for row in by_truth(atoms)]
    yield (
        "**DOI of planted particles.** Truncated octahedra of 201 Pt atoms (sigma 0.5 Å, axes at "
        "random, half of the atoms long and half of them flat), white noise, found by `build` with "
        f"its defaults; seeds {', '.join(map(str, seeds))}. SNR: peak of an atom over the noise of a "
        "voxel. Bias and root mean square error of `doi`, of DOI shrunk atom by atom, and of "
        "`doi_debiased`; its `doi_debiased_esd` (root mean square), z, the error over that (root "
        "mean square), and atoms of which it is not known."
    )
    yield markdown(
        (
            "SNR",
            "true DOI",
            "atoms",
            "bias: doi, shrunk, debiased",
            "RMS: the same",
            "esd",
            "z",
            "not known",
        ),
        rows,
    )
    yield f"**True DOI of {BROAD}**, by what it is: bias and root mean square error."
    yield markdown(("SNR", "true DOI", "atoms", "bias: doi, shrunk, debiased", "RMS: the same"), parts)


def errors(atoms: Found) -> list[Float[np.ndarray, " n"]]:
    return [values - atoms.truth for values in (atoms.plain, atoms.shrunk, atoms.debiased)]


def summary(atoms: Found) -> tuple[str, ...]:
    """Cells of a row."""
    return (
        str(len(atoms.truth)),
        ", ".join(f"{np.nanmean(x):+.3f}" for x in errors(atoms)),
        ", ".join(f"{rms(x):.3f}" for x in errors(atoms)),
        f"{rms(atoms.esd):.3f}",
        f"{rms((atoms.debiased - atoms.truth) / atoms.esd):.2f}",
        str(np.isnan(atoms.debiased).sum()),
    )


def by_truth(atoms: Found) -> Iterator[tuple[str, ...]]:
    """Rows of atoms whose true DOI is between two numbers."""
    place = np.digitize(atoms.truth, EDGES[1:-1])
    for k, (low, high) in enumerate(pairwise(EDGES)):
        some = [x[place == k] for x in errors(atoms)]
        yield (
            f"{low:.3g} to {high:.3g}",
            str(np.sum(place == k)),
            ", ".join(f"{np.nanmean(x):+.3f}" for x in some),
            ", ".join(f"{rms(x):.3f}" for x in some),
        )


def rms(x: Float[np.ndarray, " n"]) -> float:
    return float(np.sqrt(np.nanmean(x**2)))


if __name__ == "__main__":
    main()
