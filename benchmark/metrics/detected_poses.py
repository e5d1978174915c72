"""Poses detected on a clip, cached beside it: detection takes far longer than all other metrics together.

`NAME.mp4` has its detections in `NAME.poses.npz`, with the hash of the clip, the extractor's version and the
segments of frames that they were made from. If any of these differs, poses are detected again.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dancebench.benchmark.metrics.chunks import SegmentStarts
from dancebench.core.files import atomic_path, sha256_file
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.holistic import describe_extractor, extract_poses
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.video.clips import VideoReader


def detect_poses(clip: Path, starts: SegmentStarts, *, report: ReportProgress = ignore_progress) -> Keypoints:
    """The poses that the extractor finds in a clip: float32 [T, 75, 3] in its pixels.

    Tracking restarts at every segment, because its first frame does not continue the previous one.

    Args:
        clip: Clip file of T frames.
        starts: Where a segment of consecutive frames starts, bool [T].
        report: Progress.

    Raises:
        BenchError: MediaPipe cannot be imported.
    """
    cache = clip.with_suffix(".poses.npz")
    made_from = json.dumps(
        {
            "clip_sha256": sha256_file(clip),
            "extractor": describe_extractor(),
            "starts": np.flatnonzero(starts).tolist(),
        },
        sort_keys=True,
    )
    existing = _load(cache, made_from)
    if existing is not None:
        return existing
    keypoints = np.stack(list(_detect(clip, starts, report)))
    with atomic_path(cache) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, keypoints=keypoints, made_from=np.array(made_from))
    return keypoints


def _detect(clip: Path, starts: SegmentStarts, report: ReportProgress) -> Iterator[Keypoints]:
    begins = np.flatnonzero(starts).tolist()
    with VideoReader(clip) as frames:
        for begin, end in zip(begins, [*begins[1:], len(frames)], strict=True):
            segment = (frames[t] for t in range(begin, end))
            for t, points in enumerate(extract_poses(segment), start=begin):
                report(f"detecting poses in {clip.stem}", t + 1, len(frames))
                yield points


def _load(path: Path, made_from: str) -> Keypoints | None:
    """Load the cache if it was made from exactly this; None if not, or if damaged. Nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["made_from"]) != made_from:
                return None
            keypoints: Keypoints = stored["keypoints"]
            return keypoints
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return None
