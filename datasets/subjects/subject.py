"""A prepared subject: its clip, its poses, and the pose maps that condition a synthesizer.

Frames are consecutive within a segment. An import may have gaps, or its own train and test parts, which begin a
new segment: windows, pairs and motion stay within segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import explain_read_error, sha256_file
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.pose.stick_figures import draw_stick_figure
from dancebench.datasets.subjects.prepare import read_poses
from dancebench.datasets.subjects.records import SplitConfig, SubjectRecord
from dancebench.datasets.subjects.supplied import (
    FACE_BOXES,
    LABELS,
    FaceBoxes,
    labels_sha256,
    read_face_boxes,
    read_label,
)
from dancebench.datasets.video.clips import VideoReader
from dancebench.datasets.video.frames import resize


@dataclass(frozen=True)
class Subject:
    """A prepared subject: its record and its files."""

    folder: Path
    record: SubjectRecord
    split: SplitConfig

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def clip_path(self) -> Path:
        return self.folder / "clip.mp4"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the clip."""
        return self.record.height, self.record.width

    @property
    def train(self) -> range:
        """Frames that a synthesizer may learn from."""
        n_train = self.record.n_train
        return self.split.train(self.record.n_frames) if n_train is None else range(n_train)

    @property
    def test(self) -> range:
        """The held-out time span."""
        n_train, n_frames = self.record.n_train, self.record.n_frames
        return self.split.test(n_frames) if n_train is None else range(n_train, n_frames)

    def segments(self, span: range) -> list[range]:
        """The segments of a span: its maximal ranges of consecutive frames, in order."""
        if not span:
            return []
        cuts = [t for t in self.record.breaks if span.start < t < span.stop]
        return [range(first, stop) for first, stop in pairwise([span.start, *cuts, span.stop])]

    @property
    def starts_segment(self) -> npt.NDArray[np.bool_]:
        """Which frames begin a segment: bool [T], True at frame 0 and at every break."""
        starts = np.zeros(self.record.n_frames, np.bool_)
        starts[[0, *self.record.breaks]] = True
        return starts

    def keypoints(self) -> Keypoints:
        """Poses of every frame: float32 [T, 75, 3] in clip pixels."""
        return read_poses(self.folder / "poses.npz")

    @property
    def pose_map_style(self) -> str:
        """`supplied` where the pose maps were supplied with the frames, `sticks` where stick figures are drawn."""
        return "sticks" if self.record.labels_sha256 is None else "supplied"

    def pose_maps(self, span: Iterable[int], size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
        """The pose maps (conditioning images) of some frames.

        Args:
            span: Frames, in any order.
            size: (height, width) to return, of the clip's aspect.

        Returns:
            uint8 RGB [height, width, 3], one after the other.
        """
        draw = self.make_pose_map_drawer()
        return (draw(t, size) for t in span)

    def make_pose_map_drawer(self) -> Callable[[int, tuple[int, int]], npt.NDArray[np.uint8]]:
        """Make a function that draws the pose map of a frame at a size; poses are read once, here."""
        if self.pose_map_style == "supplied":
            return lambda t, size: resize(read_label(self.folder, t), size)
        keypoints = self.keypoints()
        return lambda t, size: draw_stick_figure(keypoints[t], self.size, size)

    def face_boxes(self) -> FaceBoxes | None:
        """The supplied face bounding boxes: float32 [T, 4] in clip pixels (top, bottom, left, right; NaN = none)."""
        return None if self.record.face_boxes_sha256 is None else read_face_boxes(self.folder / FACE_BOXES)

    def changed_files(self) -> list[str]:
        """Compare the files with their recorded hashes; returns what is wrong, a line each."""
        expected = {"clip.mp4": self.record.clip_sha256, "poses.npz": self.record.poses_sha256}
        expected |= {LABELS: self.record.labels_sha256 or "", FACE_BOXES: self.record.face_boxes_sha256 or ""}
        problems = []
        for name, sha256 in expected.items():
            path = self.folder / name
            if not sha256:
                continue
            try:
                if (labels_sha256(self.folder) if name == LABELS else sha256_file(path)) != sha256:
                    problems.append(f"{self.id}: {name} was changed after it was prepared")
            except FileNotFoundError:
                problems.append(f"{self.id}: {name} is missing")
            except OSError as error:
                problems.append(f"{self.id}: {explain_read_error(path, error).message}")
            except BenchError as error:
                problems.append(f"{self.id}: {error.message}")
        return problems

    def require_unchanged(self) -> None:
        """Refuse files that were changed after they were prepared.

        Raises:
            BenchError: Names the first of them.
        """
        changed = self.changed_files()
        if changed:
            raise BenchError(f"{changed[0]}.", hint="Restore it, or remove the subject's folder and prepare it again.")

    def open_reader(self) -> VideoReader:
        """Random access to the clip's frames."""
        return VideoReader(self.clip_path)
