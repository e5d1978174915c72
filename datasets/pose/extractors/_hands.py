"""Hands of one person: where they are looked for, and which wrist each belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.skeleton import Keypoints

Frame = npt.NDArray[np.uint8]
Point = npt.NDArray[np.float64]
"""x, y in pixels."""

_REACH: Final = 0.1
"""How far a hand's wrist may be from the body's, as a share of the body's larger side."""
_SAME_HAND: Final = 0.25
"""Mean distance of their points, as a share of the hand's larger side, below which two hands are one found twice."""


def cut_square(frame: Frame, centre: Point, side: int) -> tuple[Frame, Point]:
    """A square of the frame, black where it reaches beyond it.

    Args:
        frame: uint8 [H, W, 3].
        centre: Of the square.
        side: In pixels.

    Returns:
        uint8 [side, side, 3], and where its first pixel lies in the frame.
    """
    height, width = frame.shape[:2]
    x, y = (round(float(value) - (side - 1) / 2) for value in centre)
    square = np.zeros((side, side, 3), np.uint8)
    top, bottom, left, right = max(y, 0), min(y + side, height), max(x, 0), min(x + side, width)
    if top < bottom and left < right:
        square[top - y : bottom - y, left - x : right - x] = frame[top:bottom, left:right]
    return square, np.array([x, y], np.float64)


def assign_hands(hands: Sequence[Keypoints], wrists: Mapping[int, Point], body_side: float) -> dict[int, Keypoints]:
    """Which hand is whose: the nearest pair of a hand and a wrist first, then the nearest of what is left.

    The body's wrists decide, not the side that a hand landmarker names: it sees no arm, and often takes the back of one
    hand for the palm of the other. A hand out of reach of both wrists is another person's, or none.

    Args:
        hands: float32 [21, 3] each, the wrist first; one hand may be there twice.
        wrists: The body's wrists by what they are called.
        body_side: The larger side of the body's box in pixels.

    Returns:
        The hand of each wrist that has one.
    """
    pairs = sorted(
        (float(np.hypot(*(hand[0, :2] - wrist))), index, name)
        for index, hand in enumerate(hands)
        for name, wrist in wrists.items()
    )
    assigned: dict[int, Keypoints] = {}
    for distance, index, name in pairs:
        within_reach = distance <= _REACH * body_side
        if within_reach and name not in assigned and not _is_among(hands[index], assigned.values()):
            assigned[name] = hands[index]
    return assigned


def _is_among(hand: Keypoints, others: Iterable[Keypoints]) -> bool:
    """Whether a hand is one of the others, or the same one found again."""
    side = float(np.ptp(hand[:, :2], axis=0).max())
    distances = (np.linalg.norm(hand[:, :2] - other[:, :2], axis=1).mean() for other in others)
    return any(distance <= _SAME_HAND * side for distance in distances)
