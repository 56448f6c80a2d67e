"""What positions say of a particle, against ase, planted truth and published figures."""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from atomfit.options.build import ParticleShape
from atomfit.simulation import simulate
from atomfit.simulation.particles import particle
from atomfit.statistics.coordination import measure_coordination
from atomfit.statistics.depth import fit_depth, measure_depths
from atomfit.statistics.geometry import Geometry, measure_geometry
from atomfit.structure.elements import element
from atomfit.structure.neighbours import find_neighbours
from atomfit.workflows.build import build
from experiments.recording import markdown, record

SEEDS = range(5)
PT = element("Pt")
CONSTANT = 3.92


def main() -> None:
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "clusters": clusters,
        "lattice": lattice,
        "strain": strain,
        "depth": depth,
        "twins": twins,
        "duration": duration,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="of " + ", ".join(parts) + "; all by default")
    for name in parser.parse_args().parts or parts:
        table = Path(__file__).parent / f"{name}.md"
        record(table, f"python -m experiments.statistics {name}", *parts[name]())


def turned(positions: np.ndarray, seed: int) -> np.ndarray:
    """Rotated at random and shifted."""
    rng = np.random.default_rng(seed)
    return np.asarray(Rotation.random(rng=rng).apply(positions) + rng.uniform(-30, 30, 3))


def geometry(positions: np.ndarray) -> Geometry:
    cutoff = find_neighbours(positions, None, PT.neighbour_distance).cutoff
    return measure_geometry(positions, np.full(positions.shape, np.nan), cutoff, PT)


def clusters() -> Iterator[str]:
    """Ideal clusters."""
    shapes: list[tuple[ParticleShape, int]] = [
        (shape, size)
        for shape in ("octahedron", "icosahedron", "decahedron", "cuboctahedron")
        for size in (4, 6)
    ]
    rows = []
    for shape, size in shapes:
        wrong = wrong_generalised = 0
        for seed in SEEDS:
            positions = turned(particle(shape, "Pt", size, lattice=CONSTANT), seed)
            n = len(positions)
            i, j = neighbor_list("ij", Atoms("Pt" * n, positions), 1.2 * PT.neighbour_distance)
            cn = np.bincount(i, minlength=n)
            found = find_neighbours(positions, None, PT.neighbour_distance)
            wrong += int(np.sum(found.coordination_numbers != cn))
            gcn = measure_coordination(positions, found.cutoff, np.full((n, 3), np.nan)).generalised
            wrong_generalised += int(
                np.sum(np.abs(gcn - np.bincount(i, weights=cn[j], minlength=n) / 12) > 1e-9)
            )
        rows.append((f"{shape}, {n} atoms", wrong, wrong_generalised))
    yield f"Atoms with another number than ase's, {len(SEEDS)} orientations each."
    yield markdown(("cluster", "CN", "generalised CN"), rows)


def lattice() -> Iterator[str]:
    """From the map to the lattice, with default options."""
    rows = []
    for level in (0.02, 0.10):
        for seed in SEEDS:
            case = simulate(size=309, rotate="random", noise=level, seed=seed, lattice=CONSTANT)
            g = build(case.map, "Pt").statistics.geometry
            truth = geometry(case.positions)
            one = g.lattices[0]
            rows.append(
                (f"{100 * level:g} %", seed)
                + (f"{one.constant:.4f}({1e4 * one.constant_esd:.0f})", f"{truth.lattices[0].constant:.4f}")
                + (f"{100 * (one.constant / CONSTANT - 1):+.3f} %",)
                + (_percent(g.strain.radial), _percent(truth.strain.radial), len(g.grains.grains))
            )
            print(*rows[-1], sep=" | ", flush=True)
    yield f"309 rotated atoms, a = {CONSTANT} Å, displaced by 0.03 Å along each axis."
    yield markdown(
        ("noise", "seed", "a, Å", "a of the true positions", "error", "SD of radial strain")
        + ("same of the true positions", "grains"),
        rows,
    )


def _percent(values: np.ndarray) -> str:
    return f"{100 * np.nanstd(values):.3f} %"


