"""Scoring of videos from outside."""

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from extractors import always_open
from hypothesis import given
from hypothesis import strategies as st
from outside_files import make_detector, moving, write_video
from pydantic import ValidationError

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.corpora.manifest import read_manifest
from dancebench.datasets.pose.box import Box
from dancebench.datasets.video.decoding import inspect
from dancebench.detect.casework import prepare as outside
from dancebench.detect.casework.file_names import describe_path, restore_path
from dancebench.detect.casework.prepare import prepare_video
from dancebench.detect.casework.score import ScoreReport, ScoreSettings, VideoScore, score_video
from dancebench.detect.evaluation.likelihood_ratios.bounds import Bound, Bounds
from dancebench.detect.evaluation.likelihood_ratios.uncertainty import CalibrationUncertainty, JackknifeVariance
from dancebench.detect.evaluation.training_domain import measure_clip
from dancebench.detect.inputs.pairs import Pairs
from dancebench.detect.protocol.card import CARD, DetectorCard, LoadedDetector, load_detector

if TYPE_CHECKING:
    from dancebench.detect.protocol.holdout import HoldoutResult


@pytest.fixture(scope="module")
def loaded(result: "HoldoutResult") -> LoadedDetector:
    """Trained on the clips of this folder's tests."""
    return load_detector(result.folder)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> LoadedDetector:
    return load_detector(make_detector(tmp_path_factory.mktemp("untrained")))


def write_foreign(path: Path, frames: list[npt.NDArray[np.uint8]], rate: int, start: float = 0.0) -> Path:
    """Write a video as foreign software might: another codec, time stamps from `start` seconds on."""
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


# --- what is hashed is what is scored


