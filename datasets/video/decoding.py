"""Decoding of any video file: a path goes in, facts or upright RGB frames with time stamps come out.

Frames are uint8 RGB (H, W, 3); times are seconds by the file's own clock. Frames are counted by demuxing,
since headers may be wrong. `clips.py` is the public interface to this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal, cast

import av
import av.container
import av.error
import av.stream
import av.video
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType

from dancebench.core.errors import BenchError

Frame = npt.NDArray[np.uint8]
"""uint8 RGB (H, W, 3)."""

_FORMATS: Final = (
    "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,flv,asf,ogg,mxf,dv,mjpeg,apng,obu"
)
"""Demuxers that may open a file. By default libavformat also opens text files, playlists that fetch other
files, and single images."""
_CONVERT: Final = "Convert it to H.264, for instance: ffmpeg -i VIDEO -c:v libx264 converted.mp4."
_NAME_A_VIDEO: Final = "Name a file that has a video stream."
_DEFAULT_RATE: Final = Fraction(25)
"""For files that state neither a rate nor time stamps."""
_DAMAGE_LIMIT: Final = 0.9
"""Share of the demuxed frames below which a damaged file is refused."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds. Width and height are those of the upright frame."""

    path: Path
    container: str
    codec: str
    width: int
    height: int
    rotation: int
    """Degrees counter-clockwise by which the stored frame is rotated to be upright, apart from mirroring."""
    n_frames: int
    """Complete packets of the video stream, never the header's count."""
    fps: float
    """Mean over the time stamps; `average_rate` where that agrees with them to one unit of `time_base`."""
    average_rate: float
    """As stated by the container."""
    duration_s: float
    time_base: Fraction
    pix_fmt: str
    has_audio: bool
    bytes: int
    crf: int | None = None
    """Not readable from a file: only its writer knows it."""


def describe_pyav() -> str:
    """PyAV and the libavcodec in it, as recorded."""
    return f"pyav {av.__version__} libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


