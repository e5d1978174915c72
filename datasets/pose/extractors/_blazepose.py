"""MediaPipe's landmarks in the 75-point layout: what the extractors that run its networks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.skeleton import (
    BODY,
    L_HIP,
    L_SHOULDER,
    MID_HIP,
    NECK,
    R_HIP,
    R_SHOULDER,
    Keypoints,
)  # fmt: skip

VISIBLE: Final = 0.5
"""BlazePose's visibility below which a body point counts as missing."""
PERSON: Final = 0.5
"""BlazePose's probability above which a pixel counts as the person's."""

# BODY_25 index ← BlazePose index. Neck and mid-hip are midpoints; BlazePose has no small toes.
_BODY_FROM_BLAZEPOSE: Final = {
    0: 0, 2: 12, 3: 14, 4: 16, 5: 11, 6: 13, 7: 15, 9: 24, 10: 26, 11: 28, 12: 23, 13: 25, 14: 27,
    15: 5, 16: 2, 17: 8, 18: 7, 19: 31, 21: 29, 22: 32, 24: 30,
}  # fmt: skip
# Face mesh vertices for bridge, tip, chin, right and left jaw end, base of the nose, right and left pupil.
# Without refined landmarks the mesh has no irises: a pupil is the middle of its eye's two corners.
_FACE_FROM_MESH: Final[tuple[tuple[int, ...], ...]] = (
    (168,), (1,), (152,), (234,), (454,), (2,), (33, 133), (263, 362),
)  # fmt: skip


def convert_body(marks: Sequence[Any], size: npt.NDArray[np.float64]) -> Keypoints:
    """BODY_25's points from BlazePose's 33 landmarks.

    Args:
        marks: Landmarks with x and y as shares of the frame, and visibility.
        size: (width, height) of the frame in pixels.

    Returns:
        float32 [25, 3]: pixels and the visibility; 0 below `VISIBLE`.
    """
    points = np.zeros((BODY.stop, 3), np.float32)
    for body, blaze in _BODY_FROM_BLAZEPOSE.items():
        if marks[blaze].visibility >= VISIBLE:
            points[body] = convert_mark(marks[blaze], size, marks[blaze].visibility)
    for middle, (a, b) in {NECK: (R_SHOULDER, L_SHOULDER), MID_HIP: (R_HIP, L_HIP)}.items():
        if points[a, 2] > 0 and points[b, 2] > 0:
            points[middle] = (points[a] + points[b]) / 2
    return points


def convert_face(mesh: Sequence[Any], size: npt.NDArray[np.float64]) -> Keypoints:
    """The eight face points, float32 [8, 3] with confidence 1, from the vertices of a face mesh; see `convert_body`."""
    return np.array(
        [
            np.mean([convert_mark(mesh[vertex], size, 1.0) for vertex in vertices], axis=0)
            for vertices in _FACE_FROM_MESH
        ],
        np.float32,
    )


def convert_mark(mark: Any, size: npt.NDArray[np.float64], confidence: float) -> tuple[float, float, float]:
    """A landmark in pixels, whose centres are whole numbers, with its confidence."""
    return float(mark.x * size[0] - 0.5), float(mark.y * size[1] - 0.5), confidence
