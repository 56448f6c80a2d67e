"""Simulated images of columns: the truth is what a slow drawing gives, noise is that of the dose."""

import csv
import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.spatial import cKDTree
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.io.image_stacks import read_images
from atomfit.io.tiff import read_tiff
from atomfit.simulation import SimulatedImage, simulate_image
from atomfit.simulation.image_files import write_image_simulation
from atomfit.support.errors import InputError

#: A particle without noise on a flat support.
FLAT = {"support_slope": 0.0, "support_roughness": 0.0, "dose": 0.0}
SMALL = FLAT | {"shape": "octahedron", "size": 4, "pixel_size": 0.2, "width": 0.5}


def drawn(image: SimulatedImage, frame: int) -> np.ndarray:
    """Every column at every pixel, of a probe that is off on each line and a specimen that drifts."""
    options, columns = image.options, image.columns
    (rows, across), pixel = image.grid.shape, options.pixel_size
    vx, vy = options.scan_drift
    height = rows * pixel
    stretch = 1 / (1 - vy / height)
    # Back to where columns are at time zero, from where the first frame shows them.
    seen = columns.positions - image.grid.origin
    y0 = seen[:, 1] / stretch
    x0 = seen[:, 0] - vx * seen[:, 1] / height
    found = np.zeros((rows, across))
    for row in range(rows):
        time = frame + row / rows
        for x, y, weight, width in zip(x0, y0, columns.cross_sections, columns.widths, strict=True):
            dx = np.arange(across) * pixel + image.offsets[frame, row] * pixel - x - vx * time
            dy = row * pixel - y - vy * time
            found[row] += (
                weight / stretch / (2 * np.pi * width**2) * np.exp(-(dx**2 + dy**2) / (2 * width**2))
            )
    return found


@pytest.mark.parametrize(
    "scan",
    [
        {},
        {"row_jitter": 0.7},
        {"scan_drift": (1.5, -0.8), "frames": 2, "row_jitter": 0.3},
        {"contrast": "dark", "scan_drift": (0.0, 2.0)},
        {"second": "Co", "order": "L1_2", "width": (0.5, 0.4), "zone": "001", "file_origin": (7.0, -3.0)},
    ],
    ids=["plain", "lines", "movie", "dark", "alloy"],
)
def test_the_truth_is_what_the_image_shows(scan: dict[str, object]) -> None:
    image = simulate_image(**(SMALL | scan))
    for frame, expected in enumerate(image.expected):
        slow = drawn(image, frame)
        np.testing.assert_allclose(expected - image.options.level, slow, atol=1e-5 * np.abs(slow).max())
    np.testing.assert_array_equal(image.frames, image.expected.astype(np.float32))


def test_a_column_is_where_the_truth_says_in_the_file_and_its_integral_is_the_cross_section(
    tmp_path: Path,
) -> None:
    image = simulate_image(**FLAT, size=1, image_size=41, pixel_size=0.25, file_origin=(3.0, -5.0), seed=4)
    write_image_simulation(image, tmp_path / "one")
    with mrcfile.open(tmp_path / "one/image.mrc") as file:
        values, pixel = np.array(file.data, np.float64), float(file.voxel_size.x)
        origin = np.array([file.header.origin.x, file.header.origin.y], np.float64)
    with open(tmp_path / "one/truth_columns.csv", newline="") as table:
        (row,) = csv.DictReader(table)
    above = values - 0.02
    y, x = np.indices(values.shape)
    # The centre of the first pixel is the file's origin; x goes along the fast axis.
    centre = [np.sum(above * index) / np.sum(above) * pixel for index in (x, y)] + origin
    np.testing.assert_allclose([float(row["x"]), float(row["y"])], centre, atol=1e-4)
    assert abs(float(row["x"]) - 3.0 - 20 * 0.25) <= 0.13
    assert above.sum() * pixel**2 == pytest.approx(float(row["cross_section"]), rel=1e-4)
    assert float(row["cross_section"]) == pytest.approx(0.025)
    assert float(row["width"]) == 0.48
    assert (row["id"], row["element"], row["count"]) == ("1", "Pt", "1")


@pytest.mark.parametrize("units", ["beam", "electrons"])
def test_noise_is_that_of_the_dose(units: str) -> None:
    """Variances of frames, pixel by pixel, beside the mean number of electrons."""
    options = {"size": 100, "dose": 3000.0, "frames": 200, "pixel_size": 0.3, "read_noise": 2.0}
    image = simulate_image(**options, image_units=units)
    electrons = 3000.0 * 0.09
    counts = image.frames.astype(np.float64) * (1.0 if units == "electrons" else electrons)
    mean = electrons * image.expected[0]
    # 200 frames of 10^4 pixels: their mean is known to 1/sqrt(2e6), the mean variance twice as badly.
    assert np.mean(counts - mean) == pytest.approx(
        0, abs=5 * np.sqrt(mean.mean() + 4) / np.sqrt(counts.size)
    )
    ratio = counts.var(axis=0, ddof=1) / (mean + 4)
    assert ratio.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / counts.size))
    bright = mean > 0.5 * mean.max()
    assert ratio[bright].mean() == pytest.approx(1, abs=5 * np.sqrt(2 / 199 / bright.sum()))


