"""`atomfit columns` on multislice images, whose columns are no Gaussians.

`python -m experiments.columns.multislice --data DIR` with what `multislice_images` has put there: places,
cross-sections, counts and strain. To the images a support of carbon is added, 5 nm of atoms at random that
scatter 3.5e-4 Å² each (a fifth of a per cent of the beam on average, and rough), and Poisson noise of
the dose. What `atomfit` finds in the image, knowing that it is platinum, is kept in `DIR/found`, which
has to go when `atomfit` has changed.

The library is of columns by themselves, at another focus (`multislice_images`), measured in two ways: by
the integral of each image ("integrals"), and by the fit of a Gaussian of its own width and a constant
within 2.2 Å ("fits", some 8 % less, as columns have tails). It is the true one of no image: neighbours are
absent, and the focus differs.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

import atomfit
from atomfit.statistics import Library, count_atoms, find_domains, measure_plane_strain
from atomfit.structure.matching import match
from experiments.columns.counting import calibration_error
from experiments.columns.mixtures import icl_counts
from experiments.columns.scores import WITHIN
from experiments.recording import markdown, record

HERE = Path(__file__).parent
DOSES = (1e3, 1e4, 1e5)
#: Doses of counts that noise is added for, to what was found at 1e4.
BETWEEN = (2e3, 5e3)
#: What the library's scale is off by.
OFF = (-0.03, 0.0, 0.03)
#: Atoms of carbon to the Å² in 5 nm, what each scatters (Å²), and how wide it looks (Å).
CARBON, EACH, WIDTH = 5.0, 3.5e-4, 0.47
IMAGES = ("perfect_101", "perfect_102", "relaxed_103", "relaxed_104")
#: Columns with fewer than six others within so much (Å) are at the surface.
_BESIDE = 3.4


@dataclass(frozen=True, eq=False)
class Truth:
    """A noise-free image (part of the beam), its pixels (Å), places (Å) and counts of its columns."""

    name: str
    image: np.ndarray
    pixel: float
    positions: np.ndarray
    counts: np.ndarray

    @classmethod
    def read(cls, folder: Path, name: str) -> "Truth":
        path = folder / f"{name}.npz"
        if not path.exists():
            raise SystemExit(f"{path} is not there: python -m experiments.columns.multislice_images --help")
        file = np.load(path)
        pixel, image = float(file["pixel"]), np.maximum(file["image"], 0)
        carbon = np.random.default_rng(crc32(name.encode())).poisson(CARBON * pixel**2, image.shape)
        support = EACH * gaussian_filter(carbon.astype(float), WIDTH / pixel, mode="wrap") / pixel**2
        return cls(name, image + support, pixel, file["positions"], file["counts"])

    def noisy(self, dose: float) -> np.ndarray:
        electrons = dose * self.pixel**2
        rng = np.random.default_rng([1, 11])
        return (rng.poisson(electrons * self.image) / electrons).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Case:
    """What was found in an image: columns, and which of them are which true ones."""

    truth: Truth
    name: str
    positions: np.ndarray
    covariances: np.ndarray
    values: np.ndarray
    esds: np.ndarray
    said: str
    found: np.ndarray
    known: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """True ones, of those that were found."""
        return np.asarray(self.truth.counts[self.known])

    @property
    def errors(self) -> np.ndarray:
        return np.asarray(self.positions[self.found] - self.truth.positions[self.known])

    @property
    def surface(self) -> np.ndarray:
        """Which of the true columns are at the surface."""
        tree = cKDTree(self.truth.positions)
        around = tree.query_ball_point(self.truth.positions, _BESIDE, return_length=True)
        return np.asarray(around < 7)


def _file(folder: Path, name: str, dose: float) -> Path:
    return folder / "found" / f"{name}_{dose:g}.npz"


def case(folder: Path, name: str, dose: float) -> Case:
    """What is found, or was found before."""
    truth, file = Truth.read(folder, name), _file(folder, name, dose)
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        result = atomfit.columns(truth.noisy(dose), "Pt", pixel_size=truth.pixel, counts="off")
        np.savez(
            file,
            positions=result.positions,
            covariances=result.covariances,
            values=result.cross_sections,
            esds=result.cross_section_esds,
            said="; ".join((result.verdict.level, *result.verdict.codes)),
        )
    kept = np.load(file)
    pairs = match(kept["positions"], truth.positions, WITHIN)
    numbers = (kept[name] for name in ("positions", "covariances", "values", "esds"))
    return Case(truth, file.stem, *numbers, str(kept["said"]), pairs.found, pairs.known)


def noisier(one: Case, dose: float, less: float) -> Case:
    """Cross-sections of a case as of a smaller dose, whose errors are those of error bars."""
    esds = one.esds * np.sqrt(dose / less)
    rng = np.random.default_rng(crc32(one.name.encode()))
    values = one.values + rng.normal(0, np.sqrt(esds**2 - one.esds**2))
    bright = values > 0
    kept = bright[one.found]
    number = np.cumsum(bright) - 1
    return replace(
        one,
        name=f"{one.name}_at_{less:g}",
        positions=one.positions[bright],
        covariances=one.covariances[bright],
        values=values[bright],
        esds=esds[bright],
        found=number[one.found[kept]],
        known=one.known[kept],
    )


def libraries(folder: Path) -> dict[str, np.ndarray]:
    """Cross-sections of columns by themselves, measured in two ways."""
    file = np.load(folder / "library.npz")
    images, pixel, middle = file["images"], float(file["pixel"]), float(file["middle"])
    axis = pixel * np.arange(images.shape[-1]) - middle
    far = np.hypot(axis[:, None], axis)
    near = far < 2.2

    def fitted(image: np.ndarray) -> float:
        def design(width: float) -> np.ndarray:
            shape = np.exp(-0.5 * (far[near] / width) ** 2) / (2 * np.pi * width**2)
            return np.column_stack([shape, np.ones_like(shape)])

        def solved(width: float) -> np.ndarray:
            return np.asarray(np.linalg.lstsq(design(width), image[near], rcond=None)[0])

        def left(width: np.ndarray) -> np.ndarray:
            return np.asarray(design(width[0]) @ solved(width[0]) - image[near])

        return float(solved(least_squares(left, [0.5]).x[0])[0])

    return {
        "integrals": images.sum(axis=(1, 2)) * pixel**2,
        "fits": np.array([fitted(image) for image in images]),
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else np.nan


def places(cases: Sequence[Case], library: np.ndarray) -> list[str]:
    """Columns found, errors of places and cross-sections."""
    surface = np.concatenate([one.surface[one.known] for one in cases])
    errors = 100 * np.concatenate([one.errors for one in cases])
    bars = 100 * np.concatenate(
        [np.sqrt(np.einsum("nii->ni", one.covariances[one.found])) for one in cases]
    )
    z = errors / bars
    true = sum(len(one.truth.counts) for one in cases)
    outer = sum(int(one.surface.sum()) for one in cases)
    values = np.concatenate([one.values[one.found] for one in cases])
    wanted = library[np.concatenate([one.counts for one in cases]) - 1]
    thin = np.concatenate([one.counts for one in cases]) <= 4
    false = sum(len(one.positions) - len(one.found) for one in cases)
    return [
        f"{len(errors)} of {true} ({surface.sum()} of {outer})",
        str(false),
        f"{_rms(errors[~surface]):.1f}, {_rms(z[~surface]):.2f}",
        f"{_rms(errors[surface]):.1f}, {_rms(z[surface]):.2f}",
        *(f"{100 * (values[which].sum() / wanted[which].sum() - 1):+.1f}" for which in (thin, ~thin)),
        " / ".join(sorted({one.said for one in cases})),
    ]


def _counts_file(one: Case, library: np.ndarray | None, off: float, folder: Path) -> Path:
    told = "none" if library is None else f"{library.sum():.4g}_{off:g}"
    return folder / "found" / f"counts_{one.name}_{told}.npz"


def _counted(one: Case, library: np.ndarray | None, off: float, folder: Path) -> dict[str, np.ndarray]:
    """Of one image and library, or of none: what is said of columns that are there, and of their sum."""
    file = _counts_file(one, library, off, folder)
    if not file.exists():
        given, n = None if library is None else Library(library * (1 + off)), one.counts
        counts = count_atoms(one.values, one.esds, library=given, positions=one.positions)
        sets = {"68": counts.sets_68, "95": counts.sets_95}
        inside = {
            f"inside_{k}": (v.low[one.found] <= n) & (n <= v.high[one.found]) for k, v in sets.items()
        }
        np.savez(
            file,
            right=counts.most_likely[one.found] == n,
            sure=counts.probability[one.found],
            # Of what is false there is nothing in the truth.
            z=[(counts.total - n.sum()) / max(counts.total_esd, 0.5)],
            error=[100 * counts.total_esd / n.sum()],
            scale=[counts.scale * (1 + off)],
            noted=[len(counts.notes) > 0],
            **inside,
            **{f"held_{k}": v.held[one.found] for k, v in sets.items()},
        )
    return dict(np.load(file))


def counted(
    cases: Sequence[Case],
    library: np.ndarray | None,
    folder: Path,
    offs: Sequence[float] = OFF,
    kept: bool = False,
) -> list[str]:
    """Counts of all images, with a library that is off by so much, each in turn, or without."""
    asked = [(one, off) for one in cases for off in (offs if library is not None else (0.0,))]
    every = [
        _counted(one, library, off, folder)
        for one, off in asked
        if not kept or _counts_file(one, library, off, folder).exists()
    ]
    if not every:
        return ["-"] * 11
    of = {name: np.concatenate([one[name] for one in every]) for name in every[0]}
    sets = [
        f"{100 * of['held_' + k].mean():.1f}, {100 * of['inside_' + k].mean():.1f}" for k in ("68", "95")
    ]
    return [
        str(len(every)),
        f"{100 * of['right'].mean():.1f}",
        f"{100 * of['sure'].mean():.1f}",
        f"{100 * calibration_error(of['sure'], of['right']):.1f}",
        *sets,
        f"{_rms(of['z']):.2f}",
        f"{np.sum(np.abs(of['z']) < 1.96)} of {len(of['z'])}",
        f"{np.median(of['error']):.1f}",
        f"{of['scale'].mean():.3f}" if library is not None else "-",
        f"{of['noted'].sum()} of {len(of['noted'])}",
    ]


def published(cases: Sequence[Case]) -> list[str]:
    """The rule without a library (`mixtures`): as it is, and told how many levels and where they begin."""
    plain, told = [], []
    for one in cases:
        n = one.counts
        plain.append(icl_counts(one.values)[one.found] == n)
        counts = icl_counts(one.values, len(np.unique(n)))[one.found]
        told.append(counts + int(np.median(n - counts)) == n)
    return [f"{100 * np.concatenate(each).mean():.1f}" for each in (plain, told)]


def strain(cases: Sequence[Case]) -> list[str]:
    """Of columns against what the same is of the true places; from the lattice of the inner ones."""
    rows: dict[str, list[np.ndarray]] = {"outer": [], "inner": [], "z": [], "true": [], "found": []}
    for one in cases:
        domains = find_domains(one.positions, one.covariances)
        if not domains.lattices:
            continue
        moved = one.positions.copy()
        moved[one.found] = one.truth.positions[one.known]
        said = measure_plane_strain(one.positions, one.covariances, domains, "bulk")
        true = measure_plane_strain(moved, one.covariances, domains, "bulk")
        off, surface = (said.tensors - true.tensors)[one.found], one.surface[one.known]
        good = np.isfinite(off).all(axis=1) & np.isfinite(said.errors[one.found]).all(axis=1)
        outer = surface & good
        rows["outer"].append(100 * off[outer])
        rows["inner"].append(100 * off[good & ~surface])
        rows["z"].append((off / said.errors[one.found])[outer])
        for name, of in (("true", true), ("found", said)):
            rows[name].append(100 * of.tensors[one.found][outer, :2].mean(axis=1))
    joined = {name: np.concatenate(values) for name, values in rows.items() if values}
    if not joined:
        return ["no lattice"] * 6
    dense = joined["found"] - joined["true"]
    return [
        str(len(joined["outer"])),
        f"{joined['true'].mean():+.2f}",
        f"{joined['found'].mean():+.2f} ± {dense.std() / np.sqrt(len(dense)):.2f}",
        f"{_rms(joined['outer']):.2f}",
        f"{_rms(joined['z']):.2f}",
        f"{_rms(joined['inner']):.2f}",
    ]


def tables(folder: Path, images: Sequence[str], doses: Sequence[float], kept: bool) -> Iterator[str]:
    known = libraries(folder)
    every = {
        dose: [
            case(folder, name, dose) for name in images if not kept or _file(folder, name, dose).exists()
        ]
        for dose in doses
    }

    def by_kind(measure: Callable[[Sequence[Case]], list[str]]) -> list[list[str]]:
        rows = []
        for dose, cases in every.items():
            for kind in ("perfect", "relaxed"):
                of = [one for one in cases if one.name.startswith(kind)]
                rows += [[f"{dose:g}", f"{len(of)} {kind}", *measure(of)]] if of else []
        return rows

    header = ["dose, e/Å²", "particles", "found (surface)", "false", "inside: RMSD, pm, and z", "surface"]
    header += ["cross-sections of 1-4 atoms, %", "of 5 and more, %", "verdict"]
    yield "## Places and cross-sections"
    yield markdown(header, by_kind(lambda cases: places(cases, known["integrals"])))
    between = {less: [noisier(one, 1e4, less) for one in every.get(1e4, [])] for less in BETWEEN}
    both = every | between
    measured = {dose: both[dose] for dose in sorted(both) if both[dose] and dose <= 1e4}
    header = [
        "dose, e/Å²",
        "images by errors",
        "exact, %",
        "its probability, %",
        "ECE",
        "68 % sets: held, true",
    ]
    header += ["95 % sets", "total: z", "within 1.96 σ", "σ, %", "scale", "doubt is told"]
    for name, library in known.items():
        offs = OFF if name == "integrals" else (0.0,)
        yield f"## Counts with a library of {name}, off by {', '.join(f'{100 * off:g}' for off in offs)} %"
        lines = [
            [f"{dose:g}", *counted(cases, library, folder, offs, kept)] for dose, cases in measured.items()
        ]
        yield markdown(header, lines)
    yield "## Counts without a library"
    lines = [
        [f"{dose:g}", *counted(cases, None, folder, kept=kept), *published(cases)]
        for dose, cases in measured.items()
    ]
    yield markdown([*header, "ICL: exact, %", "told how many, and shifted"], lines)
    yield "## Strain"
    header = ["dose, e/Å²", "particles", "surface columns", "true mean in the plane, %", "found, %"]
    header += ["RMS error of a component at the surface, %", "z", "inside, %"]
    yield markdown(header, by_kind(strain))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the images")
    parser.add_argument("--images", nargs="+", default=list(IMAGES))
    parser.add_argument("--doses", type=float, nargs="+", default=list(DOSES))
    parser.add_argument("--kept", action="store_true", help="only images that were fitted before")
    given = parser.parse_args()
    text = list(tables(given.data, given.images, given.doses, given.kept))
    if tuple(given.images) == IMAGES and tuple(given.doses) == DOSES:
        command = "python -m experiments.columns.multislice --data DIR" + (" --kept" if given.kept else "")
        record(HERE / "multislice.md", command, *text)
    else:
        print("\n\n".join(text))


if __name__ == "__main__":
    main()
