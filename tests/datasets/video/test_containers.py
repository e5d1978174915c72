"""Headers: what a file claims is read without decoding, where its container tells it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.video.clips import write_clip
from dancebench.datasets.video.containers import Header, NotAVideoError, read_header
from dancebench.datasets.video.decoding import probe


def noise(n_frames: int, height: int = 36, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n_frames, height, width, 3), dtype=np.uint8)


def write_as(path: Path, codec: str, n_frames: int = 12) -> Path:
    """A file in another container than ours."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for frame in noise(n_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_foreign_reference_a_header_of_our_clips_is_what_decoding_finds(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", noise(10), 12.5).path
    found = probe(path)
    assert read_header(path) == Header("h264", found.width, found.height, found.fps, found.n_frames)


@pytest.mark.parametrize(("name", "codec"), [("a.mpg", "mpeg1video"), ("a.avi", "mpeg4"), ("a.mkv", "mpeg4")])
def test_a_container_without_a_header_is_decoded_a_little(tmp_path: Path, name: str, codec: str) -> None:
    header = read_header(write_as(tmp_path / name, codec))
    assert (header.codec, header.width, header.height, header.fps) == (codec, 64, 36, 25)
    assert header.n_frames in (None, 12)


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(NotAVideoError, match="not a video that can be read") as caught:
        read_header(tmp_path / "a.mp4")
    assert caught.value.hint
    with pytest.raises(BenchError, match="does not exist"):
        read_header(tmp_path / "b.mp4")
