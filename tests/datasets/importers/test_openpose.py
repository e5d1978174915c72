"""OpenPose's JSON: both body formats in closed form, several people, gaps, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.core.workspace import Workspace
from dancebench.datasets.importers.openpose import follow_person, read_openpose, read_people
from dancebench.datasets.pose.skeleton import (
    BODY,
    FACE,
    L_ANKLE,
    L_EAR,
    L_HIP,
    L_SHOULDER,
    LEFT_HAND,
    MID_HIP,
    NECK,
    R_ELBOW,
    R_EYE,
    R_HIP,
    R_SHOULDER,
    RIGHT_HAND,
    has_person,
)  # fmt: skip
from dancebench.datasets.subjects.dataset import Dataset, Subject
from dancebench.datasets.subjects.permission import state_permission
from dancebench.datasets.subjects.records import DatasetRecord, PrepareConfig, Role
from dancebench.datasets.video.clips import write_clip

SIZE = (128, 64)
Triples = npt.NDArray[np.float64]


def body(n_points: int = 25, *, x: float = 30.0, confidence: float = 0.9) -> Triples:
    """Point k lies at (x + k / 10, 10 + 2 k)."""
    k = np.arange(n_points)
    return np.stack([x + k / 10, 10 + 2 * k, np.full(n_points, confidence)], axis=1)


def person(points: Triples, **parts: Triples) -> dict[str, Any]:
    keys = {"face": "face_keypoints_2d", "left": "hand_left_keypoints_2d", "right": "hand_right_keypoints_2d"}
    supplied = {keys[part]: values.ravel().tolist() for part, values in parts.items()}
    empty: dict[str, list[float]] = {key: [] for key in keys.values()}
    return {"person_id": [-1], "pose_keypoints_2d": points.ravel().tolist(), **empty, **supplied}


def write(folder: Path, number: int, *people: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"dance_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}))
    return path


def grey(number: int) -> npt.NDArray[np.uint8]:
    return np.full((*SIZE, 3), 20 + 4 * number, np.uint8)


def video(tmp_path: Path, n_frames: int = 12, fps: float = 30) -> Path:
    path = tmp_path / "dance.mp4"
    write_clip(path, (grey(number) for number in range(n_frames)), fps)
    return path


def images(tmp_path: Path, numbers: list[int]) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in numbers:
        assert cv2.imwrite(str(folder / f"dance_{number:05d}.png"), grey(number))
    return folder


def import_poses(tmp_path: Path, frames: Path, *, fps: float = 30, role: Role = "target") -> Subject:
    workspace = Workspace(tmp_path / "w").open()
    record = DatasetRecord(name="d", licence="MIT", prepare=PrepareConfig(height=128, width=64))
    imported = read_openpose(tmp_path / "json", frames, fps=fps)
    permission = state_permission(role, consent="yes", legal_basis="yes")
    dataset = Dataset(workspace.dataset("d"), record)
    return dataset.add_import("a", imported, role=role, licence="MIT", permission=permission)[1]


# ---------------------------------------------------------------- closed form


def test_closed_form_body_25(tmp_path: Path) -> None:
    points = body()
    points[7, 2] = 0
    (found,), count = read_people(write(tmp_path / "json", 0, person(points)))
    assert count == 25
    points[7] = 0  # confidence 0 = missing
    assert np.allclose(found[BODY], points)
    assert not found[25:].any()


def test_closed_form_coco_18(tmp_path: Path) -> None:
    points = body(18)
    points[[8, 11]] = [(20, 60, 0.5), (40, 64, 0.7)]  # the hips
    (found,), count = read_people(write(tmp_path / "json", 0, person(points)))
    assert count == 18
    coco = {NECK: 1, R_SHOULDER: 2, R_ELBOW: 3, R_HIP: 8, L_HIP: 11, L_ANKLE: 13, R_EYE: 14, L_EAR: 17}
    for ours, theirs in coco.items():
        assert np.allclose(found[ours], points[theirs])
    assert np.allclose(found[MID_HIP], (30, 62, 0.6))
    assert not found[19:25].any()  # no feet
    points[8, 2] = 0
    (found,), _ = read_people(write(tmp_path / "json", 0, person(points)))
    assert not found[[MID_HIP, R_HIP]].any()


def test_closed_form_face_and_hands(tmp_path: Path) -> None:
    face = np.stack([np.arange(70), np.full(70, 5), np.full(70, 0.8)], axis=1)
    left, right = body(21, x=10), body(21, x=50)
    (found,), _ = read_people(write(tmp_path / "json", 0, person(body(), face=face, left=left, right=right)))
    assert found[FACE, 0].tolist() == [27, 30, 8, 0, 16, 33, 68, 69]
    assert np.allclose(found[FACE, 1:], (5, 0.8))
    assert np.allclose(found[LEFT_HAND], left)
    assert np.allclose(found[RIGHT_HAND], right)


def test_one_person_is_followed_among_several(tmp_path: Path) -> None:
    """Most confident at first, then nearest; a frame without people has no pose, a figure without points is ignored."""
    nobody = person(np.zeros((25, 3)))
    files = [
        write(tmp_path / "json", 0, nobody),
        write(tmp_path / "json", 1, person(body(x=10, confidence=0.4)), person(body(x=40, confidence=0.6)), nobody),
        write(tmp_path / "json", 2, person(body(x=42, confidence=0.2)), person(body(x=12, confidence=1.0))),
        write(tmp_path / "json", 3),
        write(tmp_path / "json", 4, person(body(x=12)), person(body(x=45)), person(body(x=0))),
        write(tmp_path / "json", 5, person(body(x=46))),
    ]
    poses, several = follow_person([read_people(path)[0] for path in files])
    assert poses[:, 0, 0].tolist() == [0, 40, 42, 0, 45, 46]
    assert has_person(poses).tolist() == [False, True, True, False, True, True]
    assert several == 3


def test_without_a_shared_joint_the_most_confident_is_used() -> None:
    first, second = np.zeros((1, 75, 3), np.float32), np.zeros((2, 75, 3), np.float32)
    first[0, NECK] = (5, 5, 1)
    second[0, MID_HIP], second[1, MID_HIP] = (5, 9, 0.3), (50, 9, 0.9)
    assert follow_person([first, second])[0][1, MID_HIP].tolist() == pytest.approx([50, 9, 0.9])


# ---------------------------------------------------------------- a clip


@pytest.mark.parametrize("with_hands", [False, True])
def test_an_empty_list_of_body_points_is_nobody(tmp_path: Path, with_hands: bool) -> None:
    empty = person(np.zeros((0, 3)), **({"left": body(21)} if with_hands else {}))
    alone, beside = write(tmp_path / "json", 0, empty), write(tmp_path / "json", 1, empty, person(body(18)))
    people, n_points = read_people(alone)
    assert (people.shape, n_points) == ((0, 75, 3), None)
    people, n_points = read_people(beside)
    assert (people.shape, n_points) == ((1, 75, 3), 18)


def test_frames_with_nobody_have_no_pose(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "json", number, person(body() if number != 5 else np.zeros((0, 3))))
    poses = [supplied.pose for segment in read_openpose(tmp_path / "json", video(tmp_path), fps=30).footage.segments
             for _, supplied in segment.frames()]  # fmt: skip
    assert [pose is not None and has_person(pose) for pose in poses] == [number != 5 for number in range(12)]


def test_closed_form_numbers_that_step_by_4_are_consecutive(tmp_path: Path) -> None:
    numbers = [20001, 20005, 20009, 20013, 20025, 20029]
    for number in numbers:
        write(tmp_path / "json", number, person(body()))
    frames = tmp_path / "frames"
    frames.mkdir()
    for k, number in enumerate(numbers):
        assert cv2.imwrite(str(frames / f"frame{number:06d}.png"), grey(k))
    segments = read_openpose(tmp_path / "json", frames, fps=30).footage.segments
    assert [len(list(segment.frames())) for segment in segments] == [4, 2]


def test_poses_come_with_the_frames_of_a_video(tmp_path: Path) -> None:
    for number in range(12):
        people = [person(body(x=20 + number))] if number != 5 else []
        write(tmp_path / "json", 100 + number, *people)
    subject = import_poses(tmp_path, video(tmp_path), role="holdout")  # no gap: any role
    record = subject.record
    assert record.pose_extractor == "openpose json BODY_25"
    assert (record.n_frames, record.person_frames, record.breaks, record.n_train) == (12, 11, (), None)
    assert record.source.kind == "imported"
    assert (record.source.layout, record.source.fps) == ("openpose", None)
    expected = np.where(np.arange(12) == 5, 0, 20 + np.arange(12))
    assert subject.keypoints()[:, 0, 0].tolist() == expected.tolist()
    assert subject.pose_map_style == "sticks"
    assert next(subject.pose_maps([0], SIZE)).any()


def test_resampling_keeps_poses_and_frames_aligned_across_gaps(tmp_path: Path) -> None:
    numbers = [*range(9), *range(12, 17)]
    for number in numbers:
        write(tmp_path / "json", number, person(body(18, x=20 + number)))
    subject = import_poses(tmp_path, images(tmp_path, numbers), fps=60)
    kept = [0, 2, 4, 6, 8, 12, 14, 16]
    assert subject.keypoints()[:, 0, 0].tolist() == [20 + number for number in kept]
    with subject.open_reader() as clip:
        assert [round((float(frame.mean()) - 20) / 4) for frame in clip] == kept
    assert subject.record.breaks == (5,)
    assert subject.record.pose_extractor == "openpose json COCO-18"


def test_poses_are_letterboxed_as_the_frames_are(tmp_path: Path) -> None:
    """A 64x64 picture in a 128x64 clip: 32 rows lower."""
    write_clip(tmp_path / "square.mp4", (np.full((64, 64, 3), 99, np.uint8) for _ in range(10)), 30)
    for number in range(10):
        write(tmp_path / "json", number, person(body()))
    points = import_poses(tmp_path, tmp_path / "square.mp4").keypoints()[0]
    assert np.allclose(points[BODY], body() + np.array([0, 32, 0]))


def test_several_people_are_reported(tmp_path: Path) -> None:
    for number in range(12):
        others = [person(body(x=5))] if number % 4 == 0 else []
        write(tmp_path / "json", number, person(body(x=40)), *others)
    (note,) = read_openpose(tmp_path / "json", video(tmp_path), fps=30).notes
    assert note.startswith("Several people in 3 of 12 frames")


def test_the_source_hash_covers_poses_and_frames(tmp_path: Path) -> None:
    files = [write(tmp_path / "json", number, person(body())) for number in range(12)]
    frames = video(tmp_path)
    base = read_openpose(tmp_path / "json", frames, fps=30).source
    assert read_openpose(tmp_path / "json", frames, fps=30).source == base
    write(tmp_path / "json", 3, person(body(x=31)))
    assert read_openpose(tmp_path / "json", frames, fps=30).source.sha256 != base.sha256
    write(tmp_path / "json", 3, person(body()))
    files[0].rename(tmp_path / "json" / "other_0_keypoints.json")
    assert read_openpose(tmp_path / "json", frames, fps=30).source.sha256 != base.sha256


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "it is not JSON"),
        ("", "it is not JSON"),
        ("[]", "no list of people"),
        ('{"people": 3}', "no list of people"),
        ('{"people": [3]}', "no list of people"),
        ('{"people": [{}]}', "pose_keypoints_2d holds 0 numbers, not 75 or 54"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "pose_keypoints_2d holds 3 numbers"),
        ('{"people": [{"pose_keypoints_2d": "x"}]}', "pose_keypoints_2d is not a list of numbers"),
        ('{"people": [{"pose_keypoints_2d": ["1", true, null]}]}', "is not a list of numbers"),
        (json.dumps({"people": [person(body()), person(body(18))]}), "bodies of both 25 and 18 points"),
        (json.dumps({"people": [person(body(), face=body(68))]}), "face_keypoints_2d holds 204 numbers, not 210 or 0"),
        (json.dumps({"people": [person(body(), left=body(20))]}), "hand_left_keypoints_2d holds 60 numbers"),
        (json.dumps({"people": [person(body(confidence=float("nan")))]}), "not finite"),
        (json.dumps({"people": [{"pose_keypoints_2d": [10**400] * 75}]}), "not finite"),
    ],
)
def test_malformed_files_are_reported(tmp_path: Path, text: str, reason: str) -> None:
    for number in range(12):
        write(tmp_path / "json", number, person(body()))
    bad = write(tmp_path / "json", 7)
    bad.write_text(text)
    with pytest.raises(BenchError, match=reason) as error:
        read_openpose(tmp_path / "json", video(tmp_path), fps=30)
    assert str(bad) in error.value.message
    assert "\n" not in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "dance_000000000003_keypoints.json").unlink(), "11 JSON files for the 12 frames"),
        (
            lambda folder: (folder / "dance_000000000011_keypoints.json").rename(folder / "x_12_keypoints.json"),
            "x_12_keypoints.json does not match .*: its frame would be number 11",
        ),
        (lambda folder: write(folder, 5, person(body(18))), "18 body points where the files before hold 25"),
        (lambda folder: write(folder, 5, person(body() * (4, 4, 1))), "well outside its frame of 128x64"),
        (lambda folder: [write(folder, n, person(body() / (64, 128, 1))) for n in range(12)], "normalised coordinates"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], r"holds no \*_keypoints\.json"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), "is not a folder"),
    ],
)
def test_poses_of_other_frames_are_refused(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    for number in range(12):
        write(tmp_path / "json", number, person(body()))
    spoil(tmp_path / "json")
    with pytest.raises(BenchError, match=message) as error:
        read_openpose(tmp_path / "json", video(tmp_path), fps=30)
    assert error.value.hint


def test_numbers_with_different_gaps_are_refused(tmp_path: Path) -> None:
    for number in (0, 1, 2, 4, 5):
        write(tmp_path / "json", number, person(body()))
    with pytest.raises(BenchError, match=r"0004_keypoints.json does not match .*: its frame would be number 3"):
        read_openpose(tmp_path / "json", images(tmp_path, [0, 1, 2, 3, 5]), fps=30)


def test_a_gap_begins_a_segment_in_every_role(tmp_path: Path) -> None:
    numbers = [*range(5), *range(7, 12)]
    for number in numbers:
        write(tmp_path / "json", number, person(body()))
    frames = images(tmp_path, numbers)
    assert import_poses(tmp_path, frames, role="train").record.breaks == (5,)


def test_frames_without_a_person_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "json", number)
    with pytest.raises(BenchError, match="No person was found in any of the 12 frames"):
        import_poses(tmp_path, video(tmp_path))
    assert [path.name for path in (tmp_path / "w").rglob("*") if path.is_file()] == ["workspace.json"]


def test_a_video_that_ends_early_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video that decodes to fewer frames than stated would leave the last poses without frames."""
    from dancebench.datasets.video.frames import VideoSource

    for number in range(12):
        write(tmp_path / "json", number, person(body()))
    frames = video(tmp_path)
    whole = VideoSource.frames
    monkeypatch.setattr(VideoSource, "frames", lambda self: iter(list(whole(self))[:-1]))
    with pytest.raises(BenchError, match="Only 11 of the 12 frames can be decoded"):
        import_poses(tmp_path, frames)


def test_the_left_side_stays_left(tmp_path: Path) -> None:
    (found,), _ = read_people(write(tmp_path / "json", 0, person(body(18))))
    assert np.allclose(found[[R_SHOULDER, L_SHOULDER], 0], [30.2, 30.5])
