"""Decoding of any video file: a path goes in, facts or upright RGB frames with their times come out.

    survey        what the packets say, and the first frame: cheap; true of most files
    Decoding      one pass over all frames, which then knows what the file really holds
    inspect       a survey and a pass: what holds whatever the file
    stream        the frames of a pass, as pixels

Frames are uint8 RGB (H, W, 3); what a frame, a time and a segment are is in `timeline.py`. `clips.py` is the
public interface to this module.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
import av.container
import av.error
import av.video

from dancebench.core.errors import BenchError
from dancebench.datasets.video.containers import CONVERT, describe_stream, list_video_streams, open_video
from dancebench.datasets.video.losses import Extent, Losses, Tally, measure_extent
from dancebench.datasets.video.timeline import Clock, Moment, Pace, Timeline, find_median_step, order_stamps
from dancebench.datasets.video.upright import Frame, has_alpha, read_pixel_aspect, to_upright

_DEFAULT_RATE: Final = Fraction(25)
"""For files that state neither a rate nor time stamps."""
_HEAD: Final = 8
"""Frames of an interlaced stream that show whether its packets are fields."""
_FIELDS: Final = 1.5
"""Packets to a frame from which on they are fields."""
_NO_PTS: Final = "avi"
"""The container that stores no stamps of display; libavformat guesses them."""
_CONCEALING: Final = frozenset({"mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "h263", "flv1", "wmv1", "wmv2"})
"""Codecs whose decoders show something for pictures that lack what they are predicted from; others skip them."""
_DAMAGE_LIMIT: Final = 0.9
"""Share of the coded pictures below which a damaged file is refused."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds. Width and height are those of the upright frame with square pixels."""

    path: Path
    container: str
    codec: str
    width: int
    height: int
    rotation: int
    """Degrees counter-clockwise by which the stored frame is rotated to be upright, apart from mirroring."""
    n_frames: int
    """Frames that the decoder gives, never the header's count."""
    fps: float
    """Of the median step; `average_rate` where that agrees with the time stamps to one unit of `time_base`."""
    average_rate: float
    """As stated by the container."""
    duration_s: float
    """Sum of the segments' lengths."""
    time_base: Fraction
    pix_fmt: str
    has_audio: bool
    bytes: int
    start_s: float | None = None
    """Stamp of the first frame by the file's own clock; None if it has none."""
    crf: int | None = None
    """Not readable from a file: only its writer knows it."""


@dataclass(frozen=True)
class StoredPicture:
    """How the first frame is stored: properties that `to_upright` reduces or drops."""

    bits: int
    """Bits per component; `to_upright` keeps 8."""
    transfer: int
    """Transfer function, as libavutil numbers them: 16 = PQ, 18 = HLG."""
    interlaced: bool
    alpha: Literal["none", "over black", "ignored"]
    height: int
    width: int
    pixel_aspect: Fraction
    """Width over height of a stored pixel."""


@dataclass(frozen=True)
class Inspection:
    """`VideoInfo`, and what else random access, records and notes need."""

    info: VideoInfo
    timeline: Timeline
    colours: tuple[int, int]
    """Matrix and range, as libavutil numbers them."""
    picture: StoredPicture
    claimed_frames: int
    """According to the container's header; 0 = not stated."""
    read_stream: str
    """The video stream that is read."""
    n_streams: int
    """Video streams, cover art apart."""
    stamps_increase: bool
    """Whether the stamps of packets increase in the order of decoding."""
    reorders: bool
    """Whether the decoder may show frames in another order."""
    losses: Losses
    """What a pass over the file found; of a survey only what packets tell."""
    extent: Extent
    """How much of it is there."""

    @property
    def in_coding_order(self) -> bool:
        """Whether the stamps may be those of decoding, although frames are shown in another order; always in AVI."""
        return self.stamps_increase and (self.reorders or self.info.container == _NO_PTS)

    @property
    def spanned_frames(self) -> int:
        """Frame periods from first to last stamp in a container that counts them (AVI); 0 in others."""
        stamps = [stamp for stamp in self.timeline.pts if stamp is not None]
        return max(stamps) - min(stamps) + 1 if self.info.container == _NO_PTS and stamps else 0

    def complete(self, timeline: Timeline, losses: Losses) -> Inspection:
        """The same with what a pass over all frames found."""
        info = replace(
            self.info,
            n_frames=len(timeline), fps=timeline.fps, duration_s=timeline.duration_s, start_s=timeline.start_s,
        )  # fmt: skip
        return replace(self, info=info, timeline=timeline, losses=losses)


def describe_pyav() -> str:
    """PyAV and the libavcodec in it, as recorded."""
    return f"pyav {av.__version__} libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


# ---------------------------------------------------------------- survey


