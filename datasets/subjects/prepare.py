"""From any recording to a prepared clip: letterboxed frames at a normalised rate, and the person's poses.

    video or image folder ──▶ clip.mp4 + poses.npz + the facts of both
    an import's footage   ──▶ likewise, + labels/ + face_boxes.npz where it brings them

Poses are found on the original resolution and then mapped into clip pixels. One pass: frames stream
through, whatever the length. Stretches of footage are thinned and tracked each for itself, since nothing
moves evenly across a gap.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import atomic_path, sha256_file
from dancebench.core.progress import ReportProgress, ignore_progress
from dancebench.datasets.pose.holistic import extract_poses
from dancebench.datasets.pose.skeleton import L_HIP, L_SHOULDER, R_HIP, R_SHOULDER, Keypoints, has_person, is_found
from dancebench.datasets.subjects.footage import Box, Footage, SuppliedFrame
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
from dancebench.datasets.video.frames import FrameSource, Letterbox, reduce_rate, resample

MIN_PERSON_FRAMES = 8
MIN_PERSON_SHARE = 0.5
_TORSO = [R_SHOULDER, L_SHOULDER, R_HIP, L_HIP]


@dataclass(frozen=True)
class PreparedClip:
    """A prepared clip with its poses, and what was seen on the way.

    Attributes:
        clip: What was written.
        keypoints: float32 [T, 75, 3] in clip pixels.
        person_frames: In how many frames the body is.
        breaks: Frames that begin a stretch, the first one apart.
        n_train: Frames before those that the footage holds out; None where it says nothing.
        labels_sha256: Of the given pictures, where there are some.
        face_boxes_sha256: Of the given boxes, likewise.
    """

    clip: ClipInfo
    keypoints: Keypoints
    person_frames: int
    breaks: tuple[int, ...] = ()
    n_train: int | None = None
    labels_sha256: str | None = None
    face_boxes_sha256: str | None = None


def prepare(
    source: FrameSource | Footage, config: PrepareConfig, folder: Path, *, report: ReportProgress = ignore_progress
) -> PreparedClip:
    """Write `clip.mp4` and `poses.npz` into `folder`, and `labels/` and `face_boxes.npz` if they were given.

    Raises:
        BenchError: The source cannot be read, shows no person or one in too few frames, or the tracked
            person jumps to somebody else.
    """
    footage = source if isinstance(source, Footage) else Footage.from_source(source)
    rate = reduce_rate(footage.fps, config.fps)
    taken = _Preparation(footage, config, folder, float(rate), report)
    clip = write_clip(folder / "clip.mp4", taken.frames(), rate)
    keypoints, breaks = np.stack(taken.poses), tuple(taken.starts[1:])
    check_person(keypoints, float(rate), breaks)
    write_poses(folder / "poses.npz", keypoints)
    boxes = np.array(taken.boxes, np.float32)  # [T, 4]
    has_boxes = bool(np.isfinite(boxes).any())
    if has_boxes:
        write_face_boxes(folder / FACE_BOXES, boxes)
    return PreparedClip(
        clip,
        keypoints,
        int(has_person(keypoints).sum()),
        breaks=breaks,
        n_train=taken.n_train,
        labels_sha256=labels_sha256(folder) if (folder / LABELS).exists() else None,
        face_boxes_sha256=sha256_file(folder / FACE_BOXES) if has_boxes else None,
    )


class _Preparation:
    """Footage on its way into a clip: frames go through to the encoder; what came with them stays here."""

    def __init__(
        self, footage: Footage, config: PrepareConfig, folder: Path, rate: float, report: ReportProgress
    ) -> None:
        self.poses: list[Keypoints] = []
        self.boxes: list[Box] = []
        self.starts: list[int] = []
        self.n_train: int | None = None
        self._footage, self._config, self._folder, self._report = footage, config, folder, report
        self._expected = max(1, round(footage.n_frames * rate / footage.fps))
        self._letterbox = Letterbox((footage.height, footage.width), (config.height, config.width))

    def frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The clip's frames, letterboxed."""
        for stretch in self._footage.segments:
            self.starts.append(len(self.poses))
            if stretch.held_out and self.n_train is None:
                self.n_train = len(self.poses)
            kept = (moment for _, moment in resample(stretch.frames(), self._footage.fps, self._config.fps))
            for_poses, moments = itertools.tee(kept)  # in step: one frame is held at a time
            for points, moment in zip(self._take_or_extract_poses(for_poses), moments, strict=True):
                yield self._take(moment, points)

    def _take_or_extract_poses(self, moments: Iterator[SuppliedFrame]) -> Iterator[Keypoints]:
        if self._footage.supplied_poses is None:
            return extract_poses(moment.frame for moment in moments)
        return (moment.pose.copy() for moment in moments if moment.pose is not None)

    def _take(self, moment: SuppliedFrame, points: Keypoints) -> npt.NDArray[np.uint8]:
        points[:, :2] = self._letterbox.map_points(points[:, :2])
        points[~is_found(points)] = 0
        if moment.label is not None:
            write_label(self._folder, len(self.poses), self._letterbox.apply(moment.label))
        self.boxes.append(to_clip_box(moment.face, self._letterbox))
        self.poses.append(points)
        self._report("preparing", min(len(self.poses), self._expected), self._expected)
        return self._letterbox.apply(moment.frame)


def check_person(keypoints: Keypoints, fps: float, breaks: Sequence[int] = ()) -> None:
    """Refuse a clip that cannot be learned from.

    Args:
        keypoints: float32 [T, 75, 3].
        fps: To name a moment in seconds.
        breaks: Frames over which the person may have gone anywhere.

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
    """The first frame whose torso centre lies more than a body height from the last one of its stretch."""
    last: npt.NDArray[np.float32] | None = None
    last_height, last_stretch = 0.0, 0
    for t in np.flatnonzero(has_person(keypoints)):
        stretch = bisect.bisect_right(breaks, t)
        if stretch != last_stretch:
            last, last_stretch = None, stretch
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
    """Write keypoints float32 [T, 75, 3], whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, keypoints=keypoints.astype(np.float32))


def read_poses(path: Path) -> Keypoints:
    """Read what `write_poses` wrote; nothing is unpickled."""
    with np.load(path, allow_pickle=False) as stored:
        keypoints: Keypoints = stored["keypoints"]
    return keypoints
