"""Segments of a recording: frames in; runs of frames within which motion is continuous out.

A segment ends where the file's clock jumps (`timeline.py`) or the picture is cut. A cut is told from two frames
alone, so that it costs no second pass and no frames need to be held. Their thumbnails differ by more than
`LARGE_DIFFERENCE`; or by more than `CUT_DIFFERENCE`, and correlate by less than `CUT_CORRELATION` however they are
shifted: moving people and cameras, and some change of light, keep the correlation. A false cut, at a flash of light
for instance, costs one pair of frames; a missed one is a pair that shows two scenes. A cut within one scene (the same
camera, later) looks like motion and is not found.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.core.opencv import cv2
from dancebench.datasets.video.upright import Frame

LARGE_DIFFERENCE: Final = 30.0
CUT_DIFFERENCE: Final = 12.0
"""Mean absolute difference of thumbnails, of 255."""
CUT_CORRELATION: Final = 0.7
"""Pearson's, of thumbnails that are shifted against each other by up to an eighth.

Measured on 175 recordings and videos of people (25,900 pairs of frames): consecutive frames that differ by more than
`CUT_DIFFERENCE` correlate by at least 0.75 and differ by at most 21, but for the one cut among them (0.34 and 84). Of
frames of two recordings, many of them of one camera or person, 97 and 99 % are told apart.
"""
_SIDE: Final = 32
"""Of a thumbnail, in pixels."""
_FLAT: Final = 1.0
"""Standard deviation, of 255, below which a thumbnail has no contrast."""
_SHIFT: Final = 4
"""Pixels by which thumbnails are shifted each way, at most."""

Thumbnail = npt.NDArray[np.float32]
"""RGB, float32 (32, 32, 3) in [0, 255]."""


class Segmenter:
    """Numbers the segments of a recording while its frames pass.

    Attributes:
        cuts: Seconds at which the picture is cut, jumps of the clock apart.
    """

    def __init__(self) -> None:
        self.cuts: list[float] = []
        self._segment = -1
        self._by_clock: int | None = None
        self._last: Thumbnail | None = None

    def __call__(self, seconds: float, by_clock: int, frame: Frame) -> int:
        """The number of the frame's segment, counted from 0.

        Args:
            seconds: When the frame is shown.
            by_clock: Number of the segment by the clock; another one than the last frame's begins a segment.
            frame: uint8 RGB (H, W, 3).
        """
        thumbnail = make_thumbnail(frame)
        if by_clock != self._by_clock:
            self._segment += 1
        elif self._last is not None and is_cut(self._last, thumbnail):
            self._segment += 1
            self.cuts.append(seconds)
        self._by_clock, self._last = by_clock, thumbnail
        return self._segment


def make_thumbnail(frame: Frame) -> Thumbnail:
    """Reduce a frame, uint8 RGB (H, W, 3), to what cuts are looked for in."""
    small: Frame = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)


def is_cut(before: Thumbnail, after: Thumbnail) -> bool:
    """Whether two consecutive frames show two scenes, by their thumbnails."""
    difference = np.abs(after - before).mean()
    if difference <= CUT_DIFFERENCE:
        return False
    correlation = max(_correlate(before, after), _correlate(after, before))
    return bool(difference > LARGE_DIFFERENCE or correlation < CUT_CORRELATION)


def _correlate(first: Thumbnail, second: Thumbnail) -> float:
    """Correlation in [-1, 1] of the middle of the one, wherever in the other it fits best.

    Two pictures without any contrast differ by their light alone: 1. One has nothing in common with other pictures: 0.
    """
    middle = first[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    flat = [picture.std(axis=(0, 1)).max() < _FLAT for picture in (middle, second)]
    if any(flat):
        return float(all(flat))
    return float(cv2.matchTemplate(second, middle, cv2.TM_CCOEFF_NORMED).max())
