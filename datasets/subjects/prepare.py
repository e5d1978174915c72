"""From any recording to a prepared clip: letterboxed frames at a normalised rate, and the person's poses.

    video or image folder ──▶ clip.mp4 + poses.npz + the facts of both
    an import's footage   ──▶ likewise, + labels/ + face_boxes.npz where it supplies them

Poses are extracted at the original resolution and then mapped into clip pixels. One pass: frames are streamed,
whatever the length. Each segment of the footage is resampled separately, and poses are tracked within segments alone,
since motion is not continuous across a gap: of the footage, of its clock, or where its picture is cut.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import read_array, sha256_file, write_arrays
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.extractors.base import PoseExtractor
from dancebench.datasets.pose.skeleton import L_HIP, L_SHOULDER, R_HIP, R_SHOULDER, Keypoints, has_person, is_found
from dancebench.datasets.subjects.footage import Footage, Segment, SuppliedFrame
from dancebench.datasets.subjects.records import PrepareConfig
from dancebench.datasets.subjects.supplied import (
    FACE_BOXES,
    LABELS,
    labels_sha256,
    to_clip_box,
    write_face_boxes,
    write_label,
)
from dancebench.datasets.video.clips import ClipInfo, write_clip
from dancebench.datasets.video.cuts import Segmenter
from dancebench.datasets.video.frames import FrameSource, Letterbox, number_by_clock, reduce_rate, resample
from dancebench.datasets.video.notes import list_cut_warnings

MIN_PERSON_FRAMES = 8
MIN_PERSON_SHARE = 0.5
_TORSO = [R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]


@dataclass(frozen=True)
class PreparedClip:
    """A prepared clip with its poses, and facts found while preparing it.

    Attributes:
        clip: The clip as written.
        keypoints: float32 [T, 75, 3] in clip pixels.
        person_frames: Number of frames in which the body was found.
        breaks: Frames that begin a segment, except the first.
        n_train: Frames before those that the footage holds out; None where it holds out none.
        labels_sha256: Of the supplied pose maps, if any.
        face_boxes_sha256: Of the supplied face bounding boxes, if any.
        decode_warnings: Of the footage, and of cuts that were found in it.
    """

    clip: ClipInfo
    keypoints: Keypoints
    person_frames: int
    breaks: tuple[int, ...] = ()
    n_train: int | None = None
    labels_sha256: str | None = None
    face_boxes_sha256: str | None = None
    decode_warnings: tuple[str, ...] = ()


def prepare(
    source: FrameSource | Footage,
    config: PrepareConfig,
    folder: Path,
    *,
    extractor: PoseExtractor | None,
    report: ReportProgress = ignore_progress,
) -> PreparedClip:
    """Write `clip.mp4` and `poses.npz` into `folder`, and `labels/` and `face_boxes.npz` if they were supplied.

    Args:
        source: The frames, and what came with them.
        config: What they become.
        folder: Where the files are written.
        extractor: Of the poses; None only for footage that brings its own.
        report: Progress.

    Raises:
        BenchError: The source cannot be read, shows no person or one in too few frames, or the tracked
            person jumps to somebody else.
    """
    footage = source if isinstance(source, Footage) else Footage.from_source(source)
    rate = reduce_rate(footage.fps, config.fps)
    preparation = _Preparation(footage, config, folder, extractor, report)
    clip = write_clip(folder / "clip.mp4", preparation.frames(), rate)
    keypoints, breaks = np.stack(preparation.poses), tuple(preparation.starts[1:])
    check_person(keypoints, float(rate), breaks)
    write_poses(folder / "poses.npz", keypoints)
    boxes = np.array([box.edges for box in preparation.boxes], np.float32)  # [T, 4]
    has_boxes = bool(np.isfinite(boxes).any())
    if has_boxes:
        write_face_boxes(folder / FACE_BOXES, boxes)
    return PreparedClip(
        clip,
        keypoints,
        int(has_person(keypoints).sum()),
        breaks=breaks,
        n_train=preparation.n_train,
        labels_sha256=labels_sha256(folder) if (folder / LABELS).exists() else None,
        face_boxes_sha256=sha256_file(folder / FACE_BOXES) if has_boxes else None,
        decode_warnings=(*footage.decode_warnings, *list_cut_warnings(preparation.cuts)),
    )


class _Preparation:
    """Footage while it becomes a clip: frames pass on to the encoder; what was supplied with them is kept here."""

    def __init__(
        self,
        footage: Footage,
        config: PrepareConfig,
        folder: Path,
        extractor: PoseExtractor | None,
        report: ReportProgress,
    ) -> None:
        self.poses: list[Keypoints] = []
        self.boxes: list[Box[float]] = []
        self.starts: list[int] = []
        self.cuts: list[float] = []
        """Seconds of the clip."""
        self.n_train: int | None = None
        self._footage, self._config, self._folder, self._report = footage, config, folder, report
        self._extractor = extractor
        self._rate = float(reduce_rate(footage.fps, config.fps))
        self._expected = max(1, round(footage.n_frames * self._rate / footage.fps))
        self._letterbox = Letterbox((footage.height, footage.width), (config.height, config.width))

    def frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The clip's frames, letterboxed."""
        for segment in self._footage.segments:
            if segment.held_out and self.n_train is None:
                self.n_train = len(self.poses)
            for kept in self._split(segment):
                self.starts.append(len(self.poses))
                for_poses, for_clip = itertools.tee(kept)  # read in parallel: one frame is held at a time
                for points, supplied in zip(self._read_or_extract_poses(for_poses), for_clip, strict=True):
                    yield self._add_frame(supplied, points)

    def _split(self, segment: Segment) -> Iterator[Iterator[SuppliedFrame]]:
        """The frames that are kept, resampled, a run without a cut at a time; each is to be read to its end."""
        numbered = number_by_clock(segment.frames(), segment.breaks)
        segmenter, begin = Segmenter(), len(self.poses) / self._rate
        kept = (
            (segmenter(seconds, by_clock, supplied.frame), supplied)
            for seconds, (by_clock, supplied) in resample(numbered, self._footage.fps, self._config.fps)
        )
        for _, run in itertools.groupby(kept, key=operator.itemgetter(0)):
            yield (supplied for _, supplied in run)
        self.cuts += (begin + seconds for seconds in segmenter.cuts)

    def _read_or_extract_poses(self, frames: Iterator[SuppliedFrame]) -> Iterator[Keypoints]:
        if self._footage.supplied_poses is None:
            if self._extractor is None:
                raise ValueError("footage without poses needs an extractor")
            return self._extractor.extract(supplied.frame for supplied in frames)
        return (supplied.pose.copy() for supplied in frames if supplied.pose is not None)

    def _add_frame(self, supplied: SuppliedFrame, points: Keypoints) -> npt.NDArray[np.uint8]:
        points[:, :2] = self._letterbox.map_points(points[:, :2])
        points[~is_found(points)] = 0
        if supplied.label is not None:
            write_label(self._folder, len(self.poses), self._letterbox.apply(supplied.label))
        self.boxes.append(to_clip_box(supplied.face, self._letterbox))
        self.poses.append(points)
        self._report("preparing", min(len(self.poses), self._expected), self._expected)
        return self._letterbox.apply(supplied.frame)