def test_columns_hold_all_atoms_and_fade() -> None:
    image = simulate_image(**FLAT, shape="octahedron", size=8, fading=20.0)
    counts = image.columns.counts
    assert counts.sum() == 8 * (2 * 8**2 + 1) // 3
    law = 0.025 * (1 - np.exp(-counts / 20)) / (1 - np.exp(-1 / 20))
    np.testing.assert_allclose(image.columns.cross_sections, law, rtol=1e-9)
    whole = (image.expected[0] - 0.02).sum() * 0.125**2
    assert whole == pytest.approx(image.columns.cross_sections.sum(), rel=1e-4)
    # Nearest columns of [110] are sqrt(3)/2 of an fcc cell's half face diagonal apart.
    x = image.columns.positions
    np.testing.assert_allclose(
        np.median(cKDTree(x).query(x, k=2)[0][:, 1]), 3.92 * 3**0.5 / 2**1.5, atol=0.06
    )


def test_cross_sections_may_be_those_of_a_library() -> None:
    law = np.array([0.02, 0.05, 0.06, 0.1])
    image = simulate_image(**SMALL, law=law)
    np.testing.assert_array_equal(image.columns.cross_sections, law[image.columns.counts - 1])
    with pytest.raises(InputError, match="has 4 atoms"):
        simulate_image(**SMALL, law=law[:2])
    with pytest.raises(InputError, match="an alloy"):
        simulate_image(**SMALL, law=law, second="Co", order="L1_0")


def test_the_same_specimen_at_another_dose() -> None:
    one, two = (simulate_image(size=80, seed=3, dose=dose, row_jitter=0.2) for dose in (100.0, 1e4))
    np.testing.assert_array_equal(one.columns.positions, two.columns.positions)
    np.testing.assert_array_equal(one.expected, two.expected)
    np.testing.assert_array_equal(one.frames, simulate_image(one.options).frames)
    assert not np.array_equal(one.columns.positions, simulate_image(size=80, seed=4).columns.positions)


def test_silicon_has_dumbbells() -> None:
    image = simulate_image(
        **FLAT, element="Si", crystal=60.0, jitter=0.0, width=0.3, image_size=160, turn=0.0
    )
    x = image.columns.positions
    away = cKDTree(x).query(x, k=2)[0][:, 1]
    inner = np.all(np.abs(x - image.grid.centre) < 0.5 * image.grid.extent - 1.5, axis=1)
    np.testing.assert_allclose(away[inner], 5.43 / 4, atol=0.01)
    # Two columns for each a x a/sqrt(2) of half a cell, and two atoms for each a/sqrt(2) of depth.
    assert len(x) / np.prod(image.grid.extent) == pytest.approx(4 * 2**0.5 / 5.43**2, rel=0.08)
    assert np.median(image.columns.counts) == pytest.approx(60 / (5.43 / 2**0.5), abs=1)


def test_several_particles_and_single_atoms_keep_apart() -> None:
    image = simulate_image(**FLAT, particles=4, size=150, single_atoms=15, seed=6)
    assert image.columns.counts.sum() == 4 * 150 + 15
    x = image.columns.positions
    lone = cKDTree(x).query(x, k=2)[0][:, 1] > 2.9
    assert np.sum(lone & (image.columns.counts == 1)) >= 15
    assert len(simulate_image(**FLAT, particles=0, single_atoms=7).columns) == 7


