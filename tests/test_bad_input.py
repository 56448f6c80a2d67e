"""Whatever people hand over: one sentence, exit code 2, nothing left behind."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.io.mrc import write_map
from atomfit.options.build import BuildOptions
from atomfit.simulation import Simulation, simulate
from atomfit.structure.grid import DensityMap
from atomfit.workflows.preparation import prepare

Maker = Callable[[Path, bytearray], None]


def _int(raw: bytearray, word: int, value: int) -> None:
    raw[4 * (word - 1) : 4 * word] = (value & 0xFFFFFFFF).to_bytes(4, "little")


def _float(raw: bytearray, word: int, value: float) -> None:
    raw[4 * (word - 1) : 4 * word] = np.float32(value).tobytes()


def _words(**values: float) -> Maker:
    """Replace words of the header (MRC2014 numbering), given as w7=... ; floats as floats."""

    def make(path: Path, raw: bytearray) -> None:
        for name, value in values.items():
            (_float if isinstance(value, float) else _int)(raw, int(name[1:]), value)  # type: ignore[arg-type]
        path.write_bytes(raw)

    return make


def _bytes(change: Callable[[bytes], bytes]) -> Maker:
    return lambda path, raw: path.write_bytes(change(bytes(raw))) and None


def _values(change: Callable[[np.ndarray], None]) -> Maker:
    def make(path: Path, raw: bytearray) -> None:
        values = np.frombuffer(raw, "<f4", offset=1024).copy()
        change(values)
        path.write_bytes(raw[:1024] + values.tobytes())

    return make


def _set(index: int | slice, value: float) -> Callable[[np.ndarray], None]:
    return lambda values: values.__setitem__(index, value)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(3000)
NAN, INFINITY = float("nan"), float("inf")

BAD_FILES: dict[str, tuple[Maker, str]] = {
    "missing": (lambda path, raw: None, "no such file"),
    "directory": (lambda path, raw: path.mkdir(), "directory"),
    "empty": (_bytes(lambda raw: b""), "empty"),
    "1023 bytes": (_bytes(lambda raw: raw[:1023]), "1023 bytes"),
    "one byte": (_bytes(lambda raw: raw[:1]), "not an MRC"),
    "header only": (_bytes(lambda raw: raw[:1024]), "promises"),
    "truncated": (_bytes(lambda raw: raw[:-1000]), "promises"),
    "truncated gzip": (_bytes(lambda raw: gzip.compress(raw)[:-2000]), "gzip"),
    "gzip cut in its header": (_bytes(lambda raw: gzip.compress(raw)[:30]), "gzip"),
    "gzip of half a map": (_bytes(lambda raw: gzip.compress(raw[: len(raw) // 2])), "promises"),
    "damaged gzip": (_bytes(lambda raw: gzip.compress(raw)[:500] + bytes(5000)), "gzip"),
    "text": (_bytes(lambda raw: b"HEADER this is a text file\n" * 100), "text file"),
    "short text": (_bytes(lambda raw: b"hello\n"), "text file"),
    "png": (_bytes(lambda raw: PNG), "PNG"),
    "zip": (_bytes(lambda raw: b"PK\x03\x04" + bytes(3000)), "ZIP"),
    "zeros": (_bytes(lambda raw: bytes(5000)), "NX"),
    "random bytes": (_bytes(lambda raw: np.random.default_rng(0).bytes(9000)), ";"),
    "negative dimension": (_words(w1=-5), "NX"),
    "zero dimension": (_words(w3=0), "NZ"),
    "absurd dimensions": (_words(w1=2**30, w2=2**30, w3=2**30), "NX"),
    "dimensions of terabytes": (_words(w1=60000, w2=60000, w3=60000), "promises"),
    "unknown mode": (_words(w4=99), "MODE 99"),
    "negative mode": (_words(w4=-1), "MODE"),
    "complex mode": (_words(w4=4), "Fourier"),
    "negative extended header": (_words(w24=-80), "NSYMBT"),
    "extended header beyond the file": (_words(w24=10**9), "promises"),
    "cell of zero": (_words(w11=0.0), "CELLA"),
    "cell of nan": (_words(w12=NAN), "CELLA"),
    "negative cell": (_words(w13=-10.0), "CELLA"),
    "infinite cell": (_words(w13=INFINITY), "CELLA"),
    "no intervals": (_words(w8=0), "MX"),
    "oblique cell": (_words(w14=60.0), "60"),
    "cell angle of nan": (_words(w15=NAN), "angles"),
    "axes 1 1 1": (_words(w17=1, w18=1, w19=1), "MAPC"),
    "axes 0 0 0": (_words(w17=0, w18=0, w19=0), "MAPC"),
    "origin of nan": (_words(w50=NAN), "ORIGIN"),
    "volume stack": (_words(w23=401), "stack of volumes"),
    "image stack": (_words(w23=0, w10=1), "stack of"),
    "2D image": (_words(w3=1), "2D image"),
    "voxels of nanometres": (_words(w11=0.4, w12=0.4, w13=0.4), "voxel"),
    "voxels too large": (_words(w11=400.0, w12=400.0, w13=400.0), "resolve"),
    "all nan": (_values(_set(slice(None), NAN)), "NaN"),
    "one nan": (_values(_set(777, NAN)), "1 of"),
    "one infinity": (_values(_set(778, INFINITY)), "infinite"),
    "all zero": (_values(_set(slice(None), 0.0)), "zero"),
    "constant": (_values(_set(slice(None), 3.5)), "3.5"),
    "a single huge value": (_values(_set(40_000, 1e30)), "one voxel"),
    "a hot voxel": (_values(_set(40_000, 1e4)), "one voxel"),
}


@pytest.fixture(scope="module")
def tiny() -> Simulation:
    return simulate(shape="icosahedron", size=2, noise=0.02, box=48)


@pytest.fixture(scope="module")
def tiny_bytes(tiny: Simulation, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tiny") / "map.mrc"
    write_map(path, tiny.map)
    return path.read_bytes()


def refused(arguments: list[str]) -> str:
    """Run the command; it must refuse in one sentence."""
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 2, outcome.output
    sentence = outcome.stderr.strip()
    assert sentence.startswith("atomfit: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "; " in sentence, "no remedy"
    assert "Traceback" not in outcome.output
    return sentence


@pytest.mark.parametrize("command", ["build", "check"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(case: str, command: str, tiny_bytes: bytes, tmp_path: Path) -> None:
    make, expected = BAD_FILES[case]
    path = tmp_path / "strange näme.mrc"
    make(path, bytearray(tiny_bytes))
    before = sorted(tmp_path.iterdir())
    arguments = [command, str(path), "--element", "Pt"]
    if command == "build":
        arguments += ["--out", str(tmp_path / "out")]
    sentence = refused(arguments)
    assert expected in sentence
    assert str(path) in sentence
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--element", "Zz"], "unknown element"),
        (["--element", "Pt", "--element", "pt"], "given twice"),
        (["--element", "Pt", "--mask-diameter", "100"], "does not fit"),
        (["--element", "Pt", "--mask-diameter", "-3"], "no diameter"),
        (["--element", "Pt", "--mask-diameter", "2"], "a mask of 2 Å holds no whole atom"),
        (["--element", "Pt", "--voxel-size", "0"], "no voxel size"),
        (["--element", "Pt", "--voxel-size", "nan"], "no voxel size"),
        (["--element", "Pt", "--voxel-size", "1,2"], "no voxel size; give one edge, or three"),
        (["--element", "Pt", "--voxel-size", "5"], "resolve"),
        (["--element", "Pt", "--min-correlation", "many"], "no validation correlation"),
        (["--element", "Pt", "--min-cn", "-1"], "no coordination number"),
        (["--element", "Pt", "--cn-cutoff", "-1"], "no distance"),
        (["--element", "Pt", "--neighbour-distance", "0"], "no distance between atoms"),
        (["--element", "Pt", "--max-iterations", "0"], "no number of iterations"),
        (["--element", "Pt", "--freeze", "everything"], "no part"),
        (["--element", "Pt", "--freeze", "resolution"], "add --scattering form-factor"),
        (
            ["-e", "Pt", "--scattering", "form-factor", "--u-mean", "0.01", "--freeze", "resolution"],
            "which is to be kept at zero",
        ),
        (["--element", "Pt", "--prior", "empirical", "--freeze", "displacements"], "drawn to nothing"),
        (["--element", "Pt", "--likelihood", "robust", "--noise", "residual"], "knows of itself how"),
        (["--element", "Pt", "--likelihood", "poisson", "--noise", "white"], "knows of itself how"),
        (["--element", "Pt", "--gain", "2"], "only counts"),
        (["--element", "Pt", "--held-out", "0"], "no part of the map in per cent"),
        (["--element", "Pt", "--held-out", "60"], "no part of the map in per cent"),
        (["--element", "Pt", "--held-out", "5", "--fit", "log"], "log-fits know nothing of this"),
        (["--element", "Pt", "--likelihood", "poisson", "--gain", "nan"], "no gain"),
        (["--element", "Pt", "--likelihood", "poisson", "--gain", "0"], "no gain"),
        (["--element", "Pt", "--likelihood", "robust", "--tilts", "x.tlt"], "weighs voxels"),
        (["--element", "Pt", "--likelihood", "poisson", "--half-maps", "a", "b"], "weighs voxels"),
        (["--element", "Pt", "--noise", "white", "--half-maps", "a", "b"], "both white and measured"),
        (["--element", "Pt", "--half-maps", "nowhere.mrc", "b.mrc"], "no such file"),
        (["--element", "Pt", "--tilts", "nowhere.tlt"], "no such file"),
    ],
)
def test_bad_options(options: list[str], expected: str, tiny_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(tiny_bytes)
    sentence = refused(["build", str(path), "--out", str(tmp_path / "out"), *options])
    assert expected in sentence
    assert list(tmp_path.iterdir()) == [path]


HALVES: dict[str, tuple[Callable[[DensityMap], DensityMap], str]] = {
    "another shape": (lambda m: DensityMap.from_array(m.values[1:], tuple(m.grid.spacing)), "its shape"),
    "another voxel size": (lambda m: DensityMap.from_array(m.values, 0.4), "its voxel size is 0.4"),
    "another origin": (
        lambda m: DensityMap.from_array(m.values, tuple(m.grid.spacing), (5.0, 0.0, 0.0)),
        "its origin is 5, 0, 0",
    ),
    "not a number": (lambda m: m.with_values(m.values * np.float32("nan")), "NaN"),
    "empty": (lambda m: m.with_values(0 * m.values), "all voxels are zero"),
    "the same": (lambda m: m, "the same map"),
}


@pytest.mark.parametrize("case", HALVES)
def test_bad_half_maps(case: str, tiny: Simulation, tmp_path: Path) -> None:
    change, expected = HALVES[case]
    maps = {"map.mrc": tiny.map, "a.mrc": tiny.map, "b.mrc": change(tiny.map)}
    for name, density in maps.items():
        write_map(tmp_path / name, density)
    paths = [str(tmp_path / name) for name in maps]
    out = ["--out", str(tmp_path / "out")]
    sentence = refused(["build", paths[0], "-e", "Pt", "--half-maps", *paths[1:], *out])
    assert expected in sentence
    assert "b.mrc" in sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(maps)


def _blobs(shape: tuple[int, ...]) -> np.ndarray:
    """Bright places of an atom's size, anywhere."""
    smooth = gaussian_filter(np.random.default_rng(5).standard_normal(shape), 1.4)
    return (smooth / smooth.max()).astype(np.float32)


