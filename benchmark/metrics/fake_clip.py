"""All metrics of one fake: one row per frame, from two clip files and their poses."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dancebench.benchmark.metrics.chunks import Frames, SegmentStarts, measure_in_chunks
from dancebench.benchmark.metrics.flicker import hide_moving, measure_flicker
from dancebench.benchmark.metrics.image import measure_images
from dancebench.benchmark.metrics.perceptual import Lpips
from dancebench.benchmark.metrics.pose import measure_poses
from dancebench.benchmark.metrics.warp import measure_warp
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.skeleton import Keypoints


def measure_fake(
    fake: Path,
    real: Path,
    keypoints: Keypoints,
    *,
    truth: Keypoints | None,
    starts: SegmentStarts,
    lpips: Lpips | None,
    report: ReportProgress = ignore_progress,
) -> pd.DataFrame:
    """Measure a fake against its real.

    Args:
        fake: Clip file of T frames.
        real: Clip file of the same frames of the recording, at the same size.
        keypoints: Poses of the real frames, which drove the fake: float32 [T, 75, 3] in pixels of the clips.
        truth: The drawn dancer's true keypoints, the same shape and pixels; None where they are not known.
        starts: Where a segment of consecutive frames starts, bool [T]; True at the first.
        lpips: None leaves the LPIPS columns null.
        report: Progress.

    Returns:
        One row per frame: its number `t`, the columns of `base.METRICS` that are measured per frame (NaN
        stands for null) and `background_reason`.

    Raises:
        BenchError: The clips or poses differ in length or size, or MediaPipe cannot be imported.
        ValueError: `starts` or `truth` differs from the poses in length, or the first frame does not start a segment.
    """
    if len(starts) != len(keypoints) or not starts[:1].all() or (truth is not None and len(truth) != len(keypoints)):
        raise ValueError("starts and truth need one entry for each pose, and the first frame must start a segment")

    def measure_chunk(fakes: Frames, reals: Frames, span: slice) -> pd.DataFrame:
        chunk_poses, chunk_starts = keypoints[span], starts[span]
        parts = [
            measure_images(fakes, reals, chunk_poses, lpips=lpips, starts=chunk_starts),
            measure_flicker(fakes, reals, chunk_poses, starts=chunk_starts),
            measure_warp(fakes, reals, None if truth is None else truth[span], starts=chunk_starts),
        ]
        return pd.concat(parts, axis=1)

    rows = hide_moving(measure_in_chunks(fake, real, len(keypoints), measure_chunk, report=report))
    poses = measure_poses(fake, real, keypoints, truth=truth, starts=starts, report=report)
    return pd.concat([rows, poses], axis=1)
