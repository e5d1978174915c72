"""Tracks: boxes found in some frames of a recording in; the box of the chosen person or face in every frame out.

People or faces are looked for in frames at least `LOOK_EVERY` apart, at most two in a second. Boxes of consecutive
looks are of one track if they are near and of like size; a track ends with its segment, or where it is not found in two
looks in a row. Of each segment the track is taken whose area, summed over its looks, is largest: area times duration.
Between its looks the box is interpolated linearly, and moved to where the picture shows what the nearer look saw; a
quarter of a second before the first and after the last it stays as it is. Frames further off are left out: the one that
is looked at is not seen there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.box import Box
from dancebench.datasets.video.upright import Frame

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

_PATCH_SIDE: Final = 48
"""Larger side of what is remembered of a box, in pixels: whoever is looked at moves, their pores do not matter."""
_SEARCHED: Final = 1.0
"""Box sides that are searched around the interpolated box."""
_ALIKE: Final = 0.6
"""Correlation coefficient from which a place in the picture is taken for what the look saw."""
_STEADY: Final = 0.08
"""Box sides by which the interpolated box may be off before it is moved: the view does not jitter."""

Edges = npt.NDArray[np.float64]
"""(N, 4): top, bottom, left, right."""
Patch = npt.NDArray[np.uint8]
"""What a box showed: grey, (height, width), its larger side `_PATCH_SIDE`."""
Patches = Mapping[tuple[float, Box[float]], Patch]
"""By the time of the look and the box."""


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


class Follower:
    """Finds the box of a track in each frame.

    Args:
        track: The track.
        patches: What each of its boxes showed.
    """

    def __init__(self, track: Track, patches: Patches) -> None:
        self._track = track
        boxes = [Box(*map(float, edges)) for edges in track.edges]
        self._patches = [patches[float(at), box] for at, box in zip(track.seconds, boxes, strict=True)]

    def find(self, seconds: float, frame: Frame) -> Box[float] | None:
        """The box in a frame of the track's segment, (H, W, 3); None where it is not seen."""
        box = self._track.box_at(seconds)
        nearest = int(np.abs(self._track.seconds - seconds).argmin())
        if box is None or self._track.seconds[nearest] == seconds:
            return box
        down, right = _find_shift(frame, box.clip((frame.shape[0], frame.shape[1])), self._patches[nearest])
        return Box(box.top + down, box.bottom + down, box.left + right, box.right + right)


def remember(frame: Frame, box: Box[float]) -> Patch:
    """What a box shows, small and grey."""
    part = _cut(frame, _round(box.clip((frame.shape[0], frame.shape[1]))))
    scale = _PATCH_SIDE / max(part.shape)
    size = [max(1, round(side * scale)) for side in part.shape]
    return np.asarray(cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _find_shift(frame: Frame, box: Box[float], patch: Patch) -> tuple[float, float]:
    """Pixels down and to the right by which a box is off what the patch shows; 0 where that is not seen nearby."""
    reach = _SEARCHED * max(box.height, box.width)
    around = Box(box.top - reach, box.bottom + reach, box.left - reach, box.right + reach)
    inside = _round(around.clip((frame.shape[0], frame.shape[1])))
    scale = max(patch.shape) / max(box.height, box.width)
    height, width = round(inside.height * scale), round(inside.width * scale)
    if height < patch.shape[0] or width < patch.shape[1] or patch.std() == 0:
        return 0.0, 0.0
    searched = cv2.resize(_cut(frame, inside), (width, height), interpolation=cv2.INTER_AREA)
    _, likeness, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(searched, patch, cv2.TM_CCOEFF_NORMED))
    if not likeness >= _ALIKE:
        return 0.0, 0.0
    steady = _STEADY * max(box.height, box.width)
    down, right = inside.top + y / scale - box.top, inside.left + x / scale - box.left
    return _leave_steady(down, steady), _leave_steady(right, steady)


def _leave_steady(shift: float, steady: float) -> float:
    return float(np.sign(shift)) * max(0.0, abs(shift) - steady)


def _cut(frame: Frame, box: Box[int]) -> Patch:
    part = frame[box.rows, box.columns]
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _round(box: Box[float]) -> Box[int]:
    """Whole pixels, at least one each way."""
    top, left = int(box.top), int(box.left)
    return Box(top, max(top + 1, round(box.bottom)), left, max(left + 1, round(box.right)))


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