@pytest.mark.parametrize(
    ("command", "change", "said"),
    [
        ("build", lambda values: np.roll(values, 4, 0), "the half-maps lie 1.4"),
        ("check", lambda values: np.roll(values, 4, 0), "the half-maps lie 1.4"),
        ("check", lambda values: _blobs(values.shape), "second half-map can hardly be of this map"),
    ],
)
def test_half_maps_of_another_place_are_refused(
    command: str, change: Callable[[np.ndarray], np.ndarray], said: str, tiny: Simulation, tmp_path: Path
) -> None:
    noise = 0.02 * np.random.default_rng(1).normal(size=tiny.map.grid.shape).astype(np.float32)
    maps = {
        "map": tiny.map.values,
        "a": tiny.map.values + noise,
        "b": change(tiny.map.values) - noise,
    }
    paths = [tmp_path / f"{name}.mrc" for name in maps]
    for path, values in zip(paths, maps.values(), strict=True):
        write_map(path, tiny.map.with_values(values))
    given = [command, str(paths[0]), "-e", "Pt", "--half-maps", *map(str, paths[1:])]
    out = ["--out", str(tmp_path / "out")] if command == "build" else []
    assert said in refused([*given, *out])


@pytest.mark.parametrize("change", ["scaled", "scaled and filtered", "masked"])
def test_half_maps_of_a_map_that_was_changed_are_taken(
    change: str, tiny: Simulation, tmp_path: Path
) -> None:
    """Noise is that of the map as it is given."""
    rng, shape = np.random.default_rng(1), tiny.map.grid.shape
    clean = gaussian_filter(tiny.map.values, 1)
    halves = [clean + 0.1 * clean.max() * rng.normal(size=shape) for _ in range(2)]
    for name, values in zip("ab", halves, strict=True):
        np.save(tmp_path / f"{name}.npy", values)
    mean = 0.5 * (halves[0] + halves[1])
    values = np.where(np.indices(shape)[0] < 40, mean, 0) if change == "masked" else 10 * mean
    if change == "scaled and filtered":
        values = gaussian_filter(values, 0.5)
    options = BuildOptions(half_maps=(tmp_path / "a.npy", tmp_path / "b.npy"))
    ready = prepare(tiny.map.with_values(values.astype(np.float32)), "Pt", options)
    assert ready.half_maps is not None
    found = np.std(ready.half_maps[0].values) / np.std(halves[0])
    assert found == pytest.approx(1 if change == "masked" else 10, rel=0.15)
    assert any("times the mean" in warning for warning in ready.warnings) == (change == "scaled")
    assert any("not the mean" in warning for warning in ready.warnings) == ("filtered" in change)


