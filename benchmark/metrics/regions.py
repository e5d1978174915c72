"""Regions that metrics measure: frame, body (bounding box of the keypoints and a margin), face (nose-centred).

A region is a box of whole pixels inside the frame. Body boxes grow outwards to a grid so that crops of a
clip fall into few shapes and can be measured in batches.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.face_crop import MIN_SIDE, centre_interval, compute_face_box
from dancebench.datasets.pose.skeleton import NOSE, Keypoints, compute_body_box

Region = Literal["frame", "body", "face"]
REGIONS: Final[tuple[Region, ...]] = ("frame", "body", "face")

_GRID: Final = 16


def locate_region(region: Region, keypoints: Keypoints, size: tuple[int, int]) -> Box[int] | None:
    """The region of one frame.

    Args:
        region: Name of the region.
        keypoints: float32 [75, 3] in pixels of the frame.
        size: (height, width) of the frame.

    Returns:
        None where the keypoints that define it are missing.
    """
    height, width = size
    if region == "frame":
        return Box(0, height, 0, width)
    if region == "face":
        return compute_face_box(keypoints[NOSE, :2], size) if keypoints[NOSE, 2] > 0 else None
    box = compute_body_box(keypoints)
    if box is None:
        return None
    return Box(*_grow_to_grid(box.top, box.bottom, height), *_grow_to_grid(box.left, box.right, width))


def _grow_to_grid(low: float, high: float, limit: int) -> tuple[int, int]:
    """Grow [low, high] to multiples of the grid, to at least `MIN_SIDE`, within [0, limit]."""
    length = max(MIN_SIDE, math.ceil((high - low) / _GRID) * _GRID)
    return centre_interval((low + high) / 2, length, limit)