def survey(path: Path) -> Inspection:
    """What the packets of a video say of it; demuxes all of it and decodes its first frame.

    Number and times of the frames hold if every packet can be decoded to a frame; `inspect` says what really holds.

    Raises:
        BenchError: The file is missing, a folder, empty, cut off, unreadable, not a video, has no video
            stream or no frame in it, or its first frame cannot be decoded.
    """
    with open_video(path) as (container, source):
        tally = Tally(by_dts=container.format.name == _NO_PTS)
        for packet in _demux(container, source, tally):
            tally.add(packet)
        stamps = tally.stamps
    if not stamps:
        raise _frameless_error(path)
    with open_video(path) as (container, source):
        known = [stamp for stamp in stamps if stamp is not None]
        in_order = known == sorted(known)
        pace = Pace(
            source.time_base or Fraction(1), _find_nominal_rate(source), find_median_step(known),
            wraps=container.format.name in ("mpegts", "mpeg"),
        )  # fmt: skip
        known = list(order_stamps(known))
        aspect = read_pixel_aspect(source)
        first, step = _decode_head(container, source, path)
        if pace.step is not None and step >= _FIELDS * pace.step:
            known, pace = known[::2], replace(pace, step=step)
        clock = Clock(pace)
        shown: list[int | None] = [*known, *[None] * stamps.count(None)]
        timeline = Timeline.of((clock(stamp) for stamp in shown), pace)
        height, width = to_upright(first, aspect).shape[:2]
        info = VideoInfo(
            path=path,
            container=container.format.name,
            codec=source.codec_context.name,
            width=width,
            height=height,
            rotation=first.rotation % 360,
            n_frames=len(timeline),
            fps=timeline.fps,
            average_rate=float(pace.nominal),
            duration_s=timeline.duration_s,
            time_base=pace.time_base,
            pix_fmt=first.format.name,
            has_audio=bool(container.streams.audio),
            bytes=path.stat().st_size,
            start_s=timeline.start_s,
        )
        return Inspection(
            info, timeline, (first.colorspace, first.color_range), _describe_stored_picture(first, source, aspect),
            source.frames, describe_stream(source), len(list_video_streams(container)),
            in_order, bool(source.codec_context.has_b_frames), tally.sum_up([], [], field_coded=False),
            measure_extent(path, container, source, tally, pace.period),
        )  # fmt: skip


