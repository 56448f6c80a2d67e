"""What `heights` makes of an image, top to bottom: what is read, and whose heights are told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from atomfit.column_heights import FoundGain, Heights, ImagingAdvice, ImagingSetup, network_heights
from atomfit.io.images import image_of
from atomfit.networks import ImageSeen
from atomfit.options.heights import HeightsOptions
from atomfit.results.heights import HeightsResult, HeightsSeries
from atomfit.simulation.hrtem import SimulatedHrtem
from atomfit.structure.grid import DensityMap, Grid
from atomfit.support.errors import InputError
from atomfit.verdict.of_heights import judge_heights
from atomfit.workflows.heights import heights
from atomfit.workflows.heights_looking import Looking
from atomfit.workflows.heights_reading import without_unmeasured

CERIA: dict[str, Any] = {"crystal": "CeO2", "zone": "1,1,0"}


@pytest.fixture
def modelled(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A likelihood that believes the network, and the gains that it was told."""
    gains = []

    def decided(
        self: Looking, counts: np.ndarray, pixel: float, gain: FoundGain, seen: ImageSeen, progress: Any
    ) -> Heights:
        gains.append(gain.value)
        progress("asked")
        found = network_heights(seen, gain.value)
        return replace(found, expected=np.full(counts.shape, counts.mean()), misfit=3.0)

    monkeypatch.setattr(Looking, "_decided", decided)
    return gains


def test_the_likelihood_has_the_last_word_if_it_is_asked(
    specimen: SimulatedHrtem, result: HeightsResult, modelled: list[float]
) -> None:
    said: list[str] = []
    counts = np.array(specimen.frames[0])
    found = heights(counts, **CERIA, pixel_size=0.2, progress=said.append)
    assert isinstance(found, HeightsResult)
    assert (found.by, modelled, said[-1]) == ("likelihood", [1.0], "asked")
    assert "misfit" in found.verdict.codes
    assert found.verdict.bad
    assert not any("network alone" in words for words in found.warnings)
    alone = heights(counts, **CERIA, pixel_size=0.2, network_only=True)
    assert len(modelled) == 1
    np.testing.assert_array_equal(alone.probabilities, result.probabilities)
    both = heights(np.asarray(specimen.frames), **CERIA, pixel_size=0.2)
    assert (both.typical.by, len(modelled)) == ("likelihood", 3)


def test_an_origin_moves_no_column_and_bad_pixels_hardly(
    specimen: SimulatedHrtem, result: HeightsResult
) -> None:
    counts = np.array(specimen.frames[0], np.float32)
    grid = Grid(counts.shape, np.full(2, 0.2), np.array([7.0, -3.0]))
    moved = heights(DensityMap(counts, grid), **CERIA, network_only=True)
    np.testing.assert_allclose(moved.positions, result.positions, atol=1e-5)
    spoiled = counts.copy()
    spoiled[40, 40], spoiled[20, 60] = 30 * counts.max(), np.nan
    found = heights(spoiled, **CERIA, pixel_size=0.2, network_only=True)
    assert found.source.left_out == {"hot": 1}
    assert abs(found.atoms[0] - result.atoms[0]) < 0.05 * result.atoms[0]
    assert found.found.dose == pytest.approx(result.found.dose, rel=0.01)


def test_columns_of_which_no_pixel_was_measured_are_left_out(
    specimen: SimulatedHrtem, result: HeightsResult
) -> None:
    counts = np.array(specimen.frames[0], np.float32)
    size = 0.2 * np.array(counts.shape[::-1])
    middle = np.argmin(np.linalg.norm(result.positions - size / 2, axis=1))
    y, x = 0.2 * np.mgrid[: counts.shape[0], : counts.shape[1]]
    hole = np.hypot(x - result.positions[middle, 0], y - result.positions[middle, 1]) < 1.3
    found = heights(np.where(hole, np.nan, counts), **CERIA, pixel_size=0.2, network_only=True)
    away = np.linalg.norm(found.positions - result.positions[middle], axis=1)
    assert away.min() > 1.0
    # The others are told as before.
    apart = np.linalg.norm(result.positions[:, None] - found.positions, axis=2).min(axis=1)
    assert np.sum(apart > 0.5) <= 2
    # What a model tells of such a place is left out, and said.
    spoiled = DensityMap(counts, Grid(counts.shape, np.full(2, 0.2), np.zeros(2)), ~hole)
    kept, told = without_unmeasured(result.found, spoiled)
    assert len(kept) == len(result) - 1
    assert told == [f"1 of {len(result)} columns are left out: their pixels are no numbers"]
    few = ~(np.arange(counts.size).reshape(counts.shape) % 97 == 0)
    whole, told = without_unmeasured(result.found, DensityMap(counts, spoiled.grid, few))
    assert (len(whole), told) == (len(result), [])


