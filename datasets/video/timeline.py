"""What a frame, a time and a segment of a video are; the one place that decides it.

A frame is what the decoder gives, in the order shown. Its time counts in seconds from the first frame. A segment
is a run of frames without a jump of the file's clock: where the clock goes back, or ahead by more than
`_JUMP` frame periods, the next segment begins, one frame period after the last frame. So times increase, end with
the length of the video, and lie in no gap; the raw stamp of a frame (`pts`) says where it is in the file.

A time is computed while a file is read, with what its packets say beforehand (`Pace`): whoever reads a file,
whole or in part, gets the same times.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

_JUMP: Final = 10
"""Frame periods beyond which the clock has jumped; fewer are frames that were dropped, or a variable rate."""
_UNEVEN: Final = 0.1
"""Share of the median step by which a step may differ at a constant rate."""
_REORDERED: Final = 16
"""Most frames by which H.264 and HEVC reorder pictures."""
_WRAP: Final = 2**33
"""The clock of MPEG transport and program streams starts again after so many units."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pace:
    """What the packets of a stream say of its clock.

    Attributes:
        time_base: Seconds a unit of a stamp.
        nominal: Frames per second, as stated by the container.
        step: Median step between stamps, in units of `time_base`; None where there are no two.
        wraps: Whether the clock is that of an MPEG stream, which starts again after 2^33 units.
    """

    time_base: Fraction
    nominal: Fraction
    step: int | None
    wraps: bool = False

    @cached_property  # asked for at every frame
    def period(self) -> float:
        """Seconds a frame: the nominal ones if the stamps, which a container may round, agree with them."""
        if self.step is None or abs(self.step * self.time_base - 1 / self.nominal) <= self.time_base:
            return float(1 / self.nominal)
        return float(self.step * self.time_base)

    def to_seconds(self, units: int) -> float:
        """Convert a difference of stamps."""
        return units * self.time_base.numerator / self.time_base.denominator


@dataclass(frozen=True)
class Moment:
    """The time of a frame.

    Attributes:
        seconds: From the first frame on.
        pts: Its stamp in the file; None where that is missing or repeated.
        starts_segment: Whether the clock jumped before it. True for the first frame.
        jump: Seconds by which the clock jumped, beyond one frame period; negative: back. 0 elsewhere.
    """

    seconds: float
    pts: int | None
    starts_segment: bool = False
    jump: float = 0.0


