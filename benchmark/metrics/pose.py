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

The input poses and the detected ones come from the same extractor (else all are null, since poses of two extractors
are not comparable), so the metric shares the errors of the
poses that conditioned the synthesis. `pose_distance_true` does not depend on the input poses; `*_real` shows
how reliable the extractor is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.benchmark.metrics.base import METRICS, MetricInfo
from dancebench.benchmark.metrics.chunks import FakeAndReal, start_once
from dancebench.benchmark.metrics.detected_poses import detect_poses
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.distance import pose_distances, shared_joints
from dancebench.datasets.pose.extractors.base import PoseExtractor, open_extractor
from dancebench.datasets.pose.skeleton import BODY, Keypoints, is_found
from dancebench.datasets.video.clips import VideoReader

Values = npt.NDArray[np.float64]


_HEIGHT: Final = "% of frame height"
_MISSED: Final = "joints of 25 per frame"
_UNDETECTED: Final = "no frame has both an input pose and a detected one"
_NO_INPUT: Final = "no frame has an input pose"
_NO_TRUTH: Final = "the true keypoints are not known"
REASON: Final = "pose_reason"
"""Column with the reason why no poses were detected, the same in every frame; there only where none were."""
_METRICS: Final = {
    "pose_distance": MetricInfo(_HEIGHT, False, _UNDETECTED, REASON),
    "pose_distance_real": MetricInfo(_HEIGHT, None, _UNDETECTED, REASON),
    "pose_missed": MetricInfo(_MISSED, False, _NO_INPUT, REASON),
    "pose_missed_real": MetricInfo(_MISSED, None, _NO_INPUT, REASON),
    "pose_distance_true": MetricInfo(_HEIGHT, False, _NO_TRUTH, REASON),
    "pose_distance_true_real": MetricInfo(_HEIGHT, None, _NO_TRUTH, REASON),
}


@METRICS.register_files(_METRICS)
def measure_poses(clips: FakeAndReal[Path], report: ReportProgress = ignore_progress) -> pd.DataFrame:
    """Detect poses on both clips, or load those cached beside them, and compare.

    Args:
        clips: Two files.
        report: Progress.

    Returns:
        One row per frame, with the columns above; all null, with the reason, without an extractor.
    """
    extractor = _open_extractor(clips)
    if isinstance(extractor, str):
        nothing = dict.fromkeys(_METRICS, np.nan)
        return pd.DataFrame({**nothing, REASON: extractor}, index=range(len(clips.keypoints)))
    with VideoReader(clips.real) as reader:
        height = reader.height
    starts = start_once(len(clips.keypoints)) if clips.starts is None else clips.starts
    columns: dict[str, Values] = {}
    for clip, suffix in ((clips.fake, ""), (clips.real, "_real")):
        detected = detect_poses(clip, starts, extractor, folder=clips.poses_folder, report=report)
        truth = clips.truth
        unknown = np.full(len(detected), np.nan)
        columns[f"pose_distance{suffix}"] = measure_distance(detected, clips.keypoints, height)
        columns[f"pose_missed{suffix}"] = count_missed(detected, clips.keypoints)
        columns[f"pose_distance_true{suffix}"] = unknown if truth is None else measure_distance(detected, truth, height)
    return pd.DataFrame(columns)


def _open_extractor(clips: FakeAndReal[Path]) -> PoseExtractor | str:
    """The extractor of the input poses, or why there is none."""
    if clips.extractor is not None:
        return clips.extractor
    try:
        return open_extractor()
    except BenchError as error:
        return error.message


def measure_distance(detected: Keypoints, wanted: Keypoints, height: int) -> Values:
    """Eq. 6 per frame, in % of `height`: [T] from two [T, 75, 3]; NaN where no joint is shared."""
    pixels = pose_distances(detected, wanted)
    return np.where(np.isfinite(pixels), 100.0 * pixels / height, np.nan)


def count_missed(detected: Keypoints, wanted: Keypoints) -> Values:
    """Body joints of `wanted` that `detected` lacks, [T]; NaN where `wanted` has none."""
    present = is_found(wanted)[:, BODY].sum(axis=-1)
    missed = present - shared_joints(detected, wanted).sum(axis=-1)
    return np.where(present > 0, missed, np.nan).astype(np.float64)