@pytest.mark.parametrize("zone", ["110", "1,1,0", (1, 1, 0), [1, 1, 0]])
def test_a_zone_axis_is_written_in_any_way(zone: Any) -> None:
    assert HeightsOptions(crystal="CeO2", zone=zone).axis == (1, 1, 0)


def test_frames_are_chosen(specimen: SimulatedHrtem, result: HeightsResult, tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.asarray(specimen.frames, np.float32))
    first = heights(path, **CERIA, pixel_size=0.2, frame=0, network_only=True)
    np.testing.assert_allclose(first.probabilities, result.probabilities, atol=1e-5)
    mean = heights(path, **CERIA, pixel_size=0.2, frame="mean", network_only=True)
    assert mean.gain.value == pytest.approx(0.5, rel=0.2)
    assert mean.found.dose == pytest.approx(2 * first.found.dose, rel=0.2)
    with pytest.raises(InputError, match="does not say how large a pixel is"):
        heights(path, **CERIA)


def test_a_frame_that_cannot_be_used_is_left_out_and_named(
    specimen: SimulatedHrtem, result: HeightsResult, tmp_path: Path
) -> None:
    first, nothing = (
        np.array(specimen.frames[0], np.float32),
        np.zeros(specimen.frames[0].shape, np.float32),
    )
    alone = {**CERIA, "pixel_size": 0.2, "gain": 1.0, "network_only": True}
    found = heights(np.stack([nothing, np.full_like(first, np.nan), first, first]), **alone)
    assert isinstance(found, HeightsSeries)
    assert found.followed.numbers.tolist() == [2, 3]
    told = [words for words in found.warnings if "left out" in words]
    assert [words[:7] for words in told] == ["frame 0", "frame 1"]
    assert "all pixels are 0" in told[0]
    np.testing.assert_allclose(found.typical.counts, result.counts, rtol=1e-4)
    np.testing.assert_allclose(found.followed.atoms[0], result.atoms, rtol=1e-3)
    out = found.write(tmp_path / "out")
    for name in ("frames.csv", "heights.csv"):
        assert np.unique(np.genfromtxt(out / name, delimiter=",", names=True)["frame"]).tolist() == [2, 3]
    with pytest.raises(InputError, match="frame 0: the image's mean is 0"):
        heights(np.stack([nothing, nothing]), **alone)


def test_the_gain_of_a_stack_is_that_of_frames_that_tell_one(specimen: SimulatedHrtem) -> None:
    nothing = np.zeros((12, *specimen.frames[0].shape), np.float32)
    nothing[7] = specimen.frames[0]
    found = heights(nothing, **CERIA, pixel_size=0.2, network_only=True)
    assert found.followed.numbers.tolist() == [7]
    assert found.typical.gain.how == "whole"


def test_a_frame_of_noise_alone_is_told(specimen: SimulatedHrtem) -> None:
    frame = np.array(specimen.frames[0])
    noise = np.random.default_rng(0).poisson(frame.mean(), frame.shape)
    found = heights(np.stack([frame, frame, noise]), **CERIA, pixel_size=0.2, gain=1.0, network_only=True)
    assert [words[:13] for words in found.warnings if "most show" in words] == ["frame 2 shows"]


def test_other_shapes_are_no_image(specimen: SimulatedHrtem) -> None:
    with pytest.raises(InputError, match="no image"):
        heights(np.ones((2, 2, 64, 64)), **CERIA, pixel_size=0.2)
    read = image_of(np.array(specimen.frames[0]), 0.2)
    assert isinstance(heights(read, **CERIA, network_only=True), HeightsResult)


