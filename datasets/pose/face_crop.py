"""The face crop (EDN section 3.3): a square about the nose, as whole pixels inside the frame."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.box import Box

MIN_SIDE: Final = 32
"""Pixels below which LPIPS has nothing left to compare."""
_SHARE: Final = 0.25
"""The crop's side as a share of the frame height: 128 of 512 in the paper."""


def compute_face_box(centre: npt.NDArray[np.float32], size: tuple[int, int], *, multiple: int = 1) -> Box[int] | None:
    """The crop about one frame's own face centre, moved inwards where it would leave the frame.

    Args:
        centre: (x, y) in pixels of the frame; NaN where no face is seen.
        size: (height, width) of the frame.
        multiple: Sides are rounded up to a multiple of this, so that a generator can halve them.

    Returns:
        None where no face is seen.
    """
    if not np.isfinite(centre).all():
        return None
    side = max(MIN_SIDE, round(_SHARE * size[0]))
    side = -(-side // multiple) * multiple
    top, bottom = centre_interval(float(centre[1]), side, size[0])
    left, right = centre_interval(float(centre[0]), side, size[1])
    return Box(top, bottom, left, right)


def centre_interval(middle: float, side: int, limit: int) -> tuple[int, int]:
    """[low, high) of length `side` about `middle`, within [0, limit)."""
    side = min(side, limit)
    low = min(max(0, round(middle - side / 2)), limit - side)
    return low, low + side
