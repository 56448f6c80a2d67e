"""Lattices, strain, defects and order of columns that are known: `python -m experiments.columns.crystal`.

Thresholds were set on seeds below 100; these tables are of seeds from 1000 on.
"""

import time
from pathlib import Path

import numpy as np

from atomfit.statistics.plane_defects import (
    burgers_vector,
    find_boundaries,
    find_dislocations,
    find_vacancies,
)
from atomfit.statistics.plane_domains import find_domains
from atomfit.statistics.plane_gpa import gpa
from atomfit.statistics.plane_order import measure_order
from atomfit.statistics.plane_outline import find_facets
from atomfit.statistics.plane_strain import measure_plane_strain
from experiments.recording import markdown, record

HERE = Path(__file__).parent
FIRST = 1000
SQUARE = np.diag([2.0, 2.0])
HEXAGONAL = np.array([[2.5, -1.25], [0, 2.5 * 0.75**0.5]])
PLATINUM = np.array([[2.775, -2.775], [3.924, 3.924]]) / 2
SILICON = np.array([[5.43, -5.43], [3.84, 3.84]]) / 2
ONE = np.zeros((1, 2))
DUMBBELL = np.array([[0, 0], [0.25, -0.25]])
MOTIF = np.array([[0, 0], [0.3, 0.1], [0.7, 0.5]])


def turn(degrees: float) -> np.ndarray:
    """A rotation of the plane."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


def disc(basis: np.ndarray, offsets: np.ndarray, radius: float) -> np.ndarray:
    """Columns of a crystal around a site."""
    most = int(4 * radius / np.linalg.norm(basis, axis=0).min())
    steps = np.stack(np.meshgrid(*[np.arange(-most, most)] * 2), axis=-1).reshape(-1, 2)
    places = np.concatenate([steps + offset for offset in offsets]) @ basis.T
    return places[np.linalg.norm(places, axis=1) < radius]


def alike(n: int, error: float) -> np.ndarray:
    """Covariances of n positions with this error."""
    return np.broadcast_to(error**2 * np.eye(2), (n, 2, 2)).copy()


def lattices() -> str:
    """Is the lattice found, in any orientation?"""
    cases = {
        "square": (SQUARE, ONE),
        "hexagonal": (HEXAGONAL, ONE),
        "Pt [110]": (PLATINUM, ONE),
        "Si [110] dumbbells": (SILICON, DUMBBELL),
        "oblique": (np.array([[3.0, 0.8], [0, 3.6]]), ONE),
        "three in a cell": (np.diag([5.0, 4.0]), MOTIF),
    }
    rows = []
    for name, (basis, offsets) in cases.items():
        for noise in (0.0, 0.05, 0.1, 0.15):
            right, sites, z = 0, [], []
            for seed in range(FIRST, FIRST + 20):
                rng = np.random.default_rng(seed)
                x = disc(basis, offsets, rng.uniform(9, 22)) @ turn(rng.uniform(0, 360)).T
                x = rng.permutation(x) + rng.normal(0, noise, x.shape) + rng.uniform(-99, 99, 2)
                found = find_domains(x, alike(len(x), max(noise, 0.01)))
                area = abs(np.linalg.det(basis))
                one = len(found.lattices) == 1
                if one:
                    lattice = found.lattices[0]
                    good = abs(abs(np.linalg.det(lattice.basis)) / area - 1) < 0.02
                    right += good and len(lattice.origins) == len(offsets)
                    if noise and good:
                        cell = lattice.covariance[:4, :4]
                        slope = np.linalg.inv(lattice.basis).ravel()
                        esd = np.sqrt(slope @ cell @ slope) * area
                        z.append((abs(np.linalg.det(lattice.basis)) - area) / esd)
                sites.append(np.mean(found.membership >= 0))
            spread = f"{np.sqrt(np.mean(np.square(z))):.2f}" if z else "-"
            rows.append([name, noise, f"{right}/20", f"{100 * np.mean(sites):.1f}", spread])
    header = [
        "lattice",
        "error of a position (Å)",
        "right cell, one domain",
        "columns with a site (%)",
        "z of area",
    ]
    return "## Lattices\n\n" + markdown(header, rows)


def apart(n: int, nearest: float, rng: np.random.Generator) -> np.ndarray:
    """Columns at random that keep a distance (in roots of their area)."""
    points, side = np.zeros((0, 2)), np.sqrt(n)
    for point in rng.uniform(0, side, (400 * n, 2)):
        if len(points) < n and (not len(points) or np.linalg.norm(points - point, axis=1).min() > nearest):
            points = np.append(points, [point], axis=0)
    return 2.3 * points


def random_columns() -> str:
    """Is a lattice invented?"""
    rows = []
    for nearest in (0.0, 0.5, 0.7):
        for n, images in ((10, 100), (50, 100), (200, 30), (1000, 4)):
            if nearest and n > 200:
                continue
            rngs = [np.random.default_rng(seed) for seed in range(FIRST, FIRST + images)]
            found = [find_domains(apart(n, nearest, rng)) for rng in rngs]
            rows.append([nearest, n, f"{sum(bool(f.lattices) for f in found)}/{images}"])
    header = ["nearest (roots of a column's area)", "columns", "images with a lattice"]
    return "## Columns at random\n\n" + markdown(header, rows)


def edge(noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns around an edge dislocation (isotropic, ν = 0.3), and its Burgers vector (Å)."""
    rng, nu = np.random.default_rng(seed), 0.3
    places = disc(SQUARE, ONE, 28)
    x, y = (places - rng.uniform(0.2, 1.8, 2)).T
    r2 = x**2 + y**2
    u = np.arctan2(y, x) + x * y / (2 * (1 - nu) * r2)
    v = -((1 - 2 * nu) / (4 * (1 - nu)) * np.log(r2) + (x**2 - y**2) / (4 * (1 - nu) * r2))
    around = turn(rng.uniform(0, 360))
    moved = (places + np.stack([u, v], axis=1) / np.pi) @ around.T
    return moved + rng.normal(0, noise, moved.shape), around @ [2.0, 0.0]