def test_a_frame_without_a_lattice_is_left_out(
    specimen: SimulatedHrtem, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.array(specimen.frames)
    alone: list[int] = []

    def decided(self: Looking, counts: np.ndarray, *known: Any) -> Heights:
        if alone:
            raise InputError("the columns that are seen have no lattice", "check --crystal")
        alone.append(1)
        return network_heights(known[2], 1.0)

    monkeypatch.setattr(Looking, "_decided", decided)
    found = heights(frames, **CERIA, pixel_size=0.2)
    assert found.followed.numbers.tolist() == [0]
    assert "frame 1 is left out: the columns that are seen have no lattice" in found.warnings
    # One frame without columns has heights of the network, and so the series has.
    alone.clear()
    frames[1] = np.random.default_rng(0).poisson(frames.mean(), frames[1].shape)
    both = heights(frames, **CERIA, pixel_size=0.2)
    assert both.typical.by == "network"
    assert any("too few columns for a lattice" in words for words in both.warnings)


def test_advice_is_what_an_ideal_observer_says(
    specimen: SimulatedHrtem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def advised(
        name: str, zone: tuple[int, int, int], doses: tuple[float, ...], setup: ImagingSetup, seed: int
    ) -> ImagingAdvice:
        asked.append((name, zone, doses[0], setup, seed))
        return ImagingAdvice(
            np.array(doses), np.array([-8.0, 0.0]), np.array([[0.9, 0.5]]), np.full((1, 2), 0.01), setup
        )

    monkeypatch.setattr("atomfit.workflows.heights_looking.imaging_advice", advised)
    counts = np.array(specimen.frames[0])
    found = heights(
        counts, **CERIA, pixel_size=0.2, network_only=True, advise=True, c3=-5.0, focal_spread=4.0, seed=3
    )
    assert isinstance(found, HeightsResult)
    (name, zone, dose, setup, seed), *others = asked
    assert (name, zone, seed, others) == ("CeO2", (1, 1, 0), 3, [])
    assert dose == found.found.dose
    assert (setup.c3, setup.c5, setup.focal_spread, setup.pixel, setup.voltage) == (-5, 5, 4, 0.2, 300)
    out = found.write(tmp_path / "out")
    read = np.genfromtxt(out / "imaging.csv", delimiter=",", names=True)
    assert read["defocus"].tolist() == [-8, 0]
    assert found.advice is not None
    assert "a defocus of -8 nm tells most" in found.advice.told
    even = np.tile(np.where(np.arange(11) > 0, 0.1, 0.0), (len(found), 1))
    vague = replace(found.found, probabilities=even)
    verdict = judge_heights(vague, False, found.zone_columns, "Ce", found.gain, 0.9, (-8.0, 0.9))
    assert (
        "-8 nm does at this dose, where 90% of the heights can be told exactly"
        in {one.code: one.remedy for one in verdict.findings}["vague-heights"]
    )


def test_what_is_known_of_the_microscope_is_told_to_the_likelihood(
    specimen: SimulatedHrtem, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}

    def decided(*known: Any, progress: Any) -> Heights:
        told["seed"], told["optics"] = known[-2:]
        progress(1, 1e5)
        progress(2, 1e5 - 30)
        return network_heights(known[6], known[2])

    said: list[str] = []
    monkeypatch.setattr("atomfit.workflows.heights_looking.likelihood_heights", decided)
    more = {"c3": -3.0, "c5": 1.0, "focal_spread": 2.0, "seed": 4}
    heights(np.array(specimen.frames[0]), **CERIA, pixel_size=0.2, progress=said.append, **more)
    assert told == {"seed": 4, "optics": {"c3": -3.0, "c5": 1.0, "focal_spread": 2.0}}
    assert "round 2 done, e^30 times as likely as the first" in said[-1]


def test_conditions_are_no_matter_of_a_network_alone() -> None:
    with pytest.raises(InputError, match=r"--c3: a network knows no such condition"):
        HeightsOptions(**CERIA, network_only=True, c3=-20.0)
    assert HeightsOptions(**CERIA, network_only=True, advise=True, c3=-20.0).c3 == -20


def test_a_frame_of_something_else_is_told(specimen: SimulatedHrtem) -> None:
    frame = np.array(specimen.frames[0])
    alone = {**CERIA, "pixel_size": 0.2, "gain": 1.0, "network_only": True}
    found = heights(np.stack([frame, frame, np.roll(frame, 8, axis=1)]), **alone)
    assert any(words.startswith("frame 2 has") for words in found.warnings)
    same = heights(np.stack([frame, frame]), **alone)
    assert not any("where others have none" in words for words in same.warnings)


def test_the_total_of_a_stack_is_one_of_a_frame(specimen: SimulatedHrtem, tmp_path: Path) -> None:
    frames = np.array(specimen.frames)
    found = heights(frames, **CERIA, pixel_size=0.2, network_only=True)
    told = json.loads((found.write(tmp_path / "out") / "summary.json").read_text())
    assert told["atoms"]["mean"] == pytest.approx(found.followed.atoms[:, 0].mean())
    assert told["frames"]["atoms_least"] <= told["atoms"]["mean"] <= told["frames"]["atoms_most"]


def test_an_interrupted_search_says_so(
    specimen: SimulatedHrtem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        Looking, "_decided", lambda self, *known: replace(network_heights(known[3], 1.0), interrupted=True)
    )
    found = heights(np.array(specimen.frames[0]), **CERIA, pixel_size=0.2)
    assert any(words.startswith("interrupted: ") for words in found.warnings)
    assert (
        json.loads((found.write(tmp_path / "out") / "summary.json").read_text())["ended"] == "interrupted"
    )


def test_a_mean_leaves_blank_frames_out(specimen: SimulatedHrtem) -> None:
    first = np.array(specimen.frames[0], np.float32)
    holed = np.array(specimen.frames[1], np.float32)
    holed[:4] = np.nan
    stack = np.stack([first, np.zeros_like(first), np.full_like(first, np.nan), holed])
    found = image_of(stack, 0.2, "mean")
    assert "frame: the mean of 2; 2 that are blank are left out" in found.notes
    np.testing.assert_allclose(found.image.values[:4], first[:4])
    np.testing.assert_allclose(found.image.values[4:], (first[4:] + holed[4:]) / 2)
