"""Specimens in, noise-free multislice HAADF images out, kept as one .npz each in a folder.

`python -m experiments.columns.multislice_images --data DIR` needs abtem and ase (`pip install abtem ase`)
and nothing of atomfit; what is in the folder already is left. `--check` compares with abtem's frozen
phonons.

A wave that converges to 21 mrad at 300 kV goes through slices of two layers of atoms. An atom's wave is
averaged over its thermal motion (Einstein's model). What it scatters by that motion onto the detector is
taken slice by slice as a local potential (Allen, Findlay, Oxley and Rossouw, Ultramicroscopy 96, 47, 2003);
to it the part of the leaving wave is added that lies on the detector, as far as it is sampled (82 mrad).
A few frozen phonons would do worse: with one of them the integral of a column of eight atoms scatters by
10 % and its centroid by 4 pm, so that hundreds are needed before columns scatter no more than real
ones. What is lost is that electrons that motion has scattered are scattered again. Potentials are
abtem's (Lobato and Van Dyck), and so is the phase that a heavy atom gives, which is not small.

The scan's step is 0.3 Å, as the source, a Gaussian of 0.4 Å, leaves nothing beyond its Nyquist frequency;
pixels of 0.15 Å follow in Fourier space. Atoms lie on no grid: their potentials are placed by phases.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import j0

#: Wavelength at 300 kV (Å), product of it and the relativistic mass, aperture (mrad), detector (mrad).
WAVELENGTH, MASS, APERTURE, DETECTOR = 0.0196875, 1.58708, 21.0, (45.0, 150.0)
#: Thermal displacement along an axis (Å), source (standard deviation, Å), pixels of scan and image (Å).
THERMAL, SOURCE, STEP, PIXEL = 0.075, 0.4, 0.3, 0.15
#: Lattice constant, and distance of layers along the beam (Å).
CONSTANT = 3.92
LAYER = CONSTANT / 8**0.5
#: Room around a particle; scan ends so far from the last column (Å).
MARGIN, REACH = 6.0, 4.5


@dataclass(frozen=True)
class Sampling:
    """Of waves: pixels (Å), pixels of a window, and slices (Å)."""

    pixel: float = 0.08
    window: int = 160
    slice: float = 2 * LAYER


SAMPLING = Sampling()
#: Atoms of a library's longest column.
LIBRARY = 18
#: Those in view when anything was chosen, and those that are reported.
VIEW = (("perfect", 1), ("relaxed", 2))
REPORT = (("perfect", 101), ("perfect", 102), ("relaxed", 103), ("relaxed", 104))
#: And those of which pairs of images are compared (`experiments.changes.multislice`).
PAIRS = tuple(("relaxed" if seed % 2 else "perfect", seed) for seed in range(201, 241))


@dataclass(frozen=True, eq=False)
class Specimen:
    """Atoms x, y, z along the beam (Å) from the middle, elements' symbols, and the column of each."""

    atoms: np.ndarray
    symbols: np.ndarray
    column: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return np.bincount(self.column)

    @property
    def positions(self) -> np.ndarray:
        """Of the columns: means of their atoms."""
        return (
            np.stack([np.bincount(self.column, self.atoms[:, k]) for k in (0, 1)], 1) / self.counts[:, None]
        )


