"""What of a video is not shown as it was recorded: hidden, undecodable, lost and damaged pictures are counted.

`measure_extent` tells of pictures that nobody can count, since the file ends before them or was never filled: by the
length that the header states, by a last element that lies beyond the end, and by ranges of zeros.
"""

from __future__ import annotations

import bisect
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import av
import av.container
import av.error
import av.video
import numpy as np

from dancebench.datasets.video.containers import open_video

_WITHIN_FRAME: Final = 0.75
"""Share of a frame period within which a second field follows the first."""
_TIMED: Final = frozenset({"matroska,webm", "flv", "asf", "mxf"})
"""Containers whose header states the length; MP4, AVI and IVF count frames, of others libavformat guesses."""
_TOLERANCE: Final = 2
"""Frame periods by which a stated length may differ from the real one."""
_BLOCK: Final = 4096
"""Bytes that a file system writes, or does not."""
_PLAIN: Final = ("rawvideo", "v210", "v308", "v408", "v410", "r210", "r10k", "ayuv", "yuv4", "pcm_")
"""Codecs that store black, or silence, as zeros."""


@dataclass(frozen=True)
class Losses:
    """Counts over a whole file.

    Attributes:
        packets: Packets with data, also those that are hidden.
        coded: Pictures with data that are to be shown; the two fields of a frame are one.
        hidden: Pictures that an edit list hides.
        undecodable: Pictures that lack what they are predicted from, as where a stream was cut.
        lost: Pictures whose data is damaged so that nothing could be decoded.
        damaged: Frames in which damage was concealed, and those predicted from them.
        first_damaged: Index of the first frame that is damaged or follows one that was lost.
    """

    packets: int = 0
    coded: int = 0
    hidden: int = 0
    undecodable: int = 0
    lost: int = 0
    damaged: int = 0
    first_damaged: int | None = None


class Tally:
    """Counts packets and frames during a pass over a stream.

    Args:
        conceals_cut: Whether the decoder shows something for what precedes the first key frame.
        by_dts: Whether the container stores no stamps of display: those of decoding are taken.
    """

    def __init__(self, *, conceals_cut: bool = False, by_dts: bool = False) -> None:
        self.stamps: list[int | None] = []
        """Of the packets that are to be shown, in the order of decoding."""
        self.failed: set[int] = set()
        """Stamps of packets that could not be decoded."""
        self.end = 0
        """Latest stamp at which a packet ends."""
        self.begin: int | None = None
        """Position of the first packet in the file, where the container knows it."""
        self._hidden = self._lost = self._frames = 0
        self._broken = False
        """Whether what follows is predicted from something damaged."""
        self._conceals_cut, self._by_dts = conceals_cut, by_dts
        self._first: int | None = None

    def add(self, packet: av.Packet[av.video.VideoStream]) -> None:
        """Count a packet."""
        if packet.size and packet.is_discard:
            self._hidden += 1
        elif packet.size:
            stamp = self._read_stamp(packet)
            if not self.stamps:
                self.begin = packet.pos
            if stamp is not None:
                self.end = max(self.end, stamp + (packet.duration or 0))
            self.stamps.append(stamp)

    def add_failure(self, packet: av.Packet[av.video.VideoStream] | None = None) -> None:
        """Count a packet that could not be decoded; None: one that could not even be demuxed.

        Before the first frame that is no damage: the stream was cut there, and its first pictures lack others.
        """
        stamp = None if packet is None else self._read_stamp(packet)
        if stamp is not None:
            self.failed.add(stamp)
        if self._frames and (packet is None or (packet.size and not packet.is_discard)):
            self._lost += packet is not None
            self._mark()

    def meet_frame(self, frame: av.VideoFrame) -> bool:
        """Count a frame that was decoded; whether it is damaged."""
        if frame.is_corrupt or (self._conceals_cut and not self._frames and not frame.key_frame):
            self._mark()
        elif frame.key_frame:
            self._broken = False
        self._frames += 1
        return self._broken

    def _read_stamp(self, packet: av.Packet[av.video.VideoStream]) -> int | None:
        return packet.dts if self._by_dts else packet.pts

    def _mark(self) -> None:
        self._broken = True
        self._first = self._frames if self._first is None else self._first

    def sum_up(self, shown: Sequence[int | None], damaged: Sequence[int], *, field_coded: bool) -> Losses:
        """What was lost.

        Args:
            shown: For each frame, the stamp of the packet that it was decoded from.
            damaged: Frames that are damaged.
            field_coded: Whether two pictures may make a frame.
        """
        coded = len(self.stamps) - (self._count_second_fields(shown) if field_coded else 0)
        missing = max(coded - len(shown) - self._lost, 0) if shown else 0
        return Losses(
            len(self.stamps) + self._hidden, coded, self._hidden, missing, self._lost, len(damaged), self._first
        )

    def _count_second_fields(self, shown: Sequence[int | None]) -> int:
        known = sorted(stamp for stamp in shown if stamp is not None)
        steps = np.diff(known)
        if len(steps) == 0:
            return 0
        reach = _WITHIN_FRAME * float(np.median(steps))
        own = set(known)
        others = [stamp for stamp in self.stamps if stamp is not None and stamp not in own]
        before = (bisect.bisect_left(known, stamp) - 1 for stamp in others)
        return sum(at >= 0 and stamp - known[at] < reach for stamp, at in zip(others, before, strict=True))


