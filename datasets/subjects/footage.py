"""What a clip is prepared from: frames, and what was supplied with them.

A plain recording is one segment of consecutive frames. An import may supply poses, pose maps ("labels", the
conditioning images) and bounding boxes of the face; it may have gaps, and its own training and test parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dancebench.datasets.pose.box import Box
from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.subjects.records import ImportedSource
from dancebench.datasets.video.frames import FrameSource, list_clock_breaks
from dancebench.datasets.video.notes import list_source_warnings
from dancebench.datasets.video.upright import Frame


@dataclass(frozen=True)
class SuppliedFrame:
    """A frame and what was supplied with it, all in the frame's own pixels.

    Attributes:
        frame: uint8 RGB (H, W, 3).
        pose: float32 [75, 3]; None where it is yet to be extracted.
        label: Pose map, uint8 RGB (H, W, 3).
        face: Bounding box of the face.
    """

    frame: Frame
    pose: Keypoints | None = None
    label: Frame | None = None
    face: Box[float] | None = None


@dataclass(frozen=True)
class Segment:
    """Frames that were taken one after the other, unless the recording itself is cut or its clock jumps.

    Attributes:
        frames: Iterates (seconds, supplied frame) from the start at each call; times strictly increasing.
        held_out: Whether the layout excludes it from training.
        breaks: Its frames before which the clock of the recording jumps.
    """

    frames: Callable[[], Iterator[tuple[float, SuppliedFrame]]]
    held_out: bool = False
    breaks: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Footage:
    """Segments of one person, those for training first.

    Attributes:
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.
        fps: Mean rate within a segment.
        n_frames: In all segments; a damaged file may decode to fewer.
        decoder: What decodes, with its version.
        segments: At least one.
        supplied_poses: What extracted the poses supplied with the frames; None if there are none.
        decode_warnings: Properties of the recording, and conversions of its frames, that are to be known.
    """

    height: int
    width: int
    fps: float
    n_frames: int
    decoder: str
    segments: tuple[Segment, ...]
    supplied_poses: str | None = None
    decode_warnings: tuple[str, ...] = ()

    @classmethod
    def from_source(cls, source: FrameSource) -> Footage:
        """A recording that supplies nothing but its frames."""

        def frames() -> Iterator[tuple[float, SuppliedFrame]]:
            return ((seconds, SuppliedFrame(frame)) for seconds, frame in source.frames())

        return cls(
            source.height,
            source.width,
            source.fps,
            source.n_frames,
            source.decoder,
            (Segment(frames, breaks=list_clock_breaks(source)),),
            decode_warnings=tuple(list_source_warnings(source)),
        )


@dataclass(frozen=True)
class Imported:
    """The result of an importer.

    Attributes:
        footage: Footage to prepare a clip from.
        source: Source, for the subject's record.
        notes: What the user should know, a sentence each.
    """

    footage: Footage
    source: ImportedSource
    notes: tuple[str, ...] = ()