def particle(kind: str, seed: int) -> Specimen:
    """Platinum along [110], a cuboctahedron or so with lost surface atoms, in any turn and place."""
    rng = np.random.default_rng([seed, 7])
    reach = np.arange(-14, 15)
    sites = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = 0.5 * sites[sites.sum(axis=1) % 2 == 0] + rng.uniform(-0.5, 0.5, 3)
    away = np.abs(sites * rng.uniform(0.9, 1.1, 3))
    size, cut = rng.uniform(3.7, 4.3), rng.uniform(1.5, 1.8)
    inside = (away.max(axis=1) <= size) & (away.sum(axis=1) <= cut * size)
    outer = (away.max(axis=1) > size - 0.5) | (away.sum(axis=1) > cut * size - 0.6)
    inside &= ~(outer & (rng.random(len(sites)) < 0.2))
    sites = CONSTANT * sites[inside]
    sites = sites[_held(sites)]
    frame = np.array([[1, -1, 0], [0, 0, 2**0.5], [1, 1, 0]]) / 2**0.5
    seen = sites @ frame.T
    _, column = np.unique(np.round(seen[:, :2], 2), axis=0, return_inverse=True)
    if kind == "relaxed":
        seen = relaxed(seen)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    seen -= seen.mean(axis=0)
    seen[:, :2] = seen[:, :2] @ turn.T + rng.uniform(-PIXEL, PIXEL, 2)
    return Specimen(seen, np.full(len(seen), "Pt"), column.reshape(-1))


def _held(sites: np.ndarray) -> np.ndarray:
    """Atoms with at least five neighbours."""
    from scipy.spatial import cKDTree

    return np.array([len(near) > 5 for near in cKDTree(sites).query_ball_point(sites, 0.75 * CONSTANT)])


def relaxed(atoms: np.ndarray) -> np.ndarray:
    """At the least energy of ase's effective-medium potential."""
    from ase import Atoms
    from ase.calculators.emt import EMT
    from ase.optimize import LBFGS

    body = Atoms(f"Pt{len(atoms)}", positions=atoms, calculator=EMT())
    LBFGS(body, logfile=None).run(fmax=0.02, steps=200)
    return np.asarray(body.positions)


def column_of(atoms: int) -> Specimen:
    """A column by itself, entered at its end, where the focus is."""
    z = 2 * LAYER * np.arange(atoms)
    where = np.column_stack([np.zeros((atoms, 2)), z])
    return Specimen(where, np.full(atoms, "Pt"), np.zeros(atoms, int))


def amplitude(symbol: str, s: np.ndarray) -> np.ndarray:
    """What an atom at rest scatters at spatial frequencies (1/Å): transform of (exp(iφ) - 1) / i, Å²."""
    from abtem.parametrizations import LobatoParametrization

    r = np.geomspace(1e-4, 12.0, 8000)
    # φ is the projected potential (V Å) by the constant of interaction: λγ over 47.878 V Å².
    phase = LobatoParametrization().projected_potential(symbol)(r) * WAVELENGTH * MASS / 47.878
    weights = 2 * np.pi * np.gradient(np.log(r)) * r**2 * np.expm1(1j * phase) / 1j
    return np.stack([np.sum(weights * j0(2 * np.pi * one * r)) for one in s])


def mean_phase(symbol: str, s: np.ndarray) -> np.ndarray:
    """Transform of χ, exp(iχ) being the average of exp(iφ) over thermal motion; losses are imaginary."""
    fine = np.linspace(0, 14.0, 1200)
    r = np.concatenate([np.linspace(0, 2, 400)[:-1], np.geomspace(2, 12, 100)])
    damped = amplitude(symbol, fine) * np.exp(-2 * np.pi**2 * THERMAL**2 * fine**2) * fine
    wave = 2 * np.pi * np.trapezoid(damped * j0(2 * np.pi * r[:, None] * fine), fine, axis=1)
    chi = -1j * np.log1p(1j * wave)
    return np.asarray(2 * np.pi * np.trapezoid(chi * r * j0(2 * np.pi * s[:, None] * r), r, axis=1))