# ---------------------------------------------------------------- what is missing


@dataclass(frozen=True)
class Extent:
    """How much of what a file should hold is there.

    Attributes:
        end_s: Seconds at which its last frame ends, by the file's own clock.
        claimed_end_s: When it should end according to the header; None if that says nothing, or agrees.
        cut_off: Whether the file ends within the element that its container ends with.
        blank_share: Share of its bytes, from the first frame on, in blocks of zeros: of a download or a recording
            that was interrupted, they were never written.
    """

    end_s: float = 0.0
    claimed_end_s: float | None = None
    cut_off: bool = False
    blank_share: float = 0.0

    @property
    def missing_share(self) -> float:
        """Share of the stated length that is missing at the end."""
        return 0.0 if self.claimed_end_s is None else 1 - self.end_s / self.claimed_end_s


def measure_extent(
    path: Path, container: av.container.InputContainer, source: av.video.VideoStream, tally: Tally, period: float
) -> Extent:
    """Measure how much of a video is there.

    Args:
        path: The file.
        container: The same, opened.
        source: Its stream that is read.
        tally: All packets of that.
        period: Seconds a frame.
    """
    end = float(tally.end * source.time_base) if source.time_base else 0.0
    claimed, tolerance = _read_claimed_end(container, source), _TOLERANCE * period
    if claimed is not None and not (claimed - end > tolerance and claimed - _find_other_end(path) > tolerance):
        claimed = None
    streams = (*container.streams.video, *container.streams.audio)
    plain = any(stream.codec_context and stream.codec_context.name.startswith(_PLAIN) for stream in streams)
    with path.open("rb") as file:
        size, ends_within = path.stat().st_size, _CUT_OFF.get(container.format.name)
        cut_off = ends_within is not None and ends_within(file, size)
        return Extent(end, claimed, cut_off, 0.0 if plain else _measure_blank_share(file, tally.begin or 0, size))


def _read_claimed_end(container: av.container.InputContainer, source: av.video.VideoStream) -> float | None:
    """Seconds at which the header says that the video ends, or the longest stream."""
    if container.format.name not in _TIMED:
        return None
    try:  # Matroska's own of a track, which writers of it store as a tag
        hours, minutes, seconds = (float(part) for part in source.metadata.get("DURATION", "").split(":"))
        end = hours * 3600 + minutes * 60 + seconds
    except ValueError:
        end = (container.duration or 0) / av.time_base
    return end if math.isfinite(end) else None


def _find_other_end(path: Path) -> float:
    """Seconds at which the last of the streams ends that are no video: sound may go on after the pictures."""
    ends = [0.0]
    with open_video(path) as (container, _):
        others = [stream for stream in container.streams if stream.type != "video"]
        try:
            for packet in container.demux(others) if others else ():
                if packet.pts is not None and packet.size:
                    ends.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except (av.error.FFmpegError, IndexError):  # IndexError: a stream that appeared after the opening
            pass  # what was read counts
    return max(ends)


