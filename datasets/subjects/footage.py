"""What a clip is prepared from: frames, and whatever came with them.

A plain recording is one stretch of frames. An import may bring poses, the pictures that condition a
synthesizer ("labels") and boxes of the face; it may have gaps, and parts of its own for training and testing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dancebench.datasets.pose.skeleton import Keypoints
from dancebench.datasets.subjects.records import ImportedSource
from dancebench.datasets.video.decoding import Frame
from dancebench.datasets.video.frames import FrameSource

Box = tuple[float, float, float, float]
"""Edges (top, bottom, left, right) of rows [top, bottom) and columns [left, right)."""


@dataclass(frozen=True)
class SuppliedFrame:
    """A frame and what was given with it, all in the frame's own pixels.

    Attributes:
        frame: uint8 RGB (H, W, 3).
        pose: float32 [75, 3]; None where it is yet to be found.
        label: Conditioning picture, uint8 RGB (H, W, 3).
        face: Box of the face.
    """

    frame: Frame
    pose: Keypoints | None = None
    label: Frame | None = None
    face: Box | None = None


@dataclass(frozen=True)
class Segment:
    """Frames that follow each other.

    Attributes:
        moments: (seconds, moment) from the first one, as often as called; times strictly increasing.
        held_out: Whether the layout keeps it from training.
    """

    frames: Callable[[], Iterator[tuple[float, SuppliedFrame]]]
    held_out: bool = False


@dataclass(frozen=True)
class Footage:
    """Stretches of one person, those for training first.

    Attributes:
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.
        fps: Mean rate within a stretch.
        n_frames: In all stretches; a damaged file may decode to fewer.
        decoder: What decodes, with its version.
        stretches: At least one.
        given_poses: What found the poses that come with the frames; None if they come without.
    """

    height: int
    width: int
    fps: float
    n_frames: int
    decoder: str
    segments: tuple[Segment, ...]
    supplied_poses: str | None = None

    @classmethod
    def from_source(cls, source: FrameSource) -> Footage:
        """A recording that brings nothing but its frames."""

        def moments() -> Iterator[tuple[float, SuppliedFrame]]:
            return ((seconds, SuppliedFrame(frame)) for seconds, frame in source.frames())

        return cls(source.height, source.width, source.fps, source.n_frames, source.decoder, (Segment(moments),))


@dataclass(frozen=True)
class Imported:
    """What the reader of a layout hands on.

    Attributes:
        footage: To prepare a clip from.
        source: For the record.
        notes: What the user should know, a sentence each.
    """

    footage: Footage
    source: ImportedSource
    notes: tuple[str, ...] = ()