def image_of(places: np.ndarray, heights: np.ndarray, size: int, pixel_size: float) -> np.ndarray:
    """Gaussians of all columns."""
    axis = pixel_size * np.arange(size)
    gx, gy = (np.exp(-((axis - places[:, i, None]) ** 2) / (2 * 0.45**2)) for i in (0, 1))
    return (heights[:, None] * gy).T @ gx


def strain() -> str:
    """The bars on strain, and what phases make of an alloy that has none."""
    rows = []
    for name, basis, offsets in (("Pt [110]", PLATINUM, ONE), ("Si [110]", SILICON, DUMBBELL)):
        x = disc(basis, offsets, 30) @ turn(17).T
        found = measure_plane_strain(x, alike(len(x), 0.05), find_domains(x))
        rows.append(
            [
                f"perfect {name}, 99th percentile",
                f"{np.percentile(np.abs(found.tensors), 99):.1e}",
                "< 1e-4",
            ]
        )
    x = disc(SQUARE, ONE, 40)
    x[:, 0] = np.where(x[:, 0] > 0, 1.02 * x[:, 0], x[:, 0])
    found = measure_plane_strain(x, None, find_domains(x), "given", SQUARE)
    plateau = np.abs(found.tensors[x[:, 0] > 6] - [0.02, 0, 0]).max()
    rows.append(["2 % step, largest deviation on its plateau", f"{100 * plateau:.1e} %", "< 0.02 %"])
    noisy = x + np.random.default_rng(FIRST).normal(0, 0.03, x.shape)
    found = measure_plane_strain(noisy, alike(len(x), 0.03), find_domains(noisy), "given", SQUARE)
    mean = found.tensors[x[:, 0] > 6, 0].mean()
    rows.append(["2 % step, mean of the plateau, positions to 3 pm", f"{100 * mean:.3f} %", "2 +- 0.02 %"])
    for noise in (0.0, 0.05, 0.1):
        worst, cores, closed = [], 0, 0
        for seed in range(FIRST, FIRST + 10):
            x, wanted = edge(noise, seed)
            domains = find_domains(x)
            found_ = find_dislocations(x, domains)
            cores += len(found_) == 1
            around = burgers_vector(x, domains, np.zeros(2), 14.0)
            worst.append(np.linalg.norm(around.burgers - wanted) / 2)
            closed += burgers_vector(x, domains, np.array([14.0, 12.0]), 6.0).steps == (0, 0)
        told = f"{100 * max(worst):.2f} % at worst of 10; one core in {cores}, others close in {closed}"
        rows.append([f"Burgers vector, positions to {100 * noise:.0f} pm", told, "< 1 %"])
    return "## Strain\n\n" + markdown(["case", "found", "bar"], [*rows, *alloys()])