def check_person(keypoints: Keypoints, fps: float, breaks: Sequence[int] = ()) -> None:
    """Refuse a clip that a synthesizer cannot be trained on.

    Args:
        keypoints: float32 [T, 75, 3].
        fps: To state a time in seconds.
        breaks: Frames that begin a new segment; across them the person may move anywhere.

    Raises:
        BenchError: No person, one in too few frames (says how many), or a jump to another person: the
            centre of the torso leaps by more than a body height between two frames (says where).
    """
    person = has_person(keypoints)
    n, total = int(person.sum()), len(person)
    if n == 0:
        raise BenchError(
            f"No person was found in any of the {total} frames.",
            hint="The clip must show one whole person, head to feet.",
        )
    needed = max(MIN_PERSON_FRAMES, int(np.ceil(MIN_PERSON_SHARE * total)))
    if n < needed:
        raise BenchError(
            f"A person was found in only {n} of {total} frames; {needed} are needed.",
            hint="Cut the video to the part in which the whole person is visible.",
        )
    jump = _find_first_jump(keypoints, breaks)
    if jump is not None:
        raise BenchError(
            f"The tracked person jumps to somebody else at frame {jump} ({jump / fps:.2f} s).",
            hint="Cut the video there, or crop it so that one person is visible.",
        )


def _find_first_jump(keypoints: Keypoints, breaks: Sequence[int]) -> int | None:
    """The first frame whose torso centre lies more than a body height from the last one of its segment."""
    last: npt.NDArray[np.float32] | None = None
    last_height, last_segment = 0.0, 0
    for t in np.flatnonzero(has_person(keypoints)):
        segment = bisect.bisect_right(breaks, t)
        if segment != last_segment:
            last, last_segment = None, segment
        points = keypoints[t]
        torso = points[[joint for joint in _TORSO if points[joint, 2] > 0], :2]
        if len(torso) == 0:
            continue
        centre = torso.mean(axis=0)
        body = points[is_found(points), 1]
        height = float(body.max() - body.min())
        if last is not None and np.linalg.norm(centre - last) > max(height, last_height):
            return int(t)
        last, last_height = centre, height
    return None


def write_poses(path: Path, keypoints: Keypoints) -> None:
    """Write keypoints float32 [T, 75, 3] atomically."""
    write_arrays(path, keypoints=keypoints.astype(np.float32))


def read_poses(path: Path) -> Keypoints:
    """Read what `write_poses` wrote; nothing is unpickled."""
    return read_array(path, "keypoints", (75, 3))
