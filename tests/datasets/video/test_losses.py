"""What a file lacks by its header, its structure or its zeros: cut files, holes, and whole ones of each container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from outside_files import moving, write_video

from dancebench.core.errors import BenchError
from dancebench.datasets.video.decoding import Inspection, inspect
from dancebench.datasets.video.notes import list_decode_warnings, missing_share

N = 75
CONTAINERS: dict[str, dict[str, Any]] = {
    "front.mp4": {"container_options": {"movflags": "faststart"}},
    "pieces.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "gop_size": 12},
    "phone.3gp": {"codec": "mpeg4", "container_options": {"movflags": "faststart"}},
    "a.mkv": {},
    "a.webm": {"codec": "libvpx"},
    "front.mkv": {"container_options": {"cues_to_front": "1", "reserve_index_space": "4000"}},
    "a.avi": {"codec": "mpeg4"},
    "a.flv": {},
    "a.wmv": {"codec": "wmv2"},
    "a.ts": {},
    "m2.ts": {"codec": "mpeg2video"},
    "a.mxf": {"codec": "mpeg2video"},
    "a.ivf": {"codec": "libvpx"},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "a.apng": {"codec": "apng", "pix_fmt": "rgb24"},
    "a.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}
LENGTH_UNKNOWN = {"pieces.mp4", "a.ts", "m2.ts", "a.wmv", "a.gif", "a.apng", "a.mjpeg"}
"""Containers in which nothing that comes first tells how much follows."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("containers")
    noise = np.random.default_rng(0)
    frames = [frame ^ noise.integers(0, 32, frame.shape, np.uint8) for frame in moving(N, (96, 128))]
    return {name: write_video(folder / name, frames, **how) for name, how in CONTAINERS.items()}


def list_losses(found: Inspection) -> list[str]:
    """Warnings of what is missing."""
    words = ("claims", "cut off", "header says", "zeros", "damaged", "cannot be decoded")
    return [warning for warning in list_decode_warnings(found) if any(word in warning for word in words)]


def change(source: Path, path: Path, *, keep: float = 1.0, hole: tuple[float, float] = (0, 0)) -> Path:
    """Cut a file off behind a share of it, or overwrite what lies between two shares with zeros."""
    data = bytearray(source.read_bytes())
    begin, end = (int(share * len(data)) for share in hole)
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data[: int(keep * len(data))])
    return path


@pytest.mark.parametrize("name", CONTAINERS)
def test_of_a_whole_file_nothing_is_missing(name: str, whole: dict[str, Path]) -> None:
    found = inspect(whole[name])
    assert (found.info.n_frames, list_losses(found), missing_share(found)) == (N, [], 0)


@pytest.mark.parametrize("keep", [0.45, 0.75])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_cut_file_is_told(name: str, keep: float, whole: dict[str, Path], tmp_path: Path) -> None:
    found = inspect(change(whole[name], tmp_path / name, keep=keep))
    assert found.info.n_frames < 0.9 * N
    assert list_losses(found)
    if name not in LENGTH_UNKNOWN:
        assert missing_share(found) == pytest.approx(1 - found.info.n_frames / N, abs=0.08)


@pytest.mark.parametrize("hole", [(0.35, 0.8), (0.6, 1.0)])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_file_with_a_hole_is_told_and_abstained_from_or_refused(
    name: str, hole: tuple[float, float], whole: dict[str, Path], tmp_path: Path
) -> None:
    path = change(whole[name], tmp_path / name, hole=hole)
    try:
        found = inspect(path)
    except BenchError:  # too much of it cannot be decoded
        return
    assert list_losses(found)
    assert missing_share(found) > 0.1


def test_closed_form_share_of_zeros(whole: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "zeros.ts"
    data = whole["a.ts"].read_bytes()
    data = data[: len(data) // 4096 * 4096]
    path.write_bytes(data + bytes(len(data)))
    assert inspect(path).extent.blank_share == pytest.approx(0.5, abs=0.02)


def test_a_longer_sound_is_no_loss(tmp_path: Path) -> None:
    for name in ("long.mkv", "long.flv"):
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            video: Any = container.add_stream("libx264", rate=25)
            video.height, video.width, video.pix_fmt = 64, 32, "yuv420p"
            sound: Any = container.add_stream("aac", rate=44100)
            sound.layout = "mono"
            for pixels in moving(20):
                container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(video.encode(None))
            for k in range(130):  # three seconds
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = 44100, k * 1024
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
        found = inspect(path)
        assert (found.info.n_frames, list_losses(found), missing_share(found)) == (20, [], 0)


def test_black_pictures_that_are_stored_plainly_are_no_hole(tmp_path: Path) -> None:
    black = [np.zeros((96, 128, 3), np.uint8)] * 10
    path = write_video(tmp_path / "black.avi", black, codec="rawvideo", pix_fmt="rgb24")
    assert list_losses(inspect(path)) == []


@pytest.mark.parametrize("tag", ["nan:00:00", "-1:00:00", "inf:0:0", "long ago"])
def test_a_stated_length_that_is_none_is_passed_over(tag: str, whole: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    data = whole["a.mkv"].read_bytes()
    at = data.index(b"00:00:03.000000000")
    path.write_bytes(data[:at] + tag.encode().ljust(18, b"\0") + data[at + 18 :])
    assert list_losses(inspect(path)) == []


# ---------------------------------------------------------------- streams that appear late


def write_late_flv(path: Path, late: str) -> Path:
    """An FLV without metadata, in which `video` or `audio` appears behind all of the other."""
    side = 64 if late == "video" else 256  # libavformat looks at five megabytes for streams
    noise = np.random.default_rng(0).integers(0, 255, (70, side, side, 3), np.uint8)
    video = write_video(
        path.with_name("video.flv"),
        list(noise),
        container_options={"flvflags": "no_metadata"},
        options={"crf": "5", "preset": "ultrafast"},
    ).read_bytes()

    def tag(milliseconds: int) -> bytes:
        sound = b"\x3e" + bytes(500)  # PCM
        body = b"\x08" + len(sound).to_bytes(3, "big") + milliseconds.to_bytes(3, "big") + bytes(4) + sound
        return body + len(body).to_bytes(4, "big")

    tags = b"".join(tag(10 * number) for number in range(12_000 if late == "video" else 50))
    flag = b"\x04" if late == "video" else b"\x01"
    parts = (tags, video[13:]) if late == "video" else (video[13:], tags)
    path.write_bytes(video[:4] + flag + video[5:13] + b"".join(parts))
    return path


@pytest.mark.parametrize("late", ["video", "audio"])
def test_a_stream_that_appears_late(late: str, tmp_path: Path) -> None:
    path = write_late_flv(tmp_path / "late.flv", late)
    with av.open(str(path)) as container:
        assert late not in [stream.type for stream in container.streams]
    assert inspect(path).info.n_frames == 70