def _measure_blank_share(file: BinaryIO, begin: int, size: int) -> float:
    """Share of blocks from a position on that hold nothing but zeros."""
    file.seek(-(-begin // _BLOCK) * _BLOCK)  # headers reserve space
    blank = 0
    while len(chunk := file.read(64 * _BLOCK)) >= _BLOCK:
        blocks = np.frombuffer(chunk, np.uint64, len(chunk) // _BLOCK * (_BLOCK // 8)).reshape(-1, _BLOCK // 8)
        candidates = blocks[blocks[:, 0] == 0]  # most blocks end here
        blank += int((~candidates.any(axis=1)).sum())
    return blank * _BLOCK / max(size - begin, 1)


def _read_at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(max(position, 0))
    return file.read(count)


def _ends_in_box(file: BinaryIO, size: int) -> bool:
    """Whether the last of the boxes of ISO media (MP4, MOV) ends beyond the file."""
    position = 0
    while position + 8 <= size:
        length, name = struct.unpack(">I4s", _read_at(file, position, 8))
        if length == 1:
            length = int.from_bytes(_read_at(file, position + 8, 8), "big")
        if not name.isascii() or length == 0 or (length < 8):  # to the end of the file, or none
            return False
        position += length
    return position > size


def _ends_in_riff(file: BinaryIO, size: int) -> bool:
    """Whether the last RIFF chunk of an AVI, of which a large one has several, ends beyond the file."""
    position = 0
    while (head := _read_at(file, position, 8))[:4] == b"RIFF" and len(head) == 8:
        length = int.from_bytes(head[4:], "little")
        if length == 0:  # never finished
            return True
        position += 8 + length + length % 2
    return position > size + 1


def _ends_in_segment(file: BinaryIO, size: int) -> bool:
    """Whether the segment of a Matroska file ends beyond the file; one that is streamed states no size."""
    position, head = 0, b""
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        head = _read_at(file, position, 12)
        if head[:4] != name or len(head) < 12 or not head[4]:
            return False
        width = 9 - head[4].bit_length()
        length = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
        if length == (1 << 7 * width) - 1:
            return False
        position += 4 + width + length
    return position > size


def _ends_in_asf(file: BinaryIO, size: int) -> bool:
    """Whether the file properties of an ASF (WMV) state more bytes than there are."""
    head = _read_at(file, 0, 1 << 16)
    at = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    return at >= 0 and int.from_bytes(head[at + 40 : at + 48], "little") > size


def _ends_in_tag(file: BinaryIO, size: int) -> bool:
    """Whether an FLV does not end with a whole tag, whose length follows it."""
    length = int.from_bytes(_read_at(file, size - 4, 4), "big")
    head = _read_at(file, size - 4 - length, 4)
    return not (11 <= length <= size and int.from_bytes(head[1:], "big") == length - 11)


def _ends_in_packet(file: BinaryIO, size: int) -> bool:
    """Whether an MPEG transport stream ends within a packet."""
    head = _read_at(file, 0, 4 * 204)
    for length, offset in ((188, 0), (192, 4), (204, 0)):
        if head[offset::length][:4] == b"GGGG":
            return size % length != 0
    return False


def _lacks(*ends: bytes) -> Callable[[BinaryIO, int], bool]:
    """Whether a file ends otherwise; zeros after the end are none of it."""
    return lambda file, size: not _read_at(file, size - 64, 64).rstrip(b"\0").endswith(ends)


_CUT_OFF: Final[dict[str, Callable[[BinaryIO, int], bool]]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": _ends_in_box,
    "avi": _ends_in_riff,
    "matroska,webm": _ends_in_segment,
    "asf": _ends_in_asf,
    "flv": _ends_in_tag,
    "mpegts": _ends_in_packet,
    "gif": _lacks(b"\x3b"),
    "apng": _lacks(b"IEND\xaeB`\x82"),
    "mjpeg": _lacks(b"\xff\xd9"),
}