@pytest.mark.parametrize("how", ["written", "replaced by the same", "removed"])
def test_a_file_that_changes_while_it_is_scored_has_no_score(
    untrained: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = write_video(tmp_path / "a.mp4", moving(40))

    def change_and_measure(*arguments: Any) -> Any:
        if how == "written":
            path.write_bytes(path.read_bytes() + b"\0")
        elif how == "removed":
            path.unlink()
        else:
            shutil.copy(path, tmp_path / "b.mp4")
            (tmp_path / "b.mp4").replace(path)
        return measure_clip(*arguments)

    monkeypatch.setattr("dancebench.detect.casework.score.measure_clip", change_and_measure)
    found = score_video(path, untrained).record
    assert found.status == "failed"
    assert found.reason is not None
    assert ("No such file" if how == "removed" else "was changed while it was scored") in found.reason


# --- what comes out


def test_outside_videos_of_another_codec_and_size_are_separated(
    loaded: LoadedDetector, clips: SimpleNamespace, tmp_path: Path
) -> None:
    """Four times the size, MPEG-4: after the same resize and encoder they look like the training clips."""
    for subject in (20, 21):
        real = write_foreign(tmp_path / "r.mkv", clips.real_frames(subject, size=(256, 128)), 25)
        fake = write_foreign(tmp_path / "f.mkv", clips.fake_frames(subject, size=(256, 128)), 25)
        scores = [score_video(path, loaded).record for path in (real, fake)]
        assert all(score.status != "failed" for score in scores)
        first, second = (score.score for score in scores)
        assert first is not None
        assert second is not None
        assert first < second


def test_a_score_comes_with_its_threshold_and_its_error_rates(
    loaded: LoadedDetector, manifest: Path, result: "HoldoutResult"
) -> None:
    rows = {row.video_id: row for row in read_manifest(manifest)}
    row = rows["s10/s10/blur"]
    found = score_video(manifest.parent / row.path, loaded).record
    assert found.sha256 == row.sha256
    assert found.threshold == result.card.thresholds.video
    assert found.above_threshold is True
    assert found.error_rates == result.card.error_rates
    assert found.n_pairs == len(found.pairs) == 8
    assert found.score == pytest.approx(np.mean([pair.logit for pair in found.pairs]), rel=1e-5)
    in_run = result.tables.videos.set_index("video_id")["score"]
    gap = in_run["s10/s10/blur"] - in_run["s10/s10/real"]
    assert abs(found.score - in_run["s10/s10/blur"]) < 0.25 * gap  # encoded once more


def prepare_pairs(path: Path, loaded: LoadedDetector) -> tuple[list[float], Pairs]:
    """Prepare a video: times of its pairs, and the pairs as the detector sees them."""
    found = prepare_video(inspect(path), loaded.card.clip_format, None, path.parent)
    starts = found.choose_starts(8, loaded.detector.window)
    (pairs,) = found.read_windows(starts, loaded.detector.config.size, loaded.detector.window)
    return found.times[starts].tolist(), pairs


def test_scoring_is_deterministic(untrained: LoadedDetector, manifest: Path) -> None:
    path = manifest.parent / "s10-real.mp4"
    assert score_video(path, untrained).record == score_video(path, untrained).record


def test_times_count_from_the_first_frame_by_the_stamps_of_the_file(
    untrained: LoadedDetector, clips: SimpleNamespace, tmp_path: Path
) -> None:
    """50 fps from 3 s on: every other frame is dropped, down to the 25 fps of training."""
    path = write_foreign(tmp_path / "late.mkv", clips.real_frames(5, n_frames=36), 50, start=3.0)
    times, pairs = prepare_pairs(path, untrained)
    assert len(pairs) == 8
    expected = np.array([1, 3, 5, 7, 9, 11, 13, 15]) / 25
    np.testing.assert_allclose(times, expected, atol=2e-3)
    found = score_video(path, untrained, ScoreSettings(pairs=8)).record
    assert found.start_s == 3.0
    np.testing.assert_allclose([pair.t for pair in found.pairs], expected, atol=2e-3)
    np.testing.assert_allclose([pair.pts for pair in found.pairs], 1000 * (3 + expected), atol=2)  # Matroska's ms


def test_pairs_stay_consecutive(untrained: LoadedDetector, tmp_path: Path) -> None:
    """Each frame is brighter by 8 than the one before: so is the second of each pair."""
    frames = [np.full((64, 32, 3), 20 + 8 * t, np.uint8) for t in range(20)]
    _, pairs = prepare_pairs(write_foreign(tmp_path / "ramp.mkv", frames, 25), untrained)
    steps = pairs[:, 1].astype(float).mean(axis=(1, 2, 3)) - pairs[:, 0].astype(float).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(steps, 8, atol=2)


def test_other_shapes_are_letterboxed(untrained: LoadedDetector, tmp_path: Path) -> None:
    frames = [np.full((64, 128, 3), 200, np.uint8)] * 4
    _, pairs = prepare_pairs(write_foreign(tmp_path / "wide.mkv", frames, 25), untrained)
    assert pairs.shape == (3, 2, 64, 32, 3)
    assert pairs[:, :, :22].max() < 30
    assert pairs[:, :, 28:36].min() > 150


# --- the likelihood ratio and its facts


def test_likelihood_ratios_follow_from_the_card(untrained: LoadedDetector, tmp_path: Path) -> None:
    """Temperature 2 and offset 0.25, for the video and for its pairs."""
    found = score_video(write_video(tmp_path / "a.mp4", moving(60)), untrained).record
    assert found.score is not None
    assert found.llr == pytest.approx((found.score - 0.25) / 2)
    assert [pair.llr for pair in found.pairs] == pytest.approx([(pair.logit - 0.25) / 2 for pair in found.pairs])
    assert found.llr_interval is not None
    assert (found.llr_interval.low + found.llr_interval.high) / 2 == pytest.approx(found.llr)
    assert "5 blocks of time" in found.llr_interval.method
    assert found.calibration.subjects == 8
    assert found.calibration.caution is None
    assert found.credentials is not None


def test_a_ratio_at_a_bound_and_the_calibration_interval_are_told(untrained: LoadedDetector, tmp_path: Path) -> None:
    """Nothing supports a real: the ratio ends at 1, what it would be is told, both intervals end there too."""
    variance = JackknifeVariance(units=9, intercept=0.04, slope=0.0, covariance=0.0)
    uncertainty = CalibrationUncertainty(people=variance, methods=variance, method_spread=0.1)
    bounds = Bounds(real=Bound(llr=0.0, set_by="unseen-methods", n=0), synthesized=Bound(llr=2.0, set_by="elub", n=8))
    video = untrained.card.calibration.video.model_copy(update={"bounds": bounds, "offset": 1000.0})
    calibration = untrained.card.calibration.model_copy(
        update={"video": video, "uncertainty": uncertainty, "uncertainty_reason": None}
    )
    card = untrained.card.model_copy(update={"calibration": calibration})
    path = write_video(tmp_path / "a.mp4", moving(60))
    found = score_video(path, dataclasses.replace(untrained, card=card)).record
    assert (found.llr, found.bound) == (0.0, bounds.real)
    assert found.unbounded_llr is not None
    assert found.unbounded_llr < -400
    assert found.calibration_interval is not None
    assert (found.calibration_interval.low, found.calibration_interval.high) == (0.0, 0.0)
    assert "9 people and 9 methods" in found.calibration_interval.method
    plain = score_video(path, untrained).record
    assert (plain.calibration_interval, plain.calibration_interval_reason) == (None, "made by hand")
    assert plain.bound is None


def test_cards_before_version_6_end_where_they_did(untrained: LoadedDetector, tmp_path: Path) -> None:
    document = json.loads((untrained.folder / CARD).read_text()) | {"schema_version": 5}
    del document["ratios"], document["calibration"]["uncertainty"], document["calibration"]["uncertainty_reason"]
    for name in ("video", "pair"):
        for field in ("methods", "unseen_methods", "bounds"):
            del document["calibration"][name][field]
    metric = {"value": 0.1, "n": 4, "unit": "share", "higher_is_better": False}
    document["metrics"] = {"pair_ece": metric}
    (tmp_path / CARD).write_text(json.dumps(document))
    card = DetectorCard.load(tmp_path / CARD)
    assert card.calibration.video.llr([-1e6, 1e6]).tolist() == pytest.approx([-math.log(9), math.log(9)])
    assert card.calibration.video.unseen_methods is None
    assert card.calibration.uncertainty_reason == "an earlier release did not tell it"
    assert list(card.metrics) == ["pair_expected_calibration_error"]


def test_over_confidence_is_named_if_validation_was_separated(untrained: LoadedDetector, tmp_path: Path) -> None:
    calibration = untrained.card.calibration
    certain = calibration.model_copy(update={"video": calibration.video.model_copy(update={"separable": True})})
    card = untrained.card.model_copy(update={"calibration": certain})
    found = score_video(tmp_path / "missing.mp4", dataclasses.replace(untrained, card=card)).record
    assert "over-confidence cannot be excluded" in str(found.calibration.caution)


def test_all_pairs_are_scored_on_request_and_agree(untrained: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(150))
    everything = score_video(path, untrained, ScoreSettings(pairs="all")).record
    few = score_video(path, untrained, ScoreSettings(pairs=5)).record
    assert (everything.n_pairs, few.n_pairs) == (149, 5)
    logits = {pair.pts: pair.logit for pair in everything.pairs}
    assert [logits[pair.pts] for pair in few.pairs] == pytest.approx([pair.logit for pair in few.pairs], abs=1e-5)


def test_suspicious_pairs_are_pairs_and_their_images_are_what_the_detector_saw(
    untrained: LoadedDetector, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", moving(100))
    scored = score_video(path, untrained, ScoreSettings(pairs="all"), pictures=True)
    record = scored.record
    assert len(record.suspicious_pairs) == len(scored.pictures) == 4
    assert record.suspicious_pairs[0].llr == max(pair.llr for pair in record.pairs)
    llrs = {pair.t: pair.llr for pair in record.pairs}
    for pair, image in zip(record.suspicious_pairs, scored.pictures, strict=True):
        assert (image.t, image.llr) == (pair.t, pair.llr)
        assert llrs[pair.t] == pair.llr
        expected = moving(100)[round(pair.t * 25)]
        assert np.abs(image.frame.astype(int) - expected).mean() < 12
    assert score_video(path, untrained).pictures == []


def test_every_second_video_frame_of_a_fast_file_is_skipped(untrained: LoadedDetector, tmp_path: Path) -> None:
    path = write_video(tmp_path / "fast.mp4", [frame for frame in moving(30) for _ in range(2)], rate=50)
    found = score_video(path, untrained, ScoreSettings(pairs="all")).record
    assert found.n_pairs == 29
    assert found.fps == 50


# --- the person


def make_pose_extractor(left: float, top: float, width: float, height: float) -> Any:
    """Stand-in for MediaPipe: a person in that bounding box, in every other frame."""

    def poses(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.float32]]:
        for index, _ in enumerate(frames):
            points = np.zeros((75, 3), np.float32)
            if index % 2 == 0:
                points[:2] = [[left, top, 1], [left + width, top + height, 1]]
            yield points

    return poses


def find_nobody(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.float32]]:
    return (np.zeros((75, 3), np.float32) for _ in frames)


