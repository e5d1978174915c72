"""Leaks between splits and sizes of clips."""

from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.corpora.manifest import Person, Role, Split, VideoRow, name_people
from dancebench.datasets.video.clips import EncoderSettings, stream, write_clip
from dancebench.detect.inputs.leak_audit import (
    audit_frames,
    audit_leaks,
    describe_shared_ancestors,
    find_leaks,
    require_one_size,
)
from dancebench.detect.inputs.video_set import VideoSet

BASE = VideoRow(
    video_id="a/a/real", path="a.mp4", sha256="1" * 64, label=0, split="train", people=name_people("a"),
    method=None, fps=25, n_frames=20, codec="h264", crf=18, width=32, height=64,
)  # fmt: skip


def row(video: str, **changes: object) -> VideoRow:
    """A row of its own person and file, but for the changes."""
    fields = {"video_id": f"{video}/{video}/real", "sha256": video * 64, "people": name_people(video)}
    return BASE.model_copy(update=fields | changes)


def test_separate_people_pass() -> None:
    audit_leaks([BASE, row("b", split="validation"), row("c", split="holdout"), row("d")])


@pytest.mark.parametrize("role", get_args(Role))
def test_a_person_in_two_splits_is_named_with_both_videos(role: Role) -> None:
    with pytest.raises(BenchError) as caught:
        audit_leaks(
            [BASE, row("b", split="holdout", people=(Person(id="b", role="target"), Person(id="a", role=role)))]
        )
    assert "The person 'a'" in caught.value.message
    assert "a/a/real (train) and b/b/real (holdout)" in caught.value.message


def test_a_file_in_two_splits_is_named_with_both_videos() -> None:
    with pytest.raises(BenchError, match=r"sha256 111111111111….*a/a/real \(train\) and b/b/real \(holdout\)"):
        audit_leaks([BASE, row("b", split="holdout", sha256="1" * 64)])


def test_training_and_held_out_fakes_of_one_ancestor_are_marked_and_no_others() -> None:
    first, second = "a" * 64, "b" * 64
    training = [BASE, row("b", label=1, ancestor=first), row("c", split="validation", label=1, ancestor=second)]
    assert describe_shared_ancestors([*training, row("d", split="holdout", label=1, ancestor=second)]) == []
    assert describe_shared_ancestors([*training, row("d", split="holdout", label=1)]) == []
    (flag,) = describe_shared_ancestors([*training, row("d", split="holdout", label=1, ancestor=first)])
    assert flag == "warm start: training and held-out fakes share an ancestor (aaaaaaaaaaaa)"


def test_many_leaks_are_counted() -> None:
    leaks = [row(name, split="holdout", people=name_people(name, "a")) for name in "bcdef"]
    with pytest.raises(BenchError, match="and 2 more"):
        audit_leaks([BASE, *leaks])


def test_a_group_of_unknown_people_is_in_one_split_and_who_is_in_no_split_leaks_nothing() -> None:
    unknown = {"people": (), "group": "clip7"}
    audit_leaks([row("b", **unknown), row("c", **unknown)])
    audit_leaks([row("b", **unknown), row("c", split=None, **unknown)])
    with pytest.raises(BenchError, match=r"The clip group 'clip7' is in b/b/real \(train\) and c/c/real \(holdout\)"):
        audit_leaks([row("b", **unknown), row("c", split="holdout", **unknown)])


def test_files_that_were_not_hashed_are_not_one_file() -> None:
    audit_leaks([row("b", sha256=None), row("c", split="holdout", sha256=None)])


def test_leaks_are_listed_with_a_line_for_each_person() -> None:
    rows = [BASE, *(row(name, split="holdout", people=name_people(name, "a")) for name in "bcd")]
    assert find_leaks(rows) == ["The person 'a' is in a/a/real (train) and b/b/real (holdout), and 2 more"]
    assert find_leaks([row("b"), row("c", split="holdout")]) == []


# --- driving people