def alloys() -> list[list[str]]:
    """An ordered part beside a disordered one, all columns in their places."""
    rng = np.random.default_rng(FIRST)
    steps = np.stack(np.meshgrid(*[np.arange(40)] * 2), axis=-1).reshape(-1, 2)
    x = 1.9 * steps + 1.0
    ordered = x[:, 0] < 38
    heights = np.where(ordered, np.where(steps[:, 1] % 2 == 0, 1.7, 0.3), 1 + 0.2 * rng.normal(size=len(x)))
    found = measure_plane_strain(x, alike(len(x), 0.03), find_domains(x))
    image = image_of(x, heights, 512, 0.15)
    axis = 0.15 * np.arange(512)
    side = np.broadcast_to(axis < 30, image.shape)
    rows = [
        [
            "ordered beside disordered, columns: largest strain",
            f"{100 * np.abs(found.tensors).max():.1e} %",
            "< 0.1 %",
        ]
    ]
    phases = gpa(image, 0.15, np.array([0.526, 0]), np.array([0, 0.526]), side)
    worst = np.nanpercentile(np.abs(phases.tensors), 99)
    rows.append(["the same, geometric phases: 99th percentile", f"{100 * worst:.2f} %", "-"])
    # A motif whose second column gets heavier moves the phase of (10) without anything moving.
    cells = np.stack(np.meshgrid(*[np.arange(20)] * 2), axis=-1).reshape(-1, 2)
    a, b = 3.9 * cells + 1.0, 3.9 * (cells + [0.3, 0.0]) + 1.0
    changed = np.where(cells[:, 0] < 10, 0.2, 0.9)
    both = np.concatenate([a, b])
    image = image_of(both, np.concatenate([np.ones(len(a)), changed]), 512, 0.15)
    phases = gpa(
        image, 0.15, np.array([1 / 3.9, 0]), np.array([0, 1 / 3.9]), np.broadcast_to(axis < 28, image.shape)
    )
    found = measure_plane_strain(both, alike(len(both), 0.03), find_domains(both))
    rows.append(
        [
            "motif that changes, columns: largest strain",
            f"{100 * np.abs(found.tensors).max():.1e} %",
            "< 0.1 %",
        ]
    )
    rows.append(
        ["the same, geometric phases: largest", f"{100 * np.nanmax(np.abs(phases.tensors)):.1f} %", "-"]
    )
    return rows


def errors() -> str:
    """Are error bars of strain right?"""
    rows = []
    for name, basis, offsets in (("Pt [110]", PLATINUM, ONE), ("Si [110]", SILICON, DUMBBELL)):
        for radius in (9.0, 16.0):
            for reference in ("fitted", "bulk", "given"):
                z: dict[str, list[np.ndarray]] = {"inside": [], "surface": [], "moved": []}
                places = disc(basis, offsets, radius)
                edge_ = np.linalg.norm(places, axis=1) > radius - 2.2
                for seed in range(FIRST, FIRST + 40):
                    rng = np.random.default_rng(seed)
                    around = turn(rng.uniform(0, 360))
                    sizes = rng.uniform(0.02, 0.06, (len(places), 1, 1))
                    root = sizes * (np.eye(2) + rng.normal(0, 0.2, (len(places), 2, 2)))
                    spread = root @ np.swapaxes(root, 1, 2)
                    x = places @ around.T + (root @ rng.normal(size=(len(places), 2, 1)))[..., 0]
                    domains = find_domains(x, spread)
                    found = measure_plane_strain(
                        x, spread, domains, reference, around @ basis if reference == "given" else None
                    )
                    of = found.tensors / found.errors
                    z["inside"].append(of[~edge_])
                    z["surface"].append(of[edge_])
                    deviations = np.sqrt(np.einsum("nii->ni", found.displacement_covariances))
                    if reference != "given":
                        z["moved"].append(found.displacements / deviations)
                cells = [
                    f"{np.sqrt(np.nanmean(np.concatenate(v) ** 2)):.3f}" if v else "-" for v in z.values()
                ]
                rows.append([name, len(places), reference, *cells])
    header = [
        "columns of",
        "number",
        "reference",
        "z of strain inside",
        "at the surface",
        "z of displacements",
    ]
    return "## Error bars\n\n" + markdown(header, rows)


