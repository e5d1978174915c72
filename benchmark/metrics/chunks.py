"""Two aligned clips, a piece at a time, so that memory does not grow with their length."""

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
"""[T]: True where a frame does not follow the one before it in the list; frame 0 never does."""
Measure = Callable[[Frames, Frames, slice], pd.DataFrame]
"""`measure(fakes, reals, span)`: one row for each frame of `span`, in order."""


def measure_in_chunks(
    fake: Path, real: Path, n_frames: int, measure: Measure, *, report: ReportProgress = ignore_progress
) -> pd.DataFrame:
    """Rows of two whole clips from a measure of a few frames.

    Each piece but the first begins with the last frame of the one before, whose row is dropped: a measure may
    look one frame back.

    Args:
        fake: Clip file.
        real: Clip file of the same frames.
        n_frames: How many frames the poses speak of.
        measure: What to do with a piece.
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
        pieces = []
        for start in range(0, n_frames, CHUNK):
            before = min(start, 1)
            span = slice(start - before, min(start + CHUNK, n_frames))
            frames = range(span.start, span.stop)
            rows = measure(fakes.read(frames), reals.read(frames), span)
            pieces.append(rows[before:].assign(t=frames[before:]))
            report(f"measuring {fake.stem}", span.stop, n_frames)
    return pd.concat(pieces, ignore_index=True)


def start_once(n_frames: int) -> SegmentStarts:
    """Starts of a clip whose every frame follows the one before: bool [T]."""
    return np.asarray(np.arange(n_frames) == 0)
