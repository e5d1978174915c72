"""Views of recordings: an outside or a training video in; a clip that shows what a detector looks at out.

    drop frames by time stamp to one rate → find segments → cut out, reduce to the view's size → the one encoder

Training, evaluation and `bench score` make them by the one function here. A whole frame is letterboxed. A person or a
face is looked for in a first pass (`tracks.py` has the rules) and cut out in a second one. All are shown in native
resolution at most: what is larger than the view is reduced by area averaging, what is smaller is not enlarged but
surrounded by black. Frames stream: memory grows by time stamps and a few kilobytes for each look at people or faces.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.corpora.manifest import ViewFacts
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors.boxes import FindBoxes, open_finder
from dancebench.datasets.video.clips import ClipInfo, write_clip
from dancebench.datasets.video.cuts import Segmenter
from dancebench.datasets.video.frames import Letterbox, reduce_rate, resample
from dancebench.datasets.video.upright import Frame
from dancebench.detect.inputs.read_ahead import read_ahead
from dancebench.detect.inputs.recordings import Recording, ShownFrame
from dancebench.detect.inputs.tracks import (
    FACE_REACH,
    REACH,
    Follower,
    Look,
    LookTimer,
    Patch,
    choose_tracks,
    remember,
)
from dancebench.detect.inputs.view import View, fit_box

RULES_VERSION: Final = 2
"""Of what a view shows; it counts up with every change of that, and views that are kept are made again."""
SAME_RATE: Final = 0.005
"""Share by which the rate that the packets promised may differ from that of the frames."""


class NothingToSeeError(BenchError):
    """Nobody was found in a video, or for less than two frames."""

    def __init__(self, message: str, facts: ViewFacts) -> None:
        super().__init__(message, hint="Use the view 'frame', or leave the video out.")
        self.facts = facts


@dataclass(frozen=True)
class WrittenView:
    """A view of a recording as a clip.

    Attributes:
        clip: The clip.
        times: When each of its frames is shown, in seconds from the first frame of the recording on (T,).
        pts: Raw stamps of the same frames in the recording's own time base (T,); None where missing or repeated.
        breaks: Frames of the clip that begin a segment, except for the first: the recording's clock jumps, it is cut
            there, or frames in between are left out.
        cuts: When the picture is cut, in seconds of the recording, increasing.
        facts: How it came about.
    """

    clip: ClipInfo
    times: npt.NDArray[np.float64]
    pts: Sequence[int | None]
    breaks: frozenset[int]
    cuts: Sequence[float]
    facts: ViewFacts


def write_view(
    recording: Recording,
    view: View,
    max_fps: float,
    path: Path,
    report: ReportProgress = ignore_progress,
    *,
    crop: Box[int] | None = None,
    find: FindBoxes | None = None,
) -> WrittenView:
    """Write a view of a recording.

    Only where a pass over its frames shows another rate than was promised (each packet is a field, say) is it made
    again, at that rate.

    Args:
        recording: Of any size and rate.
        view: What is looked at.
        max_fps: Frames per second of the clip; a slower recording keeps its own rate.
        path: The clip, `.mp4`.
        report: Progress.
        crop: The part of the upright picture that is the video; None: all of it.
        find: Finds people or faces; None: MediaPipe does.

    Raises:
        NothingToSeeError: Nobody was found.
        BenchError: The recording cannot be decoded, or has no such part; nobody can be looked for on this machine.
    """
    promised = recording.fps
    written = _write_at(promised, recording, view, max_fps, path, report, crop, find)
    if abs(recording.fps - promised) > SAME_RATE * recording.fps:
        written = _write_at(recording.fps, recording, view, max_fps, path, report, crop, find)
    return written


def require_crop(recording: Recording, crop: Box[int] | None) -> Box[int]:
    """The part of the upright picture that is the video.

    Raises:
        BenchError: It reaches beyond the picture, or is empty.
    """
    height, width = recording.size
    part = Box(0, height, 0, width) if crop is None else crop
    inside = part.clip(recording.size)
    if inside != part or part.height < 1 or part.width < 1:
        raise BenchError(
            f"{recording.path} is {height}x{width} (height x width): the crop of rows {part.top} to {part.bottom} and "
            f"columns {part.left} to {part.right} is not in it.",
            hint="Correct the crop in the list of the corpus.",
        )
    return part


# ---------------------------------------------------------------- steps


class _Picture(NamedTuple):
    """A frame of a view."""

    number: int
    """Of the frames that the rate keeps; a gap is where frames were left out."""
    shown: ShownFrame
    segment: int
    pixels: Frame


@dataclass(frozen=True)
class _Kept:
    """The frames of a recording that its rate keeps, and the part of them that is the video."""

    recording: Recording
    part: Box[int]
    fps: float
    max_fps: float

    def frames(self) -> Iterator[ShownFrame]:
        timed = ((shown.seconds, shown) for shown in self.recording.frames())
        for _, shown in resample(timed, self.fps, self.max_fps):
            yield shown

    def cut(self, shown: ShownFrame) -> Frame:
        """uint8 RGB (H, W, 3)."""
        frame = shown.upright()
        if frame.shape[:2] != self.recording.size:
            raise BenchError(f"{self.recording.path} changes its picture size at {shown.seconds:.2f} s.")
        return frame[self.part.rows, self.part.columns]


def _write_at(
    fps: float, recording: Recording, view: View, max_fps: float, path: Path, report: ReportProgress,
    crop: Box[int] | None, find: FindBoxes | None,
) -> WrittenView:  # fmt: skip
    """Write a view of a recording whose frame rate is `fps`."""
    kept = _Kept(recording, require_crop(recording, crop), fps, max_fps)
    rate = reduce_rate(fps, max_fps)
    expected = max(1, round(recording.n_frames * float(rate) / recording.fps))
    what = f"reading {recording.path.name}"
    source: _Whole | _Followed = (
        _Followed(kept, view, find or open_finder(view.name))
        if view.name == "person" or view.name == "face"
        else _Whole(kept, view)
    )
    times, numbers, segments = array("d"), array("l"), array("l")
    pts: list[int | None] = []

    def frames() -> Iterator[Frame]:
        for picture in read_ahead(source.pictures()):
            times.append(picture.shown.seconds)
            pts.append(picture.shown.pts)
            numbers.append(picture.number)
            segments.append(picture.segment)
            yield picture.pixels
            report(what, min(len(times), expected - 1), expected)
        if not times and not view.is_whole:
            raise source.nothing_found()
        report(what, expected, expected)

    clip = write_clip(path, frames(), rate)
    parted = (np.diff(segments) != 0) | (np.diff(numbers) > 1)
    breaks = frozenset((np.flatnonzero(parted) + 1).tolist())
    return WrittenView(clip, np.asarray(times, dtype=np.float64), pts, breaks, source.cuts, source.facts())


class _Whole:
    """The whole picture."""

    def __init__(self, kept: _Kept, view: View) -> None:
        self._kept, self._view, self._segmenter = kept, view, Segmenter()
        self._reduce = _Reducer(view.size)

    @property
    def cuts(self) -> Sequence[float]:
        return self._segmenter.cuts

    def pictures(self) -> Iterator[_Picture]:
        for index, shown in enumerate(self._kept.frames()):
            pixels = self._reduce(self._kept.cut(shown))
            yield _Picture(index, shown, self._segmenter(shown.seconds, shown.by_clock, pixels), pixels)

    def facts(self) -> ViewFacts:
        return ViewFacts(view=str(self._view), padded=self._reduce.padded)

    def nothing_found(self) -> BenchError:
        return BenchError(f"{self._kept.recording.path} holds no frame.")


class _Followed:
    """A box around a person or a face."""

    def __init__(self, kept: _Kept, view: View, find: FindBoxes) -> None:
        self._kept, self._view, self._find = kept, view, find
        self._segmenter = Segmenter()
        self._looks: list[Look] = []
        self._patches: dict[tuple[float, Box[float]], Patch] = {}
        self._found_in = self._left_out = 0
        self._reduce = _Reducer(view.size)

    @property
    def cuts(self) -> Sequence[float]:
        return self._segmenter.cuts

    def pictures(self) -> Iterator[_Picture]:
        segments = self._look()
        tracks = choose_tracks(self._looks, FACE_REACH if self._view.name == "face" else REACH)
        self._found_in = sum(len(track.seconds) for track in tracks.values())
        followers = {segment: Follower(track, self._patches) for segment, track in tracks.items()}
        for index, shown in enumerate(self._kept.frames() if tracks else ()):
            segment, picture = segments[index], self._kept.cut(shown)
            follower = followers.get(segment)
            box = None if follower is None else follower.find(shown.seconds, picture)
            if box is None:
                self._left_out += 1
                continue
            yield _Picture(index, shown, segment, self._show(picture, box))

    def _look(self) -> Sequence[int]:
        """Look for people or faces; the number of each frame's segment."""
        due, segments = LookTimer(), array("l")
        for shown in self._kept.frames():
            picture = self._kept.cut(shown)
            segments.append(self._segmenter(shown.seconds, shown.by_clock, picture))
            if due(shown.seconds):
                found = tuple(self._find(picture))
                self._looks.append(Look(shown.seconds, segments[-1], found))
                self._patches |= {(shown.seconds, box): remember(picture, box) for box in found}
        return segments

    def _show(self, picture: Frame, found: Box[float]) -> Frame:
        box = fit_box(found, self._view.aspect, (picture.shape[0], picture.shape[1]), self._view.margin)
        return self._reduce(picture[box.rows, box.columns])

    def facts(self) -> ViewFacts:
        return ViewFacts(
            view=str(self._view),
            looked_at=len(self._looks),
            found_in=self._found_in,
            seen=max((len(look.boxes) for look in self._looks), default=0),
            left_out=self._left_out,
            padded=self._reduce.padded,
        )

    def nothing_found(self) -> BenchError:
        problem = f"No {self._view.name} was found in {len(self._looks)} frames of {self._kept.recording.path}."
        return NothingToSeeError(problem, self.facts().model_copy(update={"problem": problem}))


class _Reducer:
    """Fits pictures into a size, and never enlarges them."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self.padded = 0
        """Pictures that are smaller than the size: black surrounds them."""

    def __call__(self, picture: Frame) -> Frame:
        height, width = picture.shape[:2]
        letterbox = Letterbox((height, width), self._size)
        if letterbox.inner[0] <= height and letterbox.inner[1] <= width:
            return letterbox.apply(picture)
        self.padded += 1
        top, left = (self._size[0] - height) // 2, (self._size[1] - width) // 2
        surrounded = np.zeros((*self._size, 3), np.uint8)
        surrounded[top : top + height, left : left + width] = picture
        return surrounded