def test_values_below_zero_are_no_counts(tiny: Simulation, tmp_path: Path) -> None:
    write_map(tmp_path / "map.mrc", tiny.map.with_values(tiny.map.values - 0.5))
    arguments = ["build", str(tmp_path / "map.mrc"), "-e", "Pt", "--likelihood", "poisson"]
    assert "below zero" in refused([*arguments, "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    "arguments",
    [
        ["build"],
        ["build", "x.mrc"],
        ["build", "x.mrc", "-e", "Pt", "--fit", "magic"],
        ["simulate", "-o", "x", "--shape", "cube"],
        ["frobnicate"],
    ],
)
def test_bad_usage_ends_with_two_as_well(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "{lacking}.mrc", "-e", "Pt"],
        ["tilt", "{lacking}.mrc", "--views", "a.tlt", "-e", "Pt"],
        ["compare", "{lacking}.mrc", "b.mrc", "-e", "Pt"],
        ["columns", "{lacking}.mrc", "-e", "Pt"],
        ["columns", "{image}", "--pixel-size", "0.2", "--start", "{lacking}.csv"],
    ],
)
def test_a_file_that_is_not_there_is_named(arguments: list[str], tmp_path: Path) -> None:
    image, lacking = tmp_path / "image.npy", str(tmp_path / "lacking")
    np.save(image, np.random.default_rng(0).normal(size=(32, 32)))
    given = [word.format(lacking=lacking, image=image) for word in arguments]
    sentence = refused([*given, "--out", str(tmp_path / "out")]).lower()
    assert "lacking" in sentence
    assert "no such file" in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["image.npy"]


