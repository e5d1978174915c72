"""Measure two aligned clips in chunks, so that memory use does not grow with their length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.video.clips import VideoReader

CHUNK: Final = 256
"""Frames in memory at once, of each clip."""

Frames = npt.NDArray[np.uint8]
"""uint8 RGB [T, H, W, 3]."""
SegmentStarts = npt.NDArray[np.bool_]
"""[T]: True where a segment of consecutive frames starts, as frame 0 always does."""
Measure = Callable[[Frames, Frames, slice], pd.DataFrame]
"""`measure(fakes, reals, span)`: one row for each frame of `span`, in order."""


def measure_in_chunks(
    fake: Path, real: Path, n_frames: int, measure: Measure, *, report: ReportProgress = ignore_progress
) -> pd.DataFrame:
    """Measure two whole clips chunk by chunk.

    Each chunk but the first starts with the last frame of the previous one, whose row is dropped: a measure
    may use the previous frame.

    Args:
        fake: Clip file.
        real: Clip file of the same frames.
        n_frames: Number of frames that there are poses of.
        measure: Called for each chunk.
        report: Progress.

    Returns:
        One row per frame, with its number `t`.

    Raises:
        BenchError: The clips or the poses differ in length.
    """
    with VideoReader(fake) as fakes, VideoReader(real) as reals:
        if not len(fakes) == len(reals) == n_frames:
            raise BenchError(
                f"The clips cannot be compared frame by frame: {len(fakes)} frames against {len(reals)} "
                f"with {n_frames} poses.",
                hint="Both must hold the same frames.",
            )
        tables = []
        for start in range(0, n_frames, CHUNK):
            overlap = min(start, 1)
            span = slice(start - overlap, min(start + CHUNK, n_frames))
            frames = range(span.start, span.stop)
            rows = measure(fakes.read(frames), reals.read(frames), span)
            tables.append(rows[overlap:].assign(t=frames[overlap:]))
            report(f"measuring {fake.stem}", span.stop, n_frames)
    return pd.concat(tables, ignore_index=True)


def start_once(n_frames: int) -> SegmentStarts:
    """The segment starts of a clip without gaps, bool [T]: True at frame 0 alone."""
    return np.asarray(np.arange(n_frames) == 0)
