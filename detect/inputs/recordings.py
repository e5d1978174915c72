"""Recordings that views are made of: a video file, or a folder of images; upright frames in order out.

A frame's pixels are made when they are asked for: most looks for people skip them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from dancebench.core.errors import BenchError
from dancebench.datasets.video.decoding import Decoding, Inspection, survey
from dancebench.datasets.video.frames import open_source, refuse_single_picture
from dancebench.datasets.video.upright import Frame


class ShownFrame(NamedTuple):
    """A frame of a recording.

    Attributes:
        seconds: From the first frame on, strictly increasing.
        by_clock: Number of its segment by the clock.
        pts: Raw stamp in the file's own time base; None where it is missing or repeated.
        upright: Makes its pixels, uint8 RGB (H, W, 3).
    """

    seconds: float
    by_clock: int
    pts: int | None
    upright: Callable[[], Frame]


class Recording(Protocol):
    """What views are made of; it can be read from its first frame any number of times."""

    @property
    def path(self) -> Path: ...

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright picture in pixels."""

    @property
    def fps(self) -> float:
        """Frames per second."""

    @property
    def n_frames(self) -> int:
        """Frames, as far as that is known before all were read."""

    def frames(self) -> Iterator[ShownFrame]:
        """The frames in order.

        Raises:
            BenchError: It cannot be decoded.
        """


class FileRecording:
    """A video file.

    Args:
        surveyed: A survey of it.
        refuse_damage: Whether a file is refused of whose coded pictures damage left fewer than 90%.

    Attributes:
        found: What is known of it: the survey, and what it really holds once all its frames were read.
    """

    def __init__(self, surveyed: Inspection, *, refuse_damage: bool) -> None:
        self.found = surveyed
        self._surveyed, self._refuse_damage = surveyed, refuse_damage

    @property
    def path(self) -> Path:
        return self.found.info.path

    @property
    def size(self) -> tuple[int, int]:
        return self.found.info.height, self.found.info.width

    @property
    def fps(self) -> float:
        return self.found.info.fps

    @property
    def n_frames(self) -> int:
        return self.found.info.n_frames

    def frames(self) -> Iterator[ShownFrame]:
        """See `Recording.frames`; afterwards `found` is what the file really holds."""
        decoding = Decoding(self._surveyed, refuse_damage=self._refuse_damage)
        by_clock = -1
        for decoded in decoding:
            by_clock += decoded.moment.starts_segment
            yield ShownFrame(decoded.moment.seconds, by_clock, decoded.moment.pts, decoded.upright)
        self.found = decoding.sum_up()


@dataclass(frozen=True)
class FolderRecording:
    """A folder of images, at a rate that somebody stated."""

    path: Path
    size: tuple[int, int]
    fps: float
    n_frames: int

    def frames(self) -> Iterator[ShownFrame]:
        """See `Recording.frames`."""
        for seconds, frame in open_source(self.path, fps=self.fps).frames():
            yield ShownFrame(seconds, 0, None, partial(_give, frame))


def _give(frame: Frame) -> Frame:
    return frame


def open_recording(path: Path, fps: float | None = None) -> FileRecording | FolderRecording:
    """Open a video file, or a folder of images at the rate `fps`.

    Raises:
        BenchError: It cannot be read, is a single picture, or is a folder without a rate.
    """
    if not path.is_dir():
        refuse_single_picture(path)
        return FileRecording(survey(path), refuse_damage=True)
    if fps is None:
        raise BenchError(f"{path} is a folder of images without a frame rate.", hint="State one: --fps.")
    source = open_source(path, fps=fps)
    return FolderRecording(path, (source.height, source.width), source.fps, source.n_frames)
