"""Driving motion of a transfer: time-stamped poses of a subject's clip or of any video.

    subject of a dataset   its prepared poses; a target drives itself with its held-out part alone
    video file or folder   poses are detected once and cached under `motions/`, without the frames

A source of a higher frame rate than the target's clips drops frames by time stamp; a slower one keeps its own
rate, and no pose is interpolated. A source of another size is letterboxed into the target's frame.
"""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from dancebench.core.artifacts import ArtifactRecord, reuse_or_make
from dancebench.core.errors import BenchError, UnknownNameError, replace_undecodable
from dancebench.core.files import sha256_file
from dancebench.core.progress import ReportProgress
from dancebench.core.workspace import Workspace
from dancebench.datasets.pose.extractors.base import PoseExtractor
from dancebench.datasets.pose.skeleton import Keypoints, is_found
from dancebench.datasets.subjects.dataset import Dataset
from dancebench.datasets.subjects.prepare import check_person, read_poses, write_poses
from dancebench.datasets.subjects.records import list_recordings
from dancebench.datasets.subjects.subject import Subject
from dancebench.datasets.video.cuts import Segmenter
from dancebench.datasets.video.frames import (
    FrameSource,
    Letterbox,
    list_clock_breaks,
    number_by_clock,
    open_source,
    reduce_rate,
    resample,
)
from dancebench.datasets.video.notes import list_cut_warnings, list_source_warnings
from dancebench.synth.clip import locate_faces, locate_noses

Frame = npt.NDArray[np.uint8]
_POSES: Final = "poses.npz"


class MotionRecord(ArtifactRecord):
    """`motion.json`: the file that the poses beside it come from.

    Version 2 adds breaks and decode warnings; what version 1 describes is extracted again.
    """

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2

    source: str
    """The file's name, for display."""
    sha256: str
    fps: float
    height: int
    width: int
    pose_extractor: str
    indices: tuple[int, ...]
    """Numbers of the file's frames that the poses belong to: those kept when its rate was reduced."""
    breaks: tuple[int, ...]
    """Poses that begin a segment, except for the first: the file's clock jumps, or its picture is cut there."""
    decode_warnings: tuple[str, ...]
    """Properties of the file, and conversions of its frames, in words; cuts too."""
    poses_sha256: str

    @property
    def key(self) -> Any:
        """The file and the extractor; each frame rate has a folder of its own."""
        return [self.sha256, self.pose_extractor]

    def files(self, path: Path) -> Mapping[Path, str]:
        """The poses."""
        return {path.parent / _POSES: self.poses_sha256}


@dataclass(frozen=True)
class MotionSource:
    """A motion, and the frames that it was extracted from.

    Attributes:
        label: Name for display and for the record.
        name: Name for use in file names.
        sha256: Hash of the subject or file that the motion was extracted from.
        size: (height, width) that the keypoints refer to.
        fps: Frames per second.
        keypoints: float32 [T, 75, 3].
        face_centres: float32 [T, 2], (x, y) in the same pixels; NaN where no face is seen.
        starts_segment: bool [T], True where a frame does not follow the one before.
        indices: Numbers of the source's frames that the poses belong to, [T].
        frames: Yields the frames in order, from the first at each call.
        recordings: Hashes of the recordings that it comes from.
        decode_warnings: Properties of the recording that are to be known, in words.
        subject: The subject, if the source is one.
    """

    label: str
    name: str
    sha256: str
    size: tuple[int, int]
    fps: float
    keypoints: Keypoints
    face_centres: npt.NDArray[np.float32]
    starts_segment: npt.NDArray[np.bool_]
    indices: Sequence[int]
    frames: Callable[[], Iterator[Frame]]
    recordings: frozenset[str]
    decode_warnings: tuple[str, ...]
    subject: Subject | None = None

    def segments(self) -> list[range]:
        """The segments of consecutive frames, in order."""
        edges = [*np.flatnonzero(self.starts_segment).tolist(), len(self.keypoints)]
        return [range(a, b) for a, b in itertools.pairwise(edges)]

    def first_shown_frame(self, segments: Sequence[range]) -> int:
        """The source's frame that a fake of these segments starts with: the first of a segment is never shown."""
        return self.indices[next(segment[1] for segment in segments if len(segment) > 1)]

    def fit_to(self, size: tuple[int, int]) -> Keypoints:
        """The poses in pixels of a frame of `size`, letterboxed: float32 [T, 75, 3]; missing points stay zero."""
        keypoints = self.keypoints.copy()
        keypoints[..., :2] = Letterbox(self.size, size).map_points(keypoints[..., :2])
        keypoints[~is_found(keypoints)] = 0
        return keypoints


