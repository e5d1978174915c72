"""Tracks: boxes found in some frames of a recording in; the box of the chosen person or face in every frame out.

People or faces are looked for in frames at least `LOOK_EVERY` apart, at most two in a second. Boxes of consecutive
looks are of one track if they are near and of like size; a track ends with its segment, or where it is not found in two
looks in a row. Of each segment the track is taken whose area, summed over its looks, is largest: area times duration.
Between its looks the box is interpolated linearly; a quarter of a second before the first and after the last it stays
as it is. Frames further off are left out: the one that is looked at is not seen there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.box import Box

LOOK_EVERY: Final = 0.5
"""Seconds from one look to the next, at least."""
_HELD: Final = 0.25
"""Seconds for which the box stays before the first and after the last look of a track."""
_MISSED: Final = 1.25
"""Seconds after which a track that is not found again has ended: one look may miss."""
REACH: Final = 1.5
"""Mean larger sides by which the centre of a person's box may move from look to look."""
FACE_REACH: Final = 4.0
"""The same of a face, which is small: somebody who sits down moves it by three."""
_GROWTH: Final = 2.0
"""Factor by which the larger side may change from look to look."""

Edges = npt.NDArray[np.float64]
"""(N, 4): top, bottom, left, right."""


@dataclass(frozen=True)
class Look:
    """A frame in which people or faces were looked for.

    Attributes:
        seconds: When it is shown.
        segment: Number of its segment.
        boxes: What was found.
    """

    seconds: float
    segment: int
    boxes: tuple[Box[float], ...]


@dataclass(frozen=True)
class Track:
    """One person or face.

    Attributes:
        segment: Number of the segment.
        seconds: Of the looks that found it, increasing (N,).
        edges: Its box in each of them, (N, 4).
    """

    segment: int
    seconds: npt.NDArray[np.float64]
    edges: Edges

    @property
    def presence(self) -> float:
        """Area times duration, but for the time between two looks: the sum of its areas."""
        heights, widths = self.edges[:, 1] - self.edges[:, 0], self.edges[:, 3] - self.edges[:, 2]
        return float((heights * widths).sum())

    def box_at(self, seconds: float) -> Box[float] | None:
        """The box in a frame of its segment; None where it is not seen."""
        if not self.seconds[0] - _HELD <= seconds <= self.seconds[-1] + _HELD:
            return None
        top, bottom, left, right = (float(np.interp(seconds, self.seconds, edge)) for edge in self.edges.T)
        return Box(top, bottom, left, right)


class LookTimer:
    """Says in which frames to look: the first, and those at least `LOOK_EVERY` after the last that was looked at."""

    def __init__(self) -> None:
        self._last: float | None = None

    def __call__(self, seconds: float) -> bool:
        """Whether to look at the frame that is shown then; frames come in order."""
        if self._last is not None and seconds - self._last < LOOK_EVERY - 1e-6:
            return False
        self._last = seconds
        return True


def choose_tracks(looks: Sequence[Look], reach: float = REACH) -> dict[int, Track]:
    """Segment -> the track of the one that is looked at there; segments in which nobody was found have none."""
    chosen: dict[int, Track] = {}
    for track in link_boxes(looks, reach):
        best = chosen.get(track.segment)
        if best is None or track.presence > best.presence:
            chosen[track.segment] = track
    return chosen


def link_boxes(looks: Sequence[Look], reach: float = REACH) -> list[Track]:
    """All tracks, by the look that found them first; of one look in the order of its boxes."""
    finished: list[_Growing] = []
    for look in looks:
        free = set(range(len(look.boxes)))
        growing = [track for track in finished if track.goes_on(look)]
        near = sorted(
            (distance, number, index)
            for number, track in enumerate(growing)
            for index in free
            if (distance := _measure_distance(track.boxes[-1], look.boxes[index], reach)) is not None
        )
        extended: set[int] = set()
        for _, number, index in near:
            if number not in extended and index in free:
                growing[number].add(look.seconds, look.boxes[index])
                extended.add(number)
                free.remove(index)
        finished += [_Growing(look.segment, [look.seconds], [look.boxes[index]]) for index in sorted(free)]
    return [track.finish() for track in finished]


@dataclass
class _Growing:
    segment: int
    seconds: list[float]
    boxes: list[Box[float]]

    def goes_on(self, look: Look) -> bool:
        return self.segment == look.segment and look.seconds - self.seconds[-1] <= _MISSED

    def add(self, seconds: float, box: Box[float]) -> None:
        self.seconds.append(seconds)
        self.boxes.append(box)

    def finish(self) -> Track:
        return Track(self.segment, np.array(self.seconds), np.array([box.edges for box in self.boxes]))


def _measure_distance(before: Box[float], after: Box[float], reach: float) -> float | None:
    """How far the centre moves, in mean larger sides; None where the boxes cannot be of one track."""
    sides = max(before.height, before.width), max(after.height, after.width)
    if max(sides) > _GROWTH * min(sides):
        return None
    down = (after.top + after.bottom - before.top - before.bottom) / 2
    right = (after.left + after.right - before.left - before.right) / 2
    distance = float(np.hypot(down, right)) / (sum(sides) / 2)
    return distance if distance <= reach else None
