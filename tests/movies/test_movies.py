"""Movies: read, laid, fitted and followed, with planted truth; and what is no movie."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read as read_ase
from scipy.spatial import cKDTree

import atomfit
from atomfit.detection.frame_alignment import LEAST_SCORE, align_frames
from atomfit.detection.frame_sums import FrameSum, added, canvas_for, places_on
from atomfit.io.image_stacks import write_images
from atomfit.io.movies import movie_of, read_movie
from atomfit.options.movie import MovieOptions as Chosen
from atomfit.report.movie_tables import COLUMN_COLUMNS, FRAME_COLUMNS
from atomfit.simulation.movies import MovieOptions, simulate_movie
from atomfit.structure.grid import Grid
from atomfit.support.errors import InputError
from atomfit.verdict.findings import Verdict
from atomfit.verdict.of_movie import judge_movie
from atomfit.workflows.movie import movie
from atomfit.workflows.movie_frames import copies

OPTIONS = MovieOptions(
    frames=12,
    size=128,
    pixel=0.25,
    columns=40,
    dose=4e3,
    gain=0.02,
    wander=0.03,
    drift=0.05,
    jumps=0.15,
    turn=0.2,
)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "movie.npy"
    return path, simulate_movie(path, 5, OPTIONS)


@pytest.fixture(scope="module")
def followed(filmed):
    return movie(filmed[0], "Pt", pixel_size=OPTIONS.pixel)


def test_frames_are_read_one_by_one_from_every_kind_of_file(tmp_path):
    frames = np.random.default_rng(0).random((5, 20, 24)).astype(np.float32)
    np.save(tmp_path / "a.npy", frames)
    write_images(tmp_path / "a.mrc", frames, 0.2)
    names = []
    for k, frame in enumerate(frames):
        names.append(tmp_path / f"{k}.npy")
        np.save(names[-1], frame)
    np.save(tmp_path / "columns_first.npy", np.asfortranarray(frames))
    of_one = [[tmp_path / name] for name in ("a.npy", "columns_first.npy", "a.mrc")]
    for given in (*of_one, names):
        found = read_movie(given, 0.2)
        assert found.shape == (5, 20, 24)
        assert found.pixel == 0.2
        np.testing.assert_allclose(found.frame(3)[0], frames[3], rtol=1e-6)
    frames[2, 3, 4] = np.nan
    values, counted = movie_of(frames, 0.2).frame(2)
    assert not counted[3, 4]
    assert counted.sum() == counted.size - 1
    assert values[3, 4] == 0


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((4, 8, 30)), "no movie"),
        (np.zeros((1, 32, 32)), "no movie"),
        (np.zeros((32, 32)), "no movie"),
        (np.zeros((3, 32, 32), complex), "no real numbers"),
        (np.zeros((3, 32, 32)), "no frame shows anything"),
    ],
)
def test_what_is_no_movie_is_refused_in_a_sentence(frames, words):
    with pytest.raises(InputError, match=words):
        movie(frames, "Pt", pixel_size=0.2)


def test_a_pixel_size_is_asked_for_and_options_are_judged(filmed):
    with pytest.raises(InputError, match="pixel"):
        movie(filmed[0], "Pt")
    with pytest.raises(InputError, match="times"):
        movie(filmed[0], "Pt", pixel_size=0.25, times=[0, 1])
    with pytest.raises(InputError, match="library"):
        movie(filmed[0], "Pt", pixel_size=0.25, library_error=0.1)


def test_frames_are_laid_on_each_other(filmed):
    path, truth = filmed
    source = read_movie([path], OPTIONS.pixel)
    found = align_frames(len(source), lambda k: source.frame(k)[0], OPTIONS.pixel, 0.45)
    middle = 0.5 * OPTIONS.pixel * (OPTIONS.size - 1)
    places = truth.positions[0]
    for one, motion in zip(found, truth.motions, strict=True):
        in_first = (places - truth.motions[0].translation) @ np.linalg.inv(truth.motions[0].matrix).T
        laid = (in_first - middle) @ one.matrix[::-1, ::-1].T + one.shift[::-1] * OPTIONS.pixel + middle
        seen = (places - motion.translation) @ np.linalg.inv(motion.matrix).T
        assert np.sqrt(np.mean((laid - seen) ** 2)) < 0.06


def test_sums_of_frames_keep_every_count():
    rng = np.random.default_rng(1)
    grid = Grid((20, 24), np.full(2, 0.2), np.zeros(2))
    matrix, shift = np.array([[0.99, 0.02], [-0.02, 1.01]]), np.array([0.7, -0.4])
    corners = np.array([[0, 0], [4.6, 0], [0, 3.8], [4.6, 3.8]]) @ matrix.T + shift
    canvas = canvas_for(grid, [corners, corners - shift])
    frame, counted = rng.poisson(3, (20, 24)).astype(float), rng.random((20, 24)) > 0.1
    found = added(frame, counted, places_on(canvas, grid, matrix, shift), canvas.shape)
    assert found.total.sum() == frame[counted].sum()
    assert found.count.sum() == counted.sum()
    both = found + FrameSum.empty(canvas.shape)
    np.testing.assert_array_equal(both.total, found.total)


def test_a_movie_is_followed_with_its_truth(filmed, followed):
    _, truth = filmed
    result = followed
    assert result.verdict.level == "good"
    assert result.frames.used.all()
    k = 6
    lay, motion = result.frames.lays[k], truth.motions[k]
    in_frame = (truth.positions.mean(axis=0) - motion.translation) @ np.linalg.inv(motion.matrix).T
    distance, which = cKDTree(lay(in_frame)).query(result.sites)
    assert len(result) == truth.counts.shape[1]
    assert distance.max() < 0.15
    exact = result.counts == truth.counts[:, which]
    assert exact.mean() > 0.95
    # Each frame's own columns, in its own frame, beside where they are.
    deviates = []
    for lay, motion, there, esds, true in zip(
        result.frames.lays,
        truth.motions,
        result.positions,
        result.tracks.esds,
        truth.positions,
        strict=True,
    ):
        seen = (there - lay.translation) @ np.linalg.inv(lay.matrix).T
        was = (true[which] - motion.translation) @ np.linalg.inv(motion.matrix).T
        deviates.append((seen - was) / esds)
    assert 0.8 < np.std(deviates) < 1.3


def test_how_frames_lie_errs_as_told(filmed, followed):
    _, truth = filmed
    lays, esds = followed.frames.lays, followed.frames.lay_esds
    middle = 0.5 * OPTIONS.pixel * (OPTIONS.size - 1)
    # From each frame to the specimen and back to the mean: the same of all, but for errors.
    through = [lay.matrix @ np.linalg.inv(m.matrix) for lay, m in zip(lays, truth.motions, strict=True)]
    mean = np.mean(through, axis=0)
    middles = np.array([m.matrix @ np.full(2, middle) + m.translation for m in truth.motions])
    there = np.array([lay(np.full((1, 2), middle))[0] for lay in lays]) - middles @ mean.T
    shifts = there - there.mean(axis=0)
    changes = np.array([one @ np.linalg.inv(mean) - np.eye(2) for one in through])
    xx, xy, yx, yy = changes.reshape(-1, 4).T
    apart = np.column_stack([shifts, (yx - xy) / 2, (xx + yy) / 2, (xx - yy) / 2, (xy + yx) / 2])
    z = np.sqrt(np.mean((apart / esds) ** 2, axis=0))
    assert np.all((z > 0.6) & (z < 1.6)), z


def test_files_of_a_movie_are_read_by_others(tmp_path, followed):
    followed.write(tmp_path / "out")
    out = tmp_path / "out"
    frames = read_ase(out / "trajectory.xyz", index=":")
    assert len(frames) == OPTIONS.frames
    assert len(frames[0]) == len(followed)
    told = json.loads((out / "series.json").read_text())
    assert told["kind"] == "movie"
    assert told["frames_used"] == OPTIONS.frames
    with open(out / "frames.csv") as file:
        assert len(list(csv.DictReader(file))) == OPTIONS.frames
    with open(out / "columns.csv") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["x"]) for row in rows], followed.sites[:, 0], atol=1e-4)
    assert "series.html" in {path.name for path in out.iterdir()}
    assert all(one.isfinite() if hasattr(one, "isfinite") else True for one in frames)


def test_an_interrupted_movie_goes_on(tmp_path, filmed, followed):
    class Stopped(Exception):
        pass

    def stop(told):
        if told.startswith("fitting frames"):
            raise Stopped

    kept = tmp_path / "checkpoint"
    with pytest.raises(Stopped):
        movie(filmed[0], "Pt", pixel_size=OPTIONS.pixel, checkpoint=kept, progress=stop)
    again = movie(filmed[0], "Pt", pixel_size=OPTIONS.pixel, checkpoint=kept, resume=True)
    np.testing.assert_allclose(again.positions, followed.positions, atol=1e-4)
    np.testing.assert_array_equal(again.counts, followed.counts)


def test_a_frame_of_nothing_is_left_out_and_bridged(filmed):
    frames = np.load(filmed[0]).copy()
    frames[4] = np.random.default_rng(2).poisson(0.02 * 4e3 * 0.0625, frames[4].shape) / (4e3 * 0.0625)
    frames[8] = np.nan
    result = movie(frames, "Pt", pixel_size=OPTIONS.pixel, counts="off")
    assert np.flatnonzero(~result.frames.used).tolist() == [4, 8]
    assert "frames-left-out" in result.verdict.codes
    assert np.isfinite(result.positions).all()
    assert result.counts is None
    assert "--counts off" in result.uncounted


@pytest.mark.parametrize("blank", [np.nan, 0.02])
def test_a_first_frame_of_nothing_and_a_level_lose_no_other(filmed, blank):
    frames = np.load(filmed[0]) + np.float32(0.8)
    rng = np.random.default_rng(3)
    frames[0] = np.nan if np.isnan(blank) else 0.8 + rng.poisson(5, frames[0].shape) / 250
    found = align_frames(len(frames), lambda k: np.nan_to_num(frames[k]), OPTIONS.pixel, 0.45)
    assert [one.score > LEAST_SCORE for one in found] == [False] + [True] * 11
    for one in found[1:]:
        assert np.abs(one.matrix - np.eye(2)).max() < 0.02


def test_frames_that_are_none_of_their_own_are_findings():
    reference, used = Verdict.of([], {}), np.ones(10, bool)
    fair = np.full(10, 1.0) + 0.01 * np.arange(10)

    def codes(misfits=fair, copied=0, flicker=0.0):
        return judge_movie((used, misfits, copied, flicker), 1.0, 0.0, reference, 9.0).codes

    assert codes() == ()
    assert codes(copied=3) == ("frames-alike",)
    assert codes(flicker=0.2) == ("brightness",)
    assert codes(misfits=np.where(np.arange(10) == 4, 2.0, fair)) == ("frames-unlike",)


def test_copies_are_counted_to_the_last_bit(filmed):
    frames = np.load(filmed[0])[[0, 1, 1, 2, 1]]
    assert copies(movie_of(frames, 0.25)) == 2
    frames[4, 0, 0] += 1
    assert copies(movie_of(frames, 0.25)) == 1


def test_the_command_takes_movies_and_refuses_what_does_not_go_together(filmed, tmp_path):
    path = tmp_path / "model.xyz"
    path.write_text("1\n\nPt 0 0 0\n")
    with pytest.raises(InputError, match="frames of a movie"):
        atomfit.series([path, path], movie=Chosen(contrast="dark"))
    with pytest.raises(InputError, match="always laid"):
        atomfit.series([filmed[0]], element="Pt", move=False)


def test_the_documentation_has_every_column():
    documented = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
    for column in (*COLUMN_COLUMNS, *FRAME_COLUMNS):
        assert f"| `{column.name}` | {column.unit} | {column.meaning} |" in documented
