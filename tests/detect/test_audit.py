"""Leaks between splits and sizes of clips."""

import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.manifest import VideoRow
from dancebench.detect.audit import audit_leaks, clip_size

BASE = VideoRow(
    video_id="a/a/real", path="a.mp4", sha256="1" * 64, label=0, split="train", subject_id="a", source_id="a",
    method=None, fps=25, n_frames=20, codec="h264", crf=18, width=32, height=64,
)  # fmt: skip


def row(video: str, **changes: object) -> VideoRow:
    """A row of its own person and file, but for the changes."""
    own = {"video_id": f"{video}/{video}/real", "sha256": video * 64, "subject_id": video, "source_id": video}
    return BASE.model_copy(update=own | changes)


def test_separate_people_pass() -> None:
    audit_leaks([BASE, row("b", split="validation"), row("c", split="holdout"), row("d")])


@pytest.mark.parametrize("role", ["subject_id", "source_id"])
def test_a_person_in_two_splits_is_named_with_both_videos(role: str) -> None:
    with pytest.raises(BenchError) as caught:
        audit_leaks([BASE, row("b", split="holdout", **{role: "a"})])
    assert "The person 'a'" in caught.value.message
    assert "a/a/real (train) and b/b/real (holdout)" in caught.value.message


def test_a_file_in_two_splits_is_named_with_both_videos() -> None:
    with pytest.raises(BenchError, match=r"sha256 111111111111….*a/a/real \(train\) and b/b/real \(holdout\)"):
        audit_leaks([BASE, row("b", split="holdout", sha256="1" * 64)])


def test_many_leaks_are_counted() -> None:
    leaks = [row(name, split="holdout", source_id="a") for name in "bcdef"]
    with pytest.raises(BenchError, match="and 2 more"):
        audit_leaks([BASE, *leaks])


def test_clip_size_is_the_one_size() -> None:
    assert clip_size([BASE, row("b")]) == (64, 32)
    with pytest.raises(BenchError, match="64x32, 64x64"):
        clip_size([BASE, row("b", width=64)])
