"""Preparation of an outside video for a detector: a file in; a clip, its time stamps and decode warnings out.

A video goes through the last steps that the training clips went through: frames dropped by time stamp to their
rate, what the detector looks at cut out and reduced to their size, and written by the same encoder (`views.py`).
(Training reals were encoded once before that, at the larger size of prepared clips.) The whole video is
encoded, not windows around the pairs, because the training clips are continuous: a frame's coding (its place in
the group of pictures, what it is predicted from) is then as it was in training. Each frame is decoded once and
processed alone, so only the time stamps need memory that grows with the length; the clip is on disk and small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.core.schema import Strict
from dancebench.datasets.corpora.manifest import ViewFacts
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors.base import open_extractor
from dancebench.datasets.pose.skeleton import compute_body_box
from dancebench.datasets.video.clips import Frame, VideoReader, stream
from dancebench.datasets.video.decoding import Inspection, inspect
from dancebench.datasets.video.frames import resize
from dancebench.datasets.video.notes import list_cut_warnings, list_decode_warnings
from dancebench.datasets.video.random_access import can_seek
from dancebench.detect.inputs.pairs import Pairs, choose_pair_starts, too_short_error
from dancebench.detect.inputs.recordings import FileRecording
from dancebench.detect.inputs.view import fit_box
from dancebench.detect.inputs.views import write_view
from dancebench.detect.protocol.card import ClipFormat

WindowStarts = npt.NDArray[np.intp]
"""Indices of the first frames of windows, increasing (N,)."""

PERSON_FRAMES = 16
"""Frames, evenly spaced, in which a person is looked for."""
_BATCH = 64
"""Windows in memory at once, fewer of large frames."""
_BATCH_BYTES = 2**28


class Crop(Strict):
    """The part of the upright picture that was scored, in pixels."""

    left: int
    top: int
    width: int
    height: int
    looked_at: int
    """Frames in which a person was looked for."""
    found_in: int
    """Frames in which one was found."""

    @property
    def box(self) -> Box[int]:
        """The same as edges."""
        return Box(self.top, self.top + self.height, self.left, self.left + self.width)


@dataclass(frozen=True)
class PreparedVideo:
    """An outside video as a clip like those that the detector was trained on."""

    found: Inspection
    """What the file holds, by the pass over all of it that made the clip."""
    clip: Path
    fps: float
    """Of the clip."""
    times: npt.NDArray[np.float64]
    """When each frame of the clip is shown, in seconds from the first frame of the original on (T,)."""
    pts: Sequence[int | None]
    """Raw stamps of the same frames, in the original's own time base (T,); None where missing or repeated."""
    breaks: frozenset[int]
    """Frames of the clip that begin a segment, except for the first: the original's clock jumps, or it is cut there."""
    cuts: Sequence[float]
    """When the picture is cut, in seconds of the original, increasing."""
    facts: ViewFacts
    """What of the original it shows, and how that was found."""

    @property
    def decode_warnings(self) -> tuple[str, ...]:
        """What of the file no training clip has."""
        return (*list_decode_warnings(self.found), *list_cut_warnings(self.cuts))

    def choose_starts(self, k: int | None, window: int) -> WindowStarts:
        """Choose the first frames of `k` evenly placed windows (None: all); none holds frames of two segments.

        Raises:
            BenchError: No segment has as many frames as a window.
        """
        starts = choose_pair_starts(len(self.times), k, window, self.breaks)
        if len(starts) == 0:
            raise too_short_error("the video" if self.breaks else "The video", window, segments=len(self.breaks) > 0)
        return starts

    def read_windows(self, starts: WindowStarts, size: tuple[int, int], window: int) -> Iterator[Pairs]:
        """Read the windows that start at these frames, letterboxed to `size`: batches of uint8 (N, window, H, W, 3)."""
        with VideoReader(self.clip) as reader:
            pixels = max(reader.height * reader.width, size[0] * size[1])
            batch = max(min(_BATCH, _BATCH_BYTES // (3 * pixels * window)), 1)
            for first in range(0, len(starts), batch):
                index = starts[first : first + batch, None] + np.arange(window)  # (N, window)
                needed, places = np.unique(index, return_inverse=True)  # each frame is decoded once
                frames = resize(reader.read(needed.tolist()), size)
                yield frames[places.reshape(index.shape)]

    def frames(self) -> Iterator[Frame]:
        """All frames of the clip, uint8 RGB (H, W, 3)."""
        return (frame for _, frame in stream(self.clip))


def prepare_video(
    found: Inspection, clips: ClipFormat, crop: Crop | None, folder: Path, report: ReportProgress = ignore_progress
) -> PreparedVideo:
    """Re-encode a video like the clips that a detector was trained on.

    Args:
        found: A survey of the video.
        clips: Size and rate of those clips, and what they show.
        crop: Keep only this part of the frame.
        folder: Where the clip is written.
        report: Progress.

    Raises:
        BenchError: The video cannot be decoded, or shows nobody whom the detector could look at.
    """
    recording = FileRecording(found, refuse_damage=False)  # damage is a reason to abstain
    part = None if crop is None else crop.box
    view = write_view(recording, clips.looks_at, clips.fps_max, folder / "clip.mp4", report, crop=part)
    return PreparedVideo(
        recording.found, view.clip.path, view.clip.fps, view.times, view.pts, view.breaks, view.cuts, view.facts
    )


# ---------------------------------------------------------------- the person


def find_person(found: Inspection, aspect: float) -> Crop:
    """Find the part of the frame in which the person moves: one bounding box for the whole video.

    Poses are looked for in `PERSON_FRAMES` evenly spaced frames; the box holds all points found, with a margin, and is
    widened to the aspect ratio of the detector's clips as far as the frame allows.

    Args:
        found: A survey of the video.
        aspect: Width over height of the clips that the detector was trained on.

    Raises:
        BenchError: No person was found, or no pose extractor can run on this machine.
    """
    if not can_seek(found):  # its frames are to be counted from the start, and there may be fewer than packets
        found = inspect(found.info.path, found)
    info = found.info
    indices = choose_pair_starts(info.n_frames, PERSON_FRAMES, 1).tolist()
    with VideoReader(info.path, decoder="pyav", found=found) as reader:
        poses = list(open_extractor().extract(_read_undamaged(reader, indices)))
    boxes = [box for points in poses if (box := compute_body_box(points, margin=0)) is not None]
    if not boxes:
        raise BenchError(
            f"No person was found in {len(poses)} frames of {info.path}.",
            hint="Score the whole picture: leave --person-crop out.",
        )
    tops, bottoms, lefts, rights = zip(*(box.edges for box in boxes), strict=True)
    person = Box(min(tops), max(bottoms), min(lefts), max(rights))
    fitted = fit_box(person, aspect, (info.height, info.width))
    return Crop(
        left=fitted.left,
        top=fitted.top,
        width=fitted.width,
        height=fitted.height,
        looked_at=len(poses),
        found_in=len(boxes),
    )


def _read_undamaged(reader: VideoReader, indices: list[int]) -> Iterator[Frame]:
    for index in indices:
        try:
            frame = reader[index]
        except BenchError:
            continue  # damaged there: the other frames decide
        yield frame
