"""Views of recordings: written by the one function, found by a stand-in or by MediaPipe on real clips."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from outside_files import moving, write_video

from dancebench.core.errors import BenchError
from dancebench.datasets.pose.box import Box
from dancebench.datasets.video.clips import Frame, stream, write_clip
from dancebench.datasets.video.frames import Letterbox
from dancebench.detect.inputs.recordings import FolderRecording, open_recording
from dancebench.detect.inputs.view import View
from dancebench.detect.inputs.views import NothingToSeeError, WrittenView, write_view

SIZE = (120, 160)


def show(path: Path) -> Frame:
    return np.stack([frame for _, frame in stream(path)])


def write_dot(path: Path, *, n_frames: int = 50, fps: int = 25, side: int = 20, speed: float = 1.0) -> Path:
    """A white square on grey that moves to the right."""
    frames = []
    for index in range(n_frames):
        frame = np.full((*SIZE, 3), 90, np.uint8)
        left = 20 + round(speed * index)
        frame[40 : 40 + side, left : left + side] = 255
        frames.append(frame)
    return write_clip(path, frames, fps).path


def find_dot(frame: Frame) -> list[Box[float]]:
    rows, columns = np.nonzero(frame[..., 0] > 170)
    if len(rows) < 9:
        return []
    return [Box(float(rows.min()), float(rows.max() + 1), float(columns.min()), float(columns.max() + 1))]


def find_nobody(frame: Frame) -> list[Box[float]]:
    return []


def write(path: Path, out: Path, view: View, **options: object) -> WrittenView:
    return write_view(open_recording(path), view, 25, out, **options)  # type: ignore[arg-type]


def test_a_frame_is_letterboxed_as_clips_always_were(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(10, (64, 32)))
    view = write(path, tmp_path / "view.mp4", View("frame", 64, 64))
    letterbox = Letterbox((64, 32), (64, 64))
    write_clip(tmp_path / "expected.mp4", (letterbox.apply(frame) for _, frame in stream(path)), 25)
    assert (tmp_path / "view.mp4").read_bytes() == (tmp_path / "expected.mp4").read_bytes()
    assert (view.facts.padded, view.facts.looked_at) == (0, 0)


def test_a_frame_that_is_smaller_than_the_view_is_not_enlarged(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving(10, (64, 32)))
    view = write(path, tmp_path / "view.mp4", View("frame", 128, 96))
    surrounded = [np.pad(frame, ((32, 32), (32, 32), (0, 0))) for _, frame in stream(path)]
    write_clip(tmp_path / "expected.mp4", iter(surrounded), 25)
    assert (tmp_path / "view.mp4").read_bytes() == (tmp_path / "expected.mp4").read_bytes()
    assert view.facts.padded == 10


def test_who_moves_and_comes_back_between_two_looks_stays_in_view(tmp_path: Path) -> None:
    """Looks are 13 frames apart: at each the square is where it began, in between it was 20 pixels to the right."""
    rng = np.random.default_rng(0)
    square = cv2.resize(rng.integers(120, 256, (5, 5, 3), np.uint8), (24, 24), interpolation=cv2.INTER_CUBIC)
    lefts = [30 + round(20 * np.sin(np.pi * (index % 13) / 13)) for index in range(40)]
    frames = []
    for left in lefts:
        frame = np.full((*SIZE, 3), 30, np.uint8)
        frame[40:64, left : left + 24] = np.maximum(square, 120)
        frames.append(frame)
    path = write_clip(tmp_path / "a.mp4", iter(frames), 25).path

    def find(frame: Frame) -> list[Box[float]]:
        columns = np.nonzero(frame[52, :, 0] > 75)[0]
        return [Box(40.0, 64.0, float(columns.min()), float(columns.max() + 1))]

    view = write(path, tmp_path / "view.mp4", View("person", 48, 48), find=find)
    assert view.facts.looked_at == 4
    for frame in show(tmp_path / "view.mp4"):
        columns = np.nonzero(frame[24, :, 0] > 75)[0]
        assert np.ptp(columns) + 1 >= 23  # never cut off
        assert abs((columns.min() + columns.max()) / 2 - 23.5) <= 4


def test_the_native_picture_is_never_enlarged(tmp_path: Path) -> None:
    """Smaller than the view it lies in the middle of black; larger, it is letterboxed as a frame is."""
    path = write_video(tmp_path / "a.mp4", moving(10, (64, 32)))
    view = write(path, tmp_path / "native.mp4", View("native", 96, 80))
    expected = np.zeros((10, 96, 80, 3), np.uint8)
    expected[:, 16:80, 24:56] = show(path)
    write_clip(tmp_path / "expected.mp4", iter(expected), 25)
    assert (tmp_path / "native.mp4").read_bytes() == (tmp_path / "expected.mp4").read_bytes()
    assert (view.facts.padded, view.facts.looked_at) == (10, 0)
    assert view.facts.view == "native:96x80"
    for name in ("frame", "native"):
        write(path, tmp_path / f"{name}-small.mp4", View(name, 48, 48))
    assert (tmp_path / "native-small.mp4").read_bytes() == (tmp_path / "frame-small.mp4").read_bytes()


def test_a_person_is_followed_in_native_resolution(tmp_path: Path) -> None:
    path = write_dot(tmp_path / "a.mp4")
    view = write(path, tmp_path / "view.mp4", View("person", 32, 32), find=find_dot)
    assert view.facts.model_dump(exclude_defaults=True) == {
        "view": "person:32x32", "looked_at": 4, "found_in": 4, "seen": 1, "padded": 46, "left_out": 4,
    }  # fmt: skip
    for frame in show(tmp_path / "view.mp4")[
        :40
    ]:  # up to the last look the square is 20 pixels wide, in the middle, not enlarged
        rows, columns = np.nonzero(frame[..., 0] > 170)
        assert abs(np.ptp(columns) + 1 - 20) <= 1
        assert abs((columns.min() + columns.max()) / 2 - 15.5) <= 1.5
        assert abs((rows.min() + rows.max()) / 2 - 15.5) <= 1.5


def test_what_is_larger_than_the_view_is_reduced_to_it(tmp_path: Path) -> None:
    path = write_dot(tmp_path / "a.mp4", side=60, n_frames=26)
    view = write(path, tmp_path / "view.mp4", View("face", 32, 32), find=find_dot)
    assert view.facts.padded == 0
    frame = show(tmp_path / "view.mp4")[0]
    assert abs((frame[..., 0] > 170).any(axis=0).sum() - 32 / 1.3) <= 1.5
    assert frame[0, 0, 0] > 60  # no black around it


def test_frames_in_which_nobody_is_seen_are_left_out_and_no_pair_lies_across(tmp_path: Path) -> None:
    frames = list(show(write_dot(tmp_path / "a.mp4", n_frames=100, speed=0.2)))
    frames[25:75] = [np.full((*SIZE, 3), 90, np.uint8)] * 50  # nobody for two seconds
    write_clip(tmp_path / "gap.mp4", frames, 25)
    view = write(tmp_path / "gap.mp4", tmp_path / "view.mp4", View("person", 32, 32), find=find_dot)
    assert len(view.times) + view.facts.left_out == 100
    assert view.facts.left_out > 25
    assert view.times.max() < 1.3 or view.times.min() > 2.5  # one of the two visits: the larger track


def test_several_people_are_counted(tmp_path: Path) -> None:
    path = write_dot(tmp_path / "a.mp4", n_frames=20)
    two = [Box(40.0, 60.0, 20.0, 40.0), Box(90.0, 100.0, 100.0, 110.0)]
    view = write(path, tmp_path / "view.mp4", View("person", 32, 32), find=lambda frame: two)
    assert view.facts.seen == 2


def test_nobody_is_an_error_with_the_counts(tmp_path: Path) -> None:
    path = write_dot(tmp_path / "a.mp4", n_frames=30)
    with pytest.raises(NothingToSeeError, match="No face was found in 3 frames") as caught:
        write(path, tmp_path / "view.mp4", View("face", 32, 32), find=find_nobody)
    assert caught.value.hint
    assert caught.value.facts.looked_at == 3
    assert not (tmp_path / "view.mp4").exists()


def test_a_crop_is_the_whole_picture(tmp_path: Path) -> None:
    path = write_dot(tmp_path / "a.mp4", n_frames=4)
    write(path, tmp_path / "view.mp4", View("frame", 60, 80), crop=Box(30, 90, 0, 80))
    expected = cv2.resize(show(path)[0][30:90, :80], (80, 60), interpolation=cv2.INTER_AREA)
    assert np.abs(show(tmp_path / "view.mp4")[0].astype(int) - expected).mean() < 3


@pytest.mark.parametrize("crop", [Box(0, 121, 0, 80), Box(-1, 60, 0, 80), Box(10, 10, 0, 80), Box(0, 60, 90, 170)])
def test_a_crop_outside_the_picture_is_refused(tmp_path: Path, crop: Box[int]) -> None:
    path = write_dot(tmp_path / "a.mp4", n_frames=4)
    with pytest.raises(BenchError, match="is not in it") as caught:
        write(path, tmp_path / "view.mp4", View("frame", 60, 80), crop=crop)
    assert caught.value.hint


def test_a_view_has_one_rate_and_a_slower_recording_its_own(tmp_path: Path) -> None:
    fast, slow = write_dot(tmp_path / "f.mp4", fps=50), write_dot(tmp_path / "s.mp4", fps=10, n_frames=10)
    assert write(fast, tmp_path / "v.mp4", View("frame", 60, 80)).clip.fps == 25
    assert write(slow, tmp_path / "v.mp4", View("frame", 60, 80)).clip.fps == 10


def test_a_folder_of_images_is_a_recording_at_a_stated_rate(tmp_path: Path) -> None:
    for index, frame in enumerate(moving(5, (64, 32))):
        cv2.imwrite(str(tmp_path / f"{index}.png"), frame[..., ::-1])
    recording = open_recording(tmp_path, 10.0)
    assert isinstance(recording, FolderRecording)
    view = write_view(recording, View("frame", 64, 32), 25, tmp_path.parent / f"{tmp_path.name}.mp4")
    assert (view.clip.fps, len(view.times), list(view.pts)) == (10, 5, [None] * 5)
    with pytest.raises(BenchError, match="without a frame rate"):
        open_recording(tmp_path)


# --- real clips


def real(name: str) -> Path:
    folder = os.environ.get("BENCH_REAL_CLIPS")
    path = Path(folder or "") / name
    if not folder or not path.is_file():
        pytest.skip("BENCH_REAL_CLIPS names no folder with this clip")
    pytest.importorskip("mediapipe")
    return path


def test_a_person_is_found_in_every_look_at_a_real_clip(tmp_path: Path) -> None:
    path = real("tfjs_pose_squats.mp4")
    view = write_view(open_recording(path), View("person", 128, 64), 25, tmp_path / "v.mp4")
    assert (view.facts.found_in, view.facts.seen, view.facts.left_out) == (view.facts.looked_at, 1, 0)
    again = write_view(open_recording(path), View("person", 128, 64), 25, tmp_path / "w.mp4")
    assert again.clip.sha256 == view.clip.sha256  # boxes depend on pixels alone


def test_a_face_is_found_in_a_real_clip_and_a_picture_without_one_has_none(tmp_path: Path) -> None:
    view = write_view(open_recording(real("tfjs_pose_squats.mp4")), View("face", 64, 64), 25, tmp_path / "v.mp4")
    assert view.facts.found_in > 0.7 * view.facts.looked_at
    with pytest.raises(NothingToSeeError):
        write_view(open_recording(write_dot(tmp_path / "a.mp4")), View("face", 64, 64), 25, tmp_path / "w.mp4")