def particle(
    seed: int, dose: float, radius: float, structure: str, order: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A ball of PtCo: two variants beside each other and a disordered part; all borders at random."""
    rng = np.random.default_rng(seed)
    basis = PLATINUM * 0.97 if structure == "L1_0 [110]" else np.diag([1.9, 1.9])
    step = 2.69 if structure == "L1_0 [110]" else 3.8
    most = int(3 * radius)
    steps = np.stack(np.meshgrid(*[np.arange(-most, most)] * 2), axis=-1).reshape(-1, 2)
    steps = steps[np.linalg.norm(steps @ basis.T, axis=1) < radius]
    x = steps @ basis.T
    thickness = 2 * np.sqrt(radius**2 - np.sum(x**2, axis=1)) / step
    atoms = np.maximum(np.rint(thickness + rng.normal(0, 0.3, len(x))), 1).astype(int)
    u, v = (x @ turn(rng.uniform(0, 360))).T
    states = np.where(v > rng.uniform(-0.2, 0.7) * radius, 0, np.where(u > rng.uniform(-8, 8), 1, 2))
    if structure == "L1_2 [100]":
        heavy = (steps % 2 == 0).all(axis=1) & (states == 1) | (steps % 2 == 1).all(axis=1) & (states == 2)
        mean = 0.25
    else:
        heavy = (steps.sum(axis=1) if structure == "L1_0 [110]" else steps[:, 0]) % 2 == states - 1
        mean = 0.5
    part = np.where(states == 0, mean, np.where(heavy, mean + (1 - mean) * order, mean * (1 - order)))
    count = rng.binomial(atoms, part)
    truth = 0.022 * (count + 0.165 * (atoms - count))
    errors_ = np.sqrt((truth + 0.1) / dose)
    values = truth + rng.normal(0, errors_)
    seen = values > 3 * errors_
    x = (x + rng.normal(0, 0.03, x.shape)) @ turn(rng.uniform(0, 360)).T
    return x[seen], values[seen], errors_[seen], states[seen]


def order() -> str:
    """Fraction, class of every column, calibration."""
    rows = []
    for structure, radius, degree in (
        ("L1_0 [110]", 20.0, 0.95),
        ("L1_0 [110]", 30.0, 0.95),
        ("L1_0 [110]", 30.0, 0.7),
        ("L1_0 [100]", 30.0, 0.95),
        ("L1_2 [100]", 30.0, 0.95),
    ):
        for dose in (5e3, 5e4):
            off, z, right, told, n = [], [], [], [], 0
            for seed in range(FIRST, FIRST + 12):
                x, values, errors_, states = particle(seed, dose, radius, structure, degree)
                (found,) = measure_order(x, find_domains(x), values, errors_, structure[:4])
                truth = states[found.columns]
                # A found variant is the planted one that most of its columns have.
                p = np.zeros((len(truth), 3))
                p[:, 0] = found.probabilities[:, 0]
                for variant in range(1, found.probabilities.shape[1]):
                    mine = found.probabilities[:, variant]
                    most = 1 + int(np.argmax([mine[truth == k].sum() for k in (1, 2)]))
                    p[:, most] += mine
                right.append(p.argmax(axis=1) == truth)
                told.append(p.max(axis=1))
                off.append(found.fraction - np.mean(truth > 0))
                z.append(off[-1] / max(found.fraction_esd, 1e-4))
                n += len(truth)
            good, sure = np.concatenate(right), np.concatenate(told)
            bins = [
                (sure >= low) & (sure < high)
                for low, high in ((0, 0.8), (0.8, 0.95), (0.95, 0.99), (0.99, 2))
            ]
            ece = sum(abs(np.sum(good[b] - sure[b])) for b in bins) / len(sure)
            part = [
                f"{sure[b].mean():.3f}: {good[b].mean():.3f} ({b.sum()})" if b.any() else "-" for b in bins
            ]
            worst = 100 * min(np.mean(r) for r in right)
            fraction = f"{100 * np.sqrt(np.mean(np.square(off))):.2f}, {100 * np.abs(off).max():.2f}"
            rows.append(
                [
                    structure,
                    degree,
                    n // 12,
                    f"{dose:.0e}",
                    fraction,
                    f"{np.sqrt(np.mean(np.square(z))):.1f}",
                ]
                + [f"{100 * good.mean():.1f}, {worst:.1f}", f"{ece:.4f}", *part]
            )
    header = [
        "structure",
        "degree",
        "columns",
        "e/Å²",
        "error of fraction: rms, worst (points)",
        "z",
        "right: mean, worst (%)",
    ]
    header += ["calibration error", "said < 0.8: right (columns)", "0.8-0.95", "0.95-0.99", "> 0.99"]
    return "## Order\n\n" + markdown(header, rows)


def defects() -> str:
    """Vacancies, twins and facets."""
    rows = []
    for noise in (0.03, 0.1):
        hits, false, called, missed = 0, 0, 0, 0
        for seed in range(FIRST, FIRST + 20):
            rng = np.random.default_rng(seed)
            around = turn(rng.uniform(0, 360))
            x = disc(PLATINUM, ONE, 18) @ around.T
            inside = np.flatnonzero(np.linalg.norm(x, axis=1) < 13)
            taken = rng.choice(inside, 4, replace=False)
            left = np.delete(x, taken, axis=0)
            left = left + rng.normal(0, noise, left.shape)
            found = [v.position for v in find_vacancies(left, None, find_domains(left))]
            near = [np.linalg.norm(x[taken] - place, axis=1).min() < 0.7 for place in found]
            hits, false, missed = hits + sum(near), false + len(near) - sum(near), missed + 4 - sum(near)
            half = disc(PLATINUM, ONE, 18)
            along = PLATINUM[:, 0] / np.linalg.norm(PLATINUM[:, 0])
            across = np.array([-along[1], along[0]])
            above = half[half @ across > -1e-6]
            other = above[above @ across > 1e-6]
            twin = np.concatenate([above, other - 2 * np.outer(other @ across, across)]) @ around.T
            twin = twin + rng.normal(0, noise, twin.shape)
            called += [b.kind for b in find_boundaries(twin, find_domains(twin))] == ["twin"]
        rows.append([f"{100 * noise:.0f}", f"{hits} of 80, {false} false", f"{called} of 20"])
    text = "## Defects\n\n" + markdown(["positions to (pm)", "vacancies", "twins"], rows)
    places = disc(HEXAGONAL, ONE, 95) + np.random.default_rng(FIRST).normal(
        0, 0.05, disc(HEXAGONAL, ONE, 95).shape
    )
    spread, took = alike(len(places), 0.05), []
    for _ in range(2):
        times = [time.perf_counter()]
        domains = find_domains(places, spread)
        times.append(time.perf_counter())
        measure_plane_strain(places, spread, domains)
        times.append(time.perf_counter())
        (
            find_vacancies(places, spread, domains),
            find_dislocations(places, domains),
            find_facets(places, spread, domains),
        )
        times.append(time.perf_counter())
        values = np.abs(np.random.default_rng(0).normal(1, 0.2, len(places)))
        measure_order(places, domains, values, 0.05 * values, "L1_0")
        times.append(time.perf_counter())
        took = [f"{t:.2f}" for t in np.diff(times)]
    header = ["columns", "domains (s)", "strain (s)", "defects and facets (s)", "order (s)"]
    return text + "\n\n## Duration\n\n" + markdown(header, [[len(places), *took]])


if __name__ == "__main__":
    parts = [part() for part in (lattices, random_columns, strain, errors, order, defects)]
    record(
        HERE / "crystal.md", "python -m experiments.columns.crystal", "# Crystallography of columns", *parts
    )