def find_motion_source(
    workspace: Workspace, dataset: Dataset, text: str, *, fps: float, report: ReportProgress
) -> MotionSource:
    """Find what `--source` names: a subject's id, DATASET/ID, or a video.

    Args:
        workspace: Holds the cached motions of video files.
        dataset: The targets' dataset; a bare id is looked up in it.
        text: The value of `--source`.
        fps: The highest frame rate to keep: that of the targets' clips.
        report: Progress.

    Raises:
        UnknownNameError: There is no such subject and no such file.
        BenchError: The video cannot be read or shows no person; or poses of another extractor than the targets' would
            be mixed with theirs.
    """
    if text in dataset.ids():
        return _from_subject(dataset.subject(text), text, text, fps)
    path = Path(text)
    if os.path.exists(path):  # false where Path.exists raises: a name that is too long
        return _from_file(workspace, path, dataset.record.poses.open(), fps, report)
    name, slash, subject_id = text.partition("/")
    if slash and name in workspace.list_datasets():
        other = Dataset.open(workspace, name)
        if other.record.poses.description != dataset.record.poses.description:
            raise BenchError(
                f"The poses of '{name}' are of {other.record.poses.extractor}, those of the targets of "
                f"{dataset.record.poses.extractor}.",
                hint="Poses of two extractors are not comparable: drive with a video, or a subject of that dataset.",
            )
        return _from_subject(other.subject(subject_id), text, f"{name}.{subject_id}", fps)
    raise UnknownNameError("source (neither a subject nor a file)", text, dataset.ids())


def select_held_out(source: MotionSource) -> MotionSource:
    """The part of a subject's motion that its own synthesizer was not trained on."""
    assert source.subject is not None
    record, span = source.subject.record, source.subject.test
    return _from_subject(source.subject, source.label, source.name, record.fps, span)


def _from_subject(subject: Subject, label: str, name: str, fps: float, span: range | None = None) -> MotionSource:
    subject.require_unchanged()
    rate = subject.record.fps
    span = range(subject.record.n_frames) if span is None else span
    kept = [t for _, t in resample(((t / rate, t) for t in span), rate, fps)]

    def frames() -> Iterator[Frame]:
        with subject.open_reader() as reader:
            yield from (reader[t] for t in kept)

    breaks = subject.starts_segment
    starts_segment = np.array([True, *(breaks[a + 1 : b + 1].any() for a, b in itertools.pairwise(kept))])
    return MotionSource(
        label=label,
        name=name,
        sha256=subject.record.content_sha256,
        size=subject.size,
        fps=float(reduce_rate(rate, fps)),
        keypoints=subject.keypoints()[kept],
        face_centres=locate_faces(subject)[kept],
        starts_segment=starts_segment,
        indices=kept,
        frames=frames,
        recordings=list_recordings(subject.record.source),
        decode_warnings=subject.record.decode_warnings,
        subject=subject,
    )


def _from_file(
    workspace: Workspace, path: Path, extractor: PoseExtractor, fps: float, report: ReportProgress
) -> MotionSource:
    video, label = open_source(path), replace_undecodable(path.name)
    folder = workspace.motion(video.sha256, fps)
    record = reuse_or_make(
        folder / "motion.json",
        MotionRecord,
        [video.sha256, extractor.describe()],
        lambda: _extract_motion(video, label, extractor, fps, folder, report),
    )
    keypoints = read_poses(folder / _POSES)
    starts_segment = np.zeros(len(keypoints), np.bool_)
    starts_segment[[0, *record.breaks]] = True
    return MotionSource(
        label=label,
        name=f"file-{video.sha256[:12]}",
        sha256=video.sha256,
        size=(record.height, record.width),
        fps=record.fps,
        keypoints=keypoints,
        face_centres=locate_noses(keypoints),
        starts_segment=starts_segment,
        indices=record.indices,
        frames=lambda: (frame for *_, frame in _resample_frames(video, fps)),
        recordings=frozenset([video.sha256]),
        decode_warnings=record.decode_warnings,
    )


def _extract_motion(
    video: FrameSource, name: str, extractor: PoseExtractor, fps: float, folder: Path, report: ReportProgress
) -> MotionRecord:
    expected = max(1, round(video.n_frames * min(1.0, fps / video.fps)))
    found_poses: list[Keypoints] = []
    indices: list[int] = []
    breaks: list[int] = []
    segmenter = Segmenter()

    def frames() -> Iterator[tuple[int, Frame]]:
        for index, seconds, by_clock, frame in _resample_frames(video, fps):
            indices.append(index)
            yield segmenter(seconds, by_clock, frame), frame

    for segment, run in itertools.groupby(frames(), key=operator.itemgetter(0)):
        if segment > 0:
            breaks.append(len(found_poses))
        for points in extractor.extract(frame for _, frame in run):
            found_poses.append(points)
            report(f"finding poses in {name}", min(len(found_poses), expected), expected)
    keypoints = np.stack(found_poses)
    rate = float(reduce_rate(video.fps, fps))
    check_person(keypoints, rate, breaks)
    if len(keypoints) < 2:
        raise BenchError(f"{name} has {len(keypoints)} frame; a motion needs two.", hint="Use a longer clip.")
    write_poses(folder / _POSES, keypoints)
    return MotionRecord(
        source=name,
        sha256=video.sha256,
        fps=rate,
        height=video.height,
        width=video.width,
        pose_extractor=extractor.describe(),
        indices=tuple(indices),
        breaks=tuple(breaks),
        decode_warnings=(*list_source_warnings(video), *list_cut_warnings(segmenter.cuts)),
        poses_sha256=sha256_file(folder / _POSES),
    )


def _resample_frames(video: FrameSource, fps: float) -> Iterator[tuple[int, float, int, Frame]]:
    """The file's frames at the reduced rate: (number, seconds, segment by the clock, frame)."""
    numbered = ((seconds, (index, frame)) for index, (seconds, frame) in enumerate(video.frames()))
    kept = resample(number_by_clock(numbered, list_clock_breaks(video)), video.fps, fps)
    return ((index, seconds, by_clock, frame) for seconds, (by_clock, (index, frame)) in kept)