@given(first=st.sampled_from(get_args(Split)), second=st.sampled_from(get_args(Split)))
def test_only_training_and_validation_share_people_who_only_drive(first: Split, second: Split) -> None:
    rows = [row(name, split=split, people=name_people(name, "driver")) for name, split in (("b", first), ("c", second))]
    if first != second and "holdout" in (first, second):
        with pytest.raises(BenchError, match="The person 'driver'"):
            audit_leaks(rows)
    else:
        audit_leaks(rows)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_person_seen_in_training_does_not_drive_in_validation(turn: int) -> None:
    """In either order of the rows, and although the same person also drives in training."""
    rows = [row("b", people=name_people("b", "a")), BASE, row("c", split="validation", people=name_people("c", "a"))]
    with pytest.raises(BenchError, match="The person 'a'"):
        audit_leaks(rows[::turn])


def test_a_driving_motion_is_not_shared_with_the_holdout() -> None:
    motion = {"motion_sha256": "9" * 64}
    audit_leaks([row("b", **motion), row("c", split="validation", **motion), row("d", split="holdout")])
    with pytest.raises(BenchError, match=r"The motion with sha256 999999999999….*b/b/real.*d/d/real"):
        audit_leaks([row("b", **motion), row("d", split="holdout", **motion)])


# --- frames


def copied(root: Path, video: VideoRow, split: Split) -> VideoRow:
    """A brighter copy of half the size at CRF 35, labelled as another person's."""
    frames = (
        cv2.convertScaleAbs(cv2.resize(frame, (frame.shape[1] // 2, frame.shape[0] // 2)), alpha=1.1, beta=15)
        for _, frame in stream(root / video.path)
    )
    copy = write_clip(root / "copy.mp4", frames, video.fps, encoder=EncoderSettings(crf=35))
    changes = {"video_id": "x/x/real", "people": name_people("x"), "split": split}
    return video.model_copy(update=changes | {"path": "copy.mp4", "sha256": copy.sha256})


def textured(root: Path, clips: SimpleNamespace, person: int, split: Split) -> VideoRow:
    video: VideoRow = clips.add_video(root, person, split, 0, clips.real_frames(person, size=(128, 64)))
    return video


def test_an_altered_copy_in_another_split_is_named(tmp_path: Path, clips: SimpleNamespace) -> None:
    rows = [textured(tmp_path, clips, person, "train") for person in range(3)]
    audit_frames(VideoSet(tmp_path, (*rows, copied(tmp_path, rows[1], "train"))))
    leak = (*rows, copied(tmp_path, rows[1], "holdout"))
    audit_leaks(leak)  # the rows do not show it
    with pytest.raises(BenchError, match=r"s01/s01/real \(train\) and x/x/real \(holdout\) show near-duplicate frames"):
        audit_frames(VideoSet(tmp_path, leak))


def test_frames_of_other_people_pass(videos: VideoSet) -> None:
    progress = []
    audit_frames(videos, lambda what, done, total: progress.append((done, total)))
    assert progress[-1] == (26, 26)


def test_a_video_that_cannot_be_read_is_skipped(tmp_path: Path, clips: SimpleNamespace) -> None:
    damaged, gone = (textured(tmp_path, clips, person, "train") for person in range(2))
    (tmp_path / damaged.path).write_bytes(b"nothing")
    (tmp_path / gone.path).unlink()
    audit_frames(VideoSet(tmp_path, (damaged, gone, textured(tmp_path, clips, 2, "holdout"))))


def test_black_clips_are_no_near_duplicates(tmp_path: Path, clips: SimpleNamespace) -> None:
    black = [np.zeros((64, 32, 3), np.uint8)] * 4
    splits: tuple[Split, Split] = ("train", "holdout")
    rows = [clips.add_video(tmp_path, k, split, 0, black) for k, split in enumerate(splits)]
    audit_frames(VideoSet(tmp_path, tuple(rows)))


# --- sizes


def test_clip_size_is_the_one_size() -> None:
    assert require_one_size([BASE, row("b")]) == (64, 32)
    with pytest.raises(BenchError, match="64x32, 64x64"):
        require_one_size([BASE, row("b", width=64)])
