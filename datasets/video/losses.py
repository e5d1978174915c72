"""What of a video is not shown as it was recorded: hidden, undecodable, lost and damaged pictures are counted."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import av
import numpy as np

_WITHIN_FRAME: Final = 0.75
"""Share of a frame period within which a second field follows the first."""


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
            self.stamps.append(self._read_stamp(packet))

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
