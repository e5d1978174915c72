"""Poses detected on a clip, kept beside it: detection takes far longer than all other metrics together.

`NAME.mp4` has its detections in `NAME.poses.npz`, described by `NAME.poses.json`: the hash of the clip, the
extractor's version and the segments of frames that they were made from. If any of these differs, poses are
detected again. Where nothing may be written beside the clip they lie in another folder, under the clip's hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dancebench.benchmark.metrics.chunks import SegmentStarts
from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.files import sha256_once
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.extractors.base import PoseExtractor
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.subjects.prepare import read_poses, write_poses
from dancebench.datasets.video.clips import VideoReader


class DetectedPosesRecord(ArtifactRecord):
    """`NAME.poses.json`: what the poses beside it were detected on."""

    clip_sha256: str
    extractor: str
    starts: tuple[int, ...]
    """Frames that start a segment."""
    poses_sha256: str

    @property
    def key(self) -> Any:
        return [self.clip_sha256, self.extractor, list(self.starts)]

    def files(self, path: Path) -> Mapping[Path, str]:
        """The poses."""
        return {path.with_suffix(".npz"): self.poses_sha256}


def detect_poses(
    clip: Path,
    starts: SegmentStarts,
    extractor: PoseExtractor,
    *,
    folder: Path | None = None,
    report: ReportProgress = ignore_progress,
) -> Keypoints:
    """The poses that the extractor finds in a clip: float32 [T, 75, 3] in its pixels.

    Tracking restarts at every segment, because its first frame does not continue the previous one.

    Args:
        clip: Clip file of T frames.
        starts: Where a segment of consecutive frames starts, bool [T].
        extractor: What finds them.
        folder: Where they are kept; None: beside the clip.
        report: Progress.

    Raises:
        BenchError: The extractor cannot run.
    """
    clip_sha256 = sha256_once(clip)
    poses = clip.with_suffix(".poses.npz") if folder is None else folder / f"{clip_sha256}.poses.npz"
    description, begins = extractor.describe(), np.flatnonzero(starts).tolist()

    def detect() -> DetectedPosesRecord:
        write_poses(poses, np.stack(list(_detect(clip, starts, extractor, report))))
        return DetectedPosesRecord(
            clip_sha256=clip_sha256, extractor=description, starts=tuple(begins), poses_sha256=sha256_once(poses)
        )

    reuse_or_make(poses.with_suffix(".json"), DetectedPosesRecord, [clip_sha256, description, begins], detect)
    return read_poses(poses)


def _detect(clip: Path, starts: SegmentStarts, extractor: PoseExtractor, report: ReportProgress) -> Iterator[Keypoints]:
    begins = np.flatnonzero(starts).tolist()
    with VideoReader(clip) as frames:
        for begin, end in zip(begins, [*begins[1:], len(frames)], strict=True):
            segment = (frames[t] for t in range(begin, end))
            for t, points in enumerate(extractor.extract(segment), start=begin):
                report(f"detecting poses in {clip.stem}", t + 1, len(frames))
                yield points