def test_order_is_as_asked_for() -> None:
    shape = {"element": "Pt", "second": "Co", "size": 1200, "jitter": 0.0, "turn": 0.0}
    pure = simulate_image(**FLAT, **shape, order="L1_0")
    assert set(pure.columns.elements) == {"Pt", "Co"}
    of_pt = pure.columns.counts[pure.columns.elements == "Pt"].sum()
    assert of_pt == pytest.approx(600, abs=40)
    # Layers of each lie at distances of a/2, along y of this frame; beyond the boundary they change places.
    bounded = simulate_image(**FLAT, **shape, order="L1_0", antiphase=True)
    np.testing.assert_allclose(bounded.columns.positions, pure.columns.positions)
    changed = np.mean(bounded.columns.elements != pure.columns.elements)
    assert 0.4 < changed < 0.6
    mixed = simulate_image(**FLAT, **shape, order="L1_0", order_parameter=0.0)
    assert len(set(mixed.columns.elements)) > 10
    # L1_2: along the cube's edge corners are columns of their own, along its face's diagonal every second
    # column has both elements in turn.
    edge = simulate_image(**FLAT, **shape, order="L1_2", zone="001").columns
    assert np.mean(edge.elements == "Co") == pytest.approx(0.25, abs=0.02)
    assert set(edge.elements) == {"Pt", "Co"}
    diagonal = simulate_image(**FLAT, **shape, order="L1_2", zone="110").columns
    long = diagonal.elements[diagonal.counts > 2]
    assert np.mean(long == "Pt") == pytest.approx(0.5, abs=0.05)
    assert "Co" not in long
    lighter = pure.columns.cross_sections / pure.columns.counts
    means = [lighter[pure.columns.elements == name].mean() for name in ("Co", "Pt")]
    assert means[0] / means[1] == pytest.approx((27 / 78) ** 1.7, rel=0.05)


def test_files_of_a_movie(tmp_path: Path) -> None:
    out = tmp_path / "movie"
    words = [
        "simulate",
        "-o",
        str(out),
        "--image",
        "--size",
        "60",
        "--frames",
        "3",
        "--scan-drift",
        "0.5,-0.2",
    ]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    assert "3 frames" in told.output
    names = {"image.mrc", "truth_columns.csv", "truth_frames.csv", "simulation.json"}
    assert {path.name for path in out.iterdir()} == names
    stack = read_images(out / "image.mrc")
    assert stack.pixel == pytest.approx(0.125)
    record = json.loads((out / "simulation.json").read_text())
    again = simulate_image(**(record["options"] | {"scan_drift": (0.5, -0.2)}))
    np.testing.assert_array_equal(stack.images, again.frames)
    with open(out / "truth_frames.csv", newline="") as table:
        shifts = [[float(row["shift_x"]), float(row["shift_y"])] for row in csv.DictReader(table)]
    np.testing.assert_allclose(shifts, again.shifts, atol=1e-6)
    np.testing.assert_allclose(shifts[2], [2 * 0.5, -2 * 0.2], rtol=0.02)


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_other_formats(tmp_path: Path, kind: str) -> None:
    image = simulate_image(size=30, image_format=kind, frames=2)
    path = write_image_simulation(image, tmp_path / "out") / f"image.{kind}"
    if kind == "npy":
        np.testing.assert_array_equal(np.load(path), image.frames)
    else:
        found = read_tiff(path)
        np.testing.assert_array_equal(found.images, image.frames)
        assert found.pixel == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--dose", "100"], "--dose: this is of an image, and none is simulated; add --image"),
        (["--image", "--tilts", "9"], "--tilts: an image of columns has no tilts"),
        (["--image", "--wedge", "30"], "--wedge: this is not of an image"),
        (["--image", "--zone", "11"], "no zone axis"),
        (["--image", "--zone", "000"], "no zone axis"),
        (["--image", "--second", "Co"], "give --order L1_0, or leave out --second"),
        (["--image", "--order", "L1_0"], "L1_0 has two elements"),
        (["--image", "--order", "B3"], "none of its values"),
        (
            ["--image", "--second", "Co", "--order", "L1_0", "--shape", "icosahedron", "--size", "3"],
            "no L1_0",
        ),
        (["--image", "--crystal", "50", "--particles", "2"], "a crystal fills the field"),
        (["--image", "--element", "Zz"], "unknown element"),
        (["--image", "--element", "Mg", "--crystal", "50"], "no cubic crystal of Mg is known"),
        (["--image", "--image-size", "40"], "do not fit"),
        (["--image", "--contrast", "dark", "--support", "0.02"], "darker than the support is bright"),
        (["--image", "--dose", "0", "--read-noise", "1"], "without a dose there is no noise"),
        (["--image", "--dose", "-1"], "no dose"),
        (["--image", "--scan-drift", "1"], "no drift; give X,Y"),
        (["--image", "--scan-drift", "0,60"], "too fast"),
        (["--image", "--image-size", "20000", "--frames", "100"], "cannot be made"),
        (["--image", "--single-atoms", "5000", "--image-size", "300"], "single atoms do not fit in"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], expected: str, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["simulate", "-o", str(tmp_path / "out"), *words])
    assert told.exit_code == 2, told.output
    assert expected in " ".join(told.stderr.split()), told.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_python_misspells() -> None:
    with pytest.raises(TypeError, match="did you mean 'zone'"):
        simulate_image(zones="110")
    with pytest.raises(InputError, match="no order parameter"):
        simulate_image(order_parameter=2.0)
