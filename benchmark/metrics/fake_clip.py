"""All metrics of one fake: one row per frame, from two clip files and their poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dancebench.benchmark.metrics.base import METRICS, FilesMeasure, FramesMeasure, Ratio
from dancebench.benchmark.metrics.chunks import FakeAndReal, Frames, measure_in_chunks
from dancebench.benchmark.metrics.image import measure_images
from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress


def measure_fake(clips: FakeAndReal[Path], report: ReportProgress = ignore_progress) -> pd.DataFrame:
    """Measure a fake against its real with every metric there is.

    Args:
        clips: Two files.
        report: Progress.

    Returns:
        One row per frame: its number `t`, the columns of `base.METRICS` that are measured per frame (NaN
        stands for null) and those with the reasons of nulls.

    Raises:
        BenchError: The clips or poses differ in length or size, MediaPipe cannot be imported, or a metric does not
            give what it is registered for.
        ValueError: `starts` or `truth` differs from the poses in length, or the first frame does not start a segment.
    """
    n_frames, starts, truth = len(clips.keypoints), clips.starts, clips.truth
    if starts is not None and (len(starts) != n_frames or not starts[:1].all()):
        raise ValueError("starts needs one entry for each pose, and the first frame must start a segment")
    if truth is not None and len(truth) != n_frames:
        raise ValueError("truth needs one entry for each pose")
    per_frame = [metric.measure for metric in METRICS.entries().values()]
    of_frames = dict.fromkeys(measure for measure in per_frame if isinstance(measure, FramesMeasure))
    of_files = dict.fromkeys(measure for measure in per_frame if isinstance(measure, FilesMeasure))

    def measure_chunk(chunk: FakeAndReal[Frames]) -> pd.DataFrame:
        return _join([measure_images(chunk), *(each.measure(chunk) for each in of_frames)], len(chunk.keypoints))

    rows = measure_in_chunks(clips, measure_chunk, report=report)
    for each in of_frames:
        rows = each.finish(rows)
    return _check_columns(_join([rows, *(each.measure(clips, report) for each in of_files)], n_frames))


def _join(parts: list[pd.DataFrame], n_frames: int) -> pd.DataFrame:
    """Tables of the same frames side by side."""
    for part in parts:
        if len(part) != n_frames:
            raise BenchError(
                f"The metrics {', '.join(map(str, part))} have {len(part)} rows for {n_frames} frames.",
                hint="Their function must return one row for each frame.",
            )
    return pd.concat([part.reset_index(drop=True) for part in parts], axis=1)


def _check_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with all metrics that are measured per frame, null where a value is not finite."""
    names = [name for name, metric in METRICS.entries().items() if not isinstance(metric.measure, Ratio)]
    missing = sorted(set(names) - set(rows))
    if missing:
        raise BenchError(
            f"The metric '{missing[0]}' was not measured: its function returned no column of that name.",
            hint="A function of frames or of files returns every column that it is registered for.",
        )
    return rows.assign(**{name: rows[name].where(np.isfinite(rows[name].astype(float))) for name in names})