def thermal_kernel(symbol: str, q: np.ndarray, low: float, high: float) -> np.ndarray:
    """Transform of what an atom scatters by thermal motion between two angles (mrad), by |ψ|²; Å²."""
    s, weights = np.polynomial.legendre.leggauss(160)
    low, high = low / 1e3 / WAVELENGTH, high / 1e3 / WAVELENGTH
    s = 0.5 * (high - low) * (s + 1) + low
    weights = weights * 0.5 * (high - low) * s
    phi = np.pi * (np.arange(48) + 0.5) / 48
    table = np.linspace(0, high + q.max(), 2000)
    values = amplitude(symbol, table)
    out = np.empty(len(q))
    for k, one in enumerate(q):
        cross = s[:, None] * one * np.cos(phi)
        both = [np.maximum(s[:, None] ** 2 + one**2 / 4 + sign * cross, 0) for sign in (1, -1)]
        f, g = (np.interp(np.sqrt(squares), table, values) for squares in both)
        damped = np.exp(-2 * np.pi**2 * THERMAL**2 * (both[0] + both[1]))
        together = np.exp(-2 * np.pi**2 * THERMAL**2 * one**2) - damped
        out[k] = 2 * np.pi * np.sum(weights[:, None] * (f * np.conj(g)).real * together) / len(phi)
    return out