def test_dark_atoms_are_refused_with_the_remedy(tiny: Simulation, tmp_path: Path) -> None:
    path = tmp_path / "dark.mrc"
    write_map(path, tiny.map.with_values(5 - tiny.map.values))
    for command in ("build", "check"):
        out = ["--out", str(tmp_path / "out")] if command == "build" else []
        assert "--invert" in refused([command, str(path), "-e", "Pt", *out])


def test_output_that_exists_needs_overwrite(tiny_bytes: bytes, tmp_path: Path) -> None:
    path, out = tmp_path / "map.mrc", tmp_path / "out"
    path.write_bytes(tiny_bytes)
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    assert "--overwrite" in refused(["build", str(path), "-e", "Pt", "--out", str(out)])
    assert sorted(p.name for p in out.iterdir()) == ["precious.txt"]
    file = tmp_path / "file"
    file.write_text("mine")
    assert "not a directory" in refused(["build", str(path), "-e", "Pt", "--out", str(file)])


@pytest.mark.parametrize("out", ["file/below", "/dev/null/out", "/proc/out"])
def test_unwritable_output(out: str, tiny_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(tiny_bytes)
    (tmp_path / "file").write_text("mine")
    sentence = refused(["build", str(path), "-e", "Pt", "--out", str(tmp_path / out)])
    assert "cannot be written" in sentence


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--element", "Zz"], "unknown element"),
        (["--size", "0"], "no number of atoms"),
        (["--box", "10"], "does not fit"),
        (["--box", "a"], "no number of voxels"),
        (["--voxel-size", "1e-3"], "with voxels of 0.001 Å the particle needs a box of"),
        (["--drift", "1"], "--drift: this is of a tilt series, and none is simulated; add --tilts N"),
        (["--counts", "100"], "or leave out --counts"),
        (["--tilts", "9", "--voltage", "200"], "with --probe direct the probe is part of the atom"),
        (["--rotate", "upside down"], "no orientation"),
        (["--doi", "2"], "no degree of isotropy"),
        (["--noise", "-1"], "no noise"),
        (["--voxel-size", "-1"], "no voxel size"),
        (["--shift", "1"], "no shift; give X,Y,Z"),
    ],
)
def test_bad_simulations(options: list[str], expected: str, tmp_path: Path) -> None:
    assert expected in refused(["simulate", "--out", str(tmp_path / "out"), *options])
    assert list(tmp_path.iterdir()) == []


