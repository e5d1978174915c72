"""Opening of any video file: a path goes in; the container and the one video stream that is read come out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import av
import av.container
import av.error
import av.stream
import av.video
from av.stream import Disposition

from dancebench.core.errors import BenchError
from dancebench.datasets.video.picture_size import MAX_PIXELS, check_declared_size

_FORMATS: Final = (
    "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,flv,asf,ogg,mxf,dv,mjpeg,apng,obu"
)
"""Demuxers that may open a file. By default libavformat also opens text files, playlists that fetch other
files, and single images."""
_LATE: Final = ("flv", "mpegts", "mpeg")
"""Containers in which a stream may begin anywhere."""
_LOOK_FURTHER: Final = {"probesize": str(2**27), "analyzeduration": str(3600 * av.time_base)}
"""Bytes and microseconds in which a video stream is looked for; by default about five million of each."""
CONVERT: Final = "Convert it to H.264, for instance: ffmpeg -i VIDEO -c:v libx264 converted.mp4."
_NAME_A_VIDEO: Final = "Name a file that has a video stream."
_NO_VIDEO: Final = Disposition.attached_pic
"""Cover art is no video."""
_MINOR: Final = Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent
"""Of streams that are no video of their own."""


class NotAVideoError(BenchError):
    """The file holds something else, or nothing.

    Attributes:
        what: What it is, in a few words.
    """

    def __init__(self, message: str, what: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.what = what


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.VideoStream]]:
    """Open the video stream of `path`, or say why there is none; its decoder takes no picture beyond `MAX_PIXELS`."""
    with _open_container(path) as container:
        stream = _find_video_stream(container, path)
        check_declared_size(path, *_read_declared_size(path, container, stream))
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # whatever is declared later in the stream
        yield container, stream


def _open_container(path: Path) -> av.container.InputContainer:
    size = _check_readable(path)
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # The absolute path, since `name:…` would be read as a protocol.
        container = av.open(str(path.absolute()), container_options=options, metadata_errors="replace")
        if container.format.name in _LATE and not container.streams.video:
            container.close()
            container = av.open(
                str(path.absolute()), container_options=options | _LOOK_FURTHER, metadata_errors="replace"
            )
    except (av.error.FFmpegError, ValueError) as error:
        raise _unreadable_error(path, size) from error
    return container


def _read_declared_size(
    path: Path, container: av.container.InputContainer, stream: av.video.VideoStream
) -> tuple[int, int]:
    """Height and width; libavformat leaves out those of a GIF that are beyond its own limit."""
    if container.format.name == "gif":
        with path.open("rb") as file:
            width, height = struct.unpack("<HH", file.read(10)[6:])
        return height, width
    return stream.codec_context.height, stream.codec_context.width


def _check_readable(path: Path) -> int:
    if path.is_dir():
        raise BenchError(f"{path} is a folder, not a video.", hint="Name a video file in it.")
    if not path.exists():
        raise BenchError(f"{path} does not exist.", hint="Check the path of the video.")
    if not path.is_file():
        raise BenchError(f"{path} is not a regular file.", hint="Copy the video into a file first.")
    try:
        with path.open("rb") as handle:
            handle.read(1)
    except PermissionError as error:
        raise BenchError(f"{path} may not be read.", hint="Check its permissions (chmod u+r).") from error
    size = path.stat().st_size
    if size == 0:
        raise NotAVideoError(f"{path} is empty (0 bytes).", "empty", hint="Copy or download it again.")
    return size


def _unreadable_error(path: Path, size: int) -> BenchError:
    with path.open("rb") as handle:
        head = handle.read(12)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free"):
        return BenchError(
            f"{path} is cut off or damaged: the index of its frames (moov) is missing.",
            hint="Copy or download it again; a recording that was interrupted must be repaired first.",
        )
    return NotAVideoError(
        f"{path} is not a video that can be read ({size} bytes).",
        "no video",
        hint="Expected a mp4, mov, mkv, webm, avi or gif file.",
    )


def list_video_streams(container: av.container.InputContainer) -> list[av.video.VideoStream]:
    """The video streams, cover art apart."""
    return [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]


def _find_video_stream(container: av.container.InputContainer, path: Path) -> av.video.VideoStream:
    """The stream that a player shows: of those that can be decoded the default one, unless it is a thumbnail."""
    streams = list_video_streams(container)
    # The codec context is None where there is no decoder, despite the type stubs.
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if decodable:
        chosen = min(decodable, key=_rank)
        chosen.codec_context.thread_count = 1
        return chosen
    if streams:
        raise BenchError(f"{path} is encoded in a way that cannot be decoded here.", hint=CONVERT)
    if container.streams.audio:
        raise NotAVideoError(f"{path} holds sound only, no video.", "sound only", hint=_NAME_A_VIDEO)
    raise NotAVideoError(f"{path} holds no video stream.", "no video stream", hint=_NAME_A_VIDEO)


def _rank(stream: av.video.VideoStream) -> tuple[bool, bool, int]:
    thumbnail = stream.frames == 1 or bool(stream.disposition & _MINOR)
    return thumbnail, not stream.disposition & Disposition.default, stream.index


def describe_stream(stream: av.video.VideoStream) -> str:
    """Number, codec and stored size of a stream, for messages."""
    context = stream.codec_context
    if context is None:
        return f"stream {stream.index} (unknown codec)"
    return f"stream {stream.index} ({context.name}, {context.width}x{context.height})"
