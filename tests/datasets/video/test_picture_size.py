"""Declared sizes of images and videos: what is too large is refused by its header, before memory is taken."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside_files import moving, write_video

from dancebench.core.errors import BenchError
from dancebench.core.opencv import cv2
from dancebench.datasets.video import frames
from dancebench.datasets.video.decoding import inspect, stream
from dancebench.datasets.video.frames import open_source
from dancebench.datasets.video.picture_size import MAX_PIXELS, MAX_SIDE, check_declared_size, check_image
from dancebench.datasets.video.upright import composite_over_black


def make_png(height: int, width: int) -> bytes:
    """A header of this size with almost no picture behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def encode(suffix: str) -> bytes:
    """A small image."""
    return bytes(cv2.imencode(suffix, np.full((48, 64, 3), 99, np.uint8))[1])


def make_bmp(height: int, width: int) -> bytes:
    data = bytearray(encode(".bmp"))
    data[18:26] = struct.pack("<ii", width, -height)  # from top to bottom
    return bytes(data)


def make_jpeg(height: int, width: int) -> bytes:
    data = encode(".jpg")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def make_webp(height: int, width: int) -> bytes:
    """An extended header: canvas sizes of 24 bits."""
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + encode(".webp")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


MAKERS = {".png": make_png, ".bmp": make_bmp, ".jpg": make_jpeg}


@pytest.mark.parametrize(
    ("height", "width", "read"),
    [
        (1, MAX_SIDE, True),
        (MAX_SIDE + 1, 1, False),
        (8192, 8192, True),
        (8192, 8193, False),
        (MAX_SIDE, 4096, True),
        (30_000, 30_000, False),
        (50_000, 50_000, False),
    ],
)
@pytest.mark.parametrize("suffix", MAKERS)
def test_closed_form_the_largest_image(suffix: str, height: int, width: int, read: bool) -> None:
    path, data = Path(f"a{suffix}"), MAKERS[suffix](height, width)
    if read:
        check_image(path, data)
        return
    with pytest.raises(BenchError, match=f"^a{suffix} declares pictures of ") as caught:
        check_image(path, data)
    assert "\n" not in caught.value.message
    assert caught.value.hint


@given(st.integers(1, 2 * MAX_SIDE), st.integers(1, 2 * MAX_SIDE))
def test_both_limits_hold_for_every_size(height: int, width: int) -> None:
    fits = height <= MAX_SIDE and width <= MAX_SIDE and height * width <= MAX_PIXELS
    for size in ((height, width), (width, height)):
        try:
            check_declared_size(Path("a"), *size)
        except BenchError:
            assert not fits
        else:
            assert fits


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", make_png(30_000, 30_000)),
        ("a.png", make_png(12_000, 12_000)),
        ("a.jpg", make_jpeg(60_000, 60_000)),
        ("a.bmp", make_bmp(20_000, 20_000)),
        ("a.webp", make_webp(16_000, 16_000)),
        ("a.png", make_jpeg(60_000, 60_000)),  # named as something else
    ],
)
def test_a_large_image_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(frames, "_imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(BenchError, match="declares pictures of"):
        open_source(tmp_path)


@pytest.mark.parametrize("form", ["tiff", "ppm", "gif"])
def test_an_image_of_another_format_is_not_read_by_a_false_name(tmp_path: Path, form: str) -> None:
    written = io.BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(written, form)
    (tmp_path / "a.png").write_bytes(written.getvalue())
    with pytest.raises(BenchError, match=r"a\.png cannot be decoded as an image"):
        open_source(tmp_path)


@pytest.mark.parametrize("size", [(16_000, 16_000), (20_000, 40), (30_000, 30_000), (65_535, 65_535)])
def test_a_gif_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "bomb.gif", moving(3), codec="gif", pix_fmt="rgb8")
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<HH", size[1], size[0])
    path.write_bytes(data)
    with pytest.raises(BenchError, match=f"declares pictures of {size[0]}x{size[1]}") as caught:
        inspect(path)
    assert "\n" not in caught.value.message
    with pytest.raises(BenchError, match="declares pictures of"):  # and not that it is a single picture
        open_source(path)


def test_a_size_that_only_the_stream_declares_is_refused(tmp_path: Path) -> None:
    """The container says 64x32, the second key frame 16,000x16,000: the decoder must not take memory for it."""
    path = write_video(tmp_path / "a.ivf", moving(6), codec="libvpx", options={"g": "1", "keyint_min": "1"})
    data = bytearray(path.read_bytes())
    places = [at for at in range(len(data)) if data[at : at + 3] == b"\x9d\x01\x2a"]
    for at in places[1:]:
        data[at + 3 : at + 7] = struct.pack("<HH", 16_000, 16_000)
    path.write_bytes(data)
    assert len(places) == 6
    shapes = set()
    with contextlib.suppress(BenchError):  # most of it cannot be decoded
        for _, frame in stream(path):
            shapes.add(frame.shape)
    assert shapes == {(64, 32, 3)}


def test_closed_form_compositing_by_rows_is_compositing_at_once() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (150, 7, 4), np.uint8)
    expected = (rgba[..., :3].astype(int) * rgba[..., 3:] + 127) // 255
    np.testing.assert_array_equal(composite_over_black(rgba), expected)