def _npy(shape: tuple[int, ...]) -> bytes:
    """The head of an array that is not there."""
    import io

    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return head.getvalue()


def test_a_table_is_no_stack_of_images(tmp_path: Path) -> None:
    path = tmp_path / "images.csv"
    path.write_text("u,v,value\n" + "1,2,3.5\n" * 50)
    out = str(tmp_path / "out")
    sentence = refused(["tilt", str(path), "--views", "v.tlt", "-e", "Pt", "--out", out])
    assert "this is a text file, not a stack of images; give one as MRC, TIFF (.tif), .npy" in sentence
    assert "not an MRC map" in refused(["check", str(path)])


def test_half_maps_that_are_arrays_are_on_the_maps_grid(tiny: Simulation, tmp_path: Path) -> None:
    grid = replace(tiny.map.grid, origin=np.array([5.0, 6.0, 7.0]))
    write_map(tmp_path / "map.mrc", DensityMap(tiny.map.values, grid))
    noise = 0.02 * np.random.default_rng(1).normal(size=grid.shape).astype(np.float32)
    np.save(tmp_path / "a.npy", tiny.map.values + noise)
    np.save(tmp_path / "b.npy", tiny.map.values - noise)
    np.save(tmp_path / "c.npy", tiny.map.values[1:])
    arguments = ["check", str(tmp_path / "map.mrc"), "-e", "Pt", "--half-maps"]
    told = CliRunner().invoke(app, [*arguments, str(tmp_path / "a.npy"), str(tmp_path / "b.npy")])
    assert told.exit_code == 0, told.output
    assert "half-maps" in told.output
    bad = [str(tmp_path / "a.npy"), str(tmp_path / "c.npy")]
    assert "but the map's is 48, 48, 48" in refused([*arguments, *bad])


@pytest.mark.parametrize("command", ["build", "check", "tilt"])
def test_what_no_memory_holds_is_refused_by_its_header(
    command: str, tiny_bytes: bytes, tmp_path: Path
) -> None:
    """100 GB that take no room on disk, and are not read: as MRC, gzipped and as an array."""
    edge = 2950
    header = bytearray(tiny_bytes[:1024])
    for word in (1, 2, 3, 8, 9, 10):
        _int(header, word, edge)
    for word in (11, 12, 13):
        _float(header, word, edge * 0.358)
    (tmp_path / "map.mrc").write_bytes(header)
    (tmp_path / "map.mrc.gz").write_bytes(gzip.compress(bytes(header) + bytes(10_000)))
    head = _npy((edge, edge, edge))
    (tmp_path / "map.npy").write_bytes(head)
    for name, size in (("map.mrc", 1024), ("map.npy", len(head))):
        with open(tmp_path / name, "r+b") as file:
            file.truncate(size + 4 * edge**3)
    for name in ("map.mrc", "map.mrc.gz", "map.npy"):
        arguments = [command, str(tmp_path / name), "-e", "Pt"]
        if command == "tilt":
            arguments += ["--views", "none.tlt", "--pixel-size", "0.3", "--out", str(tmp_path / "out")]
        else:
            arguments += ["--voxel-size", "0.3"]
        sentence = refused([*arguments, *(["--out", str(tmp_path / "out")] if command == "build" else [])])
        assert "GB of memory, and there are" in sentence
        assert name in sentence


def test_an_array_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lie.npy"
    path.write_bytes(_npy((20_000, 20_000, 20_000)) + bytes(1000))
    assert "promises 32000000000000" in refused(["check", str(path), "--voxel-size", "0.3"])
