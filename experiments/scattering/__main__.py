"""Maps of atoms with tabulated form factors: fitted with one Gaussian an atom, and with form factors."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from atomfit.detection.detect import detect
from atomfit.fitting.joint import JointFit, fit_jointly
from atomfit.gaussians.scatterers import FormFactors
from atomfit.rendering import render_map
from atomfit.simulation.disturbances import noise
from atomfit.simulation.particles import orientation, particle, rotated
from atomfit.structure.elements import element
from atomfit.structure.grid import DensityMap, Grid
from atomfit.structure.matching import match
from experiments.recording import markdown, record

ATOMS, SPACING, SEEDS = 135, 0.358, (0, 1)
#: Mean U_iso and resolution term (Å²).
U_MEAN, RESOLUTION = 0.04, 0.1
#: f(0) of the tables (Å): atoms of equal occupancy have amplitudes in this ratio.
STRENGTHS = {78: 10.8085, 26: 7.1637}
HEADER = (
    "map",
    "model",
    "RMSD, pm",
    "U_iso bias (by element), Å²",
    "U_iso RMS error, Å²",
    "amplitude / true (by element)",
    "resolution S (esd), Å²",
    "error / its uncertainty, x",
)


def main() -> None:
    rows = []
    for deviation in (0.03, 0.05, 0.1):
        for model, options in {
            "one Gaussian": {},
            "form factor": {"scattering": "form-factor"},
            "form factor, mean U given": {"scattering": "form-factor", "u_mean": U_MEAN},
        }.items():
            rows.append(case(f"Pt, noise {100 * deviation:g} %", model, deviation, (78,), options))
    for model, options in {
        "one Gaussian": {},
        "form factor, mean U given": {"scattering": "form-factor", "u_mean": U_MEAN},
    }.items():
        rows.append(case("Pt and Fe, noise 5 %", model, 0.05, (78, 26), options))
    intro = (
        f"{ATOMS} atoms of U_iso rising outwards about {U_MEAN} Å², S = {RESOLUTION} Å², voxels of "
        f"{SPACING} Å; means over {len(SEEDS)} seeds. S is {RESOLUTION} where it is right."
    )
    table = markdown(HEADER, rows)
    record(Path(__file__).with_name("table.md"), "python -m experiments.scattering", intro, table)


def case(
    name: str, model: str, deviation: float, numbers: tuple[int, ...], options: dict[str, object]
) -> tuple[str, ...]:
    """One row of the table."""
    runs = np.array([measure(deviation, seed, numbers, options) for seed in SEEDS])
    mean, count = runs.mean(axis=0), len(numbers)
    row = (
        name,
        model,
        f"{mean[0]:.2f}",
        " / ".join(f"{x:+.4f}" for x in mean[5 : 5 + count]),
        f"{mean[1]:.4f}",
        " / ".join(f"{x:.3f}" for x in mean[5 + count :]),
        "" if np.isnan(mean[2]) else f"{mean[2]:.4f} ({mean[3]:.4f})",
        f"{mean[4]:.2f}",
    )
    print(*row, sep=" | ", flush=True)
    return row


def measure(
    deviation: float, seed: int, kinds: tuple[int, ...], options: dict[str, object]
) -> Float[np.ndarray, " k"]:
    """RMSD (pm), U scatter, S, its esd, z of positions; biases of U and ratios of amplitudes by element."""
    density, positions, u, amplitudes, numbers = simulated(deviation, seed, kinds)
    pt = element("Pt")
    detection = detect(density, pt)
    # Which atom is which element is given: that is not decided here.
    pairs = match(detection.positions, positions)
    start = detection.positions[pairs.found]
    fit: JointFit = fit_jointly(
        density,
        start,
        detection.mean_atom,
        pt,
        numbers=numbers[pairs.known],
        **options,  # type: ignore[arg-type]
    )
    fitted, known = fit.fitted, pairs.known
    error = fitted.positions - positions[known]
    bias = fitted.u_iso - u[known]
    which = [numbers[known] == kind for kind in kinds]
    s, esd = (np.nan, np.nan) if fit.resolution is None else (fit.resolution.s, fit.resolution.esd)
    return np.array(
        [
            100 * np.sqrt(np.mean(np.sum(error**2, axis=1))),
            np.nanstd(bias),
            s,
            esd,
            np.std(error / fit.uncertainty.deviations[:, :3]),
            *(np.nanmean(bias[chosen]) for chosen in which),
            *(np.mean((fitted.amplitudes / amplitudes[known])[chosen]) for chosen in which),
        ]
    )


def simulated(
    deviation: float, seed: int, kinds: tuple[int, ...]
) -> tuple[
    DensityMap,
    Float[np.ndarray, "n 3"],
    Float[np.ndarray, " n"],
    Float[np.ndarray, " n"],
    Int[np.ndarray, " n"],
]:
    """A sphere of atoms with all terms of the tables: map, positions, U_iso, amplitudes, numbers."""
    rng = np.random.default_rng(seed)
    sites = rotated(particle("sphere", "Pt", ATOMS, seed), orientation("random", seed))
    out = np.linalg.norm(sites, axis=1) / np.linalg.norm(sites, axis=1).max()
    u = 0.02 + 0.04 * out**2
    u *= U_MEAN / u.mean()
    edge = 2 * int(np.ceil((np.abs(sites).max() + 9) / SPACING))
    grid = Grid((edge,) * 3, np.full(3, SPACING), np.zeros(3))
    positions = sites + grid.centre + rng.normal(0, 0.03, sites.shape)
    numbers = rng.choice(kinds, ATOMS)
    amplitudes = np.array([STRENGTHS[int(number)] for number in numbers])
    widened = (u + RESOLUTION)[:, None, None] * np.eye(3)
    atoms = FormFactors.of(numbers, RESOLUTION, accuracy=0.0).gaussians(positions, widened, amplitudes)
    values = render_map(atoms, grid, 6.0).astype(np.float64)
    peak = float(values.max())
    values = values / peak + noise(grid, deviation, 0.0, seed + 1)
    return DensityMap(values.astype(np.float32), grid), positions, u, amplitudes / peak, numbers


if __name__ == "__main__":
    main()
