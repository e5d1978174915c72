"""Known reals of the case's conditions: which recordings count, and what they change."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_files import make_detector, moving, write_video

from dancebench.core.errors import BenchError
from dancebench.detect.casework.reference import (
    FEWEST,
    ReferenceFacts,
    ReferenceVideo,
    compute_clip_fingerprint,
    describe_reference,
    load_items,
    recalibrate,
    select_recordings,
)
from dancebench.detect.casework.score import apply_reference, score_video
from dancebench.detect.evaluation.calibration import fit_calibration
from dancebench.detect.evaluation.likelihood_ratios.items import CalibrationItems, collect_items
from dancebench.detect.evaluation.likelihood_ratios.kept_scores import FILE, CalibrationScores
from dancebench.detect.protocol.card import CARD, DetectorCard, load_detector


def draw_items(seed: int = 0, people: int = 12) -> CalibrationItems:
    generator = np.random.default_rng(seed)
    names = [f"p{person}" for person in range(people)]
    methods = ["x", "y", "z"]
    labels = [0] * people + [1] * people * len(methods)
    scores = np.concatenate([generator.normal(0, 1, people), generator.normal(2, 1, people * len(methods))])
    return collect_items(labels, scores, names * 4, [""] * people + [m for m in methods for _ in names])


def make_reference(scores: np.ndarray, items: CalibrationItems) -> ReferenceFacts:
    fingerprint = compute_clip_fingerprint(moving(2))
    videos = [ReferenceVideo(Path(f"{n}"), f"{n}", float(score), fingerprint) for n, score in enumerate(scores)]
    return describe_reference(videos, [], Path("folder"), items)


def make_video(seed: int, first: int = 0, count: int = 12, sha256: str | None = None) -> ReferenceVideo:
    """Of a bar over a texture, from one of its frames on; another seed is another recording."""
    frames = moving(first + count, (96, 96), seed)[first:]
    return ReferenceVideo(
        Path(f"{seed}-{first}.mp4"), sha256 or f"{seed}-{first}", 0.0, compute_clip_fingerprint(frames)
    )


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> DetectorCard:
    return DetectorCard.load(make_detector(tmp_path_factory.mktemp("detector")) / CARD)


# --- the calibration


def test_a_reference_like_the_calibrations_own_reals_leaves_ratios_as_they_are(card: DetectorCard) -> None:
    """Closed form: the same reals, one a person, are the same items."""
    items = draw_items()
    own = recalibrate(card, items, make_reference(items.scores[items.labels == 0], items))
    other = recalibrate(card, items, make_reference(items.scores[items.labels == 0][::-1], items))
    for found in (own, other):
        assert found.calibration.video.subjects == 24
        assert found.calibration.pair == card.calibration.pair
    expected = fit_calibration(items)
    assert own.calibration.video.temperature == pytest.approx(expected.temperature, rel=1e-4)
    assert own.calibration.video.offset == pytest.approx(expected.offset, abs=1e-4)
    assert own.calibration.uncertainty is not None


@settings(max_examples=10)
@given(st.floats(-5, 5))
def test_conditions_that_move_reals_move_the_ratio_with_them(card: DetectorCard, shift: float) -> None:
    """The same score moved by the conditions has the same ratio."""
    items = draw_items()
    reals = items.scores[items.labels == 0]
    plain = recalibrate(card, items, make_reference(reals, items)).calibration.video
    reference = make_reference(reals + shift, items)
    assert reference.shift == pytest.approx(shift, abs=1e-9)
    moved = recalibrate(card, items, reference).calibration.video
    assert moved.unbounded_llr([1.0 + shift]) == pytest.approx(plain.unbounded_llr([1.0]), abs=1e-3)


def test_support_for_synthesized_ends_by_the_number_of_recordings(card: DetectorCard) -> None:
    items = draw_items()
    found = recalibrate(card, items, make_reference(items.scores[items.labels == 0][:FEWEST], items))
    assert found.calibration.video.bounds.synthesized.llr <= math.log(FEWEST + 1)
    assert found.calibration.video.bounds.real.set_by in ("unseen-methods", "elub")


def test_a_score_is_measured_again_and_says_what_changed(tmp_path: Path) -> None:
    loaded = load_detector(make_detector(tmp_path / "detector"))
    record = score_video(write_video(tmp_path / "a.mp4", moving(60)), loaded).record
    items = draw_items()
    items = items._replace(scores=items.scores + (record.score or 0))
    recalibrated = recalibrate(loaded.card, items, make_reference(items.scores[items.labels == 0] + 3, items))
    found = apply_reference(record, recalibrated, 12)
    assert found.reference is not None
    assert (found.reference.recordings, found.reference.llr_without) == (12, record.llr)
    assert found.bounds == recalibrated.calibration.video.bounds
    assert found.unbounded_llr == pytest.approx(float(recalibrated.calibration.video.unbounded_llr([found.score])[0]))
    assert found.pairs == record.pairs
    assert found.calibration_interval is not None


# --- which recordings count


def test_recordings_of_other_pictures_all_count() -> None:
    counted, left_out = select_recordings([make_video(seed) for seed in range(12)], [make_video(99)])
    assert (len(counted), left_out) == (12, [])


def test_one_recording_cut_into_ten_is_counted_once() -> None:
    pieces = [make_video(3, first) for first in range(0, 120, 12)]
    counted, left_out = select_recordings([*pieces, make_video(4)], [])
    assert [video.path.name for video in counted] == ["3-0.mp4", "4-0.mp4"]
    assert {reason for _, reason in left_out} == {"it shows the same as 3-0.mp4: counted once"}
    assert len(left_out) == 9


def test_the_questioned_video_is_no_reference_for_itself_however_it_is_encoded() -> None:
    questioned = make_video(5)
    copy, cut = make_video(5, sha256="another"), make_video(5, 6)
    flat = ReferenceVideo(Path("flat.mp4"), "5-0", 0.0, compute_clip_fingerprint([np.zeros((32, 32, 3), np.uint8)] * 2))
    counted, left_out = select_recordings([copy, cut, flat, make_video(6)], [questioned])
    assert [video.path.name for video in counted] == ["6-0.mp4"]
    assert {reason for _, reason in left_out} == {"it shows the same as a questioned video"}


def test_the_same_file_twice_is_counted_once() -> None:
    counted, left_out = select_recordings([make_video(1), make_video(1)], [])
    assert (len(counted), len(left_out)) == (1, 1)


def test_fewer_than_ten_are_refused() -> None:
    items = draw_items()
    with pytest.raises(BenchError, match="folder holds 9 recordings that count") as refused:
        make_reference(np.zeros(FEWEST - 1), items)
    assert refused.value.hint


# --- the scores of a calibration


def test_scores_are_kept_without_names_and_read_again(tmp_path: Path) -> None:
    items = draw_items()
    CalibrationScores.of_items(items).save(tmp_path / FILE)
    read = load_items(tmp_path)
    assert np.array_equal(read.scores, items.scores)
    assert np.array_equal(read.labels, items.labels)
    assert read.unseen == items.unseen
    assert np.array_equal(np.unique(read.subjects, return_inverse=True)[1].shape, items.subjects.shape)
    assert "p11" not in (tmp_path / FILE).read_text()


def test_a_detector_without_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"calibration_scores\.json") as refused:
        load_items(tmp_path)
    assert "train it again" in str(refused.value.hint)


@pytest.mark.parametrize("videos", [[], [{"label": 0, "score": 1.0, "person": 0, "method": ""}]])
def test_scores_of_one_kind_are_refused(tmp_path: Path, videos: list[dict[str, object]]) -> None:
    (tmp_path / FILE).write_text(json.dumps({"schema_version": 1, "unseen": True, "videos": videos}))
    with pytest.raises(BenchError):
        load_items(tmp_path)