def strain() -> Iterator[str]:
    """Planted strain at atoms more than one shell deep."""
    rows = []
    fields = {
        "uniform, 1 %": np.eye(3) * 0.01,
        "uniform, 3 %": np.eye(3) * 0.03,
        "shear, 1 %": np.array([[0, 0.01, 0], [0.01, 0, 0], [0, 0, 0]]),
        "shear, 3 %": np.array([[0, 0.03, 0], [0.03, 0, 0], [0, 0, 0]]),
        "radial gradient, 0 to 3 %": None,
    }
    for size in (309, 711):
        for name, planted in fields.items():
            errors, z, missing = [], [], 0.0
            for seed in SEEDS:
                ideal = Rotation.random(rng=np.random.default_rng(seed)).apply(
                    particle("sphere", "Pt", size, seed, lattice=CONSTANT)
                )
                radius = np.linalg.norm(ideal, axis=1)
                deep = radius < radius.max() - PT.neighbour_distance
                noise = np.random.default_rng(seed + 50).normal(0, 0.02, ideal.shape)
                if planted is None:
                    places = ideal * (1 + 0.03 * radius / radius.max() / 2)[:, None]
                    g = geometry(places + noise).bulk_strain
                    away = g.radial[deep] - 0.03 * radius[deep] / radius.max()
                    esd = g.radial_errors[deep]
                else:
                    g = geometry(ideal @ (np.eye(3) + planted).T + noise).bulk_strain
                    away = (g.tensors - planted[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]])[deep]
                    esd = g.errors[deep]
                errors.append(away.ravel())
                z.append((away / esd).ravel())
                missing += np.mean(np.isnan(g.radial)) / len(SEEDS)
            together = np.concatenate(errors)
            rows.append(
                (size, name, f"{100 * np.nanmean(together):+.3f} %", f"{100 * np.nanstd(together):.3f} %")
                + (f"{np.nanstd(np.concatenate(z)):.2f}", f"{100 * missing:.1f} %")
            )
            print(*rows[-1], sep=" | ", flush=True)
    yield (
        "Positions with errors of 0.02 Å along each axis, random orientation, strain counted from the "
        f"bulk; {len(SEEDS)} seeds; atoms more than a bond below the surface."
    )
    header = ("atoms", "planted", "mean error", "SD of errors", "SD of z", "without strain")
    yield markdown(header, rows)


def depth() -> Iterator[str]:
    """Planted penetration depths."""
    rows = []
    for size in (309, 711):
        for scatter in (0.5, 1.0, 1.5):
            error, z = [], []
            radial = measure_depths(particle("sphere", "Pt", size)).radial
            for seed in range(200):
                rng = np.random.default_rng(seed)
                true = rng.uniform(3.9, 5.1)
                values = 12 + 1.1 * np.minimum(radial - true, 0) + rng.normal(0, scatter, size)
                found = fit_depth(radial, values, (10.0, 12.0))
                assert found is not None
                error.append(found.delta - true)
                z.append((found.delta - true) / found.delta_esd)
            rows.append(
                (size, scatter, f"{np.mean(error):+.3f}", f"{np.std(error):.3f}")
                + (f"{np.mean(np.abs(error) < 0.2):.2f}", f"{np.mean(np.abs(z) < 1.96):.2f}")
            )
    yield (
        "CN falling by 1.1 for each Å above a depth of 3.9 to 5.1 Å, with scatter; 200 seeds. The scatter "
        "of CN about such a function is 0.5 on simulated spheres."
    )
    yield markdown(
        ("atoms", "scatter", "mean error of δ, Å", "SD, Å", "within 0.2 Å", "within 1.96 of its error"),
        rows,
    )


def twins() -> Iterator[str]:
    """Twinned particles, from their maps at 5 % noise."""
    rows = []
    shapes: list[tuple[ParticleShape, int, int]] = [
        ("decahedron", 6, 5),
        ("decahedron", 8, 5),
        ("icosahedron", 5, 20),
        ("icosahedron", 6, 20),
    ]
    for shape, size, grains in shapes:
        right, names = 0, 0
        for seed in range(3):
            case = simulate(shape=shape, size=size, noise=0.05, rotate="random", seed=seed)
            result = build(case.map, "Pt")
            g, truth = result.statistics.geometry, geometry(particle(shape, "Pt", size))
            right += len(g.grains.grains) == grains
            distances = np.linalg.norm(result.positions[:, None] - case.positions, axis=2)
            pairs = distances.argmin(axis=0)
            inside = np.isin(truth.structure.astype(str), ("fcc", "hcp", "fivefold", "icosahedral"))
            names += np.mean(g.structure[pairs][inside] == truth.structure[inside]) / 3
        rows.append((f"{shape}, {len(case.positions)} atoms", f"{right} of 3", f"{100 * names:.1f} %"))
        print(*rows[-1], sep=" | ", flush=True)
    yield "Map with 5 % noise, random orientation, 3 seeds; local structure of the atoms inside."
    yield markdown(("particle", "grains right (5 and 20)", "local structure right"), rows)


def duration() -> Iterator[str]:
    """Statistics and files."""
    rows = []
    for size in (309, 711, 2000):
        case = simulate(size=size, rotate="random", noise=0.05)
        result = build(case.map, "Pt")
        begin = time.perf_counter()
        geometry(result.positions)
        whole = time.perf_counter() - begin
        rows.append((size, f"{result.seconds['statistics']:.2f}", f"{whole:.2f}"))
    yield "Published program, 711 atoms: 43 s for its statistics."
    yield markdown(("atoms", "statistics of `build`, s", "of that, geometry, s"), rows)


if __name__ == "__main__":
    main()
