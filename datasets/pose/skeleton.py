"""The keypoint layout: 75 points as (x, y in clip pixels, confidence; confidence 0 = missing).

0-24 body in OpenPose's BODY_25 order, 25-45 left hand, 46-66 right hand (MediaPipe's hand order),
67-74 face: the eight of OpenPose's 70 face points that stick figures draw.
Left and right are the person's own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.box import Box

Keypoints = npt.NDArray[np.float32]
"""float32 [T, 75, 3] for a clip, [75, 3] for a frame."""

BODY: Final = slice(0, 25)
LEFT_HAND: Final = slice(25, 46)
RIGHT_HAND: Final = slice(46, 67)
FACE: Final = slice(67, 75)
N_POINTS: Final = 75

NOSE, NECK, MID_HIP = 0, 1, 8
R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = 2, 3, 4, 5, 6, 7
R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE = 9, 10, 11, 12, 13, 14
R_EYE, L_EYE, R_EAR, L_EAR = 15, 16, 17, 18
L_BIG_TOE, L_SMALL_TOE, L_HEEL, R_BIG_TOE, R_SMALL_TOE, R_HEEL = 19, 20, 21, 22, 23, 24

# Limbs are drawn in this order, each in its own hue.
LIMBS: Final[tuple[tuple[int, int], ...]] = (
    (NECK, MID_HIP),
    (NECK, R_SHOULDER), (R_SHOULDER, R_ELBOW), (R_ELBOW, R_WRIST),
    (NECK, L_SHOULDER), (L_SHOULDER, L_ELBOW), (L_ELBOW, L_WRIST),
    (MID_HIP, R_HIP), (R_HIP, R_KNEE), (R_KNEE, R_ANKLE),
    (MID_HIP, L_HIP), (L_HIP, L_KNEE), (L_KNEE, L_ANKLE),
    (NECK, NOSE), (NOSE, R_EYE), (R_EYE, R_EAR), (NOSE, L_EYE), (L_EYE, L_EAR),
    (R_ANKLE, R_HEEL), (R_ANKLE, R_BIG_TOE), (R_BIG_TOE, R_SMALL_TOE),
    (L_ANKLE, L_HEEL), (L_ANKLE, L_BIG_TOE), (L_BIG_TOE, L_SMALL_TOE),
)  # fmt: skip

FINGERS: Final[tuple[tuple[int, ...], ...]] = (
    (0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20),
)  # fmt: skip
HAND_BONES: Final = tuple(bone for finger in FINGERS for bone in pairwise(finger))


def is_found(keypoints: Keypoints) -> npt.NDArray[np.bool_]:
    """Which points were found: shape [..., 75] from [..., 75, 3]."""
    return np.asarray(keypoints[..., 2] > 0)


def has_person(keypoints: Keypoints) -> npt.NDArray[np.bool_]:
    """Frames in which a body was found: at least the neck and the middle of the hips. [T] from [T, 75, 3]."""
    return np.asarray(is_found(keypoints)[..., [NECK, MID_HIP]].all(axis=-1))


def compute_body_box(keypoints: Keypoints, *, margin: float = 0.1) -> Box[float] | None:
    """Bounding box of the found points of one frame, grown by `margin` of its larger side.

    Returns:
        In pixels, whose centres are whole numbers; not clipped to the frame. None where nothing was found.
    """
    points = keypoints[is_found(keypoints), :2]
    if len(points) == 0:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    grow = margin * float((high - low).max())
    return Box(float(low[1] - grow), float(high[1] + grow), float(low[0] - grow), float(high[0] + grow))


def scale_keypoints(keypoints: Keypoints, factor_x: float, factor_y: float) -> Keypoints:
    """The same points in an image resized by the two factors (pixel centres at +0.5)."""
    moved = keypoints.copy()
    moved[..., 0] = (keypoints[..., 0] + 0.5) * factor_x - 0.5
    moved[..., 1] = (keypoints[..., 1] + 0.5) * factor_y - 0.5
    return moved
