"""Pose novelty: how far the pose of each held-out frame lies from the poses of the training part (DDG Fig. 10)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from dancebench.datasets.pose.distance import measure_distance_to_nearest
from dancebench.datasets.subjects.dataset import Subject
from dancebench.datasets.subjects.real_clips import list_shown_frames

NEAREST: Final = 10
"""Training poses that the distance is averaged over (DDG Fig. 10)."""


def measure_pose_novelty(subject: Subject) -> npt.NDArray[np.float64]:
    """Mean distance (EDN Eq. 6) of the pose of each shown frame to its `NEAREST` training poses.

    Returns:
        float64 [N] in % of the clip's height, in the order of `list_shown_frames`; NaN where a frame has no pose, or
        shares no joint with any training pose.
    """
    keypoints = subject.keypoints()
    training = keypoints[np.asarray(subject.train)]
    distances = [measure_distance_to_nearest(pose, training, NEAREST) for pose in keypoints[list_shown_frames(subject)]]
    return 100 * np.array(distances, np.float64) / subject.size[0]
