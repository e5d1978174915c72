"""Preparing a recording into a clip, and what a clip must show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.extractors.base import open_extractor
from dancebench.datasets.pose.skeleton import L_HIP, L_SHOULDER, MID_HIP, NECK, NOSE, R_HIP, R_SHOULDER, Keypoints
from dancebench.datasets.subjects import prepare as preparing
from dancebench.datasets.subjects.prepare import check_person, prepare, read_poses, write_poses
from dancebench.datasets.subjects.records import PrepareConfig
from dancebench.datasets.video.clips import VideoReader
from dancebench.datasets.video.frames import open_source


def standing(n_frames: int, x: float = 100.0) -> Keypoints:
    """A standing person 200 pixels tall at `x`: float32 [T, 75, 3]."""
    keypoints = np.zeros((n_frames, 75, 3), np.float32)
    places = {NOSE: (0, 0), NECK: (0, 40), MID_HIP: (0, 110), 11: (0, 200), 14: (0, 200)}
    places |= {R_SHOULDER: (-30, 40), L_SHOULDER: (30, 40), R_HIP: (-20, 110), L_HIP: (20, 110)}
    for joint, (dx, y) in places.items():
        keypoints[:, joint] = (x + dx, 50 + y, 1)
    return keypoints


def test_a_person_in_all_frames_is_accepted() -> None:
    check_person(standing(20), 25)


def test_a_clip_without_a_person_is_refused() -> None:
    with pytest.raises(BenchError, match="No person was found in any of the 20 frames"):
        check_person(np.zeros((20, 75, 3), np.float32), 25)


@pytest.mark.parametrize(("n", "found", "needed"), [(100, 49, 50), (10, 7, 8)])
def test_a_person_in_too_few_frames_is_refused_with_the_count(n: int, found: int, needed: int) -> None:
    keypoints = standing(n)
    keypoints[found:] = 0
    with pytest.raises(BenchError, match=f"only {found} of {n} frames; {needed} are needed"):
        check_person(keypoints, 25)


def test_a_jump_to_another_person_is_refused_with_its_frame() -> None:
    keypoints = np.concatenate([standing(30, x=100), standing(30, x=350)])
    with pytest.raises(BenchError, match=r"somebody else at frame 30 \(1\.20 s\)"):
        check_person(keypoints, 25)


def test_a_jump_is_detected_across_frames_without_a_person() -> None:
    keypoints = np.concatenate([standing(30, x=100), np.zeros((3, 75, 3), np.float32), standing(30, x=350)])
    with pytest.raises(BenchError, match="frame 33"):
        check_person(keypoints, 25)


def test_a_step_of_less_than_a_body_height_is_no_jump() -> None:
    check_person(np.concatenate([standing(30, x=100), standing(30, x=290)]), 25)


def test_poses_are_read_as_written(tmp_path: Path) -> None:
    keypoints = np.random.default_rng(0).random((5, 75, 3)).astype(np.float32)
    write_poses(tmp_path / "poses.npz", keypoints)
    assert np.array_equal(read_poses(tmp_path / "poses.npz"), keypoints)
    first = (tmp_path / "poses.npz").read_bytes()
    write_poses(tmp_path / "poses.npz", keypoints)
    assert (tmp_path / "poses.npz").read_bytes() == first


def test_poses_match_the_letterboxed_person(tmp_path: Path, real_clips: Path) -> None:
    """A 9:16 clip in a 1:1 frame: every point lies inside the image's own columns."""
    source = open_source(real_clips / "pose2sim_trial1_cam02.mp4")
    prepared = prepare(source, PrepareConfig(height=256, width=256, fps=30), tmp_path, extractor=open_extractor())
    assert prepared.clip.n_frames == 50
    assert prepared.clip.fps == pytest.approx(30)
    assert prepared.person_frames == 50
    body = prepared.keypoints[:, [NECK, MID_HIP], 0]
    inner = 256 * 9 / 16
    assert body.min() > (256 - inner) / 2
    assert body.max() < (256 + inner) / 2
    with VideoReader(tmp_path / "clip.mp4") as clip:
        assert len(clip) == len(prepared.keypoints)
        assert clip[0][:, :50].max() < 30  # the bar


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path, real_clips: Path) -> None:
    config = PrepareConfig(height=128, width=64, fps=2)
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        prepare(open_source(real_clips / "tfjs_pose_squats.mp4"), config, tmp_path / name, extractor=open_extractor())
        files.append([(tmp_path / name / file).read_bytes() for file in ("clip.mp4", "poses.npz")])
    assert files[0] == files[1]


def test_an_interrupted_preparation_leaves_no_clip(
    tmp_path: Path, real_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "check_person", stop)
    source = open_source(real_clips / "tfjs_pose_squats.mp4")
    folder = tmp_path / "a"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        prepare(source, PrepareConfig(height=128, width=64, fps=2), folder, extractor=open_extractor())
    assert not (folder / "poses.npz").exists()
