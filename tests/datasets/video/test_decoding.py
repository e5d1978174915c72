"""Decoding of any video file: its facts, its frames as displayed, and its defects."""

from __future__ import annotations

import errno
import itertools
import os
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.video.clips import VideoReader, probe, stream, write_clip

Frame = npt.NDArray[np.uint8]
Make = Callable[..., Path]
LOSSLESS = {"codec": "png", "pix_fmt": "rgb24"}


def picture(k: int, height: int = 64, width: int = 96) -> Frame:
    """Four quarters, no two alike, under a white square that moves with `k`."""
    frame = np.full((height, width, 3), 40, np.uint8)
    frame[: height // 2, : width // 2] = (220, 30, 30)
    frame[: height // 2, width // 2 :] = (30, 200, 30)
    frame[height // 2 :, : width // 2] = (30, 30, 220)
    left = (3 * k) % (width - 12)
    frame[10:22, left : left + 12] = 255
    return frame


def noise(k: int, height: int = 64, width: int = 96) -> Frame:
    """No two frames alike anywhere, and hard to compress."""
    return np.random.default_rng(k).integers(0, 256, (height, width, 3), dtype=np.uint8)


def difference(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> int:
    """The largest difference of two images, in levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())


CONTAINERS: dict[str, dict[str, Any]] = {
    "b.mp4": {"max_b_frames": 3},
    "b.mkv": {"max_b_frames": 3},
    "b.ts": {"max_b_frames": 3},
    "b.flv": {},
    "b.mov": LOSSLESS,
    "b.avi": {"codec": "mpeg4", "max_b_frames": 2},
    "m.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "raw.h264": {"max_b_frames": 3},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "lag-in-frames": "16"}},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "odd.mkv": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "ten.mp4": {"pix_fmt": "yuv420p10le"},
    "high.mp4": {"pix_fmt": "yuv444p"},
    "gray.mkv": {"codec": "ffv1", "pix_fmt": "gray"},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_reads_the_same_both_ways(name: str, make_video: Make) -> None:
    size = (65, 97) if name.startswith(("odd", "high")) else (64, 96)
    frames = [picture(k, *size) for k in range(34)]
    path = make_video(name, frames, **CONTAINERS[name])
    info = probe(path)
    shown = list(stream(path))
    assert info.n_frames == len(shown) == 34
    assert (info.height, info.width) == shown[0][1].shape[:2] == size
    times = np.array([seconds for seconds, _ in shown])
    assert (np.diff(times) > 0).all()
    rate = 25 if name.startswith("raw") else 30  # a raw stream has no time stamps
    assert info.fps == pytest.approx(rate, rel=0.01)
    with VideoReader(path) as reader:
        np.testing.assert_allclose(reader.timestamps, times, atol=1e-9)
        for index in (33, 0, 17, 16, -1):
            np.testing.assert_array_equal(reader[index], shown[index][1])
    if "gray" not in name and "gif" not in name:  # the content arrived, in order
        for (_, got), original in zip(shown, frames, strict=True):
            assert np.abs(got.astype(int) - original).mean() < 6
    capture = cv2.VideoCapture(str(path))  # foreign reference
    assert sum(capture.read()[0] for _ in range(40)) == 34


# ---------------------------------------------------------------- frames as displayed


@pytest.mark.parametrize("flips", list(itertools.product((1, -1), (1, -1), (False, True))))
def test_display_matrix(flips: tuple[int, int, bool], make_video: Make) -> None:
    """Closed form: all eight rotations and reflections, by the definition of the matrix."""
    x, y, swap = flips
    a, b, c, d = (0, x, y, 0) if swap else (x, 0, 0, y)
    one = 1 << 16
    matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]
    stored = noise(0, 10, 14)
    path = make_video("m.mov", [stored] * 2, matrix=matrix, **LOSSLESS)
    shown = next(iter(stream(path)))[1]
    places = {}
    for row, column in np.ndindex(10, 14):
        places[b * column + d * row, a * column + c * row] = stored[row, column]
    top, left = min(r for r, _ in places), min(c for _, c in places)
    assert shown.shape == ((14, 10, 3) if swap else (10, 14, 3))
    for (row, column), pixel in places.items():
        np.testing.assert_array_equal(shown[row - top, column - left], pixel)
    info = probe(path)
    assert (info.height, info.width) == shown.shape[:2]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_against_other_readers(degrees: int, make_video: Make) -> None:
    """Foreign reference: OpenCV, with automatic rotation on."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    matrix = [cosine * one, -sine * one, 0, sine * one, cosine * one, 0, 0, 0, 1 << 30]
    path = make_video("r.mp4", [picture(0)] * 3, matrix=matrix)
    assert probe(path).rotation == degrees
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    np.testing.assert_array_equal(next(iter(stream(path)))[1], capture.read()[1][..., ::-1])


@pytest.mark.parametrize("alpha", [0, 1, 128, 255])
def test_alpha_lies_over_black(alpha: int, make_video: Make) -> None:
    """Closed form: straight alpha scales the colour."""
    frame = np.dstack([noise(3), np.full((64, 96), alpha, np.uint8)])
    path = make_video("a.mov", [frame], codec="png", pix_fmt="rgba", layout="rgba")
    shown = next(iter(stream(path)))[1]
    np.testing.assert_array_equal(shown, np.rint(noise(3) * (alpha / 255)).astype(np.uint8))


@pytest.mark.parametrize(
    ("colorspace", "color_range", "pix_fmt"),
    [(1, 1, "yuv420p"), (1, 2, "yuv420p"), (5, 2, "yuv420p"), (1, 1, "yuv420p10le"), (5, 1, "yuv444p10le")],
)
def test_colours_follow_their_tags(colorspace: int, color_range: int, pix_fmt: str, make_video: Make) -> None:
    """Closed form: flat colours of BT.709 and BT.601, limited and full range, 8 and 10 bits."""
    for colour in ((220, 30, 40), (20, 200, 90), (255, 255, 255), (0, 0, 0)):
        path = make_video(
            "c.mp4",
            [np.full((32, 32, 3), colour, np.uint8)] * 2,
            pix_fmt=pix_fmt,
            reformat={"dst_colorspace": colorspace, "dst_color_range": color_range},
            colorspace=colorspace,
            color_range=color_range,
        )
        assert difference(next(iter(stream(path)))[1], np.array(colour)) <= 3


def test_gray(make_video: Make) -> None:
    ramp = np.tile(np.arange(0, 256, 2, dtype=np.uint8), (64, 1))
    path = make_video("g.mkv", [ramp], codec="ffv1", pix_fmt="gray", layout="gray")
    np.testing.assert_array_equal(next(iter(stream(path)))[1], np.dstack([ramp] * 3))


# ---------------------------------------------------------------- time


def test_variable_frame_rate(make_video: Make) -> None:
    stamps = [0, 10, 50, 60, 200, 210, 300, 333, 400, 500]
    path = make_video(
        "v.mkv", [picture(k) for k in range(10)], stamps=stamps, time_base=Fraction(1, 1000), max_b_frames=2
    )
    assert [round(1000 * seconds) for seconds, _ in stream(path)] == stamps
    assert probe(path).fps == 25  # closed form: the median of the steps 10 10 10 33 40 67 90 100 140 ms
    with VideoReader(path) as reader:
        np.testing.assert_allclose(reader.timestamps, np.array(stamps) / 1000)


def test_repeated_time_stamps_are_spread(make_video: Make) -> None:
    stamps = [0, 0, 33, 33, 100, 133]
    path = make_video(
        "d.mkv", list(map(noise, range(6))), stamps=stamps, time_base=Fraction(1, 1000), codec="ffv1",
        pix_fmt="bgr0",
    )  # fmt: skip
    shown = list(stream(path))
    times = [seconds for seconds, _ in shown]
    np.testing.assert_allclose(times, np.arange(6) / 30)
    for k, (_, frame) in enumerate(shown):  # none lost, none out of order
        np.testing.assert_array_equal(frame, noise(k))
    with VideoReader(path) as reader:
        np.testing.assert_array_equal(reader[4], noise(4))
        np.testing.assert_array_equal(reader[1], noise(1))
        np.testing.assert_allclose(reader.timestamps, times)


def test_frames_hidden_by_an_edit_list(make_video: Make) -> None:
    """A trim that a phone makes: the first frames are still there, but not shown and not counted."""
    path = make_video(
        "trim.mp4",
        list(map(noise, range(10))),
        stamps=range(-4, 6),
        container_options={"avoid_negative_ts": "disabled"},
        pix_fmt="yuv444p",
        options={"crf": "0"},
    )
    assert probe(path).n_frames == 6
    shown = [frame for _, frame in stream(path)]
    assert len(shown) == 6
    for k, frame in enumerate(shown):
        assert difference(frame, noise(4 + k)) <= 4
    with VideoReader(path) as reader:
        np.testing.assert_array_equal(reader.read([5, 0]), [shown[5], shown[0]])


def test_one_frame(make_video: Make) -> None:
    info = probe(make_video("one.mp4", [picture(0)]))
    assert (info.n_frames, info.fps) == (1, 30)
    assert info.duration_s == pytest.approx(1 / 30)


def test_streaming_holds_few_frames(make_video: Make) -> None:
    path = make_video("long.mkv", [picture(k, 128, 192) for k in range(150)])
    tracemalloc.start()
    try:
        count = sum(1 for _ in stream(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 150
    assert peak < 12 * 128 * 192 * 3


# ---------------------------------------------------------------- unusable files


def _refusal(path: Path) -> BenchError:
    with pytest.raises(BenchError) as caught:
        probe(path)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    for broken in (lambda: next(stream(path)), lambda: VideoReader(path)):
        with pytest.raises(BenchError):
            broken()
    return caught.value


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"this is no video\n" * 100, "not a video"),
        ("notes.txt", b"libavformat would play this as ANSI art\n" * 100, "not a video"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:10,\nother.mp4\n", "not a video"),
        ("list.mp4", b"ffconcat version 1.0\nfile other.mp4\n", "not a video"),
        ("noise.mp4", np.random.default_rng(0).bytes(20_000), "not a video"),
        ("one.jpg", cv2.imencode(".jpg", picture(0))[1].tobytes(), "not a video"),
        ("one.png", cv2.imencode(".png", picture(0))[1].tobytes(), "not a video"),
    ],
)
def test_files_that_are_not_a_video(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert message in _refusal(tmp_path / name).message


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A valid clip."""
    return write_clip(tmp_path / "good.mp4", map(noise, range(3)), 30).path


def test_unusable_paths(tmp_path: Path, clip: Path) -> None:
    assert "does not exist" in _refusal(tmp_path / "none.mp4").message
    assert "is a folder" in _refusal(tmp_path).message
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a regular file" in _refusal(tmp_path / "pipe.mp4").message
    (tmp_path / "http:").mkdir()
    (tmp_path / "http:" / "clip.mp4").write_bytes(clip.read_bytes())
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert probe(Path("http:/clip.mp4")).n_frames == 3  # a name, never a protocol
    finally:
        os.chdir(here)


def test_permission_denied(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read everything
    assert "may not be read" in _refusal(clip).message


def test_sound_only(audio_only: Path) -> None:
    assert "holds sound only" in _refusal(audio_only).message


def test_cut_off_before_its_index(make_video: Make) -> None:
    path = make_video("t.mp4", list(map(noise, range(10))))
    path.write_bytes(path.read_bytes()[:20_000])
    assert "cut off" in _refusal(path).message


def test_unknown_codec(make_video: Make) -> None:
    path = make_video("u.mp4", list(map(picture, range(3))))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert "cannot be decoded" in _refusal(path).message


def test_no_frame_at_all(make_video: Make) -> None:
    """A moov without samples: the data is present, its sizes and offsets are not."""
    path = make_video("z.mp4", list(map(noise, range(3))), container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    assert "no frame" in _refusal(path).message


def test_no_frame_that_decodes(make_video: Make) -> None:
    path = make_video("d.mp4", list(map(noise, range(3))), container_options={"movflags": "+faststart"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)
    assert "can be decoded" in _refusal(path).message


def _damage(path: Path, begin: float, end: float) -> Path:
    data = bytearray(path.read_bytes())
    a, b = int(begin * len(data)), int(end * len(data))
    data[a:b] = np.random.default_rng(1).bytes(b - a)
    path.write_bytes(data)
    return path


def test_small_damage_is_skipped(make_video: Make) -> None:
    frames = list(map(noise, range(60)))
    path = make_video("d.mp4", frames, gop_size=2, container_options={"movflags": "+faststart"})
    shown = list(stream(_damage(path, 0.5, 0.53)))
    assert 54 <= len(shown) < 60
    assert probe(path).n_frames == len(shown)
    with VideoReader(path) as reader:
        assert len(reader) == len(shown)
        np.testing.assert_array_equal(reader.timestamps, [seconds for seconds, _ in shown])
        for index in (-1, 0, 40):
            np.testing.assert_array_equal(reader[index], shown[index][1])


def test_large_damage_is_reported_with_its_time(make_video: Make) -> None:
    path = make_video("d.mp4", list(map(noise, range(60))), gop_size=2, container_options={"movflags": "+faststart"})
    _damage(path, 0.5, 0.9)
    with pytest.raises(BenchError, match=r"damaged at (0\.9|1\.0)\d s: only \d+ of its 60 frames"):
        list(stream(path))


def test_picture_size_that_changes(make_video: Make, tmp_path: Path) -> None:
    small = make_video("s.ts", [picture(k, 64, 96) for k in range(10)])
    large = make_video("l.ts", [picture(k, 96, 128) for k in range(10)])
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(BenchError, match="changes its picture size"):
        list(stream(both))