class Slices:
    """Phase, loss and yield of slices of a specimen, on a periodic field."""

    def __init__(self, specimen: Specimen, field: float, sampling: Sampling) -> None:
        """`field`: edge of what is scanned (Å), about the specimen's middle."""
        n = int(np.ceil(field / sampling.pixel)) + sampling.window
        self.sampling, self.n, self.half = sampling, n + n % 2, (n + n % 2) // 2
        k = np.fft.fftfreq(self.n, sampling.pixel)
        kk = np.hypot(k[:, None], k)
        kept = kk < 2 / 3 * 0.5 / sampling.pixel
        z = specimen.atoms[:, 2]
        self.start = z.min() - 0.5 * LAYER
        which = np.floor((z - self.start) / sampling.slice + 1e-6).astype(int)
        q = np.linspace(0, kk.max() + 0.1, 160)
        kernels = {}
        for symbol in np.unique(specimen.symbols):
            made = mean_phase(symbol, q), thermal_kernel(symbol, q, *DETECTOR)
            kernels[symbol] = [np.interp(kk, q, one) for one in made]
        self.waves, self.yields, self.atoms = [], [], []
        for number in range(which.max() + 1):
            sums = [0.0, 0.0]
            for symbol, both in kernels.items():
                at = specimen.atoms[(which == number) & (specimen.symbols == symbol), :2]
                where = at + self.half * sampling.pixel
                phases = [np.exp(-2j * np.pi * k[:, None] * where[:, axis]) for axis in (1, 0)]
                structure = phases[0] @ phases[1].T
                sums = [one + structure * kernel for one, kernel in zip(sums, both, strict=True)]
            phase, out = (np.fft.ifft2(one) / sampling.pixel**2 for one in sums)
            wave = np.fft.ifft2(np.fft.fft2(np.exp(1j * phase)) * kept)
            self.waves.append(wave.astype(np.complex64))
            self.yields.append(out.real.astype(np.float32))
            self.atoms.append(specimen.atoms[which == number, :2])

    def scan(self, places: np.ndarray, each: bool = False) -> np.ndarray:
        """Part of the beam on the detector with probes at places (Å); after each slice, if asked."""
        import pyfftw

        sampling = self.sampling
        w, pixel = sampling.window, sampling.pixel
        k = np.fft.fftfreq(w, pixel)
        kk = np.hypot(k[:, None], k)
        kept = kk < 2 / 3 * 0.5 / pixel
        angle = 1e3 * WAVELENGTH * kk
        on = ((angle >= DETECTOR[0]) & (angle < DETECTOR[1]) & kept).astype(np.float32)
        aperture = np.clip((APERTURE - angle) / (1e3 * WAVELENGTH * k[1]) + 0.5, 0, 1)
        aperture = aperture / np.sqrt(np.sum(aperture**2))
        speed = -1j * np.pi * WAVELENGTH * kk**2
        step = [(np.exp(speed * sampling.slice * m) * kept).astype(np.complex64) for m in range(40)]
        begin = aperture * np.exp(speed * (self.start + 0.5 * sampling.slice))
        batch = 16
        buffer = pyfftw.empty_aligned((batch, w, w), "complex64")
        forward = pyfftw.FFTW(buffer, buffer, axes=(1, 2), threads=1)
        back = pyfftw.FFTW(buffer, buffer, axes=(1, 2), direction="FFTW_BACKWARD", threads=1)
        result = np.zeros((len(places), len(self.waves)) if each else len(places))
        for first in range(0, len(places), batch):
            at = places[first : first + batch]
            origin = np.rint(at / pixel).astype(int) - w // 2
            rest = at - origin * pixel
            shift = [np.exp(-2j * np.pi * k * rest[:, axis, None]) for axis in (0, 1)]
            # In Fourier space the sum of |ψ|² is 1; so is that in the window after a unitary transform.
            buffer[: len(at)] = begin * shift[1][:, :, None] * shift[0][:, None, :]
            buffer[len(at) :] = 0
            corner = origin + self.half
            low, high = (at.min(axis=0) - w * pixel / 2), (at.max(axis=0) + w * pixel / 2)
            pending, thermal = 0, np.zeros(batch)
            for number, (wave, out) in enumerate(zip(self.waves, self.yields, strict=True)):
                if np.any(np.all((self.atoms[number] > low) & (self.atoms[number] < high), axis=1)):
                    if pending:
                        buffer[:] *= step[pending]
                    back()
                    # The transform back has divided by w²: the sum of |ψ|² is 1 / w².
                    for i, (x, y) in enumerate(corner):
                        psi = buffer[i]
                        dense = psi.real**2 + psi.imag**2
                        thermal[i] += w**2 * np.vdot(dense, out[y : y + w, x : x + w])
                        psi *= wave[y : y + w, x : x + w]
                    forward()
                    pending = 0
                pending += 1
                if each:
                    result[first : first + batch, number] = self._detected(buffer, on, thermal)[: len(at)]
            if not each:
                result[first : first + batch] = self._detected(buffer, on, thermal)[: len(at)]
        return result

    @staticmethod
    def _detected(buffer: np.ndarray, on: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        dense = buffer.real**2 + buffer.imag**2
        return np.einsum("nyx,yx->n", dense, on) + thermal


def edge_of(specimen: Specimen) -> float:
    """Edge of the image of a particle: a whole number of steps (Å)."""
    reach = np.abs(specimen.positions).max() + MARGIN
    return float(2 * np.ceil(reach / STEP) * STEP)


def image(specimen: Specimen, edge: float, sampling: Sampling = SAMPLING, each: bool = False) -> np.ndarray:
    """Part of the beam on the detector, blurred by the source, in pixels of `PIXEL`; rows are y."""
    from scipy.spatial import cKDTree

    n = round(edge / STEP)
    axis = STEP * (np.arange(n) - n // 2)
    places = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    near = np.flatnonzero(cKDTree(specimen.positions).query(places)[0] < REACH)
    # Neighbouring probes together, so that they skip the same empty slices.
    near = near[np.lexsort((places[near, 0] // 1.2, places[near, 1] // 1.2))]
    slices = Slices(specimen, edge, sampling)
    found = slices.scan(places[near], each)
    values = np.zeros((len(places), *found.shape[1:]))
    values[near] = found
    return _finer(np.moveaxis(values.reshape(n, n, -1), 2, 0)).squeeze()


def _finer(scans: np.ndarray) -> np.ndarray:
    """Blurred by the source, and on the image's pixels; the first is where the first of the scan is."""
    n, times = scans.shape[-1], round(STEP / PIXEL)
    k = np.fft.fftfreq(n, STEP)
    blur = np.exp(-2 * np.pi**2 * SOURCE**2 * (k[:, None] ** 2 + k**2))
    small = np.fft.fftshift(np.fft.fft2(scans) * blur, axes=(1, 2))
    before = (times - 1) * n // 2
    wide = np.pad(small, ((0, 0), (before, (times - 1) * n - before), (before, (times - 1) * n - before)))
    return np.fft.ifft2(np.fft.ifftshift(wide, axes=(1, 2))).real * times**2


def origin_of(edge: float) -> float:
    """x and y of the first pixel's centre beside the specimen's middle (Å)."""
    return -STEP * (round(edge / STEP) // 2)


def make(folder: Path, kind: str, seed: int) -> None:
    """Make an image unless it is there."""
    file = folder / f"{kind}_{seed}.npz"
    if not file.exists():
        one = particle(kind, seed)
        edge = edge_of(one)
        values = image(one, edge)
        truth = one.positions - origin_of(edge)
        np.savez(file, image=values, pixel=PIXEL, positions=truth, counts=one.counts, atoms=one.atoms)
        print(
            file.name,
            len(truth),
            "columns of",
            one.counts.min(),
            "to",
            one.counts.max(),
            "atoms",
            flush=True,
        )


def make_library(folder: Path) -> None:
    """Images of columns by themselves, of 1, 2, 3, ... atoms."""
    file = folder / "library.npz"
    if not file.exists():
        edge = 24.0
        values = image(column_of(LIBRARY), edge, each=True)
        np.savez(file, images=values, pixel=PIXEL, middle=-origin_of(edge))
        print(file.name, np.round(values.sum(axis=(1, 2)) * PIXEL**2, 4), flush=True)


def check(configurations: int = 32) -> None:
    """Columns by themselves beside abtem's frozen phonons: integrals, from probes at eight distances."""
    import abtem
    from ase import Atoms

    abtem.config.set({"local_diagnostics.progress_bar": False, "scheduler": "single-threaded"})
    cell, reach = 12.8, 2.4
    r, weights = np.polynomial.legendre.leggauss(8)
    r = 0.5 * reach * (r + 1)
    weights = weights * 2 * np.pi * r * 0.5 * reach
    turn = 2.4 * np.arange(len(r))
    places = r[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    for atoms in (1, 4, 8):
        one = column_of(atoms)
        ours = Slices(one, 8.0, SAMPLING).scan(places)
        body = Atoms(
            f"Pt{atoms}",
            positions=one.atoms + [cell / 2, cell / 2, LAYER],
            cell=[cell, cell, 2 * LAYER * atoms],
        )
        phonons = abtem.FrozenPhonons(body, num_configs=configurations, sigmas=THERMAL, seed=1)
        potential = abtem.Potential(phonons, gpts=304, slice_thickness=2 * LAYER)
        detector = abtem.AnnularDetector(*DETECTOR)
        theirs = abtem.Probe(energy=300e3, semiangle_cutoff=APERTURE).scan(
            potential, scan=abtem.CustomScan(places + cell / 2), detectors=detector, lazy=False
        )
        sums = weights @ ours, weights @ theirs.array
        off = 100 * (sums[0] / sums[1] - 1)
        print(f"{atoms} atoms: {sums[0]:.4f} Å², abtem {sums[1]:.4f} Å², {off:+.1f} %")
        print("  at", np.round(r, 2), "Å, %:", np.round(100 * (ours / theirs.array - 1), 1), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the images")
    parser.add_argument("--check", action="store_true", help="only compare columns with abtem's")
    parser.add_argument(
        "--view", action="store_true", help="those that were in view, not those that are reported"
    )
    parser.add_argument("--pairs", action="store_true", help="those of pairs (20 s each)")
    given = parser.parse_args()
    try:
        import abtem  # noqa: F401
        import ase  # noqa: F401
    except ImportError as error:
        raise SystemExit(f"{error.name} is not there: pip install abtem ase") from None
    if given.check:
        return check()
    if given.data is None:
        parser.error("give the folder of the images with --data")
    given.data.mkdir(parents=True, exist_ok=True)
    make_library(given.data)
    for kind, seed in VIEW if given.view else PAIRS if given.pairs else REPORT:
        make(given.data, kind, seed)


if __name__ == "__main__":
    main()