def test_crop_follows_the_person(untrained: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "wide.mp4", moving(40, (256, 512)))
    monkeypatch.setattr(outside, "open_extractor", always_open(make_pose_extractor(400, 60, 40, 100)))
    found = score_video(path, untrained, ScoreSettings(person_crop=True)).record
    assert found.crop is not None
    assert (found.crop.left, found.crop.top, found.crop.width, found.crop.height) == (387, 45, 65, 130)
    assert (found.crop.looked_at, found.crop.found_in) == (16, 8)
    whole = score_video(path, untrained).record
    assert whole.crop is None
    assert whole.score != found.score


def test_a_video_without_a_person_is_a_failure_with_a_reason(
    untrained: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "open_extractor", always_open(find_nobody))
    found = score_video(write_video(tmp_path / "a.mp4", moving(40)), untrained, ScoreSettings(person_crop=True)).record
    assert found.status == "failed"
    assert "No person was found in 16 frames" in str(found.reason)


def test_a_person_smaller_than_the_view_is_abstained_from(
    untrained: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "open_extractor", always_open(make_pose_extractor(100, 60, 10, 20)))
    found = score_video(
        write_video(tmp_path / "far.mp4", moving(40, (256, 512))), untrained, ScoreSettings(person_crop=True)
    ).record
    assert any("the frame is smaller than the view" in reason for reason in found.abstained_because)