class Clock:
    """Gives each frame its time, in the order shown: a stamp in, a moment out."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._last: float | None = None
        self._stamp: int | None = None
        """The last known stamp."""
        self._origin = (0.0, 0)
        """Time and stamp of the first frame of the segment whose stamp is known."""

    def __call__(self, stamp: int | None) -> Moment:
        """The moment of the next frame; one without a usable stamp is shown a frame period after the last."""
        first, following = self._last is None, 0.0 if self._last is None else self._last + self._pace.period
        moment = Moment(following, stamp, first)
        if stamp is not None and self._stamp is None:
            self._origin = (following, stamp)
        elif stamp is not None and self._stamp is not None:
            moment = self._follow(stamp, stamp - self._stamp, following)
        self._last = moment.seconds
        self._stamp = self._stamp if stamp is None else stamp
        return moment

    def _follow(self, stamp: int, step: int, following: float) -> Moment:
        """The moment of a frame that is stamped `step` units after the last stamp."""
        pace, last = self._pace, self._last or 0.0
        wrapped = (step + _WRAP // 2) % _WRAP - _WRAP // 2 if pace.wraps else step
        elapsed = pace.to_seconds(wrapped)
        if not -pace.period / 2 < elapsed <= _JUMP * pace.period:
            self._origin = (following, stamp)
            return Moment(following, stamp, starts_segment=True, jump=elapsed - pace.period)
        if wrapped != step:
            self._origin = (last + elapsed, stamp)
        seconds = self._origin[0] + pace.to_seconds(stamp - self._origin[1])
        return Moment(seconds, stamp) if seconds > last else Moment(following, None)


@dataclass(frozen=True)
class Timeline:
    """The frames of a video in the order shown.

    Attributes:
        timestamps: When each is shown, in seconds from the first on, increasing (T,).
        pts: Raw stamps, T of them; None where one is missing or repeated.
        breaks: Frames that begin a segment, except for the first.
        jumps: Seconds by which the clock jumped at each break, beyond one frame period; negative: back.
        pace: What the packets say of the clock.
    """

    timestamps: Floats
    pts: tuple[int | None, ...]
    breaks: tuple[int, ...]
    jumps: tuple[float, ...]
    pace: Pace

    @classmethod
    def of(cls, moments: Iterable[Moment], pace: Pace) -> Timeline:
        """Collect the moments of all frames."""
        listed = list(moments)
        breaks = [index for index, moment in enumerate(listed) if index and moment.starts_segment]
        seconds = np.array([moment.seconds for moment in listed], dtype=np.float64)
        jumps = tuple(listed[index].jump for index in breaks)
        return cls(seconds, tuple(moment.pts for moment in listed), tuple(breaks), jumps, pace)

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def is_stamped(self) -> bool:
        """Whether every frame has a stamp of its own."""
        return None not in self.pts and len(set(self.pts)) == len(self.pts)

    @property
    def start_s(self) -> float | None:
        """Seconds at which the first frame is stamped by the file's own clock; None if it has no stamp."""
        return None if not self.pts or self.pts[0] is None else self.pace.to_seconds(self.pts[0])

    @property
    def steps(self) -> Floats:
        """Seconds between consecutive frames of one segment."""
        within = np.ones(max(len(self) - 1, 0), dtype=np.bool_)
        within[np.array(self.breaks, dtype=np.intp) - 1] = False
        return np.diff(self.timestamps)[within]

    @property
    def fps(self) -> float:
        """Frames per second: the nominal rate if the stamps do not contradict it, else that of the median step."""
        if self._is_nominal:
            return float(self.pace.nominal)
        steps = self.steps
        if len(steps) == 0:
            return 1 / self.pace.period
        median = np.sort(steps)[(len(steps) - 1) // 2]
        # The mean over the steps like the median: a container that counts milliseconds rounds each of them.
        regular = steps[np.abs(steps - median) <= max(_UNEVEN * median, 1.5 * self.tick)]
        rate = len(regular) / float(regular.sum())
        exact = float(Fraction(rate).limit_denominator(1001))
        return exact if abs(exact - rate) < 1e-9 * rate else rate

    @property
    def duration_s(self) -> float:
        """Sum of the lengths of the segments, in seconds; the last frame of each is shown for a frame period."""
        if self._is_nominal:
            return len(self) / self.fps
        return float(self.timestamps[-1]) + 1 / self.fps  # segments follow each other without a gap

    @property
    def tick(self) -> float:
        """Seconds a unit of a stamp."""
        return float(self.pace.time_base)

    @property
    def _is_nominal(self) -> bool:
        steps = self.steps
        span = float(steps.sum()) if self.breaks else float(self.timestamps[-1] - self.timestamps[0])
        return abs(span - len(steps) / self.pace.nominal) <= self.pace.time_base

    def find_uneven_steps(self) -> tuple[float, float] | None:
        """Shortest and longest step in seconds, if they differ by more than the rounding of a container."""
        steps = self.steps
        if len(steps) < 2:
            return None
        median = float(np.median(steps))
        if np.abs(steps - median).max() <= max(_UNEVEN * median, 1.5 * self.tick):
            return None
        return float(steps.min()), float(steps.max())


def order_stamps(stamps: Iterable[int]) -> Iterator[int]:
    """The stamps of packets, which come in the order of decoding, in the order shown; jumps stay where they are."""
    waiting: list[int] = []
    for stamp in stamps:
        if len(waiting) == _REORDERED:
            yield heapq.heappushpop(waiting, stamp)
        else:
            heapq.heappush(waiting, stamp)
    yield from (heapq.heappop(waiting) for _ in range(len(waiting)))


def find_median_step(stamps: Iterable[int]) -> int | None:
    """The median step between the stamps of packets in the order of decoding; None where there are no two."""
    steps = np.diff(np.fromiter(order_stamps(stamps), dtype=np.int64))
    ahead = np.sort(steps[steps > 0])
    return int(ahead[(len(ahead) - 1) // 2]) if len(ahead) else None
