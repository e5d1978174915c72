"""Pose metrics: does the person in the fake have the driving pose?

As in the first version of Everybody Dance Now, poses are detected on the fake and compared with the input
poses. What goes in: two clip files of the same frames, the input poses, and for drawn dancers
the true ones. Distances are the paper's Eq. 6, the mean over the body joints that both poses have, in % of
the frame's height, so that sizes are comparable:

    pose_distance       from poses detected on the fake to the input poses
    pose_missed         body joints (of 25) of the input pose that the detection on the fake lacks
    pose_distance_true  from poses detected on the fake to the drawn dancer's true keypoints
    *_real              the same of the real clip at the fake's size: the pose extractor's own error

Where nothing is detected the distance is null and all joints count as missed; without an input pose (or without
true keypoints) there is nothing to compare and both are null.

The input poses and the detected ones come from the same MediaPipe, so the metric shares the errors of the
poses that conditioned the synthesis. `pose_distance_true` does not depend on the input poses; `*_real` shows
how reliable the extractor is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.benchmark.metrics.chunks import SegmentStarts
from dancebench.benchmark.metrics.detected_poses import detect_poses
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.distance import pose_distances, shared_joints
from dancebench.datasets.pose.skeleton import BODY, Keypoints, is_found
from dancebench.datasets.video.clips import VideoReader

Values = npt.NDArray[np.float64]


def measure_poses(
    fake: Path,
    real: Path,
    keypoints: Keypoints,
    *,
    truth: Keypoints | None,
    starts: SegmentStarts,
    report: ReportProgress = ignore_progress,
) -> pd.DataFrame:
    """Detect poses on both clips, or load those cached beside them, and compare.

    Args:
        fake: Clip file.
        real: Clip file of the same frames, at the same size.
        keypoints: Input poses float32 [T, 75, 3], in pixels of the clips.
        truth: True keypoints, the same shape and pixels; None where they are not known.
        starts: Where a segment of consecutive frames starts, bool [T].
        report: Progress.

    Returns:
        One row per frame, with the columns above.

    Raises:
        BenchError: MediaPipe cannot be imported.
    """
    with VideoReader(real) as reader:
        height = reader.height
    columns: dict[str, Values] = {}
    for clip, suffix in ((fake, ""), (real, "_real")):
        detected = detect_poses(clip, starts, report=report)
        unknown = np.full(len(detected), np.nan)
        columns[f"pose_distance{suffix}"] = measure_distance(detected, keypoints, height)
        columns[f"pose_missed{suffix}"] = count_missed(detected, keypoints)
        columns[f"pose_distance_true{suffix}"] = unknown if truth is None else measure_distance(detected, truth, height)
    return pd.DataFrame(columns)


def measure_distance(detected: Keypoints, wanted: Keypoints, height: int) -> Values:
    """Eq. 6 per frame, in % of `height`: [T] from two [T, 75, 3]; NaN where no joint is shared."""
    pixels = pose_distances(detected, wanted)
    return np.where(np.isfinite(pixels), 100.0 * pixels / height, np.nan)


def count_missed(detected: Keypoints, wanted: Keypoints) -> Values:
    """Body joints of `wanted` that `detected` lacks, [T]; NaN where `wanted` has none."""
    present = is_found(wanted)[:, BODY].sum(axis=-1)
    missed = present - shared_joints(detected, wanted).sum(axis=-1)
    return np.where(present > 0, missed, np.nan).astype(np.float64)
