"""What holds of a set of videos whatever the detector: measured once, and only of a set that does not leak."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.corpora.manifest import Split, VideoRow, name_people
from dancebench.datasets.video.clips import write_clip
from dancebench.detect.evaluation.controls import measure_shortcuts
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol import description as description_module
from dancebench.detect.protocol.description import (
    SHORTCUTS,
    VideoSetRecord,
    describe_video_set,
    find_description,
)
from dancebench.detect.trunk.features import SIZE

MEASURING = ("audit_leaks", "audit_frames", "measure_clip", "measure_shortcuts")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each measurement was made."""
    counts: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **options)

        return call

    for name in MEASURING:
        monkeypatch.setattr(description_module, name, counted(name, getattr(description_module, name)))
    return counts


@pytest.fixture(scope="module")
def videos(clips: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> VideoSet:
    """The people of the other tests in clips of 8 frames: what is described here depends on no length."""
    return clips.write_people(tmp_path_factory.mktemp("short"), 8)


@pytest.fixture(scope="module")
def description(videos: VideoSet, tmp_path_factory: pytest.TempPathFactory) -> VideoSetRecord:
    """What holds of these clips."""
    return describe_video_set(videos, tmp_path_factory.mktemp("description") / "video_set.json", seed=0)


@pytest.fixture
def own(videos: VideoSet, tmp_path: Path) -> VideoSet:
    """A copy of the videos that a test may change."""
    shutil.copytree(videos.root, tmp_path / "clips")
    return VideoSet(tmp_path / "clips", videos.rows)


def changed(videos: VideoSet, index: int, **fields: object) -> VideoSet:
    """The set with other fields of one row."""
    rows = list(videos.rows)
    rows[index] = rows[index].model_copy(update=fields)
    return VideoSet(videos.root, tuple(rows))


def find(videos: VideoSet, video_id: str) -> VideoRow:
    (row,) = videos.select(lambda row: row.video_id == video_id)
    return row


# --- closed form


def test_closed_form_a_set_is_described(videos: VideoSet, description: VideoSetRecord) -> None:
    assert description.videos_sha256 == videos.sha256
    assert (description.seed, description.clip_height, description.clip_width) == (0, 64, 32)
    assert set(description.features) == {row.video_id for row in videos.split("train", "holdout")}
    assert {len(features) for features in description.features.values()} == {SIZE}
    assert (description.unreadable, description.quality, description.fakes_sha256) == ({}, {}, "")


def test_closed_form_the_controls_are_those_of_training_and_held_out_people(
    videos: VideoSet, description: VideoSetRecord
) -> None:
    assert tuple(description.controls) == SHORTCUTS
    assert description.controls == measure_shortcuts(videos.split("train", "holdout"), seed=0)
    assert description.controls["shortcut_auc"].n == 8


def test_closed_form_the_quality_is_what_was_measured(videos: VideoSet, tmp_path: Path) -> None:
    record = describe_video_set(
        videos, tmp_path / "video_set.json", seed=0, fakes_sha256="f" * 64, measure_quality=lambda: {"blur": 0.75}
    )
    assert (record.quality, record.fakes_sha256) == ({"blur": 0.75}, "f" * 64)


def test_closed_form_progress_is_reported(videos: VideoSet, tmp_path: Path) -> None:
    progress: list[tuple[str, int, int]] = []
    describe_video_set(videos, tmp_path / "v.json", seed=0, report=lambda *call: progress.append(call))
    assert [call for call in progress if call[0] == "describing clips"] == [
        ("describing clips", done, 20) for done in range(21)
    ]


def test_fakes_of_a_method_that_is_not_trained_on_have_no_part_in_the_controls(
    own: VideoSet, description: VideoSetRecord, tmp_path: Path
) -> None:
    """Although they lie in another container and have fewer frames."""
    rows = list(own.rows)
    for row in own.split("holdout").select(lambda row: row.label == 1):
        frames = [cv2.GaussianBlur(frame, (0, 0), 3) for frame in other_frames(own, row)]
        info = write_clip(own.root / f"{row.subject_id}-other.mp4", frames[:7], row.fps)
        changes = {"video_id": f"{row.subject_id}/{row.subject_id}/other", "method": "other", "n_frames": 7}
        rows.append(row.model_copy(update=changes | {"path": info.path.name, "sha256": info.sha256}))
    record = describe_video_set(VideoSet(own.root, tuple(rows)), tmp_path / "v.json", seed=0)
    assert record.controls == description.controls
    assert len(record.features) == 24


def other_frames(videos: VideoSet, row: VideoRow) -> list[Any]:
    from dancebench.datasets.video.clips import stream

    return [frame for _, frame in stream(videos.path(row))]


# --- made once


def test_it_is_made_once_and_read_again(videos: VideoSet, tmp_path: Path, measured: Counter[str]) -> None:
    path = tmp_path / "manifests" / "video_set.json"

    def measure_quality() -> dict[str, float]:
        measured["quality"] += 1
        return {"blur": 0.5}

    records = [
        describe_video_set(videos, path, seed=0, fakes_sha256="f", measure_quality=measure_quality) for _ in range(3)
    ]
    assert measured == {"audit_leaks": 1, "audit_frames": 1, "measure_clip": 20, "measure_shortcuts": 1, "quality": 1}
    assert records[0] == records[1] == records[2] == VideoSetRecord.load(path) == find_description(videos, path)
    assert [file.name for file in path.parent.iterdir()] == ["video_set.json"]


def test_a_description_of_version_1_is_made_again(videos: VideoSet, tmp_path: Path, measured: Counter[str]) -> None:
    """Its features were others."""
    path = tmp_path / "video_set.json"
    record = describe_video_set(videos, path, seed=0)
    old = record.model_dump(mode="json") | {"schema_version": 1}
    old["features"] = {name: {"brightness": 0.5, "motion": 2.0} for name in record.features}
    path.write_text(json.dumps(old))
    assert VideoSetRecord.load(path).features == {}
    assert describe_video_set(videos, path, seed=0) == record
    assert measured["measure_shortcuts"] == 2


def test_the_same_rows_in_another_folder_are_the_same_set(
    videos: VideoSet, own: VideoSet, tmp_path: Path, measured: Counter[str]
) -> None:
    """A workspace that was moved keeps its descriptions."""
    path = tmp_path / "video_set.json"
    assert describe_video_set(videos, path, seed=0) == describe_video_set(own, path, seed=0)
    assert measured["measure_shortcuts"] == 1


def test_other_videos_another_seed_and_other_fakes_are_described_again(
    videos: VideoSet, tmp_path: Path, measured: Counter[str]
) -> None:
    path = tmp_path / "video_set.json"
    describe_video_set(videos, path, seed=0)
    fewer = videos.select(lambda row: row.subject_id != "s12")
    assert describe_video_set(fewer, path, seed=0).videos_sha256 == fewer.sha256
    assert describe_video_set(fewer, path, seed=1).seed == 1
    fakes = describe_video_set(fewer, path, seed=1, fakes_sha256="f", measure_quality=lambda: {"blur": 0.5})
    assert fakes.quality == {"blur": 0.5}
    other_fakes = describe_video_set(fewer, path, seed=1, fakes_sha256="g", measure_quality=lambda: {"blur": 0.25})
    assert other_fakes.quality == {"blur": 0.25}
    assert measured["measure_shortcuts"] == 5
    assert VideoSetRecord.load(path) == other_fakes
    assert (find_description(videos, path), find_description(fewer, path)) == (None, other_fakes)


def test_a_video_with_other_bytes_is_another_set(own: VideoSet, tmp_path: Path, measured: Counter[str]) -> None:
    path = tmp_path / "video_set.json"
    before = describe_video_set(own, path, seed=0)
    row = find(own, "s12/s12/real")
    brighter = write_clip(own.root / row.path, [cv2.add(each, 40) for each in other_frames(own, row)], row.fps)
    after = describe_video_set(changed(own, own.rows.index(row), sha256=brighter.sha256), path, seed=0)
    assert measured["measure_shortcuts"] == 2
    differing = {name for name, features in after.features.items() if features != before.features[name]}
    assert differing == {row.video_id}


def test_features_of_another_release_are_measured_again(
    videos: VideoSet, tmp_path: Path, measured: Counter[str]
) -> None:
    path = tmp_path / "video_set.json"
    record = describe_video_set(videos, path, seed=0)
    earlier = {name: features[:19] for name, features in record.features.items()}
    record.model_copy(update={"features": earlier}).save(path)
    assert describe_video_set(videos, path, seed=0) == record
    assert measured["measure_shortcuts"] == 2


def test_a_damaged_description_is_made_again(videos: VideoSet, tmp_path: Path, measured: Counter[str]) -> None:
    path = tmp_path / "video_set.json"
    record = describe_video_set(videos, path, seed=0)
    path.write_bytes(path.read_bytes()[:-20])
    assert find_description(videos, path) is None
    assert describe_video_set(videos, path, seed=0) == record
    assert measured["measure_shortcuts"] == 2


# --- what cannot be read


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(Path.unlink, "does not exist"), (lambda path: path.write_bytes(b"torn"), "was changed after the manifest")],
)
def test_a_held_out_video_that_cannot_be_read_is_listed_with_its_reason(
    own: VideoSet, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(own.root / "s12-blur.mp4")
    record = describe_video_set(own, tmp_path / "video_set.json", seed=0)
    ((video_id, said),) = record.unreadable.items()
    assert video_id == "s12/s12/blur"
    assert reason in said
    assert set(record.features) == {row.video_id for row in own.split("train", "holdout")} - {"s12/s12/blur"}
    assert record.controls["shortcut_auc"].n == 7


def test_a_held_out_clip_of_one_frame_is_listed_with_its_reason(
    own: VideoSet, clips: SimpleNamespace, tmp_path: Path
) -> None:
    short = clips.add_video(own.root, 50, "holdout", 0, clips.real_frames(50, n_frames=1))
    record = describe_video_set(VideoSet(own.root, (*own.rows, short)), tmp_path / "video_set.json", seed=0)
    assert list(record.unreadable) == [short.video_id]
    assert "fewer than two frames" in record.unreadable[short.video_id]


def test_a_held_out_video_that_is_back_is_described(own: VideoSet, tmp_path: Path) -> None:
    """Its frames were not compared with those of the other splits while it was away."""
    path = own.root / "s12-blur.mp4"
    path.rename(tmp_path / "away.mp4")
    assert list(describe_video_set(own, tmp_path / "video_set.json", seed=0).unreadable) == ["s12/s12/blur"]
    (tmp_path / "away.mp4").rename(path)
    record = describe_video_set(own, tmp_path / "video_set.json", seed=0)
    assert record.unreadable == {}
    assert "s12/s12/blur" in record.features


@pytest.mark.parametrize("split", ["validation", "holdout"])
def test_a_leak_in_a_video_that_is_back_is_refused(own: VideoSet, tmp_path: Path, split: Split) -> None:
    row, leak = leaking(own, split)
    (own.root / row.path).rename(tmp_path / "away.mp4")
    describe_video_set(leak, tmp_path / "video_set.json", seed=0)
    (tmp_path / "away.mp4").rename(own.root / row.path)
    with pytest.raises(BenchError, match="show near-duplicate frames"):
        describe_video_set(leak, tmp_path / "video_set.json", seed=0)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(Path.unlink, "does not exist"), (lambda path: path.write_bytes(b"torn"), "was changed after the manifest")],
)
def test_a_training_video_that_cannot_be_read_is_an_error(
    own: VideoSet, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(own.root / "s00-blur.mp4")
    with pytest.raises(BenchError, match=f"s00/s00/blur.*{reason}") as caught:
        describe_video_set(own, tmp_path / "manifests" / "video_set.json", seed=0)
    assert caught.value.hint
    assert not (tmp_path / "manifests").exists()


def test_a_training_clip_of_one_frame_is_an_error_that_names_it(
    own: VideoSet, clips: SimpleNamespace, tmp_path: Path
) -> None:
    short = clips.add_video(own.root, 50, "train", 0, clips.real_frames(50, n_frames=1))
    with pytest.raises(BenchError, match="fewer than two frames") as caught:
        describe_video_set(VideoSet(own.root, (*own.rows, short)), tmp_path / "manifests" / "video_set.json", seed=0)
    assert "s50/s50/real" in caught.value.message
    assert not (tmp_path / "manifests").exists()


# --- bad input


@pytest.mark.parametrize("split", ["train", "validation", "holdout"])
def test_a_set_without_a_split_is_refused_and_leaves_no_file(
    videos: VideoSet, tmp_path: Path, measured: Counter[str], split: str
) -> None:
    with pytest.raises(BenchError, match=f"no videos of split {split}"):
        describe_video_set(videos.select(lambda row: row.split != split), tmp_path / "m" / "v.json", seed=0)
    assert not (tmp_path / "m").exists()
    assert not measured  # before any work


def test_a_leak_is_refused_before_any_frame_is_read_and_leaves_no_file(
    videos: VideoSet, tmp_path: Path, measured: Counter[str]
) -> None:
    with pytest.raises(BenchError, match="Leak between splits: The person 's00'"):
        describe_video_set(changed(videos, 0, split="holdout"), tmp_path / "m" / "v.json", seed=0)
    assert not (tmp_path / "m").exists()
    assert measured == {"audit_leaks": 1}


def leaking(videos: VideoSet, split: Split = "holdout") -> tuple[VideoRow, VideoSet]:
    """A copy of a training clip that is labelled as another person's of another split."""
    original = find(videos, "s00/s00/real")
    frames = [cv2.convertScaleAbs(frame, alpha=1.05, beta=5) for frame in other_frames(videos, original)]
    copy = write_clip(videos.root / "copy.mp4", frames, original.fps)
    changes = {"video_id": "x/x/real", "people": name_people("x"), "split": split, "path": "copy.mp4"}
    row = original.model_copy(update=changes | {"sha256": copy.sha256})
    return row, VideoSet(videos.root, (*videos.rows, row))


def test_a_leak_that_only_the_frames_show_is_refused_and_leaves_no_file(
    own: VideoSet, tmp_path: Path, measured: Counter[str]
) -> None:
    _, leak = leaking(own)
    with pytest.raises(BenchError, match=r"s00/s00/real \(train\) and x/x/real \(holdout\) show near-duplicate"):
        describe_video_set(leak, tmp_path / "m" / "v.json", seed=0)
    assert not (tmp_path / "m").exists()
    assert set(measured) == {"audit_leaks", "audit_frames"}


def test_clips_of_several_sizes_are_refused_and_leave_no_file(videos: VideoSet, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="64x32, 64x64"):
        describe_video_set(changed(videos, 3, width=64), tmp_path / "m" / "v.json", seed=0)
    assert not (tmp_path / "m").exists()


def test_a_failure_to_measure_the_fakes_leaves_no_file(videos: VideoSet, tmp_path: Path) -> None:
    def measure_quality() -> dict[str, float]:
        raise BenchError("A fake is gone.", hint="Make it again.")

    with pytest.raises(BenchError, match="A fake is gone"):
        describe_video_set(videos, tmp_path / "m" / "v.json", seed=0, measure_quality=measure_quality)
    assert not (tmp_path / "m").exists()


def test_a_refused_set_does_not_replace_the_description_of_another(videos: VideoSet, tmp_path: Path) -> None:
    record = describe_video_set(videos, tmp_path / "v.json", seed=0)
    with pytest.raises(BenchError, match="Leak between splits"):
        describe_video_set(changed(videos, 0, split="holdout"), tmp_path / "v.json", seed=0)
    assert find_description(videos, tmp_path / "v.json") == record


def test_without_a_file_there_is_no_description(videos: VideoSet, tmp_path: Path) -> None:
    assert find_description(videos, tmp_path / "v.json") is None
