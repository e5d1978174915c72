"""Scoring of videos from outside."""

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import numpy.typing as npt
import pytest

from dancebench.datasets.manifest import read_manifest
from dancebench.detect.card import LoadedDetector, load_detector
from dancebench.detect.protocol import HoldoutResult
from dancebench.detect.score import expand, prepared_pairs, score_video, score_videos


@pytest.fixture(scope="module")
def loaded(result: HoldoutResult) -> LoadedDetector:
    return load_detector(result.folder)


def write_foreign(path: Path, frames: list[npt.NDArray[np.uint8]], rate: int, start: float = 0.0) -> Path:
    """A video as others make them: another codec, its clock beginning at `start` seconds."""
    with av.open(str(path), "w") as container:
        out = container.add_stream("mpeg4", rate=rate, options={"qscale": "2"})
        out.height, out.width, out.pix_fmt = *frames[0].shape[:2], "yuv420p"
        out.codec_context.qmin, out.codec_context.qmax = 1, 3
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index + round(start * rate), Fraction(1, rate)
            container.mux(out.encode(frame))
        container.mux(out.encode(None))
    return path


# --- what comes out


def test_outside_videos_of_another_codec_and_size_are_told(
    loaded: LoadedDetector, clips: SimpleNamespace, tmp_path: Path
) -> None:
    """Four times the size, MPEG-4: after the same resize and encoder they look like the training clips."""
    for subject in (20, 21):
        real = write_foreign(tmp_path / "r.mkv", clips.real_frames(subject, size=(256, 128)), 25)
        fake = write_foreign(tmp_path / "f.mkv", clips.fake_frames(subject, size=(256, 128)), 25)
        scores = [score_video(path, loaded) for path in (real, fake)]
        assert [score.status for score in scores] == ["ok", "ok"]
        first, second = (score.score for score in scores)
        assert first is not None
        assert second is not None
        assert first < second


def test_a_score_comes_with_its_threshold_and_its_error_rates(
    loaded: LoadedDetector, manifest: Path, result: HoldoutResult
) -> None:
    rows = {row.video_id: row for row in read_manifest(manifest)}
    row = rows["s10/s10/blur"]
    found = score_video(manifest.parent / row.path, loaded)
    assert found.sha256 == row.sha256
    assert found.threshold == result.card.thresholds.video
    assert found.above_threshold is True
    assert found.error_rates == result.card.error_rates
    assert found.n_pairs == len(found.pairs) == 8
    assert found.score == pytest.approx(np.mean([pair.logit for pair in found.pairs]), rel=1e-5)
    in_run = result.videos.set_index("video_id")["score"]
    gap = in_run["s10/s10/blur"] - in_run["s10/s10/real"]
    assert abs(found.score - in_run["s10/s10/blur"]) < 0.25 * gap  # encoded once more


def test_scoring_is_deterministic(loaded: LoadedDetector, manifest: Path) -> None:
    path = manifest.parent / "s10-real.mp4"
    assert score_video(path, loaded) == score_video(path, loaded)


def test_times_are_those_of_the_files_own_clock(loaded: LoadedDetector, clips: SimpleNamespace, tmp_path: Path) -> None:
    """50 fps from 3 s on: every other frame is dropped, down to the 25 fps of training."""
    path = write_foreign(tmp_path / "late.mkv", clips.real_frames(5, n_frames=36), 50, start=3.0)
    times, pairs = prepared_pairs(path, loaded)
    assert len(pairs) == 8
    np.testing.assert_allclose(times, 3 + np.array([1, 3, 5, 7, 9, 11, 13, 15]) / 25, atol=2e-3)


def test_pairs_stay_consecutive(loaded: LoadedDetector, tmp_path: Path) -> None:
    """Frames that grow lighter by 8 each: so do the pairs."""
    frames = [np.full((64, 32, 3), 20 + 8 * t, np.uint8) for t in range(20)]
    _, pairs = prepared_pairs(write_foreign(tmp_path / "ramp.mkv", frames, 25), loaded)
    steps = pairs[:, 1].astype(float).mean(axis=(1, 2, 3)) - pairs[:, 0].astype(float).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(steps, 8, atol=2)


def test_other_shapes_are_letterboxed(loaded: LoadedDetector, tmp_path: Path) -> None:
    frames = [np.full((64, 128, 3), 200, np.uint8)] * 4
    _, pairs = prepared_pairs(write_foreign(tmp_path / "wide.mkv", frames, 25), loaded)
    assert pairs.shape == (3, 2, 64, 32, 3)
    assert pairs[:, :, :22].max() < 30
    assert pairs[:, :, 28:36].min() > 150


# --- bad input


def bad_files(root: Path) -> Iterator[Path]:
    for name, data in (("empty.mp4", b""), ("text.mp4", b"no video at all")):
        (root / name).write_bytes(data)
        yield root / name
    yield root / "missing.mp4"


def test_a_bad_video_is_a_row_with_its_reason_and_the_others_are_scored(
    loaded: LoadedDetector, manifest: Path, tmp_path: Path
) -> None:
    shutil.copy(manifest.parent / "s10-real.mp4", tmp_path / "good.mp4")
    one = write_foreign(tmp_path / "one.mkv", [np.zeros((64, 32, 3), np.uint8)], 25)
    names = [*map(str, bad_files(tmp_path)), str(one), str(tmp_path / "good.mp4")]
    rows = list(score_videos(names, loaded))
    assert [row.status for row in rows] == ["failed"] * 4 + ["ok"]
    assert [row.score for row in rows[:4]] == [None] * 4
    reasons = [str(row.reason) for row in rows[:4]]
    for reason, word in zip(reasons, ("empty", "not a video", "does not exist", "fewer than two"), strict=True):
        assert word in reason


def test_folders_and_globs_stand_for_their_videos_each_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.mp4", "a.MOV", "deep/c.webm", "notes.txt", ".partial-7-d.mp4"):
        (tmp_path / name).touch()
    everything = [tmp_path / name for name in ("a.MOV", "b.mp4", "deep/c.webm")]
    assert expand([str(tmp_path)]) == everything
    assert expand([str(tmp_path / "*.mp4"), str(tmp_path)]) == [everything[1], everything[0], everything[2]]
    assert expand([str(tmp_path / "*.avi")]) == [tmp_path / "*.avi"]
    odd = tmp_path / "take[1].mp4"  # a name that is also a pattern
    odd.touch()
    assert expand([str(odd)]) == [odd]