def _find_nominal_rate(stream: av.video.VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate:
            return rate
    return _DEFAULT_RATE


def _describe_stored_picture(
    first: av.VideoFrame, source: av.video.VideoStream, pixel_aspect: Fraction
) -> StoredPicture:
    alpha: Literal["none", "over black", "ignored"] = "over black" if has_alpha(first) else "none"
    if alpha == "none" and any(key.lower() == "alpha_mode" and value == "1" for key, value in source.metadata.items()):
        alpha = "ignored"  # WebM stores it in a nested stream, which is not decoded
    bits = max(part.bits for part in first.format.components)
    interlaced = bool(first.interlaced_frame)
    return StoredPicture(bits, int(first.color_trc), interlaced, alpha, first.height, first.width, pixel_aspect)


def _frameless_error(path: Path) -> BenchError:
    return BenchError(f"{path} holds no frame.", hint="Copy it again, or name another video.")


def _decode_head(
    container: av.container.InputContainer, source: av.video.VideoStream, path: Path
) -> tuple[av.VideoFrame, int]:
    """The first frame and, where it is interlaced, the median step of the first stamps; else 0."""
    frames = decode_packets(container, source, Tally())
    first = next(frames, None)
    if first is None:
        raise BenchError(f"No frame of {path} can be decoded ({source.codec_context.name}).", hint=CONVERT)
    if not first.interlaced_frame:
        return first, 0
    stamps = [frame.pts for frame in (first, *itertools.islice(frames, _HEAD)) if frame.pts is not None]
    return first, find_median_step(stamps) or 0


# ---------------------------------------------------------------- decoding


def _demux(
    container: av.container.InputContainer, source: av.video.VideoStream, tally: Tally
) -> Iterator[av.Packet[av.video.VideoStream]]:
    """The packets of a stream, up to where the container is damaged; the last one is empty and ends the decoding."""
    while True:
        try:
            for packet in container.demux(source):
                if packet.size or packet.dts is None:  # an empty one elsewhere would end the decoding there
                    yield packet
            return
        except IndexError:  # a packet of another stream, which PyAV does not know: it appeared after the opening
            continue
        except av.error.FFmpegError:
            tally.add_failure()
            return


def decode_packets(
    container: av.container.InputContainer, source: av.video.VideoStream, tally: Tally
) -> Iterator[av.VideoFrame]:
    """Decode from the container's current position; packets that cannot be decoded are counted and skipped."""
    for packet in _demux(container, source, tally):
        tally.add(packet)
        try:
            decoded = packet.decode()
        except av.error.FFmpegError:
            tally.add_failure(packet)
            continue
        yield from decoded


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as stored, and its time; `upright` converts those that are needed to pixels."""

    stored: av.VideoFrame
    moment: Moment
    damaged: bool
    """Whether the decoder concealed damage in it, or predicted it from such a frame."""
    pixel_aspect: Fraction

    def upright(self) -> Frame:
        """uint8 RGB (H, W, 3)."""
        return to_upright(self.stored, self.pixel_aspect)


class Decoding:
    """One pass over the frames of a video in the order shown; memory grows by its time stamps alone.

    Args:
        found: The survey of the video.
        refuse_damage: Whether a file is refused of whose coded pictures damage left fewer than 90%.
    """

    def __init__(self, found: Inspection, *, refuse_damage: bool = True) -> None:
        self._found, self._refuse_damage = found, refuse_damage
        self._tally = Tally(conceals_cut=found.info.codec in _CONCEALING, by_dts=found.info.container == _NO_PTS)
        self._moments, self._damaged = list[Moment](), list[int]()
        self._own_stamps: list[int | None] = []
        """Stamps of the packets that the frames were decoded from."""

    def __iter__(self) -> Iterator[DecodedFrame]:
        """Decode the video, once.

        Raises:
            BenchError: The file cannot be opened, it holds no frame, too much of it is damaged, or the picture
                size changes within it.
        """
        found, path = self._found, self._found.info.path
        clock, stamps = Clock(found.timeline.pace), self._order_stamps()
        shape: tuple[int, int] | None = None
        with open_video(path) as (container, source):
            for frame in decode_packets(container, source, self._tally):
                moment = clock(frame.pts if stamps is None else stamps.take(frame))
                if shape is not None and (frame.height, frame.width) != shape:
                    raise BenchError(
                        f"{path} changes its picture size at {moment.seconds:.2f} s.", hint="Cut the video there."
                    )
                shape = frame.height, frame.width
                damaged = self._tally.meet_frame(frame)
                if damaged:
                    self._damaged.append(len(self._moments))
                self._moments.append(moment)
                self._own_stamps.append(frame.pts)
                yield DecodedFrame(frame, moment, damaged, found.picture.pixel_aspect)
        if shape is None:
            raise _frameless_error(path)
        if self._refuse_damage:
            self._check_damage()

    def _order_stamps(self) -> _StampsInOrder | None:
        by_dts = self._found.info.container == _NO_PTS
        return _StampsInOrder(self._tally, by_dts=by_dts) if self._found.in_coding_order else None

    def sum_up(self) -> Inspection:
        """What the file holds, once all its frames were decoded."""
        timeline = Timeline.of(self._moments, self._found.timeline.pace)
        return self._found.complete(timeline, self._count_losses())

    def _count_losses(self) -> Losses:
        return self._tally.sum_up(self._own_stamps, self._damaged, field_coded=self._found.picture.interlaced)

    def _check_damage(self) -> None:
        losses = self._count_losses()
        n_frames = len(self._moments)
        total = n_frames + losses.lost
        if losses.lost and n_frames < _DAMAGE_LIMIT * total:
            at = self._moments[min(losses.first_damaged or 0, n_frames - 1)].seconds
            raise BenchError(
                f"{self._found.info.path} is damaged at {at:.2f} s: only {n_frames} of its {total} frames "
                "can be decoded.",
                hint="Cut the damaged part out, or copy the video again.",
            )


class _StampsInOrder:
    """Stamps of a stream that has those of decoding only: the earliest one waiting belongs to the frame shown next."""

    def __init__(self, tally: Tally, *, by_dts: bool) -> None:
        self._tally, self._by_dts, self._waiting, self._taken = tally, by_dts, list[int](), 0

    def take(self, frame: av.VideoFrame) -> int | None:
        """The stamp of a frame, which is shown next."""
        # What precedes a key frame that is shown first could not be decoded.
        first = frame.pts if frame.key_frame and not self._taken and not self._by_dts else None
        for stamp in self._tally.stamps[self._taken :]:
            if stamp is not None and stamp not in self._tally.failed and (first is None or stamp >= first):
                heapq.heappush(self._waiting, stamp)
        self._taken = len(self._tally.stamps)
        return heapq.heappop(self._waiting) if self._waiting else None


def decode_video(path: Path) -> Iterator[DecodedFrame]:
    """Decode any video file in the order shown.

    Raises:
        BenchError: As `survey` and `Decoding`.
    """
    return iter(Decoding(survey(path)))


def stream(path: Path) -> Iterator[tuple[float, Frame]]:
    """Decode any video file: (seconds from the first frame on, strictly increasing; uint8 RGB (H, W, 3) upright).

    Raises:
        BenchError: As `survey` and `Decoding`.
    """
    for frame in decode_video(path):
        yield frame.moment.seconds, frame.upright()


def inspect(path: Path, surveyed: Inspection | None = None) -> Inspection:
    """What a video file really holds; decodes all of it, without converting its frames to pixels.

    Args:
        path: The file.
        surveyed: Its survey, where there is one already.

    Raises:
        BenchError: As `survey` and `Decoding`.
    """
    decoding = Decoding(surveyed or survey(path))
    for _ in decoding:
        pass
    return decoding.sum_up()


def probe(path: Path) -> VideoInfo:
    """The facts of a video file; as `inspect`."""
    return inspect(path).info