# ---------------------------------------------------------------- opening


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
    """Open the video stream of `path`, or say why there is none."""
    size = _check_readable(path)
    try:
        # The absolute path, since `name:…` would be read as a protocol.
        container = av.open(
            str(path.absolute()),
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise _unreadable_error(path, size) from error
    with container:
        yield container, _find_video_stream(container, path)


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


def _find_video_stream(container: av.container.InputContainer, path: Path) -> av.video.VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:  # cover art is no video
            if stream.codec_context is None:  # None where there is no decoder, despite the type stubs
                raise BenchError(f"{path} is encoded in a way that cannot be decoded here.", hint=_CONVERT)
            stream.codec_context.thread_count = 1
            return stream
    if container.streams.audio:
        raise NotAVideoError(f"{path} holds sound only, no video.", "sound only", hint=_NAME_A_VIDEO)
    raise NotAVideoError(f"{path} holds no video stream.", "no video stream", hint=_NAME_A_VIDEO)


# ---------------------------------------------------------------- counting and timing


@dataclass(frozen=True)
class Timeline:
    """The frames of a stream in presentation order, by their packets alone."""

    pts: tuple[int, ...]
    """Stamps in `time_base`, increasing; empty where they are missing or repeated."""
    timestamps: npt.NDArray[np.float64]
    time_base: Fraction

    def fps(self, nominal: Fraction) -> float:
        """Mean rate; the nominal one if the stamps, which a container may round, do not contradict it."""
        periods = len(self.timestamps) - 1
        span = float(self.timestamps[-1] - self.timestamps[0])
        if abs(span - periods / nominal) <= self.time_base:
            return float(nominal)
        return periods / span


class _Clock:
    """Makes time stamps increase: one that is missing or does not increase is set one period after the last."""

    def __init__(self, rate: Fraction) -> None:
        self._period = float(1 / rate)
        self._last: float | None = None

    def __call__(self, seconds: float | None) -> float:
        if seconds is None or (self._last is not None and seconds <= self._last):
            seconds = 0.0 if self._last is None else self._last + self._period
        self._last = seconds
        return seconds


def _find_nominal_rate(stream: av.video.VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate:
            return rate
    return _DEFAULT_RATE


def _is_shown(packet: av.Packet[av.video.VideoStream]) -> bool:
    """Neither the empty packet that ends a stream nor one that an edit list hides."""
    return packet.size > 0 and not packet.is_discard


def _demux_timeline(container: av.container.InputContainer, stream: av.video.VideoStream) -> Timeline:
    """Demux the whole stream."""
    base = stream.time_base or Fraction(1, 1)
    stamps: list[int | None] = []
    try:
        for packet in container.demux(stream):
            if _is_shown(packet) and not packet.is_corrupt:  # the last packet of a truncated file is corrupt
                stamps.append(packet.pts)
    except av.error.FFmpegError:
        pass  # what came before the damage is what the file holds
    known = sorted(stamp for stamp in stamps if stamp is not None)
    clean = len(known) == len(stamps) == len(set(known))
    shown: list[int | None] = [*known, *[None] * (len(stamps) - len(known))]
    clock = _Clock(_find_nominal_rate(stream))
    seconds = [clock(None if stamp is None else float(stamp * base)) for stamp in shown]
    return Timeline(tuple(known) if clean else (), np.array(seconds, dtype=np.float64), base)


# ---------------------------------------------------------------- decoding


def decode_stream(
    container: av.container.InputContainer, stream: av.video.VideoStream, path: Path
) -> Iterator[av.VideoFrame]:
    """Decode from the container's current position; damaged packets are skipped.

    Raises:
        BenchError: Damage left fewer than `_DAMAGE_LIMIT` of the demuxed frames.
    """
    packets = frames = 0
    damaged_at: float | None = None
    seconds = 0.0
    try:
        for packet in container.demux(stream):
            packets += _is_shown(packet)
            if packet.pts is not None and stream.time_base is not None:
                seconds = float(packet.pts * stream.time_base)
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                damaged_at = seconds if damaged_at is None else damaged_at
                continue
            for frame in decoded:
                frames += 1
                yield frame
    except av.error.FFmpegError:
        damaged_at = seconds if damaged_at is None else damaged_at
    if damaged_at is not None and frames < _DAMAGE_LIMIT * packets:
        raise BenchError(
            f"{path} is damaged at {damaged_at:.2f} s: only {frames} of its {packets} frames can be decoded.",
            hint="Cut the damaged part out, or copy the video again.",
        )


def to_upright(frame: av.VideoFrame) -> Frame:
    """RGB as a player shows it: alpha over black, then turned and mirrored by the display matrix."""
    pixels = _to_rgb(frame)
    matrix = _read_display_matrix(frame)
    if matrix is None:
        return pixels
    a, b, c, d = matrix
    if abs(b) > abs(a):
        pixels = pixels.swapaxes(0, 1)
        a, d = c, b
    pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels)


def _read_display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """The matrix (a b; c d) that maps stored (x, y) to displayed (a x + c y, b x + d y), in fixed point."""
    side_data = cast(SideDataContainer, frame.side_data)  # PyAV's type stubs declare a dict
    if SideDataType.DISPLAYMATRIX not in side_data:
        return None
    matrix = np.frombuffer(bytes(side_data[SideDataType.DISPLAYMATRIX]), dtype=np.int32)
    return int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4])


def _has_alpha(frame: av.VideoFrame) -> bool:
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def _to_rgb(frame: av.VideoFrame) -> Frame:
    if _has_alpha(frame):
        return composite_over_black(cast(Frame, frame.to_ndarray(format="rgba")))
    return cast(Frame, frame.to_ndarray(format="rgb24"))