# --- views


@pytest.fixture(scope="module")
def looks_at_people(tmp_path_factory: pytest.TempPathFactory) -> LoadedDetector:
    """A detector whose card says that its clips show a person."""
    folder = make_detector(tmp_path_factory.mktemp("person"))
    card = DetectorCard.load(folder / CARD)
    clips = card.clip_format.model_copy(update={"view": "person"})
    card.model_copy(update={"clip_format": clips, "config": card.config | {"view": "person"}}).save(folder / CARD)
    return load_detector(folder)


def find_at(*boxes: Box[float]) -> Any:
    """In place of `open_finder`: these boxes in every frame."""
    return lambda subject: lambda frame: list(boxes)


def test_a_person_is_cut_out_for_a_detector_that_looks_at_people(
    looks_at_people: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Box(60.0, 160.0, 400.0, 440.0), Box(10.0, 20.0, 10.0, 20.0)]
    monkeypatch.setattr("dancebench.detect.inputs.views.open_finder", find_at(*found))
    path = write_video(tmp_path / "wide.mp4", moving(40, (256, 512)))
    record = score_video(path, looks_at_people, ScoreSettings(pairs=8)).record
    assert record.view is not None
    assert (record.view.seen, record.view.looked_at, record.view.found_in) == (2, 4, 4)
    assert (record.windows, record.n_pairs) == (8, 8)
    assert record.view.padded == 0
    assert ScoreReport.model_fields["schema_version"].default == 5


def test_a_person_smaller_than_the_view_is_padded_and_abstained_from(
    looks_at_people: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dancebench.detect.inputs.views.open_finder", find_at(Box(60.0, 80.0, 100.0, 110.0)))
    path = write_video(tmp_path / "far.mp4", moving(40, (256, 512)))
    record = score_video(path, looks_at_people).record
    assert record.view is not None
    assert record.view.padded == 40
    assert any("smaller than the view" in reason for reason in record.abstained_because)


def test_a_video_of_nobody_is_a_row_with_the_reason(
    looks_at_people: LoadedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dancebench.detect.inputs.views.open_finder", find_at())
    path = write_video(tmp_path / "a.mp4", moving(40))
    assert "No person was found in 4 frames" in str(score_video(path, looks_at_people).record.reason)
    crop = score_video(path, looks_at_people, ScoreSettings(person_crop=True)).record
    assert "looks at the person by itself" in str(crop.reason)


def test_cards_before_views_look_at_whole_frames(untrained: LoadedDetector, tmp_path: Path) -> None:
    document = json.loads((untrained.folder / CARD).read_text())
    document["clip_format"].pop("view")
    (tmp_path / CARD).write_text(json.dumps(document))
    assert DetectorCard.load(tmp_path / CARD).clip_format.looks_at.name == "frame"


# --- bad input


def test_contradictory_records_are_refused(untrained: LoadedDetector, tmp_path: Path) -> None:
    good = score_video(write_video(tmp_path / "a.mp4", moving(60)), untrained).record.model_dump()
    for change in (
        {"reason": "none"},
        {"score": None},
        {"status": "failed"},
        {"status": "abstained", "abstained_because": ()},
    ):
        with pytest.raises(ValidationError):
            VideoScore.model_validate(good | change)


def test_damaged_detectors_are_refused_by_name(untrained: LoadedDetector, tmp_path: Path) -> None:
    for change, words in (
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"x"), "changed or damaged"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "are missing"),
        (lambda folder: (folder / CARD).write_text('{"schema_version": 99}'), "has schema version 99"),
        (lambda folder: (folder / CARD).write_text('{"schema_version": 1}'), "earlier release"),
        (lambda folder: (folder / CARD).unlink(), "holds no trained detector"),
    ):
        folder = Path(shutil.copytree(untrained.folder, tmp_path / words.replace(" ", "-")))
        change(folder)
        with pytest.raises(BenchError, match=words):
            load_detector(folder)


# --- names of files


@given(st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name))
def test_a_path_is_restored_from_a_report(name: bytes) -> None:
    path = Path(os.fsdecode(name))
    described = describe_path(path)
    described["path"].encode()
    assert (described["path_bytes"] is None) == (os.fsencode(path) == described["path"].encode())
    assert restore_path(**json.loads(json.dumps(described))) == path


def test_a_single_picture_is_refused_with_the_reason(untrained: LoadedDetector, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.bmp", "a.webp", "a.tiff"):
        assert cv2.imwrite(str(tmp_path / name), moving(1)[0])
        assert "is a single picture" in str(score_video(tmp_path / name, untrained).record.reason)
