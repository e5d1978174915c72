"""A fake and its real, and how both are measured in chunks, so that memory use does not grow with their length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.extractors.base import PoseExtractor
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.subjects.masks import PersonMasks
from dancebench.datasets.video.clips import VideoReader

CHUNK: Final = 256
"""Frames in memory at once, of each clip; fewer where frames are large."""
_CHUNK_PIXELS: Final = 256 * 1024 * 512

Frames = npt.NDArray[np.uint8]
"""uint8 RGB [T, H, W, 3]."""
SegmentStarts = npt.NDArray[np.bool_]
"""[T]: True where a segment of consecutive frames starts, as frame 0 always does."""


Clip = TypeVar("Clip", Path, Frames)


@dataclass(frozen=True, eq=False)
class FakeAndReal(Generic[Clip]):
    """A fake and its real, as two files or as the frames of two files.

    Attributes:
        fake: T frames.
        real: The same frames of the recording, at the same size.
        keypoints: Poses of the real frames, which drove the fake: float32 [T, 75, 3] in pixels of the frames.
        truth: The drawn dancer's true keypoints, the same shape and pixels; None where they are not known.
        starts: Where a segment of consecutive frames starts, bool [T]; None for a clip without gaps.
        extractor: That of the keypoints, or why none can find poses that compare with them; None: this machine's.
        poses_folder: Where poses that are found are kept; None: beside the clips.
        masks: Which pixels of the real frames show the person, T masks of any size, or why that is not known.
    """

    fake: Clip
    real: Clip
    keypoints: Keypoints
    truth: Keypoints | None = None
    starts: SegmentStarts | None = None
    extractor: PoseExtractor | str | None = None
    poses_folder: Path | None = None
    masks: PersonMasks | str = "which pixels show the person is not known of these clips"

    @property
    def follows(self) -> npt.NDArray[np.bool_]:
        """Whether the previous frame is there and is consecutive, bool [T]."""
        first = start_once(len(self.keypoints))
        return ~first if self.starts is None else ~(first | self.starts)

    def take(self, fake: Frames, real: Frames, span: slice) -> FakeAndReal[Frames]:
        """These frames of `span`, with what is known of them."""
        return FakeAndReal(
            fake,
            real,
            self.keypoints[span],
            None if self.truth is None else self.truth[span],
            None if self.starts is None else self.starts[span],
            self.extractor,
            self.poses_folder,
            self.masks if isinstance(self.masks, str) else self.masks.take(span),
        )


Measure = Callable[[FakeAndReal[Frames]], pd.DataFrame]
"""One row for each frame, in order."""


def measure_in_chunks(
    clips: FakeAndReal[Path], measure: Measure, *, report: ReportProgress = ignore_progress
) -> pd.DataFrame:
    """Measure two whole clips chunk by chunk.

    Each chunk but the first starts with the last frame of the previous one, whose row is dropped: a measure
    may use the previous frame.

    Args:
        clips: Two files.
        measure: Called for each chunk.
        report: Progress.

    Returns:
        One row per frame, with its number `t`.

    Raises:
        BenchError: The clips or the poses differ in length.
    """
    n_frames = len(clips.keypoints)
    with VideoReader(clips.fake) as fakes, VideoReader(clips.real) as reals:
        if not len(fakes) == len(reals) == n_frames:
            raise BenchError(
                f"The clips cannot be compared frame by frame: {len(fakes)} frames against {len(reals)} "
                f"with {n_frames} poses.",
                hint="Both must hold the same frames.",
            )
        tables = []
        chunk = min(CHUNK, max(1, _CHUNK_PIXELS // (reals.height * reals.width)))
        for start in range(0, n_frames, chunk):
            overlap = min(start, 1)
            span = slice(start - overlap, min(start + chunk, n_frames))
            frames = range(span.start, span.stop)
            rows = measure(clips.take(fakes.read(frames), reals.read(frames), span))
            tables.append(rows[overlap:].assign(t=frames[overlap:]))
            report(f"measuring {clips.fake.stem}", span.stop, n_frames)
    return pd.concat(tables, ignore_index=True)


def start_once(n_frames: int) -> SegmentStarts:
    """The segment starts of a clip without gaps, bool [T]: True at frame 0 alone."""
    return np.asarray(np.arange(n_frames) == 0)