def composite_over_black(rgba: Frame) -> Frame:
    """Straight alpha over black: uint8 (H, W, 4) → (H, W, 3)."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def decode_video(path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Decode any video file in presentation order; memory does not grow with its length.

    Yields:
        Time stamp in seconds by the file's own clock, strictly increasing, and the frame as stored: `to_upright`
        converts those that are needed to pixels. A stamp that is missing or does not increase is replaced by
        one frame period after the last.

    Raises:
        BenchError: The file cannot be opened, it holds no frame, damage left fewer than 90% of its frames,
            or the picture size changes within the file.
    """
    with open_video(path) as (container, source):
        clock = _Clock(_find_nominal_rate(source))
        shape: tuple[int, int] | None = None
        for frame in decode_stream(container, source, path):
            seconds = clock(frame.time)
            if shape is not None and (frame.height, frame.width) != shape:
                raise BenchError(f"{path} changes its picture size at {seconds:.2f} s.", hint="Cut the video there.")
            shape = frame.height, frame.width
            yield seconds, frame
        if shape is None:
            raise _frameless_error(path)


def stream(path: Path) -> Iterator[tuple[float, Frame]]:
    """As `decode_video`, every frame upright: uint8 RGB (H, W, 3)."""
    for seconds, frame in decode_video(path):
        yield seconds, to_upright(frame)


def probe(path: Path) -> VideoInfo:
    """The facts of a video file; demuxes all of it and decodes its first frame.

    Raises:
        BenchError: The file is missing, a folder, empty, cut off, unreadable, not a video, has no video
            stream or no frame in it, or its first frame cannot be decoded.
    """
    return inspect(path).info


@dataclass(frozen=True)
class StoredPicture:
    """How the first frame is stored: properties that `to_upright` reduces or drops."""

    bits: int
    """Bits per component; `to_upright` keeps 8."""
    transfer: int
    """Transfer function, as libavutil numbers them: 16 = PQ, 18 = HLG."""
    interlaced: bool
    alpha: Literal["none", "over black", "ignored"]


@dataclass(frozen=True)
class Inspection:
    """`VideoInfo`, and what else random access and records need."""

    info: VideoInfo
    timeline: Timeline
    colours: tuple[int, int]
    """Matrix and range, as libavutil numbers them."""
    picture: StoredPicture
    claimed_frames: int
    """According to the container's header; 0 = not stated."""


def inspect(path: Path) -> Inspection:
    """As `probe`, with the time stamps of all frames."""
    with open_video(path) as (container, source):
        timeline = _demux_timeline(container, source)
    n_frames = len(timeline.timestamps)
    if n_frames == 0:
        raise _frameless_error(path)
    with open_video(path) as (container, source):
        first = _decode_first_frame(container, source, path)
        height, width = to_upright(first).shape[:2]
        nominal = _find_nominal_rate(source)
        fps = timeline.fps(nominal)
        info = VideoInfo(
            path=path,
            container=container.format.name,
            codec=source.codec_context.name,
            width=width,
            height=height,
            rotation=first.rotation % 360,
            n_frames=n_frames,
            fps=fps,
            average_rate=float(nominal),
            duration_s=n_frames / fps,
            time_base=timeline.time_base,
            pix_fmt=first.format.name,
            has_audio=bool(container.streams.audio),
            bytes=path.stat().st_size,
        )
        colours = first.colorspace, first.color_range
        return Inspection(info, timeline, colours, _describe_stored_picture(first, source), source.frames)


def _describe_stored_picture(first: av.VideoFrame, source: av.video.VideoStream) -> StoredPicture:
    alpha: Literal["none", "over black", "ignored"] = "over black" if _has_alpha(first) else "none"
    if alpha == "none" and any(key.lower() == "alpha_mode" and value == "1" for key, value in source.metadata.items()):
        alpha = "ignored"  # WebM stores it in a nested stream, which is not decoded
    bits = max(part.bits for part in first.format.components)
    return StoredPicture(bits, int(first.color_trc), bool(first.interlaced_frame), alpha)


def _frameless_error(path: Path) -> BenchError:
    return BenchError(f"{path} holds no frame.", hint="Copy it again, or name another video.")


def _decode_first_frame(
    container: av.container.InputContainer, source: av.video.VideoStream, path: Path
) -> av.VideoFrame:
    try:
        first = next(decode_stream(container, source, path), None)
    except BenchError:
        first = None
    if first is None:
        raise BenchError(
            f"No frame of {path} can be decoded ({source.codec_context.name}).",
            hint=_CONVERT,
        )
    return first
